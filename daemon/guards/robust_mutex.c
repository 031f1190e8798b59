/* SPDX-License-Identifier: MIT */
/*
 * pthread_mutex_t, process-shared and robust: when its owner dies, the kernel walks the list of robust mutexes of that
 * thread and marks them, and the next one to lock gets EOWNERDEAD with the mutex. Here it says that the data is
 * consistent at once, and leaves it to the actor to believe it: `owner_died`.
 */
#include "guards/builtin.h"

#include <errno.h>

static pthread_mutex_t *
robust_of(struct race_guard *shared)
{
        return GUARD_AREA(shared, pthread_mutex_t);
}

static int
robust_init(struct race_guard *shared)
{
        return guard_mutex_init(robust_of(shared), PTHREAD_MUTEX_ROBUST);
}

/* What came of locking it: 0 or -errno. */
static int
locked(struct guard_user *u, int r)
{
        if (UNLIKELY(r == EOWNERDEAD)) {
                u->owner_died = true;
                r = pthread_mutex_consistent(robust_of(u->shared));
        }
        return -r;
}

static bool
robust_try_acquire(struct guard_user *u)
{
        return locked(u, pthread_mutex_trylock(robust_of(u->shared))) == 0;
}

static int
robust_acquire(struct guard_user *u)
{
        struct timespec deadline;

        if (LIKELY(robust_try_acquire(u)))
                return 0;
        deadline = guard_deadline(u);
        return locked(u, pthread_mutex_clocklock(robust_of(u->shared), CLOCK_MONOTONIC, &deadline));
}

static void
robust_release(struct guard_user *u)
{
        pthread_mutex_unlock(robust_of(u->shared));
}

const struct guard guard_robust_mutex = {
        .name = "robust-mutex",
        .summary = "pthread mutex, process-shared and robust",
        .flags = GUARD_EXCLUDES | GUARD_LIMITS,
        .death = GUARD_DEATH_TOLD,
        .death_note = "the next one gets it and is told: EOWNERDEAD",
        .init = robust_init,
        .try_acquire = robust_try_acquire,
        .acquire = robust_acquire,
        .release = robust_release,
};
