/* SPDX-License-Identifier: MIT */
/* pthread_rwlock_t, process-shared. Only readers that ask for it share it. */
#include "guards/builtin.h"

static pthread_rwlock_t *
rwlock_of(struct race_guard *shared)
{
        return GUARD_AREA(shared, pthread_rwlock_t);
}

static int
rwlock_init(struct race_guard *shared)
{
        pthread_rwlockattr_t attr;
        int r = pthread_rwlockattr_init(&attr);

        if (r != 0)
                return -r;
        r = pthread_rwlockattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
        if (r == 0)
                r = pthread_rwlock_init(rwlock_of(shared), &attr);
        pthread_rwlockattr_destroy(&attr);
        return -r;
}

static bool
rwlock_try_acquire(struct guard_user *u)
{
        return pthread_rwlock_trywrlock(rwlock_of(u->shared)) == 0;
}

static int
rwlock_acquire(struct guard_user *u)
{
        struct timespec deadline;

        if (LIKELY(rwlock_try_acquire(u)))
                return 0;
        deadline = guard_deadline(u);
        return -pthread_rwlock_clockwrlock(rwlock_of(u->shared), CLOCK_MONOTONIC, &deadline);
}

static int
rwlock_acquire_shared(struct guard_user *u)
{
        struct timespec deadline;

        if (LIKELY(pthread_rwlock_tryrdlock(rwlock_of(u->shared)) == 0))
                return 0;
        deadline = guard_deadline(u);
        return -pthread_rwlock_clockrdlock(rwlock_of(u->shared), CLOCK_MONOTONIC, &deadline);
}

static void
rwlock_release(struct guard_user *u)
{
        pthread_rwlock_unlock(rwlock_of(u->shared));
}

const struct guard guard_rwlock = {
        .name = "rwlock",
        .summary = "pthread read-write lock, process-shared: readers together, a writer alone",
        .flags = GUARD_EXCLUDES | GUARD_LIMITS | GUARD_SHARES,
        .death = GUARD_DEATH_LOSES,
        .death_note = "of a writer: the others wait for ever; of a reader: the writers do",
        .init = rwlock_init,
        .try_acquire = rwlock_try_acquire,
        .acquire = rwlock_acquire,
        .release = rwlock_release,
        .acquire_shared = rwlock_acquire_shared,
};
