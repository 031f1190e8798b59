/* SPDX-License-Identifier: MIT */
/*
 * A run that never was: its segment is filled by hand as workers would, and what comes out is compared number by
 * number. Every result is held to the interface, as the service does with replies.
 */
#include "supervisor/figures.h"

#include "protocol/idl.h"
#include "shared/clock.h"
#include "worker/mode.h"
#include "workloads/workloads.h"

#include "run_suite.h"

#include <check.h>
#include <string.h>

enum { CALC, NOP, SPIN };
enum { SEQUENTIAL, PROCESS, THREAD, GIL };

static struct segment segment;
static struct variant variant;
static struct idl *idl;
static const struct result_context done = {
        .id = "0123456789abcdef0123456789abcdef", .state = "done"};

static void
setup(void)
{
        char instance[32], *message = NULL;

        snprintf(instance, sizeof(instance), "test-%d", (int)getpid());
        ck_assert_int_eq(segment_create(&segment, getuid(), instance, 4, 64), 0);
        segment_unlink(&segment);
        idl = idl_parse(idl_org_concd, &message);
        variant = (struct variant){.workload = CALC, .mode = PROCESS, .workers = 2, .count = 100};
        CPU_SET(0, &variant.cpus);
        CPU_SET(3, &variant.cpus);
}

static void
teardown(void)
{
        segment_unmap(&segment);
        idl_free(idl);
}

/* Opens the variant's run, as the runner does. */
static void
open_run(void)
{
        struct run *run = segment.run;

        run->spec = (struct run_spec){
                .workload = variant.workload,
                .mode = variant.mode,
                .spawn = variant.spawn,
                .seats = variant.workers,
                .clock_overhead_ns = 42,
        };
        ck_assert_int_eq(variant_geometry(&variant, false, 64, &run->spec.geometry, NULL), 0);
        ledger_reset(segment.ledger, &run->spec.geometry);
        atomic_store(&run->start_ns, 1000 * NS_PER_S);
}

/* `n` tasks of a line, each with the result 10; the last `failed` fail, and of these `wrong` by their result. */
static void
do_line(uint32_t line, uint64_t n, uint64_t failed, uint64_t wrong)
{
        struct ledger_line *l = &segment.ledger[line];
        uint64_t size = ledger_line_size(&segment.run->spec.geometry, line), owner;
        struct ledger_sum sum;

        ck_assert(ledger_claim(l, size, 5));
        owner = ledger_open(l, &sum);
        for (uint64_t i = 0; i < n; i++) {
                if (i < n - failed)
                        sum.acc += 10;
                else
                        sum.failed++;
                sum.wrong += i >= n - wrong;
                ledger_commit(l, owner, size, &sum);
        }
        ledger_release(l);
}

static void
do_all_lines(void)
{
        for (uint32_t i = 0; i < segment.run->spec.geometry.n_lines; i++)
                do_line(i, ledger_line_size(&segment.run->spec.geometry, i), 0, 0);
}

static void
fill_seat(uint32_t i, uint64_t tasks, uint64_t commit_ns)
{
        struct seat *seat = &segment.seats[i];

        seat->slot = 1 + i;
        seat->pid = seat->tid = 500 + (int)i;
        atomic_store(&seat->tasks, tasks);
        atomic_store(&seat->commit_ns, commit_ns);
        seat->evidence = (struct evidence){
                .user_ns = 1500 * NS_PER_MS,
                .system_ns = 250 * NS_PER_MS,
                .run_queue_wait_ns = 10 * NS_PER_MS,
                .voluntary = 3,
                .involuntary = 4,
                .minor_faults = 5,
                .major_faults = 6,
        };
        seat->lock_wait_ns = 2 * NS_PER_S;
        seat->lock_switches = 7;
        seat->blocked_ns = 500 * NS_PER_MS;
}

static struct figures *
collect(void)
{
        struct figures *f = NULL;

        ck_assert_int_eq(figures_collect(&segment, &f), 0);
        return f;
}

/* The result, which must be of the declared type, also as the reply that carries it. */
static json_t *
result_of(const struct figures *f, const struct result_context *context)
{
        AUTO_FREE char *field = NULL, *expected = NULL;
        json_t *result = figures_to_result(f, &variant, context);
        AUTO_JSON json_t *reply = NULL;
        int r;

        ck_assert_ptr_nonnull(result);
        reply = json_pack("{s:s, s:s, s:n, s:n, s:O}", "id", context->id, "state", context->state, "reason", "progress",
                          "result", result);
        r = idl_check_output(idl, "Run", reply, &field, &expected);
        ck_assert_msg(r == 0, "%s is not %s", field, expected);
        return result;
}

static json_t *
collect_result(const struct result_context *context)
{
        struct figures *f = collect();
        json_t *result = result_of(f, context);

        figures_free(f);
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

/* ── counts and times ── */

START_TEST(whole_run)
{
        AUTO_JSON json_t *result = NULL;

        variant.chunk = 30;
        variant.warmup = 9;
        open_run();
        do_all_lines();
        fill_seat(0, 60, 1001 * NS_PER_S);
        fill_seat(1, 40, 1002 * NS_PER_S);
        result = collect_result(&done);
        expect_fields(result, "{'id': '0123456789abcdef0123456789abcdef', 'state': 'done', 'reason': null, "
                              "'workload': 'calc', 'params': {}, 'mode': 'process', 'spawn': 'pool', 'workers': 2, "
                              "'chunk': 30, 'chunks': 4, 'count': 100, 'duration_s': null, 'warmup': 9, "
                              "'timeout_ns': null}");
        expect_fields(result, "{'done': 100, 'verified': 100, 'failed': 0, 'wrong': 0, "
                              "'checksum': '0x00000000000003e8', 'failures': [], 'restarts': 0, 'reexecuted': 0, "
                              "'resumed': 0, 'timing_valid': true, 'latency_ns': null}");
        expect_fields(result, "{'wall_s': 2.0, 'user_s': 3.0, 'system_s': 0.5, 'cpu_complete': true, "
                              "'tasks_per_s': 50.0, 'cores_busy': 1.75}");
        ck_assert_uint_eq(json_array_size(json_object_get(result, "workers_detail")), 2);
        expect_fields(json_array_get(json_object_get(result, "workers_detail"), 1),
                      "{'worker': 1, 'slot': 2, 'kind': 'process', 'pid': 501, 'tid': 501, 'tasks': 40, 'restarts': 0, "
                      "'user_s': 1.5, 'system_s': 0.25, 'run_queue_wait_s': 0.01, 'voluntary_switches': 3, "
                      "'involuntary_switches': 4, 'minor_faults': 5, 'major_faults': 6, 'lock_wait_s': 2.0, "
                      "'lock_switches': 7, 'blocked_s': 0.5}");
}
END_TEST

START_TEST(run_that_did_nothing)
{
        struct result_context context = done;
        AUTO_JSON json_t *result = NULL;

        context.state = "cancelled";
        context.reason = "its client went away";
        open_run();
        atomic_store(&segment.run->start_ns, 0);
        result = collect_result(&context);
        expect_fields(result, "{'state': 'cancelled', 'reason': 'its client went away', 'done': 0, 'verified': 0, "
                              "'wall_s': 0.0, 'tasks_per_s': 0.0, 'cores_busy': 0.0, 'latency_ns': null, "
                              "'checksum': '0x0000000000000000'}");
}
END_TEST

START_TEST(failed_tasks_are_no_verified_ones)
{
        AUTO_JSON json_t *result = NULL;

        variant.chunk = 25;
        open_run();
        do_line(0, 25, 0, 0);
        do_line(1, 25, 3, 1);
        do_line(2, 10, 2, 0);
        result = collect_result(&done);
        expect_fields(result, "{'done': 60, 'failed': 5, 'wrong': 1, 'verified': 55, "
                              "'checksum': '0x0000000000000226'}");
}
END_TEST

START_TEST(deaths_are_counted)
{
        AUTO_JSON json_t *result = NULL;

        open_run();
        do_all_lines();
        segment.seats[0].restarts = 2;
        segment.seats[1].restarts = 3;
        segment.seats[1].cpu_lost = 1;
        segment.seats[2].restarts = 100; /* no seat of this run */
        atomic_store(&segment.run->task_deaths, 4);
        atomic_store(&segment.run->reexecuted, 6);
        result = collect_result(&done);
        expect_fields(result, "{'restarts': 9, 'reexecuted': 6, 'cpu_complete': false}");
        expect_fields(json_array_get(json_object_get(result, "workers_detail"), 1), "{'restarts': 3}");
}
END_TEST

START_TEST(failures_are_told)
{
        static const char *const reasons[] = {"error", "wrong", "signal", "exit", "timeout"};
        AUTO_JSON json_t *result = NULL;
        json_t *failures;

        open_run();
        for (uint32_t i = 0; i < ARRAY_SIZE(reasons); i++) {
                segment.run->failures[i] =
                        (struct failure){.task = 10 + i, .reason = i, .value = 20 + (int)i, .seat = i % 2};
                atomic_store(&segment.run->failures[i].written, i != 3);
        }
        atomic_store(&segment.run->n_failures, ARRAY_SIZE(reasons));
        result = collect_result(&done);
        failures = json_object_get(result, "failures");
        ck_assert_uint_eq(json_array_size(failures), 4); /* one was being written when its worker was killed */
        for (uint32_t i = 0; i < 4; i++) {
                uint32_t n = i < 3 ? i : 4;
                char expected[128];

                snprintf(expected, sizeof(expected), "{'index': %u, 'reason': '%s', 'value': %u, 'worker': %u}", 10 + n,
                         reasons[n], 20 + n, n % 2);
                expect_fields(json_array_get(failures, i), expected);
        }
}
END_TEST

/* Its worker was killed between the note and the commit, and the next one failed of it again. */
START_TEST(failure_that_was_noted_twice_is_one)
{
        AUTO_JSON json_t *result = NULL;
        json_t *failures;

        open_run();
        for (uint32_t i = 0; i < 3; i++) {
                segment.run->failures[i] =
                        (struct failure){.task = 7 + i % 2, .reason = FAILURE_ERROR, .value = (int)i};
                atomic_store(&segment.run->failures[i].written, 1);
        }
        atomic_store(&segment.run->n_failures, 3);
        result = collect_result(&done);
        failures = json_object_get(result, "failures");
        ck_assert_uint_eq(json_array_size(failures), 2);
        expect_fields(json_array_get(failures, 0), "{'index': 7, 'value': 2}");
        expect_fields(json_array_get(failures, 1), "{'index': 8, 'value': 1}");
}
END_TEST

START_TEST(failures_beyond_the_room_are_left_out)
{
        AUTO_JSON json_t *result = NULL;

        open_run();
        for (uint32_t i = 0; i < FAILURES_MAX; i++) {
                segment.run->failures[i].task = i;
                atomic_store(&segment.run->failures[i].written, 1);
        }
        atomic_store(&segment.run->n_failures, FAILURES_MAX + 10);
        result = collect_result(&done);
        ck_assert_uint_eq(json_array_size(json_object_get(result, "failures")), FAILURES_MAX);
}
END_TEST

/* ── how it was asked for ── */

START_TEST(run_by_duration)
{
        AUTO_JSON json_t *result = NULL;

        variant = (struct variant){.workload = SPIN,
                                   .params = {500},
                                   .mode = GIL,
                                   .workers = 3,
                                   .duration_ns = 1500 * NS_PER_MS,
                                   .timeout_ns = 9 * NS_PER_S};
        open_run();
        do_line(0, 10, 0, 0);
        do_line(2, 5, 0, 0);
        result = collect_result(&done);
        expect_fields(result, "{'workload': 'spin', 'params': {'ns': '500'}, 'mode': 'gil', 'workers': 3, 'chunk': 0, "
                              "'chunks': 3, 'count': null, 'duration_s': 1.5, 'timeout_ns': 9000000000, 'done': 15}");
        expect_fields(json_array_get(json_object_get(result, "workers_detail"), 0), "{'kind': 'thread'}");
}
END_TEST

START_TEST(ways_to_spawn)
{
        static const struct {
                enum run_spawn spawn;
                uint32_t workers;
                const char *fields;
        } rows[] = {
                {SPAWN_POOL, 2, "{'spawn': 'pool', 'workers': 2}"},
                {SPAWN_PER_TASK, 2, "{'spawn': 'per-task', 'workers': 2}"},
                {SPAWN_AT_ONCE, 1, "{'spawn': 'per-task', 'workers': 0, 'chunk': 100, 'chunks': 1}"},
        };
        AUTO_JSON json_t *result = NULL;

        variant.spawn = rows[_i].spawn;
        variant.workers = rows[_i].workers;
        open_run();
        result = collect_result(&done);
        expect_fields(result, rows[_i].fields);
}
END_TEST

START_TEST(every_workload_in_every_mode)
{
        for (variant.workload = 0; workloads[variant.workload]; variant.workload++) {
                workload_params_default(workloads[variant.workload], variant.params);
                for (variant.mode = 0; variant.mode < MODES; variant.mode++) {
                        AUTO_JSON json_t *result = NULL;

                        open_run();
                        result = collect_result(&done);
                        ck_assert_uint_eq(json_object_size(json_object_get(result, "params")),
                                          workloads[variant.workload]->n_params);
                }
        }
}
END_TEST

START_TEST(largest_numbers_fit)
{
        AUTO_JSON json_t *result = NULL;
        struct figures *f;

        open_run();
        f = collect();
        f->sum = (struct ledger_sum){.done = UINT64_C(1000000000000000), .acc = UINT64_MAX};
        f->wall_ns = 1;
        result = result_of(f, &done);
        expect_fields(result, "{'done': 1000000000000000, 'verified': 1000000000000000, "
                              "'checksum': '0xffffffffffffffff'}");
        figures_free(f);
        figures_free(NULL);
}
END_TEST

/* ── latency ── */

START_TEST(every_task_was_timed)
{
        AUTO_JSON json_t *result = NULL;
        struct totals *totals = &segment.run->totals;

        open_run();
        totals->sample_every = 1;
        for (uint64_t i = 0; i < 1000; i++)
                histogram_add(&totals->latency, i < 990 ? 10 : 63);
        result = collect_result(&done);
        expect_fields(json_object_get(result, "latency_ns"),
                      "{'p50': 10, 'p90': 10, 'p99': 10, 'p99_9': 63, 'max': 63, 'max_sampled': null, "
                      "'method': 'each', 'every': 1, 'samples': 1000, 'overhead_ns': 42}");
}
END_TEST

START_TEST(greatest_sample_is_not_called_the_greatest)
{
        AUTO_JSON json_t *result = NULL;
        struct totals *totals = &segment.run->totals;

        open_run();
        totals->sample_every = 1024;
        histogram_add(&totals->latency, 33);
        result = collect_result(&done);
        expect_fields(json_object_get(result, "latency_ns"),
                      "{'p50': 33, 'max': null, 'max_sampled': 33, 'method': 'sampled', 'every': 1024, 'samples': 1}");
}
END_TEST

/* ── while it runs ── */

START_TEST(glance_adds_up_what_is_done)
{
        struct ledger_sum sum;
        uint64_t elapsed_ns = 1;

        variant.chunk = 25;
        open_run();
        atomic_store(&segment.run->start_ns, 0);
        figures_glance(&segment, &sum, &elapsed_ns);
        ck_assert_uint_eq(elapsed_ns, 0);
        ck_assert_uint_eq(sum.done, 0);
        atomic_store(&segment.run->start_ns, clock_now_ns() - 5 * NS_PER_S);
        do_line(1, 7, 2, 0);
        figures_glance(&segment, &sum, &elapsed_ns);
        ck_assert_uint_ge(elapsed_ns, 5 * NS_PER_S);
        ck_assert_uint_lt(elapsed_ns, 60 * NS_PER_S);
        ck_assert_uint_eq(sum.done, 7);
        ck_assert_uint_eq(sum.failed, 2);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("figures");
        TCase *tc = tcase_create("figures");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, whole_run);
        tcase_add_test(tc, run_that_did_nothing);
        tcase_add_test(tc, failed_tasks_are_no_verified_ones);
        tcase_add_test(tc, deaths_are_counted);
        tcase_add_test(tc, failures_are_told);
        tcase_add_test(tc, failure_that_was_noted_twice_is_one);
        tcase_add_test(tc, failures_beyond_the_room_are_left_out);
        tcase_add_test(tc, run_by_duration);
        tcase_add_loop_test(tc, ways_to_spawn, 0, 3);
        tcase_add_test(tc, every_workload_in_every_mode);
        tcase_add_test(tc, largest_numbers_fit);
        tcase_add_test(tc, every_task_was_timed);
        tcase_add_test(tc, greatest_sample_is_not_called_the_greatest);
        tcase_add_test(tc, glance_adds_up_what_is_done);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
