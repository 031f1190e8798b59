/* SPDX-License-Identifier: MIT */
/* What the guards share among themselves: the list of them, their places in the shared memory, and ways to wait. */
#ifndef CONCD_GUARD_BUILTIN_H
#define CONCD_GUARD_BUILTIN_H

#include "guards/guard.h"
#include "shared/base.h"
#include "shared/clock.h"

#include <sched.h>
#include <string.h>

/* One row each; the first is no guard at all. Every row has a file of its name beside this one (of
 * gil gil_guard.c, since gil.c is the lock itself, which the mode `gil` uses too). */
#define BUILTIN_GUARDS(X)                                                                                              \
        X(none)                                                                                                        \
        X(mutex)                                                                                                       \
        X(robust_mutex)                                                                                                \
        X(semaphore)                                                                                                   \
        X(raw_semaphore)                                                                                               \
        X(unnamed_semaphore)                                                                                           \
        X(spin)                                                                                                        \
        X(ticket)                                                                                                      \
        X(rwlock)                                                                                                      \
        X(atomic)                                                                                                      \
        X(flock)                                                                                                       \
        X(futex)                                                                                                       \
        X(gil)

#define BUILTIN_DECLARE(name) extern const struct guard guard_##name;
BUILTIN_GUARDS(BUILTIN_DECLARE)
#undef BUILTIN_DECLARE

/* The guard's own part of the shared memory, as a `type *`. */
#define GUARD_AREA(shared, type)                                                                                       \
        ({                                                                                                             \
                _Static_assert(sizeof(type) <= RACE_GUARD_BYTES, "a guard has so much room");                          \
                (type *)(void *)(shared)->area;                                                                        \
        })

/* Where nothing is held: everything succeeds at once. */
int nothing_init(struct race_guard *shared);
bool nothing_try_acquire(struct guard_user *u);
int nothing_acquire(struct guard_user *u);
void nothing_release(struct guard_user *u);

/* sem_wait(3) until the user's deadline: 0 or -ETIMEDOUT. A signal does not end it. */
int guard_sem_wait(struct guard_user *u, sem_t *sem);

/* A process-shared mutex, robust or not. 0 or -errno. */
int guard_mutex_init(pthread_mutex_t *mutex, int robustness);

/* The user's deadline, as the system calls want it. */
static inline struct timespec
guard_deadline(const struct guard_user *u)
{
        return (struct timespec){.tv_sec = (time_t)(u->deadline_ns / NS_PER_S),
                                 .tv_nsec = (long)(u->deadline_ns % NS_PER_S)};
}

static inline bool
guard_is_late(const struct guard_user *u)
{
        return clock_now_ns() >= u->deadline_ns;
}

/* So many pauses, and then the CPU is given away: the holder may be waiting for it. */
#define GUARD_PAUSES 128

/* One turn of a loop that waits without sleeping. False when the deadline has passed; it is looked at as often as the
 * CPU is given away. */
static inline bool
guard_pause(const struct guard_user *u, uint32_t *turns)
{
        if (++*turns % GUARD_PAUSES != 0) {
#if defined(__x86_64__) || defined(__i386__)
                __builtin_ia32_pause();
#else
                __asm__ volatile("" ::: "memory");
#endif
                return true;
        }
        sched_yield();
        return !guard_is_late(u);
}

#endif
