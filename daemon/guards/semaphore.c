/* SPDX-License-Identifier: MIT */
/* The named semaphore whose permits survive a SIGKILL: segment/permits.c, with the actor's id as its slot. */
#include "guards/builtin.h"

static int
semaphore_init(struct race_guard *shared)
{
        permits_init(&shared->cells, shared->permits);
        return 0;
}

static bool
semaphore_try_acquire(struct guard_user *u)
{
        return permits_acquire_until(&u->shared->cells, u->sem, u->id, u->permit_state, 0, &u->cell) == 0;
}

static int
semaphore_acquire(struct guard_user *u)
{
        return permits_acquire_until(&u->shared->cells, u->sem, u->id, u->permit_state, u->deadline_ns, &u->cell);
}

static void
semaphore_release(struct guard_user *u)
{
        permits_release(&u->shared->cells, u->sem, u->cell, u->permit_state);
}

static uint32_t
semaphore_recover(struct race_guard *shared, sem_t *sem, uint32_t id, _Atomic uint32_t *permit_state)
{
        return permits_recover(&shared->cells, sem, id, permit_state, NULL, NULL);
}

const struct guard guard_semaphore = {
        .name = "semaphore",
        .summary = "named POSIX semaphore with N permits, each with its owner's name beside it",
        .flags = GUARD_EXCLUDES | GUARD_LIMITS | GUARD_COUNTED | GUARD_NAMED,
        .death = GUARD_DEATH_REPAIRED,
        .death_note = "its permit is given back as soon as its process was reaped",
        .init = semaphore_init,
        .try_acquire = semaphore_try_acquire,
        .acquire = semaphore_acquire,
        .release = semaphore_release,
        .recover = semaphore_recover,
};
