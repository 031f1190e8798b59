/* SPDX-License-Identifier: MIT */
/* Test and test-and-set: waiters only read, each in its own cache, until the word looks free. */
#include "guards/builtin.h"

#include <errno.h>

/* 0 is free. Taken with acquire, given back with release. */
static _Atomic uint32_t *
spin_of(struct race_guard *shared)
{
        return GUARD_AREA(shared, _Atomic uint32_t);
}

static int
spin_init(struct race_guard *shared)
{
        atomic_store_explicit(spin_of(shared), 0, memory_order_relaxed);
        return 0;
}

static bool
spin_try_acquire(struct guard_user *u)
{
        return atomic_exchange_explicit(spin_of(u->shared), 1, memory_order_acquire) == 0;
}

static int
spin_acquire(struct guard_user *u)
{
        _Atomic uint32_t *word = spin_of(u->shared);
        uint32_t turns = 0;

        while (!spin_try_acquire(u))
                while (atomic_load_explicit(word, memory_order_relaxed) != 0)
                        if (!guard_pause(u, &turns))
                                return -ETIMEDOUT;
        return 0;
}

static void
spin_release(struct guard_user *u)
{
        atomic_store_explicit(spin_of(u->shared), 0, memory_order_release);
}

const struct guard guard_spin = {
        .name = "spin",
        .summary = "spin lock: test and test-and-set, yields after a while",
        .flags = GUARD_EXCLUDES | GUARD_LIMITS,
        .death = GUARD_DEATH_LOSES,
        .death_note = "the others spin for ever: the word says taken, and not by whom",
        .init = spin_init,
        .try_acquire = spin_try_acquire,
        .acquire = spin_acquire,
        .release = spin_release,
};
