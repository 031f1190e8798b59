/* SPDX-License-Identifier: MIT */
/*
 * Tasks that go wrong on purpose, in every way that concd has to survive: for its own tests, and to show what its
 * accounting does. All other tasks are like those of `nop`. The same index fails at every attempt.
 */
#include "workloads/builtin.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#define FAIL_INDEX_MAX INT64_C(1000000000000000) /* the most tasks that a run can have */
#define FAIL_EXIT_CODE 3

enum { FAIL_PARAM_KIND, FAIL_PARAM_AT, FAIL_PARAM_EVERY };

enum fail_kind { FAIL_ERROR, FAIL_WRONG, FAIL_SEGV, FAIL_ABORT, FAIL_EXIT, FAIL_QUIT, FAIL_KILL, FAIL_HANG };

static const char *const fail_kinds[] = {
        [FAIL_ERROR] = "error", [FAIL_WRONG] = "wrong", [FAIL_SEGV] = "segv",
        [FAIL_ABORT] = "abort", [FAIL_EXIT] = "exit",   [FAIL_QUIT] = "quit",
        [FAIL_KILL] = "kill",   [FAIL_HANG] = "hang",   NULL,
};

static bool
fail_is_due(const struct concd_ctx *ctx, uint64_t index)
{
        uint64_t at = (uint64_t)ctx->params[FAIL_PARAM_AT], every = (uint64_t)ctx->params[FAIL_PARAM_EVERY];

        if (index <= at || every == 0)
                return index == at;
        return (index - at) % every == 0;
}

/* A real invalid store, which the kernel answers with SIGSEGV; a sanitizer is to let it through. */
static __attribute__((no_sanitize("address", "undefined"))) void
fail_store_nowhere(void)
{
        int *volatile nowhere = (int *)8;

        *nowhere = 1;
}

static int
fail_now(enum fail_kind kind, uint64_t index, uint64_t *ret_result)
{
        switch (kind) {
        case FAIL_ERROR:
                return -EIO;
        case FAIL_WRONG:
                *ret_result = ~builtin_mark(index);
                return 0;
        case FAIL_SEGV:
                fail_store_nowhere();
                break;
        case FAIL_ABORT:
                abort();
        case FAIL_EXIT:
                exit(FAIL_EXIT_CODE);
        case FAIL_QUIT:
                _exit(FAIL_EXIT_CODE); /* past all handlers: nobody can tell who it was */
        case FAIL_KILL:
                kill(getpid(), SIGKILL);
                break;
        case FAIL_HANG:
                for (;;)
                        pause();
        }
        return -EIO;
}

static int
fail_run(struct concd_ctx *ctx, uint64_t index, uint64_t *ret_result)
{
        int r = concd_checkpoint(ctx);

        if (r != 0)
                return r;
        if (fail_is_due(ctx, index))
                return fail_now((enum fail_kind)ctx->params[FAIL_PARAM_KIND], index, ret_result);
        *ret_result = builtin_mark(index);
        return 0;
}

static int
fail_verify(struct concd_ctx *ctx, uint64_t index, uint64_t result)
{
        return result == builtin_mark(index) ? 0 : -EBADMSG;
}

static const struct concd_param fail_params[] = {
        [FAIL_PARAM_KIND] =
                {
                        .name = "kind",
                        .summary = "what a failing task does",
                        .type = CONCD_PARAM_ENUM,
                        .def = FAIL_ERROR,
                        .choices = fail_kinds,
                },
        [FAIL_PARAM_AT] =
                {
                        .name = "at",
                        .summary = "the first task that fails",
                        .type = CONCD_PARAM_INT,
                        .min = 0,
                        .max = FAIL_INDEX_MAX,
                        .def = 0,
                },
        [FAIL_PARAM_EVERY] =
                {
                        .name = "every",
                        .summary = "distance from one failing task to the next; 0: only the first fails",
                        .type = CONCD_PARAM_INT,
                        .min = 0,
                        .max = FAIL_INDEX_MAX,
                        .def = 0,
                },
};

const struct concd_workload workload_fail = {
        .abi_version = CONCD_WORKLOAD_ABI,
        .struct_size = sizeof(struct concd_workload),
        .name = "fail",
        .summary = "tasks that fail, crash or hang on purpose",
        .unit = "call",
        .params = fail_params,
        .n_params = sizeof(fail_params) / sizeof(fail_params[0]),
        .run = fail_run,
        .verify = fail_verify,
};
