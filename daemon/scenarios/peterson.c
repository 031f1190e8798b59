/* SPDX-License-Identifier: MIT */
/* Peterson's algorithm (1981): say that you want in, let the other one go first, wait until it does not want in or lets
 * you go first. */
#include "scenarios/builtin.h"
#include "scenarios/exclusion.h"

static bool
peterson_enter(struct actor *a, struct exclusion_state *s)
{
        uint32_t other = 1 - a->id;

        exclusion_store(a, &s->wants[a->id].value, 1);
        exclusion_store(a, &s->turn, other);
        while (actor_load_acquire(a, &s->wants[other].value) && actor_load_acquire(a, &s->turn) == other)
                if (!exclusion_wait(a))
                        return false;
        return true;
}

static void
peterson_leave(struct actor *a, struct exclusion_state *s)
{
        exclusion_store(a, &s->wants[a->id].value, 0);
}

static void
peterson_act(struct actor *a, void *state)
{
        exclusion_act(a, state, peterson_enter, peterson_leave);
}

const struct scenario scenario_peterson = {
        .name = "peterson",
        .summary = "Peterson's lock of plain loads and stores, which store buffers break",
        .actors_min = EXCLUSION_ACTORS,
        .actors_max = EXCLUSION_ACTORS,
        .actors_def = EXCLUSION_ACTORS,
        .params = exclusion_params,
        .n_params = EXCLUSION_PARAMS,
        .permits_def = 1,
        .guard_def = "none",
        .effect = exclusion_effect,
        .outcomes = exclusion_outcomes,
        .n_outcomes = EXCLUSION_OUTCOMES,
        .state_bytes = sizeof(struct exclusion_state),
        .act = peterson_act,
        .classify = exclusion_classify,
};
