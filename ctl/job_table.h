/* SPDX-License-Identifier: MIT */
/* The table of jobs that `jobs` and `status` show. */
#ifndef CONCCTL_JOB_TABLE_H
#define CONCCTL_JOB_TABLE_H

#include "shared/base.h"

/* Writes an array of Job objects. now_s: seconds since the Unix epoch, for their age. 0 or -errno. */
int job_table_print(const json_t *jobs, double now_s, const char *indent, FILE *f);

#endif
