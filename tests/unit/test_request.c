/* SPDX-License-Identifier: MIT */
/*
 * Requests are written here with ' for ". Every one of them first passes the check of the interface, as in the daemon,
 * so what is refused here is refused by request.c. A variant is compared as one line of text, of which a row names a
 * part.
 */
#include "supervisor/request.h"

#include "protocol/idl.h"
#include "shared/quantity.h"
#include "supervisor/cpus.h"
#include "worker/mode.h"
#include "workloads/workloads.h"

#include "request_fixture.h"
#include "run_suite.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#define LONGEST "3600000000000000"

static json_t *
request(const char *text)
{
        return request_of("Run", text);
}

/* Parses; on success *ret_line says all of it, else *bad does. Both are freed with the test's process. */
static int
parse_json(json_t *p, char **ret_line, struct bad_value *bad, struct variant *ret, uint64_t *ret_deadline_ns)
{
        struct variant v, untouched;
        uint64_t deadline_ns = 42;
        char cpus[CPUS_TEXT_MAX];
        int r;

        memset(&v, 0x5a, sizeof(v));
        untouched = v;
        *bad = (struct bad_value){0};
        r = request_parse_run(p, &limits, &v, &deadline_ns, bad);
        if (r < 0) {
                ck_assert_uint_eq(deadline_ns, 42);
                ck_assert(memcmp(&v, &untouched, sizeof(v)) == 0);
                return r;
        }
        ck_assert_ptr_null(bad->field);
        ck_assert_int_gt(asprintf(ret_line,
                                  "|%s %s spawn=%d workers=%u count=%llu duration=%llu chunk=%llu warmup=%llu "
                                  "timeout=%llu deadline=%llu cpus=%s params=%lld,%lld|",
                                  workloads[v.workload]->name, modes[v.mode].name, (int)v.spawn, v.workers,
                                  (unsigned long long)v.count, (unsigned long long)v.duration_ns,
                                  (unsigned long long)v.chunk, (unsigned long long)v.warmup,
                                  (unsigned long long)v.timeout_ns, (unsigned long long)deadline_ns,
                                  cpus_format(cpus, sizeof(cpus), &v.cpus), (long long)v.params[0],
                                  (long long)v.params[1]),
                         0);
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

static const struct {
        const char *request, *part;
} good[] = {
        {"{}", "|calc process spawn=0 workers=3 count=1000 duration=0 chunk=0 warmup=0 timeout=0 deadline=0 "
               "cpus=0,2-3 params="},
        {"{'workload': null, 'params': null, 'mode': null, 'spawn': null, 'workers': null, 'count': null, "
         "'duration_ns': null, 'chunk': null, 'warmup': null, 'timeout_ns': null, 'deadline_ns': null, 'cpus': null}",
         "|calc process spawn=0 workers=3 count=1000 duration=0 chunk=0 warmup=0 timeout=0 deadline=0 cpus=0,2-3 "},
        {"{'workload': 'nop'}", "|nop process "},
        {"{'workload': 'spin', 'params': {'ns': '1'}}", " params=1,"},
        {"{'workload': 'spin', 'params': {'ns': '10k'}}", " params=10000,"},
        {"{'workload': 'fail', 'params': {'kind': 'hang'}}", "|fail "},
        {"{'mode': 'sequential'}", " sequential spawn=0 workers=1 "},
        {"{'mode': 'sequential', 'workers': 1}", " sequential spawn=0 workers=1 "},
        {"{'mode': 'thread'}", " thread spawn=0 workers=3 "},
        {"{'mode': 'gil', 'workers': 2}", " gil spawn=0 workers=2 "},
        {"{'spawn': 'pool'}", " spawn=0 "},
        {"{'mode': 'thread', 'spawn': 'per-task'}", " spawn=1 workers=3 "},
        {"{'spawn': 'per-task', 'workers': 8}", " spawn=1 workers=8 "},
        {"{'spawn': 'per-task', 'workers': 0}", " spawn=2 workers=1 count=100 "},
        {"{'spawn': 'per-task', 'workers': 0, 'count': 1, 'warmup': 100}", " spawn=2 workers=1 count=1 "},
        {"{'workers': 1}", " workers=1 "},
        {"{'workers': 8}", " workers=8 "},
        {"{'count': 1}", " count=1 "},
        {"{'count': 1e3}", " count=1000 "},
        {"{'count': 1000000000000000}", 0},
        {"{'duration_ns': 1000000}", " count=0 duration=1000000 "},
        {"{'duration_ns': " LONGEST "}", " count=0 duration=" LONGEST " "},
        {"{'count': 64, 'chunk': 1}", " count=64 duration=0 chunk=1 "},
        {"{'count': 65, 'chunk': 2}", " chunk=2 "},
        {"{'count': 1, 'chunk': 1099511627775}", " chunk=1099511627775 "},
        {"{'warmup': 0}", " warmup=0 "},
        {"{'warmup': 5000}", " warmup=5000 "},
        {"{'warmup': 10, 'duration_ns': 5000000}", " count=0 duration=5000000 chunk=0 warmup=10 "},
        {"{'timeout_ns': 1000000}", " timeout=1000000 "},
        {"{'timeout_ns': " LONGEST "}", " timeout=" LONGEST " "},
        {"{'deadline_ns': 1000000}", " deadline=1000000 "},
        {"{'deadline_ns': " LONGEST "}", " deadline=" LONGEST " "},
        {"{'cpus': [2]}", " workers=1 count=1000 duration=0 chunk=0 warmup=0 timeout=0 deadline=0 cpus=2 "},
        {"{'cpus': [3, 0, 3]}", " cpus=0,3 "},
        {"{'cpus': [0], 'workers': 5}", " workers=5 "},
};

START_TEST(good_values_are_taken)
{
        limits.ledger_chunks = good[_i].part ? 64 : 16384;
        expect_line(good[_i].request, good[_i].part ? good[_i].part : " count=1000000000000000 ");
}
END_TEST

/* A later daemon, with other CPUs and another configuration, makes the same of what was recorded. */
START_TEST(recorded_request_makes_the_same_variant)
{
        AUTO_JSON json_t *p = request(good[_i].request), *recorded = NULL;
        AUTO_FREE char *line = NULL, *again = NULL, *text = NULL;
        struct bad_value bad;
        uint64_t deadline_ns;
        struct variant v;

        limits.ledger_chunks = good[_i].part ? 64 : 16384;
        limits.deadline_ns = _i % 2 ? 77 * NS_PER_S : 0;
        ck_assert_int_eq(parse_json(p, &line, &bad, &v, &deadline_ns), 0);
        recorded = request_of_variant(p, &v, deadline_ns);
        text = json_dumps(recorded, 0);
        json_decref(recorded);
        recorded = request(text);
        CPU_SET(1, &limits.cpus);
        CPU_SET(4, &limits.cpus);
        limits.quota_cpus = 1;
        if (deadline_ns)
                limits.deadline_ns = 5 * NS_PER_S;
        ck_assert_msg(parse_json(recorded, &again, &bad, &v, &deadline_ns) == 0, "%s: %s", text, bad.field);
        ck_assert_str_eq(again, line);
}
END_TEST

#define RANGE_DURATION "1000000 to " LONGEST
#define WORKLOADS      "calc, nop, spin, sleep, alloc, stdio, fail"
#define MODE_NAMES     "sequential, process, thread, gil"

static const struct {
        const char *request, *field, *given, *allowed;
} bad_values[] = {
        {"{'workload': 'Calc'}", "workload", "Calc", WORKLOADS},
        {"{'workload': ''}", "workload", "", WORKLOADS},
        {"{'workload': 'cal'}", "workload", "cal", WORKLOADS},
        {"{'mode': 'fork'}", "mode", "fork", MODE_NAMES},
        {"{'mode': ''}", "mode", "", MODE_NAMES},
        {"{'spawn': 'always'}", "spawn", "always", "pool, per-task"},
        {"{'mode': 'gil', 'spawn': 'per-task'}", "spawn", "per-task", "pool (mode gil has no other)"},
        {"{'mode': 'sequential', 'spawn': 'per-task'}", "spawn", "per-task", "pool (mode sequential has no other)"},
        {"{'params': {'ns': '5'}}", "params", "ns", "nothing: calc has no parameters"},
        {"{'workload': 'spin', 'params': {'us': '5'}}", "params", "us", "ns"},
        {"{'workload': 'fail', 'params': {'what': '5'}}", "params", "what", "kind, at, every"},
        {"{'workload': 'spin', 'params': {'ns': '-1'}}", "params.ns", "-1", "0 to 60000000000 ns"},
        {"{'workload': 'spin', 'params': {'ns': '60000000001'}}", "params.ns", "60000000001", "0 to 60000000000 ns"},
        {"{'workload': 'spin', 'params': {'ns': ''}}", "params.ns", "", "0 to 60000000000 ns"},
        {"{'workload': 'spin', 'params': {'ns': '5x'}}", "params.ns", "5x", "0 to 60000000000 ns"},
        {"{'workers': 0}", "workers", "0", "1 to 8"},
        {"{'workers': -1}", "workers", "-1", "1 to 8"},
        {"{'workers': 9}", "workers", "9", "1 to 8"},
        {"{'mode': 'gil', 'workers': 0}", "workers", "0", "1 to 8"},
        {"{'mode': 'sequential', 'workers': 2}", "workers", "2", "1"},
        {"{'mode': 'sequential', 'workers': 0}", "workers", "0", "1"},
        {"{'spawn': 'per-task', 'workers': 9}", "workers", "9", "0 to 8"},
        {"{'spawn': 'per-task', 'workers': -1}", "workers", "-1", "0 to 8"},
        {"{'count': 0}", "count", "0", "1 to 1000000000000000"},
        {"{'count': -1}", "count", "-1", "1 to 1000000000000000"},
        {"{'count': 1000000000000001}", "count", "1000000000000001", "1 to 1000000000000000"},
        {"{'count': 9223372036854775807}", "count", "9223372036854775807", "1 to 1000000000000000"},
        {"{'count': -9223372036854775808}", "count", "-9223372036854775808", "1 to 1000000000000000"},
        {"{'count': 1000, 'duration_ns': 1000000000}", "duration_ns", "1000000000",
         "nothing, when count is given: a run ends by the one or by the other"},
        {"{'duration_ns': 0}", "duration_ns", "0", RANGE_DURATION},
        {"{'duration_ns': 999999}", "duration_ns", "999999", RANGE_DURATION},
        {"{'duration_ns': 3600000000000001}", "duration_ns", "3600000000000001", RANGE_DURATION},
        {"{'spawn': 'per-task', 'workers': 0, 'duration_ns': 5000000}", "duration_ns", "5000000",
         "nothing, when all tasks are started at once: such a run ends by count"},
        {"{'spawn': 'per-task', 'workers': 0, 'count': 101}", "count", "101",
         "1 to 100, when all tasks are started at once"},
        {"{'spawn': 'per-task', 'workers': 0, 'count': 0}", "count", "0",
         "1 to 100, when all tasks are started at once"},
        {"{'spawn': 'per-task', 'workers': 0, 'warmup': 101}", "warmup", "101", "0 to 100"},
        {"{'spawn': 'per-task', 'workers': 0, 'chunk': 5}", "chunk", "5",
         "nothing, when all tasks are started at once"},
        {"{'duration_ns': 5000000, 'chunk': 5}", "chunk", "5", "nothing in a run by duration, which has no chunks"},
        {"{'chunk': 0}", "chunk", "0", "1 to 1099511627775"},
        {"{'chunk': -5}", "chunk", "-5", "1 to 1099511627775"},
        {"{'chunk': 1099511627776}", "chunk", "1099511627776", "1 to 1099511627775"},
        {"{'count': 65, 'chunk': 1}", "chunk", "1",
         "2 or more for 65 tasks: this would need 65 ledger lines, there are 64"},
        {"{'count': 1000000, 'chunk': 100}", "chunk", "100",
         "15625 or more for 1000000 tasks: this would need 10000 ledger lines, there are 64"},
        {"{'count': 1000000000000000}", "count", "1000000000000000",
         "at most 70368744177600 with a ledger of 64 lines"},
        {"{'count': 1000000000000000, 'chunk': 1}", "count", "1000000000000000",
         "at most 70368744177600 with a ledger of 64 lines"},
        {"{'warmup': -1}", "warmup", "-1", "0 to 1000000000000000"},
        {"{'warmup': 1000000000000001}", "warmup", "1000000000000001", "0 to 1000000000000000"},
        {"{'warmup': 1000000000000000}", "warmup", "1000000000000000",
         "at most 70368744177600 with a ledger of 64 lines"},
        {"{'timeout_ns': 0}", "timeout_ns", "0", RANGE_DURATION},
        {"{'timeout_ns': 999999}", "timeout_ns", "999999", RANGE_DURATION},
        {"{'timeout_ns': 3600000000000001}", "timeout_ns", "3600000000000001", RANGE_DURATION},
        {"{'deadline_ns': 0}", "deadline_ns", "0", RANGE_DURATION},
        {"{'deadline_ns': -1}", "deadline_ns", "-1", RANGE_DURATION},
        {"{'deadline_ns': 3600000000000001}", "deadline_ns", "3600000000000001", RANGE_DURATION},
        {"{'cpus': []}", "cpus", "an empty list", "0,2-3"},
        {"{'cpus': [1]}", "cpus", "1", "0,2-3"},
        {"{'cpus': [0, 4]}", "cpus", "4", "0,2-3"},
        {"{'cpus': [-1]}", "cpus", "-1", "0,2-3"},
        {"{'cpus': [1024]}", "cpus", "1024", "0,2-3"},
        {"{'cpus': [9223372036854775807]}", "cpus", "9223372036854775807", "0,2-3"},
};

START_TEST(bad_values_are_named)
{
        expect_refusal(bad_values[_i].request, bad_values[_i].field, bad_values[_i].given, bad_values[_i].allowed);
}
END_TEST

/* What is allowed is the workload's own to say. */
START_TEST(bad_choices_are_named)
{
        const struct concd_workload *fail = workload_by_name("fail");
        AUTO_FREE char *allowed = NULL;
        int64_t value;

        ck_assert_int_eq(workload_param_parse(&fail->params[0], "maybe", &value, &allowed), -EINVAL);
        expect_refusal("{'workload': 'fail', 'params': {'kind': 'maybe'}}", "params.kind", "maybe", allowed);
}
END_TEST

/* ── what a refusal allows is accepted ── */

static const uint64_t counts[] = {65, 100, 127, 128, 129, 1000, 4097, 999999, 1000003, 10000000000};

START_TEST(least_chunk_of_the_refusal_is_the_least)
{
        static const uint32_t lines[] = {64, 100, 1000};

        for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
                unsigned long long least, count = counts[_i];
                struct bad_value bad;
                char text[128], *line = NULL;

                limits.ledger_chunks = lines[i];
                snprintf(text, sizeof(text), "{'count': %llu, 'chunk': 1}", count);
                if (count <= lines[i]) {
                        expect_line(text, " chunk=1 ");
                        continue;
                }
                ck_assert_int_eq(parse(text, &line, &bad), -EINVAL);
                ck_assert_int_eq(sscanf(bad.allowed, "%llu or more", &least), 1);
                bad_value_deinit(&bad);
                snprintf(text, sizeof(text), "{'count': %llu, 'chunk': %llu}", count, least);
                expect_line(text, " chunk=");
                if (least == 1)
                        continue;
                snprintf(text, sizeof(text), "{'count': %llu, 'chunk': %llu}", count, least - 1);
                ck_assert_int_eq(parse(text, &line, &bad), -EINVAL);
                ck_assert_str_eq(bad.field, "chunk");
                bad_value_deinit(&bad);
        }
}
END_TEST

START_TEST(greatest_count_of_the_refusal_is_accepted)
{
        expect_line("{'count': 70368744177600}", " count=70368744177600 ");
        expect_line("{'warmup': 70368744177600}", " warmup=70368744177600 ");
}
END_TEST

START_TEST(all_allowed_cpus_are_named)
{
        const char *last = ",1022";
        struct bad_value bad;
        char *line = NULL;

        for (int i = 0; i < CPU_SETSIZE; i += 2)
                CPU_SET(i, &limits.cpus);
        ck_assert_int_eq(parse("{'cpus': [1]}", &line, &bad), -EINVAL);
        ck_assert_str_eq(bad.allowed + strlen(bad.allowed) - strlen(last), last);
        bad_value_deinit(&bad);
}
END_TEST

/* ── defaults that depend on where we are ── */

START_TEST(workers_by_default_fit_the_quota)
{
        limits.quota_cpus = 2.9;
        expect_line("{}", " workers=2 ");
        limits.quota_cpus = 0.5;
        expect_line("{}", " workers=1 ");
        expect_line("{'workers': 8}", " workers=8 "); /* who asks for more gets more */
}
END_TEST

START_TEST(workers_by_default_fit_the_pool)
{
        limits.max_workers = 2;
        expect_line("{}", " workers=2 ");
        expect_refusal("{'workers': 3}", "workers", "3", "1 to 2");
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

START_TEST(count_by_default_fits_at_once)
{
        limits.max_at_once = 5000;
        expect_line("{'spawn': 'per-task', 'workers': 0}", " count=1000 ");
}
END_TEST

static const struct {
        const char *id;
        bool valid;
} ids[] = {
        {"0123456789abcdef0123456789abcdef", true},
        {"00000000000000000000000000000000", true},
        {"", false},
        {"0123456789abcdef0123456789abcde", false},
        {"0123456789abcdef0123456789abcdef0", false},
        {"0123456789ABCDEF0123456789abcdef", false},
        {"0123456789abcdefg123456789abcdef", false},
        {"0123456789abcdef 123456789abcdef", false},
        {"../../../../../../../../../../ab", false},
};

START_TEST(ids_are_hexadecimal)
{
        ck_assert_int_eq(request_id_is_valid(ids[_i].id), ids[_i].valid);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("request");
        TCase *tc = tcase_create("request");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_loop_test(tc, good_values_are_taken, 0, ARRAY_SIZE(good));
        tcase_add_loop_test(tc, recorded_request_makes_the_same_variant, 0, ARRAY_SIZE(good));
        tcase_add_loop_test(tc, bad_values_are_named, 0, ARRAY_SIZE(bad_values));
        tcase_add_test(tc, bad_choices_are_named);
        tcase_add_loop_test(tc, least_chunk_of_the_refusal_is_the_least, 0, ARRAY_SIZE(counts));
        tcase_add_test(tc, greatest_count_of_the_refusal_is_accepted);
        tcase_add_test(tc, all_allowed_cpus_are_named);
        tcase_add_test(tc, workers_by_default_fit_the_quota);
        tcase_add_test(tc, workers_by_default_fit_the_pool);
        tcase_add_test(tc, deadline_may_have_a_maximum);
        tcase_add_test(tc, daemon_has_a_default_deadline);
        tcase_add_test(tc, count_by_default_fits_at_once);
        tcase_add_loop_test(tc, ids_are_hexadecimal, 0, ARRAY_SIZE(ids));
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
