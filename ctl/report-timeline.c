/* SPDX-License-Identifier: MIT */
/*
 * The timelines of a report: one row for each worker, in which the height of the bar tells what it did, beside the
 * colour: full for running, lower for blocked and for the lock, and a thin line for idle.
 *
 * What is drawn is bounded. Spans of one kind with less than a pixel between them are joined. Where a worker still
 * has more than its room, its row becomes columns whose parts are the shares of each kind in that time; the
 * beginning of the alternation is then drawn again, enlarged.
 */
#include "ctl/field.h"
#include "ctl/report-part.h"
#include "ctl/spans.h"
#include "ctl/svg.h"
#include "ctl/text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define LANE         34
#define BAR          24
#define TOP          6
#define PIECES_MOST  400   /* of a row */
#define PIECES_LEAST 45    /* however many rows there are */
#define PIECES_ALL   24000 /* of all rows together */
#define COLUMN_PARTS 3     /* pieces that a column can take */
#define STEPS        24    /* heights that a share can have */
#define PIXELS       1600
#define LANES_MOST   64  /* of a variant */
#define ZOOM_FROM    120 /* pieces: with more in a row it is enlarged, too */
#define ZOOM_PIECES  40
#define SAME_AXIS    25 /* times the shortest variant is the longest one, and still they share an axis */

struct lane {
        struct span *pieces; /* flattened, of the whole round */
        size_t n;
        int64_t end_ns; /* until when it is known what the worker did */
};

struct band {
        const char *class, *text;
        double height; /* of BAR */
};

static const struct band bands[SPAN_KINDS] = {
        [SPAN_RUN] = {"k-run", "running", 1},
        [SPAN_BLOCKED] = {"k-blocked", "blocked", 0.36},
        [SPAN_LOCK] = {"k-lock", "waiting for the lock", 0.62},
};

/* ── pieces ── */

/* What of the pieces lies in [from, to), joined where less than `gap` lies between two of a kind. NULL without
 * memory. */
static struct span *
cut_out(const struct lane *lane, int64_t from, int64_t to, int64_t gap, size_t *ret_n)
{
        struct span *out = calloc(lane->n + 1, sizeof(*out));
        size_t n = 0;

        for (size_t i = 0; out && i < lane->n; i++) {
                struct span piece = lane->pieces[i];

                piece.from_ns = MAX(piece.from_ns, from);
                piece.to_ns = MIN(piece.to_ns, to);
                if (piece.from_ns >= piece.to_ns)
                        continue;
                if (n > 0 && out[n - 1].kind == piece.kind && piece.from_ns - out[n - 1].to_ns <= gap)
                        out[n - 1].to_ns = piece.to_ns;
                else
                        out[n++] = piece;
        }
        *ret_n = n;
        return out;
}

static void
put_path_begin(const struct report *r, enum span_kind kind)
{
        fprintf(r->f, "<path class=\"%s\" d=\"", bands[kind].class);
}

static void
put_path_end(const struct report *r, const struct lane *lane, int64_t worker, enum span_kind kind)
{
        double sum = 0;

        for (size_t i = 0; i < lane->n; i++)
                if (lane->pieces[i].kind == kind)
                        sum += (double)(lane->pieces[i].to_ns - lane->pieces[i].from_ns);
        fputs("\">", r->f);
        svg_title(r->f, "worker %" PRId64 ": %s for %.1f %% of the round", worker, bands[kind].text,
                  lane->end_ns > 0 ? 100 * sum / (double)lane->end_ns : 0);
        fputs("</path>\n", r->f);
}

/* Coordinates are rounded at both ends, so that what does not overlap in time does not in the picture. */
static void
put_rect(FILE *f, double from, double to, double y, double height)
{
        double x = round(from * 10) / 10, width = round(to * 10) / 10 - x;

        if (width >= 0.05 && height >= 0.05)
                fprintf(f, "M%.1f %.1fh%.1fv%.1fh-%.1fz", x, y, width, height, width);
}

static bool
has_kind(const struct span *pieces, size_t n, enum span_kind kind)
{
        for (size_t i = 0; i < n; i++)
                if (pieces[i].kind == kind)
                        return true;
        return false;
}

static void
put_pieces(const struct report *r, const struct lane *lane, int64_t worker, const struct axis *axis, double y,
           const struct span *pieces, size_t n)
{
        for (enum span_kind kind = 0; kind < SPAN_KINDS; kind++) {
                double height = BAR * bands[kind].height;

                if (!has_kind(pieces, n, kind))
                        continue;
                put_path_begin(r, kind);
                for (size_t i = 0; i < n; i++)
                        if (pieces[i].kind == kind)
                                put_rect(r->f, axis_at(axis, (double)pieces[i].from_ns),
                                         axis_at(axis, (double)pieces[i].to_ns), y + (BAR - height) / 2, height);
                put_path_end(r, lane, worker, kind);
        }
}

/* ── columns ── */

/* shares[column][kind]: the part of the column's time. */
static void
add_up_columns(const struct axis *axis, const struct span *pieces, size_t n, double (*shares)[SPAN_KINDS],
               size_t columns)
{
        double width = (axis->high - axis->low) / (double)columns;

        for (size_t i = 0; i < n; i++) {
                double from = ((double)pieces[i].from_ns - axis->low) / width,
                       to = ((double)pieces[i].to_ns - axis->low) / width;

                for (size_t c = (size_t)fmax(from, 0); c < columns && (double)c < to; c++)
                        shares[c][pieces[i].kind] += fmin(to, (double)c + 1) - fmax(from, (double)c);
        }
}

/* How high a kind's part of a column ends, from below, in whole steps. */
static int
steps_up_to(const double share[SPAN_KINDS], int kind)
{
        double sum = 0;

        for (int k = 0; k <= kind; k++)
                sum += share[k];
        return (int)lround(fmin(sum, 1) * STEPS);
}

static void
put_column_kind(const struct report *r, const struct axis *axis, double y, double (*shares)[SPAN_KINDS], size_t columns,
                enum span_kind kind)
{
        double width = (axis->to - axis->from) / (double)columns, step = (double)BAR / STEPS;

        for (size_t c = 0, next; c < columns; c = next) {
                int low = kind > 0 ? steps_up_to(shares[c], (int)kind - 1) : 0,
                    high = steps_up_to(shares[c], (int)kind);

                for (next = c + 1; next < columns; next++)
                        if (high != steps_up_to(shares[next], (int)kind) ||
                            low != (kind > 0 ? steps_up_to(shares[next], (int)kind - 1) : 0))
                                break;
                if (high > low)
                        put_rect(r->f, axis->from + (double)c * width, axis->from + (double)next * width,
                                 y + BAR - high * step, (high - low) * step);
        }
}

/* 0 or -ENOMEM. */
static int
put_columns(const struct report *r, const struct lane *lane, int64_t worker, const struct axis *axis, double y,
            const struct span *pieces, size_t n, size_t columns)
{
        AUTO_FREE double(*shares)[SPAN_KINDS] = calloc(columns, sizeof(*shares));

        if (!shares)
                return -ENOMEM;
        add_up_columns(axis, pieces, n, shares, columns);
        for (enum span_kind kind = 0; kind < SPAN_KINDS; kind++) {
                if (!has_kind(pieces, n, kind))
                        continue;
                put_path_begin(r, kind);
                put_column_kind(r, axis, y, shares, columns, kind);
                put_path_end(r, lane, worker, kind);
        }
        return 0;
}

/* ── one picture ── */

struct picture {
        const json_t *variant;
        struct lane *lanes;
        size_t n; /* lanes */
        struct axis axis;
        size_t room; /* pieces for a row */
        bool has_columns;
        size_t most; /* pieces in a row, joined */
};

/* 0 or -ENOMEM. */
static int
put_lane(const struct report *r, struct picture *p, size_t i)
{
        const struct lane *lane = &p->lanes[i];
        int64_t from = (int64_t)p->axis.low, to = (int64_t)p->axis.high;
        double y = TOP + (double)i * LANE + (LANE - BAR) / 2.0, end = axis_at(&p->axis, (double)lane->end_ns);
        size_t n = 0;
        AUTO_FREE struct span *pieces = cut_out(lane, from, to, (to - from) / PIXELS, &n);

        if (!pieces)
                return -ENOMEM;
        svg_text(r->f, PICTURE_LEFT - 6, y + BAR - 6, "soft end", "#%zu", i);
        if (end > p->axis.from)
                svg_rect(r->f, p->axis.from, y + BAR / 2.0 - 2, end - p->axis.from, 4, "k-idle", "worker %zu: idle", i);
        p->most = MAX(p->most, n);
        if (n <= p->room) {
                put_pieces(r, lane, (int64_t)i, &p->axis, y, pieces, n);
                return 0;
        }
        p->has_columns = true;
        return put_columns(r, lane, (int64_t)i, &p->axis, y, pieces, n, p->room / COLUMN_PARTS);
}

/* 0 or -ENOMEM. */
static int
put_picture(const struct report *r, struct picture *p, const char *what)
{
        double bottom = TOP + (double)p->n * LANE;
        int error = 0;

        svg_begin(r->f, PICTURE_WIDTH, bottom + 34, "%s: what each worker did over time%s",
                  field_text(p->variant, "name"), what);
        axis_draw(r->f, &p->axis, bottom, TOP, report_axis_ns);
        for (size_t i = 0; error == 0 && i < p->n; i++)
                error = put_lane(r, p, i);
        svg_end(r->f);
        return error;
}

/* ── enlarged ── */

/* The part in which the workers begin to take turns: from the first wait on, until a worker has done ZOOM_PIECES
 * things. False: nobody waits. */
static bool
choose_zoom(const struct picture *p, int64_t *ret_from, int64_t *ret_to)
{
        int64_t from = INT64_MAX, to = INT64_MAX;

        for (size_t i = 0; i < p->n; i++)
                for (size_t k = 0; k < p->lanes[i].n; k++)
                        if (p->lanes[i].pieces[k].kind != SPAN_RUN) {
                                from = MIN(from, p->lanes[i].pieces[k].from_ns);
                                break;
                        }
        for (size_t i = 0; i < p->n && from < INT64_MAX; i++) {
                size_t k = 0;

                while (k < p->lanes[i].n && p->lanes[i].pieces[k].to_ns <= from)
                        k++;
                if (k + ZOOM_PIECES < p->lanes[i].n)
                        to = MIN(to, p->lanes[i].pieces[k + ZOOM_PIECES].to_ns);
        }
        *ret_from = from;
        *ret_to = to;
        return from < to && to < INT64_MAX;
}

/* 0 or -ENOMEM. */
static int
put_zoom(const struct report *r, const struct picture *whole)
{
        struct picture p = *whole;
        int64_t from, to;
        char a[64], b[64];
        int error;

        if (whole->most <= ZOOM_FROM || !choose_zoom(whole, &from, &to))
                return 0;
        p.axis.low = (double)from;
        p.axis.high = (double)to;
        fputs("<figure class=\"zoom\">\n", r->f);
        error = put_picture(r, &p, ", enlarged");
        fputs("<figcaption>", r->f);
        fprintf(r->f, "Enlarged: %s from %s on", report_axis_ns(a, sizeof(a), p.axis.high - p.axis.low),
                from == 0 ? "the start" : report_axis_ns(b, sizeof(b), p.axis.low));
        fputs(".</figcaption>\n</figure>\n", r->f);
        return error;
}

/* ── one variant ── */

static int
fill_lanes(const struct spans *spans, const json_t *variant, struct picture *p)
{
        bool is_cut = field_int(variant, "spans_dropped") > 0;

        for (size_t i = 0; i < p->n; i++) {
                size_t n;
                const struct span *own = spans_of(spans, (int64_t)i, &n);
                struct lane *lane = &p->lanes[i];

                lane->pieces = spans_flatten(own, n, &lane->n);
                if (!lane->pieces)
                        return -ENOMEM;
                lane->end_ns = spans->end_ns;
                if (is_cut)
                        lane->end_ns = lane->n > 0 ? lane->pieces[lane->n - 1].to_ns : 0;
        }
        return 0;
}

static void
put_caption(const struct report *r, const struct picture *p, const struct spans *spans)
{
        int64_t dropped = field_int(p->variant, "spans_dropped");
        char text[64];

        if (spans->workers > (int64_t)p->n)
                report_note(r, "soft", "The first %zu of %" PRId64 " workers.", p->n, spans->workers);
        if (p->has_columns)
                report_note(
                        r, "soft",
                        "The turns are too short to be drawn one by one: each column shows, from below, the shares of "
                        "running, blocked and waiting for the lock.");
        if (dropped > 0)
                report_note(r, "soft", "There was no room for %s more; rows end where it was full.",
                            text_plural(text, sizeof(text), dropped, "span"));
}

static int
put_lanes(const struct report *r, struct picture *p, const struct spans *spans)
{
        int error = fill_lanes(spans, p->variant, p);

        if (error < 0)
                return error;
        fputs("<figure>\n", r->f);
        error = put_picture(r, p, "");
        fputs("</figure>\n", r->f);
        put_caption(r, p, spans);
        return error < 0 ? error : put_zoom(r, p);
}

/* end_ns: of the axis, or 0 for that of the variant. */
static int
put_variant(const struct report *r, const json_t *variant, double end_ns, size_t room)
{
        AUTO_SPANS struct spans spans = {NULL};
        struct picture p = {.variant = variant, .room = room};
        int error = spans_init(&spans, variant);

        if (error < 0)
                return error;
        fputs("<article class=\"variant\">\n", r->f);
        report_part_heading(r, field_text(variant, "name"));
        if (spans.n == 0) {
                report_note(r, "soft", "%s",
                            field_bool(r->compare, "partial")
                                    ? "No timeline: the round for it comes last, and the comparison ended before."
                                    : "No timeline: the daemon noted no spans of this variant.");
                fputs("</article>\n", r->f);
                return 0;
        }
        p.n = (size_t)MIN(spans.workers, LANES_MOST);
        p.axis = (struct axis){0, end_ns > 0 ? end_ns : (double)spans.end_ns, PICTURE_LEFT, PICTURE_RIGHT, false};
        p.lanes = calloc(p.n + 1, sizeof(*p.lanes));
        error = p.lanes ? put_lanes(r, &p, &spans) : -ENOMEM;
        for (size_t i = 0; p.lanes && i < p.n; i++)
                free(p.lanes[i].pieces);
        free(p.lanes);
        fputs("</article>\n", r->f);
        return error;
}

/* ── all of them ── */

static void
put_legend(const struct report *r)
{
        fputs("<ul class=\"legend\">", r->f);
        for (size_t i = 0; i <= SPAN_KINDS; i++) {
                double height = i < SPAN_KINDS ? 14 * bands[i].height : 3;

                fprintf(r->f,
                        "<li><svg viewBox=\"0 0 26 14\" aria-hidden=\"true\"><rect x=\"0\" y=\"%.1f\" width=\"26\" "
                        "height=\"%.1f\" class=\"%s\"/></svg>%s</li>",
                        (14 - height) / 2, height, i < SPAN_KINDS ? bands[i].class : "k-idle",
                        i < SPAN_KINDS ? bands[i].text : "idle");
        }
        fputs("</ul>\n", r->f);
}

/* The end of the axis that all share, or 0 when they are too different; and how many rows there are. */
static int
measure(const struct report *r, double *ret_end_ns, size_t *ret_lanes)
{
        double shortest = INFINITY, longest = 0;
        json_t *variant;
        size_t i, lanes = 0;

        json_array_foreach(r->variants, i, variant)
        {
                AUTO_SPANS struct spans spans = {NULL};
                int error = spans_init(&spans, variant);

                if (error < 0)
                        return error;
                if (spans.n == 0)
                        continue;
                lanes += (size_t)MIN(spans.workers, LANES_MOST);
                shortest = fmin(shortest, (double)spans.end_ns);
                longest = fmax(longest, (double)spans.end_ns);
        }
        *ret_lanes = lanes;
        *ret_end_ns = longest / shortest <= SAME_AXIS ? longest : 0;
        return 0;
}

int
report_put_timeline(const struct report *r)
{
        double end_ns = 0;
        json_t *variant;
        size_t i, lanes = 0, room;
        int error = measure(r, &end_ns, &lanes);

        report_section(r, "timeline", "What each worker did",
                       lanes == 0 ? "No timeline: %s" : "One more round of each variant, noted and not measured. %s",
                       lanes == 0 && !field_bool(r->compare, "partial")
                               ? "the daemon noted no spans, because none were asked for."
                       : lanes == 0     ? "the round for it comes last, and the comparison ended before."
                       : !(end_ns > 0)  ? "Each on a time axis of its own: they differ too much for one."
                       : r->is_per_task ? "All on one time axis, but each with a number of tasks of its own."
                                        : "All on one time axis: what ends further left was faster.");
        if (lanes > 0)
                put_legend(r);
        room = MIN(PIECES_MOST, MAX(PIECES_LEAST, PIECES_ALL / MAX(lanes, 1)));
        json_array_foreach(r->variants, i, variant)
        {
                if (error == 0 && lanes > 0)
                        error = put_variant(r, variant, end_ns, room);
        }
        report_end(r);
        return error;
}
