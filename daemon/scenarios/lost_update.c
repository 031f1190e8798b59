/* SPDX-License-Identifier: MIT */
/* The smallest race: several add to one counter by loading, adding and storing. */
#include "scenarios/builtin.h"

#define ACTORS_MAX 64

enum { PARAM_STEPS };
enum { EXACT, LOST_UPDATES };

struct lost_update_state {
        alignas(RACE_LINE) uint64_t value;
        struct {
                alignas(RACE_LINE) uint64_t steps; /* that were completed */
        } done[ACTORS_MAX];
};

static const struct scenario_param lost_update_params[] = {
        {.name = "steps",
         .summary = "how often each actor adds 1",
         .unit = "steps",
         .min = 1,
         .max = 1000000,
         .def = 1},
};

static const struct outcome lost_update_outcomes[] = {
        [EXACT] = {.name = "exact", .meaning = "every step counted"},
        [LOST_UPDATES] = {.name = "lost updates",
                          .meaning = "two loaded the same value, and one store overwrote the other",
                          .expected = OUTCOME_INTERESTING,
                          .forbidden_by = GUARD_EXCLUDES | GUARD_ATOMIC,
                          .is_witness = true},
};

static uint64_t
lost_update_loop(struct actor *a, uint64_t *x, uint64_t steps)
{
        uint64_t done = 0;

        if (!actor_acquire(a))
                return 0;
        while (done < steps && actor_goes_on(a)) {
                actor_bump(a, x, 1);
                done++;
        }
        actor_release(a);
        return done;
}

static uint64_t
lost_update_steps(struct actor *a, uint64_t *x, uint64_t steps)
{
        uint64_t done = 0;

        while (done < steps && actor_goes_on(a) && actor_acquire(a)) {
                actor_bump(a, x, 1);
                actor_release(a);
                done++;
        }
        return done;
}

static void
lost_update_act(struct actor *a, void *state)
{
        struct lost_update_state *s = state;
        uint64_t steps = (uint64_t)a->params[PARAM_STEPS];

        s->done[a->id].steps =
                a->hold_loop ? lost_update_loop(a, &s->value, steps) : lost_update_steps(a, &s->value, steps);
}

/* A trial that was cut is judged by the steps that were made. */
static int
lost_update_classify(const void *state, struct trial_end *end)
{
        const struct lost_update_state *s = state;
        uint64_t made = 0;

        for (uint32_t i = 0; i < end->spec->actors; i++)
                made += s->done[i].steps;
        if (s->value > made)
                return -1;
        end->lost = made - s->value;
        return end->lost > 0 ? LOST_UPDATES : EXACT;
}

const struct scenario scenario_lost_update = {
        .name = "lost-update",
        .summary = "several add to one counter by load, add and store",
        .flags = SCENARIO_HAS_HOLD,
        .actors_min = 2,
        .actors_max = ACTORS_MAX,
        .actors_def = 2,
        .params = lost_update_params,
        .n_params = ARRAY_SIZE(lost_update_params),
        .permits_def = 1,
        .guard_def = "none",
        .outcomes = lost_update_outcomes,
        .n_outcomes = ARRAY_SIZE(lost_update_outcomes),
        .state_bytes = sizeof(struct lost_update_state),
        .act = lost_update_act,
        .classify = lost_update_classify,
};
