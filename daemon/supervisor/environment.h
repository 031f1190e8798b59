/* SPDX-License-Identifier: MIT */
/* Where figures come from: the Environment of the IDL. */
#ifndef CONCD_ENVIRONMENT_H
#define CONCD_ENVIRONMENT_H

#include "shared/base.h"

#include <sched.h>
#include <stdbool.h>

/* Reads /proc and /sys; some 100 µs. `cpus` is where the run was. `steal_s` is the machine's steal time during
 * the run. Returns a new object, or NULL when out of memory. */
json_t *environment_describe(const cpu_set_t *cpus, double quota_cpus, bool parked_thread, double steal_s);

/* The machine's steal time since boot, in seconds. */
double environment_steal_s(void);

#endif
