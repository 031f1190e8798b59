/* SPDX-License-Identifier: MIT */
/*
 * Bytes written one by one to a stream of the worker's own: what libc's locks cost that nobody else wants. A stream has
 * a lock, and glibc leaves it out while a process has only one thread; that is why the process workers of a fair
 * comparison have two, and --libc=native shows the difference. The stream leads to /dev/null: the kernel does little.
 */
#include "shared/base.h"
#include "workloads/builtin.h"

#include <errno.h>

#define BYTES_MAX INT64_C(1000000000)

/* So often a task looks whether it is to end. */
#define LOOK_EVERY 4096

enum { STDIO_PARAM_BYTES };

static int
stdio_prepare(struct concd_ctx *ctx)
{
        ctx->state = fopen("/dev/null", "we");
        return ctx->state ? 0 : -errno;
}

static void
stdio_cleanup(struct concd_ctx *ctx)
{
        fclose(ctx->state);
        ctx->state = NULL;
}

static int
stdio_run(struct concd_ctx *ctx, uint64_t index, uint64_t *ret_result)
{
        uint64_t bytes = (uint64_t)ctx->params[STDIO_PARAM_BYTES], written = 0;
        FILE *stream = ctx->state;

        while (written < bytes) {
                uint64_t end = MIN(written + LOOK_EVERY, bytes);
                int r = concd_checkpoint(ctx);

                if (r != 0)
                        return r;
                for (; written < end; written++) {
                        if (putc((int)(index + written) & 0x7f, stream) == EOF)
                                return -EIO;
                }
        }
        *ret_result = builtin_mark(index) + written;
        return 0;
}

static int
stdio_verify(struct concd_ctx *ctx, uint64_t index, uint64_t result)
{
        return result == builtin_mark(index) + (uint64_t)ctx->params[STDIO_PARAM_BYTES] ? 0 : -EBADMSG;
}

static const struct concd_param stdio_params[] = {
        [STDIO_PARAM_BYTES] =
                {
                        .name = "bytes",
                        .summary = "how many one task writes",
                        .type = CONCD_PARAM_INT,
                        .unit = "bytes",
                        .min = 1,
                        .max = BYTES_MAX,
                        .def = 10000,
                },
};

const struct concd_workload workload_stdio = {
        .abi_version = CONCD_WORKLOAD_ABI,
        .struct_size = sizeof(struct concd_workload),
        .name = "stdio",
        .summary = "bytes written one by one: libc's locks, which a process with one thread leaves out",
        .unit = "task",
        .params = stdio_params,
        .n_params = ARRAY_SIZE(stdio_params),
        .prepare = stdio_prepare,
        .run = stdio_run,
        .verify = stdio_verify,
        .cleanup = stdio_cleanup,
};
