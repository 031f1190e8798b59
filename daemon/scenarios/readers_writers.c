/* SPDX-License-Identifier: MIT */
/*
 * Every actor reads most of the time and writes now and then, as chance will have it. Writers keep two words equal,
 * readers see whether they are; a guard that readers can hold together lets them (rwlock). With several writers it is
 * not only a reader that can come between two words: two writers leave them different for good.
 */
#include "scenarios/builtin.h"

#define ACTORS_MAX 64

enum { PARAM_STEPS, PARAM_WRITES };
enum { CONSISTENT, INCONSISTENT };

struct readers_writers_state {
        struct {
                alignas(RACE_LINE) uint64_t value;
        } word[2];
        struct {
                alignas(RACE_LINE) uint64_t writes;
                uint64_t unequal; /* pairs that it read */
        } done[ACTORS_MAX];
};

static const struct scenario_param readers_writers_params[] = {
        [PARAM_STEPS] = {.name = "steps",
                         .summary = "how often each reads or writes",
                         .unit = "steps",
                         .min = 1,
                         .max = 1000000,
                         .def = 100},
        [PARAM_WRITES] = {.name = "writes",
                          .summary = "how many of a hundred steps are writes",
                          .unit = "%",
                          .min = 1,
                          .max = 100,
                          .def = 20},
};

static const struct outcome readers_writers_outcomes[] = {
        [CONSISTENT] = {.name = "consistent", .meaning = "every reader saw two equal words every time"},
        [INCONSISTENT] = {.name = "inconsistent view",
                          .meaning = "a reader saw two different words: a write was under way, or two had crossed",
                          .expected = OUTCOME_INTERESTING,
                          .forbidden_by = GUARD_EXCLUDES,
                          .is_witness = true},
};

static bool
readers_writers_write(struct actor *a, struct readers_writers_state *s)
{
        uint64_t value;

        if (!actor_acquire(a))
                return false;
        value = actor_load(a, &s->word[0].value) + 1;
        actor_store(a, &s->word[0].value, value);
        actor_widen(a);
        actor_store(a, &s->word[1].value, value);
        s->done[a->id].writes++;
        actor_release(a);
        return true;
}

static bool
readers_writers_read(struct actor *a, struct readers_writers_state *s)
{
        uint64_t first, second;

        if (!actor_acquire_shared(a))
                return false;
        first = actor_load(a, &s->word[0].value);
        actor_widen(a);
        second = actor_load(a, &s->word[1].value);
        actor_release(a);
        s->done[a->id].unequal += first != second;
        return true;
}

static void
readers_writers_act(struct actor *a, void *state)
{
        for (int64_t i = 0; i < a->params[PARAM_STEPS] && actor_goes_on(a); i++) {
                bool writes = actor_random(a, 100) < (uint64_t)a->params[PARAM_WRITES];

                if (!(writes ? readers_writers_write(a, state) : readers_writers_read(a, state)))
                        return;
        }
}

static int
readers_writers_classify(const void *state, struct trial_end *end)
{
        const struct readers_writers_state *s = state;
        uint64_t writes = 0, unequal = s->word[0].value != s->word[1].value;

        for (uint32_t i = 0; i < end->spec->actors; i++) {
                writes += s->done[i].writes;
                unequal += s->done[i].unequal;
        }
        if (s->word[0].value > writes)
                return -1;
        end->lost = writes - s->word[0].value;
        return unequal > 0 ? INCONSISTENT : CONSISTENT;
}

const struct scenario scenario_readers_writers = {
        .name = "readers-writers",
        .summary = "many reads and few writes of two words that must be equal",
        .actors_min = 2,
        .actors_max = ACTORS_MAX,
        .actors_def = 2,
        .params = readers_writers_params,
        .n_params = ARRAY_SIZE(readers_writers_params),
        .permits_def = 1,
        .guard_def = "none",
        .outcomes = readers_writers_outcomes,
        .n_outcomes = ARRAY_SIZE(readers_writers_outcomes),
        .state_bytes = sizeof(struct readers_writers_state),
        .act = readers_writers_act,
        .classify = readers_writers_classify,
};
