/* SPDX-License-Identifier: MIT */
/*
 * The speed-up curves of a report. Amdahl's law (1967): S(n) = n / (1 + s (n - 1)). The Universal Scalability Law
 * (Gunther 1993): S(n) = n / (1 + sigma (n - 1) + kappa n (n - 1)). Both are drawn relative to the smallest number
 * of workers, as the points are.
 */
#include "ctl/compare-variant.h"
#include "ctl/field.h"
#include "ctl/report-part.h"
#include "ctl/svg.h"
#include "ctl/text.h"

#include <inttypes.h>
#include <math.h>

#define TOP     10
#define PLOT    280
#define BOTTOM  (TOP + PLOT)
#define STEPS   120
#define Y_TICKS 6

/* Parameters of a law; for Amdahl's kappa is 0. */
struct law {
        double sigma, kappa, gain;
};

static double
law_at(const struct law *law, double n)
{
        return law->gain * n / (1 + law->sigma * (n - 1) + law->kappa * n * (n - 1));
}

/* With S(n) = value. */
static struct law
law_through(double sigma, double kappa, double n, double value)
{
        struct law law = {sigma, kappa, 1};
        double at = law_at(&law, n);

        law.gain = at > 0 && value > 0 ? value / at : 1;
        return law;
}

static char *
format_workers(char *buf, size_t size, double n)
{
        /* There are no halves of a worker. */
        snprintf(buf, size, "%.0f", n);
        if (n != floor(n))
                *buf = '\0';
        return buf;
}

static double
y_of(const struct axis *y, double value)
{
        return axis_at(y, value);
}

static void
put_curve(const struct report *r, const struct axis *x, const struct axis *y, const struct law *law, double first,
          const char *class, const char *title)
{
        bool is_beyond = false;

        fprintf(r->f, "<path class=\"curve %s\" d=\"", class);
        for (int i = 0; i <= STEPS && !is_beyond; i++) {
                double share = (double)i / STEPS,
                       n = x->is_log ? first * pow(x->high / first, share) : first + (x->high - first) * share;

                is_beyond = law_at(law, n) > y->high;
                fprintf(r->f, "%c%.1f %.1f", i == 0 ? 'M' : 'L', axis_at(x, n), y_of(y, law_at(law, n)));
        }
        fputs("\">", r->f);
        svg_title(r->f, "%s", title);
        fputs("</path>\n", r->f);
}

static void
put_points(const struct report *r, const json_t *points, const struct axis *x, const struct axis *y)
{
        json_t *point;
        size_t i;

        json_array_foreach(points, i, point)
        {
                const json_t *interval = json_object_get(point, "speed_up_interval");
                double at = axis_at(x, (double)field_int(point, "workers"));

                if (json_is_object(interval))
                        svg_line(r->f, at, y_of(y, field_real(interval, "low")), at,
                                 y_of(y, field_real(interval, "high")), "bar");
                fprintf(r->f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" class=\"point\">", at,
                        y_of(y, field_real(point, "speed_up")));
                svg_title(r->f, "%" PRId64 " workers: %.2f times as fast", field_int(point, "workers"),
                          field_real(point, "speed_up"));
                fputs("</circle>\n", r->f);
        }
}

static void
put_y_axis(const struct report *r, const struct axis *y)
{
        double ticks[AXIS_TICKS_MAX];
        size_t n = axis_ticks(y, Y_TICKS, ticks);

        for (size_t i = 0; i < n; i++) {
                svg_line(r->f, PICTURE_LEFT, y_of(y, ticks[i]), PICTURE_RIGHT, y_of(y, ticks[i]), "grid");
                svg_text(r->f, PICTURE_LEFT - 6, y_of(y, ticks[i]) + 5, "tick end", "%.3g", ticks[i]);
        }
        svg_line(r->f, PICTURE_LEFT, TOP, PICTURE_LEFT, BOTTOM, "line");
}

/* False: there are no points that could be drawn. */
static bool
choose_axes(const json_t *points, struct axis *x, struct axis *y, double *ret_first)
{
        double first = INFINITY, last = 0, highest = 1;
        json_t *point;
        size_t i;

        json_array_foreach(points, i, point)
        {
                double n = (double)field_int(point, "workers");

                first = fmin(first, n);
                last = fmax(last, n);
                highest = fmax(highest, fmax(field_real(point, "speed_up"),
                                             field_real(json_object_get(point, "speed_up_interval"), "high")));
        }
        if (!(first >= 1) || !(first <= last) || !isfinite(highest))
                return false;
        *x = (struct axis){first / 1.15, last * 1.1, PICTURE_LEFT, PICTURE_RIGHT, last / first > 16};
        if (!x->is_log)
                x->low = fmax(first - 0.5, 0);
        /* So much of the ideal line that it is seen, without making the points flat. */
        *y = (struct axis){0, fmin(highest * 1.6, fmax(highest, last / first) * 1.1), BOTTOM, TOP, false};
        *ret_first = first;
        return true;
}

static void
put_picture(const struct report *r, const json_t *scaling)
{
        const json_t *points = json_object_get(scaling, "points"), *start = json_array_get(points, 0);
        bool is_fitted = compare_variant_is_fitted(scaling);
        double first, serial = field_real(scaling, "serial"), fitted = field_real(start, "fitted");
        struct axis x, y;

        if (!choose_axes(points, &x, &y, &first)) {
                report_note(r, "soft", "No point was measured.");
                return;
        }
        fputs("<figure>\n", r->f);
        svg_begin(r->f, PICTURE_WIDTH, BOTTOM + 34, "%s: speed-up by the number of workers",
                  field_text(scaling, "name"));
        put_y_axis(r, &y);
        axis_draw(r->f, &x, BOTTOM, TOP, format_workers);
        put_curve(r, &x, &y, &(struct law){0, 0, 1 / first}, first, "ideal", "linear: no loss at all");
        if (is_fitted) {
                struct law amdahl = law_through(serial, 0, first, 1),
                           usl = law_through(field_real(scaling, "sigma"), field_real(scaling, "kappa"),
                                             (double)field_int(start, "workers"), fitted > 0 ? fitted : 1);

                put_curve(r, &x, &y, &amdahl, first, "amdahl", "Amdahl's law");
                put_curve(r, &x, &y, &usl, first, "usl", "Universal Scalability Law");
        }
        put_points(r, points, &x, &y);
        svg_end(r->f);
        fprintf(r->f,
                "<figcaption>Speed-up (up) by the number of workers (right). Dots: measured, with their 95 %% "
                "intervals; dotted: linear%s.</figcaption>\n</figure>\n",
                is_fitted ? "; dashed: Amdahl; solid: Universal Scalability Law" : "");
}

static void
put_table(const struct report *r, const json_t *scaling)
{
        static const char *const columns[] = {" Workers",       " Tasks/s",    " Speed-up",
                                              " 95 % interval", " By the fit", NULL};
        json_t *point;
        char text[64];
        size_t i;

        report_table(r, "Speed-up relative to the smallest number of workers", columns);
        json_array_foreach(json_object_get(scaling, "points"), i, point)
        {
                const json_t *interval = json_object_get(point, "speed_up_interval");

                fputs("<tr>", r->f);
                report_cell(r, "num", "%" PRId64, field_int(point, "workers"));
                report_cell(r, "num", "%s",
                            text_count(text, sizeof(text), llround(fmin(field_real(point, "tasks_per_s"), 1e18))));
                report_cell(r, "num", "%.3f", field_real(point, "speed_up"));
                if (json_is_object(interval))
                        report_cell(r, "num", "%.3f … %.3f", field_real(interval, "low"), field_real(interval, "high"));
                else
                        report_cell(r, "num", "–");
                if (compare_variant_is_fitted(scaling))
                        report_cell(r, "num", "%.3f", field_real(point, "fitted"));
                else
                        report_cell(r, "num", "–");
                fputs("</tr>\n", r->f);
        }
        report_table_end(r);
}

static void
put_fit(const struct report *r, const json_t *scaling)
{
        size_t n = json_array_size(json_object_get(scaling, "points"));
        double kappa = field_real(scaling, "kappa");

        if (!compare_variant_is_fitted(scaling)) {
                if (n > 0)
                        report_note(r, "soft", "%s only: no fit.", n == 2 ? "Two points" : "One point");
                return;
        }
        report_note(r, "soft",
                    "Serial fraction %.4g (Amdahl) · contention σ %.4g, coherence κ %.4g (USL), off by "
                    "%.2g %% (root mean square)",
                    field_real(scaling, "serial"), field_real(scaling, "sigma"), kappa,
                    field_real(scaling, "rms_relative") * 100);
        if (field_is_set(scaling, "peak") && kappa > 0)
                report_note(r, "soft", "By the fit it is fastest with %.3g workers.", field_real(scaling, "peak"));
}

void
report_put_scaling(const struct report *r)
{
        const json_t *all = json_object_get(r->compare, "scaling");
        json_t *scaling;
        size_t i;

        if (json_array_size(all) == 0)
                return;
        report_section(r, "scaling", "Scaling", "The same work with different numbers of workers.");
        json_array_foreach(all, i, scaling)
        {
                report_part_heading(r, field_text(scaling, "name"));
                report_note(r, "", "%s", field_text(scaling, "limit"));
                put_picture(r, scaling);
                put_fit(r, scaling);
                put_table(r, scaling);
        }
        report_end(r);
}
