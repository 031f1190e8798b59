/* SPDX-License-Identifier: MIT */
/*
 * Waiting without the CPU: what input and output look like to a scheduler, and to the interpreter lock, which is
 * released meanwhile.
 *
 * The whole wait is one blocking section. So that a long one can be cancelled it is slept in slices, and between
 * two of them the attention word is looked at. concd_checkpoint() may not be called there, since inside a
 * blocking section the interpreter lock is not held and a checkpoint might hand it over. Only when the word is
 * not 0 the section is ended, the checkpoint called, and a new section begun: a wait that nobody disturbs takes the
 * lock once, at its end, like time.sleep() of Python. The end is an absolute time, so neither slices nor
 * interruptions add up.
 */
#include "shared/base.h"
#include "shared/clock.h"
#include "workloads/builtin.h"

#include <errno.h>
#include <time.h>

#define SLEEP_MAX_US   INT64_C(60000000)
#define SLEEP_SLICE_NS (50 * NS_PER_MS)

enum { SLEEP_PARAM_US };

/* Sleeps until that time of the clock, or until a signal came. */
static int
sleep_until(uint64_t ns)
{
        struct timespec ts = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
        int r = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);

        return r == EINTR ? 0 : -r;
}

/* Ends the blocking section for a checkpoint. */
static int
sleep_attend(struct concd_ctx *ctx)
{
        int r;

        concd_block_end(ctx);
        r = concd_checkpoint(ctx);
        concd_block_begin(ctx);
        return r;
}

static uint64_t
sleep_mark(const struct concd_ctx *ctx, uint64_t index)
{
        return builtin_mark(index) + (uint64_t)ctx->params[SLEEP_PARAM_US];
}

static int
sleep_run(struct concd_ctx *ctx, uint64_t index, uint64_t *ret_result)
{
        uint64_t now = clock_now_ns(), end = now + (uint64_t)ctx->params[SLEEP_PARAM_US] * NS_PER_US;
        int r = concd_checkpoint(ctx);

        if (r != 0)
                return r;
        concd_block_begin(ctx);
        while (now < end && r == 0) {
                r = sleep_until(end - now < SLEEP_SLICE_NS ? end : now + SLEEP_SLICE_NS);
                now = clock_now_ns();
                if (r == 0 && now < end && __atomic_load_n(ctx->attention, __ATOMIC_RELAXED) != 0)
                        r = sleep_attend(ctx);
        }
        concd_block_end(ctx);

        /* The mark is only given once the clock has passed the end. */
        if (r == 0)
                *ret_result = sleep_mark(ctx, index);
        return r;
}

static int
sleep_verify(struct concd_ctx *ctx, uint64_t index, uint64_t result)
{
        return result == sleep_mark(ctx, index) ? 0 : -EBADMSG;
}

static const struct concd_param sleep_params[] = {
        [SLEEP_PARAM_US] =
                {
                        .name = "us",
                        .summary = "time from the begin of a task to its end, asleep",
                        .type = CONCD_PARAM_INT,
                        .unit = "us",
                        .min = 0,
                        .max = SLEEP_MAX_US,
                        .def = 1000,
                },
};

const struct concd_workload workload_sleep = {
        .abi_version = CONCD_WORKLOAD_ABI,
        .struct_size = sizeof(struct concd_workload),
        .name = "sleep",
        .summary = "waiting as for input and output: no CPU, the interpreter lock is free meanwhile",
        .unit = "sleep",
        .params = sleep_params,
        .n_params = sizeof(sleep_params) / sizeof(sleep_params[0]),
        .run = sleep_run,
        .verify = sleep_verify,
};
