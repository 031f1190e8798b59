/* SPDX-License-Identifier: MIT */
/* Actor 0 writes two words that must be equal, the others read both. Each word alone is never torn, and making
 * each access indivisible does not help: the two together are what must be. */
#include "scenarios/builtin.h"

#define ACTORS_MAX 64

enum { PARAM_STEPS };
enum { WHOLE, TORN };

struct torn_read_state {
        struct {
                alignas(RACE_LINE) uint64_t value;
        } word[2];
        struct {
                alignas(RACE_LINE) uint64_t torn; /* pairs that it read and that were not equal */
        } reader[ACTORS_MAX];
};

static const struct scenario_param torn_read_params[] = {
        {.name = "steps",
         .summary = "how often each writes or reads",
         .unit = "steps",
         .min = 1,
         .max = 1000000,
         .def = 100},
};

static const struct outcome torn_read_outcomes[] = {
        [WHOLE] = {.name = "whole", .meaning = "every reader saw two equal words every time"},
        [TORN] = {.name = "torn",
                  .meaning = "a reader saw one word of before and one of after a write",
                  .expected = OUTCOME_INTERESTING,
                  .forbidden_by = GUARD_EXCLUDES,
                  .is_witness = true},
};

static bool
torn_read_write(struct actor *a, struct torn_read_state *s, uint64_t value)
{
        if (!actor_acquire(a))
                return false;
        actor_store(a, &s->word[0].value, value);
        actor_widen(a);
        actor_store(a, &s->word[1].value, value);
        actor_release(a);
        return true;
}

static bool
torn_read_read(struct actor *a, struct torn_read_state *s)
{
        uint64_t first, second;

        if (!actor_acquire_shared(a))
                return false;
        first = actor_load(a, &s->word[0].value);
        actor_widen(a);
        second = actor_load(a, &s->word[1].value);
        actor_release(a);
        s->reader[a->id].torn += first != second;
        return true;
}

static void
torn_read_act(struct actor *a, void *state)
{
        for (int64_t i = 1; i <= a->params[PARAM_STEPS] && actor_goes_on(a); i++) {
                if (!(a->id == 0 ? torn_read_write(a, state, (uint64_t)i) : torn_read_read(a, state)))
                        return;
        }
}

static int
torn_read_classify(const void *state, struct trial_end *end)
{
        const struct torn_read_state *s = state;

        if (s->word[0].value != s->word[1].value)
                return -1;
        for (uint32_t i = 1; i < end->spec->actors; i++)
                if (s->reader[i].torn > 0)
                        return TORN;
        return WHOLE;
}

const struct scenario scenario_torn_read = {
        .name = "torn-read",
        .summary = "one writes two words that must be equal, the others read both",
        .actors_min = 2,
        .actors_max = ACTORS_MAX,
        .actors_def = 2,
        .params = torn_read_params,
        .n_params = ARRAY_SIZE(torn_read_params),
        .permits_def = 1,
        .guard_def = "none",
        .outcomes = torn_read_outcomes,
        .n_outcomes = ARRAY_SIZE(torn_read_outcomes),
        .state_bytes = sizeof(struct torn_read_state),
        .act = torn_read_act,
        .classify = torn_read_classify,
};
