/* SPDX-License-Identifier: MIT */
/*
 * The memory of a race, a part of the segment. Who writes what:
 *
 *   spec, guard, seed   the supervisor, only while no race is open, or all of its actors were reaped
 *   batch               actor 0, between the two rendezvous at which all others wait (worker/race.c)
 *   tally               actor 0, committed by one store to `tally_at`
 *   struct race_actor   that actor; the supervisor when the actor's process was reaped, or the run is over
 *   arena               the trials' shared state: everybody, that is what a race is about
 *
 * All of it may be dropped: a race does not outlive its supervisor (it ends `interrupted`), and what a death in its
 * gang leaves unfinished is a trial that was not counted.
 */
#ifndef CONCD_RACE_H
#define CONCD_RACE_H

#include "segment/permits.h"
#include "shared/histogram.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define RACE_ARENA_BYTES  (512 * 1024) /* the states of one batch of trials */
#define RACE_LINE         64           /* a location of its own: a cache line */
#define RACE_BATCH_MAX    1024         /* trials between two rendezvous */
#define RACE_OUTCOMES_MAX 24
#define RACE_PARAMS_MAX   8
#define RACE_EVENTS_MAX   512 /* of each actor: who held, who waited, for the picture */
#define RACE_GUARD_BYTES  1024

enum race_barrier {
        RACE_BARRIER_SPIN,     /* a rendezvous for each trial */
        RACE_BARRIER_PTHREAD,  /* the same by pthread_barrier_wait(3) */
        RACE_BARRIER_TIMEBASE, /* one rendezvous a batch, then each trial at its instant of the TSC */
        RACE_BARRIER_NONE,     /* whoever comes first begins */
        RACE_BARRIERS,
};

enum race_hold {
        RACE_HOLD_LOOP, /* the guard is held over all of an actor's steps */
        RACE_HOLD_STEP, /* and here for one step */
        RACE_HOLDS,
};

/* What was chosen otherwise than asked for; race.notes has a bit of each. */
enum race_note {
        RACE_NOTE_CROWDED = 1,     /* more actors than CPUs: the barrier sleeps */
        RACE_NOTE_NO_TIMEBASE = 2, /* no TSC that goes on steadily: barrier spin */
        RACE_NOTE_SKEW = 4,        /* the CPUs' TSCs differ: barrier spin */
        RACE_NOTE_NOT_PINNED = 8,  /* an actor could not be pinned */
};

struct race_spec {
        uint32_t scenario; /* index into scenarios[] */
        uint32_t guard;    /* index into guards[] */
        uint32_t permits;
        uint32_t actors;
        uint32_t barrier;  /* enum race_barrier */
        uint32_t hold;     /* enum race_hold */
        uint32_t pin;      /* actor i runs on the i-th of the run's CPUs only, if there are enough */
        uint32_t measure;  /* waits, holders, hand-offs */
        uint32_t timeline; /* note events of the first trials */
        uint32_t batch;    /* trials between two rendezvous, 1 to RACE_BATCH_MAX */
        uint64_t trials;   /* 0: as many as there is time for */
        uint64_t widen_ns; /* between a step's load and its store */
        uint64_t trial_ns; /* a trial that takes longer is over */
        int64_t params[RACE_PARAMS_MAX];
};

/* What protects the shared state; `area` is the guard's own, see guards/guard.h. */
struct race_guard {
        uint32_t permits;
        alignas(RACE_LINE) unsigned char area[RACE_GUARD_BYTES];
        struct permits cells; /* of the kill-proof semaphore */
};

enum race_event_kind { RACE_EVENT_WAIT, RACE_EVENT_HOLD, RACE_EVENT_RELEASE, RACE_EVENT_BEGIN, RACE_EVENT_END };

struct race_event {
        uint64_t at_ns; /* CLOCK_MONOTONIC */
        uint32_t kind;  /* enum race_event_kind */
        uint32_t trial;
};

struct race_actor {
        alignas(RACE_LINE) _Atomic uint64_t phase;        /* rendezvous passed or reached; release / acquire */
        _Atomic uint64_t trial;                           /* the trial at whose start it stands; release / acquire */
        alignas(RACE_LINE) _Atomic uint32_t permit_state; /* enum permit_state, of the race's guard */
        uint64_t steps, acquires, contended, handoffs, timeouts;
        uint32_t n_events;
        struct histogram wait; /* ns from asking for the guard to having it */
        struct race_event event[RACE_EVENTS_MAX];
};

/* Counts that are right at every instant: the copy at [tally_at & 1] is complete. */
struct race_tally {
        uint64_t trials, unknown;
        uint64_t count[RACE_OUTCOMES_MAX];
        uint64_t lost;      /* updates */
        uint64_t leaked;    /* permits that a killed holder took with it for good */
        uint64_t recovered; /* and those that came back */
        uint64_t kills;     /* of holders, by the scenario */
};

struct race {
        struct race_spec spec;
        struct race_guard guard;
        uint64_t seed;
        uint64_t semaphore;     /* number of the named semaphore: semaphore_race_name(); supervisor */
        uint64_t dropped;       /* trials that were not counted, because an actor was killed from outside; supervisor */
        _Atomic uint32_t notes; /* bits of enum race_note; relaxed, read when the race is over */
        _Atomic uint64_t tally_at; /* release / acquire */
        struct race_tally tally[2];
        uint64_t batch_n;     /* trials of the present batch; 0: the race is over */
        uint64_t batch_first; /* number of its first trial */
        uint64_t batch_tsc;   /* timebase: when trial 0 of it starts, and the distance of two */
        uint64_t batch_step_tsc;
        uint16_t place[RACE_BATCH_MAX];                 /* trial i lies at place[i] of the arena: shuffled */
        uint64_t barrier_made;                          /* spec.barrier after what the machine allows */
        alignas(RACE_LINE) _Atomic uint32_t trial_over; /* a flag to all: give the present trial up */
        alignas(RACE_LINE) _Atomic int32_t holders;
        _Atomic int32_t holders_max;
        alignas(RACE_LINE) _Atomic uint32_t last_holder;   /* actor + 1 */
        alignas(RACE_LINE) unsigned char barrier_area[64]; /* a pthread_barrier_t */
        alignas(4096) unsigned char arena[RACE_ARENA_BYTES];
};

/* The counts as they stand. Whoever reads them while the race goes on asks again if tally_at moved. */
static inline const struct race_tally *
race_tally(const struct race *r)
{
        return &r->tally[atomic_load_explicit(&r->tally_at, memory_order_acquire) & 1];
}

#endif
