/* SPDX-License-Identifier: MIT */
/*
 * A barrier that somebody made from a counter: who comes adds one and waits until all have come, who goes takes one
 * off. It works once. Used again, a quick actor goes, takes its one off, comes again and adds it: all seem to have
 * come, and it goes on, while a slow one has not even looked whether it may leave the time before. In the last round
 * the quick one does not come again, and the slow one waits for ever.
 *
 * Every step is one atomic instruction or under the guard; what is wrong lies between the steps, and so no lock mends
 * it. What does is a number for each round: the last one to come empties the counter and raises the number, and the
 * others wait for the number to change, which it cannot do behind their backs. Thus it is the parameter `generation`
 * that makes these outcomes forbidden.
 */
#include "scenarios/builtin.h"

#define ACTORS_MAX         64
#define LOOKS_BEFORE_YIELD 32

enum { PARAM_ROUNDS, PARAM_GENERATION };
enum { IN_STEP, OVERTAKEN, LEFT_BEHIND, OUT_OF_TIME };

struct barrier_reuse_state {
        alignas(RACE_LINE) uint64_t count;
        alignas(RACE_LINE) uint64_t generation;
        struct {
                alignas(RACE_LINE) uint64_t round; /* the one at whose barrier it has come last; release / acquire */
        } come[ACTORS_MAX];
        struct {
                alignas(RACE_LINE) uint64_t rounds; /* that it is through with */
                uint64_t has_overtaken;
        } done[ACTORS_MAX];
};

static const struct scenario_param barrier_reuse_params[] = {
        [PARAM_ROUNDS] = {.name = "rounds",
                          .summary = "how often the barrier is used",
                          .unit = "rounds",
                          .min = 2,
                          .max = 1000000,
                          .def = 20},
        [PARAM_GENERATION] = {.name = "generation",
                              .summary = "1: the barrier numbers its rounds, which is the cure",
                              .unit = "flag",
                              .min = 0,
                              .max = 1,
                              .def = 0},
};

static const struct outcome barrier_reuse_outcomes[] = {
        [IN_STEP] = {.name = "in step", .meaning = "nobody went on before all had come"},
        [OVERTAKEN] = {.name = "overtaken",
                       .meaning = "one went round and came again, and was counted for one that had not gone yet",
                       .expected = OUTCOME_INTERESTING,
                       .forbidden_by = GUARD_EXCLUDES,
                       .is_witness = true},
        [LEFT_BEHIND] = {.name = "left behind",
                         .meaning = "the others went for good before one had looked, which now waits for ever",
                         .expected = OUTCOME_INTERESTING,
                         .forbidden_by = GUARD_EXCLUDES,
                         .is_witness = true},
        [OUT_OF_TIME] = {.name = "out of time", .meaning = "they were in step when the trial's time was over"},
};

/* A step of the barrier: one addition, and what it found. False when the trial is over. */
static bool
add(struct actor *a, uint64_t *x, uint64_t by, uint64_t *ret_was)
{
        if (!actor_acquire(a))
                return false;
        *ret_was = actor_add(a, x, by);
        actor_release(a);
        return true;
}

/* Waits until the word has this value, or another one than this. False when the trial is over. */
static bool
await(struct actor *a, const uint64_t *x, uint64_t value, bool is_wanted)
{
        for (uint32_t looks = 1;; looks++) {
                uint64_t seen;

                if (!actor_goes_on(a) || !actor_acquire_shared(a))
                        return false;
                seen = actor_load_acquire(a, x);
                actor_release(a);
                if ((seen == value) == is_wanted)
                        return true;
                actor_widen(a);
                if (looks % LOOKS_BEFORE_YIELD == 0)
                        actor_yield(a);
        }
}

static bool
pass_counted(struct actor *a, struct barrier_reuse_state *s)
{
        uint64_t was;

        return add(a, &s->count, 1, &was) && (was + 1 == a->actors || await(a, &s->count, a->actors, true)) &&
               add(a, &s->count, UINT64_MAX, &was);
}

static bool
pass_numbered(struct actor *a, struct barrier_reuse_state *s)
{
        uint64_t generation = actor_load_acquire(a, &s->generation), was;

        if (!add(a, &s->count, 1, &was))
                return false;
        if (was + 1 < a->actors)
                return await(a, &s->generation, generation, false);
        actor_store(a, &s->count, 0);
        actor_store_release(a, &s->generation, generation + 1);
        return true;
}

/* Has somebody not come to the barrier of this round, which the actor has left? */
static bool
is_ahead(struct actor *a, struct barrier_reuse_state *s, uint64_t round)
{
        for (uint32_t i = 0; i < a->actors; i++)
                if (actor_load_acquire(a, &s->come[i].round) < round)
                        return true;
        return false;
}

static void
barrier_reuse_act(struct actor *a, void *state)
{
        struct barrier_reuse_state *s = state;

        for (uint64_t round = 1; round <= (uint64_t)a->params[PARAM_ROUNDS] && actor_goes_on(a); round++) {
                actor_store_release(a, &s->come[a->id].round, round);
                if (!(a->params[PARAM_GENERATION] ? pass_numbered(a, s) : pass_counted(a, s)))
                        return;
                if (is_ahead(a, s, round)) {
                        s->done[a->id].has_overtaken = 1;
                        actor_end_trial(a);
                        return;
                }
                s->done[a->id].rounds = round;
        }
}

static uint32_t
barrier_reuse_effect(const struct race_spec *spec)
{
        uint32_t effect = guard_effect(guards[spec->guard], spec->permits) & ~GUARD_EXCLUDES;

        return spec->params[PARAM_GENERATION] ? effect | GUARD_EXCLUDES : effect;
}

/* Those that are not through have all come to the last barrier, but the count is no longer full and nobody is left who
 * could fill it. With numbers they would only be late. */
static bool
is_left_behind(const struct barrier_reuse_state *s, const struct race_spec *spec)
{
        for (uint32_t i = 0; i < spec->actors; i++)
                if (s->come[i].round < (uint64_t)spec->params[PARAM_ROUNDS])
                        return false;
        return !spec->params[PARAM_GENERATION] && s->count < spec->actors;
}

static int
barrier_reuse_classify(const void *state, struct trial_end *end)
{
        const struct barrier_reuse_state *s = state;
        uint32_t through = 0;

        for (uint32_t i = 0; i < end->spec->actors; i++) {
                if (s->done[i].has_overtaken)
                        return OVERTAKEN;
                through += s->done[i].rounds == (uint64_t)end->spec->params[PARAM_ROUNDS];
        }
        if (through == end->spec->actors)
                return IN_STEP;
        if (!end->was_cut)
                return -1;
        return is_left_behind(s, end->spec) ? LEFT_BEHIND : OUT_OF_TIME;
}

const struct scenario scenario_barrier_reuse = {
        .name = "barrier-reuse",
        .summary = "a home-made barrier is used again before all have left it",
        .actors_min = 2,
        .actors_max = ACTORS_MAX,
        .actors_def = 2,
        .params = barrier_reuse_params,
        .n_params = ARRAY_SIZE(barrier_reuse_params),
        .permits_def = 1,
        .guard_def = "none",
        .effect = barrier_reuse_effect,
        .outcomes = barrier_reuse_outcomes,
        .n_outcomes = ARRAY_SIZE(barrier_reuse_outcomes),
        .state_bytes = sizeof(struct barrier_reuse_state),
        .act = barrier_reuse_act,
        .classify = barrier_reuse_classify,
};
