/* SPDX-License-Identifier: MIT */
/*
 * The box plots of a report: every round of every variant. Box: the quartiles; whiskers: the last round on either side
 * that is no outlier (Tukey 1977). Rounds are drawn from top to bottom in the order in which they were measured, so
 * that a drift is seen as a slope.
 */
#include "ctl/compare-variant.h"
#include "ctl/field.h"
#include "ctl/report-part.h"
#include "ctl/svg.h"
#include "ctl/text.h"
#include "shared/quantity.h"
#include "shared/statistics.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define ROW       84
#define NAME_Y    22
#define NAME_MOST 64 /* bytes */
#define BOX_TOP   34
#define BOX       38
#define DOTS_MOST 60 /* with more rounds in a variant they are one path, without tool tips */
#define LOG_FROM  20 /* times the smallest value is the largest one, then the axis is logarithmic */

/* One variant's rounds, in their order and sorted. */
struct sample {
        const json_t *variant;
        double *x, *sorted;
        size_t *round; /* of each x */
        size_t n;
        double scale; /* of what is drawn: 1, or 100 / median */
        double median;
};

static void
sample_deinit(struct sample *s)
{
        free(s->x);
        free(s->sorted);
        free(s->round);
}

static int
compare_reals(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

static int
sample_init(struct sample *s, const struct report *r, const json_t *variant)
{
        size_t rounds = MIN(report_rounds(variant), STATISTICS_MAX);

        *s = (struct sample){.variant = variant, .scale = 1};
        s->x = calloc(rounds + 1, sizeof(*s->x));
        s->sorted = calloc(rounds + 1, sizeof(*s->sorted));
        s->round = calloc(rounds + 1, sizeof(*s->round));
        if (!s->x || !s->sorted || !s->round)
                return -ENOMEM;
        for (size_t i = 0; i < rounds; i++) {
                double value = report_value(r, variant, i);

                if (!isfinite(value))
                        continue;
                s->round[s->n] = i;
                s->x[s->n++] = value;
        }
        memcpy(s->sorted, s->x, s->n * sizeof(*s->x));
        qsort(s->sorted, s->n, sizeof(*s->sorted), compare_reals);
        s->median = s->n > 0 ? statistics_median(s->x, s->n) : 0;
        return 0;
}

/* ── one row ── */

/* The smallest and the largest value that is no outlier. False when all are. */
static bool
find_whiskers(const struct sample *s, double *ret_low, double *ret_high)
{
        double low = INFINITY, high = -INFINITY;

        for (size_t i = 0; i < s->n; i++) {
                if (report_is_outlier(s->variant, s->round[i]))
                        continue;
                low = fmin(low, s->x[i]);
                high = fmax(high, s->x[i]);
        }
        *ret_low = low;
        *ret_high = high;
        return low <= high;
}

static void
put_box(const struct report *r, const struct sample *s, const struct axis *axis, double y)
{
        double low, high, q1 = statistics_quantile(s->x, s->n, 0.25), q3 = statistics_quantile(s->x, s->n, 0.75);
        double x1 = axis_at(axis, q1 * s->scale), x3 = axis_at(axis, q3 * s->scale), middle = y + BOX / 2.0;
        char a[64], b[64];

        if (find_whiskers(s, &low, &high)) {
                double from = axis_at(axis, low * s->scale), to = axis_at(axis, high * s->scale);

                svg_line(r->f, from, middle, x1, middle, "whisker");
                svg_line(r->f, x3, middle, to, middle, "whisker");
                svg_line(r->f, from, y + 9, from, y + BOX - 9, "whisker");
                svg_line(r->f, to, y + 9, to, y + BOX - 9, "whisker");
        }
        svg_rect(r->f, x1, y, MAX(x3 - x1, 0.5), BOX, "box", "quartiles: %s … %s", report_seconds(a, sizeof(a), q1),
                 report_seconds(b, sizeof(b), q3));
}

static void
put_median(const struct report *r, const struct sample *s, const struct axis *axis, double y)
{
        const struct interval i = compare_variant_times(r->compare, s->variant).interval;
        double x = axis_at(axis, s->median * s->scale);
        char a[64], b[64];

        if (i.low > 0 && i.high >= i.low) {
                double from = axis_at(axis, i.low * s->scale), to = axis_at(axis, i.high * s->scale);

                svg_rect(r->f, from, y - 5, MAX(to - from, 1), BOX + 10, "interval",
                         "95 %% interval of the median: %s … %s", report_seconds(a, sizeof(a), i.low),
                         report_seconds(b, sizeof(b), i.high));
        }
        svg_line(r->f, x, y - 5, x, y + BOX + 5, "median");
}

static void
put_dots(const struct report *r, const struct sample *s, const struct axis *axis, double y)
{
        bool is_many = s->n > DOTS_MOST;
        char a[64];

        if (is_many)
                fputs("<path class=\"dots\" d=\"", r->f);
        for (size_t i = 0; is_many && i < s->n; i++)
                fprintf(r->f, "M%.1f %.1fh0", axis_at(axis, s->x[i] * s->scale),
                        y + 4 + (BOX - 8) * (i + 0.5) / (double)s->n);
        if (is_many)
                fputs("\"/>\n", r->f);
        for (size_t i = 0; i < s->n; i++) {
                bool is_outlier = report_is_outlier(s->variant, s->round[i]);

                if (is_many && !is_outlier)
                        continue;
                fprintf(r->f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%s\" class=\"%s\">",
                        axis_at(axis, s->x[i] * s->scale), y + 4 + (BOX - 8) * (i + 0.5) / (double)s->n,
                        is_outlier ? "5" : "2.5", is_outlier ? "outlier" : "dot");
                svg_title(r->f, "round %zu: %s%s", s->round[i] + 1, report_seconds(a, sizeof(a), s->x[i]),
                          is_outlier ? ", outside of Tukey's fences; it counts like all others" : "");
                fputs("</circle>\n", r->f);
        }
}

/* How many bytes of the name there is room for, in whole characters of UTF-8. */
static int
name_length(const char *name)
{
        size_t len = strnlen(name, NAME_MOST + 1);

        if (len <= NAME_MOST)
                return (int)len;
        for (len = NAME_MOST; len > 0 && ((unsigned char)name[len] & 0xc0) == 0x80; len--)
                ;
        return (int)len;
}

static void
put_row(const struct report *r, const struct sample *s, const struct axis *axis, double top)
{
        const char *name = field_text(s->variant, "name");
        char a[64];

        svg_text(r->f, PICTURE_LEFT, top + NAME_Y, "name", "%.*s", name_length(name), name);
        if (s->n == 0) {
                svg_text(r->f, PICTURE_RIGHT, top + NAME_Y, "soft end", "no round");
                return;
        }
        svg_text(r->f, PICTURE_RIGHT, top + NAME_Y, "soft end", "median %s", report_seconds(a, sizeof(a), s->median));
        put_box(r, s, axis, top + BOX_TOP);
        put_dots(r, s, axis, top + BOX_TOP);
        put_median(r, s, axis, top + BOX_TOP);
}

/* ── both pictures ── */

static char *
format_percent(char *buf, size_t size, double percent)
{
        snprintf(buf, size, "%.4g %%", percent);
        return buf;
}

/* False: there is nothing to be seen. */
static bool
choose_axis(const struct sample *samples, size_t n, struct axis *ret)
{
        double low = INFINITY, high = -INFINITY, margin;

        for (size_t i = 0; i < n; i++) {
                if (samples[i].n == 0)
                        continue;
                low = fmin(low, samples[i].sorted[0] * samples[i].scale);
                high = fmax(high, samples[i].sorted[samples[i].n - 1] * samples[i].scale);
        }
        *ret = (struct axis){.from = PICTURE_LEFT, .to = PICTURE_RIGHT};
        if (!(low <= high) || !isfinite(high))
                return false;
        ret->is_log = high / low > LOG_FROM;
        if (ret->is_log) {
                ret->low = low / 1.2;
                ret->high = high * 1.2;
                return true;
        }
        margin = fmax((high - low) * 0.06, high * 0.002);
        ret->low = fmax(low - margin, 0);
        ret->high = high + margin;
        return true;
}

static void
put_picture(const struct report *r, const struct sample *samples, size_t n, const char *label, axis_format *format)
{
        struct axis axis;
        double bottom = 8 + (double)n * ROW;

        if (!choose_axis(samples, n, &axis)) {
                report_note(r, "soft", "No round was measured: there is nothing to be drawn.");
                return;
        }
        fputs("<figure>\n", r->f);
        svg_begin(r->f, PICTURE_WIDTH, bottom + 34, "%s", label);
        axis_draw(r->f, &axis, bottom, 8, format);
        for (size_t i = 0; i < n; i++)
                put_row(r, &samples[i], &axis, (double)i * ROW);
        svg_end(r->f);
        fprintf(r->f, "<figcaption>%s%s</figcaption>\n</figure>\n", label,
                axis.is_log                                     ? ". The axis is logarithmic"
                : axis.low > 0 && format == report_axis_seconds ? ". The axis does not begin at 0"
                                                                : "");
}

static void
put_pictures(const struct report *r, struct sample *samples, size_t n)
{
        put_picture(r, samples, n,
                    r->is_per_task ? "Time per task in each round, one common axis"
                                   : "Time of each round, one common axis",
                    report_axis_seconds);
        for (size_t i = 0; i < n; i++)
                samples[i].scale = samples[i].median > 0 ? 100 / samples[i].median : 1;
        for (size_t i = 0; i < n; i++) {
                if (samples[i].n > 1) {
                        put_picture(r, samples, n,
                                    "The same rounds, each in per cent of its own variant's median: how steady they "
                                    "were",
                                    format_percent);
                        return;
                }
        }
}

static void
put_times(const struct report *r, const json_t *v)
{
        const struct compare_times t = compare_variant_times(r->compare, v);
        char a[64], b[64];

        report_cell(r, "num", "%s", report_seconds(a, sizeof(a), t.median));
        if (isfinite(t.interval.low))
                report_cell(r, "num", "%s … %s", report_seconds(a, sizeof(a), t.interval.low),
                            report_seconds(b, sizeof(b), t.interval.high));
        else
                report_cell(r, "num", "–");
        if (isfinite(t.stddev))
                report_cell(r, "num", "%s ± %s", report_seconds(a, sizeof(a), t.mean),
                            report_seconds(b, sizeof(b), t.stddev));
        else
                report_cell(r, "num", "%s", report_seconds(a, sizeof(a), t.mean));
        report_cell(r, "num", "%s", report_seconds(a, sizeof(a), t.min));
        report_cell(r, "num", "%s", report_seconds(a, sizeof(a), t.max));
}

static void
put_figures(const struct report *r)
{
        static const char *const columns[] = {"Variant", " Median",   " 95 % interval", " Mean ± s.d.", " Min",
                                              " Max",    " Outliers", " Speed-up",      " Cores",       " Tasks/s",
                                              NULL};
        json_t *v;
        char a[64];
        size_t i;

        report_table(r, r->is_per_task ? "Times per task in the measured rounds" : "Times of the measured rounds",
                     columns);
        json_array_foreach(r->variants, i, v)
        {
                const json_t *speed_up = json_object_get(v, "speed_up_interval");

                fputs("<tr>", r->f);
                report_head(r, "", "%s", field_text(v, "name"));
                put_times(r, v);
                report_cell(r, "num", "%zu", json_array_size(json_object_get(v, "outliers")));
                report_cell(r, "num", "%s",
                            report_ratio(a, sizeof(a), field_real(v, "speed_up"),
                                         field_real(speed_up, "high") - field_real(speed_up, "low")));
                report_cell(r, "num", "%.2f", field_real(v, "cores_busy"));
                report_cell(r, "num", "%s",
                            text_count(a, sizeof(a), llround(fmin(field_real(v, "tasks_per_s"), 1e18))));
                fputs("</tr>\n", r->f);
        }
        report_table_end(r);
}

int
report_put_rounds(const struct report *r)
{
        size_t n = json_array_size(r->variants);
        AUTO_FREE struct sample *samples = calloc(n + 1, sizeof(*samples));
        int error = samples ? 0 : -ENOMEM;

        report_section(r, "rounds", "Every round",
                       "Each dot is one round, from top to bottom in order. Box: the middle half; thick line: median, "
                       "shaded: its 95 %% interval; ring: outlier, shown and counted.");
        for (size_t i = 0; error == 0 && i < n; i++)
                error = sample_init(&samples[i], r, json_array_get(r->variants, i));
        if (error == 0)
                put_pictures(r, samples, n);
        for (size_t i = 0; samples && i < n; i++)
                sample_deinit(&samples[i]);
        put_figures(r);
        report_end(r);
        return error;
}
