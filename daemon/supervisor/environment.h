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

/* The mean clock of the CPUs in MHz, as far as the kernel tells; 0 when it does not. */
double environment_mhz(void);

/* The steal time of these CPUs since boot, in seconds; it is counted in ticks. */
double environment_steal_s(const cpu_set_t *cpus);

#endif
