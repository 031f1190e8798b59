/* SPDX-License-Identifier: MIT */
/*
 * The C ABI of a concd workload: what one task does.
 *
 * A workload is one const descriptor, compiled into concd, which loads none at run time. For every run, each
 * worker calls prepare() once, then run() and verify() once for every task that it executes, then cleanup()
 * once. All four run on the worker's own thread; in thread and gil mode several workers of the same process do
 * so at the same time, so whatever is not in ctx->state must be safe to use from several threads.
 *
 * Accounting is exactly once; execution is at least once: a killed worker's task in progress is executed
 * again. Side effects outside repeat unless they are idempotent by task index.
 */
#ifndef CONCD_WORKLOAD_H
#define CONCD_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised when a descriptor of the older form could not be used any more. Fields are only ever added at the end of
 * the structures; struct_size tells which ones the builder knew. */
#define CONCD_WORKLOAD_ABI 1

/* The most parameters that one workload can have. */
#define CONCD_PARAMS_MAX 8

enum concd_param_type {
        CONCD_PARAM_INT,  /* a whole number from min to max, in `unit` */
        CONCD_PARAM_ENUM, /* one of `choices`; its value is the index of the choice */
};

struct concd_param {
        const char *name;
        const char *summary;
        enum concd_param_type type;
        const char *unit;           /* int: e.g. "ns"; NULL for a plain number */
        int64_t min, max;           /* int: the range, both ends included */
        int64_t def;                /* the default: a number, or the index of a choice */
        const char *const *choices; /* enum: the names, ended by NULL */
};

struct concd_ctx;

/* What the daemon offers to a running task; reached through the inline functions below. */
struct concd_ops {
        uint32_t struct_size;
        int (*checkpoint)(struct concd_ctx *ctx, uint32_t bits);
        void (*block_begin)(struct concd_ctx *ctx);
        void (*block_end)(struct concd_ctx *ctx);
};

/* What a worker hands to the workload. Owned by the worker; valid from prepare() to cleanup(). */
struct concd_ctx {
        uint32_t struct_size;
        uint32_t worker;           /* which worker of this run, from 0 */
        const int64_t *params;     /* one value per parameter of the descriptor, in its order */
        void *state;               /* the workload's own; set by prepare(), freed by cleanup() */
        const uint32_t *attention; /* non-zero when a checkpoint has something to do */
        const struct concd_ops *ops;
};

/* What run() returns when it gave a task up because a checkpoint told it to. The task does not count. */
#define CONCD_CANCELLED (-125)

struct concd_workload {
        uint32_t abi_version; /* CONCD_WORKLOAD_ABI */
        uint32_t struct_size; /* sizeof(struct concd_workload) */
        const char *name;     /* lower case letters, digits and '-' */
        const char *summary;  /* one line */
        const char *unit;     /* what one task is, e.g. "sum" */
        const struct concd_param *params;
        uint32_t n_params;

        /* Optional. Makes ctx->state ready. 0, or a negative errno, which ends the run as failed. */
        int (*prepare)(struct concd_ctx *ctx);

        /* Executes task `index` and stores its result. 0, CONCD_CANCELLED, or another negative errno, which
         * counts the task as failed. The time from call to return is the task's latency. */
        int (*run)(struct concd_ctx *ctx, uint64_t index, uint64_t *ret_result);

        /* Checks a result; outside the task's time, inside the run's. 0 when it is right, else the task counts as
         * failed. With spawn=per-task the task itself ran in another process or thread: state that run() left in
         * ctx->state is then not here. */
        int (*verify)(struct concd_ctx *ctx, uint64_t index, uint64_t result);

        /* Optional. Frees what prepare() made. */
        void (*cleanup)(struct concd_ctx *ctx);
};

/*
 * Call it in every loop of a long task. Costs one load when nothing is to be done. Hands the emulated interpreter
 * lock over when another worker asks for it (then it blocks). Returns 0 to go on, or CONCD_CANCELLED:
 * run() should then free what it holds and return that.
 */
static inline int
concd_checkpoint(struct concd_ctx *ctx)
{
        uint32_t bits = __atomic_load_n(ctx->attention, __ATOMIC_RELAXED);

        return bits == 0 ? 0 : ctx->ops->checkpoint(ctx, bits);
}

/* Put around every call that may block: the emulated interpreter lock is released meanwhile, and the time
 * is accounted as blocked. Not to be nested. */
static inline void
concd_block_begin(struct concd_ctx *ctx)
{
        ctx->ops->block_begin(ctx);
}

static inline void
concd_block_end(struct concd_ctx *ctx)
{
        ctx->ops->block_end(ctx);
}

#ifdef __cplusplus
}
#endif

#endif
