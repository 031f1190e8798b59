/* SPDX-License-Identifier: MIT */
/* The workloads that are built in: one row each in the table of workloads.c, one file each beside it. */
#ifndef CONCD_WORKLOADS_H
#define CONCD_WORKLOADS_H

#include "concd/workload.h"
#include "shared/base.h"

/* All of them, ended by NULL. The first is the default. */
extern const struct concd_workload *const workloads[];

/* Once, in the supervisor before it forks workers, which inherit what is measured here: the length of a step of `spin`,
 * so that all workers of all modes do equally much. Takes up to 2 ms of CPU time. A process that did not call it
 * measures for itself at the first prepare(). */
void workloads_init(void);

/* NULL when there is none of this name. */
const struct concd_workload *workload_by_name(const char *name);

/* Index of the parameter, or -1. */
int workload_param_index(const struct concd_workload *w, const char *name);

/* Sets the defaults of all its parameters; the rest of the array is left alone. */
void workload_params_default(const struct concd_workload *w, int64_t params[CONCD_PARAMS_MAX]);

/* Parses one value. An int is read by quantity_parse_int, or with a factor or exponent (1e6, 10k) by
 * quantity_parse_count. 0, or -EINVAL with *ret_allowed (malloc'ed) saying what is allowed: "0 to 1000000000 ns" or
 * "error, wrong, …". -ENOMEM. */
int workload_param_parse(const struct concd_param *p, const char *value, int64_t *ret, char **ret_allowed);

/* The value, which must be a valid one, as text that parse reads back. Returns buf. */
char *workload_param_format(const struct concd_param *p, int64_t value, char *buf, size_t size);

/* Is the descriptor usable (ABI version, size, names, ranges)? 0, or -EINVAL with a static *why. */
int workload_check(const struct concd_workload *w, const char **why);

#endif
