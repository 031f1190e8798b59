/* SPDX-License-Identifier: MIT */
/* Dekker's algorithm (Dijkstra 1965), the first one: say that you want in; while the other one does too, step back if
 * it is its turn, and come again when it is yours. Whoever leaves gives the turn away. */
#include "scenarios/builtin.h"
#include "scenarios/exclusion.h"

/* Lets the other one go first; false when the trial is over. */
static bool
dekker_step_back(struct actor *a, struct exclusion_state *s)
{
        exclusion_store(a, &s->wants[a->id].value, 0);
        while (actor_load_acquire(a, &s->turn) != a->id)
                if (!exclusion_wait(a))
                        return false;
        exclusion_store(a, &s->wants[a->id].value, 1);
        return true;
}

static bool
dekker_enter(struct actor *a, struct exclusion_state *s)
{
        exclusion_store(a, &s->wants[a->id].value, 1);
        while (actor_load_acquire(a, &s->wants[1 - a->id].value)) {
                if (!exclusion_wait(a))
                        return false;
                if (actor_load_acquire(a, &s->turn) != a->id && !dekker_step_back(a, s))
                        return false;
        }
        return true;
}

static void
dekker_leave(struct actor *a, struct exclusion_state *s)
{
        exclusion_store(a, &s->turn, 1 - a->id);
        exclusion_store(a, &s->wants[a->id].value, 0);
}

static void
dekker_act(struct actor *a, void *state)
{
        exclusion_act(a, state, dekker_enter, dekker_leave);
}

const struct scenario scenario_dekker = {
        .name = "dekker",
        .summary = "Dekker's lock of plain loads and stores, which store buffers break",
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
        .act = dekker_act,
        .classify = exclusion_classify,
};
