/* SPDX-License-Identifier: MIT */
/*
 * A comparison while it runs: what its steps yield, and which step comes next. The rounds themselves are kept in the
 * segment (segment/compare.h) and survive the supervisor; the evidence and the pictures are the process's own, so that
 * a comparison that was taken over has the evidence of the rounds since then.
 */
#ifndef CONCD_COMPARE_RUN_H
#define CONCD_COMPARE_RUN_H

#include "supervisor/figures.h"

#include <stdbool.h>

/* Most spans that are kept: of one variant, and of all together. */
#define COMPARE_SPANS_MAX    4096
#define COMPARE_SPANS_OF_ALL 8192

struct compare_span {
        uint32_t worker;
        struct trace_span span; /* from_ns, to_ns: since the start barrier */
};

/* Sums over the complete rounds of one variant. */
struct compare_evidence {
        uint32_t rounds; /* that are in it */
        uint64_t chunk, wall_ns, tasks;
        struct worker_figures *workers;
        struct totals totals;
        struct compare_span *spans; /* NULL: none */
        uint32_t n_spans, spans_dropped;
};

struct comparison {
        struct compare_evidence *evidence; /* one a variant */
        struct figures **pending;          /* one a variant: of the round that is not complete, or NULL */
        uint32_t n_variants;
        uint32_t next_look; /* rounds at which the precision is looked at again */
        double load_before, mhz_before;
        uint64_t clock_overhead_ns;
};

/* NULL when out of memory. */
struct comparison *comparison_new(const struct plan *plan);
void comparison_free(struct comparison *c);

/* Nothing is measured yet. */
void comparison_begin(const struct segment *s);

/* How many rounds of variant v are measured, and how many are complete. */
uint32_t comparison_rounds_of(const struct segment *s, const struct plan *plan, uint32_t v);
uint32_t comparison_rounds(const struct segment *s, const struct plan *plan);

/* The record of one round of one variant. */
static inline struct compare_record *
comparison_record(const struct segment *s, const struct plan *plan, uint32_t v, uint32_t round)
{
        return &s->compare->record[round * plan->n_variants + v];
}

/* Time per task in seconds, of each of the first n rounds of variant v. False when there is none: a round had no
 * task. */
bool comparison_times(const struct segment *s, const struct plan *plan, uint32_t v, uint32_t n, double *ret);

/* Takes what a measured or a traced step yielded, once it is complete; f is taken over. 0 or -ENOMEM. */
int comparison_take(struct comparison *c, const struct segment *s, const struct plan *plan, uint32_t step,
                    struct figures *f);

/* The step after `step`, plan->n_steps for none: that of the plan, unless the precision was reached. */
uint32_t comparison_next(struct comparison *c, const struct segment *s, const struct plan *plan, uint32_t step);

/* Is every ratio to the reference known as well as was asked for? */
bool comparison_is_precise(const struct segment *s, const struct plan *plan);

/* Spans that are closer than that are joined in a traced step of variant v. */
uint64_t comparison_join_ns(const struct segment *s, const struct plan *plan, uint32_t v);

/* Is what an earlier supervisor left of it within its bounds? */
bool comparison_is_sound(const struct segment *s, const struct plan *plan);

/* All failed tasks of the measured rounds, and all tasks. */
uint64_t comparison_failed(const struct segment *s, const struct plan *plan, uint64_t *ret_done);

#endif
