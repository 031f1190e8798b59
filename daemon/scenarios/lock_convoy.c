/* SPDX-License-Identifier: MIT */
/*
 * Nothing is wrong here under a guard; it is a race to be measured. Actor 0 keeps the guard for long each time, the
 * others want it often and for a short time: they all queue up behind it, and a guard that serves in order makes
 * everybody as slow as the slowest one. Look at the hand-offs, the waits, and who had how many turns.
 */
#include "scenarios/builtin.h"

#define ACTORS_MAX 64

enum { PARAM_TURNS, PARAM_LONG };
enum { EXACT, LOST_UPDATES, NO_PROGRESS };

struct lock_convoy_state {
        alignas(RACE_LINE) uint64_t value;
        struct {
                alignas(RACE_LINE) uint64_t added;
                uint64_t turns;
        } done[ACTORS_MAX];
};

static const struct scenario_param lock_convoy_params[] = {
        [PARAM_TURNS] = {.name = "turns",
                         .summary = "how often each takes the guard",
                         .unit = "turns",
                         .min = 1,
                         .max = 1000000,
                         .def = 100},
        [PARAM_LONG] = {.name = "long",
                        .summary = "how many additions actor 0 makes in a turn; the others make one",
                        .unit = "additions",
                        .min = 1,
                        .max = 100000,
                        .def = 20},
};

static const struct outcome lock_convoy_outcomes[] = {
        [EXACT] = {.name = "exact", .meaning = "everybody had all its turns, and every addition counted"},
        [LOST_UPDATES] = {.name = "lost updates",
                          .meaning = "several were inside at once; additions overwrote each other",
                          .expected = OUTCOME_INTERESTING,
                          .forbidden_by = GUARD_EXCLUDES | GUARD_ATOMIC,
                          .is_witness = true},
        [NO_PROGRESS] = {.name = "no progress",
                         .meaning = "the trial's time was over before all had their turns; every addition counted"},
};

static void
lock_convoy_act(struct actor *a, void *state)
{
        struct lock_convoy_state *s = state;
        int64_t additions = a->id == 0 ? a->params[PARAM_LONG] : 1;
        uint64_t turns = 0;

        while ((int64_t)turns < a->params[PARAM_TURNS] && actor_goes_on(a) && actor_acquire(a)) {
                for (int64_t i = 0; i < additions; i++)
                        actor_bump(a, &s->value, 1);
                actor_release(a);
                turns++;
        }
        s->done[a->id].turns = turns;
        s->done[a->id].added = turns * (uint64_t)additions;
}

static int
lock_convoy_classify(const void *state, struct trial_end *end)
{
        const struct lock_convoy_state *s = state;
        uint64_t added = 0;
        bool is_done = true;

        for (uint32_t i = 0; i < end->spec->actors; i++) {
                added += s->done[i].added;
                is_done = is_done && s->done[i].turns == (uint64_t)end->spec->params[PARAM_TURNS];
        }
        if (s->value > added || (!is_done && !end->was_cut))
                return -1;
        end->lost = added - s->value;
        if (end->lost > 0)
                return LOST_UPDATES;
        return is_done ? EXACT : NO_PROGRESS;
}

const struct scenario scenario_lock_convoy = {
        .name = "lock-convoy",
        .summary = "many short turns queue behind a long one: hand-offs and waits are what to look at",
        .actors_min = 2,
        .actors_max = ACTORS_MAX,
        .actors_def = 2,
        .params = lock_convoy_params,
        .n_params = ARRAY_SIZE(lock_convoy_params),
        .permits_def = 1,
        .guard_def = "mutex",
        .outcomes = lock_convoy_outcomes,
        .n_outcomes = ARRAY_SIZE(lock_convoy_outcomes),
        .state_bytes = sizeof(struct lock_convoy_state),
        .act = lock_convoy_act,
        .classify = lock_convoy_classify,
};
