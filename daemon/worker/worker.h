/* SPDX-License-Identifier: MIT */
/*
 * The worker: one executor, in a process of its own or a thread of the thread host. The same code serves both kinds and
 * every mode, so that what is compared is the model and nothing else.
 */
#ifndef CONCD_WORKER_H
#define CONCD_WORKER_H

#include "concd/workload.h"
#include "guards/gil.h"
#include "segment/ledger.h"
#include "segment/seat.h"
#include "segment/segment.h"
#include "segment/semaphores.h"

#include <stdbool.h>

/* What every worker of a daemon is given. Inherited over fork; read only. */
struct worker_setup {
        struct segment segment;
        int doorbell;     /* eventfd: look at the run, something changed */
        int herd_lock;    /* kept open, so that lock B lasts as long as any child */
        int host_control; /* eventfd: thread host, look at your slots */
        bool parked_thread;
        bool core_files; /* a worker that crashes may leave one */
};

/* When which tasks are timed. */
#define SAMPLER_PROBES 32
struct sampler {
        uint64_t countdown, every, random;
        uint64_t overhead_ns;
        uint64_t probe_ns[SAMPLER_PROBES];
        uint32_t probes;  /* tasks timed one after the other, at first */
        uint32_t sampled; /* tasks timed since, up to SAMPLER_PROBES */
        bool fresh;       /* the seat's histogram was empty, so that what the probe found may be thrown away */
};

/* One worker; private to its thread. */
struct worker {
        const struct worker_setup *setup;
        struct semaphores semaphores;
        bool own_semaphores; /* opened by this thread */
        uint32_t slot_index;
        struct slot *slot;
        enum worker_kind kind;
        int schedstat;
        cpu_set_t cpus;
        bool cpus_set;

        /* The present run. */
        uint64_t run; /* its number */
        uint32_t seat_index;
        struct seat *seat;
        const struct run_spec *spec;
        const struct concd_workload *workload;
        struct concd_ctx ctx;
        struct gil_thread gil;
        bool under_gil;
        bool prepared;
        uint64_t block_began, blocked_ns;
        struct sampler sampler;
        struct ledger_line *line; /* claimed now */
        int (*execute)(struct concd_ctx *ctx, uint64_t index, uint64_t *ret_result);
        struct per_task *per_task;          /* spawn=per-task only */
        struct race_engine *race;           /* of a race only */
        enum failure_reason failure_reason; /* of a task that died in a child; valid with CONCD_CHILD_DIED */
        int failure_value;
        struct tracer tracer; /* of a traced run only; behind all that the inner loop uses */
};

/* What execute() returns when the task's own process died of it for the last time allowed. */
#define CONCD_CHILD_DIED (-10000)

/* Serves runs until its slot is told to retire. Blocks; returns to be ended. */
void worker_main(const struct worker_setup *setup, const struct semaphores *semaphores, uint32_t slot);

/* The worker that `ctx` belongs to. */
struct worker *worker_of(struct concd_ctx *ctx);

/* The run cannot go on: notes the first error and tells all workers to stop. `error` is a negative errno. */
void worker_report_error(struct worker *w, int error);

/* Wakes the supervisor. Async-signal safe. */
void worker_ring(const struct worker_setup *setup);

/* In a loop that waits for another CPU. */
static inline void
worker_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
}

/* Measured cost of timing one task: two readings of the clock. Takes < 1 ms. */
uint64_t worker_clock_overhead_ns(void);

#endif
