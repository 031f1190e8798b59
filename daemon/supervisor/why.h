/* SPDX-License-Identifier: MIT */
/*
 * From evidence to one plain sentence: why did a variant of a comparison take as long as it did? A table of rules, in
 * the order of their force; the first one that applies speaks. Pure, thread safe, allocates nothing, blocks nowhere;
 * any figures are taken, also none at all. docs/METHOD.md has the table with the reason for each threshold.
 */
#ifndef CONCD_WHY_H
#define CONCD_WHY_H

#include "concd/workload.h"
#include "segment/layout.h"
#include "shared/scaling.h"
#include "shared/statistics.h"

#include <sched.h>
#include <stdbool.h>

/* What is known of one variant: sums over its rounds and all its workers, times in nanoseconds. */
struct why_input {
        uint32_t workload; /* index into workloads[] */
        uint32_t mode;     /* index into modes[] */
        enum run_spawn spawn;
        uint32_t workers;
        double cpus; /* that the workers may use: affinity and quota */
        cpu_set_t affinity;
        uint64_t count, duration_ns, timeout_ns, chunk_asked; /* as in struct variant */
        bool is_libc_native;
        uint32_t rounds;                 /* that were measured */
        uint64_t done, failed, restarts; /* in all of them: tasks, those of them that failed, workers that died */
        /* The last of the rounds, whose sums the rest is: fewer after a takeover, which keeps the times only. */
        uint32_t evidence_rounds;
        uint64_t tasks;
        uint64_t wall_ns;
        struct evidence evidence;
        uint64_t lock_wait_ns, lock_switches, blocked_ns;
        uint64_t steal_ns;
        uint64_t task_p50_ns;  /* 0: unknown */
        double s_per_task;     /* median */
        double speed_up;       /* over the reference; 1 for the reference itself */
        struct interval range; /* of the speed-up */
        bool is_reference;
        /* Variants are compared with one another where these and the workload are the same. */
        int64_t params[CONCD_PARAMS_MAX];
        uint64_t chunk; /* tasks in the largest chunk; 0: unknown */
};

#define WHY_TEXT_MAX 256

struct why {
        const char *rule; /* its name: "interpreter-lock", "cores-full", … */
        char text[WHY_TEXT_MAX];
};

/* The sentence for input[i]; the others are what it is compared with. `is_enough`: there are rounds enough for a
 * verdict. */
void why_explain(const struct why_input *input, uint32_t n, uint32_t i, bool is_enough, struct why *ret);

/* Are its rounds so short, on average, that their beginning and end are a good part of them? False when the evidence
 * is lost: then it is not known. */
bool why_is_too_short(const struct why_input *in);

/* All rules by name and meaning, in their order, ended by a NULL name: for the documentation and the tests. */
struct why_rule_name {
        const char *name, *meaning;
};
const struct why_rule_name *why_rule_names(void);

/* What limits a speed-up curve, in one sentence; points[] in the order of their workers, n of them, all of them the
 * same work in the same mode. What was measured at the largest number of workers is asked first, then the fit (Amdahl's
 * law, and Gunther's universal scalability law), which may be NULL when there is none. Two points are not fitted. */
void why_limit(const struct scaling_fit *fit, const struct why_input *points, uint32_t n, char text[WHY_TEXT_MAX]);

#endif
