/* SPDX-License-Identifier: MIT */
/* What a job does: variants, and the steps in which they are run. `run` is the plan of one variant and one round,
 * `compare` of several variants that are run in turns. */
#ifndef CONCD_PLAN_H
#define CONCD_PLAN_H

#include "segment/layout.h"
#include "shared/base.h"

#include <stdbool.h>

/* One workload in one mode with its options, or a race; all of it checked. Of a race, workers are its actors, count its
 * trials, and `race` is all the rest; workload and params say nothing. */
struct variant {
        bool is_race;
        struct race_spec race;
        uint32_t workload; /* index into workloads[] */
        int64_t params[CONCD_PARAMS_MAX];
        uint32_t mode; /* index into modes[] */
        enum run_spawn spawn;
        bool libc_native;     /* process workers without a parked thread */
        uint32_t workers;     /* seats; 1 when all at once */
        uint64_t count;       /* 0 for a run by duration */
        uint64_t duration_ns; /* 0 for a run by count */
        uint64_t chunk;       /* 0 chooses */
        uint64_t warmup;      /* tasks before the first round, discarded */
        uint64_t timeout_ns;  /* per task; 0 is none */
        cpu_set_t cpus;
};

enum step_kind {
        STEP_WARMUP,    /* only `warmup` tasks; discarded */
        STEP_REHEARSAL, /* as if it were measured, but discarded */
        STEP_MEASURED,
        STEP_TRACED, /* for the picture; its times do not count */
};

/* One run of one variant. */
struct step {
        uint32_t variant;
        uint32_t round;
        uint32_t order; /* its place among the variants of the round, from 0 */
        enum step_kind kind;
};

#define COMPARE_ROUNDS_MIN     10
#define COMPARE_ROUNDS_MAX     1000
#define COMPARE_ROUNDS_DEFAULT 11

/* What a comparison is, beside its variants. */
struct comparison_spec {
        uint64_t seed;        /* of the order and of the bootstrap */
        double precision;     /* half width of the intervals, relative; 0: a fixed number of rounds */
        uint32_t rounds;      /* at most */
        uint32_t reference;   /* index of the variant that the others are compared with */
        bool is_aa, timeline; /* one variant against itself; and one more step of each variant, which is traced */
        bool is_rehearsed;    /* a whole round before, instead of the variants' own warm-up */
        char **names;         /* one a variant; malloc'ed, as is the list */
};

struct plan {
        struct variant *variants;
        struct step *steps;
        uint32_t n_variants, n_steps, rounds;
        uint64_t deadline_ns; /* of the whole job; 0 is none */
        bool is_comparison;
        struct comparison_spec comparison;
        uint32_t first_measured, first_traced; /* indices into steps[], of a comparison */
};

/* Makes the plan of one variant, one round, with a warm-up before it if it asks for one. Takes a copy. 0 or -ENOMEM. */
int plan_init_single(struct plan *plan, const struct variant *variant, uint64_t deadline_ns);

/* The plan of a comparison: takes variants and spec.names over when it succeeds. The variants of each round are in an
 * order of its own, which the seed makes. 0 or -ENOMEM. */
int plan_init_comparison(struct plan *plan, struct variant *variants, uint32_t n_variants,
                         const struct comparison_spec *spec, uint64_t deadline_ns);
void plan_deinit(struct plan *plan);

/* "calc × 1000 · process · 2 workers", "compare process, thread · 11 rounds"; malloc'ed. */
char *plan_summary(const struct plan *plan);

/* The workers that the variant calls. */
enum worker_kind variant_kind(const struct variant *v);

/* The tasks' division for a step. 0 or enum ledger_error; *ret_lines as in ledger_geometry_init(). */
int variant_geometry(const struct variant *v, bool warmup, uint32_t ledger_chunks, struct ledger_geometry *ret,
                     uint64_t *ret_lines);

/* "calc × 1000 · process · 2 workers"; malloc'ed. */
char *variant_summary(const struct variant *v);

#endif
