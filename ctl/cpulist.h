/* SPDX-License-Identifier: MIT */
/* Lists of CPUs: the notation "0,2-5" and the affinity of the calling thread, both as JSON arrays of numbers. */
#ifndef CONCCTL_CPULIST_H
#define CONCCTL_CPULIST_H

#include "shared/base.h"

/* CPU numbers are below this. */
#define CPULIST_CPUS 8192

enum cpulist_error {
        CPULIST_OK = 0,
        CPULIST_E_SYNTAX, /* not a list of numbers and ascending ranges below CPULIST_CPUS */
};

/* Ascending and without doubles, however written. On success the caller owns *ret. -ENOMEM, or positive. Pure. */
int cpulist_parse(const char *s, json_t **ret);

/* The CPUs that the caller may use. 0 or -errno. */
int cpulist_from_affinity(json_t **ret);

#endif
