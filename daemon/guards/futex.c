/* SPDX-License-Identifier: MIT */
/*
 * A mutex of one word over futex(2), the third one of Ulrich Drepper's "Futexes Are Tricky": 0 free, 1 taken, 2 taken
 * and somebody may sleep. Who has waited takes it as 2, since it cannot know whether others still sleep: its release
 * wakes one too many rather than one too few. A waiter that gives up leaves the 2 behind, which costs a system call and
 * no more; and it takes no wake-up with it, because the kernel says "timed out" only to who was not woken.
 */
#include "guards/builtin.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>

enum { FUTEX_FREE, FUTEX_TAKEN, FUTEX_WAITED_FOR };

/* Taken with acquire, given back with release. */
static _Atomic uint32_t *
futex_of(struct race_guard *shared)
{
        return GUARD_AREA(shared, _Atomic uint32_t);
}

static int
futex_init(struct race_guard *shared)
{
        atomic_store_explicit(futex_of(shared), FUTEX_FREE, memory_order_relaxed);
        return 0;
}

static bool
futex_try_acquire(struct guard_user *u)
{
        uint32_t was = FUTEX_FREE;

        return atomic_compare_exchange_strong_explicit(futex_of(u->shared), &was, FUTEX_TAKEN, memory_order_acquire,
                                                       memory_order_relaxed);
}

static int
futex_acquire(struct guard_user *u)
{
        _Atomic uint32_t *word = futex_of(u->shared);
        struct timespec deadline;

        if (LIKELY(futex_try_acquire(u)))
                return 0;
        deadline = guard_deadline(u);
        while (atomic_exchange_explicit(word, FUTEX_WAITED_FOR, memory_order_acquire) != FUTEX_FREE)
                if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET, FUTEX_WAITED_FOR, &deadline, NULL,
                            FUTEX_BITSET_MATCH_ANY) < 0 &&
                    errno == ETIMEDOUT)
                        return -ETIMEDOUT;
        return 0;
}

static void
futex_release(struct guard_user *u)
{
        _Atomic uint32_t *word = futex_of(u->shared);

        if (atomic_exchange_explicit(word, FUTEX_FREE, memory_order_release) == FUTEX_WAITED_FOR)
                syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

const struct guard guard_futex = {
        .name = "futex",
        .summary = "a mutex by hand: one word, futex(2) to sleep and to wake",
        .flags = GUARD_EXCLUDES | GUARD_LIMITS,
        .death = GUARD_DEATH_LOSES,
        .death_note = "the others sleep for ever: the word says taken, and not by whom",
        .init = futex_init,
        .try_acquire = futex_try_acquire,
        .acquire = futex_acquire,
        .release = futex_release,
};
