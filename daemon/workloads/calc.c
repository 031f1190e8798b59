/* SPDX-License-Identifier: MIT */
/*
 * The original question's function: the sum of i**i for i in 1..999, as Python computes it, with GMP.
 *
 * It takes no parameter, so the sum is always the same known number and every single task is verified. The result is
 * its low 64 bits. Where the whole number is at hand (the task ran here, not in a child of its own) verify() also
 * checks that it has 2997 digits and its remainder by a prime, which together leave no room for a shortened loop.
 *
 * The numbers live in the worker's state and keep their memory from task to task. Nothing is shared between workers;
 * GMP has no global state of its own that these functions write. Like every user of GMP, it aborts when out of memory.
 */
#include "workloads/builtin.h"

#include <errno.h>
#include <gmp.h>
#include <stdbool.h>
#include <stdlib.h>

#define CALC_LAST      999
#define CALC_DIGITS    2997
#define CALC_LOW64     UINT64_C(0xa5e5d2cc8d5390ec)
#define CALC_PRIME     1000000007
#define CALC_REMAINDER 482370217

_Static_assert(GMP_NUMB_BITS == 64, "the lowest limb is taken for the low 64 bits");

struct calc_state {
        mpz_t sum, power;
        mpz_t floor, ceiling; /* the lowest number of CALC_DIGITS digits, and the lowest with one more */
        uint64_t index;       /* the task that `sum` belongs to, when `whole` */
        bool whole;
};

static int
calc_prepare(struct concd_ctx *ctx)
{
        struct calc_state *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        mpz_inits(s->sum, s->power, s->floor, s->ceiling, NULL);
        mpz_ui_pow_ui(s->floor, 10, CALC_DIGITS - 1);
        mpz_ui_pow_ui(s->ceiling, 10, CALC_DIGITS);
        ctx->state = s;
        return 0;
}

static int
calc_run(struct concd_ctx *ctx, uint64_t index, uint64_t *ret_result)
{
        struct calc_state *s = ctx->state;

        s->whole = false;
        mpz_set_ui(s->sum, 0);
        for (unsigned long i = 1; i <= CALC_LAST; i++) {
                if (concd_checkpoint(ctx) != 0)
                        return CONCD_CANCELLED;
                mpz_ui_pow_ui(s->power, i, i);
                mpz_add(s->sum, s->sum, s->power);
        }
        s->index = index;
        s->whole = true;
        *ret_result = mpz_getlimbn(s->sum, 0);
        return 0;
}

/* mpz_sizeinbase() may be one too high, so the digits are told by two comparisons. */
static bool
calc_sum_is_right(const struct calc_state *s)
{
        return mpz_cmp(s->sum, s->floor) >= 0 && mpz_cmp(s->sum, s->ceiling) < 0 &&
               mpz_fdiv_ui(s->sum, CALC_PRIME) == CALC_REMAINDER;
}

static int
calc_verify(struct concd_ctx *ctx, uint64_t index, uint64_t result)
{
        const struct calc_state *s = ctx->state;

        if (result != CALC_LOW64)
                return -EBADMSG;
        if (s->whole && s->index == index && !calc_sum_is_right(s))
                return -EBADMSG;
        return 0;
}

static void
calc_cleanup(struct concd_ctx *ctx)
{
        struct calc_state *s = ctx->state;

        if (!s)
                return;
        mpz_clears(s->sum, s->power, s->floor, s->ceiling, NULL);
        free(s);
        ctx->state = NULL;
}

const struct concd_workload workload_calc = {
        .abi_version = CONCD_WORKLOAD_ABI,
        .struct_size = sizeof(struct concd_workload),
        .name = "calc",
        .summary = "the sum of i**i for i in 1..999: CPU and memory, nothing shared",
        .unit = "sum",
        .prepare = calc_prepare,
        .run = calc_run,
        .verify = calc_verify,
        .cleanup = calc_cleanup,
};
