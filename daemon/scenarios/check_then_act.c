/* SPDX-License-Identifier: MIT */
/* Look whether a place is empty, then take it: two that look before either takes both have it. Atomic steps do not
 * help, because looking and taking are two. */
#include "scenarios/builtin.h"

#define ACTORS_MAX 64

enum { TAKEN_ONCE, TAKEN_TWICE, NOT_TAKEN };

struct check_then_act_state {
        alignas(RACE_LINE) uint64_t place; /* 0: empty; else actor + 1 */
        struct {
                alignas(RACE_LINE) uint64_t took;
        } actor[ACTORS_MAX];
};

static const struct outcome check_then_act_outcomes[] = {
        [TAKEN_ONCE] = {.name = "taken once", .meaning = "one found the place empty, the others found it taken"},
        [TAKEN_TWICE] = {.name = "taken twice",
                         .meaning = "several found it empty before one took it, and each believes it has it",
                         .expected = OUTCOME_INTERESTING,
                         .forbidden_by = GUARD_EXCLUDES,
                         .is_witness = true},
        [NOT_TAKEN] = {.name = "not taken", .meaning = "the trial's time was over before anybody came to it"},
};

static void
check_then_act_act(struct actor *a, void *state)
{
        struct check_then_act_state *s = state;

        if (!actor_goes_on(a) || !actor_acquire(a))
                return;
        if (actor_load(a, &s->place) == 0) {
                actor_widen(a);
                actor_store(a, &s->place, a->id + 1);
                s->actor[a->id].took = 1;
        }
        actor_release(a);
}

static int
check_then_act_classify(const void *state, struct trial_end *end)
{
        const struct check_then_act_state *s = state;
        uint64_t takers = 0;

        for (uint32_t i = 0; i < end->spec->actors; i++)
                takers += s->actor[i].took;
        if (takers == 0)
                return end->was_cut && s->place == 0 ? NOT_TAKEN : -1;
        if (s->place == 0 || s->place > end->spec->actors || !s->actor[s->place - 1].took)
                return -1;
        return takers == 1 ? TAKEN_ONCE : TAKEN_TWICE;
}

const struct scenario scenario_check_then_act = {
        .name = "check-then-act",
        .summary = "see that a place is empty, then take it",
        .actors_min = 2,
        .actors_max = ACTORS_MAX,
        .actors_def = 2,
        .permits_def = 1,
        .guard_def = "none",
        .outcomes = check_then_act_outcomes,
        .n_outcomes = ARRAY_SIZE(check_then_act_outcomes),
        .state_bytes = sizeof(struct check_then_act_state),
        .act = check_then_act_act,
        .classify = check_then_act_classify,
};
