/* SPDX-License-Identifier: MIT */
/*
 * What the supervisor does about workers that died: the order is ledger first, permits second, and only
 * then is a seat or a slot given out again.
 */
#ifndef CONCD_RECOVERY_H
#define CONCD_RECOVERY_H

#include "segment/segment.h"
#include "supervisor/children.h"

#include <stdbool.h>

struct supervisor;

/* Why a worker died of its own doing. */
struct cause {
        enum failure_reason reason;
        int value;
};

struct seat_census {
        uint32_t seated; /* workers on a seat */
        uint32_t empty;  /* seats that nobody took yet, or whose worker died */
};

struct seat_census recovery_census(const struct supervisor *s);

/* Recovers all slots that lived in a child which was reaped. */
void recovery_of_death(struct supervisor *s, const struct child_death *death);

/*
 * Recovers all that the workers of a dead supervisor left in the run: every line is free again, every task that is
 * done is counted for its seat, every seat is empty and every slot free, the locks are new, and the run is closed.
 * Deaths while no supervisor lived are nobody's fault. Only when none of the workers lives any more, and on a run that
 * is sound; the permits of the guard are made anew by who makes its semaphore. Can be killed and repeated. 0 or
 * -ENOMEM; nothing was changed then.
 */
int recovery_of_herd(struct segment *segment);

/* Closes the seats that nobody took, so that nobody can. False when somebody was faster: he will leave and ring. */
bool recovery_close_seats(struct supervisor *s);

/* Lets a worker sit down again on a seat that was done, and calls one. */
void recovery_reopen_seat(struct supervisor *s, uint32_t seat);

/* Kills every worker that is on a seat. */
void recovery_kill_seated(struct supervisor *s);

/* Worker deaths within the present run, and how many of them came from outside. */
uint64_t recovery_restarts(const struct supervisor *s);
uint64_t recovery_kills(const struct supervisor *s);

#endif
