/* SPDX-License-Identifier: MIT */
/*
 * The scenarios of waiting and of order, and the one in which a holder is killed: what each makes of states written by
 * hand, that it breaks where it should, and that what mends it holds.
 */
#include "scenarios/builtin.h"

#include "race_track.h"

#define FIXED_TRIALS  1000
#define BROKEN_TRIALS 200000
#define KILLS         25
#define FAR_AWAY      (3600 * NS_PER_S)

static const char *const names[] = {
        "producer-consumer", "readers-writers", "dining-philosophers", "peterson",    "dekker",
        "barrier-reuse",     "lock-convoy",     "thundering-herd",     "permit-leak",
};

/* Those that need no processes. */
#define IN_THREADS ((int)ARRAY_SIZE(names) - 1)

static int64_t *
param_of(struct race_spec *spec, const char *name)
{
        const struct scenario *s = scenarios[spec->scenario];

        for (uint32_t i = 0; i < s->n_params; i++)
                if (strcmp(s->params[i].name, name) == 0)
                        return &spec->params[i];
        ck_abort_msg("%s has no %s", s->name, name);
        return NULL;
}

/* ── states written by hand ── */

/* A word of a state; all states are lines of 64 bytes. */
struct word {
        uint16_t line, word;
        uint64_t value;
};

#define WORDS_MAX 12
struct state_row {
        const char *scenario, *guard;
        const char *param; /* that is 1; NULL: none */
        uint32_t permits;
        bool was_cut;
        struct word words[WORDS_MAX]; /* written over what reset() made */
        const char *outcome;          /* NULL: unknown */
        uint64_t lost, leaked, recovered, kills;
};

#define WORD(line, word, value) {line, word, (uint64_t)(value)},
#define COUNT(n)                WORD(0, 0, n)
#define RING(place, item)       WORD(4, place, (item) + 1)
#define PUT(n)                  WORD(12, 0, n)
#define GHOST                   WORD(13, 1, 1)
#define TAKEN(item, n)          WORD(76, item, n)
#define FORK(i, holder)         WORD(i, 0, holder)
#define EATEN(i, meals)         WORD(16 + i, 0, meals)
#define CLASH(actor)            WORD(4 + actor, 0, 1)
#define ROUNDS(actor, n)        WORD(66 + actor, 0, n)
#define COME(actor, round)      WORD(2 + actor, 0, round)
#define ADDED(actor, n, turns)  WORD(1 + actor, 0, n) WORD(1 + actor, 1, turns)
#define WOKEN(actor, got, n)    WORD(3 + actor, 0, got) WORD(3 + actor, 1, n)
#define OUT(place)              WORD(2, 0, place)
#define PAIR(first, second)     WORD(0, 0, first) WORD(1, 0, second)
#define WRITES(actor, n)        WORD(2 + actor, 0, n)
#define UNEQUAL(actor)          WORD(2 + actor, 1, 1)
#define OVERTAKER(actor)        WORD(66 + actor, 1, 1)
#define KILL                    WORD(0, 1, 1)
#define BACK                    WORD(0, 2, 1)
#define LEFT(n)                 WORD(0, 3, n)
#define SAID                    WORD(0, 4, 1)

#define PC "producer-consumer" /* two items of one producer, in a ring for four */
#define RW "readers-writers"
#define DP "dining-philosophers"
#define BR "barrier-reuse"
#define LC "lock-convoy"
#define TH "thundering-herd"

/* The rows: what lies in the state, and what that is. MENDED is for the parameter that mends the scenario. */
#define LOST(scenario, cut, outcome, lost, ...)                                                                        \
        {                                                                                                              \
                scenario, "none", NULL, 1, cut, {__VA_ARGS__}, outcome, lost, 0, 0, 0                                  \
        }
#define ROW(scenario, cut, outcome, ...) LOST(scenario, cut, outcome, 0, __VA_ARGS__)
#define MENDED(scenario, param, outcome, ...)                                                                          \
        {                                                                                                              \
                scenario, "none", param, 1, true, {__VA_ARGS__}, outcome, 0, 0, 0, 0                                   \
        }
#define LEAK(guard, permits, outcome, leaked, recovered, ...)                                                          \
        {                                                                                                              \
                "permit-leak", guard, NULL, permits, false, {KILL __VA_ARGS__}, outcome, 0, leaked, recovered, 1       \
        }

static const struct state_row state_rows[] = {
        ROW(PC, false, "each item once", PUT(2) TAKEN(0, 1) TAKEN(1, 1)),
        LOST(PC, false, "items lost or doubled", 1, PUT(2) TAKEN(0, 1)),
        ROW(PC, false, "items lost or doubled", PUT(2) TAKEN(0, 1) TAKEN(1, 2)),
        LOST(PC, false, "items lost or doubled", 1, PUT(2) TAKEN(0, 1) RING(1, 1)),
        ROW(PC, false, "items lost or doubled", PUT(2) TAKEN(0, 1) TAKEN(1, 1) GHOST),
        ROW(PC, false, "items lost or doubled", PUT(2) TAKEN(0, 1) TAKEN(1, 1) RING(0, 0) COUNT(1)),
        ROW(PC, true, "items lost or doubled", PUT(1) TAKEN(0, 1) TAKEN(1, 1)),
        LOST(PC, true, "items lost or doubled", 1, PUT(2) TAKEN(0, 1) RING(1, 0) OUT(1) COUNT(1)),
        ROW(PC, true, "out of time", PUT(2) TAKEN(0, 1) RING(1, 1) OUT(1) COUNT(1)),
        ROW(PC, true, "out of time", COUNT(0)),
        ROW(PC, true, "out of time", PUT(1) RING(0, 0) COUNT(1)),
        ROW(PC, true, "each item once", PUT(2) TAKEN(0, 1) TAKEN(1, 1)),
        ROW(PC, false, NULL, PUT(2) TAKEN(0, 1) RING(1, 1) OUT(1) COUNT(1)),

        ROW(RW, false, "consistent", PAIR(5, 5) WRITES(0, 5)),
        LOST(RW, false, "consistent", 1, PAIR(4, 4) WRITES(1, 5)),
        ROW(RW, true, "inconsistent view", PAIR(5, 5) WRITES(0, 5) UNEQUAL(1)),
        ROW(RW, false, "inconsistent view", PAIR(5, 4) WRITES(0, 5)),
        ROW(RW, false, NULL, PAIR(5, 5) WRITES(0, 4)),

        ROW(DP, false, "all ate", EATEN(0, 20) EATEN(1, 20)),
        ROW(DP, true, "all ate", EATEN(0, 20) EATEN(1, 20)),
        ROW(DP, true, "deadlock", FORK(0, 1) FORK(1, 2)),
        ROW(DP, true, "deadlock", FORK(0, 1) FORK(1, 2) EATEN(0, 3)),
        ROW(DP, true, "out of time", FORK(0, 1) FORK(1, 1)),
        ROW(DP, true, "out of time", FORK(0, 1) EATEN(1, 20)),
        ROW(DP, true, "out of time", EATEN(0, 19) EATEN(1, 20)),
        ROW(DP, false, NULL, EATEN(0, 19) EATEN(1, 20)),
        ROW(DP, false, NULL, EATEN(0, 20) EATEN(1, 20) FORK(1, 1)),

        ROW("peterson", false, "excluded", WORD(2, 0, 1)),
        ROW("peterson", false, "both inside", CLASH(0)),
        MENDED("peterson", "fence", "both inside", CLASH(1)),
        ROW("dekker", true, "excluded", WORD(0, 0, 1)),
        ROW("dekker", false, "both inside", CLASH(1)),

        ROW(BR, false, "in step", ROUNDS(0, 20) ROUNDS(1, 20)),
        ROW(BR, true, "out of time", ROUNDS(0, 5) ROUNDS(1, 6) COME(0, 6) COME(1, 6)),
        ROW(BR, true, "overtaken", ROUNDS(0, 1) OVERTAKER(0) ROUNDS(1, 0)),
        ROW(BR, true, "left behind", ROUNDS(0, 20) ROUNDS(1, 19) COME(0, 20) COME(1, 20) COUNT(1)),
        ROW(BR, true, "out of time", ROUNDS(0, 19) ROUNDS(1, 19) COME(0, 20) COME(1, 20) COUNT(2)),
        ROW(BR, true, "out of time", ROUNDS(0, 19) ROUNDS(1, 19) COME(0, 20) COME(1, 19) COUNT(1)),
        MENDED(BR, "generation", "out of time", ROUNDS(0, 20) ROUNDS(1, 19) COME(0, 20) COME(1, 20)),
        ROW(BR, false, NULL, ROUNDS(0, 20) ROUNDS(1, 19)),

        ROW(LC, false, "exact", COUNT(2100) ADDED(0, 2000, 100) ADDED(1, 100, 100)),
        ROW(LC, true, "no progress", COUNT(2090) ADDED(0, 2000, 100) ADDED(1, 90, 90)),
        LOST(LC, true, "lost updates", 1, COUNT(2089) ADDED(0, 2000, 100) ADDED(1, 90, 90)),
        LOST(LC, false, "lost updates", 2093, COUNT(7) ADDED(0, 2000, 100) ADDED(1, 100, 100)),
        ROW(LC, false, NULL, COUNT(2090) ADDED(0, 2000, 100) ADDED(1, 90, 90)),
        ROW(LC, false, NULL, COUNT(2101) ADDED(0, 2000, 100) ADDED(1, 100, 100)),

        ROW(TH, false, "one took it", WOKEN(0, 12, 20) WOKEN(1, 8, 20)),
        ROW(TH, false, "taken more than once", WOKEN(0, 12, 20) WOKEN(1, 9, 20)),
        ROW(TH, true, "out of time", WOKEN(0, 2, 7) WOKEN(1, 5, 6)),
        ROW(TH, true, "taken more than once", WOKEN(0, 3, 7) WOKEN(1, 5, 6)),
        ROW(TH, true, "one took it", WOKEN(0, 12, 20) WOKEN(1, 8, 20)),
        ROW(TH, false, NULL, WOKEN(0, 2, 7) WOKEN(1, 5, 6)),
        ROW(TH, true, NULL, WOKEN(0, 2, 7) WOKEN(1, 4, 6)),

        LEAK("raw-semaphore", 1, "short for ever", 1, 0, LEFT(0)),
        LEAK("raw-semaphore", 3, "short for ever", 1, 0, LEFT(2)),
        LEAK("semaphore", 3, "repaired", 0, 1, LEFT(3) BACK),
        LEAK("semaphore", 3, "short for ever", 1, 1, LEFT(2) BACK),
        LEAK("robust-mutex", 1, "told", 0, 0, LEFT(1) SAID),
        LEAK("flock", 1, "released by the kernel", 0, 0, LEFT(1)),
        LEAK("robust-mutex", 1, NULL, 0, 0, LEFT(1)),
        LEAK("raw-semaphore", 1, NULL, 0, 0, LEFT(1)),
        ROW("permit-leak", false, "nobody killed", LEFT(1)),
};

START_TEST(state_is_classified)
{
        const struct state_row *row = &state_rows[_i];
        const struct scenario *s = scenario_of(row->scenario);
        struct race_spec spec = spec_of(row->scenario, row->guard);
        struct trial_end end = {.spec = &spec, .was_cut = row->was_cut};
        AUTO_FREE uint64_t *state = aligned_alloc(RACE_LINE, RACE_ARENA_BYTES);
        const char *name;
        int outcome;

        ck_assert_ptr_nonnull(state);
        spec.permits = row->permits;
        if (row->param)
                *param_of(&spec, row->param) = 1;
        if (strcmp(row->scenario, "producer-consumer") == 0)
                *param_of(&spec, "items") = 2;
        memset(state, 0xa5, RACE_ARENA_BYTES);
        track_reset(s, state, &spec);
        for (size_t i = 0; i < WORDS_MAX; i++) {
                const struct word *w = &row->words[i];

                if (w->line || w->word || w->value)
                        state[w->line * 8 + w->word] = w->value;
        }
        outcome = scenario_classify(s, state, &end);
        ck_assert_int_lt(outcome, (int)s->n_outcomes);
        name = outcome < 0 ? "unknown" : s->outcomes[outcome].name;
        ck_assert_msg(strcmp(name, row->outcome ? row->outcome : "unknown") == 0, "row %d: %s is \"%s\"", _i, s->name,
                      name);
        if (outcome < 0)
                return;
        ck_assert_uint_eq(end.lost, row->lost);
        ck_assert_uint_eq(end.leaked, row->leaked);
        ck_assert_uint_eq(end.recovered, row->recovered);
        ck_assert_uint_eq(end.kills, row->kills);
}
END_TEST

START_TEST(every_outcome_has_a_row)
{
        const struct scenario *s = scenario_of(names[_i]);

        for (uint32_t i = 0; i < s->n_outcomes; i++) {
                bool found = false;

                for (size_t k = 0; k < ARRAY_SIZE(state_rows) && !found; k++)
                        found = strcmp(state_rows[k].scenario, s->name) == 0 && state_rows[k].outcome &&
                                strcmp(state_rows[k].outcome, s->outcomes[i].name) == 0;
                ck_assert_msg(found, "%s: no row for \"%s\"", s->name, s->outcomes[i].name);
        }
}
END_TEST

/* ── what is forbidden where ── */

static const struct law {
        const char *scenario, *guard, *param, *outcome;
        uint32_t permits, actors;
        enum outcome_class expected;
} laws[] = {
        {"dining-philosophers", "none", NULL, "deadlock", 1, 2, OUTCOME_INTERESTING},
        {"dining-philosophers", "atomic", NULL, "deadlock", 1, 2, OUTCOME_INTERESTING},
        {"dining-philosophers", "mutex", NULL, "deadlock", 1, 2, OUTCOME_FORBIDDEN},
        {"dining-philosophers", "semaphore", NULL, "deadlock", 2, 2, OUTCOME_INTERESTING},
        {"dining-philosophers", "semaphore", NULL, "deadlock", 2, 3, OUTCOME_FORBIDDEN},
        {"dining-philosophers", "raw-semaphore", NULL, "deadlock", 3, 3, OUTCOME_INTERESTING},
        {"peterson", "none", NULL, "both inside", 1, 2, OUTCOME_INTERESTING},
        {"peterson", "none", "fence", "both inside", 1, 2, OUTCOME_FORBIDDEN},
        {"peterson", "semaphore", NULL, "both inside", 2, 2, OUTCOME_INTERESTING},
        {"peterson", "semaphore", "fence", "both inside", 2, 2, OUTCOME_FORBIDDEN},
        {"dekker", "spin", NULL, "both inside", 1, 2, OUTCOME_FORBIDDEN},
        {"dekker", "atomic", NULL, "both inside", 1, 2, OUTCOME_FORBIDDEN},
        {"dekker", "none", "fence", "both inside", 1, 2, OUTCOME_FORBIDDEN},
        {"barrier-reuse", "none", NULL, "overtaken", 1, 2, OUTCOME_INTERESTING},
        {"barrier-reuse", "mutex", NULL, "overtaken", 1, 2, OUTCOME_INTERESTING},
        {"barrier-reuse", "none", "generation", "overtaken", 1, 2, OUTCOME_FORBIDDEN},
        {"barrier-reuse", "mutex", "generation", "left behind", 1, 2, OUTCOME_FORBIDDEN},
        {"permit-leak", "raw-semaphore", NULL, "short for ever", 1, 2, OUTCOME_INTERESTING},
        {"permit-leak", "mutex", NULL, "short for ever", 1, 2, OUTCOME_INTERESTING},
        {"permit-leak", "semaphore", NULL, "short for ever", 2, 2, OUTCOME_FORBIDDEN},
        {"permit-leak", "robust-mutex", NULL, "short for ever", 1, 2, OUTCOME_FORBIDDEN},
        {"permit-leak", "flock", NULL, "short for ever", 1, 2, OUTCOME_FORBIDDEN},
        {"thundering-herd", "atomic", NULL, "taken more than once", 1, 2, OUTCOME_FORBIDDEN},
        {"producer-consumer", "atomic", NULL, "items lost or doubled", 1, 2, OUTCOME_INTERESTING},
};

START_TEST(law_is_as_said)
{
        const struct law *law = &laws[_i];
        const struct scenario *s = scenario_of(law->scenario);
        struct race_spec spec = spec_of(law->scenario, law->guard);
        uint32_t i = 0;

        spec.permits = law->permits;
        spec.actors = law->actors;
        if (law->param)
                *param_of(&spec, law->param) = 1;
        while (i < s->n_outcomes && strcmp(s->outcomes[i].name, law->outcome) != 0)
                i++;
        ck_assert_uint_lt(i, s->n_outcomes);
        ck_assert_int_eq(outcome_expected(&s->outcomes[i], scenario_effect(s, &spec)), law->expected);
}
END_TEST

static bool
can_serve(const struct scenario *s, const struct guard *g)
{
        const char *why;

        return !s->accepts || s->accepts(g, &why);
}

/* Refused is what nobody can hold, and the reason names all others. */
START_TEST(leak_takes_what_can_be_held)
{
        const struct scenario *s = scenario_of("permit-leak");
        const char *why = NULL;

        ck_assert(!s->accepts(guards[guard_by_name("none")], &why));
        ck_assert_ptr_nonnull(why);
        for (size_t i = 0; guards[i]; i++) {
                uint32_t effect = guard_effect(guards[i], 1);
                bool can = (effect & GUARD_LIMITS) && !(guards[i]->flags & GUARD_THREADS_ONLY);

                ck_assert_msg(can_serve(s, guards[i]) == can, "%s", guards[i]->name);
                ck_assert_msg((strstr(why, guards[i]->name) != NULL) == can, "%s is not told from the others: %s",
                              guards[i]->name, why);
        }
}
END_TEST

/* ── races of threads ── */

/* Small enough for thousands of trials. */
static struct race_spec
short_spec_of(const char *scenario, const char *guard)
{
        struct race_spec spec = spec_of(scenario, guard);

        for (uint32_t i = 0; i < scenarios[spec.scenario]->n_params; i++)
                spec.params[i] = MIN(spec.params[i], 10);
        return spec;
}

static const struct course {
        const char *scenario, *guard, *param;
        uint32_t permits, actors;
} broken[] =
        {
                {"producer-consumer", "none", NULL, 1, 2},
                {"producer-consumer", "none", NULL, 1, 4},
                {"producer-consumer", "semaphore", NULL, 2, 2},
                {"readers-writers", "none", NULL, 1, 2},
                {"readers-writers", "atomic", NULL, 1, 2},
                {"readers-writers", "semaphore", NULL, 2, 2},
                {"dining-philosophers", "none", NULL, 1, 2},
                {"dining-philosophers", "none", NULL, 1, 4},
                {"dining-philosophers", "semaphore", NULL, 2, 2},
                {"dining-philosophers", "raw-semaphore", NULL, 3, 3},
#if defined(__x86_64__) || defined(__aarch64__)
                {"peterson", "none", NULL, 1, 2},
                {"peterson", "unnamed-semaphore", NULL, 2, 2},
                {"dekker", "none", NULL, 1, 2},
#endif
                {"barrier-reuse", "none", NULL, 1, 2},
                {"barrier-reuse", "none", NULL, 1, 3},
                {"barrier-reuse", "mutex", NULL, 1, 2},
                {"barrier-reuse", "atomic", NULL, 1, 2},
                {"lock-convoy", "none", NULL, 1, 2},
                {"lock-convoy", "raw-semaphore", NULL, 2, 2},
                {"thundering-herd", "none", NULL, 1, 2},
                {"thundering-herd", "semaphore", NULL, 2, 2},
},
  mended[] = {
          {"producer-consumer", "mutex", NULL, 1, 4},
          {"readers-writers", "rwlock", NULL, 1, 4},
          {"dining-philosophers", "mutex", NULL, 1, 4},
          {"dining-philosophers", "semaphore", NULL, 2, 3},
          {"dining-philosophers", "raw-semaphore", NULL, 3, 4},
          {"peterson", "none", "fence", 1, 2},
          {"peterson", "semaphore", "fence", 2, 2},
          {"dekker", "none", "fence", 1, 2},
          {"barrier-reuse", "none", "generation", 1, 2},
          {"barrier-reuse", "none", "generation", 1, 4},
          {"barrier-reuse", "mutex", "generation", 1, 2},
          {"barrier-reuse", "semaphore", "generation", 2, 3},
          {"lock-convoy", "ticket", NULL, 1, 4},
          {"lock-convoy", "atomic", NULL, 1, 4},
          {"thundering-herd", "mutex", NULL, 1, 4},
          {"thundering-herd", "atomic", NULL, 1, 4},
};

static struct race_spec
course_spec(const struct course *c)
{
        struct race_spec spec = short_spec_of(c->scenario, c->guard);

        spec.permits = c->permits;
        spec.actors = c->actors;
        if (c->param)
                *param_of(&spec, c->param) = 1;
        return spec;
}

/* With one CPU the window is only hit by a switch in the middle of it, which nobody can promise. What is broken may
 * also never end, so a trial has little time. */
START_TEST(broken_course_shows_its_bug)
{
        struct race_spec spec = course_spec(&broken[_i]);
        struct track *t;

        if (!can_race())
                return;
        spec.trial_ns = 20 * NS_PER_MS;
        t = track_open(&spec, NULL);
        t->until_witness = true;
        track_run(t, BROKEN_TRIALS);
        ck_assert_msg(judge(t) == 1, "%s under %s: no witness", broken[_i].scenario, broken[_i].guard);
        track_close(t);
}
END_TEST

START_TEST(mended_course_holds)
{
        struct race_spec spec = course_spec(&mended[_i]);
        struct track *t = track_open(&spec, NULL);

        track_run(t, FIXED_TRIALS / 2);
        ck_assert_uint_eq(judge(t), 0);
        track_close(t);
}
END_TEST

/* Every guard that forbids the witness does so, and the trials end by themselves. */
START_TEST(forbidding_guard_holds)
{
        const struct scenario *s = scenario_of(names[_i % IN_THREADS]);
        const struct guard *g = guards[_i / IN_THREADS];
        struct race_spec spec = short_spec_of(s->name, g->name);
        bool forbids = false;
        struct track *t;

        for (uint32_t i = 0; i < s->n_outcomes; i++)
                forbids =
                        forbids || (s->outcomes[i].is_witness &&
                                    outcome_expected(&s->outcomes[i], scenario_effect(s, &spec)) == OUTCOME_FORBIDDEN);
        if (!forbids)
                return;
        t = track_open(&spec, NULL);
        track_run(t, FIXED_TRIALS);
        ck_assert_uint_eq(judge(t), 0);
        ck_assert_msg(t->count[0] == FIXED_TRIALS, "%s under %s: %" PRIu64 " of them ended well", s->name, g->name,
                      t->count[0]);
        ck_assert_uint_eq(t->sum.lost, 0);
        track_close(t);
}
END_TEST

/* A deadlock is found by the philosophers themselves: this trial's time would never pass. */
START_TEST(deadlock_ends_its_trial)
{
        struct race_spec spec = spec_of("dining-philosophers", "none");
        struct track *t;

        if (!can_race())
                return;
        spec.trial_ns = FAR_AWAY;
        spec.actors = (uint32_t)_i;
        *param_of(&spec, "meals") = 1000000;
        t = track_open(&spec, NULL);
        t->until_witness = true;
        track_run(t, BROKEN_TRIALS);
        ck_assert_uint_eq(judge(t), 1);
        track_close(t);
}
END_TEST

/* At each event one has something to do, and the others are counted. */
START_TEST(herd_counts_who_woke_in_vain)
{
        struct race_spec spec = short_spec_of("thundering-herd", "mutex");
        uint64_t steps = 0;
        struct track *t;

        spec.actors = 3;
        t = track_open(&spec, NULL);
        track_run(t, 50);
        ck_assert_uint_eq(judge(t), 0);
        for (uint32_t i = 0; i < spec.actors; i++)
                steps += t->racer[i].steps;
        ck_assert_uint_eq(steps, 50 * 10 * 2);
        track_close(t);
}
END_TEST

/* A trial whose time is over before it begins is left at once, and the guard is free. */
START_TEST(ended_trial_is_left)
{
        struct race_spec spec = spec_of(names[_i], "mutex");
        struct track *t = track_open(&spec, NULL);
        struct trial_end end;
        int outcome;

        for (uint32_t i = 0; i < spec.actors; i++) {
                struct actor *a = &t->racer[i].actor;

                actor_end_trial(a);
                scenario_act(t->scenario, a, t->race.arena);
                ck_assert(!a->is_holding);
                ck_assert(a->guard->try_acquire(&a->user));
                a->guard->release(&a->user);
        }
        outcome = trial_outcome(t, &end);
        ck_assert_int_ge(outcome, 0);
        ck_assert(!t->scenario->outcomes[outcome].is_witness);
        track_close(t);
}
END_TEST

/* Nor does anybody wait for a guard that nobody gives back. */
START_TEST(lost_guard_ends_the_trial)
{
        struct race_spec spec = spec_of(names[_i], "mutex");
        struct track *t = track_open(&spec, NULL);
        struct actor *a = &t->racer[1].actor;
        struct trial_end end;
        int outcome;

        ck_assert(a->guard->try_acquire(&t->racer[0].actor.user));
        a->user.deadline_ns = clock_now_ns() + NS_PER_MS;
        scenario_act(t->scenario, a, t->race.arena);
        ck_assert(!a->is_holding);
        ck_assert_uint_eq(t->figures[1].timeouts, 1);
        ck_assert_uint_eq(atomic_load(&t->race.trial_over), 1);
        outcome = trial_outcome(t, &end);
        ck_assert_int_ge(outcome, 0);
        ck_assert(!t->scenario->outcomes[outcome].is_witness);
        a->guard->release(&t->racer[0].actor.user);
        track_close(t);
}
END_TEST

/* ── a holder is killed ── */

static const char *const after_death[GUARD_DEATHS] = {
        [GUARD_DEATH_LOSES] = "short for ever",
        [GUARD_DEATH_REPAIRED] = "repaired",
        [GUARD_DEATH_TOLD] = "told",
        [GUARD_DEATH_RELEASED] = "released by the kernel",
};

static void
check_kills(const struct guard *g, uint32_t permits)
{
        const struct scenario *s = scenario_of("permit-leak");
        struct race_spec spec = spec_of("permit-leak", g->name);
        struct track *t;

        spec.permits = permits;
        t = track_open(&spec, NULL);
        track_run_processes(t, KILLS);
        judge(t);
        for (uint32_t i = 0; i < s->n_outcomes; i++)
                ck_assert_msg(t->count[i] == (strcmp(s->outcomes[i].name, after_death[g->death]) == 0 ? KILLS : 0),
                              "%s, %u permits: \"%s\" %" PRIu64 " times", g->name, permits, s->outcomes[i].name,
                              t->count[i]);
        ck_assert_uint_eq(t->sum.kills, KILLS);
        ck_assert_uint_eq(t->sum.leaked, g->death == GUARD_DEATH_LOSES ? KILLS : 0);
        ck_assert_uint_eq(t->sum.recovered, g->death == GUARD_DEATH_REPAIRED ? KILLS : 0);
        ck_assert_uint_eq(atomic_load(&t->children_left), 0);
        for (uint32_t i = 0; i < spec.actors; i++)
                ck_assert_uint_eq(t->figures[i].acquires,
                                  g->death == GUARD_DEATH_LOSES && permits == 1 ? 0 : KILLS - t->figures[i].timeouts);
        track_close(t);
}

START_TEST(killed_holder_is_what_the_guard_says)
{
        const struct guard *g = guards[_i];

        if (!can_serve(scenario_of("permit-leak"), g))
                return;
        for (uint32_t permits = 1; permits <= MIN(3, guard_permits_max(g)); permits++)
                check_kills(g, permits);
}
END_TEST

/* Guards of the test's own: what the victim does instead of taking it. Its area says which process it is. */
static _Atomic int32_t *
victim_pid(struct race_guard *shared)
{
        return (_Atomic int32_t *)shared->area;
}

static int
own_init(struct race_guard *shared)
{
        atomic_store(victim_pid(shared), 0);
        return 0;
}

static bool
own_try_acquire(struct guard_user *u)
{
        return true;
}

static void
own_release(struct guard_user *u)
{
}

static int
acquire_never(struct guard_user *u)
{
        return -ETIMEDOUT;
}

static int
acquire_stopped(struct guard_user *u)
{
        raise(SIGSTOP);
        return 0;
}

static int
acquire_hanging(struct guard_user *u)
{
        atomic_store(victim_pid(u->shared), getpid());
        while (pause() < 0)
                ;
        return 0;
}

#define OWN_GUARD(how)                                                                                                 \
        {                                                                                                              \
                .name = #how, .flags = GUARD_EXCLUDES | GUARD_LIMITS, .init = own_init,                                \
                .try_acquire = own_try_acquire, .acquire = acquire_##how, .release = own_release                       \
        }
static const struct guard never = OWN_GUARD(never), stopped = OWN_GUARD(stopped), hanging = OWN_GUARD(hanging);

/* A victim that does not get the guard, or is stopped before it has it, is no killed holder; and it is reaped. */
START_TEST(victim_without_the_guard_is_none)
{
        const struct guard *const own[] = {&never, &stopped};
        struct race_spec spec = spec_of("permit-leak", "mutex");
        struct track *t;

        spec.actors = 1;
        t = track_open(&spec, own[_i]);
        track_run_processes(t, KILLS);
        ck_assert_uint_eq(t->count[scenario_of("permit-leak")->n_outcomes - 1], KILLS);
        ck_assert_uint_eq(t->sum.kills, 0);
        ck_assert_uint_eq(atomic_load(&t->children_left), 0);
        track_close(t);
}
END_TEST

/* When its actor is killed, the victim dies too: this test inherits it, and would wait for it for ever. */
START_TEST(victim_dies_with_its_parent)
{
        struct race_spec spec = spec_of("permit-leak", "mutex");
        struct track *t;
        pid_t actor, victim;
        int status;

        ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
        spec.actors = 1;
        t = track_open(&spec, &hanging);
        t->trials = 1;
        actor = racer_fork(&t->racer[0]);
        while ((victim = atomic_load(victim_pid(&t->race.guard))) == 0)
                sched_yield();
        kill(actor, SIGKILL);
        ck_assert_int_eq(waitpid(actor, &status, 0), actor);
        ck_assert_int_eq(waitpid(victim, &status, 0), victim);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        track_close(t);
}
END_TEST

static Suite *
scenarios_more_suite(void)
{
        Suite *s = suite_create("scenarios_more");
        TCase *states = tcase_create("states"), *races = tcase_create("races"), *kills = tcase_create("kills");
        int n_guards = 0;

        while (guards[n_guards])
                n_guards++;
        tcase_add_loop_test(states, state_is_classified, 0, (int)ARRAY_SIZE(state_rows));
        tcase_add_loop_test(states, every_outcome_has_a_row, 0, (int)ARRAY_SIZE(names));
        tcase_add_loop_test(states, law_is_as_said, 0, (int)ARRAY_SIZE(laws));
        tcase_add_test(states, leak_takes_what_can_be_held);
        tcase_add_loop_test(states, ended_trial_is_left, 0, IN_THREADS);
        tcase_add_loop_test(states, lost_guard_ends_the_trial, 0, IN_THREADS);
        suite_add_tcase(s, states);

        tcase_set_timeout(races, 300);
        tcase_add_loop_test(races, broken_course_shows_its_bug, 0, (int)ARRAY_SIZE(broken));
        tcase_add_loop_test(races, mended_course_holds, 0, (int)ARRAY_SIZE(mended));
        tcase_add_loop_test(races, forbidding_guard_holds, 0, IN_THREADS * n_guards);
        tcase_add_loop_test(races, deadlock_ends_its_trial, 2, 5);
        tcase_add_test(races, herd_counts_who_woke_in_vain);
        suite_add_tcase(s, races);

        tcase_set_timeout(kills, 300);
        tcase_add_loop_test(kills, killed_holder_is_what_the_guard_says, 0, n_guards);
        tcase_add_loop_test(kills, victim_without_the_guard_is_none, 0, 2);
        tcase_add_test(kills, victim_dies_with_its_parent);
        suite_add_tcase(s, kills);
        return s;
}

int
main(void)
{
        snprintf(shm_mark, sizeof(shm_mark), "unit-scenarios-%d_", getpid());
        return shm_main(scenarios_more_suite());
}
