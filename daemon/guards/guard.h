/* SPDX-License-Identifier: MIT */
/*
 * A guard: what protects shared state in a race. One const descriptor each, in the table of guards.c, one small file
 * beside it; one conformance suite runs over all of them, in processes and in threads.
 *
 * Its shared part lies in the segment (struct race_guard) and is process-shared in both modes. Each actor has a private
 * struct guard_user. No acquire blocks for ever: it gives up at the user's deadline, because an actor that waits for a
 * dead or deadlocked holder must be told from one that is slow.
 */
#ifndef CONCD_GUARD_H
#define CONCD_GUARD_H

#include "guards/gil.h"
#include "segment/race.h"

#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

/* What it does for whoever holds it; outcomes say which of these forbids them. */
#define GUARD_EXCLUDES UINT32_C(1) /* one holder at a time; of a semaphore only with one permit: see guard_effect() */
#define GUARD_LIMITS   UINT32_C(2) /* at most `permits` holders at a time */
#define GUARD_ATOMIC   UINT32_C(4) /* each single step is indivisible; nothing is held */
#define GUARD_SHARES   UINT32_C(8) /* readers can hold it together */

/* What it needs. */
#define GUARD_COUNTED      UINT32_C(0x100) /* takes a number of permits other than 1 */
#define GUARD_NAMED        UINT32_C(0x200) /* a named semaphore with so many permits, that the supervisor makes */
#define GUARD_THREADS_ONLY UINT32_C(0x400)

/* What a SIGKILL of its holder does to the others. */
enum guard_death {
        GUARD_DEATH_LOSES,    /* they wait for ever */
        GUARD_DEATH_REPAIRED, /* recover() gives back what the dead one had */
        GUARD_DEATH_TOLD,     /* the next one gets it and is told (EOWNERDEAD) */
        GUARD_DEATH_RELEASED, /* the kernel gives it back and says nothing */
        GUARD_DEATH_HARMLESS, /* nothing is held */
        GUARD_DEATHS,
};

/* An actor's side; private to it. The maker sets the first part, the guard keeps the rest. */
struct guard_user {
        struct race_guard *shared;
        uint32_t id;                    /* 0, 1, … of the actors */
        sem_t *sem;                     /* GUARD_NAMED: the actor's own handle; else NULL */
        _Atomic uint32_t *permit_state; /* in the segment, the actor's own */
        uint32_t *attention;            /* the run's attention word (gil) */
        const char *file;               /* a file that all actors may open, for file locks; as in shm_open(3) */
        uint64_t deadline_ns;           /* CLOCK_MONOTONIC: when acquire() gives up; may be changed at any time */

        bool owner_died; /* the last acquire() was told that the holder before had died; cleared by the reader */
        uint32_t cell;
        uint32_t ticket;
        int fd; /* -1: none */
        bool sharing;
        struct gil_thread gil;
};

struct guard {
        const char *name;
        const char *summary;
        uint32_t flags;
        enum guard_death death;
        const char *death_note; /* one line for people: what a SIGKILL of a holder does */

        /* Makes it free, whatever the memory held before. 0 or -errno. Only while nobody uses it. `permits` stands in
         * the shared part already, and the named semaphore has that value. */
        int (*init)(struct race_guard *shared);

        /* Optional: what an actor needs of its own. 0 or -errno; then detach() is not called. */
        int (*attach)(struct guard_user *u);
        void (*detach)(struct guard_user *u);

        /* Takes it if that needs no waiting. */
        bool (*try_acquire)(struct guard_user *u);

        /* Blocks until it is held: 0; or until the deadline: -ETIMEDOUT, nothing is held. Not recursive. */
        int (*acquire)(struct guard_user *u);
        void (*release)(struct guard_user *u);

        /* GUARD_SHARES: together with other readers, as acquire(). release() ends both. */
        int (*acquire_shared)(struct guard_user *u);

        /* Optional, both or none: at every step while it is held. Does another want it now? Then checkpoint() hands it
         * over and takes it back. */
        bool (*is_wanted)(const struct guard_user *u);
        void (*checkpoint)(struct guard_user *u);

        /* GUARD_DEATH_REPAIRED: gives back what the dead user `id` had, once its process was reaped; one at a time.
         * Returns the number of permits that it had. */
        uint32_t (*recover)(struct race_guard *shared, sem_t *sem, uint32_t id, _Atomic uint32_t *permit_state);
};

/* All of them, ended by NULL; the first, `none`, is no guard at all. */
extern const struct guard *const guards[];

/* Index of the row, or -1. */
int guard_by_name(const char *name);

/* The properties that hold with so many permits: with more than one, nothing is excluded any more. */
uint32_t guard_effect(const struct guard *g, uint32_t permits);

/* The most permits that it takes: 1, or PERMITS_MAX. */
uint32_t guard_permits_max(const struct guard *g);

#endif
