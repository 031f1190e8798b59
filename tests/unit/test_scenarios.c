/* SPDX-License-Identifier: MIT */
/*
 * The scenarios, without the engine: the table; what each makes of states written by hand; op programs in models of
 * memory that visit every execution; and small races of threads.
 */
#include "scenarios/builtin.h"

#include "run_suite.h"

#include <check.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>

#define EFFECTS       (GUARD_EXCLUDES | GUARD_LIMITS | GUARD_ATOMIC | GUARD_SHARES)
#define RACERS_MAX    4
#define WIDEN         2000 /* turns */
#define FIXED_TRIALS  500  /* under a guard that fixes it */
#define BROKEN_TRIALS 200000
#define LITMUS_TRIALS 5000

static const char *const names[] = {
        "counter",
        "lost-update",
        "check-then-act",
        "bank-transfer",
        "torn-read",
        "producer-consumer",
        "readers-writers",
        "dining-philosophers",
        "peterson",
        "dekker",
        "aba",
        "publication",
        "barrier-reuse",
        "lock-convoy",
        "thundering-herd",
        "permit-leak",
        "sb",
        "sb-fence",
        "mp",
        "mp-fence",
        "lb",
        "lb-fence",
        "r",
        "r-fence",
        "s",
        "s-fence",
        "2+2w",
        "2+2w-fence",
        "iriw",
        "iriw-fence",
};

/* The ones that this file knows inside out. */
static const char *const known[] = {
        "counter", "lost-update", "check-then-act", "bank-transfer", "torn-read", "aba", "publication",
};

static const struct scenario *
scenario_of(const char *name)
{
        int i = scenario_by_name(name);

        ck_assert_msg(i >= 0, "%s is missing", name);
        return scenarios[i];
}

static struct race_spec
spec_of(const char *scenario, const char *guard)
{
        const struct scenario *s = scenario_of(scenario);
        struct race_spec spec = {
                .scenario = (uint32_t)scenario_by_name(scenario),
                .guard = (uint32_t)guard_by_name(guard),
                .permits = 1,
                .actors = s->actors_def,
                .batch = 1,
                .trial_ns = 10 * NS_PER_S,
        };

        ck_assert_int_ge(guard_by_name(guard), 0);
        for (uint32_t i = 0; i < s->n_params; i++)
                spec.params[i] = s->params[i].def;
        return spec;
}

/* Zeroed, on a line of its own; to be freed. */
static void *
state_new(const struct scenario *s)
{
        size_t size = (s->state_bytes + RACE_LINE - 1) / RACE_LINE * RACE_LINE;
        void *state = aligned_alloc(RACE_LINE, size);

        ck_assert_ptr_nonnull(state);
        return memset(state, 0, size);
}

static void
reset(const struct scenario *s, void *state, const struct race_spec *spec)
{
        if (s->reset)
                s->reset(state, spec, 0x9e3779b97f4a7c15);
        else
                memset(state, 0, s->state_bytes);
}

/* ── the table ── */

START_TEST(table_has_all_in_order)
{
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                ck_assert_ptr_nonnull(scenarios[i]);
                ck_assert_str_eq(scenarios[i]->name, names[i]);
                ck_assert_int_eq(scenario_by_name(names[i]), (int)i);
        }
        ck_assert_ptr_null(scenarios[ARRAY_SIZE(names)]);
        ck_assert_int_eq(scenario_by_name("counte"), -1);
        ck_assert_int_eq(scenario_by_name(""), -1);
}
END_TEST

START_TEST(table_rows_are_usable)
{
        const struct scenario *s = scenarios[_i];
        const char *why = "";
        int guard = guard_by_name(s->guard_def);

        ck_assert(s->summary && *s->summary);
        ck_assert_uint_ge(s->actors_min, 1);
        ck_assert_uint_le(s->actors_min, s->actors_def);
        ck_assert_uint_le(s->actors_def, s->actors_max);
        ck_assert_uint_le(s->actors_max, 64);
        ck_assert_int_ge(guard, 0);
        ck_assert_msg(!s->accepts || s->accepts(guards[guard], &why), "%s refuses its own guard: %s", s->name, why);
        ck_assert_uint_ge(s->permits_def, 1);
        ck_assert_uint_le(s->permits_def, PERMITS_MAX);
        ck_assert_uint_gt(s->state_bytes, 0);
        ck_assert_uint_le(s->state_bytes, RACE_ARENA_BYTES);
        ck_assert_int_eq(s->act != NULL, s->litmus == NULL);
        ck_assert_int_eq(s->classify != NULL, s->litmus == NULL);
}
END_TEST

START_TEST(table_params_are_in_range)
{
        const struct scenario *s = scenarios[_i];

        ck_assert_uint_le(s->n_params, RACE_PARAMS_MAX);
        for (uint32_t i = 0; i < s->n_params; i++) {
                const struct scenario_param *p = &s->params[i];

                ck_assert(p->name && *p->name && p->summary && *p->summary);
                ck_assert_int_le(p->min, p->def);
                ck_assert_int_le(p->def, p->max);
                for (uint32_t k = 0; k < i; k++)
                        ck_assert_str_ne(p->name, s->params[k].name);
        }
}
END_TEST

/* Is there a guard for the scenario that has one of these effects? */
static bool
some_guard_has(const struct scenario *s, uint32_t effects)
{
        const char *why;

        for (size_t i = 0; guards[i]; i++)
                if ((guard_effect(guards[i], 1) & effects) && (!s->accepts || s->accepts(guards[i], &why)))
                        return true;
        return false;
}

START_TEST(table_outcomes_make_sense)
{
        const struct scenario *s = scenarios[_i];
        uint32_t witnesses = 0, others = 0;

        ck_assert_uint_ge(s->n_outcomes, 2);
        ck_assert_uint_le(s->n_outcomes, RACE_OUTCOMES_MAX);
        for (uint32_t i = 0; i < s->n_outcomes; i++) {
                const struct outcome *o = &s->outcomes[i];

                ck_assert(o->name && *o->name && o->meaning && *o->meaning);
                for (uint32_t k = 0; k < i; k++)
                        ck_assert_str_ne(o->name, s->outcomes[k].name);
                witnesses += o->is_witness;
                others += o->expected == OUTCOME_ACCEPTABLE && o->forbidden_by == 0;
                ck_assert_uint_eq(o->forbidden_by & ~EFFECTS, 0);
                ck_assert_msg(o->forbidden_by == 0 || some_guard_has(s, o->forbidden_by),
                              "%s: no guard that it takes forbids \"%s\"", s->name, o->name);
                ck_assert_msg(!o->is_witness || o->expected != OUTCOME_ACCEPTABLE, "%s: \"%s\" is nothing to look for",
                              s->name, o->name);
        }
        ck_assert_uint_ge(witnesses, 1);
        ck_assert_msg(others >= 1, "%s: nothing is acceptable under every guard", s->name);
}
END_TEST

START_TEST(expected_class_follows_the_guard)
{
        static const struct outcome o = {.expected = OUTCOME_INTERESTING,
                                         .forbidden_by = GUARD_EXCLUDES | GUARD_ATOMIC};
        static const struct outcome never = {.expected = OUTCOME_FORBIDDEN};
        static const struct outcome always = {.expected = OUTCOME_ACCEPTABLE};

        ck_assert_int_eq(outcome_expected(&o, 0), OUTCOME_INTERESTING);
        ck_assert_int_eq(outcome_expected(&o, GUARD_LIMITS | GUARD_SHARES), OUTCOME_INTERESTING);
        ck_assert_int_eq(outcome_expected(&o, GUARD_EXCLUDES | GUARD_LIMITS), OUTCOME_FORBIDDEN);
        ck_assert_int_eq(outcome_expected(&o, GUARD_ATOMIC), OUTCOME_FORBIDDEN);
        ck_assert_int_eq(outcome_expected(&never, 0), OUTCOME_FORBIDDEN);
        ck_assert_int_eq(outcome_expected(&always, EFFECTS), OUTCOME_ACCEPTABLE);
}
END_TEST

/* ── states written by hand ── */

/* A word of a state; all states are lines of 64 bytes. */
struct word {
        uint16_t line, word;
        uint64_t value;
};

struct state_row {
        const char *scenario, *guard;
        enum race_hold hold;
        uint32_t permits;
        bool was_cut;
        struct word words[12]; /* written over what reset() made */
        const char *outcome;   /* NULL: unknown */
        uint64_t lost;
};

#define WORD(line, word, value) {line, word, (uint64_t)(value)},
#define VALUE(v)                WORD(0, 0, v)
#define UP(n, done)             WORD(1, 0, n) WORD(1, 1, done)
#define DOWN(n, done)           WORD(2, 0, n) WORD(2, 1, done)
#define LOOP                    RACE_HOLD_LOOP
#define STEP                    RACE_HOLD_STEP

static const struct state_row state_rows[] = {
        {"counter", "none", LOOP, 1, false, {VALUE(-1000) UP(1000, 1) DOWN(2000, 1)}, "exact", 0},
        {"counter", "mutex", LOOP, 1, false, {VALUE(-1000) UP(1000, 1) DOWN(2000, 1)}, "exact", 0},
        {"counter", "none", LOOP, 1, false, {VALUE(-1000) UP(1500, 1) DOWN(2300, 1)}, "lost updates", 200},
        {"counter", "none", LOOP, 1, false, {VALUE(1000) UP(1500, 1) DOWN(700, 1)}, "lost updates", 200},
        {"counter", "none", LOOP, 1, true, {VALUE(3) UP(900, 0) DOWN(800, 0)}, "no progress", 97},
        {"counter", "semaphore", LOOP, 2, true, {VALUE(3) UP(900, 0) DOWN(800, 0)}, "no progress", 97},
        {"counter", "mutex", STEP, 1, true, {VALUE(100) UP(900, 0) DOWN(800, 0)}, "no progress", 0},
        {"counter", "atomic", LOOP, 1, true, {VALUE(100) UP(900, 0) DOWN(800, 0)}, "no progress", 0},
        {"counter", "gil", LOOP, 1, true, {VALUE(100) UP(900, 0) DOWN(800, 0)}, "no progress", 0},
        {"counter", "atomic", LOOP, 1, true, {VALUE(101) UP(900, 0) DOWN(800, 0)}, "lost updates", 1},
        {"counter", "mutex", STEP, 1, true, {VALUE(99) UP(900, 0) DOWN(800, 0)}, "lost updates", 1},
        {"counter", "mutex", LOOP, 1, true, {VALUE(100) UP(900, 0) DOWN(800, 0)}, "overlap", 0},
        {"counter", "mutex", LOOP, 1, true, {VALUE(900) UP(900, 0)}, "out of time", 0},
        {"counter", "mutex", LOOP, 1, true, {VALUE(200) UP(1000, 1) DOWN(800, 0)}, "out of time", 0},
        {"counter", "none", LOOP, 1, true, {VALUE(300) UP(1100, 1) DOWN(800, 0)}, "out of time", 0},
        {"counter", "none", LOOP, 1, true, {VALUE(200) UP(1100, 1) DOWN(800, 0)}, "lost updates", 100},
        {"counter", "none", LOOP, 1, true, {VALUE(0)}, "out of time", 0},
        {"counter", "none", LOOP, 1, false, {VALUE(900) UP(900, 0)}, NULL, 0},

        {"lost-update", "none", LOOP, 1, false, {VALUE(2) WORD(1, 0, 1) WORD(2, 0, 1)}, "exact", 0},
        {"lost-update", "none", LOOP, 1, false, {VALUE(1) WORD(1, 0, 1) WORD(2, 0, 1)}, "lost updates", 1},
        {"lost-update", "none", STEP, 1, true, {VALUE(5) WORD(1, 0, 5)}, "exact", 0},
        {"lost-update", "none", LOOP, 1, false, {VALUE(3) WORD(1, 0, 1) WORD(2, 0, 1)}, NULL, 0},

        {"check-then-act", "none", LOOP, 1, false, {VALUE(1) WORD(1, 0, 1)}, "taken once", 0},
        {"check-then-act", "none", LOOP, 1, false, {VALUE(2) WORD(2, 0, 1)}, "taken once", 0},
        {"check-then-act", "none", LOOP, 1, false, {VALUE(2) WORD(1, 0, 1) WORD(2, 0, 1)}, "taken twice", 0},
        {"check-then-act", "none", LOOP, 1, true, {VALUE(0)}, "not taken", 0},
        {"check-then-act", "none", LOOP, 1, false, {VALUE(0)}, NULL, 0},
        {"check-then-act", "none", LOOP, 1, false, {VALUE(2) WORD(1, 0, 1)}, NULL, 0},
        {"check-then-act", "none", LOOP, 1, false, {VALUE(0) WORD(1, 0, 1)}, NULL, 0},

        {"bank-transfer", "none", LOOP, 1, false, {WORD(0, 0, 7) WORD(3, 0, -UINT64_C(7))}, "conserved", 0},
        {"bank-transfer", "none", LOOP, 1, false, {WORD(0, 0, 7) WORD(2, 0, -UINT64_C(6))}, "money made", 0},
        {"bank-transfer", "none", LOOP, 1, true, {WORD(0, 0, 7) WORD(1, 0, -UINT64_C(8))}, "money lost", 0},

        {"torn-read", "none", LOOP, 1, false, {WORD(0, 0, 100) WORD(1, 0, 100)}, "whole", 0},
        {"torn-read", "none", LOOP, 1, false, {WORD(0, 0, 100) WORD(1, 0, 100) WORD(3, 0, 2)}, "torn", 0},
        {"torn-read", "none", LOOP, 1, false, {WORD(0, 0, 100) WORD(1, 0, 99)}, NULL, 0},

        /* Nodes 1 to 5 lie on the lines 1 + number, hands on those from 131 on. */
        {"aba", "none", LOOP, 1, false, {VALUE(1)}, "stack intact", 0},
        {"aba", "none", LOOP, 1, false, {VALUE(2) WORD(2, 0, 3) WORD(3, 0, 1) WORD(4, 0, 4)}, "stack intact", 0},
        {"aba", "none", LOOP, 1, true, {VALUE(2) WORD(131, 0, 1)}, "stack intact", 0},
        {"aba", "none", LOOP, 1, true, {VALUE(3) WORD(132, 0, 1) WORD(132, 1, 2)}, "stack intact", 0},
        {"aba", "none", LOOP, 1, true, {VALUE(2) WORD(132, 0, 1) WORD(132, 1, 2)}, "corrupted", 0},
        {"aba", "none", LOOP, 1, true, {VALUE(2) WORD(131, 0, 1) WORD(132, 0, 1)}, "corrupted", 0},
        {"aba", "none", LOOP, 1, true, {VALUE(2) WORD(131, 0, 1) WORD(131, 2, 1)}, "corrupted", 0},
        {"aba", "none", LOOP, 1, false, {VALUE(2)}, "corrupted", 0},
        {"aba", "none", LOOP, 1, false, {VALUE(0)}, "corrupted", 0},
        {"aba", "none", LOOP, 1, false, {VALUE(1) WORD(3, 0, 2)}, "corrupted", 0},
        {"aba", "none", LOOP, 1, false, {VALUE(1) WORD(6, 0, 1)}, "corrupted", 0},

        {"publication", "none", LOOP, 1, false, {WORD(4, 0, 1) WORD(4, 1, 0x600d) WORD(4, 2, 0xda7a)}, "complete", 0},
        {"publication", "none", LOOP, 1, false, {WORD(4, 0, 1) WORD(4, 1, 0x600d)}, "half built", 0},
        {"publication", "none", LOOP, 1, false, {WORD(4, 0, 1) WORD(4, 2, 0xda7a)}, "half built", 0},
        {"publication", "none", LOOP, 1, true, {WORD(4, 0, 1)}, "half built", 0},
        {"publication", "none", LOOP, 1, true, {WORD(0, 0, 1)}, "not seen", 0},
        {"publication", "none", LOOP, 1, false, {WORD(0, 0, 1)}, NULL, 0},
};

static const char *
outcome_name(const struct scenario *s, int outcome)
{
        ck_assert_int_lt(outcome, (int)s->n_outcomes);
        return outcome < 0 ? "unknown" : s->outcomes[outcome].name;
}

START_TEST(state_is_classified)
{
        const struct state_row *row = &state_rows[_i];
        const struct scenario *s = scenario_of(row->scenario);
        struct race_spec spec = spec_of(row->scenario, row->guard);
        struct trial_end end = {.spec = &spec, .was_cut = row->was_cut};
        AUTO_FREE uint64_t *state = state_new(s);
        const char *outcome;

        spec.hold = row->hold;
        spec.permits = row->permits;
        reset(s, state, &spec);
        for (size_t i = 0; i < ARRAY_SIZE(row->words); i++) {
                const struct word *w = &row->words[i];

                /* The row ends where its words are all zeros, which only ever say what reset() said. */
                if (w->line || w->word || w->value || i == 0)
                        state[w->line * 8 + w->word] = w->value;
        }
        outcome = outcome_name(s, scenario_classify(s, state, &end));
        ck_assert_msg(strcmp(outcome, row->outcome ? row->outcome : "unknown") == 0, "row %d: %s is \"%s\"", _i,
                      row->scenario, outcome);
        ck_assert_uint_eq(end.lost, row->outcome ? row->lost : end.lost);
}
END_TEST

START_TEST(every_outcome_has_a_row)
{
        const struct scenario *s = scenario_of(known[_i]);

        for (uint32_t i = 0; i < s->n_outcomes; i++) {
                bool found = false;

                for (size_t k = 0; k < ARRAY_SIZE(state_rows) && !found; k++)
                        found = strcmp(state_rows[k].scenario, s->name) == 0 && state_rows[k].outcome &&
                                strcmp(state_rows[k].outcome, s->outcomes[i].name) == 0;
                ck_assert_msg(found, "%s: no row for \"%s\"", s->name, s->outcomes[i].name);
        }
}
END_TEST

/* Whatever lay in the memory before: a trial that was over before anybody came is no bug. */
START_TEST(idle_trial_is_no_bug)
{
        const struct scenario *s = scenarios[_i];
        struct race_spec spec = spec_of(s->name, "none");
        struct trial_end end = {.spec = &spec, .was_cut = true};
        AUTO_FREE void *state = state_new(s);
        int outcome;

        memset(state, 0xa5, s->state_bytes);
        reset(s, state, &spec);
        outcome = scenario_classify(s, state, &end);
        ck_assert_msg(outcome >= 0, "%s: unknown", s->name);
        ck_assert_int_lt(outcome, (int)s->n_outcomes);
        ck_assert_msg(!s->outcomes[outcome].is_witness, "%s: \"%s\"", s->name, s->outcomes[outcome].name);
        ck_assert_uint_eq(end.lost, 0);
}
END_TEST

/* ── a race of threads ── */

struct racer {
        struct actor actor;
        struct track *track;
};

/* A race without an engine: its memory, and a rendezvous of the actors. */
struct track {
        const struct scenario *scenario;
        struct race *race;
        struct race_actor *figures;
        void *state;
        sem_t sem;
        uint32_t attention;
        struct racer racer[RACERS_MAX];
        uint64_t trials;                       /* that are left */
        bool until_witness;                    /* end after the first */
        uint64_t count[RACE_OUTCOMES_MAX + 1]; /* the last: unknown */
        uint64_t lost;
        _Atomic uint32_t arrived, round;
        _Atomic uint32_t is_over;
};

static void *
zeroed(size_t alignment, size_t size)
{
        void *p = aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);

        ck_assert_ptr_nonnull(p);
        return memset(p, 0, size);
}

static void
track_open(struct track *t, const struct race_spec *spec)
{
        const struct guard *guard = guards[spec->guard];

        *t = (struct track){.scenario = scenarios[spec->scenario]};
        t->race = zeroed(4096, sizeof(*t->race));
        t->figures = zeroed(RACE_LINE, RACERS_MAX * sizeof(*t->figures));
        t->state = state_new(t->scenario);
        t->race->spec = *spec;
        t->race->guard.permits = spec->permits;
        ck_assert_uint_le(spec->actors, RACERS_MAX);
        ck_assert_int_eq(sem_init(&t->sem, 0, spec->permits), 0);
        ck_assert_int_eq(guard->init(&t->race->guard), 0);
        for (uint32_t i = 0; i < spec->actors; i++) {
                struct actor *a = &t->racer[i].actor;

                t->racer[i].track = t;
                *a = (struct actor){.id = i,
                                    .actors = spec->actors,
                                    .guard = guard,
                                    .race = t->race,
                                    .figures = &t->figures[i],
                                    .params = t->race->spec.params,
                                    .atomic_steps = guard->flags & GUARD_ATOMIC,
                                    .hold_loop = spec->hold == RACE_HOLD_LOOP,
                                    .measure = true,
                                    .widen = WIDEN,
                                    .random = i + 1};
                a->user = (struct guard_user){.shared = &t->race->guard,
                                              .id = i,
                                              .sem = &t->sem,
                                              .permit_state = &t->figures[i].permit_state,
                                              .attention = &t->attention,
                                              .fd = -1};
                if (guard->attach)
                        ck_assert_int_eq(guard->attach(&a->user), 0);
        }
}

static void
track_close(struct track *t)
{
        const struct guard *guard = guards[t->race->spec.guard];

        for (uint32_t i = 0; guard->detach && i < t->race->spec.actors; i++)
                guard->detach(&t->racer[i].actor.user);
        sem_destroy(&t->sem);
        free(t->state);
        free(t->figures);
        free(t->race);
}

/* The last one to come runs `last` while the others wait, and lets them go. */
static void
track_meet(struct track *t, void (*last)(struct track *t))
{
        uint32_t round = atomic_load(&t->round);

        if (atomic_fetch_add(&t->arrived, 1) + 1 == t->race->spec.actors) {
                atomic_store(&t->arrived, 0);
                last(t);
                atomic_store(&t->round, round + 1);
                return;
        }
        for (uint32_t spins = 1; atomic_load(&t->round) == round; spins++)
                if (spins % 1024 == 0)
                        sched_yield();
}

static void
trial_begins(struct track *t)
{
        reset(t->scenario, t->state, &t->race->spec);
        atomic_store(&t->race->trial_over, 0);
}

static void
trial_ends(struct track *t)
{
        struct trial_end end = {.spec = &t->race->spec, .was_cut = atomic_load(&t->race->trial_over) != 0};
        int outcome = scenario_classify(t->scenario, t->state, &end);

        t->count[outcome < 0 ? RACE_OUTCOMES_MAX : outcome]++;
        t->lost += end.lost;
        t->trials--;
        if (t->trials == 0 || (t->until_witness && outcome >= 0 && t->scenario->outcomes[outcome].is_witness))
                atomic_store(&t->is_over, 1);
        trial_begins(t);
}

/* Actor i on the i-th CPU: two on one would take turns and not race. */
static void
pin(uint32_t i)
{
        cpu_set_t all, one;

        if (sched_getaffinity(0, sizeof(all), &all) < 0)
                return;
        i %= (uint32_t)CPU_COUNT(&all);
        CPU_ZERO(&one);
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
                if (CPU_ISSET(cpu, &all) && i-- == 0)
                        CPU_SET(cpu, &one);
        sched_setaffinity(0, sizeof(one), &one);
}

static void *
racer_run(void *arg)
{
        struct racer *r = arg;
        struct track *t = r->track;

        pin(r->actor.id);
        track_meet(t, trial_begins);
        while (!atomic_load(&t->is_over)) {
                r->actor.steps = 0;
                r->actor.user.deadline_ns = clock_now_ns() + t->race->spec.trial_ns;
                scenario_act(t->scenario, &r->actor, t->state);
                track_meet(t, trial_ends);
        }
        return NULL;
}

static void
track_run(struct track *t, uint64_t trials)
{
        pthread_t threads[RACERS_MAX];
        cpu_set_t cpus;
        bool can_restore = sched_getaffinity(0, sizeof(cpus), &cpus) == 0;

        t->trials = trials;
        for (uint32_t i = 1; i < t->race->spec.actors; i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, racer_run, &t->racer[i]), 0);
        racer_run(&t->racer[0]);
        for (uint32_t i = 1; i < t->race->spec.actors; i++)
                pthread_join(threads[i], NULL);
        if (can_restore)
                sched_setaffinity(0, sizeof(cpus), &cpus);
}

/* Small enough for thousands of trials. */
static struct race_spec
short_spec_of(const char *scenario, const char *guard, uint32_t permits)
{
        struct race_spec spec = spec_of(scenario, guard);
        const struct scenario *s = scenario_of(scenario);

        spec.permits = permits;
        for (uint32_t i = 0; i < s->n_params; i++)
                spec.params[i] = MIN(s->params[i].def, 10);
        /* A fight with nothing between the sides may never end. */
        if (strcmp(guard, "none") == 0 || spec.permits > 1)
                spec.trial_ns = 20 * NS_PER_MS;
        return spec;
}

static bool
can_race(void)
{
        cpu_set_t cpus;

        return sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) > 1;
}

/* What must not be is not; returns how often a witness was. */
static uint64_t
judge(const struct track *t)
{
        const struct scenario *s = t->scenario;
        const struct race_spec *spec = &t->race->spec;
        uint32_t effect = guard_effect(guards[spec->guard], spec->permits);
        uint64_t witnesses = 0;

        ck_assert_msg(t->count[RACE_OUTCOMES_MAX] == 0, "%s: unknown outcomes", s->name);
        for (uint32_t i = 0; i < s->n_outcomes; i++) {
                if (outcome_expected(&s->outcomes[i], effect) == OUTCOME_FORBIDDEN)
                        ck_assert_msg(t->count[i] == 0, "%s under %s: \"%s\" %" PRIu64 " times", s->name,
                                      guards[spec->guard]->name, s->outcomes[i].name, t->count[i]);
                if (s->outcomes[i].is_witness)
                        witnesses += t->count[i];
        }
        if (effect & GUARD_EXCLUDES)
                ck_assert_int_le(atomic_load(&t->race->holders_max), 1);
        return witnesses;
}

/* With one CPU the window is only hit by a switch in the middle of it, which nobody can promise. */
START_TEST(broken_scenario_shows_its_bug)
{
        struct race_spec spec = short_spec_of(known[_i], "none", 1);
        struct track t;

        if (!can_race())
                return;
        track_open(&t, &spec);
        t.until_witness = true;
        track_run(&t, BROKEN_TRIALS);
        ck_assert_msg(judge(&t) == 1, "%s: no witness", known[_i]);
        track_close(&t);
}
END_TEST

static const char *const fixes[] = {"mutex", "spin", "semaphore", "rwlock", "gil", "atomic"};

START_TEST(fixed_scenario_holds)
{
        const char *guard = fixes[(size_t)_i / ARRAY_SIZE(known)], *name = known[(size_t)_i % ARRAY_SIZE(known)];
        struct race_spec spec = short_spec_of(name, guard, 1);
        struct track t;

        for (uint32_t hold = 0; hold < RACE_HOLDS; hold++) {
                spec.hold = hold;
                track_open(&t, &spec);
                track_run(&t, FIXED_TRIALS);
                judge(&t);
                track_close(&t);
                if (!(scenarios[spec.scenario]->flags & SCENARIO_HAS_HOLD))
                        break;
        }
}
END_TEST

/* With two permits nothing is excluded, and nothing may be called forbidden that then happens. */
START_TEST(two_permits_break_no_law)
{
        struct race_spec spec = short_spec_of(known[_i], "semaphore", 2);
        struct track t;

        track_open(&t, &spec);
        track_run(&t, FIXED_TRIALS);
        judge(&t);
        track_close(&t);
}
END_TEST

/* More than two, of whom two are of one side. */
START_TEST(four_actors_hold_too)
{
        struct race_spec spec = short_spec_of(known[_i], "mutex", 1);
        struct track t;

        spec.actors = 4;
        track_open(&t, &spec);
        track_run(&t, FIXED_TRIALS / 10);
        judge(&t);
        track_close(&t);
}
END_TEST

/* Who hands the lock over at a checkpoint holds it no more: the trial is longer than the interval after which it is
 * asked to. */
START_TEST(hand_over_is_no_second_holder)
{
        struct race_spec spec = spec_of("counter", "gil");
        struct track t;

        spec.hold = RACE_HOLD_LOOP;
        spec.params[0] = 20000;
        spec.trial_ns = NS_PER_S;
        track_open(&t, &spec);
        track_run(&t, 3);
        judge(&t);
        /* More often than once a trial, which is what two actors make anyhow. */
        ck_assert_uint_gt(t.figures[0].handoffs + t.figures[1].handoffs, 2 * 3);
        track_close(&t);
}
END_TEST

/* A trial whose time is over before it begins ends at once, whatever it waits for, and leaves the guard free. */
START_TEST(ended_trial_is_left)
{
        struct race_spec spec = spec_of(known[_i], "mutex");
        struct track t;

        track_open(&t, &spec);
        trial_begins(&t);
        for (uint32_t i = 0; i < spec.actors; i++) {
                struct actor *a = &t.racer[i].actor;

                a->user.deadline_ns = clock_now_ns() + NS_PER_S;
                actor_end_trial(a);
                scenario_act(t.scenario, a, t.state);
                ck_assert(!a->is_holding);
                ck_assert_uint_le(t.figures[i].acquires, 1);
                ck_assert(a->guard->try_acquire(&a->user));
                a->guard->release(&a->user);
        }
        t.trials = 1;
        trial_ends(&t);
        ck_assert_uint_eq(judge(&t), 0);
        track_close(&t);
}
END_TEST

/* Nor does it wait for a guard that nobody gives back, or act without. */
START_TEST(lost_guard_ends_the_trial)
{
        struct race_spec spec = spec_of(_i < (int)ARRAY_SIZE(known) ? known[_i] : "sb", "mutex");
        struct actor *a;
        struct track t;

        spec.trial_ns = NS_PER_MS;
        track_open(&t, &spec);
        trial_begins(&t);
        a = &t.racer[1].actor;
        ck_assert(a->guard->try_acquire(&t.racer[0].actor.user));
        a->user.deadline_ns = clock_now_ns() + NS_PER_MS;
        scenario_act(t.scenario, a, t.state);
        ck_assert(!a->is_holding);
        ck_assert_uint_eq(t.figures[1].timeouts, 1);
        ck_assert_uint_eq(atomic_load(&t.race->trial_over), 1);
        ck_assert(!a->guard->try_acquire(&a->user));
        a->guard->release(&t.racer[0].actor.user);
        t.trials = 1;
        trial_ends(&t);
        ck_assert_uint_eq(judge(&t), 0);
        track_close(&t);
}
END_TEST

/* ── op programs ── */

static const struct op all_ops[][OPS_MAX] = {{
        {.kind = OP_LOAD, .location = 0, .reg = 0},
        {.kind = OP_STORE, .location = 1, .value = 7},
        {.kind = OP_RMW, .location = 1, .reg = 2, .value = 5},
        {.kind = OP_FENCE},
        {.kind = OP_LOAD, .location = 1, .reg = 3},
        {.kind = OP_STORE, .location = 0, .value = 9},
        {.kind = OP_END},
        {.kind = OP_STORE, .location = 3, .value = 1},
}};

START_TEST(interpreter_does_every_operation)
{
        static const struct litmus litmus = {.programs = all_ops, .n_programs = 1, .n_locations = 2};
        static const struct scenario s = {.name = "all-ops", .litmus = &litmus};
        static const char *const under[] = {"none", "mutex", "atomic", "semaphore"};
        struct race_spec spec = spec_of("sb", under[_i]);
        struct litmus_state *state;
        struct track t;

        track_open(&t, &spec);
        state = t.state;
        state->location[0].value = 3;
        scenario_act(&s, &t.racer[0].actor, state);
        ck_assert_uint_eq(state->registers[0].value[0], 3);
        ck_assert_uint_eq(state->registers[0].value[1], REGISTER_UNSET);
        ck_assert_uint_eq(state->registers[0].value[2], 7);
        ck_assert_uint_eq(state->registers[0].value[3], 12);
        ck_assert_uint_eq(state->location[0].value, 9);
        ck_assert_uint_eq(state->location[1].value, 12);
        ck_assert_uint_eq(state->location[3].value, 0);
        ck_assert(!t.racer[0].actor.is_holding);
        track_close(&t);
}
END_TEST

static bool
is_fenced(const struct scenario *s)
{
        return strstr(s->name, "-fence") != NULL;
}

START_TEST(litmus_is_well_formed)
{
        const struct scenario *s = scenarios[_i];
        const struct litmus *l = s->litmus;

        if (!l)
                return;
        ck_assert_uint_le(l->n_programs, PROGRAMS_MAX);
        ck_assert_uint_le(l->n_locations, LOCATIONS_MAX);
        ck_assert_uint_ge(l->n_terms, 2);
        ck_assert_uint_le(l->n_terms, TERMS_MAX);
        ck_assert_uint_eq(s->actors_min, l->n_programs);
        ck_assert_uint_eq(s->actors_max, l->n_programs);
        ck_assert_uint_eq(s->n_outcomes, 2);
        ck_assert(s->outcomes[0].is_witness && !s->outcomes[1].is_witness);
        ck_assert(s->flags & SCENARIO_SMALL);
        for (uint32_t i = 0; i < l->n_programs; i++) {
                uint32_t n = 0;

                for (; n < OPS_MAX && l->programs[i][n].kind != OP_END; n++) {
                        ck_assert_uint_lt(l->programs[i][n].location, l->n_locations);
                        ck_assert_uint_lt(l->programs[i][n].reg, REGISTERS_MAX);
                }
                ck_assert_uint_lt(n, OPS_MAX);
        }
}
END_TEST

/* What the actors leave when they run in this order, one after another. */
static void
run_in_order(const struct scenario *s, const char *guard, const uint32_t *order, struct litmus_state *ret)
{
        struct race_spec spec = spec_of("iriw", guard);
        struct track t;

        track_open(&t, &spec);
        memset(t.state, 0, sizeof(*ret));
        for (uint32_t i = 0; i < s->litmus->n_programs; i++) {
                for (uint32_t r = 0; r < REGISTERS_MAX; r++)
                        ((struct litmus_state *)t.state)->registers[i].value[r] = REGISTER_UNSET;
        }
        for (uint32_t i = 0; i < s->litmus->n_programs; i++)
                scenario_act(s, &t.racer[order[i]].actor, t.state);
        memcpy(ret, t.state, sizeof(*ret));
        track_close(&t);
}

/* The machine code of a shape, and its rows, interpreted without and under guards, come to the same. */
START_TEST(code_does_what_the_rows_say)
{
        static const uint32_t orders[][PROGRAMS_MAX] = {
                {0, 1, 2, 3}, {1, 0, 2, 3}, {1, 0, 3, 2}, {0, 1, 3, 2}, {0, 1, 2, 3}};
        static const uint32_t long_orders[][PROGRAMS_MAX] = {
                {2, 0, 3, 1}, {3, 1, 2, 0}, {2, 3, 0, 1}, {0, 2, 1, 3}, {1, 3, 0, 2}};
        const struct scenario *s = scenarios[_i];
        struct scenario rows = *s;
        struct litmus interpreted;

        if (!s->litmus)
                return;
        ck_assert_ptr_nonnull(s->litmus->code);
        interpreted = *s->litmus;
        interpreted.code = NULL;
        rows.litmus = &interpreted;
        for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
                const uint32_t *order = s->litmus->n_programs > 2 ? long_orders[i] : orders[i];
                struct litmus_state code, row, guarded, atomic;

                run_in_order(s, "none", order, &code);
                run_in_order(&rows, "none", order, &row);
                run_in_order(s, "mutex", order, &guarded);
                run_in_order(s, "atomic", order, &atomic);
                ck_assert_mem_eq(&code, &row, sizeof(code));
                ck_assert_mem_eq(&code, &guarded, sizeof(code));
                ck_assert_mem_eq(&code, &atomic, sizeof(code));
        }
}
END_TEST

/* ── models of memory ── */

enum model {
        MODEL_SC,      /* one operation after another */
        MODEL_TSO,     /* stores wait in a buffer that their own actor sees, and leave it in order */
        MODEL_RELAXED, /* an actor's operations come in any order that its fences allow */
};

struct machine {
        struct litmus_state s;
        uint32_t done[PROGRAMS_MAX]; /* a bit for each operation */
        struct {
                uint32_t n;
                struct op store[OPS_MAX];
        } buffer[PROGRAMS_MAX];
};

struct exploration {
        const struct scenario *scenario;
        enum model model;
        uint64_t count[2]; /* of executions that ended in each outcome */
};

static void explore(struct exploration *e, const struct machine *m);

static bool
may_run(const struct exploration *e, const struct machine *m, uint32_t actor, uint32_t i)
{
        const struct op *program = e->scenario->litmus->programs[actor];
        uint32_t before = (1U << i) - 1, done = m->done[actor];

        if (done & (1U << i))
                return false;
        if (e->model != MODEL_RELAXED || program[i].kind == OP_FENCE)
                return (done & before) == before && (program[i].kind != OP_FENCE || m->buffer[actor].n == 0);
        for (uint32_t k = 0; k < i; k++)
                if (program[k].kind == OP_FENCE && !(done & (1U << k)))
                        return false;
        return true;
}

static uint64_t
model_load(const struct machine *m, uint32_t actor, uint32_t location)
{
        for (uint32_t i = m->buffer[actor].n; i > 0; i--)
                if (m->buffer[actor].store[i - 1].location == location)
                        return m->buffer[actor].store[i - 1].value;
        return m->s.location[location].value;
}

static void
model_run(struct exploration *e, const struct machine *before, uint32_t actor, uint32_t i)
{
        const struct op *op = &e->scenario->litmus->programs[actor][i];
        struct machine m = *before;

        if (op->kind == OP_LOAD)
                m.s.registers[actor].value[op->reg] = model_load(&m, actor, op->location);
        else if (op->kind == OP_STORE && e->model == MODEL_TSO)
                m.buffer[actor].store[m.buffer[actor].n++] = *op;
        else if (op->kind == OP_STORE)
                m.s.location[op->location].value = op->value;
        else
                ck_assert_int_eq(op->kind, OP_FENCE);
        m.done[actor] |= 1U << i;
        explore(e, &m);
}

static void
model_drain(struct exploration *e, const struct machine *before, uint32_t actor)
{
        struct machine m = *before;
        const struct op *oldest = &m.buffer[actor].store[0];

        m.s.location[oldest->location].value = oldest->value;
        m.buffer[actor].n--;
        memmove(&m.buffer[actor].store[0], &m.buffer[actor].store[1], m.buffer[actor].n * sizeof(*oldest));
        explore(e, &m);
}

/* Whatever can come next; when nothing can, the execution has ended. */
static void
explore(struct exploration *e, const struct machine *m)
{
        const struct litmus *l = e->scenario->litmus;
        struct trial_end end = {0};
        bool has_ended = true;

        for (uint32_t actor = 0; actor < l->n_programs; actor++) {
                if (m->buffer[actor].n > 0) {
                        has_ended = false;
                        model_drain(e, m, actor);
                }
                for (uint32_t i = 0; l->programs[actor][i].kind != OP_END; i++) {
                        if (m->done[actor] & (1U << i))
                                continue;
                        has_ended = false;
                        if (may_run(e, m, actor, i))
                                model_run(e, m, actor, i);
                }
        }
        if (has_ended)
                e->count[scenario_classify(e->scenario, &m->s, &end)]++;
}

static bool
model_shows(const struct scenario *s, enum model model)
{
        struct race_spec spec = spec_of(s->name, "none");
        struct exploration e = {.scenario = s, .model = model};
        struct machine m = {0};

        s->reset(&m.s, &spec, 1);
        explore(&e, &m);
        ck_assert_msg(e.count[1] > 0, "%s: nothing was explored", s->name);
        return e.count[0] > 0;
}

START_TEST(weak_outcome_is_not_sequential)
{
        if (scenarios[_i]->litmus)
                ck_assert(!model_shows(scenarios[_i], MODEL_SC));
}
END_TEST

START_TEST(weak_outcome_can_be)
{
        if (scenarios[_i]->litmus)
                ck_assert_int_eq(model_shows(scenarios[_i], MODEL_RELAXED), !is_fenced(scenarios[_i]));
}
END_TEST

START_TEST(store_buffers_show_sb_and_r)
{
        const struct scenario *s = scenarios[_i];
        bool shows;

        if (!s->litmus)
                return;
        shows = model_shows(s, MODEL_TSO);
        ck_assert_int_eq(shows, strcmp(s->name, "sb") == 0 || strcmp(s->name, "r") == 0);
#if defined(__x86_64__) || defined(__i386__)
        ck_assert_int_eq(s->outcomes[0].expected, shows ? OUTCOME_INTERESTING : OUTCOME_FORBIDDEN);
#else
        ck_assert_int_eq(s->outcomes[0].expected, is_fenced(s) ? OUTCOME_FORBIDDEN : OUTCOME_INTERESTING);
#endif
}
END_TEST

/* On this machine: what is forbidden is not seen, be it by fences, by the machine's own order, or by a guard. */
START_TEST(litmus_keeps_the_law)
{
        static const char *const under[] = {"none", "mutex", "atomic"};

        for (size_t i = 0; i < ARRAY_SIZE(under) && scenarios[_i]->litmus; i++) {
                struct race_spec spec = spec_of(scenarios[_i]->name, under[i]);
                struct track t;

                track_open(&t, &spec);
                track_run(&t, spec.actors > 2 ? LITMUS_TRIALS / 20 : LITMUS_TRIALS);
                judge(&t);
                track_close(&t);
        }
}
END_TEST

/* An actor that never got the guard leaves no weak outcome behind. */
START_TEST(litmus_that_did_not_run_is_not_weak)
{
        const struct scenario *s = scenarios[_i];
        struct race_spec spec = spec_of(s->name, "none");
        struct trial_end end = {.spec = &spec, .was_cut = true};

        for (uint32_t missing = 0; s->litmus && missing < s->litmus->n_programs; missing++) {
                struct track t;

                track_open(&t, &spec);
                trial_begins(&t);
                for (uint32_t i = 0; i < s->litmus->n_programs; i++)
                        if (i != missing)
                                scenario_act(s, &t.racer[i].actor, t.state);
                ck_assert_int_eq(scenario_classify(s, t.state, &end), 1);
                track_close(&t);
        }
}
END_TEST

static Suite *
scenarios_suite(void)
{
        Suite *s = suite_create("scenarios");
        TCase *table = tcase_create("table"), *states = tcase_create("states"), *litmus = tcase_create("litmus");
        TCase *races = tcase_create("races");
        int all = ARRAY_SIZE(names), mine = ARRAY_SIZE(known);

        tcase_add_test(table, table_has_all_in_order);
        tcase_add_loop_test(table, table_rows_are_usable, 0, all);
        tcase_add_loop_test(table, table_params_are_in_range, 0, all);
        tcase_add_loop_test(table, table_outcomes_make_sense, 0, all);
        tcase_add_test(table, expected_class_follows_the_guard);
        suite_add_tcase(s, table);

        tcase_add_loop_test(states, state_is_classified, 0, (int)ARRAY_SIZE(state_rows));
        tcase_add_loop_test(states, every_outcome_has_a_row, 0, mine);
        tcase_add_loop_test(states, idle_trial_is_no_bug, 0, all);
        tcase_add_loop_test(states, ended_trial_is_left, 0, mine);
        tcase_add_loop_test(states, lost_guard_ends_the_trial, 0, mine + 1);
        suite_add_tcase(s, states);

        tcase_add_loop_test(litmus, interpreter_does_every_operation, 0, 4);
        tcase_add_loop_test(litmus, litmus_is_well_formed, 0, all);
        tcase_add_loop_test(litmus, code_does_what_the_rows_say, 0, all);
        tcase_add_loop_test(litmus, weak_outcome_is_not_sequential, 0, all);
        tcase_add_loop_test(litmus, weak_outcome_can_be, 0, all);
        tcase_add_loop_test(litmus, store_buffers_show_sb_and_r, 0, all);
        tcase_add_loop_test(litmus, litmus_that_did_not_run_is_not_weak, 0, all);
        suite_add_tcase(s, litmus);

        tcase_set_timeout(races, 300);
        tcase_add_loop_test(races, broken_scenario_shows_its_bug, 0, mine);
        tcase_add_loop_test(races, fixed_scenario_holds, 0, mine * (int)ARRAY_SIZE(fixes));
        tcase_add_loop_test(races, two_permits_break_no_law, 0, mine);
        tcase_add_loop_test(races, four_actors_hold_too, 0, mine);
        tcase_add_test(races, hand_over_is_no_second_holder);
        tcase_add_loop_test(races, litmus_keeps_the_law, 0, all);
        suite_add_tcase(s, races);
        return s;
}

int
main(void)
{
        return run_suite(scenarios_suite());
}
