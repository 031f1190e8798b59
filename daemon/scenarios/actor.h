/* SPDX-License-Identifier: MIT */
/*
 * What an actor of a race may do: every touch of the shared state goes through one of these visible operations, so that
 * the same source can one day run under a controlled scheduler. On hardware each is just that instruction. Plain loads
 * and stores are relaxed atomics: no tearing, no order, and the compiler neither merges nor drops them.
 */
#ifndef CONCD_ACTOR_H
#define CONCD_ACTOR_H

#include "guards/guard.h"
#include "shared/base.h"
#include "shared/clock.h"

#include <stdbool.h>

/* One actor; private to its worker. */
struct actor {
        uint32_t id, actors;
        const struct guard *guard;
        struct guard_user user;
        struct race *race;
        struct race_actor *figures;
        const int64_t *params;
        bool atomic_steps; /* the guard is `atomic` */
        bool hold_loop;    /* the guard is held over the loop, else for each step */
        bool measure;
        uint64_t widen;  /* turns of a loop that last widen_ns */
        uint64_t random; /* actor_random() */
        uint64_t steps;  /* of this trial */
        bool is_holding; /* the guard */
        uint32_t trial;  /* number, for the timeline */
        bool is_noted;   /* the timeline is on, and has room */
};

static inline uint64_t
actor_load(struct actor *a, const uint64_t *x)
{
        (void)a;
        return __atomic_load_n(x, __ATOMIC_RELAXED);
}

static inline void
actor_store(struct actor *a, uint64_t *x, uint64_t value)
{
        (void)a;
        __atomic_store_n(x, value, __ATOMIC_RELAXED);
}

static inline uint64_t
actor_load_acquire(struct actor *a, const uint64_t *x)
{
        (void)a;
        return __atomic_load_n(x, __ATOMIC_ACQUIRE);
}

static inline void
actor_store_release(struct actor *a, uint64_t *x, uint64_t value)
{
        (void)a;
        __atomic_store_n(x, value, __ATOMIC_RELEASE);
}

/* Read-modify-writes: the value before; did it swap? */
static inline uint64_t
actor_add(struct actor *a, uint64_t *x, uint64_t value)
{
        (void)a;
        return __atomic_fetch_add(x, value, __ATOMIC_SEQ_CST);
}

static inline bool
actor_swap_if(struct actor *a, uint64_t *x, uint64_t expected, uint64_t value)
{
        (void)a;
        return __atomic_compare_exchange_n(x, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* A full fence. */
static inline void
actor_fence(struct actor *a)
{
        (void)a;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Makes the window between a load and the store that belongs to it wider; nothing without --widen. */
static inline void
actor_widen(struct actor *a)
{
        for (uint64_t i = 0; i < a->widen; i++)
                __asm__ volatile("" ::: "memory");
}

/* One step is done. False when the trial is over: its time has passed, or somebody said so; then return at once, having
 * released what is held. To be called in every loop. */
bool actor_goes_on(struct actor *a);

/* Gives the CPU to somebody else. */
void actor_yield(struct actor *a);

/* Takes the guard: true, or false when the trial was over before. Not recursive. */
bool actor_acquire(struct actor *a);
bool actor_acquire_shared(struct actor *a);
void actor_release(struct actor *a);

/* Ends the trial for everybody. */
void actor_end_trial(struct actor *a);

/* Writes it into the timeline, if there is one. */
void actor_note(struct actor *a, enum race_event_kind kind);

/* Uniform below n. Private, costs 1 ns. */
uint64_t actor_random(struct actor *a, uint64_t n);

/* Adds `by` to *x as an unguarded programmer would, with the window widened; by one instruction if the guard is
 * `atomic`. The guard is the caller's business. */
void actor_bump(struct actor *a, uint64_t *x, uint64_t by);

#endif
