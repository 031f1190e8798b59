/* SPDX-License-Identifier: MIT */
/*
 * Requests are written here with ' for ". Every one of them first passes the check of the interface, as in the daemon,
 * so what is refused here is refused by request-race.c. A variant is compared as one line of text, of which a row names
 * a part. Lists of names that other tables make are made here from the same tables; their beginning is a row's.
 */
#include "supervisor/request-race.h"

#include "protocol/idl.h"
#include "shared/quantity.h"
#include "supervisor/cpus.h"
#include "supervisor/request.h"
#include "worker/mode.h"

#include "request_fixture.h"
#include "run_suite.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#define LONGEST "3600000000000000"

static json_t *
request(const char *text)
{
        return request_of("Race", text);
}

static char *
line_of(const struct variant *v, uint64_t deadline_ns)
{
        const struct race_spec *r = &v->race;
        char cpus[CPUS_TEXT_MAX], *line;

        ck_assert(v->is_race);
        ck_assert_uint_eq(v->workers, r->actors);
        ck_assert_uint_eq(v->count, r->trials);
        ck_assert_int_eq(v->spawn, SPAWN_POOL);
        ck_assert_int_gt(asprintf(&line,
                                  "|%s %s guard=%s permits=%u actors=%u trials=%llu duration=%llu deadline=%llu "
                                  "cpus=%s barrier=%s hold=%s pin=%u measure=%u timeline=%u widen=%llu timeout=%llu "
                                  "batch=%u params=%lld|",
                                  scenarios[r->scenario]->name, modes[v->mode].name, guards[r->guard]->name, r->permits,
                                  r->actors, (unsigned long long)r->trials, (unsigned long long)v->duration_ns,
                                  (unsigned long long)deadline_ns, cpus_format(cpus, sizeof(cpus), &v->cpus),
                                  race_barriers[r->barrier].name, race_holds[r->hold].name, r->pin, r->measure,
                                  r->timeline, (unsigned long long)r->widen_ns, (unsigned long long)r->trial_ns,
                                  r->batch, (long long)r->params[0]),
                         0);
        return line;
}

/* On success *ret_line says all of it, else *bad does. */
static int
parse_json(json_t *p, char **ret_line, struct bad_value *bad, struct variant *ret, uint64_t *ret_deadline_ns)
{
        struct variant v, untouched;
        uint64_t deadline_ns = 42;
        int r;

        memset(&v, 0x5a, sizeof(v));
        untouched = v;
        *bad = (struct bad_value){0};
        r = request_parse_race(p, &limits, &v, &deadline_ns, bad);
        if (r < 0) {
                ck_assert_uint_eq(deadline_ns, 42);
                ck_assert(memcmp(&v, &untouched, sizeof(v)) == 0);
                return r;
        }
        ck_assert_ptr_null(bad->field);
        *ret_line = line_of(&v, deadline_ns);
        *ret = v;
        *ret_deadline_ns = deadline_ns;
        return 0;
}

static int
parse(const char *text, char **ret_line, struct bad_value *bad)
{
        AUTO_JSON json_t *p = request(text);
        struct variant v;
        uint64_t deadline_ns;

        return parse_json(p, ret_line, bad, &v, &deadline_ns);
}

static void
expect_refusal(const char *text, const char *field, const char *given, const char *allowed)
{
        struct bad_value bad;
        char *line = NULL;
        int r = parse(text, &line, &bad);

        ck_assert_msg(r == -EINVAL, "%s: %d %s", text, r, line ? line : "");
        ck_assert_str_eq(bad.field, field);
        ck_assert_str_eq(bad.given, given);
        ck_assert_str_eq(bad.allowed, allowed);
        bad_value_deinit(&bad);
}

static void
expect_line(const char *text, const char *part)
{
        struct bad_value bad;
        AUTO_FREE char *line = NULL;
        int r = parse(text, &line, &bad);

        ck_assert_msg(r == 0, "%s: %s, given %s, allowed %s", text, bad.field, bad.given, bad.allowed);
        ck_assert_msg(strstr(line, part) != NULL, "%s: no \"%s\" in %s", text, part, line);
}

/* ── one value after the other ── */

#define DEFAULTS                                                                                                       \
        "|counter process guard=none permits=1 actors=2 trials=1000 duration=0 deadline=0 cpus=0,2-3 barrier=spin "    \
        "hold=loop pin=1 measure=1 timeline=0 widen=200 timeout=100000000 batch=1 params=1000|"

static const struct {
        const char *request, *part;
} good[] = {
        {"{}", DEFAULTS},
        {"{'scenario': null, 'params': null, 'mode': null, 'guard': null, 'permits': null, 'actors': null, "
         "'trials': null, 'duration_ns': null, 'barrier': null, 'pin': null, 'widen_ns': null, 'hold': null, "
         "'trial_timeout_ns': null, 'measure': null, 'timeline': null, 'deadline_ns': null, 'cpus': null}",
         DEFAULTS},
        {"{'scenario': 'counter', 'params': {'target': '1'}}", " params=1|"},
        {"{'params': {'target': '1M'}}", " params=1000000|"},
        {"{'mode': 'process'}", "|counter process "},
        {"{'mode': 'thread'}", "|counter thread "},
        {"{'guard': 'mutex'}", " guard=mutex permits=1 "},
        {"{'guard': 'mutex', 'permits': 1}", " guard=mutex permits=1 "},
        {"{'guard': 'raw-semaphore', 'permits': 64}", " guard=raw-semaphore permits=64 "},
        {"{'guard': 'semaphore'}", " guard=semaphore permits=1 "},
        {"{'permits': 1}", " guard=semaphore permits=1 "},
        {"{'permits': 2}", " guard=semaphore permits=2 "},
        {"{'permits': 2, 'mode': 'thread'}", "|counter thread guard=semaphore permits=2 "},
        {"{'guard': 'gil', 'mode': 'thread'}", " guard=gil permits=1 "},
        {"{'actors': 8}", " actors=8 "},
        {"{'trials': 1}", " trials=1 duration=0 "},
        {"{'trials': 1000000000000}", " trials=1000000000000 "},
        {"{'duration_ns': 1000000}", " trials=0 duration=1000000 "},
        {"{'duration_ns': " LONGEST "}", " trials=0 duration=" LONGEST " "},
        {"{'barrier': 'none'}", " barrier=none "},
        {"{'barrier': 'pthread'}", " barrier=pthread "},
        {"{'barrier': 'timebase'}", " barrier=timebase "},
        {"{'pin': false}", " pin=0 measure=1 timeline=0 "},
        {"{'measure': false, 'timeline': true}", " pin=1 measure=0 timeline=1 "},
        {"{'widen_ns': 0}", " widen=0 "},
        {"{'widen_ns': 1000000}", " widen=1000000 "},
        {"{'hold': 'step'}", " hold=step "},
        {"{'hold': 'loop'}", " hold=loop "},
        {"{'trial_timeout_ns': 1000000}", " timeout=1000000 "},
        {"{'trial_timeout_ns': 10000000000}", " timeout=10000000000 "},
        {"{'deadline_ns': 1000000}", " deadline=1000000 "},
        {"{'deadline_ns': " LONGEST "}", " deadline=" LONGEST " "},
        {"{'cpus': [2]}", " actors=2 trials=1000 duration=0 deadline=0 cpus=2 "},
        {"{'scenario': 'sb'}", "|sb process guard=none permits=1 actors=2 trials=1000 duration=0 deadline=0 "
                               "cpus=0,2-3 barrier=timebase hold=loop pin=1 measure=1 timeline=0 widen=0 "
                               "timeout=100000000 batch=1024 "},
        {"{'scenario': 'sb', 'barrier': 'spin', 'widen_ns': 0, 'trials': 1e6}", " trials=1000000 "},
};

START_TEST(good_values_are_taken)
{
        expect_line(good[_i].request, good[_i].part);
}
END_TEST

/* A later daemon, with other CPUs and another configuration, makes the same of what was recorded. */
START_TEST(recorded_request_makes_the_same_variant)
{
        AUTO_JSON json_t *p = request(good[_i].request), *recorded = NULL;
        AUTO_FREE char *line = NULL, *again = NULL, *text = NULL;
        struct bad_value bad;
        uint64_t deadline_ns;
        struct variant v, first;

        limits.deadline_ns = _i % 2 ? 77 * NS_PER_S : 0;
        ck_assert_int_eq(parse_json(p, &line, &bad, &first, &deadline_ns), 0);
        recorded = request_of_variant(p, &first, deadline_ns);
        text = json_dumps(recorded, 0);
        json_decref(recorded);
        recorded = request(text);
        CPU_SET(1, &limits.cpus);
        CPU_SET(4, &limits.cpus);
        if (deadline_ns)
                limits.deadline_ns = 5 * NS_PER_S;
        ck_assert_msg(parse_json(recorded, &again, &bad, &v, &deadline_ns) == 0, "%s: %s", text, bad.field);
        ck_assert_str_eq(again, line);
        ck_assert(memcmp(&v.race, &first.race, sizeof(v.race)) == 0);
}
END_TEST

#define RANGE_DURATION "1000000 to " LONGEST
#define RANGE_TRIAL    "1000000 to 10000000000"

static const struct {
        const char *request, *field, *given, *allowed;
} bad_values[] = {
        {"{'mode': 'sequential'}", "mode", "sequential", "process, thread"},
        {"{'mode': 'gil'}", "mode", "gil", "process, thread"},
        {"{'mode': ''}", "mode", "", "process, thread"},
        {"{'scenario': 'permit-leak', 'mode': 'thread'}", "mode", "thread",
         "process (scenario permit-leak has no other)"},
        {"{'barrier': 'Spin'}", "barrier", "Spin", "spin, pthread, timebase, none"},
        {"{'hold': 'ever'}", "hold", "ever", "loop, step"},
        {"{'scenario': 'sb', 'hold': 'loop'}", "hold", "loop", "nothing: scenario sb knows one way only"},
        {"{'params': {'goal': '5'}}", "params", "goal", "target"},
        {"{'scenario': 'sb', 'params': {'target': '5'}}", "params", "target", "nothing: sb has no parameters"},
        {"{'params': {'target': '0'}}", "params.target", "0", "1 to 1000000 steps"},
        {"{'params': {'target': '1000001'}}", "params.target", "1000001", "1 to 1000000 steps"},
        {"{'params': {'target': ''}}", "params.target", "", "1 to 1000000 steps"},
        {"{'params': {'target': '5x'}}", "params.target", "5x", "1 to 1000000 steps"},
        {"{'permits': 0}", "permits", "0", "1 to 64"},
        {"{'permits': -1}", "permits", "-1", "1 to 64"},
        {"{'permits': 65}", "permits", "65", "1 to 64"},
        {"{'guard': 'raw-semaphore', 'permits': 0}", "permits", "0", "1 to 64"},
        {"{'guard': 'raw-semaphore', 'permits': 9223372036854775807}", "permits", "9223372036854775807", "1 to 64"},
        {"{'guard': 'mutex', 'permits': 2}", "permits", "2",
         "1 with guard mutex; more with semaphore, raw-semaphore, unnamed-semaphore"},
        {"{'guard': 'mutex', 'permits': 0}", "permits", "0",
         "1 with guard mutex; more with semaphore, raw-semaphore, unnamed-semaphore"},
        {"{'guard': 'none', 'permits': 4294967297}", "permits", "4294967297",
         "nothing with guard none, which keeps nobody waiting"},
        {"{'actors': 1}", "actors", "1", "2 to 8"},
        {"{'actors': 0}", "actors", "0", "2 to 8"},
        {"{'actors': -3}", "actors", "-3", "2 to 8"},
        {"{'actors': 9}", "actors", "9", "2 to 8"},
        {"{'scenario': 'sb', 'actors': 3}", "actors", "3", "2"},
        {"{'trials': 0}", "trials", "0", "1 to 1000000000000"},
        {"{'trials': -1}", "trials", "-1", "1 to 1000000000000"},
        {"{'trials': 1000000000001}", "trials", "1000000000001", "1 to 1000000000000"},
        {"{'trials': 1000, 'duration_ns': 1000000000}", "duration_ns", "1000000000",
         "nothing, when trials is given: a race ends by the one or by the other"},
        {"{'duration_ns': 0}", "duration_ns", "0", RANGE_DURATION},
        {"{'duration_ns': 999999}", "duration_ns", "999999", RANGE_DURATION},
        {"{'duration_ns': 3600000000000001}", "duration_ns", "3600000000000001", RANGE_DURATION},
        {"{'widen_ns': -1}", "widen_ns", "-1", "0 to 1000000"},
        {"{'widen_ns': 1000001}", "widen_ns", "1000001", "0 to 1000000"},
        {"{'scenario': 'sb', 'widen_ns': 1}", "widen_ns", "1", "0: scenario sb has no window to be widened"},
        {"{'trial_timeout_ns': 0}", "trial_timeout_ns", "0", RANGE_TRIAL},
        {"{'trial_timeout_ns': 999999}", "trial_timeout_ns", "999999", RANGE_TRIAL},
        {"{'trial_timeout_ns': 10000000001}", "trial_timeout_ns", "10000000001", RANGE_TRIAL},
        {"{'deadline_ns': 0}", "deadline_ns", "0", RANGE_DURATION},
        {"{'deadline_ns': 3600000000000001}", "deadline_ns", "3600000000000001", RANGE_DURATION},
        {"{'cpus': []}", "cpus", "an empty list", "0,2-3"},
        {"{'cpus': [1]}", "cpus", "1", "0,2-3"},
};

START_TEST(bad_values_are_named)
{
        expect_refusal(bad_values[_i].request, bad_values[_i].field, bad_values[_i].given, bad_values[_i].allowed);
}
END_TEST

/* ── names of other tables ── */

START_TEST(unknown_scenario_gets_all_of_them)
{
        struct bad_value bad;
        char *line = NULL, *rest;

        ck_assert_int_eq(parse("{'scenario': 'Counter'}", &line, &bad), -EINVAL);
        ck_assert_str_eq(bad.field, "scenario");
        ck_assert_str_eq(bad.given, "Counter");
        rest = bad.allowed;
        for (size_t i = 0; scenarios[i]; i++) {
                size_t length = strlen(scenarios[i]->name);

                ck_assert_msg(strncmp(rest, scenarios[i]->name, length) == 0, "no %s in %s", scenarios[i]->name,
                              bad.allowed);
                rest += length;
                rest += strncmp(rest, ", ", 2) == 0 ? 2 : 0;
        }
        ck_assert_str_eq(rest, "");
        bad_value_deinit(&bad);
}
END_TEST

START_TEST(unknown_guard_gets_all_of_them)
{
        struct bad_value bad;
        char *line = NULL;

        ck_assert_int_eq(parse("{'guard': 'lock'}", &line, &bad), -EINVAL);
        ck_assert_str_eq(bad.field, "guard");
        ck_assert_str_eq(bad.given, "lock");
        ck_assert_ptr_eq(strstr(bad.allowed, "none, mutex, "), bad.allowed);
        for (size_t i = 0; guards[i]; i++)
                ck_assert_ptr_nonnull(strstr(bad.allowed, guards[i]->name));
        bad_value_deinit(&bad);
}
END_TEST

START_TEST(guard_of_threads_is_refused_to_processes)
{
        struct bad_value bad;
        char *line = NULL;

        ck_assert_int_eq(parse("{'guard': 'gil'}", &line, &bad), -EINVAL);
        ck_assert_str_eq(bad.field, "guard");
        ck_assert_str_eq(bad.given, "gil");
        ck_assert_ptr_nonnull(strstr(bad.allowed, "mutex"));
        ck_assert_ptr_nonnull(strstr(bad.allowed, " (scenario counter, mode process)"));
        ck_assert_ptr_null(strstr(bad.allowed, "gil"));
        bad_value_deinit(&bad);
}
END_TEST

/* Every scenario with every guard in both modes: either all of it is taken, or the guard or the mode is refused, as the
 * tables say. */
START_TEST(guards_are_taken_as_the_scenario_says)
{
        const struct scenario *s = scenarios[_i];
        unsigned taken = 0;

        for (size_t i = 0; guards[i]; i++) {
                for (uint32_t mode = 1; mode <= 2; mode++) {
                        struct bad_value bad;
                        AUTO_FREE char *line = NULL;
                        const char *why = NULL;
                        bool fits = !s->accepts || s->accepts(guards[i], &why);
                        bool serves_mode = mode == 2 ? !(s->flags & SCENARIO_PROCESS_ONLY)
                                                     : !(guards[i]->flags & GUARD_THREADS_ONLY);
                        char text[160];

                        snprintf(text, sizeof(text), "{'scenario': '%s', 'guard': '%s', 'mode': '%s'}", s->name,
                                 guards[i]->name, modes[mode].name);
                        ck_assert_msg((parse(text, &line, &bad) == 0) == (fits && serves_mode), "%s: %s", text,
                                      line ? line : bad.field);
                        bad_value_deinit(&bad);
                        taken += fits && serves_mode;
                }
        }
        ck_assert_uint_gt(taken, 0);
}
END_TEST

START_TEST(every_scenario_has_defaults_that_are_taken)
{
        char text[80];

        snprintf(text, sizeof(text), "{'scenario': '%s'}", scenarios[_i]->name);
        expect_line(text, scenarios[_i]->guard_def);
        expect_line(text, scenarios[_i]->flags & SCENARIO_SMALL ? " barrier=timebase " : " barrier=spin ");
        expect_line(text, scenarios[_i]->flags & SCENARIO_SMALL ? " widen=0 " : " widen=200 ");
}
END_TEST

/* ── what depends on the daemon ── */

START_TEST(pool_bounds_the_actors)
{
        limits.max_workers = 2;
        expect_line("{}", " actors=2 ");
        expect_refusal("{'actors': 3}", "actors", "3", "2");
        limits.max_workers = 1;
        expect_refusal("{}", "actors", "2", "2 or more with scenario counter, but the daemon's max_workers is 1");
}
END_TEST

START_TEST(deadline_may_have_a_maximum)
{
        limits.deadline_ns = limits.deadline_max_ns = 7 * NS_PER_S;
        expect_line("{}", " deadline=7000000000 ");
        expect_line("{'deadline_ns': 7000000000}", " deadline=7000000000 ");
        expect_line("{'deadline_ns': 1000000}", " deadline=1000000 ");
        expect_refusal("{'deadline_ns': 7000000001}", "deadline_ns", "7000000001",
                       "at most 7000000000, which is jobs.deadline; more only for who administers");
        expect_refusal("{'deadline_ns': 999999}", "deadline_ns", "999999", "1000000 to " LONGEST);
        /* What the daemon itself fills in is not refused, however short it is. */
        limits.deadline_ns = limits.deadline_max_ns = 5;
        expect_line("{}", " deadline=5 ");
        expect_refusal("{'deadline_ns': 1000000}", "deadline_ns", "1000000",
                       "at most 5, which is jobs.deadline; more only for who administers");
        limits.deadline_max_ns = 0;
        expect_line("{'deadline_ns': " LONGEST "}", " deadline=" LONGEST " ");
}
END_TEST

START_TEST(daemon_has_a_default_deadline)
{
        limits.deadline_ns = 7 * NS_PER_S;
        expect_line("{}", " deadline=7000000000 ");
        expect_line("{'deadline_ns': 9000000000}", " deadline=9000000000 ");
}
END_TEST

START_TEST(wrong_types_are_told_the_range)
{
        static const char *const fields[] = {"trials", "permits", "actors", "widen_ns", "trial_timeout_ns"};

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                ck_assert_ptr_nonnull(strstr(request_allowed(fields[i]), "a whole number from "));
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("request_race");
        TCase *tc = tcase_create("request_race");
        int n_scenarios = 0;

        while (scenarios[n_scenarios])
                n_scenarios++;
        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_loop_test(tc, good_values_are_taken, 0, ARRAY_SIZE(good));
        tcase_add_loop_test(tc, recorded_request_makes_the_same_variant, 0, ARRAY_SIZE(good));
        tcase_add_loop_test(tc, bad_values_are_named, 0, ARRAY_SIZE(bad_values));
        tcase_add_test(tc, unknown_scenario_gets_all_of_them);
        tcase_add_test(tc, unknown_guard_gets_all_of_them);
        tcase_add_test(tc, guard_of_threads_is_refused_to_processes);
        tcase_add_loop_test(tc, guards_are_taken_as_the_scenario_says, 0, n_scenarios);
        tcase_add_loop_test(tc, every_scenario_has_defaults_that_are_taken, 0, n_scenarios);
        tcase_add_test(tc, pool_bounds_the_actors);
        tcase_add_test(tc, deadline_may_have_a_maximum);
        tcase_add_test(tc, daemon_has_a_default_deadline);
        tcase_add_test(tc, wrong_types_are_told_the_range);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
