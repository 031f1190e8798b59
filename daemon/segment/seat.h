/* SPDX-License-Identifier: MIT */
/* The words by which workers find their way into a run: a seat's, and run.current. */
#ifndef CONCD_SEAT_H
#define CONCD_SEAT_H

#include "segment/layout.h"

#include <stdbool.h>

/* The word of a seat. */
static inline uint64_t
seat_pack(uint64_t run, enum seat_state state, uint32_t owner)
{
        return run << 24 | (uint64_t)state << 16 | owner;
}

static inline enum seat_state
seat_state(uint64_t word)
{
        return (enum seat_state)((word >> 16) & 0xff);
}

static inline uint64_t
seat_run(uint64_t word)
{
        return word >> 24;
}

static inline uint32_t
seat_owner(uint64_t word)
{
        return word & 0xffff;
}

/* Is a worker on it? */
static inline bool
seat_is_taken(uint64_t word)
{
        return seat_state(word) == SEAT_TAKEN || seat_state(word) == SEAT_READY;
}

static inline uint64_t
current_pack(uint64_t run, enum worker_kind kind, bool open)
{
        return run << 8 | (uint64_t)kind << 1 | (open ? CURRENT_OPEN : 0);
}

static inline uint64_t
current_run(uint64_t current)
{
        return current >> 8;
}

#endif
