/* SPDX-License-Identifier: MIT */
/* A semaphore in the segment itself: sem_init(3), process-shared. */
#include "guards/builtin.h"

#include <errno.h>

static sem_t *
sem_of(struct race_guard *shared)
{
        return GUARD_AREA(shared, sem_t);
}

static int
unnamed_init(struct race_guard *shared)
{
        return sem_init(sem_of(shared), 1, shared->permits) < 0 ? -errno : 0;
}

static bool
unnamed_try_acquire(struct guard_user *u)
{
        return sem_trywait(sem_of(u->shared)) == 0;
}

static int
unnamed_acquire(struct guard_user *u)
{
        return guard_sem_wait(u, sem_of(u->shared));
}

static void
unnamed_release(struct guard_user *u)
{
        sem_post(sem_of(u->shared));
}

const struct guard guard_unnamed_semaphore = {
        .name = "unnamed-semaphore",
        .summary = "POSIX semaphore with N permits in the shared memory itself",
        .flags = GUARD_EXCLUDES | GUARD_LIMITS | GUARD_COUNTED,
        .death = GUARD_DEATH_LOSES,
        .death_note = "its permit is gone for good: a semaphore has no owner",
        .init = unnamed_init,
        .try_acquire = unnamed_try_acquire,
        .acquire = unnamed_acquire,
        .release = unnamed_release,
};
