/* SPDX-License-Identifier: MIT */
/*
 * The interpreter lock of CPython 3.11, as a protocol (the facts: the comments and the order of operations in its
 * Python/ceval_gil.h; the idea: Antoine Pitrou's "new GIL", Python 3.2).
 *
 * A waiter sleeps until the lock is released, but at most for the switch interval. If the interval passed and the
 * holder is still the same one, it sets GIL_DROP_BIT in the attention word and sleeps on. The holder sees the bit at
 * its next checkpoint and releases. It does not take the lock again at once, which it would nearly always win,
 * being on the CPU already: it first waits until some other thread has taken it. This is the forced switch. Without
 * it two threads were seen to make 91 switches per second with waits of up to 225 ms, with it about 195, as
 * CPython does: one per interval and wake-up. Whoever takes the lock clears the bit; the waiters that
 * remain see that the holder changed and give the new one a whole interval of its own.
 *
 * Why nobody waits for ever in the forced switch. The bit is only set under `lock`, by a waiter, while the lock is
 * held; and every taking clears the bit. So when the holder finds it set, who set it is still waiting, and takes the
 * lock now that it is free, unless another thread is quicker, which ends the forced switch just as well. `waiters`
 * covers who left without taking it: a bit left over from threads that gave up or were killed makes nobody wait. A
 * waiter gives up only while the lock is held (else it takes it), so it carries no signal of a release away, and none
 * is in a forced switch then who has not been overtaken already. A thread that blocks or ends simply releases, and
 * waits for its successor in the same way if it was asked to.
 *
 * Why the wait for it ends. `last_holder` can leave a thread's own number only by another's taking, and come
 * back only by its own; so the test cannot miss a change, however often the lock moved on meanwhile.
 *
 * What differs from CPython, and why:
 * - One mutex guards everything, where CPython has a second one for the forced switch alone. Therefore the
 *   one who drops need not clear the bit itself: nobody can take and drop between its release and its wait.
 * - The forced switch is repeated until its condition holds, at least once per interval. CPython waits once, with no
 *   limit; but a signal of a condition variable can be lost in glibc before 2.41 (bug 25847), and that would
 *   be a hang here. `taken` is broadcast, since several threads that dropped may not have woken up yet.
 * - The lock word is a plain integer under the mutex: nobody here asks for it without the mutex.
 * - No thread state, no signals, no pending calls, and no exit of a waiter at the end of the interpreter: here waiters
 *   stay, and when the process is killed, the lock is made anew by gil_init().
 *
 * Lock order: `lock` is a leaf; it is never held while anything else is taken or while a task runs. The attention
 * word is accessed relaxed, since what must be seen is ordered by the mutex; a checkpoint may see the bit late.
 */
#include "guards/gil.h"

#include "shared/base.h"
#include "shared/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>

static void
gil_lock(struct gil *gil)
{
        int r = pthread_mutex_lock(&gil->lock);

        assert(r == 0);
        (void)r;
}

static void
gil_unlock(struct gil *gil)
{
        int r = pthread_mutex_unlock(&gil->lock);

        assert(r == 0);
        (void)r;
}

/* Sleeps for at most the interval, and not beyond `until_ns`; `lock` is held before and after. True when it was not
 * woken. */
static bool
gil_wait(struct gil *gil, pthread_cond_t *cond, uint64_t until_ns)
{
        uint64_t end = MIN(clock_now_ns() + gil->interval_ns, until_ns);
        struct timespec ts = {.tv_sec = (time_t)(end / NS_PER_S), .tv_nsec = (long)(end % NS_PER_S)};
        int r = pthread_cond_timedwait(cond, &gil->lock, &ts);

        assert(r == 0 || r == ETIMEDOUT);
        return r == ETIMEDOUT;
}

static int
gil_init_conds(struct gil *gil)
{
        pthread_condattr_t attr;
        int r = pthread_condattr_init(&attr);

        if (r != 0)
                return -r;
        r = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        if (r == 0)
                r = pthread_condattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
        if (r == 0)
                r = pthread_cond_init(&gil->released, &attr);
        if (r == 0)
                r = pthread_cond_init(&gil->taken, &attr);
        pthread_condattr_destroy(&attr);
        return -r;
}

static int
gil_init_lock(struct gil *gil)
{
        pthread_mutexattr_t attr;
        int r = pthread_mutexattr_init(&attr);

        if (r != 0)
                return -r;
        r = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
        if (r == 0)
                r = pthread_mutex_init(&gil->lock, &attr);
        pthread_mutexattr_destroy(&attr);
        return -r;
}

int
gil_init(struct gil *gil, uint64_t interval_ns)
{
        int r;

        if (interval_ns == 0)
                return -EINVAL;
        r = gil_init_lock(gil);
        if (r == 0)
                r = gil_init_conds(gil);
        if (r != 0)
                return r;
        gil->locked = 0;
        gil->last_holder = 0;
        gil->waiters = 0;
        gil->switches = 0;
        gil->interval_ns = interval_ns;
        return 0;
}

static void
gil_count_wait(struct gil_thread *t, uint64_t since_ns)
{
        uint64_t now = clock_now_ns();

        t->wait_ns += now - since_ns;
        if (UNLIKELY(t->tracer))
                tracer_note(t->tracer, TRACE_LOCK, since_ns, now);
}

/* Waits until it is not locked, asking for it after each interval without a switch; false when `until_ns` came before.
 * `lock` is held. */
static bool
gil_await_release(struct gil_thread *t, uint64_t until_ns)
{
        struct gil *gil = t->gil;
        uint64_t now = clock_now_ns();

        gil->waiters++;
        while (gil->locked && now < until_ns) {
                uint64_t switches = gil->switches;
                bool is_late = gil_wait(gil, &gil->released, until_ns);

                now = clock_now_ns();
                if (is_late && now < until_ns && gil->locked && gil->switches == switches)
                        __atomic_fetch_or(t->attention, GIL_DROP_BIT, __ATOMIC_RELAXED);
        }
        gil->waiters--;
        return !gil->locked;
}

/* Makes the thread the holder of what is free. `lock` is held. */
static void
gil_take(struct gil_thread *t)
{
        struct gil *gil = t->gil;
        uint32_t me = t->id + 1;

        gil->locked = 1;
        if (gil->last_holder != me) {
                if (gil->last_holder != 0) {
                        gil->switches++;
                        t->switches++;
                }
                gil->last_holder = me;
                pthread_cond_broadcast(&gil->taken);
        }
        if (gil_drop_is_asked(t))
                __atomic_fetch_and(t->attention, ~GIL_DROP_BIT, __ATOMIC_RELAXED);
}

/* As gil_acquire_until(). The wait counts from `since_ns`, when that is not 0. */
static int
gil_acquire_since(struct gil_thread *t, uint64_t until_ns, uint64_t since_ns)
{
        struct gil *gil = t->gil;
        bool is_free;

        gil_lock(gil);
        is_free = !gil->locked;
        if (!is_free && until_ns != 0) {
                since_ns = since_ns ? since_ns : clock_now_ns();
                is_free = gil_await_release(t, until_ns);
        }
        if (since_ns)
                gil_count_wait(t, since_ns);
        if (is_free)
                gil_take(t);
        gil_unlock(gil);
        return is_free ? 0 : -ETIMEDOUT;
}

int
gil_acquire_until(struct gil_thread *t, uint64_t until_ns)
{
        return gil_acquire_since(t, until_ns, 0);
}

void
gil_acquire(struct gil_thread *t)
{
        int r = gil_acquire_since(t, UINT64_MAX, 0);

        assert(r == 0);
        (void)r;
}

/* As gil_release(). Returns since when it had to wait for another thread to take it, or 0. That is read before the
 * other can have it, so what two threads did while they were holders never overlaps. */
static uint64_t
gil_let_go(struct gil_thread *t)
{
        struct gil *gil = t->gil;
        uint32_t me = t->id + 1;
        uint64_t since_ns = 0;

        gil_lock(gil);
        assert(gil->locked && gil->last_holder == me);
        gil->locked = 0;
        pthread_cond_signal(&gil->released);
        if (gil_drop_is_asked(t) && gil->waiters > 0) {
                since_ns = clock_now_ns();
                while (gil->last_holder == me && gil->waiters > 0)
                        gil_wait(gil, &gil->taken, UINT64_MAX);
        }
        gil_unlock(gil);
        return since_ns;
}

void
gil_release(struct gil_thread *t)
{
        uint64_t since_ns = gil_let_go(t);

        if (since_ns)
                gil_count_wait(t, since_ns);
}

void
gil_checkpoint(struct gil_thread *t)
{
        int r;

        if (!gil_drop_is_asked(t))
                return;
        r = gil_acquire_since(t, UINT64_MAX, gil_let_go(t));
        assert(r == 0);
        (void)r;
}
