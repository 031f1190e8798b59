/* SPDX-License-Identifier: MIT */
/* Requests are written here with ' for ", and pass the check of the interface first, as in the daemon. */
#include "protocol/idl.h"
#include "supervisor/request.h"
#include "worker/mode.h"

#include "request_fixture.h"
#include "run_suite.h"

#include <check.h>
#include <errno.h>
#include <string.h>

static json_t *
request(const char *text)
{
        return request_of("Compare", text);
}

static void
parse(const char *text, struct plan *ret)
{
        AUTO_JSON json_t *p = request(text);
        struct bad_value bad = {0};
        int r = request_parse_compare(p, &limits, ret, &bad);

        ck_assert_msg(r == 0, "%s: %s given %s, allowed %s", text, bad.field, bad.given, bad.allowed);
}

static void
expect_refusal(const char *text, const char *field, const char *given, const char *allowed)
{
        AUTO_JSON json_t *p = request(text);
        struct bad_value bad = {0};
        struct plan plan;

        ck_assert_msg(request_parse_compare(p, &limits, &plan, &bad) == -EINVAL, "accepted: %s", text);
        ck_assert_str_eq(bad.field, field);
        ck_assert_str_eq(bad.given, given);
        ck_assert_msg(strstr(bad.allowed, allowed) != NULL, "%s: allowed \"%s\", expected \"%s\"", text, bad.allowed,
                      allowed);
        bad_value_deinit(&bad);
}

#define MODES_4 "'variants': [{'mode': 'sequential'}, {'mode': 'process'}, {'mode': 'thread'}, {'mode': 'gil'}]"

START_TEST(modes_are_variants)
{
        struct plan plan;

        parse("{" MODES_4 ", 'count': 50, 'workers': 2}", &plan);
        ck_assert(plan.is_comparison);
        ck_assert_uint_eq(plan.n_variants, 4);
        ck_assert_uint_eq(plan.rounds, COMPARE_ROUNDS_DEFAULT);
        ck_assert_uint_eq(plan.comparison.seed, 77);
        ck_assert_uint_eq(plan.comparison.reference, 0);
        ck_assert(plan.comparison.is_rehearsed);
        for (uint32_t i = 0; i < MODES; i++) {
                ck_assert_uint_eq(plan.variants[i].mode, i);
                ck_assert_uint_eq(plan.variants[i].count, 50);
                ck_assert_str_eq(plan.comparison.names[i], modes[i].name);
                /* What is said of workers is for modes that have them. */
                ck_assert_uint_eq(plan.variants[i].workers, modes[i].single ? 1 : 2);
        }
        plan_deinit(&plan);
}
END_TEST

START_TEST(variant_says_otherwise)
{
        struct plan plan;

        parse("{'workload': 'spin', 'params': {'ns': '700'}, 'count': 9, 'workers': 3, 'variants': ["
              "{'workers': 1}, {'params': {'ns': '900'}}, {'workload': 'nop'}, {'duration_ns': 5000000},"
              "{'name': 'fourth', 'libc': 'native', 'cpus': [2], 'timeout_ns': 4000000, 'chunk': 3, 'count': 30}]}",
              &plan);
        ck_assert_uint_eq(plan.n_variants, 5);
        ck_assert_str_eq(plan.comparison.names[0], "workers=1");
        ck_assert_uint_eq(plan.variants[0].workers, 1);
        ck_assert_int_eq(plan.variants[0].params[0], 700);
        ck_assert_str_eq(plan.comparison.names[1], "ns=900");
        ck_assert_int_eq(plan.variants[1].params[0], 900);
        ck_assert_uint_eq(plan.variants[1].workers, 3);
        /* Parameters belong to a workload. */
        ck_assert_str_eq(plan.comparison.names[2], "nop");
        ck_assert_str_eq(plan.comparison.names[3], "duration_ns=5000000");
        ck_assert_uint_eq(plan.variants[3].count, 0);
        ck_assert_uint_eq(plan.variants[3].duration_ns, 5000000);
        ck_assert_str_eq(plan.comparison.names[4], "fourth");
        ck_assert(plan.variants[4].libc_native);
        ck_assert_int_eq(CPU_COUNT(&plan.variants[4].cpus), 1);
        ck_assert_uint_eq(plan.variants[4].timeout_ns, 4000000);
        ck_assert_uint_eq(plan.variants[4].chunk, 3);
        ck_assert_uint_eq(plan.variants[4].count, 30);
        plan_deinit(&plan);
}
END_TEST

START_TEST(aa_is_one_variant_twice)
{
        static const char *const texts[] = {"{'aa': true, 'count': 5}", "{'aa': true, 'variants': [{'count': 5}]}",
                                            "{'aa': true, 'variants': [], 'count': 5}"};
        struct plan plan;

        parse(texts[_i], &plan);
        ck_assert(plan.comparison.is_aa);
        ck_assert_uint_eq(plan.n_variants, 2);
        ck_assert_str_eq(plan.comparison.names[0], "A");
        ck_assert_str_eq(plan.comparison.names[1], "B");
        ck_assert(memcmp(&plan.variants[0], &plan.variants[1], sizeof(plan.variants[0])) == 0);
        ck_assert_uint_eq(plan.variants[0].count, 5);
        plan_deinit(&plan);
}
END_TEST

START_TEST(ends_by_rounds_or_precision)
{
        struct plan plan;

        parse("{" MODES_4 ", 'rounds': 12, 'seed': 5, 'warmup': 3, 'reference': 'thread', 'timeline': true}", &plan);
        ck_assert_uint_eq(plan.rounds, 12);
        ck_assert_uint_eq(plan.comparison.seed, 5);
        ck_assert_uint_eq(plan.comparison.reference, 2);
        ck_assert(!plan.comparison.is_rehearsed);
        ck_assert_uint_eq(plan.variants[3].warmup, 3);
        ck_assert_uint_eq(plan.first_measured, 4);
        ck_assert_uint_eq(plan.first_traced, 4 + 48);
        ck_assert_uint_eq(plan.n_steps, 4 + 48 + 4);
        plan_deinit(&plan);

        parse("{" MODES_4 ", 'precision': 0.01, 'warmup': 0}", &plan);
        ck_assert_double_eq(plan.comparison.precision, 0.01);
        ck_assert_uint_eq(plan.rounds, COMPARE_ROUNDS_MAX);
        ck_assert_uint_eq(plan.first_measured, 0);
        ck_assert_uint_eq(plan.n_steps, 4 * COMPARE_ROUNDS_MAX);
        plan_deinit(&plan);
}
END_TEST

/* Rounds × variants have to fit into the segment. */
START_TEST(many_variants_have_fewer_rounds)
{
        AUTO_JSON json_t *p = json_object(), *list = json_array();
        struct bad_value bad = {0};
        struct plan plan;

        for (int i = 0; i < COMPARE_VARIANTS_MAX; i++)
                json_array_append_new(list, json_pack("{s:i}", "count", i + 1));
        json_object_set(p, "variants", list);
        json_object_set_new(p, "precision", json_real(0.5));
        ck_assert_int_eq(request_parse_compare(p, &limits, &plan, &bad), 0);
        ck_assert_uint_eq(plan.rounds, COMPARE_RECORDS_MAX / COMPARE_VARIANTS_MAX);
        plan_deinit(&plan);
        json_array_append_new(list, json_pack("{s:i}", "count", 100));
        ck_assert_int_eq(request_parse_compare(p, &limits, &plan, &bad), -EINVAL);
        ck_assert_str_eq(bad.given, "65");
        bad_value_deinit(&bad);
}
END_TEST

/* What is recorded makes the same plan again, whatever the daemon's defaults are by then. */
START_TEST(recorded_request_makes_the_same_plan)
{
        static const char *const texts[] = {
                "{" MODES_4 ", 'count': 50, 'deadline_ns': 7000000000}",
                "{'aa': true, 'rounds': 20}",
                ("{'variants': [{'workers': 1}, {'workload': 'spin', 'params': {'ns': '300'}}, {'duration_ns': "
                 "5000000}, {'spawn': 'per-task', 'workers': 0, 'count': 20}], 'precision': 0.05, 'timeline': true}"),
        };
        AUTO_JSON json_t *p = request(texts[_i]), *again = NULL;
        struct bad_value bad = {0};
        struct plan a, b;

        parse(texts[_i], &a);
        again = request_of_comparison(p, &a);
        limits.seed = 3;
        limits.libc_native = true;
        limits.deadline_ns = 99;
        CPU_ZERO(&limits.cpus);
        for (int i = 0; i < 6; i++)
                CPU_SET(i, &limits.cpus);
        ck_assert_msg(request_parse_compare(again, &limits, &b, &bad) == 0, "%s %s", bad.field, bad.allowed);
        ck_assert_uint_eq(a.n_variants, b.n_variants);
        ck_assert_uint_eq(a.n_steps, b.n_steps);
        ck_assert(memcmp(a.steps, b.steps, a.n_steps * sizeof(*a.steps)) == 0);
        ck_assert(memcmp(a.variants, b.variants, a.n_variants * sizeof(*a.variants)) == 0);
        ck_assert_uint_eq(a.deadline_ns ? a.deadline_ns : 99, b.deadline_ns);
        for (uint32_t i = 0; i < a.n_variants; i++)
                ck_assert_str_eq(a.comparison.names[i], b.comparison.names[i]);
        plan_deinit(&a);
        plan_deinit(&b);
}
END_TEST

START_TEST(bad_values)
{
        static const struct {
                const char *text, *field, *given, *allowed;
        } rows[] = {
                {"{}", "variants", "0", "2 to 64"},
                {"{'variants': []}", "variants", "0", "2 to 64"},
                {"{'variants': [{'mode': 'gil'}]}", "variants", "1", "2 to 64"},
                {"{'aa': true, 'variants': [{}, {'mode': 'gil'}]}", "variants", "2", "at most 1"},
                {"{'variants': [{}, {'mode': 'gil'}]}", "variants", "a variant that says nothing and has no name",
                 "differ"},
                {"{'variants': [{'mode': 'gil'}, {'mode': 'gil'}]}", "variants", "two of the name \"gil\"",
                 "different names"},
                {"{'variants': [{'name': 'a\\nb'}, {'mode': 'gil'}]}", "variants", "a\nb", "in one line"},
                {"{'variants': [{'name': 'a\\u009b'}, {'mode': 'gil'}]}", "variants", "a\xc2\x9b",
                 "control characters"},
                {"{'variants': [{'name': 'a\\u202e'}, {'mode': 'gil'}]}", "variants", "a\u202e", "control characters"},
                {"{'variants': [{'mode': 'gil'}, {'name': '\\u2066a'}]}", "variants", "\u2066a", "control characters"},
                {"{'variants': [{'mode': 'fast'}, {'mode': 'gil'}]}", "mode", "fast", "(in variant \"fast\")"},
                {"{'variants': [{'workers': 9}, {'workers': 2}]}", "workers", "9", "1 to 8 (in variant \"workers=9\")"},
                {"{'variants': [{'params': {'x': '1'}}, {'workers': 2}]}", "params", "x", "(in variant \"x=1\")"},
                {"{" MODES_4 ", 'workload': 'none'}", "workload", "none", "calc"},
                {"{" MODES_4 ", 'count': 0}", "count", "0", "1 to"},
                {"{" MODES_4 ", 'rounds': 0}", "rounds", "0", "10 to 1000"},
                {"{" MODES_4 ", 'rounds': 9}", "rounds", "9", "10 to 1000"},
                {"{" MODES_4 ", 'rounds': 1001}", "rounds", "1001", "10 to 1000"},
                {"{" MODES_4 ", 'rounds': -1}", "rounds", "-1", "10 to 1000"},
                {"{" MODES_4 ", 'precision': 0}", "precision", "0", "0.001 to 0.5"},
                {"{" MODES_4 ", 'precision': 0.51}", "precision", "0.51", "0.001 to 0.5"},
                {"{" MODES_4 ", 'precision': -0.01}", "precision", "-0.01", "0.001 to 0.5"},
                {"{" MODES_4 ", 'precision': 0.01, 'rounds': 10}", "precision", "0.01", "nothing, when rounds"},
                {"{" MODES_4 ", 'reference': 'proces'}", "reference", "proces", "sequential, process, thread, gil"},
                {"{" MODES_4 ", 'seed': -1}", "seed", "-1", "0 to 4294967295"},
                {"{" MODES_4 ", 'seed': 4294967296}", "seed", "4294967296", "0 to 4294967295"},
                {"{" MODES_4 ", 'libc': 'musl'}", "libc", "musl", "threaded, native"},
        };

        expect_refusal(rows[_i].text, rows[_i].field, rows[_i].given, rows[_i].allowed);
        ck_assert_uint_eq(ARRAY_SIZE(rows), 27);
}
END_TEST

START_TEST(deadline_may_have_a_maximum)
{
        struct plan plan;

        limits.deadline_ns = limits.deadline_max_ns = 7 * NS_PER_S;
        parse("{" MODES_4 ", 'deadline_ns': 7000000000}", &plan);
        ck_assert_uint_eq(plan.deadline_ns, 7 * NS_PER_S);
        plan_deinit(&plan);
        expect_refusal("{" MODES_4 ", 'deadline_ns': 7000000001}", "deadline_ns", "7000000001",
                       "at most 7000000000, which is jobs.deadline");
        expect_refusal("{'aa': true, 'deadline_ns': 7000000001}", "deadline_ns", "7000000001",
                       "at most 7000000000, which is jobs.deadline");
        limits.deadline_max_ns = 0;
        parse("{" MODES_4 ", 'deadline_ns': 7000000001}", &plan);
        ck_assert_uint_eq(plan.deadline_ns, 7 * NS_PER_S + 1);
        plan_deinit(&plan);
}
END_TEST

START_TEST(long_names)
{
        AUTO_JSON json_t *p = json_object();
        struct bad_value bad = {0};
        char name[102];
        struct plan plan;

        memset(name, 'n', sizeof(name) - 1);
        name[101] = 0;
        json_object_set_new(p, "variants", json_pack("[{s:s}, {s:i}]", "name", name, "count", 3));
        ck_assert_int_eq(request_parse_compare(p, &limits, &plan, &bad), -EINVAL);
        ck_assert_ptr_nonnull(strstr(bad.allowed, "100 bytes"));
        bad_value_deinit(&bad);
        name[100] = 0;
        json_object_set_new(p, "variants", json_pack("[{s:s}, {s:i}]", "name", name, "count", 3));
        ck_assert_int_eq(request_parse_compare(p, &limits, &plan, &bad), 0);
        plan_deinit(&plan);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("request_compare");
        TCase *tc = tcase_create("all");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, modes_are_variants);
        tcase_add_test(tc, variant_says_otherwise);
        tcase_add_loop_test(tc, aa_is_one_variant_twice, 0, 3);
        tcase_add_test(tc, ends_by_rounds_or_precision);
        tcase_add_test(tc, many_variants_have_fewer_rounds);
        tcase_add_loop_test(tc, recorded_request_makes_the_same_plan, 0, 3);
        tcase_add_loop_test(tc, bad_values, 0, 27);
        tcase_add_test(tc, deadline_may_have_a_maximum);
        tcase_add_test(tc, long_names);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
