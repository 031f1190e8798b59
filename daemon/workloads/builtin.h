/* SPDX-License-Identifier: MIT */
/* What the built-in workloads share among themselves: the list of them, and the value that marks a task. */
#ifndef CONCD_BUILTIN_H
#define CONCD_BUILTIN_H

#include "concd/workload.h"

/* One row each; the first is the default. Every row has a file of its name beside this one. */
#define BUILTIN_WORKLOADS(X)                                                                                           \
        X(calc)                                                                                                        \
        X(nop)                                                                                                         \
        X(spin)                                                                                                        \
        X(sleep)                                                                                                       \
        X(alloc)                                                                                                       \
        X(stdio)                                                                                                       \
        X(fail)

#define BUILTIN_DECLARE(name) extern const struct concd_workload workload_##name;
BUILTIN_WORKLOADS(BUILTIN_DECLARE)
#undef BUILTIN_DECLARE

/* A value that differs for every index and costs one multiplication: what a task without a result of its own
 * returns, so that verify() can tell that it got this very task's result. Never 0 for index 0. */
static inline uint64_t
builtin_mark(uint64_t index)
{
        return (index + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

/* Measures how many steps of its chain `spin` makes per nanosecond of CPU time, at most about 2 ms. Only the first
 * call in a process does anything; a child that is forked afterwards inherits the figure. Thread safe. */
void spin_calibrate(void);

#endif
