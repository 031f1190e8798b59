/* SPDX-License-Identifier: MIT */
/*
 * Memory that is asked for and given back: where libc's allocator and the kernel's memory map are what a program waits
 * for. Blocks beyond the allocator's cache of a thread (1032 bytes in glibc 2.36) take the lock of an arena, which a
 * process with one thread only leaves out; blocks beyond its mmap threshold (128 KiB at first, growing) are mapped,
 * faulted in page by page and unmapped, and threads of one process share one memory map for that.
 */
#include "shared/base.h"
#include "workloads/builtin.h"

#include <errno.h>
#include <stdlib.h>

#define BYTES_MAX (INT64_C(64) << 20)
#define TIMES_MAX 1000000
#define PAGE      4096

/* So often a task looks whether it is to end; and so many blocks it has at once. */
#define LOOK_EVERY 256
#define HELD       4

enum { ALLOC_PARAM_BYTES, ALLOC_PARAM_TIMES };

/* One byte of every page is written and read back, by way of volatile, so that no compiler leaves the block out. */
static int
use(volatile unsigned char *block, size_t bytes, unsigned char mark)
{
        unsigned wrong = 0;

        for (size_t i = 0; i < bytes; i += PAGE) {
                block[i] = mark;
                wrong |= block[i] ^ mark;
        }
        return wrong ? -EBADMSG : 0;
}

static int
alloc_run(struct concd_ctx *ctx, uint64_t index, uint64_t *ret_result)
{
        size_t bytes = (size_t)ctx->params[ALLOC_PARAM_BYTES];
        uint64_t times = (uint64_t)ctx->params[ALLOC_PARAM_TIMES];
        void *held[HELD] = {NULL};
        int r = 0;

        for (uint64_t i = 0; i < times && r == 0; i++) {
                if (i % LOOK_EVERY == 0)
                        r = concd_checkpoint(ctx);
                if (r < 0)
                        break;
                free(held[i % HELD]);
                held[i % HELD] = malloc(bytes);
                r = held[i % HELD] ? use(held[i % HELD], bytes, (unsigned char)(index + i)) : -ENOMEM;
        }
        for (size_t i = 0; i < HELD; i++)
                free(held[i]);
        if (r == 0)
                *ret_result = builtin_mark(index) + bytes * times;
        return r;
}

static int
alloc_verify(struct concd_ctx *ctx, uint64_t index, uint64_t result)
{
        uint64_t asked = (uint64_t)ctx->params[ALLOC_PARAM_BYTES] * (uint64_t)ctx->params[ALLOC_PARAM_TIMES];

        return result == builtin_mark(index) + asked ? 0 : -EBADMSG;
}

static const struct concd_param alloc_params[] = {
        [ALLOC_PARAM_BYTES] =
                {
                        .name = "bytes",
                        .summary = "size of a block",
                        .type = CONCD_PARAM_INT,
                        .unit = "bytes",
                        .min = 1,
                        .max = BYTES_MAX,
                        .def = 2048,
                },
        [ALLOC_PARAM_TIMES] =
                {
                        .name = "times",
                        .summary = "blocks that one task asks for and gives back",
                        .type = CONCD_PARAM_INT,
                        .min = 1,
                        .max = TIMES_MAX,
                        .def = 1000,
                },
};

const struct concd_workload workload_alloc = {
        .abi_version = CONCD_WORKLOAD_ABI,
        .struct_size = sizeof(struct concd_workload),
        .name = "alloc",
        .summary = "memory asked for and given back: the allocator's locks and the memory map",
        .unit = "task",
        .params = alloc_params,
        .n_params = ARRAY_SIZE(alloc_params),
        .run = alloc_run,
        .verify = alloc_verify,
};
