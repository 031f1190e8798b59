/* SPDX-License-Identifier: MIT */
/*
 * A ticket lock: who comes draws the next number and waits until that number is served, so all are served in the order
 * in which they came. What makes it a protocol is that a waiter may give up: its number would be called, nobody would
 * answer, and all behind it would wait for ever.
 *
 *     draw:     t = next++, and wait until serving == t.
 *     release:  serving = t + 1.
 *     give up:  a mark at ring[t]; look once more whether t is served.
 *     help:     who waits or comes, and finds that the served number has a mark, takes the mark away and releases it.
 *     return:   who gave up takes its mark away and stands in its old place again, or finds that others have done so,
 *               and draws a new number.
 *
 * A mark is taken away by CAS, and who took it away is the one who acts on it: its owner has its number back, or a
 * helper releases it. So every number is released once: by its owner that had the lock, or by one helper.
 *
 * The holder does not look at marks at all. It could not rely on it without a full fence, because a mark may be made in
 * the same instant in which its number is called; and it need not, because only those who want the lock need it to move
 * on, and each of them looks, again and again. A helper takes a mark away only while its number is served: it has read
 * that number from `serving`, which moves beyond it only when it was released; by then its mark is gone, and it does
 * not come back, since only a waiter sets one, for its own number.
 *
 * Nobody draws while an old number of its own is in the queue. Hence there are at most as many numbers in it as users,
 * and a ring with a place for each never has two in one place. A mark names number and owner: an old number that comes
 * again after 2^32 others is not mistaken.
 *
 * Orders: serving is stored with release and loaded with acquire, which hands over what the lock guards, also through
 * a helper: it has loaded the value before it stores the next one. A mark is set with release and taken away with
 * acq_rel.
 */
#include "guards/builtin.h"

#include <errno.h>

#define RING 64 /* the most users */

struct ticket_lock {
        alignas(RACE_LINE) _Atomic uint32_t next;
        alignas(RACE_LINE) _Atomic uint32_t serving;
        alignas(RACE_LINE) _Atomic uint64_t ring[RING]; /* 0, or number << 32 | owner + 1, of a number given up */
};

static struct ticket_lock *
lock_of(struct race_guard *shared)
{
        return GUARD_AREA(shared, struct ticket_lock);
}

static int
ticket_init(struct race_guard *shared)
{
        memset(lock_of(shared), 0, sizeof(struct ticket_lock));
        return 0;
}

static uint64_t
mark_of(const struct guard_user *u)
{
        return (uint64_t)u->ticket << 32 | (u->id + 1);
}

/* Takes the mark of number t away, whoever's it is. Did this caller? */
static bool
take_mark(struct ticket_lock *l, uint32_t t)
{
        uint64_t mark = atomic_load_explicit(&l->ring[t % RING], memory_order_relaxed);

        return UNLIKELY(mark != 0 && mark >> 32 == t) &&
               atomic_compare_exchange_strong_explicit(&l->ring[t % RING], &mark, 0, memory_order_acq_rel,
                                                       memory_order_relaxed);
}

/* The same for the user's own number: is it still in the queue, given up, and now its owner's again? */
static bool
take_own_mark(struct ticket_lock *l, const struct guard_user *u)
{
        uint64_t mark = mark_of(u);

        return UNLIKELY(atomic_load_explicit(&l->ring[u->ticket % RING], memory_order_relaxed) == mark) &&
               atomic_compare_exchange_strong_explicit(&l->ring[u->ticket % RING], &mark, 0, memory_order_acq_rel,
                                                       memory_order_relaxed);
}

/* Number s is done with; only by its holder, or by who took its mark away. */
static void
pass(struct ticket_lock *l, uint32_t s)
{
        atomic_store_explicit(&l->serving, s + 1, memory_order_release);
}

/* The number that is served; those that were given up are passed over. */
static uint32_t
served(struct ticket_lock *l)
{
        uint32_t s;

        while (take_mark(l, s = atomic_load_explicit(&l->serving, memory_order_acquire)))
                pass(l, s);
        return s;
}

static bool
ticket_try_acquire(struct guard_user *u)
{
        struct ticket_lock *l = lock_of(u->shared);
        uint32_t s = served(l), next = s;

        if (!atomic_compare_exchange_strong_explicit(&l->next, &next, s + 1, memory_order_relaxed,
                                                     memory_order_relaxed))
                return false;
        u->ticket = s;
        return true;
}

/* Leaves the queue: -ETIMEDOUT; unless the number was called just now: 0. */
static int
give_up(struct ticket_lock *l, struct guard_user *u)
{
        atomic_store_explicit(&l->ring[u->ticket % RING], mark_of(u), memory_order_release);
        if (atomic_load_explicit(&l->serving, memory_order_acquire) == u->ticket && take_own_mark(l, u))
                return 0;
        return -ETIMEDOUT;
}

static int
ticket_acquire(struct guard_user *u)
{
        struct ticket_lock *l = lock_of(u->shared);
        uint32_t turns = 0;

        if (!take_own_mark(l, u))
                u->ticket = atomic_fetch_add_explicit(&l->next, 1, memory_order_relaxed);
        while (served(l) != u->ticket)
                if (!guard_pause(u, &turns))
                        return give_up(l, u);
        return 0;
}

static void
ticket_release(struct guard_user *u)
{
        pass(lock_of(u->shared), u->ticket);
}

const struct guard guard_ticket = {
        .name = "ticket",
        .summary = "ticket lock: first come, first served; yields after a while",
        .flags = GUARD_EXCLUDES | GUARD_LIMITS,
        .death = GUARD_DEATH_LOSES,
        .death_note = "the others wait for ever, and so they do when one that waits in the queue is killed",
        .init = ticket_init,
        .try_acquire = ticket_try_acquire,
        .acquire = ticket_acquire,
        .release = ticket_release,
};
