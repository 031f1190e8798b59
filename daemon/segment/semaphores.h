/* SPDX-License-Identifier: MIT */
/*
 * The daemon's named semaphores: /concd.<uid>.<instance>.<generation>.<purpose>. An existing one is never opened
 * by who creates: under O_EXCL the next free generation is taken, because a name may be a squatter's, or hold the
 * state of a dead daemon. Not thread safe on one object; every thread has its own, on the same semaphores.
 */
#ifndef CONCD_SEMAPHORES_H
#define CONCD_SEMAPHORES_H

#include "segment/layout.h"

#include <semaphore.h>
#include <stdint.h>
#include <sys/types.h>

enum semaphore_purpose {
        SEMAPHORE_GUARD,   /* the totals of a run; 1 permit */
        SEMAPHORE_PROCESS, /* the gate on which idle process workers sleep */
        SEMAPHORE_THREAD,  /* the gate on which idle thread workers sleep */
        SEMAPHORES,
};

#define SEMAPHORE_NAME_MAX 128

struct semaphores {
        uint64_t generation;
        sem_t *sem[SEMAPHORES]; /* NULL when not open */
};

/* The gate on which idle workers of a kind sleep. */
static inline sem_t *
semaphores_gate(const struct semaphores *s, enum worker_kind kind)
{
        return s->sem[kind == WORKER_PROCESS ? SEMAPHORE_PROCESS : SEMAPHORE_THREAD];
}

const char *semaphore_purpose_name(enum semaphore_purpose purpose);
void semaphore_name(char buf[SEMAPHORE_NAME_MAX], uid_t uid, const char *instance, uint64_t generation,
                    enum semaphore_purpose purpose);

/* Creates the set under `generation` or the next one that is free, mode 0600. 0 or -errno; then nothing is left. */
int semaphores_create(struct semaphores *s, uid_t uid, const char *instance, uint64_t generation);

/* Opens an existing set, as a worker does that finds a new generation. 0 or -errno (-ENOENT: it is gone already). */
int semaphores_open(struct semaphores *s, uid_t uid, const char *instance, uint64_t generation);

/* Lets go of the set; the names stay. */
void semaphores_close(struct semaphores *s);

/* Takes the names of a generation away; who has them open keeps them. */
void semaphores_unlink(uid_t uid, const char *instance, uint64_t generation);

/*
 * The semaphore of a race whose guard is a named one, …<generation>.race-<number>. Each race has its own, and a new one
 * whenever its actors were killed: nothing that those left in it counts.
 */
void semaphore_race_name(char buf[SEMAPHORE_NAME_MAX], uid_t uid, const char *instance, uint64_t generation,
                         uint64_t number);

/* Creates it, mode 0600, under *number or the next one that is free, which is then in *number. 0 or -errno, logged. */
int semaphore_race_create(sem_t **ret, uid_t uid, const char *instance, uint64_t generation, uint64_t *number,
                          unsigned value);

/* Opens an existing one, as an actor does. 0 or -errno. Closed by sem_close(3). */
int semaphore_race_open(sem_t **ret, uid_t uid, const char *instance, uint64_t generation, uint64_t number);

/* Takes the name away. */
void semaphore_race_unlink(uid_t uid, const char *instance, uint64_t generation, uint64_t number);

/* Takes the names of all generations away that a dead daemon left, whole or half made, and says of each that is none of
 * ours. Returns how many there were. */
int semaphores_remove_stale(uid_t uid, const char *instance);

#endif
