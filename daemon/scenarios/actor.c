/* SPDX-License-Identifier: MIT */
#include "scenarios/actor.h"

#include "shared/random.h"

#include <sched.h>

/* How many steps go by between two looks at the clock; a power of two. */
#define STEPS_BETWEEN_LOOKS 64

static void
note(struct actor *a, enum race_event_kind kind, uint64_t at_ns)
{
        struct race_actor *f = a->figures;

        if (!a->is_noted || f->n_events == RACE_EVENTS_MAX)
                return;
        f->event[f->n_events] = (struct race_event){.at_ns = at_ns, .kind = kind, .trial = a->trial};
        f->n_events++;
}

void
actor_note(struct actor *a, enum race_event_kind kind)
{
        if (a->is_noted)
                note(a, kind, clock_now_ns());
}

void
actor_end_trial(struct actor *a)
{
        atomic_store_explicit(&a->race->trial_over, 1, memory_order_relaxed);
}

static __attribute__((noinline)) void
look_at_clock(struct actor *a)
{
        if ((__atomic_load_n(a->user.attention, __ATOMIC_RELAXED) & ATTENTION_CANCEL) ||
            clock_now_ns() > a->user.deadline_ns)
                actor_end_trial(a);
}

void
actor_yield(struct actor *a)
{
        look_at_clock(a);
        sched_yield();
}

/* ── the guard ── */

static void
count_holder(struct actor *a)
{
        struct race *r = a->race;
        int32_t now = atomic_fetch_add_explicit(&r->holders, 1, memory_order_relaxed) + 1;
        int32_t most = atomic_load_explicit(&r->holders_max, memory_order_relaxed);
        uint32_t last;

        while (now > most && !atomic_compare_exchange_weak(&r->holders_max, &most, now))
                ;
        last = atomic_load_explicit(&r->last_holder, memory_order_relaxed);
        if (last == a->id + 1)
                return;
        a->figures->handoffs += last != 0;
        atomic_store_explicit(&r->last_holder, a->id + 1, memory_order_relaxed);
}

/* Are holders counted? Only where there is something to be held. */
static bool
is_measured(const struct actor *a)
{
        return a->measure && (a->guard->flags & (GUARD_EXCLUDES | GUARD_LIMITS));
}

/* To be called before it is released, so that never more are counted than there are. */
static void
uncount_holder(struct actor *a)
{
        actor_note(a, RACE_EVENT_RELEASE);
        if (is_measured(a))
                atomic_fetch_sub_explicit(&a->race->holders, 1, memory_order_relaxed);
}

/* Whoever was not let in at once waits, and only then is the clock read. */
static int
measured_acquire(struct actor *a, int (*acquire)(struct guard_user *u), bool (*try_acquire)(struct guard_user *u))
{
        struct race_actor *f = a->figures;
        uint64_t asked, got;
        int r;

        if (try_acquire && try_acquire(&a->user)) {
                histogram_add(&f->wait, 0);
        } else {
                asked = clock_now_ns();
                note(a, RACE_EVENT_WAIT, asked);
                r = acquire(&a->user);
                got = clock_now_ns();
                f->contended++;
                if (r < 0)
                        return r;
                histogram_add(&f->wait, got - asked);
        }
        f->acquires++;
        count_holder(a);
        return 0;
}

static bool
enter(struct actor *a, int (*acquire)(struct guard_user *u), bool (*try_acquire)(struct guard_user *u))
{
        int r = is_measured(a) ? measured_acquire(a, acquire, try_acquire) : acquire(&a->user);

        if (r < 0) {
                a->figures->timeouts++;
                actor_note(a, RACE_EVENT_RELEASE);
                actor_end_trial(a);
                return false;
        }
        a->is_holding = true;
        actor_note(a, RACE_EVENT_HOLD);
        return true;
}

bool
actor_acquire(struct actor *a)
{
        return enter(a, a->guard->acquire, a->guard->try_acquire);
}

bool
actor_acquire_shared(struct actor *a)
{
        return a->guard->acquire_shared ? enter(a, a->guard->acquire_shared, NULL) : actor_acquire(a);
}

void
actor_release(struct actor *a)
{
        a->is_holding = false;
        uncount_holder(a);
        a->guard->release(&a->user);
}

/* It asked for the guard once, and has it in several parts. */
static __attribute__((noinline)) void
hand_over(struct actor *a)
{
        uncount_holder(a);
        actor_note(a, RACE_EVENT_WAIT);
        a->guard->checkpoint(&a->user);
        if (is_measured(a))
                count_holder(a);
        actor_note(a, RACE_EVENT_HOLD);
}

/* ── steps ── */

bool
actor_goes_on(struct actor *a)
{
        if ((++a->steps & (STEPS_BETWEEN_LOOKS - 1)) == 0)
                look_at_clock(a);
        if (a->is_holding && a->guard->is_wanted && a->guard->is_wanted(&a->user))
                hand_over(a);
        return atomic_load_explicit(&a->race->trial_over, memory_order_relaxed) == 0;
}

uint64_t
actor_random(struct actor *a, uint64_t n)
{
        return random_next(&a->random) % n;
}

void
actor_bump(struct actor *a, uint64_t *x, uint64_t by)
{
        uint64_t seen;

        if (a->atomic_steps) {
                actor_add(a, x, by);
                return;
        }
        seen = actor_load(a, x);
        actor_widen(a);
        actor_store(a, x, seen + by);
}
