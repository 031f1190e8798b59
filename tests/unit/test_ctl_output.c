/* SPDX-License-Identifier: MIT */
/* Results and progress as people see them. */
#include "ctl/job_table.h"
#include "ctl/progress.h"
#include "ctl/result.h"
#include "ctl/text.h"
#include "shared/controls.h"

#include "run_suite.h"
#include "text_check.h"

#include <check.h>
#include <string.h>

static json_t *
worker(int n, int tasks)
{
        return json_pack("{s:i, s:i, s:f, s:i}", "worker", n, "tasks", tasks, "lock_wait_s", 0.5, "lock_switches", 0);
}

/* A run of 1000 tasks that went well; the caller owns it. */
static json_t *
good_result(int n_workers)
{
        json_t *workers = json_array();

        for (int i = 0; i < n_workers; i++)
                json_array_append_new(workers, worker(i, 1000 / n_workers));
        return json_pack("{s:s, s:n, s:s, s:{}, s:s, s:s, s:i, s:i, s:n, s:i, s:i, s:i, s:f, s:f, s:f, s:b, s:b,"
                         " s:{s:i, s:i, s:i, s:i, s:n, s:i, s:i}, s:o, s:[], s:i, s:{s:[i,i]}}",
                         "state", "done", "reason", "workload", "calc", "params", "mode", "process", "spawn", "pool",
                         "workers", n_workers, "count", 1000, "duration_s", "done", 1000, "verified", 1000, "failed", 0,
                         "wall_s", 5.0, "tasks_per_s", 2625.4, "cores_busy", 1.98, "timing_valid", 1, "cpu_complete", 1,
                         "latency_ns", "p50", 752000, "p90", 760000, "p99", 1100000, "max", 2300000, "max_sampled",
                         "every", 1, "samples", 1000, "workers_detail", workers, "failures", "restarts", 0,
                         "environment", "cpus", 0, 1);
}

/* What is printed, in UTF-8 or ASCII as the locale has it; malloc'ed. */
static char *
print(const json_t *result, bool brief)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        result_print(f, result, brief);
        fclose(f);
        return text;
}

START_TEST(a_good_run)
{
        AUTO_JSON json_t *r = good_result(2);
        AUTO_FREE char *text = print(r, false), *brief = print(r, true);

        ck_assert_str_eq(text, "calc x 1000 - process pool - 2 workers\n"
                               "  wall      5 s            2 625 tasks/s      1.98 of 2 cores busy\n"
                               "  per task  p50 752 us   p90 760 us   p99 1.1 ms   max 2.3 ms\n"
                               "  results   1000 of 1000 verified\n"
                               "  workers   #0 500 tasks   #1 500 tasks       0 restarts\n");
        ck_assert_str_eq(brief, "calc x 1000 - process pool - 2 workers - 5 s - 1000 of 1000 verified\n");
}
END_TEST

START_TEST(many_workers_are_summarised)
{
        AUTO_JSON json_t *eight = good_result(8), *nine = good_result(9);
        AUTO_FREE char *listed = print(eight, false), *summary = print(nine, false);

        assert_says(listed, "#7 125 tasks       0 restarts");
        assert_says(summary, "workers   9 with 111 tasks each");
        ck_assert_ptr_null(strstr(summary, "#0"));
}
END_TEST

START_TEST(other_titles)
{
        static const struct {
                const char *changes, *title;
        } rows[] = {
                {"{\"mode\":\"sequential\",\"workers\":1}", "calc x 1000 - sequential - 1 worker\n"},
                {"{\"spawn\":\"per-task\"}", "calc x 1000 - process per task - 2 workers\n"},
                {"{\"spawn\":\"per-task\",\"workers\":0}", "calc x 1000 - process per task - all at once\n"},
                {"{\"libc\":\"native\",\"workers_detail\":[{\"worker\":0,\"tasks\":1000,\"kind\":\"process\"}]}",
                 "calc x 1000 - process pool - 2 workers - native libc\n"},
                {"{\"libc\":\"native\",\"workers_detail\":[{\"worker\":0,\"tasks\":1000,\"kind\":\"thread\"}]}",
                 "calc x 1000 - process pool - 2 workers\n"},
                {"{\"count\":null,\"duration_s\":2.0}", "calc for 2 s - process pool - 2 workers\n"},
                {"{\"params\":{\"ns\":\"500\",\"how\":\"x\"}}",
                 "calc(ns=500, how=x) x 1000 - process pool - 2 workers\n"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                AUTO_JSON json_t *r = good_result(2), *changes = json_loads(rows[i].changes, 0, NULL);
                AUTO_FREE char *text = NULL;

                json_object_update(r, changes);
                text = print(r, false);
                ck_assert_msg(strncmp(text, rows[i].title, strlen(rows[i].title)) == 0, "%s", text);
        }
}
END_TEST

START_TEST(a_bad_end_comes_first)
{
        AUTO_JSON json_t *r = good_result(2);
        AUTO_JSON json_t *changes = json_pack("{s:s, s:s, s:i, s:i}", "state", "cancelled", "reason", "by its caller",
                                              "done", 312, "verified", 312);
        AUTO_FREE char *text = NULL, *brief = NULL;

        json_object_update(r, changes);
        text = print(r, false);
        brief = print(r, true);
        ck_assert_msg(strncmp(text, "cancelled: 312 of 1000 tasks were done (by its caller)\n", 55) == 0, "%s", text);
        assert_says(text, "312 of 1000 verified");
        ck_assert_msg(strncmp(brief, "cancelled: ", 11) == 0, "%s", brief);
}
END_TEST

START_TEST(failures_are_listed)
{
        static const char *const reasons[] = {"error", "wrong", "signal", "exit", "timeout"};
        static const int values[] = {5, 0, 11, 3, 0};
        AUTO_JSON json_t *r = good_result(2);
        AUTO_FREE char *text = NULL;

        json_object_set_new(r, "failed", json_integer(14));
        json_object_set_new(r, "state", json_string("failed"));
        json_object_set_new(r, "reason", json_string("14 of 1000 tasks failed"));
        for (int i = 0; i < 12; i++)
                json_array_append_new(
                        json_object_get(r, "failures"),
                        json_pack("{s:i, s:s, s:i}", "index", i, "reason", reasons[i % 5], "value", values[i % 5]));
        text = print(r, false);
        ck_assert_msg(strncmp(text, "failed: 14 of 1000 tasks failed\n", 32) == 0, "%s", text);
        assert_says(text, "14 failed");
        assert_says(text, "task 0: returned the error EIO");
        assert_says(text, "task 1: the result is wrong");
        assert_says(text, "task 2: killed its worker by SIGSEGV");
        assert_says(text, "task 3: ended its worker with exit code 3");
        assert_says(text, "task 4: timed out");
        assert_says(text, "task 9: ");
        ck_assert_ptr_null(strstr(text, "task 10: "));
        assert_says(text, "... and 4 more");
}
END_TEST

START_TEST(doubts_are_said)
{
        AUTO_JSON json_t *r = good_result(2);
        AUTO_JSON json_t *changes =
                json_pack("{s:b, s:b, s:i, s:i}", "timing_valid", 0, "cpu_complete", 0, "reexecuted", 1, "resumed", 2);
        AUTO_JSON json_t *latency = json_pack("{s:n, s:i, s:i}", "max", "max_sampled", 5000, "every", 64);
        AUTO_FREE char *text = NULL;

        json_object_update(r, changes);
        json_object_update(json_object_get(r, "latency_ns"), latency);
        text = print(r, false);
        assert_says(text, "the times are not valid");
        assert_says(text, "lower bound");
        assert_says(text, "1 execution was cut short by a death and repeated; every task counts once");
        assert_says(text, "resumed 2");
        assert_says(text, "max 5 us   (of one task in 64)");
}
END_TEST

START_TEST(repeated_executions_are_counted)
{
        AUTO_JSON json_t *r = good_result(2), *changes = json_pack("{s:i}", "reexecuted", 3);
        AUTO_FREE char *text = NULL;

        json_object_update(r, changes);
        text = print(r, false);
        assert_says(text, "3 executions were cut short by a death and repeated; every task counts once");
}
END_TEST

START_TEST(a_result_without_fields_is_harmless)
{
        AUTO_JSON json_t *r = json_object();
        AUTO_FREE char *text = print(r, false), *brief = print(r, true);

        assert_says(text, "workers   none");
        ck_assert_ptr_nonnull(brief);
}
END_TEST

static json_t *
progress(const char *changes)
{
        json_t *p = json_pack("{s:n, s:i, s:i, s:i, s:i, s:f, s:f, s:i, s:i, s:b}", "position", "done", 500, "total",
                              1000, "failed", 0, "restarts", 0, "elapsed_s", 1.0, "tasks_per_s", 100.0, "round", 1,
                              "rounds", 1, "warming_up", 0);
        AUTO_JSON json_t *c = json_loads(changes, 0, NULL);

        json_object_update(p, c);
        return p;
}

/* Names of another user's daemon may be anything: they cannot steer the terminal. */
START_TEST(names_do_not_steer_the_terminal)
{
        AUTO_JSON json_t *jobs = json_pack("[{s:s, s:s, s:s, s:s, s:s, s:f}]", "id", "0123456789abcdef", "state",
                                           "failed", "user", "a\033]0;x\007b", "summary",
                                           "calc\xc2\x9b"
                                           "2J\xe2\x80\xae"
                                           "z",
                                           "reason", "so\nit \xe2\x81\xa6is", "submitted", 1.0);
        AUTO_JSON json_t *r = good_result(2), *p = json_pack("{s:s, s:i}", "variant", "v\033[2J", "rounds", 3);
        AUTO_FREE char *text = NULL, *result = NULL, *line = progress_format(p, 0, 80, false);
        size_t size;
        FILE *f = open_memstream(&text, &size);

        ck_assert_int_eq(job_table_print(jobs, 2.0, "", f), 0);
        fclose(f);
        for (char *c = text; (c = strchr(c, '\n')); c++)
                *c = ' ';
        ck_assert_msg(!controls_in(text), "%s", text);
        assert_says(text, "a?]0;x?b");
        assert_says(text, "2J");
        json_object_set_new(r, "state", json_string("failed"));
        json_object_set_new(r, "reason",
                            json_string("\033[2J\xc2\x9b"
                                        "1m"));
        result = print(r, false);
        for (char *c = result; (c = strchr(c, '\n')); c++)
                *c = ' ';
        ck_assert_msg(!controls_in(result), "%s", result);
        assert_says(result, "?[2J");
        ck_assert_msg(!controls_in(line), "%s", line);
        assert_says(line, "v?[2J");
}
END_TEST

START_TEST(progress_lines)
{
        static const struct {
                const char *changes;
                double duration_s;
                const char *line; /* without the bar */
        } rows[] = {
                {"{}", 0, " 50 %  500 of 1000  100/s  ETA 5 s"},
                {"{\"done\":999}", 0, " 99 %  999 of 1000  100/s  ETA 1 s"},
                {"{\"tasks_per_s\":0}", 0, " 50 %  500 of 1000  0/s"},
                {"{\"tasks_per_s\":1}", 0, " 50 %  500 of 1000  1/s  ETA 8 min 20 s"},
                {"{\"tasks_per_s\":0.1}", 0, " 50 %  500 of 1000  0/s  ETA 1 h 23 min"},
                {"{\"total\":null}", 4, " 25 %  500 done  100/s  ETA 3 s"},
                {"{\"total\":null}", 0, "500 done  100/s"},
                {"{\"total\":null,\"elapsed_s\":9}", 4, "100 %  500 done  100/s  ETA 0 s"},
                {"{\"warming_up\":true}", 0, "warming up   50 %  500 of 1000  100/s  ETA 5 s"},
                {"{\"round\":3,\"rounds\":11,\"variant\":\"gil\",\"share\":0.25,\"job_elapsed_s\":4}", 0,
                 "round 3 of 11   25 %  gil  ETA 12 s"},
                {"{\"rounds\":11,\"variant\":\"µ=1\",\"share\":0,\"warming_up\":true}", 0, "warming up    0 %  u=1"},
                {"{\"round\":30,\"rounds\":1000,\"variant\":\"gil\",\"share\":null}", 0,
                 "round 30 of at most 1000  gil"},
                {"{\"failed\":2,\"restarts\":1}", 0, " 50 %  500 of 1000  100/s  ETA 5 s  2 failed  1 restart"},
                {"{\"position\":3}", 0, "queued, position 3"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                AUTO_JSON json_t *p = progress(rows[i].changes);
                AUTO_FREE char *bare = progress_format(p, rows[i].duration_s, (int)strlen(rows[i].line), true);
                AUTO_FREE char *wide = progress_format(p, rows[i].duration_s, 200, false);

                ck_assert_str_eq(bare, rows[i].line);
                ck_assert_str_eq(wide + strlen(wide) - strlen(bare), bare);
        }
}
END_TEST

START_TEST(progress_fits_the_terminal)
{
        AUTO_JSON json_t *p = progress("{\"failed\":2}");

        for (int columns = 0; columns < 120; columns++) {
                AUTO_FREE char *line = progress_format(p, 0, columns, false), *ascii = text_to_ascii(line);

                ck_assert_uint_le(text_columns(line), (size_t)columns);
                ck_assert_uint_le(strlen(ascii), (size_t)columns);
        }
}
END_TEST

START_TEST(progress_bar_is_proportional_and_colour_is_asked_for)
{
        AUTO_JSON json_t *p = progress("{}");
        AUTO_FREE char *plain = progress_format(p, 0, 100, false), *color = progress_format(p, 0, 100, true);
        AUTO_FREE char *ascii = text_to_ascii(plain);

        ck_assert_msg(strncmp(ascii, "###############...............  ", 32) == 0, "%s", ascii);
        ck_assert_ptr_null(strchr(plain, '\033'));
        ck_assert_ptr_nonnull(strchr(color, '\033'));
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("ctl_output");
        TCase *tc = tcase_create("output");

        tcase_add_test(tc, a_good_run);
        tcase_add_test(tc, many_workers_are_summarised);
        tcase_add_test(tc, other_titles);
        tcase_add_test(tc, a_bad_end_comes_first);
        tcase_add_test(tc, failures_are_listed);
        tcase_add_test(tc, doubts_are_said);
        tcase_add_test(tc, repeated_executions_are_counted);
        tcase_add_test(tc, a_result_without_fields_is_harmless);
        tcase_add_test(tc, names_do_not_steer_the_terminal);
        tcase_add_test(tc, progress_lines);
        tcase_add_test(tc, progress_fits_the_terminal);
        tcase_add_test(tc, progress_bar_is_proportional_and_colour_is_asked_for);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
