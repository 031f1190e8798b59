/* SPDX-License-Identifier: MIT */
#include "supervisor/headline.h"

#include "run_suite.h"

#include <check.h>
#include <string.h>

static char text[HEADLINE_MAX];
static struct job job = {.summary = (char[]){"calc × 1000"}, .user = (char[]){"alice"}};

/* What the progress of a running job makes of the line. */
static const char *
running(const char *progress)
{
        AUTO_JSON json_t *json = json_loads(progress, 0, NULL);
        const struct headline h = {.running = &job, .progress = json};

        ck_assert_ptr_nonnull(json);
        headline_format(text, &h);
        return text;
}

START_TEST(idle)
{
        struct headline h = {0};

        headline_format(text, &h);
        ck_assert_str_eq(text, "Idle, 0 jobs so far");
        h.jobs_ended = 1;
        headline_format(text, &h);
        ck_assert_str_eq(text, "Idle, 1 job so far");
}
END_TEST

START_TEST(percentage_is_rounded_down)
{
        ck_assert_str_eq(running("{\"done\": 0, \"total\": 1000, \"rounds\": 1, \"round\": 1}"),
                         "Running calc × 1000 of alice, 0 %, 0 of 1000");
        ck_assert_str_eq(running("{\"done\": 999, \"total\": 1000, \"rounds\": 1, \"round\": 1}"),
                         "Running calc × 1000 of alice, 99 %, 999 of 1000");
        ck_assert_str_eq(running("{\"done\": 1000, \"total\": 1000, \"rounds\": 1, \"round\": 1}"),
                         "Running calc × 1000 of alice, 100 %, 1000 of 1000");
        /* More than 64 bits hold a hundred times of. */
        ck_assert_ptr_nonnull(
                strstr(running("{\"done\": 500000000000000000, \"total\": 1000000000000000000}"), ", 50 %, "));
}
END_TEST

START_TEST(without_an_end_there_is_no_percentage)
{
        ck_assert_str_eq(running("{\"done\": 12, \"total\": null, \"rounds\": 1, \"round\": 1}"),
                         "Running calc × 1000 of alice, 12 done");
}
END_TEST

START_TEST(rounds_and_warm_up)
{
        ck_assert_str_eq(running("{\"done\": 5, \"total\": 10, \"rounds\": 11, \"round\": 3}"),
                         "Running calc × 1000 of alice, round 3 of 11, 50 %, 5 of 10");
        ck_assert_str_eq(running("{\"done\": 5, \"total\": 10, \"rounds\": 11, \"round\": 1, \"warming_up\": true}"),
                         "Running calc × 1000 of alice, warming up, 50 %, 5 of 10");
}
END_TEST

START_TEST(queue_and_refused_file)
{
        struct headline h = {.waiting = 1, .jobs_ended = 2};

        headline_format(text, &h);
        ck_assert_str_eq(text, "Idle, 2 jobs so far; 1 job waits");
        h.waiting = 2;
        h.config_refused = true;
        headline_format(text, &h);
        ck_assert_str_eq(text,
                         "Idle, 2 jobs so far; 2 jobs wait; the configuration file is wrong, what was read before "
                         "holds");
}
END_TEST

START_TEST(long_summary_is_cut)
{
        char summary[2 * HEADLINE_MAX];

        memset(summary, 'x', sizeof(summary) - 1);
        summary[sizeof(summary) - 1] = 0;
        job.summary = summary;
        ck_assert_uint_eq(strlen(running("{\"done\": 5, \"total\": 10}")), HEADLINE_MAX - 1);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("headline");
        TCase *tc = tcase_create("headline");

        tcase_add_test(tc, idle);
        tcase_add_test(tc, percentage_is_rounded_down);
        tcase_add_test(tc, without_an_end_there_is_no_percentage);
        tcase_add_test(tc, rounds_and_warm_up);
        tcase_add_test(tc, queue_and_refused_file);
        tcase_add_test(tc, long_summary_is_cut);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
