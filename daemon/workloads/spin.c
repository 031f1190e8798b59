/* SPDX-License-Identifier: MIT */
/*
 * CPU work of a chosen length.
 *
 * It is a fixed amount of work and not a loop until a clock is reached: such a loop does less when it is preempted or
 * waits for a lock, so two workers that share one core, or the interpreter lock, would seem to lose nothing. Here
 * they take twice as long, as real work does.
 *
 * The work is a chain x = x * A + C modulo 2^64, each step of which needs the one before. How many steps make a
 * nanosecond is measured once, in the supervisor before it forks, so all workers of all modes do equally many; it is
 * the best of several short measurements of CPU time, since all that disturbs one makes it look slower. A later
 * change of the clock frequency changes the time that the steps take, not their number.
 *
 * The n-th value of such a chain follows in O(log n) from the first (Brown, "Random number generation with arbitrary
 * strides", 1994): n steps are one step with other constants, which prepare() computes. run() adds to the task's mark
 * the difference between the value that it reached and the one foretold, so verify() succeeds only when all steps
 * were made, and the result is the same on every machine, whatever the number of steps is there. A compiler must
 * not shorten the loop by itself: the empty asm takes the value through a register at each step, else two steps could
 * be merged into one by multiplying out the constants.
 */
#include "workloads/builtin.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* Knuth's MMIX constants: full period, so no chain falls into a short loop. */
#define SPIN_A UINT64_C(6364136223846793005)
#define SPIN_C UINT64_C(1442695040888963407)

#define SPIN_MAX_NS   INT64_C(60000000000)
#define SPIN_SLICE_NS 2000 /* from one checkpoint to the next */

#define CALIBRATE_STEPS  50000 /* about 65 µs at 3 GHz */
#define CALIBRATE_ROUNDS 16
#define CALIBRATE_MAX_NS 1600000 /* no further round after this; one round may still be under way */

enum { SPIN_PARAM_NS };

struct spin_state {
        uint64_t steps, slice;
        uint64_t a, c; /* what all steps do at once: x * a + c */
};

static double spin_steps_per_ns; /* written once, under spin_once */
static pthread_once_t spin_once = PTHREAD_ONCE_INIT;

static __attribute__((noinline)) uint64_t
spin_chain(uint64_t x, uint64_t steps)
{
        for (; steps > 0; steps--) {
                x = x * SPIN_A + SPIN_C;
                __asm__ volatile("" : "+r"(x));
        }
        return x;
}

static int64_t
cpu_now_ns(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
        return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void
spin_measure(void)
{
        int64_t start = cpu_now_ns(), then = start, best = INT64_MAX;

        for (int i = 0; i < CALIBRATE_ROUNDS && then - start < CALIBRATE_MAX_NS; i++) {
                int64_t now;

                spin_chain((uint64_t)i, CALIBRATE_STEPS);
                now = cpu_now_ns();
                if (now - then > 0 && now - then < best)
                        best = now - then;
                then = now;
        }
        /* A clock that stands still leaves one step per nanosecond: a wrong length, but still the same for all. */
        spin_steps_per_ns = best == INT64_MAX ? 1.0 : (double)CALIBRATE_STEPS / (double)best;
}

void
spin_calibrate(void)
{
        pthread_once(&spin_once, spin_measure);
}

static uint64_t
spin_steps_for(int64_t ns)
{
        return (uint64_t)((double)ns * spin_steps_per_ns + 0.5);
}

/* Composes x * a + c with itself `steps` times by squaring. */
static void
spin_foretell(uint64_t steps, uint64_t *ret_a, uint64_t *ret_c)
{
        uint64_t a = SPIN_A, c = SPIN_C, all_a = 1, all_c = 0;

        for (; steps > 0; steps >>= 1) {
                if (steps & 1) {
                        all_a = all_a * a;
                        all_c = all_c * a + c;
                }
                c = c * a + c;
                a = a * a;
        }
        *ret_a = all_a;
        *ret_c = all_c;
}

static int
spin_prepare(struct concd_ctx *ctx)
{
        struct spin_state *s = malloc(sizeof(*s));

        if (!s)
                return -ENOMEM;
        spin_calibrate();
        s->steps = spin_steps_for(ctx->params[SPIN_PARAM_NS]);
        s->slice = spin_steps_for(SPIN_SLICE_NS) + 1;
        spin_foretell(s->steps, &s->a, &s->c);
        ctx->state = s;
        return 0;
}

static uint64_t
spin_mark(const struct concd_ctx *ctx, uint64_t index)
{
        return builtin_mark(index) + (uint64_t)ctx->params[SPIN_PARAM_NS];
}

static int
spin_run(struct concd_ctx *ctx, uint64_t index, uint64_t *ret_result)
{
        const struct spin_state *s = ctx->state;
        uint64_t x = index, left = s->steps;

        do {
                uint64_t steps = left < s->slice ? left : s->slice;

                if (concd_checkpoint(ctx) != 0)
                        return CONCD_CANCELLED;
                x = spin_chain(x, steps);
                left -= steps;
        } while (left > 0);

        *ret_result = spin_mark(ctx, index) + (x - (index * s->a + s->c));
        return 0;
}

static int
spin_verify(struct concd_ctx *ctx, uint64_t index, uint64_t result)
{
        return result == spin_mark(ctx, index) ? 0 : -EBADMSG;
}

static void
spin_cleanup(struct concd_ctx *ctx)
{
        free(ctx->state);
        ctx->state = NULL;
}

static const struct concd_param spin_params[] = {
        [SPIN_PARAM_NS] =
                {
                        .name = "ns",
                        .summary = "CPU time of one task",
                        .type = CONCD_PARAM_INT,
                        .unit = "ns",
                        .min = 0,
                        .max = SPIN_MAX_NS,
                        .def = 1000,
                },
};

const struct concd_workload workload_spin = {
        .abi_version = CONCD_WORKLOAD_ABI,
        .struct_size = sizeof(struct concd_workload),
        .name = "spin",
        .summary = "arithmetic of a chosen length: CPU only, no memory",
        .unit = "spin",
        .params = spin_params,
        .n_params = sizeof(spin_params) / sizeof(spin_params[0]),
        .prepare = spin_prepare,
        .run = spin_run,
        .verify = spin_verify,
        .cleanup = spin_cleanup,
};
