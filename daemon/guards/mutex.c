/* SPDX-License-Identifier: MIT */
/* pthread_mutex_t, process-shared. */
#include "guards/builtin.h"

int
guard_mutex_init(pthread_mutex_t *mutex, int robustness)
{
        pthread_mutexattr_t attr;
        int r = pthread_mutexattr_init(&attr);

        if (r != 0)
                return -r;
        r = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
        if (r == 0)
                r = pthread_mutexattr_setrobust(&attr, robustness);
        if (r == 0)
                r = pthread_mutex_init(mutex, &attr);
        pthread_mutexattr_destroy(&attr);
        return -r;
}

static pthread_mutex_t *
mutex_of(struct race_guard *shared)
{
        return GUARD_AREA(shared, pthread_mutex_t);
}

static int
mutex_init(struct race_guard *shared)
{
        return guard_mutex_init(mutex_of(shared), PTHREAD_MUTEX_STALLED);
}

static bool
mutex_try_acquire(struct guard_user *u)
{
        return pthread_mutex_trylock(mutex_of(u->shared)) == 0;
}

static int
mutex_acquire(struct guard_user *u)
{
        struct timespec deadline;

        if (LIKELY(mutex_try_acquire(u)))
                return 0;
        deadline = guard_deadline(u);
        return -pthread_mutex_clocklock(mutex_of(u->shared), CLOCK_MONOTONIC, &deadline);
}

static void
mutex_release(struct guard_user *u)
{
        pthread_mutex_unlock(mutex_of(u->shared));
}

const struct guard guard_mutex = {
        .name = "mutex",
        .summary = "pthread mutex, process-shared",
        .flags = GUARD_EXCLUDES | GUARD_LIMITS,
        .death = GUARD_DEATH_LOSES,
        .death_note = "the others wait for ever: nobody knows that its owner is dead",
        .init = mutex_init,
        .try_acquire = mutex_try_acquire,
        .acquire = mutex_acquire,
        .release = mutex_release,
};
