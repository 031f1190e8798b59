/* SPDX-License-Identifier: MIT */
/* When a process started: with its pid, that tells a process from a later one with the same pid. */
#ifndef CONCD_PROCESS_TIME_H
#define CONCD_PROCESS_TIME_H

#include <stdint.h>
#include <sys/types.h>

/* In clock ticks since boot, from /proc; 0 when there is no such process, or it is dead and only not reaped.
 * Thread safe. */
uint64_t process_start_time(pid_t pid);

#endif
