/* SPDX-License-Identifier: MIT */
/* What is special about a run that is a race: its memory, its semaphore, and a gang that lives and dies together. */
#ifndef CONCD_RACE_RUN_H
#define CONCD_RACE_RUN_H

#include "segment/segment.h"
#include "supervisor/plan.h"

#include <stdbool.h>

struct supervisor;

/* Makes the memory of the race and its named semaphore, when the run is about to be opened. 0 or -errno, logged. */
int race_run_open(struct supervisor *s, const struct variant *v);

/* A worker on a seat of the race has died, its slot is recovered and its seat DONE: ends the others, too. */
void race_run_break(struct supervisor *s);

/* All actors of a broken race were reaped: what they shared is as new, what they counted stays, the start barrier is
 * closed and every seat empty. 0 or -errno, logged. */
int race_run_renew(struct supervisor *s);

/* Takes the named semaphore away, if there is one. */
void race_run_close(struct supervisor *s);

/* Trials that were counted, whatever their outcome; all are: no actor will begin another one. */
uint64_t race_run_done(const struct segment *segment);
bool race_run_is_complete(const struct segment *segment);

/* Is what an adopted segment holds of an open race the one that this variant makes, and everything that is found or
 * counted by within its bounds? */
bool race_run_is_sound(const struct segment *segment, const struct variant *v);

#endif
