/* SPDX-License-Identifier: MIT */
/*
 * A race that never was: its memory is filled by hand as actors would, and what comes out is compared number by number.
 * Every result is held to the interface, as the service does with replies.
 */
#include "supervisor/race-figures.h"

#include "protocol/idl.h"
#include "scenarios/scenario.h"
#include "supervisor/race-run.h"
#include "worker/mode.h"

#include "run_suite.h"

#include <check.h>
#include <string.h>

enum { SEQUENTIAL, PROCESS, THREAD };

static struct segment segment;
static struct variant variant;
static struct idl *idl;
static uint32_t witness, other; /* outcomes of the scenario, of which one is its witness */
static const struct result_context done = {
        .id = "0123456789abcdef0123456789abcdef", .state = "done"};

static void
use(const char *scenario, const char *guard, uint32_t permits)
{
        const struct scenario *s = scenarios[scenario_by_name(scenario)];

        variant = (struct variant){.is_race = true, .mode = PROCESS, .workers = 2, .count = 1000};
        variant.race = (struct race_spec){
                .scenario = (uint32_t)scenario_by_name(scenario),
                .guard = (uint32_t)guard_by_name(guard),
                .permits = permits,
                .actors = 2,
                .pin = 1,
                .measure = 1,
                .batch = 1,
                .trials = 1000,
                .widen_ns = 200,
                .trial_ns = 100 * NS_PER_MS,
                .barrier = RACE_BARRIER_SPIN,
        };
        for (uint32_t i = 0; i < s->n_params; i++)
                variant.race.params[i] = s->params[i].def;
        CPU_SET(0, &variant.cpus);
        CPU_SET(3, &variant.cpus);
        segment.race->spec = variant.race;
        segment.race->barrier_made = variant.race.barrier;
        segment.run->spec = (struct run_spec){.is_race = 1, .mode = variant.mode, .seats = 2};
        for (uint32_t i = 0; i < s->n_outcomes; i++)
                *(s->outcomes[i].is_witness ? &witness : &other) = i;
}

static void
setup(void)
{
        char instance[32], *message = NULL;

        snprintf(instance, sizeof(instance), "test-%d", (int)getpid());
        ck_assert_int_eq(segment_create(&segment, getuid(), instance, 4, 64), 0);
        segment_unlink(&segment);
        idl = idl_parse(idl_org_concd, &message);
        ck_assert_ptr_nonnull(idl);
        use("counter", "semaphore", 2);
        ck_assert_int_eq(variant_geometry(&variant, false, 64, &segment.run->spec.geometry, NULL), 0);
        atomic_store(&segment.run->start_ns, 1000 * NS_PER_S);
        for (uint32_t i = 0; i < 2; i++) {
                segment.seats[i].slot = 1 + i;
                segment.seats[i].pid = segment.seats[i].tid = 500 + (int)i;
                atomic_store(&segment.seats[i].left_ns, (1001 + i) * NS_PER_S);
        }
}

static void
teardown(void)
{
        segment_unmap(&segment);
        idl_free(idl);
}

/* Counts in the copy that is not read yet, and makes it the one that is. */
static void
count(uint64_t witnesses, uint64_t others, uint64_t unknown)
{
        uint64_t at = atomic_load(&segment.race->tally_at) + 1;
        struct race_tally *t = &segment.race->tally[at & 1];

        *t = (struct race_tally){.trials = witnesses + others + unknown, .unknown = unknown};
        t->count[witness] = witnesses;
        t->count[other] += others;
        atomic_store(&segment.race->tally_at, at);
}

static json_t *
result_with(const struct result_context *context)
{
        AUTO_FREE char *field = NULL, *expected = NULL;
        AUTO_JSON json_t *reply = NULL;
        struct figures *f = NULL;
        json_t *result;
        int r;

        ck_assert_int_eq(figures_collect(&segment, &f), 0);
        result = race_figures_to_result(&segment, f, &variant, context);
        figures_free(f);
        ck_assert_ptr_nonnull(result);
        reply = json_pack("{s:s, s:s, s:n, s:n, s:n, s:O}", "id", context->id, "state", context->state, "reason",
                          "progress", "result", "race", result);
        r = idl_check_output(idl, "Race", reply, &field, &expected);
        ck_assert_msg(r == 0, "%s is not %s", field, expected);
        return result;
}

/* `expected`, with ' for ", names some of the fields of `object`, and what they are. */
static void
expect_fields(json_t *object, const char *expected)
{
        AUTO_FREE char *quoted = strdup(expected);
        AUTO_JSON json_t *fields = NULL;
        const char *name;
        json_t *value;

        for (char *c = quoted; (c = strchr(c, '\''));)
                *c = '"';
        fields = json_loads(quoted, 0, NULL);
        ck_assert_msg(fields != NULL, "no JSON: %s", expected);
        json_object_foreach(fields, name, value)
        {
                AUTO_FREE char *is =
                        json_dumps(json_object_get(object, name), JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
                AUTO_FREE char *should = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));

                ck_assert_msg(is && strcmp(is, should) == 0, "%s is %s and not %s", name, is ? is : "missing", should);
        }
}

static json_t *
outcome_in(json_t *result, uint32_t i)
{
        return json_array_get(json_object_get(result, "outcomes"), i);
}

/* ── the counts ── */

START_TEST(whole_race)
{
        AUTO_JSON json_t *result = NULL;
        struct race_tally *t;

        count(870, 130, 0);
        t = &segment.race->tally[atomic_load(&segment.race->tally_at) & 1];
        t->lost = 10412;
        t->leaked = 1;
        t->recovered = 2;
        t->kills = 3;
        segment.race->dropped = 4;
        atomic_store(&segment.race->holders_max, 2);
        result = result_with(&done);
        expect_fields(result, "{'id': '0123456789abcdef0123456789abcdef', 'state': 'done', 'reason': null, "
                              "'scenario': 'counter', 'mode': 'process', 'guard': 'semaphore', 'permits': 2, "
                              "'actors': 2, 'trials': 1000, 'duration_s': null, 'params': {'target': '1000'}}");
        expect_fields(result, "{'done': 1000, 'unknown': 0, 'dropped': 4, 'lost_updates': 10412, 'max_holders': 2, "
                              "'permits_leaked': 1, 'permits_recovered': 2, 'kills': 3, 'spans': [], 'restarts': 0}");
        expect_fields(result, "{'wall_s': 2.0, 'trials_per_s': 500.0, 'wait_ns': null}");
        expect_fields(result, "{'observation': {'verdict': 'Sometimes', 'positive': 870, 'negative': 130}}");
        expect_fields(outcome_in(result, witness), "{'count': 870, 'expected': 'interesting'}");
        expect_fields(outcome_in(result, other), "{'count': 130}");
}
END_TEST

START_TEST(outcomes_stand_in_their_order_with_zeros)
{
        const struct scenario *s = scenarios[variant.race.scenario];
        AUTO_JSON json_t *result = NULL;

        count(0, 7, 0);
        result = result_with(&done);
        ck_assert_uint_eq(json_array_size(json_object_get(result, "outcomes")), s->n_outcomes);
        for (uint32_t i = 0; i < s->n_outcomes; i++) {
                json_t *o = outcome_in(result, i);

                ck_assert_str_eq(json_string_value(json_object_get(o, "name")), s->outcomes[i].name);
                ck_assert_str_eq(json_string_value(json_object_get(o, "meaning")), s->outcomes[i].meaning);
                ck_assert_int_eq(json_integer_value(json_object_get(o, "count")), i == other ? 7 : 0);
        }
}
END_TEST

static const struct {
        uint64_t witnesses, others, unknown;
        const char *observation;
} observations[] = {
        {0, 5, 0, "{'observation': {'verdict': 'Never', 'positive': 0, 'negative': 5}}"},
        {5, 0, 0, "{'observation': {'verdict': 'Always', 'positive': 5, 'negative': 0}}"},
        {1, 4, 0, "{'observation': {'verdict': 'Sometimes', 'positive': 1, 'negative': 4}}"},
        {0, 0, 0, "{'observation': {'verdict': 'Never', 'positive': 0, 'negative': 0}}"},
        {2, 0, 3, "{'observation': {'verdict': 'Always', 'positive': 2, 'negative': 0}, 'done': 5, 'unknown': 3}"},
};

START_TEST(observation_is_as_litmus7_says_it)
{
        AUTO_JSON json_t *result = NULL;

        count(observations[_i].witnesses, observations[_i].others, observations[_i].unknown);
        result = result_with(&done);
        expect_fields(result, observations[_i].observation);
}
END_TEST

/* ── what fails a race ── */

/* The fault of the counts as they stand, or "". */
static void
expect_fault(const char *expected, uint64_t failed)
{
        AUTO_FREE char *fault = NULL;
        struct race_tally tally;

        race_figures_tally(segment.race, &tally);
        fault = race_figures_fault(segment.race, &tally);
        ck_assert_str_eq(fault ? fault : "", expected);
        ck_assert_uint_eq(race_figures_failed(segment.race, &tally), failed);
}

START_TEST(guard_makes_an_outcome_forbidden)
{
        AUTO_JSON json_t *result = NULL;

        other = 0; /* "exact" */
        count(12, 988, 0);
        expect_fault("", 0);
        use("counter", "semaphore", 1);
        other = 0;
        expect_fault("12 of 1000 trials came to a forbidden outcome: lost updates", 12);
        result = result_with(&done);
        expect_fields(outcome_in(result, witness), "{'name': 'lost updates', 'expected': 'forbidden', 'count': 12}");
        use("counter", "none", 1);
        expect_fault("", 0);
}
END_TEST

START_TEST(unknown_outcome_is_a_fault)
{
        other = 0;
        count(0, 997, 3);
        expect_fault("3 of 1000 trials came to an outcome that is not known", 3);
        use("counter", "mutex", 1);
        other = 0;
        count(2, 5, 3);
        expect_fault("2 of 10 trials came to a forbidden outcome: lost updates; 3 of 10 trials came to an outcome that "
                     "is not known",
                     5);
}
END_TEST

/* Of the two copies only the complete one counts. */
START_TEST(half_written_copy_is_not_read)
{
        struct race_tally tally;

        count(1, 2, 0);
        segment.race->tally[(atomic_load(&segment.race->tally_at) + 1) & 1].trials = 999;
        race_figures_tally(segment.race, &tally);
        ck_assert_uint_eq(tally.trials, 3);
        ck_assert_uint_eq(race_run_done(&segment), 3);
}
END_TEST

/* ── the actors ── */

START_TEST(actors_are_added_up)
{
        AUTO_JSON json_t *result = NULL;
        struct race_actor *a = segment.race_actors;

        count(0, 1, 0);
        a[0].steps = 3000000;
        a[1].steps = 1000000;
        a[0].acquires = 10;
        a[0].contended = 4;
        a[0].timeouts = 1;
        a[0].handoffs = 5;
        a[1].handoffs = 6;
        for (int i = 0; i < 90; i++)
                histogram_add(&a[0].wait, 0);
        for (int i = 0; i < 10; i++)
                histogram_add(&a[1].wait, 100);
        segment.seats[0].restarts = 2;
        result = result_with(&done);
        expect_fields(result, "{'steps': 4000000, 'handoffs': 11, 'jain': 0.8, 'restarts': 2}");
        expect_fields(result,
                      "{'wait_ns': {'p50': 0, 'p90': 0, 'p99': 100, 'p99_9': 100, 'max': 100, 'samples': 100}}");
        expect_fields(json_array_get(json_object_get(result, "actors_detail"), 0),
                      "{'actor': 0, 'slot': 1, 'kind': 'process', 'pid': 500, 'tid': 500, 'steps': 3000000, "
                      "'acquires': 10, 'contended': 4, 'timeouts': 1, 'handoffs': 5}");
        ck_assert_uint_eq(json_array_size(json_object_get(result, "actors_detail")), 2);
        /* 2 s by the 3000000 steps of the busiest */
        ck_assert_double_eq_tol(json_real_value(json_object_get(result, "ns_per_step")), 666.67, 0.01);
}
END_TEST

START_TEST(race_that_did_nothing)
{
        struct result_context context = done;
        AUTO_JSON json_t *result = NULL;

        context.state = "cancelled";
        context.reason = "its client went away";
        atomic_store(&segment.run->start_ns, 0);
        result = result_with(&context);
        expect_fields(result, "{'state': 'cancelled', 'reason': 'its client went away', 'done': 0, 'wall_s': 0.0, "
                              "'trials_per_s': 0.0, 'ns_per_step': 0.0, 'jain': 1.0, 'steps': 0}");
}
END_TEST

START_TEST(race_by_duration_in_threads)
{
        AUTO_JSON json_t *result = NULL;

        variant.mode = segment.run->spec.mode = THREAD;
        variant.count = variant.race.trials = segment.race->spec.trials = 0;
        variant.duration_ns = 1500 * NS_PER_MS;
        count(1, 1, 0);
        result = result_with(&done);
        expect_fields(result, "{'mode': 'thread', 'trials': null, 'duration_s': 1.5, 'done': 2}");
        expect_fields(json_array_get(json_object_get(result, "actors_detail"), 1), "{'kind': 'thread'}");
}
END_TEST

/* ── the settings ── */

START_TEST(settings_are_told)
{
        AUTO_JSON json_t *result = NULL;
        json_t *settings;

        result = result_with(&done);
        expect_fields(json_object_get(result, "settings"),
                      "{'barrier': 'spin', 'barrier_asked': 'spin', 'pinned': true, 'widen_ns': 200, 'hold': 'loop', "
                      "'batch': 1, 'trial_timeout_ns': 100000000, 'measured': true, 'cpus': [0, 3], 'notes': []}");
        json_decref(result);
        segment.race->barrier_made = RACE_BARRIER_PTHREAD;
        atomic_store(&segment.race->notes, RACE_NOTE_CROWDED | RACE_NOTE_NOT_PINNED);
        result = result_with(&done);
        settings = json_object_get(result, "settings");
        expect_fields(settings, "{'barrier': 'pthread', 'barrier_asked': 'spin', 'pinned': false}");
        ck_assert_uint_eq(json_array_size(json_object_get(settings, "notes")), 2);
        ck_assert_ptr_nonnull(
                strstr(json_string_value(json_array_get(json_object_get(settings, "notes"), 0)), "more actors"));
}
END_TEST

/* Two actors on one CPU are not each on its own; and a scenario that holds in one way only has no `hold`. */
START_TEST(settings_that_do_not_apply)
{
        AUTO_JSON json_t *result = NULL;

        use("sb", "none", 1);
        CPU_CLR(3, &variant.cpus);
        result = result_with(&done);
        expect_fields(json_object_get(result, "settings"), "{'hold': null, 'pinned': false, 'cpus': [0]}");
        expect_fields(result, "{'params': {}}");
}
END_TEST

/* ── the picture ── */

static void
note(uint32_t actor, enum race_event_kind kind, uint32_t trial, uint64_t at_ns)
{
        struct race_actor *a = &segment.race_actors[actor];

        a->event[a->n_events++] = (struct race_event){.at_ns = at_ns, .kind = kind, .trial = trial};
}

START_TEST(spans_are_made_from_events)
{
        static const char *const expected[] = {
                "{'actor': 0, 'kind': 'hold', 'trial': 0, 'from_ns': 10, 'to_ns': 30}",
                "{'actor': 0, 'kind': 'trial', 'trial': 0, 'from_ns': 0, 'to_ns': 40}",
                "{'actor': 1, 'kind': 'wait', 'trial': 0, 'from_ns': 12, 'to_ns': 31}",
                "{'actor': 1, 'kind': 'hold', 'trial': 0, 'from_ns': 31, 'to_ns': 50}",
                "{'actor': 1, 'kind': 'trial', 'trial': 0, 'from_ns': 2, 'to_ns': 50}",
                "{'actor': 1, 'kind': 'wait', 'trial': 1, 'from_ns': 70, 'to_ns': 80}",
        };
        AUTO_JSON json_t *result = NULL;
        json_t *spans;

        note(0, RACE_EVENT_BEGIN, 0, 1000);
        note(0, RACE_EVENT_HOLD, 0, 1010); /* got it at once */
        note(0, RACE_EVENT_RELEASE, 0, 1030);
        note(0, RACE_EVENT_END, 0, 1040);
        note(0, RACE_EVENT_BEGIN, 1, 1060);
        note(0, RACE_EVENT_HOLD, 1, 1065); /* and was killed */
        note(1, RACE_EVENT_BEGIN, 0, 1002);
        note(1, RACE_EVENT_WAIT, 0, 1012);
        note(1, RACE_EVENT_HOLD, 0, 1031);
        note(1, RACE_EVENT_END, 0, 1050); /* held until the end */
        note(1, RACE_EVENT_BEGIN, 1, 1062);
        note(1, RACE_EVENT_WAIT, 1, 1070);
        note(1, RACE_EVENT_RELEASE, 1, 1080); /* gave up */
        variant.race.timeline = 1;
        result = result_with(&done);
        spans = json_object_get(result, "spans");
        ck_assert_uint_eq(json_array_size(spans), ARRAY_SIZE(expected));
        for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
                expect_fields(json_array_get(spans, i), expected[i]);
}
END_TEST

START_TEST(spans_are_so_many_and_no_more)
{
        enum { ACTORS = 4 };
        AUTO_JSON json_t *result = NULL;

        variant.race.timeline = 1;
        segment.run->spec.seats = ACTORS;
        for (uint32_t i = 0; i < ACTORS; i++) {
                for (uint32_t k = 0; k < RACE_EVENTS_MAX; k++)
                        note(i, k % 2 ? RACE_EVENT_RELEASE : RACE_EVENT_HOLD, 0, 1 + k);
                segment.race_actors[i].n_events = UINT32_MAX; /* nothing behind the last is read */
        }
        result = result_with(&done);
        ck_assert_uint_eq(json_array_size(json_object_get(result, "spans")), ACTORS * RACE_EVENTS_MAX / 2);
        ck_assert_uint_le(ACTORS * RACE_EVENTS_MAX / 2, RACE_SPANS_MAX);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("race_figures");
        TCase *tc = tcase_create("race_figures");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, whole_race);
        tcase_add_test(tc, outcomes_stand_in_their_order_with_zeros);
        tcase_add_loop_test(tc, observation_is_as_litmus7_says_it, 0, ARRAY_SIZE(observations));
        tcase_add_test(tc, guard_makes_an_outcome_forbidden);
        tcase_add_test(tc, unknown_outcome_is_a_fault);
        tcase_add_test(tc, half_written_copy_is_not_read);
        tcase_add_test(tc, actors_are_added_up);
        tcase_add_test(tc, race_that_did_nothing);
        tcase_add_test(tc, race_by_duration_in_threads);
        tcase_add_test(tc, settings_are_told);
        tcase_add_test(tc, settings_that_do_not_apply);
        tcase_add_test(tc, spans_are_made_from_events);
        tcase_add_test(tc, spans_are_so_many_and_no_more);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
