/* SPDX-License-Identifier: MIT */
/* How many CPUs there are for us: by affinity, and by the bandwidth limit of the cgroup. */
#ifndef CONCD_CPUS_H
#define CONCD_CPUS_H

#include "shared/base.h"

#include <sched.h>

/*
 * The smallest CPU bandwidth limit on the way from our cgroup to the root, in CPUs (1.5 is one and a half); 0
 * when there is none. Reads cgroup v2 (cpu.max) and v1 (cpu.cfs_quota_us). `proc_cgroup` is /proc/self/cgroup and
 * `root` is /sys/fs/cgroup, but for tests.
 */
double cpus_quota(const char *proc_cgroup, const char *root);

/* CPUs in the set, but not more than the quota rounded down, at least 1. */
unsigned cpus_usable(const cpu_set_t *set, double quota);

/* Room for every set. */
#define CPUS_TEXT_MAX 4096

/* "0-3,8"; what does not fit is cut off. Returns buf. */
char *cpus_format(char *buf, size_t size, const cpu_set_t *set);

json_t *cpus_to_json(const cpu_set_t *set);

#endif
