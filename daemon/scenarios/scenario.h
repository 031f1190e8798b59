/* SPDX-License-Identifier: MIT */
/*
 * A scenario: a race that a person can launch. One const descriptor each, in the table of scenarios.c. A trial: reset()
 * makes its shared state, all actors run act() (or their op programs) on it at once, and when all have returned
 * classify() says which outcome it was.
 */
#ifndef CONCD_SCENARIO_H
#define CONCD_SCENARIO_H

#include "scenarios/actor.h"
#include "scenarios/litmus.h"

enum outcome_class { OUTCOME_ACCEPTABLE, OUTCOME_INTERESTING, OUTCOME_FORBIDDEN };

struct outcome {
        const char *name;
        const char *meaning;
        enum outcome_class expected; /* without a guard that forbids it */
        uint32_t forbidden_by;       /* GUARD_* effects, any of which makes it forbidden */
        bool is_witness;             /* what the Observation line counts as positive */
};

struct scenario_param {
        const char *name, *summary, *unit;
        int64_t min, max, def;
};

/* What is known of a trial when all actors have returned. */
struct trial_end {
        const struct race_spec *spec;
        bool was_cut;  /* the trial's time passed, or an actor ended it */
        uint64_t lost; /* classify() may set: updates that were lost */
        uint64_t leaked, recovered, kills;
};

#define SCENARIO_SMALL         UINT32_C(1) /* a handful of instructions: many trials to one rendezvous, no window */
#define SCENARIO_PROCESS_ONLY  UINT32_C(2)
#define SCENARIO_HAS_HOLD      UINT32_C(4) /* the guard can be held over the loop or for each step */
#define SCENARIO_ONE_OF_A_KIND UINT32_C(8) /* one trial at a time: it uses up the guard */

struct scenario {
        const char *name;
        const char *summary;
        uint32_t flags;
        uint32_t actors_min, actors_max, actors_def;
        const struct scenario_param *params;
        uint32_t n_params;
        uint32_t permits_def; /* of a counted guard */
        const char *guard_def;
        /* Can this guard serve it? NULL: all can. Else *why gets the reason, "none, mutex, …". */
        bool (*accepts)(const struct guard *g, const char **why);
        /* What the guard does for this scenario, when that hangs on more than guard and permits: on a parameter that
         * mends the defect, or on the number of actors. GUARD_* effects. NULL: guard_effect(). */
        uint32_t (*effect)(const struct race_spec *spec);

        const struct outcome *outcomes;
        uint32_t n_outcomes;
        size_t state_bytes; /* at most RACE_ARENA_BYTES; the state lies on a line of its own */

        /* Before each trial, by one actor, while no other touches the state. NULL: all zeros. */
        void (*reset)(void *state, const struct race_spec *spec, uint64_t random);
        void (*act)(struct actor *a, void *state); /* or */
        const struct litmus *litmus;

        /* Index of the outcome, or -1: none that is known. Of a litmus shape NULL: 0 is the witness, 1 the rest. */
        int (*classify)(const void *state, struct trial_end *end);
};

/* All of them, ended by NULL. The first is the default. */
extern const struct scenario *const scenarios[];

int scenario_by_name(const char *name);

/* Some trials before a small one starts: fetches copies of its locations, so that loads are quick
 * and stores have to wait for the other CPU. Without it the lines belong to whoever made the state fresh, and weak
 * outcomes are rare. */
void scenario_touch(const struct scenario *s, const void *state);

/* Runs actor a's part of one trial. */
void scenario_act(const struct scenario *s, struct actor *a, void *state);

/* Which outcome, or -1. */
int scenario_classify(const struct scenario *s, const void *state, struct trial_end *end);

/* What the race's guard does in it: the effect that decides which outcomes are forbidden. */
uint32_t scenario_effect(const struct scenario *s, const struct race_spec *spec);

/* What an outcome is under a guard of this effect. */
enum outcome_class outcome_expected(const struct outcome *o, uint32_t guard_effect);

#endif
