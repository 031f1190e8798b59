/* SPDX-License-Identifier: MIT */
/* Finds workers that hang, and kills them; their deaths are recovered like all others. */
#ifndef CONCD_STALL_H
#define CONCD_STALL_H

#include <stdint.h>

struct supervisor;

/* Where a seat's worker stood when it was last looked at; for the time limit of a task. */
struct stall {
        uint32_t claim;
        uint64_t word;
        uint64_t since_ns;
};

/* How often a worker was looked at without a sign of life. */
struct pulse {
        uint64_t mark;
        uint32_t looks;
};

/* Kills the workers whose task has been going on for longer than its time limit. */
void stall_find_late(struct supervisor *s);

/* Kills the workers that are stopped, or hold the guard, and showed no sign of life for as long as jobs.heartbeat says.
 * Once a tick. */
void stall_feel_pulses(struct supervisor *s);

#endif
