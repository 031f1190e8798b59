/* SPDX-License-Identifier: MIT */
/* What /proc tells of a process. When it started, with its pid, tells it from a later one with the same pid. */
#ifndef CONCD_PROCESS_TIME_H
#define CONCD_PROCESS_TIME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* In clock ticks since boot, from /proc; 0 when there is no such process, or it is dead and only not reaped.
 * Thread safe. */
uint64_t process_start_time(pid_t pid);

/* Is it stopped by a signal (and not by a debugger)? Thread safe. */
bool process_is_stopped(pid_t pid);

#endif
