/* SPDX-License-Identifier: MIT */
/*
 * The latency histograms of a report. All have one logarithmic time axis, which is divided into columns of equal
 * width; what a bin of the daemon counted is spread over the columns that it covers.
 */
#include "ctl/field.h"
#include "ctl/markup.h"
#include "ctl/report-part.h"
#include "ctl/svg.h"
#include "ctl/text.h"
#include "shared/quantity.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define COLUMNS 120
#define TOP     70
#define PLOT    110
#define BOTTOM  (TOP + PLOT)
#define LABEL_Y 18 /* of the first percentile's text */
#define LABEL   22 /* each has a line of its own, which is as high as letters are on a narrow screen */

static bool
has_bins(const json_t *variant)
{
        return json_array_size(json_object_get(variant, "latency_bins")) > 0;
}

/* From the first to the last bin that counted something, of all variants. False: there is none. */
static bool
choose_axis(const json_t *variants, struct axis *ret)
{
        double low = INFINITY, high = 0;
        json_t *variant, *bin;
        size_t i, k;

        json_array_foreach(variants, i, variant)
        {
                json_array_foreach(json_object_get(variant, "latency_bins"), k, bin)
                {
                        if (field_int(bin, "count") <= 0)
                                continue;
                        low = fmin(low, fmax((double)field_int(bin, "from_ns"), 1));
                        high = fmax(high, (double)field_int(bin, "to_ns"));
                }
        }
        if (!(low < high))
                return false;
        /* At least from a half to twice of what was seen, so that a single bin is not the whole picture. */
        *ret = (struct axis){fmin(low / 1.1, sqrt(low * high) / 2), fmax(high * 1.1, sqrt(low * high) * 2),
                             PICTURE_LEFT, PICTURE_RIGHT, true};
        return true;
}

/* Returns the largest share. */
static double
fill_columns(const json_t *variant, const struct axis *axis, double columns[static COLUMNS])
{
        double width = (axis->to - axis->from) / COLUMNS, sum = 0, largest = 0;
        json_t *bin;
        size_t i;

        json_array_foreach(json_object_get(variant, "latency_bins"), i, bin)
        {
                double count = (double)MAX(field_int(bin, "count"), 0),
                       from = (axis_at(axis, (double)field_int(bin, "from_ns")) - axis->from) / width,
                       to = (axis_at(axis, (double)field_int(bin, "to_ns")) - axis->from) / width;

                if (!(to > from))
                        continue;
                sum += count;
                for (int c = (int)from; c < COLUMNS && c < to; c++)
                        columns[c] += count * (fmin(to, c + 1.0) - fmax(from, c)) / (to - from);
        }
        for (int c = 0; c < COLUMNS; c++) {
                columns[c] = sum > 0 ? columns[c] / sum : 0;
                largest = fmax(largest, columns[c]);
        }
        return largest;
}

static void
put_area(const struct report *r, const struct axis *axis, const double columns[static COLUMNS], double largest)
{
        double width = (axis->to - axis->from) / COLUMNS;

        fprintf(r->f, "<path class=\"area\" d=\"M%.1f %d", axis->from, BOTTOM);
        for (int c = 0; c < COLUMNS; c++)
                fprintf(r->f, "V%.1fH%.1f", BOTTOM - PLOT * columns[c] / largest, axis->from + (c + 1) * width);
        fprintf(r->f, "V%dz\"/>\n", BOTTOM);
}

static void
put_percentiles(const struct report *r, const json_t *variant, const struct axis *axis)
{
        static const char *const keys[] = {"p50", "p90", "p99"};
        const json_t *latency = json_object_get(variant, "latency_ns");
        char a[64];

        for (size_t i = 0; i < ARRAY_SIZE(keys) && json_is_object(latency); i++) {
                double ns = (double)field_int(latency, keys[i]), x = axis_at(axis, ns), y = LABEL_Y + (double)i * LABEL;
                bool is_right = x > (PICTURE_LEFT + PICTURE_RIGHT) / 2.0;

                svg_line(r->f, x, y - 8, x, BOTTOM, "percentile");
                svg_text(r->f, is_right ? x - 5 : x + 5, y, is_right ? "end" : "", "%s %s", keys[i],
                         report_axis_ns(a, sizeof(a), ns));
        }
}

static void
put_caption(const struct report *r, const json_t *variant)
{
        const json_t *latency = json_object_get(variant, "latency_ns");
        bool is_sampled = strcmp(field_text(latency, "method"), "sampled") == 0;
        const char *max = is_sampled ? "max_sampled" : "max";
        char samples[64], most[64], tail[64];

        if (!json_is_object(latency))
                return;
        fputs("<figcaption>", r->f);
        markup_printf(r->f, "%s timed", text_count(samples, sizeof(samples), field_int(latency, "samples")));
        if (is_sampled)
                fprintf(r->f, ", one task in %" PRId64, field_int(latency, "every"));
        markup_printf(r->f, " · p99.9 %s", report_axis_ns(tail, sizeof(tail), (double)field_int(latency, "p99_9")));
        if (field_is_set(latency, max))
                markup_printf(r->f, " · longest%s %s", is_sampled ? " of them" : "",
                              report_axis_ns(most, sizeof(most), (double)field_int(latency, max)));
        fprintf(r->f, " · cost of timing, %" PRId64 " ns, taken off</figcaption>\n", field_int(latency, "overhead_ns"));
}

static void
put_variant(const struct report *r, const json_t *variant, const struct axis *axis)
{
        double columns[COLUMNS] = {0}, largest = 0;

        report_part_heading(r, field_text(variant, "name"));
        if (has_bins(variant))
                largest = fill_columns(variant, axis, columns);
        if (!(largest > 0)) {
                report_note(r, "soft", "No task of this variant was timed.");
                return;
        }
        fputs("<figure>\n", r->f);
        svg_begin(r->f, PICTURE_WIDTH, BOTTOM + 34, "%s: how long single tasks took", field_text(variant, "name"));
        axis_draw(r->f, axis, BOTTOM, TOP, report_axis_ns);
        svg_text(r->f, PICTURE_LEFT - 6, TOP + 12, "tick end", "%.2g%%", largest * 100);
        put_area(r, axis, columns, largest);
        put_percentiles(r, variant, axis);
        svg_end(r->f);
        put_caption(r, variant);
        fputs("</figure>\n", r->f);
}

void
report_put_latency(const struct report *r)
{
        struct axis axis;
        json_t *variant;
        size_t i;

        if (!choose_axis(r->variants, &axis)) {
                report_section(r, "latency", "How long single tasks took", "No task was timed.");
                report_end(r);
                return;
        }
        report_section(r, "latency", "How long single tasks took",
                       "Share of the tasks by their time, from the start of a task to its end with all waits in it; "
                       "one logarithmic "
                       "axis for all variants.");
        json_array_foreach(r->variants, i, variant) put_variant(r, variant, &axis);
        report_end(r);
}
