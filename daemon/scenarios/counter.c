/* SPDX-License-Identifier: MIT */
/*
 * The origin of all this: one side raises a shared counter while it is below +target, the other lowers it while it is
 * above -target. With nothing between them they fight. With a lock held over the loop one runs after the other; with
 * one held for each step they fight fairly, step by step, and may never end, but no step is lost.
 *
 * Each actor knows how many steps it made, so the loss is exact, however the trial ended: what the counter should be
 * is the steps up less the steps down.
 *
 * A trial that was cut is a fight only when two or more were at it. One alone that was slow, behind others that were
 * done or in front of others that waited, is no fight, and on a busy machine that happens under any guard. Two at it
 * under a guard that lets one in for the whole loop is more than "no progress": then the guard did not hold, and that
 * is an outcome of its own. Not so under a guard that is handed over at checkpoints (gil).
 */
#include "scenarios/builtin.h"

#define ACTORS_MAX 64
#define FIXES      (GUARD_EXCLUDES | GUARD_ATOMIC)

enum { PARAM_TARGET };
enum { EXACT, LOST_UPDATES, NO_PROGRESS, OUT_OF_TIME, OVERLAP };

struct side {
        alignas(RACE_LINE) uint64_t steps; /* that were completed */
        uint64_t is_done;                  /* it saw its target reached */
};

struct counter_state {
        alignas(RACE_LINE) uint64_t value; /* signed, modulo 2^64 */
        struct side side[ACTORS_MAX];
};

static const struct scenario_param counter_params[] = {
        {.name = "target", .summary = "how far each side goes", .unit = "steps", .min = 1, .max = 1000000, .def = 1000},
};

static const struct outcome counter_outcomes[] = {
        [EXACT] = {.name = "exact", .meaning = "every step counted"},
        [LOST_UPDATES] = {.name = "lost updates",
                          .meaning = "several were inside at once; steps overwrote each other",
                          .expected = OUTCOME_INTERESTING,
                          .forbidden_by = FIXES,
                          .is_witness = true},
        [NO_PROGRESS] = {.name = "no progress",
                         .meaning = "the sides undid each other's steps until the trial's time was over",
                         .expected = OUTCOME_INTERESTING},
        [OUT_OF_TIME] = {.name = "out of time", .meaning = "one alone was on its way when the trial's time was over"},
        [OVERLAP] = {.name = "overlap",
                     .meaning = "two were inside a guard that lets one in for the whole loop: it did not hold",
                     .expected = OUTCOME_FORBIDDEN},
};

static bool
is_raiser(uint32_t actor)
{
        return actor % 2 == 0;
}

/* One turn of the loop; false when the target is reached. */
static bool
counter_step(struct actor *a, struct counter_state *s)
{
        int64_t target = a->params[PARAM_TARGET], seen = (int64_t)actor_load(a, &s->value);

        if (is_raiser(a->id) ? seen >= target : seen <= -target)
                return false;
        actor_bump(a, &s->value, is_raiser(a->id) ? 1 : UINT64_MAX);
        return true;
}

static bool
counter_guarded_step(struct actor *a, struct counter_state *s, struct side *mine)
{
        if (!actor_acquire(a))
                return false;
        if (counter_step(a, s))
                mine->steps++;
        else
                mine->is_done = 1;
        actor_release(a);
        return !mine->is_done;
}

static void
counter_whole_loop(struct actor *a, struct counter_state *s, struct side *mine)
{
        if (!actor_acquire(a))
                return;
        while (actor_goes_on(a)) {
                if (!counter_step(a, s)) {
                        mine->is_done = 1;
                        break;
                }
                mine->steps++;
        }
        actor_release(a);
}

static void
counter_act(struct actor *a, void *state)
{
        struct counter_state *s = state;
        struct side mine = {0};

        if (a->hold_loop)
                counter_whole_loop(a, s, &mine);
        else
                while (actor_goes_on(a) && counter_guarded_step(a, s, &mine))
                        ;
        s->side[a->id] = mine;
}

static bool
is_held_over_loop(const struct race_spec *spec)
{
        const struct guard *g = guards[spec->guard];

        return spec->hold == RACE_HOLD_LOOP && (guard_effect(g, spec->permits) & GUARD_EXCLUDES) && !g->checkpoint;
}

/* What the guard forbids is said first: a fight that was cut may have lost updates, too. */
static int
cut_counter(const struct trial_end *end, uint32_t at_it)
{
        if (!end->was_cut)
                return -1;
        if (end->lost > 0 && (at_it < 2 || (guard_effect(guards[end->spec->guard], end->spec->permits) & FIXES)))
                return LOST_UPDATES;
        if (at_it < 2)
                return OUT_OF_TIME;
        return is_held_over_loop(end->spec) ? OVERLAP : NO_PROGRESS;
}

static int
counter_classify(const void *state, struct trial_end *end)
{
        const struct counter_state *s = state;
        uint32_t done = 0, at_it = 0;
        uint64_t due = 0;
        int64_t lost;

        for (uint32_t i = 0; i < end->spec->actors; i++) {
                const struct side *side = &s->side[i];

                due += is_raiser(i) ? side->steps : -side->steps;
                done += side->is_done != 0;
                at_it += !side->is_done && side->steps > 0;
        }
        lost = (int64_t)(due - s->value);
        end->lost = (uint64_t)(lost < 0 ? -lost : lost);
        if (done < end->spec->actors)
                return cut_counter(end, at_it);
        return end->lost > 0 ? LOST_UPDATES : EXACT;
}

const struct scenario scenario_counter = {
        .name = "counter",
        .summary = "one side raises a shared counter, the other lowers it, each to its target",
        .flags = SCENARIO_HAS_HOLD,
        .actors_min = 2,
        .actors_max = ACTORS_MAX,
        .actors_def = 2,
        .params = counter_params,
        .n_params = ARRAY_SIZE(counter_params),
        .permits_def = 1,
        .guard_def = "none",
        .outcomes = counter_outcomes,
        .n_outcomes = ARRAY_SIZE(counter_outcomes),
        .state_bytes = sizeof(struct counter_state),
        .act = counter_act,
        .classify = counter_classify,
};
