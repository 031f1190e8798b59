/* SPDX-License-Identifier: MIT */
/* Nothing but the result: what is measured with it is the cost of concd's own loop. */
#include "workloads/builtin.h"

#include <errno.h>

static int
nop_run(struct concd_ctx *ctx, uint64_t index, uint64_t *ret_result)
{
        *ret_result = builtin_mark(index);
        return 0;
}

static int
nop_verify(struct concd_ctx *ctx, uint64_t index, uint64_t result)
{
        return result == builtin_mark(index) ? 0 : -EBADMSG;
}

const struct concd_workload workload_nop = {
        .abi_version = CONCD_WORKLOAD_ABI,
        .struct_size = sizeof(struct concd_workload),
        .name = "nop",
        .summary = "nothing: measures the cost of the loop itself",
        .unit = "call",
        .run = nop_run,
        .verify = nop_verify,
};
