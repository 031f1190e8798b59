/* SPDX-License-Identifier: MIT */
/*
 * Who is to blame: when a task kills its process by a signal of its own or by exit(), the dying thread marks the
 * slot it works for, so that in the thread host only the culprit's task is charged.
 */
#ifndef CONCD_FATAL_H
#define CONCD_FATAL_H

#include "segment/layout.h"

#include <stdbool.h>

/* Once per process. Registers the exit handler (it ends the process at once, without the handlers registered before);
 * with `signals` also the signal handlers of the thread host, else the fatal signals get their default action. */
int fatal_install(bool signals);

/* The calling thread works for `slot` from now on, on task `task` of an all-at-once run or UINT64_MAX; NULL: for
 * nobody. With `stack` it gets an alternate signal stack, so that an overflow of its own can be told. */
int fatal_enter(struct slot *slot, uint64_t task, bool stack);

/* Frees the alternate stack. */
void fatal_leave(void);

/* Is it a signal that a process brings upon itself (SIGSEGV, …), as opposed to being killed from outside? */
bool fatal_signal_is_own(int signal);

#endif
