/* SPDX-License-Identifier: MIT */
/*
 * spawn=per-task with 0 workers, as the original experiment did it: one pool worker starts a process or thread
 * for every task of its chunk before it awaits the first, then commits in order.
 */
#ifndef CONCD_AT_ONCE_H
#define CONCD_AT_ONCE_H

#include "worker/worker.h"

/* Executes the rest of the claimed line. False when told to stop before its end. */
bool at_once_execute(struct worker *w, uint64_t base, uint64_t size);

#endif
