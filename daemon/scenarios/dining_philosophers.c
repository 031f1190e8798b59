/* SPDX-License-Identifier: MIT */
/*
 * Philosophers at a round table (Dijkstra), a fork between any two: who eats needs both forks beside him, takes the
 * left one first, and puts none down before he has eaten. When each holds his left one, nobody ever gets his right
 * one.
 *
 * The guard is the waiter, who is asked before a philosopher sits down and told when he gets up. One seat less than
 * there are philosophers is enough: so a semaphore forbids the deadlock as long as it has fewer permits than there are
 * actors.
 *
 * A deadlock is a state, and the state is its proof: whoever gives up leaves what he holds as it is, since a fork put
 * down when the trial's time is over would help another to eat. So that it need not take the whole time, they count
 * how many hold a left fork and have no right one yet. One who is still counted while he has his right fork already
 * keeps that neighbour from being counted; so when the count is full, it is a deadlock.
 */
#include "scenarios/builtin.h"

#define ACTORS_MAX         16
#define WAITS_BEFORE_YIELD 256

enum { PARAM_MEALS };
enum { ALL_ATE, DEADLOCK, OUT_OF_TIME };

struct philosophers_state {
        struct {
                alignas(RACE_LINE) uint64_t holder; /* 0: it lies on the table; else actor + 1 */
        } fork[ACTORS_MAX];
        struct {
                alignas(RACE_LINE) uint64_t meals;
        } eaten[ACTORS_MAX];
        alignas(RACE_LINE) uint64_t with_one; /* how many hold a left fork and no right one */
};

static const struct scenario_param philosophers_params[] = {
        [PARAM_MEALS] = {.name = "meals",
                         .summary = "how often each wants to eat",
                         .unit = "meals",
                         .min = 1,
                         .max = 1000000,
                         .def = 20},
};

static const struct outcome philosophers_outcomes[] = {
        [ALL_ATE] = {.name = "all ate", .meaning = "everybody had all his meals"},
        [DEADLOCK] = {.name = "deadlock",
                      .meaning = "each held his left fork and waited for the right one",
                      .expected = OUTCOME_INTERESTING,
                      .forbidden_by = GUARD_LIMITS,
                      .is_witness = true},
        [OUT_OF_TIME] = {.name = "out of time",
                         .meaning =
                                 "they were still eating, or waiting for the waiter, when the trial's time was over"},
};

/* False when the trial is over. */
static bool
take_fork(struct actor *a, struct philosophers_state *s, uint32_t fork)
{
        for (uint32_t waits = 1; !actor_swap_if(a, &s->fork[fork].holder, 0, a->id + 1); waits++) {
                if (!actor_goes_on(a))
                        return false;
                if (actor_load(a, &s->with_one) == a->actors)
                        actor_end_trial(a);
                if (waits % WAITS_BEFORE_YIELD == 0)
                        actor_yield(a);
        }
        return true;
}

/* One meal; false when the trial is over: then he holds what he got. */
static bool
eat(struct actor *a, struct philosophers_state *s)
{
        uint32_t left = a->id, right = (a->id + 1) % a->actors;

        if (!take_fork(a, s, left))
                return false;
        actor_add(a, &s->with_one, 1);
        actor_widen(a);
        if (!take_fork(a, s, right))
                return false;
        actor_add(a, &s->with_one, UINT64_MAX);
        s->eaten[a->id].meals++;
        actor_store_release(a, &s->fork[right].holder, 0);
        actor_store_release(a, &s->fork[left].holder, 0);
        return true;
}

static void
philosophers_act(struct actor *a, void *state)
{
        for (int64_t i = 0; i < a->params[PARAM_MEALS] && actor_goes_on(a) && actor_acquire(a); i++) {
                bool ate = eat(a, state);

                actor_release(a);
                if (!ate)
                        return;
        }
}

/* With a seat for each of them a waiter helps nobody. */
static uint32_t
philosophers_effect(const struct race_spec *spec)
{
        uint32_t effect = guard_effect(guards[spec->guard], spec->permits);

        return spec->permits < spec->actors ? effect : effect & ~GUARD_LIMITS;
}

static int
philosophers_classify(const void *state, struct trial_end *end)
{
        const struct philosophers_state *s = state;
        uint32_t n = end->spec->actors, held_left = 0, lying = 0, sated = 0;

        for (uint32_t i = 0; i < n; i++) {
                held_left += s->fork[i].holder == i + 1;
                lying += s->fork[i].holder == 0;
                sated += s->eaten[i].meals == (uint64_t)end->spec->params[PARAM_MEALS];
        }
        if (held_left == n)
                return DEADLOCK;
        if (sated == n)
                return lying == n ? ALL_ATE : -1;
        return end->was_cut ? OUT_OF_TIME : -1;
}

const struct scenario scenario_dining_philosophers = {
        .name = "dining-philosophers",
        .summary = "each takes his left fork, then his right one: all can end with one; the guard is the waiter",
        .actors_min = 2,
        .actors_max = ACTORS_MAX,
        .actors_def = 2,
        .params = philosophers_params,
        .n_params = ARRAY_SIZE(philosophers_params),
        .permits_def = 1,
        .guard_def = "none",
        .effect = philosophers_effect,
        .outcomes = philosophers_outcomes,
        .n_outcomes = ARRAY_SIZE(philosophers_outcomes),
        .state_bytes = sizeof(struct philosophers_state),
        .act = philosophers_act,
        .classify = philosophers_classify,
};
