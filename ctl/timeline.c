/* SPDX-License-Identifier: MIT */
/*
 * From top to bottom: title, one lane for each actor, the axis, a legend, and what there is to be seen in one sentence.
 *
 * Trials differ in length by factors of hundreds (one that does not end goes on until its time-out), so not all that
 * were noted are drawn: the first ones, for as long as each is of the size of those before it.
 */
#include "ctl/timeline.h"

#include "ctl/field.h"
#include "ctl/markup.h"
#include "ctl/race-result.h"
#include "ctl/table.h"
#include "ctl/text.h"
#include "shared/quantity.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#define LEFT            100
#define RIGHT           20
#define PLOT            (TIMELINE_WIDTH - LEFT - RIGHT)
#define TOP             92
#define LANE            52
#define BAR             32
#define BELOW_LANES     118
#define LINE            20
#define TRIALS_MOST     8
#define HOLDS_MOST      40 /* of an actor, when they are all of one trial */
#define TRIAL_RATIO     8  /* no trial in the picture is longer than so many times the one before */
#define WIDTH_LEAST     0.6
#define BOTH_LABEL_ROOM 150 /* units that the words need */
#define CAPTION_COLUMNS 116
#define TICKS           12

struct picture {
        FILE *f;
        const json_t *race, *spans;
        int64_t actors;
        int64_t from_ns, to_ns; /* the part that is shown */
        int64_t trials;         /* in it */
        bool is_beginning;      /* it is a part of the first trial only */
        int64_t both_ns;        /* of it: time in which several actors held the guard */
        int64_t held_ns;        /* and time in which any did */
        int64_t most;           /* how many at once */
};

/* ── which part ── */

static bool
is_kind(const json_t *span, const char *kind)
{
        return strcmp(field_text(span, "kind"), kind) == 0;
}

/* From when to when a trial went, over all actors. False: there is no such trial. */
static bool
find_trial(const json_t *spans, int64_t trial, int64_t *ret_from, int64_t *ret_to)
{
        int64_t from = INT64_MAX, to = INT64_MIN;
        json_t *span;
        size_t i;

        json_array_foreach(spans, i, span)
        {
                if (!is_kind(span, "trial") || field_int(span, "trial") != trial)
                        continue;
                from = MIN(from, field_int(span, "from_ns"));
                to = MAX(to, field_int(span, "to_ns"));
        }
        if (from > to)
                return false;
        *ret_from = from;
        *ret_to = to;
        return true;
}

static int64_t
first_trial(const json_t *spans)
{
        int64_t first = INT64_MAX;
        json_t *span;
        size_t i;

        json_array_foreach(spans, i, span)
        {
                if (is_kind(span, "trial"))
                        first = MIN(first, field_int(span, "trial"));
        }
        return first;
}

static void
choose_trials(struct picture *p)
{
        int64_t first = first_trial(p->spans), length = INT64_MAX, from, to;

        for (; p->trials < TRIALS_MOST && find_trial(p->spans, first + p->trials, &from, &to); p->trials++) {
                if (p->trials > 0 && (to - from) / TRIAL_RATIO > length)
                        break;
                if (p->trials == 0)
                        p->from_ns = from;
                length = p->trials == 0 ? to - from : MIN(length, to - from);
                p->to_ns = MAX(p->to_ns, to);
        }
}

/* Until when an actor was noted, but no longer than for HOLDS_MOST holds; INT64_MAX: it was not. */
static int64_t
noted_until(const json_t *spans, int64_t actor)
{
        int64_t until = INT64_MIN;
        int holds = 0;
        json_t *span;
        size_t i;

        json_array_foreach(spans, i, span)
        {
                if (field_int(span, "actor") != actor || holds == HOLDS_MOST)
                        continue;
                holds += is_kind(span, "hold");
                until = MAX(until, field_int(span, "to_ns"));
        }
        return until == INT64_MIN ? INT64_MAX : until;
}

/* The guard went to and fro so often that what can be noted was full before the first trial was over: the part for
 * which everybody was noted. */
static void
choose_beginning(struct picture *p)
{
        int64_t from = INT64_MAX, to = INT64_MAX;
        json_t *span;
        size_t i;

        json_array_foreach(p->spans, i, span) from = MIN(from, field_int(span, "from_ns"));
        for (int64_t actor = 0; actor < p->actors; actor++)
                to = MIN(to, noted_until(p->spans, actor));
        if (to == INT64_MAX)
                return;
        p->is_beginning = true;
        p->from_ns = from;
        p->to_ns = to;
}

static void
choose_part(struct picture *p)
{
        choose_trials(p);
        if (p->trials == 0)
                choose_beginning(p);
        p->to_ns = MAX(p->to_ns, p->from_ns + 1);
}

/* ── drawing ── */

static void put_text(const struct picture *p, double x, double y, const char *class, const char *fmt, ...)
        PRINTF_LIKE(5, 6);

static void
put_text(const struct picture *p, double x, double y, const char *class, const char *fmt, ...)
{
        AUTO_FREE char *text = NULL;
        va_list ap;

        va_start(ap, fmt);
        if (vasprintf(&text, fmt, ap) < 0)
                text = NULL;
        va_end(ap);
        fprintf(p->f, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, class);
        markup_put(p->f, text ? text : "");
        fprintf(p->f, "</text>\n");
}

static double
x_of(const struct picture *p, int64_t at_ns)
{
        int64_t at = MIN(MAX(at_ns, p->from_ns), p->to_ns);

        return LEFT + (double)PLOT * (double)(at - p->from_ns) / (double)(p->to_ns - p->from_ns);
}

/* Of something that lasts; nothing of what the picture does not show. */
static void
put_bar(const struct picture *p, int64_t from_ns, int64_t to_ns, double y, double height, const char *class)
{
        double x = x_of(p, from_ns), width = MAX(x_of(p, to_ns) - x, WIDTH_LEAST);

        if (to_ns < p->from_ns || from_ns > p->to_ns)
                return;
        x = MIN(x, LEFT + PLOT - width);
        fprintf(p->f, "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" class=\"%s\"/>\n", x, y, width,
                height, class);
}

static double
lane_y(int64_t actor)
{
        return TOP + (double)actor * LANE;
}

static double
lanes_bottom(const struct picture *p)
{
        return lane_y(p->actors);
}

static void
put_style(FILE *f)
{
        fputs("<style type=\"text/css\">\n"
              "text { font-family: system-ui, 'DejaVu Sans', 'Liberation Sans', Arial, sans-serif; font-size: 14px; "
              "fill: #1b1f24 }\n"
              ".title { font-size: 20px; font-weight: bold }\n"
              ".soft { fill: #57606a }\n"
              ".middle { text-anchor: middle }\n"
              ".end { text-anchor: end }\n"
              ".alarm { fill: #b3261e; font-weight: bold }\n"
              ".ground { fill: #ffffff }\n"
              ".band0 { fill: #eef1f4 }\n"
              ".band1 { fill: #dfe5eb }\n"
              ".hold { fill: #1f6feb }\n"
              ".wait { fill: url(#hatch); stroke: #9a8452; stroke-width: 0.5 }\n"
              ".stripe { stroke: #c9a227; stroke-width: 3 }\n"
              ".both { fill: #d1242f; fill-opacity: 0.45 }\n"
              ".on-both { fill: #7a0b12; font-weight: bold }\n"
              ".line { stroke: #8c959f; stroke-width: 1 }\n"
              "@media (prefers-color-scheme: dark) {\n"
              "text { fill: #e6edf3 }\n"
              ".soft { fill: #9da7b1 }\n"
              ".alarm { fill: #ff8b82 }\n"
              ".ground { fill: #0d1117 }\n"
              ".band0 { fill: #1b222b }\n"
              ".band1 { fill: #28323d }\n"
              ".hold { fill: #4d94ff }\n"
              ".both { fill: #ff5a52; fill-opacity: 0.5 }\n"
              ".on-both { fill: #ffe3e0 }\n"
              "}\n"
              "</style>\n"
              "<defs><pattern id=\"hatch\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\" "
              "patternTransform=\"rotate(45)\"><line class=\"stripe\" x1=\"0\" y1=\"0\" x2=\"0\" "
              "y2=\"8\"/></pattern></defs>\n",
              f);
}

static void
put_bands(const struct picture *p)
{
        int64_t first = first_trial(p->spans), from, to;

        for (int64_t i = 0; i < p->trials && find_trial(p->spans, first + i, &from, &to); i++) {
                double middle = (x_of(p, from) + x_of(p, to)) / 2;

                put_bar(p, from, to, TOP - 22, lanes_bottom(p) - TOP + 22, i % 2 ? "band1" : "band0");
                if (x_of(p, to) - x_of(p, from) > 50)
                        put_text(p, middle, TOP - 7, "soft middle", "trial %" PRId64, first + i + 1);
        }
}

static void
put_spans(const struct picture *p)
{
        json_t *span;
        size_t i;

        json_array_foreach(p->spans, i, span)
        {
                int64_t actor = field_int(span, "actor");

                if (actor < 0 || actor >= p->actors || is_kind(span, "trial"))
                        continue;
                put_bar(p, field_int(span, "from_ns"), field_int(span, "to_ns"), lane_y(actor) + (LANE - BAR) / 2.0,
                        BAR, is_kind(span, "hold") ? "hold" : "wait");
        }
        for (int64_t actor = 0; actor < p->actors; actor++)
                put_text(p, LEFT - 12, lane_y(actor) + LANE / 2.0 + 5, "end", "actor %" PRId64, actor);
}

/* ── how many hold at once ── */

struct edge {
        int64_t at_ns;
        int by; /* +1: one more holds, -1: one less */
};

static int
compare_edges(const void *a, const void *b)
{
        const struct edge *x = a, *y = b;

        /* Who lets go makes room first. */
        return x->at_ns != y->at_ns ? (x->at_ns < y->at_ns ? -1 : 1) : x->by - y->by;
}

/* Malloc'ed; NULL without memory. */
static struct edge *
collect_edges(const struct picture *p, size_t *ret_n)
{
        struct edge *edges = calloc(json_array_size(p->spans) * 2 + 1, sizeof(*edges));
        json_t *span;
        size_t i, n = 0;

        if (!edges)
                return NULL;
        json_array_foreach(p->spans, i, span)
        {
                int64_t from = MAX(field_int(span, "from_ns"), p->from_ns),
                        to = MIN(field_int(span, "to_ns"), p->to_ns);

                if (!is_kind(span, "hold") || from >= to)
                        continue;
                edges[n++] = (struct edge){from, 1};
                edges[n++] = (struct edge){to, -1};
        }
        qsort(edges, n, sizeof(*edges), compare_edges);
        *ret_n = n;
        return edges;
}

/* Shades the times in which several actors hold the guard, and adds up how long. */
static void
put_overlaps(struct picture *p)
{
        size_t n = 0;
        AUTO_FREE struct edge *edges = collect_edges(p, &n);
        int64_t held = 0, both_from = 0, widest_from = 0, widest_to = 0;

        for (size_t i = 0; edges && i < n; i++) {
                p->held_ns += held > 0 ? edges[i].at_ns - edges[i - 1].at_ns : 0;
                if (held == 2 && edges[i].by < 0) {
                        put_bar(p, both_from, edges[i].at_ns, TOP, lanes_bottom(p) - TOP, "both");
                        p->both_ns += edges[i].at_ns - both_from;
                        if (edges[i].at_ns - both_from > widest_to - widest_from) {
                                widest_from = both_from;
                                widest_to = edges[i].at_ns;
                        }
                }
                held += edges[i].by;
                if (held == 2 && edges[i].by > 0)
                        both_from = edges[i].at_ns;
                p->most = MAX(p->most, held);
        }
        if (x_of(p, widest_to) - x_of(p, widest_from) > BOTH_LABEL_ROOM)
                put_text(p, (x_of(p, widest_from) + x_of(p, widest_to)) / 2, TOP + LANE + 5, "on-both middle",
                         "%s hold %s", p->actors > 2 ? "several" : "both",
                         field_int(p->race, "permits") > 1 ? "a permit" : "it");
}

/* ── around it ── */

/* 1, 2 or 5 times a power of ten, so that there are about TICKS of them. */
static int64_t
tick_step(int64_t ns)
{
        int64_t step = 1;

        for (;;) {
                if (ns / step <= TICKS)
                        return step;
                if (ns / (step * 2) <= TICKS)
                        return step * 2;
                if (ns / (step * 5) <= TICKS)
                        return step * 5;
                step *= 10;
        }
}

static void
put_axis(const struct picture *p)
{
        int64_t step = tick_step(p->to_ns - p->from_ns);
        double y = lanes_bottom(p);
        char a[48];

        fprintf(p->f, "<line class=\"line\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>\n", LEFT, y, LEFT + PLOT, y);
        for (int64_t at = 0; at <= p->to_ns - p->from_ns; at += step) {
                double x = x_of(p, p->from_ns + at);

                fprintf(p->f, "<line class=\"line\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", x, y, x,
                        y + 6);
                put_text(p, MIN(x, LEFT + PLOT - 20.0), y + 22, "soft middle", "%s",
                         at == 0 ? "0" : quantity_format_duration(a, sizeof(a), (double)at));
        }
}

static void
put_legend(const struct picture *p)
{
        static const struct {
                const char *class, *text;
                int columns;
        } rows[] = {{"hold", "holds the guard", 170},
                    {"wait", "waits for it", 140},
                    {"both", "several hold it at once", 210},
                    {"band1", "a trial", 260}};
        double x = LEFT, y = lanes_bottom(p) + 40;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                fprintf(p->f, "<rect x=\"%.1f\" y=\"%.1f\" width=\"24\" height=\"14\" class=\"%s\"/>\n", x, y,
                        rows[i].class);
                put_text(p, x + 32, y + 12, "soft", "%s", rows[i].text);
                x += rows[i].columns;
        }
}

/* Do those who are inside together get into each other's way? Readers do not, nor do those whose steps are
 * indivisible. */
static bool
is_alarm(const struct picture *p)
{
        return p->both_ns > 0 &&
               (field_int(p->race, "permits") > 1 || strcmp(field_text(p->race, "guard"), "none") == 0);
}

/* What there is to be seen. */
static void
format_caption(const struct picture *p, char *buf, size_t size)
{
        double share = p->held_ns > 0 ? 100.0 * (double)p->both_ns / (double)p->held_ns : 0;
        char guard[128];

        race_result_guard(p->race, guard, sizeof(guard));
        if (p->trials == 0 && !p->is_beginning)
                snprintf(buf, size, "No trial was noted: there is nothing to be seen.");
        else if (p->most == 0)
                snprintf(buf, size, "Nobody held the guard (%s) in these trials.", guard);
        else if (p->both_ns == 0)
                snprintf(buf, size,
                         "One at a time: with %s at most one actor is inside at any instant; the others wait until it "
                         "is out.",
                         guard);
        else
                snprintf(buf, size,
                         "Up to %" PRId64 " at once: with %s several actors are inside together (red, %.1f %% of the "
                         "time)%s",
                         p->most, guard, share, is_alarm(p) ? " and can undo each other's steps." : ".");
}

static void
put_caption(const struct picture *p)
{
        char text[512];
        double y = lanes_bottom(p) + 84;

        format_caption(p, text, sizeof(text));
        table_break_lines(text, CAPTION_COLUMNS);
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), y += LINE)
                put_text(p, LEFT, y, is_alarm(p) ? "alarm" : "", "%s", line);
}

static void
put_titles(const struct picture *p)
{
        const json_t *o = json_object_get(p->race, "observation");
        AUTO_FREE char *scenario = race_result_scenario(p->race);
        char actors[128], guard[128], a[48], part[64];

        put_text(p, LEFT, 32, "title", "%s · %s · %s", scenario ? scenario : "",
                 race_result_actors(p->race, actors, sizeof(actors)), race_result_guard(p->race, guard, sizeof(guard)));
        if (p->is_beginning)
                snprintf(part, sizeof(part), "the beginning of the first");
        else
                snprintf(part, sizeof(part), "the first %" PRId64, p->trials);
        put_text(p, LEFT, 56, "soft", "%s of %s trials · Observation %s %s %" PRId64 " %" PRId64, part,
                 text_count(a, sizeof(a), field_int(p->race, "done")), field_text(p->race, "scenario"),
                 field_text(o, "verdict"), field_int(o, "positive"), field_int(o, "negative"));
}

void
timeline_write(FILE *f, const json_t *race)
{
        struct picture p = {.f = f,
                            .race = race,
                            .spans = json_object_get(race, "spans"),
                            .actors = MIN(MAX(field_int(race, "actors"), 1), 1024)};
        double height = lanes_bottom(&p) + BELOW_LANES;

        choose_part(&p);
        fprintf(f,
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                "<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" width=\"%d\" height=\"%.0f\" "
                "viewBox=\"0 0 %d %.0f\">\n<title>",
                TIMELINE_WIDTH, height, TIMELINE_WIDTH, height);
        markup_put(f, field_text(race, "scenario"));
        fputs(": who held the guard, and who waited</title>\n", f);
        put_style(f);
        fprintf(f, "<rect x=\"0\" y=\"0\" width=\"%d\" height=\"%.0f\" class=\"ground\"/>\n", TIMELINE_WIDTH, height);
        put_titles(&p);
        put_bands(&p);
        put_spans(&p);
        put_overlaps(&p);
        put_axis(&p);
        put_legend(&p);
        put_caption(&p);
        fputs("</svg>\n", f);
}
