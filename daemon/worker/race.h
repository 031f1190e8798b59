/* SPDX-License-Identifier: MIT */
/* The engine of a race: actor i is the worker on seat i of an open race. See race.c. */
#ifndef CONCD_WORKER_RACE_H
#define CONCD_WORKER_RACE_H

#include "worker/worker.h"

struct race_engine;

/* Makes the worker an actor: pins it, opens its side of the guard. 0 or -errno, logged; then race_end() is not owed. */
int race_begin(struct worker *w);

/* Takes part in trial after trial until actor 0 says that it is enough. Behind the start barrier. Blocks for
 * a batch of trials when the run is being stopped. */
void race_run(struct worker *w);

/* Frees what race_begin() made. Takes a worker without. */
void race_end(struct worker *w);

#endif
