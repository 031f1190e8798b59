/* SPDX-License-Identifier: MIT */
#include "ctl/svg.h"

#include "ctl/markup.h"

#include <math.h>
#include <stdarg.h>

#define TICKS 9

void
svg_begin(FILE *f, double width, double height, const char *fmt, ...)
{
        va_list ap;

        fprintf(f, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"", width, height);
        va_start(ap, fmt);
        markup_vprintf(f, fmt, ap);
        va_end(ap);
        fputs("\">\n", f);
}

void
svg_end(FILE *f)
{
        fputs("</svg>\n", f);
}

void
svg_text(FILE *f, double x, double y, const char *class, const char *fmt, ...)
{
        va_list ap;

        fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, class);
        va_start(ap, fmt);
        markup_vprintf(f, fmt, ap);
        va_end(ap);
        fputs("</text>\n", f);
}

void
svg_line(FILE *f, double x1, double y1, double x2, double y2, const char *class)
{
        fprintf(f, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n", x1, y1, x2, y2, class);
}

void
svg_rect(FILE *f, double x, double y, double width, double height, const char *class, const char *fmt, ...)
{
        va_list ap;

        fprintf(f, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" class=\"%s\"><title>", x, y, width,
                height, class);
        va_start(ap, fmt);
        markup_vprintf(f, fmt, ap);
        va_end(ap);
        fputs("</title></rect>\n", f);
}

void
svg_title(FILE *f, const char *fmt, ...)
{
        va_list ap;

        fputs("<title>", f);
        va_start(ap, fmt);
        markup_vprintf(f, fmt, ap);
        va_end(ap);
        fputs("</title>", f);
}

/* ── axes ── */

double
axis_at(const struct axis *axis, double value)
{
        double share;

        if (axis->is_log)
                share = value > 0 ? log(value / axis->low) / log(axis->high / axis->low) : 0;
        else
                share = (value - axis->low) / (axis->high - axis->low);
        if (!(share > 0)) /* not a number, too */
                share = 0;
        return axis->from + MIN(share, 1.0) * (axis->to - axis->from);
}

static size_t
log_ticks(const struct axis *axis, int about, double *ret)
{
        static const double steps[] = {1, 2, 5}, finer[] = {1, 1.5, 2, 3, 4, 5, 7};
        double decades = log10(axis->high / axis->low);
        int every = MAX((int)ceil(decades / about), 1);
        bool is_fine = decades * ARRAY_SIZE(finer) <= about + 1;
        size_t n = 0, per_decade = is_fine ? ARRAY_SIZE(finer) : decades * 3 <= about ? ARRAY_SIZE(steps) : 1;

        for (int power = (int)floor(log10(axis->low)); power <= ceil(log10(axis->high)); power += every) {
                for (size_t i = 0; i < per_decade; i++) {
                        double value = (is_fine ? finer[i] : steps[i]) * pow(10, power);

                        if (value >= axis->low * 0.999 && value <= axis->high * 1.001 && n < AXIS_TICKS_MAX)
                                ret[n++] = value;
                }
        }
        return n;
}

size_t
axis_ticks(const struct axis *axis, int about, double ret[static AXIS_TICKS_MAX])
{
        double range = axis->high - axis->low, step, first;
        size_t n = 0;

        if (axis->is_log)
                return log_ticks(axis, about, ret);
        if (!(range > 0) || !isfinite(range))
                return 0;
        step = pow(10, floor(log10(range / about)));
        if (range / step > about * 5)
                step *= 10;
        else if (range / step > about * 2)
                step *= 5;
        else if (range / step > about)
                step *= 2;
        first = ceil(axis->low / step - 1e-6);
        for (double i = first; i * step <= axis->high + step * 1e-6 && n < AXIS_TICKS_MAX; i++)
                ret[n++] = fabs(i) < 0.5 ? 0 : i * step;
        return n;
}

void
axis_draw(FILE *f, const struct axis *axis, double y, double y_top, axis_format *format)
{
        double ticks[AXIS_TICKS_MAX];
        size_t n = axis_ticks(axis, TICKS, ticks);
        char text[64];

        for (size_t i = 0; i < n; i++) {
                double x = axis_at(axis, ticks[i]);
                const char *end = x > axis->to - 30 ? " end" : x < axis->from + 10 ? "" : " middle";

                svg_line(f, x, y_top, x, y + 5, "grid");
                fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" class=\"tick%s%s\">", x, y + 22, end, i % 2 ? " minor" : "");
                markup_put(f, format(text, sizeof(text), ticks[i]));
                fputs("</text>\n", f);
        }
        svg_line(f, axis->from, y, axis->to, y, "line");
}
