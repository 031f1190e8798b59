/* SPDX-License-Identifier: MIT */
/*
 * The format: "Trace Event Format" (Google, 2016), as Perfetto imports it. Its pid is the number of the variant,
 * from 1. Its tid is THREADS_EACH × pid + worker: numbers of threads are unique over all processes, and 0 is the
 * idle thread.
 */
#include "ctl/trace-export.h"

#include "ctl/field.h"
#include "ctl/spans.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>

#define THREADS_EACH 10000

struct trace {
        FILE *f;
        size_t room;    /* for spans */
        size_t lanes;   /* of which none was written yet */
        size_t dropped; /* there was no room */
        int64_t lost;   /* the daemon had no room */
        bool is_begun;
};

static void
put_separator(struct trace *t)
{
        fputs(t->is_begun ? ",\n" : "\n", t->f);
        t->is_begun = true;
}

/* Takes the object over. 0 or -ENOMEM. */
static int
put_object(struct trace *t, json_t *object)
{
        AUTO_JSON json_t *owned = object;

        if (!owned)
                return -ENOMEM;
        put_separator(t);
        json_dumpf(owned, t->f, JSON_COMPACT);
        return 0;
}

/* What Perfetto calls a process or thread, and where it stands. */
static int
put_names(struct trace *t, const char *what, size_t pid, int64_t tid, const char *name, int64_t index)
{
        char named[32], sorted[32];
        int r;

        snprintf(named, sizeof(named), "%s_name", what);
        snprintf(sorted, sizeof(sorted), "%s_sort_index", what);
        r = put_object(t, json_pack("{s:s, s:s, s:I, s:I, s:{s:s}}", "ph", "M", "name", named, "pid", (json_int_t)pid,
                                    "tid", (json_int_t)tid, "args", "name", name));
        if (r < 0)
                return r;
        return put_object(t,
                          json_pack("{s:s, s:s, s:I, s:I, s:{s:I}}", "ph", "M", "name", sorted, "pid", (json_int_t)pid,
                                    "tid", (json_int_t)tid, "args", "sort_index", (json_int_t)index));
}

static void
put_us(FILE *f, const char *key, int64_t ns)
{
        fprintf(f, ",\"%s\":%" PRId64 ".%03d", key, ns / 1000, (int)(ns % 1000));
}

static void
put_span(struct trace *t, size_t pid, int64_t tid, const struct span *span)
{
        static const char *const names[] = {
                [SPAN_RUN] = "run", [SPAN_BLOCKED] = "blocked", [SPAN_LOCK] = "wait for the interpreter lock"};

        put_separator(t);
        fprintf(t->f, "{\"ph\":\"X\",\"name\":\"%s\",\"cat\":\"%s\",\"pid\":%zu,\"tid\":%" PRId64, names[span->kind],
                span_kind_name(span->kind), pid, tid);
        put_us(t->f, "ts", span->from_ns);
        put_us(t->f, "dur", span->to_ns - span->from_ns);
        fprintf(t->f, ",\"args\":{\"task\":%" PRId64 ",\"tasks\":%" PRId64 "}}", span->task, span->tasks);
}

/* One track: as many spans as is its share of the room. */
static int
put_worker(struct trace *t, size_t pid, const struct spans *spans, int64_t worker)
{
        int64_t tid = (int64_t)pid * THREADS_EACH + worker;
        size_t n, n_nested = 0, share = t->room / t->lanes;
        const struct span *own = spans_of(spans, worker, &n);
        AUTO_FREE struct span *nested = spans_nest(own, n, &n_nested);
        char name[32];
        int r;

        if (!nested)
                return -ENOMEM;
        snprintf(name, sizeof(name), "worker %" PRId64, worker);
        r = put_names(t, "thread", pid, tid, name, worker);
        if (r < 0)
                return r;
        share = MIN(share, n_nested);
        for (size_t i = 0; i < share; i++)
                put_span(t, pid, tid, &nested[i]);
        t->room -= share;
        t->dropped += n_nested - share;
        t->lanes--;
        return 0;
}

static int
put_variant(struct trace *t, size_t pid, const json_t *variant)
{
        AUTO_SPANS struct spans spans = {NULL};
        int r = spans_init(&spans, variant);

        if (r >= 0)
                r = put_names(t, "process", pid, (int64_t)pid * THREADS_EACH, field_text(variant, "name"),
                              (int64_t)pid);
        for (int64_t worker = 0; r >= 0 && worker < spans.workers; worker++)
                r = put_worker(t, pid, &spans, worker);
        t->lost += field_int(variant, "spans_dropped");
        return r;
}

/* 0 or -ENOMEM. */
static int
count_lanes(struct trace *t, const json_t *variants)
{
        json_t *variant;
        size_t i;

        json_array_foreach(variants, i, variant)
        {
                AUTO_SPANS struct spans spans = {NULL};
                int r = spans_init(&spans, variant);

                if (r < 0)
                        return r;
                t->lanes += (size_t)spans.workers;
        }
        return 0;
}

/* Where it comes from. */
static int
put_other_data(const struct trace *t, const json_t *compare)
{
        const json_t *environment = json_object_get(compare, "environment");
        AUTO_JSON json_t *other =
                json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:b, s:I, s:I}", "program", "concctl compare", "concd",
                          field_text(environment, "concd"), "kernel", field_text(environment, "kernel"), "id",
                          field_text(compare, "id"), "state", field_text(compare, "state"), "seed",
                          (json_int_t)field_int(compare, "seed"), "partial", field_bool(compare, "partial"), "dropped",
                          (json_int_t)t->dropped, "dropped_by_daemon", (json_int_t)t->lost);

        if (!other)
                return -ENOMEM;
        json_dumpf(other, t->f, JSON_COMPACT);
        return 0;
}

int
trace_export_write(FILE *f, const json_t *compare)
{
        struct trace t = {.f = f, .room = TRACE_SPANS_MAX};
        const json_t *variants = json_object_get(compare, "variants");
        json_t *variant;
        size_t i;
        int r = count_lanes(&t, variants);

        fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[", f);
        json_array_foreach(variants, i, variant)
        {
                if (r >= 0)
                        r = put_variant(&t, i + 1, variant);
        }
        fputs("\n],\"otherData\":", f);
        if (r >= 0)
                r = put_other_data(&t, compare);
        fputs("}\n", f);
        return r;
}
