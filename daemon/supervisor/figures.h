/* SPDX-License-Identifier: MIT */
/* What one run yielded, taken out of the segment, and its form in the protocol. */
#ifndef CONCD_FIGURES_H
#define CONCD_FIGURES_H

#include "segment/ledger.h"
#include "segment/segment.h"
#include "supervisor/plan.h"

#include <stdbool.h>

/* Of one seat; a copy without the histogram, which is in the totals. */
struct worker_figures {
        uint32_t slot, restarts;
        enum worker_kind kind;
        int32_t pid, tid;
        uint64_t tasks, lock_wait_ns, lock_switches, blocked_ns;
        struct evidence evidence;
};

struct figures {
        struct ledger_sum sum;
        uint64_t wall_ns;
        uint64_t chunk, chunks;
        uint64_t restarts, reexecuted;
        uint32_t resumed; /* within this run: its times are worth nothing then */
        uint64_t clock_overhead_ns;
        double steal_s;
        bool cpu_complete;
        uint32_t n_failures, n_workers;
        struct failure failures[FAILURES_MAX];
        struct totals totals;
        struct worker_figures *workers;
};

/* Reads the run that has ended. Nobody may be on a seat any more. 0 or -ENOMEM; on success figures_free(). */
int figures_collect(const struct segment *s, struct figures **ret);
void figures_free(struct figures *f);

/* How a job came to its end, for its result. */
struct result_context {
        const char *id, *state, *reason;
        uint32_t resumed; /* supervisors that took the job over */
        double quota_cpus;
};

/* Parts of results: WorkerDetail[], Latency (or null), and the parameters of the variant's workload. */
json_t *figures_workers_to_json(const struct worker_figures *workers, uint32_t n);
json_t *figures_latency_to_json(const struct totals *totals, uint64_t clock_overhead_ns);
json_t *figures_params_to_json(const struct variant *v);

/* RunResult of the IDL; NULL when out of memory. */
json_t *figures_to_result(const struct figures *f, const struct variant *v, const struct result_context *context);

/* Adds up a moment's view of the running one. */
void figures_glance(const struct segment *s, struct ledger_sum *ret_sum, uint64_t *ret_elapsed_ns);

#endif
