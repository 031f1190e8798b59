/* SPDX-License-Identifier: MIT */
/* The named semaphore as POSIX has it: it knows how many permits there are, and not who has them. */
#include "guards/builtin.h"

#include <errno.h>

int
guard_sem_wait(struct guard_user *u, sem_t *sem)
{
        struct timespec deadline;

        if (LIKELY(sem_trywait(sem) == 0))
                return 0;
        deadline = guard_deadline(u);
        while (sem_clockwait(sem, CLOCK_MONOTONIC, &deadline) < 0)
                if (errno != EINTR)
                        return -errno;
        return 0;
}

static bool
raw_try_acquire(struct guard_user *u)
{
        return sem_trywait(u->sem) == 0;
}

static int
raw_acquire(struct guard_user *u)
{
        return guard_sem_wait(u, u->sem);
}

static void
raw_release(struct guard_user *u)
{
        sem_post(u->sem);
}

const struct guard guard_raw_semaphore = {
        .name = "raw-semaphore",
        .summary = "named POSIX semaphore with N permits, as it is",
        .flags = GUARD_EXCLUDES | GUARD_LIMITS | GUARD_COUNTED | GUARD_NAMED,
        .death = GUARD_DEATH_LOSES,
        .death_note = "its permit is gone for good: a semaphore has no owner",
        .init = nothing_init,
        .try_acquire = raw_try_acquire,
        .acquire = raw_acquire,
        .release = raw_release,
};
