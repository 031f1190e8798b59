/* SPDX-License-Identifier: MIT */
/* Job ids: 128 random bits as 32 hexadecimal digits. People may shorten them as long as they stay unique. */
#ifndef CONCCTL_JOB_ID_H
#define CONCCTL_JOB_ID_H

#include "ctl/args.h"
#include "ctl/client.h"

#define JOB_ID_DIGITS 32
#define JOB_ID_SHORT  12 /* digits shown in tables */

/* buf: JOB_ID_DIGITS + 1 bytes. 0 or -errno. */
int job_id_make(char *buf);

/* The id in an array of Job objects that begins with `given`. 0 with *ret inside `jobs`; an exit code, having said
 * that there is none, or several, or that it is no beginning of an id. */
int job_id_find(const json_t *jobs, const char *given, const char **ret);

/* Connects to the daemon that runs, as --socket says, and finds the job that the first operand means: a whole id is
 * taken as it is; for a shorter one, the daemon is asked. buf: JOB_ID_DIGITS + 1 bytes. 0, and the caller owns *ret; or
 * an exit code, having said what is wrong. */
int job_id_open(const struct args *args, struct client **ret, char *buf);

#endif
