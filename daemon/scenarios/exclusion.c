/* SPDX-License-Identifier: MIT */
#include "scenarios/exclusion.h"

#define WAITS_BEFORE_YIELD 1024
#define REST_MIN           256 /* turns of a loop, outside */

enum { PARAM_FENCE, PARAM_ENTRIES };
enum { EXCLUDED, BOTH_INSIDE };

const struct scenario_param exclusion_params[EXCLUSION_PARAMS] = {
        [PARAM_FENCE] = {.name = "fence",
                         .summary = "1: a full fence after each store of the algorithm",
                         .unit = "flag",
                         .min = 0,
                         .max = 1,
                         .def = 0},
        [PARAM_ENTRIES] = {.name = "entries",
                           .summary = "how often each goes in",
                           .unit = "times",
                           .min = 1,
                           .max = 1000000,
                           .def = 100},
};

const struct outcome exclusion_outcomes[EXCLUSION_OUTCOMES] = {
        [EXCLUDED] = {.name = "excluded", .meaning = "whoever was inside was alone there"},
        [BOTH_INSIDE] = {.name = "both inside",
                         .meaning = "each loaded the other's word before the other's store was to be seen",
                         .expected = OUTCOME_INTERESTING,
                         .forbidden_by = GUARD_EXCLUDES | GUARD_ATOMIC,
                         .is_witness = true},
};

static bool
is_fenced(const struct actor *a)
{
        return a->atomic_steps || a->params[PARAM_FENCE] != 0;
}

void
exclusion_store(struct actor *a, uint64_t *x, uint64_t value)
{
        actor_store_release(a, x, value);
        if (is_fenced(a))
                actor_fence(a);
}

bool
exclusion_wait(struct actor *a)
{
        if (!actor_goes_on(a))
                return false;
        if (a->steps % WAITS_BEFORE_YIELD == 0)
                actor_yield(a);
        return true;
}

static void
stay_inside(struct actor *a, struct exclusion_state *s)
{
        if (actor_add(a, &s->inside, 1) != 0)
                s->seen[a->id].clashes++;
        actor_widen(a);
        actor_add(a, &s->inside, UINT64_MAX);
}

/* Two that wait for each other never come to the door in the same instant, so each rests, and often for longer than
 * the other one stays inside. */
static void
rest(struct actor *a)
{
        for (uint64_t n = actor_random(a, 2 * (a->widen + REST_MIN)); n > 0; n--)
                __asm__ volatile("" ::: "memory");
}

void
exclusion_act(struct actor *a, struct exclusion_state *s, bool (*enter)(struct actor *a, struct exclusion_state *s),
              void (*leave)(struct actor *a, struct exclusion_state *s))
{
        for (int64_t i = 0; i < a->params[PARAM_ENTRIES] && actor_goes_on(a) && actor_acquire(a); i++) {
                bool entered = enter(a, s);

                if (entered) {
                        stay_inside(a, s);
                        leave(a, s);
                }
                actor_release(a);
                if (!entered)
                        return;
                rest(a);
        }
}

/* The fences make of each store what the guard `atomic` makes of it. */
uint32_t
exclusion_effect(const struct race_spec *spec)
{
        uint32_t effect = guard_effect(guards[spec->guard], spec->permits);

        return spec->params[PARAM_FENCE] ? effect | GUARD_ATOMIC : effect;
}

int
exclusion_classify(const void *state, struct trial_end *end)
{
        const struct exclusion_state *s = state;

        return s->seen[0].clashes + s->seen[1].clashes > 0 ? BOTH_INSIDE : EXCLUDED;
}
