/* SPDX-License-Identifier: MIT */
/* The sums of a run that several workers merge into: run.totals, guarded by the semaphore `guard`. */
#ifndef CONCD_TOTALS_H
#define CONCD_TOTALS_H

#include "segment/segment.h"

/* Nothing merged yet. Only while no run is open. */
void totals_reset(struct segment *s);

/* Adds one seat. Under the guard. Killed at any point, totals_repair() puts it right. */
void totals_merge(struct segment *s, uint32_t seat);

/* Adds up again from all seats that are marked merged. Under the guard, or when its holder is dead. Idempotent. Takes a
 * struct segment *. */
void totals_repair(void *segment);

/* Takes in every seat that nobody merged because its worker died. Supervisor, when nobody is on a seat any more. */
void totals_complete(struct segment *s);

#endif
