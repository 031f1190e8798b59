/* SPDX-License-Identifier: MIT */
#include "ctl/spans.h"

#include "ctl/field.h"

#include <errno.h>
#include <string.h>

static const char *const kind_names[] = {[SPAN_RUN] = "run", [SPAN_BLOCKED] = "blocked", [SPAN_LOCK] = "lock"};

const char *
span_kind_name(enum span_kind kind)
{
        return kind_names[kind];
}

/* ── taking them over ── */

static int
compare_spans(const void *a, const void *b)
{
        const struct span *x = a, *y = b;

        if (x->worker != y->worker)
                return x->worker < y->worker ? -1 : 1;
        if (x->from_ns != y->from_ns)
                return x->from_ns < y->from_ns ? -1 : 1;
        if (x->to_ns != y->to_ns)
                return x->to_ns > y->to_ns ? -1 : 1;
        return (int)x->kind - (int)y->kind;
}

static enum span_kind
kind_of(const json_t *span)
{
        const char *name = field_text(span, "kind");
        unsigned kind = 0;

        while (kind < SPAN_KINDS && strcmp(name, kind_names[kind]) != 0)
                kind++;
        return kind;
}

int
spans_init(struct spans *spans, const json_t *variant)
{
        const json_t *array = json_object_get(variant, "spans");
        json_t *each;
        size_t i;

        *spans = (struct spans){.workers = MIN(MAX(field_int(variant, "workers"), 0), SPANS_WORKERS_MAX)};
        spans->all = calloc(json_array_size(array) + 1, sizeof(*spans->all));
        if (!spans->all)
                return -ENOMEM;
        json_array_foreach(array, i, each)
        {
                struct span span = {
                        MAX(field_int(each, "from_ns"), 0), field_int(each, "to_ns"),  field_int(each, "task"),
                        field_int(each, "tasks"),           field_int(each, "worker"), kind_of(each)};

                if (span.kind == SPAN_KINDS || span.from_ns >= span.to_ns || span.worker < 0 ||
                    span.worker >= SPANS_WORKERS_MAX)
                        continue;
                spans->all[spans->n++] = span;
                spans->workers = MAX(spans->workers, span.worker + 1);
                spans->end_ns = MAX(spans->end_ns, span.to_ns);
        }
        qsort(spans->all, spans->n, sizeof(*spans->all), compare_spans);
        return 0;
}

void
spans_deinit(struct spans *spans)
{
        free(spans->all);
        spans->all = NULL;
}

const struct span *
spans_of(const struct spans *spans, int64_t worker, size_t *ret_n)
{
        size_t low = 0, high = spans->n, end;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (spans->all[middle].worker < worker)
                        low = middle + 1;
                else
                        high = middle;
        }
        for (end = low; end < spans->n && spans->all[end].worker == worker; end++)
                ;
        *ret_n = end - low;
        return spans->all + low;
}

/* ── one thing at a time ── */

struct edge {
        int64_t at_ns;
        const struct span *span;
        int by; /* +1: it begins, -1: it ends */
};

static int
compare_edges(const void *a, const void *b)
{
        const struct edge *x = a, *y = b;

        if (x->at_ns != y->at_ns)
                return x->at_ns < y->at_ns ? -1 : 1;
        return x->by - y->by;
}

static struct edge *
edges_of(const struct span *in, size_t n)
{
        struct edge *edges = calloc(2 * n + 1, sizeof(*edges));

        for (size_t i = 0; edges && i < n; i++) {
                edges[2 * i] = (struct edge){in[i].from_ns, &in[i], 1};
                edges[2 * i + 1] = (struct edge){in[i].to_ns, &in[i], -1};
        }
        if (edges)
                qsort(edges, 2 * n, sizeof(*edges), compare_edges);
        return edges;
}

/* Adds a piece of `of` behind the last one, or makes the last one longer. */
static size_t
append_piece(struct span *out, size_t n, const struct span *of, int64_t from, int64_t to)
{
        struct span *last = n > 0 ? &out[n - 1] : NULL;

        if (last && last->kind == of->kind && last->to_ns == from) {
                last->to_ns = to;
                last->tasks += of->task >= last->task + last->tasks ? of->tasks : 0;
                return n;
        }
        out[n] = *of;
        out[n].from_ns = from;
        out[n].to_ns = to;
        return n + 1;
}

struct span *
spans_flatten(const struct span *in, size_t n, size_t *ret_n)
{
        AUTO_FREE struct edge *edges = edges_of(in, n);
        struct span *out = calloc(2 * n + 1, sizeof(*out));
        const struct span *latest[SPAN_KINDS] = {NULL};
        int open[SPAN_KINDS] = {0};

        *ret_n = 0;
        if (!edges || !out) {
                free(out);
                return NULL;
        }
        for (size_t i = 0; i < 2 * n; i++) {
                int kind = SPAN_KINDS - 1;

                while (kind >= 0 && open[kind] == 0)
                        kind--;
                if (kind >= 0 && edges[i].at_ns > edges[i - 1].at_ns)
                        *ret_n = append_piece(out, *ret_n, latest[kind], edges[i - 1].at_ns, edges[i].at_ns);
                open[edges[i].span->kind] += edges[i].by;
                if (edges[i].by > 0)
                        latest[edges[i].span->kind] = edges[i].span;
        }
        return out;
}

/* ── within each other ── */

/* The runs, each one without what the ones before it cover. Returns how many. */
static size_t
take_runs(const struct span *in, size_t n, struct span *out)
{
        int64_t until = 0;
        size_t taken = 0;

        for (size_t i = 0; i < n; i++) {
                if (in[i].kind != SPAN_RUN || in[i].to_ns <= until)
                        continue;
                out[taken] = in[i];
                out[taken].from_ns = MAX(in[i].from_ns, until);
                until = out[taken++].to_ns;
        }
        return taken;
}

/* The waits, flattened. NULL without memory. */
static struct span *
take_waits(const struct span *in, size_t n, size_t *ret_n)
{
        AUTO_FREE struct span *waits = calloc(n + 1, sizeof(*waits));
        size_t taken = 0;

        for (size_t i = 0; waits && i < n; i++)
                if (in[i].kind != SPAN_RUN)
                        waits[taken++] = in[i];
        return waits ? spans_flatten(waits, taken, ret_n) : NULL;
}

/* Up to where a wait goes that begins at from, before a run begins or ends. *run: the first one that ends later. */
static int64_t
uncut_until(const struct span *runs, size_t n, size_t *run, int64_t from, int64_t to)
{
        while (*run < n && runs[*run].to_ns <= from)
                (*run)++;
        if (*run == n)
                return to;
        return MIN(to, runs[*run].from_ns > from ? runs[*run].from_ns : runs[*run].to_ns);
}

struct span *
spans_nest(const struct span *in, size_t n, size_t *ret_n)
{
        AUTO_FREE struct span *runs = calloc(n + 1, sizeof(*runs)), *waits = NULL;
        size_t n_runs = runs ? take_runs(in, n, runs) : 0, n_waits = 0, run = 0, out_n;
        struct span *out;

        waits = take_waits(in, n, &n_waits);
        /* Each beginning and each end of a run cuts at most one wait in two. */
        out = calloc(n_waits + 3 * n_runs + 1, sizeof(*out));
        if (!runs || !waits || !out) {
                free(out);
                return NULL;
        }
        memcpy(out, runs, n_runs * sizeof(*runs));
        out_n = n_runs;
        for (size_t i = 0; i < n_waits; i++) {
                for (int64_t from = waits[i].from_ns; from < waits[i].to_ns; from = out[out_n++].to_ns) {
                        out[out_n] = waits[i];
                        out[out_n].from_ns = from;
                        out[out_n].to_ns = uncut_until(runs, n_runs, &run, from, waits[i].to_ns);
                }
        }
        qsort(out, out_n, sizeof(*out), compare_spans);
        *ret_n = out_n;
        return out;
}
