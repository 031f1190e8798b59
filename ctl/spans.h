/* SPDX-License-Identifier: MIT */
/*
 * What the workers of one variant did over time: its TaskSpans, in an order that can be worked with. Pure.
 *
 * As they come, spans lie within each other: a wait within the run of a task. For the picture they are flattened, for a
 * trace they are nested.
 */
#ifndef CONCCTL_SPANS_H
#define CONCCTL_SPANS_H

#include "shared/base.h"

/* In order of precedence: of several at one instant the last one is what the worker did. */
enum span_kind { SPAN_RUN, SPAN_BLOCKED, SPAN_LOCK, SPAN_KINDS };

/* Workers beyond are left out. */
#define SPANS_WORKERS_MAX 4096

struct span {
        int64_t from_ns, to_ns; /* since the start barrier; from < to */
        int64_t task, tasks;    /* the first one, and how many were joined */
        int64_t worker;
        enum span_kind kind;
};

struct spans {
        struct span *all; /* by worker, then by start; of those that start together the longest first */
        size_t n;
        int64_t workers; /* of the variant, and all that have a span */
        int64_t end_ns;  /* of the last one */
};

/* As TaskSpan calls it. */
const char *span_kind_name(enum span_kind kind);

/* Takes the spans out of a CompareVariant; those that are empty or of an unknown kind are left out. 0 or -ENOMEM. The
 * caller owns the result: spans_deinit(). */
int spans_init(struct spans *spans, const json_t *variant);
void spans_deinit(struct spans *spans);

/* Those of one worker, within `spans`. */
const struct span *spans_of(const struct spans *spans, int64_t worker, size_t *ret_n);

/* One thing at a time: disjoint spans in order; neighbours of one kind are joined. Malloc'ed; NULL without memory. */
struct span *spans_flatten(const struct span *in, size_t n, size_t *ret_n);

/* Properly nested: runs do not overlap, and each wait lies within one run or outside of all; what does not is cut. By
 * start, the outer one first. Malloc'ed; NULL without memory. */
struct span *spans_nest(const struct span *in, size_t n, size_t *ret_n);

#define AUTO_SPANS __attribute__((cleanup(spans_deinit)))

#endif
