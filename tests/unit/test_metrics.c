/* SPDX-License-Identifier: MIT */
/* What is counted, and how a form is chosen. The text as a whole is held to its grammar by the integration test. */
#include "supervisor/metrics.h"

#include "scenarios/builtin.h"
#include "shared/base.h"

#include "run_suite.h"

#include <check.h>
#include <string.h>

static struct metrics m;

static void
setup(void)
{
        metrics_init(&m);
}

/* Zeros, aligned as in the segment. */
static void *
make(size_t alignment, size_t size)
{
        void *p = aligned_alloc(alignment, size);

        ck_assert_ptr_nonnull(p);
        return memset(p, 0, size);
}

/* The bucket that one sample is counted in. */
static unsigned
bucket_of(uint64_t value)
{
        static struct histogram h;
        struct metrics_latency l = {};
        unsigned found = METRICS_BOUNDS + 1;

        histogram_reset(&h);
        histogram_add(&h, value);
        metrics_latency_add(&l, &h);
        ck_assert_uint_eq(value, l.sum_ns);
        for (unsigned i = 0; i <= METRICS_BOUNDS; i++) {
                if (l.bucket[i] == 0)
                        continue;
                ck_assert_uint_eq(1, l.bucket[i]);
                ck_assert_uint_eq(METRICS_BOUNDS + 1, found);
                found = i;
        }
        ck_assert_uint_le(found, METRICS_BOUNDS);
        return found;
}

START_TEST(bounds_are_1_2_5_from_a_microsecond_to_100_s)
{
        ck_assert_uint_eq(1000, metrics_bound_ns(0));
        ck_assert_uint_eq(2000, metrics_bound_ns(1));
        ck_assert_uint_eq(5000, metrics_bound_ns(2));
        ck_assert_uint_eq(10000, metrics_bound_ns(3));
        ck_assert_uint_eq(NS_PER_S, metrics_bound_ns(18));
        ck_assert_uint_eq(100 * NS_PER_S, metrics_bound_ns(METRICS_BOUNDS - 1));
        for (unsigned i = 1; i < METRICS_BOUNDS; i++)
                ck_assert_uint_gt(metrics_bound_ns(i), metrics_bound_ns(i - 1));
}
END_TEST

/* Never lower than where the sample belongs; higher by one at most, and only within 1/64 below a bound. */
START_TEST(a_sample_is_in_its_bucket)
{
        for (uint64_t value = 0; value < 200 * NS_PER_S; value += value / 500 + 1) {
                unsigned exact = 0, got = bucket_of(value);

                while (exact < METRICS_BOUNDS && metrics_bound_ns(exact) < value)
                        exact++;
                if (got == exact)
                        continue;
                ck_assert_uint_eq(exact + 1, got);
                ck_assert_uint_le(metrics_bound_ns(exact) - value, value / 64);
        }
        ck_assert_uint_eq(0, bucket_of(0));
        ck_assert_uint_eq(METRICS_BOUNDS, bucket_of(UINT64_MAX / 2));
}
END_TEST

START_TEST(histograms_add_up)
{
        static struct histogram h;
        struct metrics_latency l = {};

        histogram_reset(&h);
        histogram_add(&h, 300);
        histogram_add(&h, 1500);
        histogram_add(&h, 1600);
        metrics_latency_add(&l, &h);
        metrics_latency_add(&l, &h);
        ck_assert_uint_eq(2, l.bucket[0]);
        ck_assert_uint_eq(4, l.bucket[1]);
        ck_assert_uint_eq(2 * 3400, l.sum_ns);
}
END_TEST

START_TEST(a_job_is_counted_by_method_and_state)
{
        static char methods[METRICS_METHODS][8] = {"Run", "Race", "Compare"};

        for (int i = 0; i < METRICS_METHODS; i++) {
                for (int state = JOB_DONE; state <= JOB_LOST; state++) {
                        struct job job = {.method = methods[i], .state = (enum job_state)state};

                        for (int n = 0; n <= i + state; n++)
                                metrics_note_job(&m, &job);
                }
        }
        for (int i = 0; i < METRICS_METHODS; i++) {
                for (int state = JOB_DONE; state <= JOB_LOST; state++)
                        ck_assert_uint_eq(i + state + 1, m.jobs[i][state]);
        }
}
END_TEST

START_TEST(a_run_is_counted_in_its_mode)
{
        struct run *run = make(_Alignof(struct run), sizeof(*run));
        struct figures *f = calloc(1, sizeof(*f));
        struct segment segment = {.run = run};

        run->spec.mode = 2;
        f->sum.done = 100;
        f->sum.failed = 10;
        f->sum.wrong = 3;
        f->reexecuted = 4;
        histogram_add(&f->totals.latency, 1500);
        metrics_note_run(&m, &segment, f);
        metrics_note_run(&m, &segment, f);
        ck_assert_uint_eq(180, m.tasks[2][METRICS_VERIFIED]);
        ck_assert_uint_eq(14, m.tasks[2][METRICS_FAILED]);
        ck_assert_uint_eq(6, m.tasks[2][METRICS_WRONG]);
        ck_assert_uint_eq(8, m.reexecuted);
        ck_assert_uint_eq(2, m.latency[2].bucket[1]);
        ck_assert_uint_eq(0, m.tasks[1][METRICS_VERIFIED]);
        ck_assert_uint_eq(0, m.latency[1].bucket[1]);
        free(f);
        free(run);
}
END_TEST

/* Every outcome of every scenario, under no guard: each count comes to the class that the outcome has then. */
START_TEST(a_race_is_counted_by_the_class_of_its_outcomes)
{
        struct race *race = make(_Alignof(struct race), sizeof(*race));
        struct run *run = make(_Alignof(struct run), sizeof(*run));
        struct figures *f = calloc(1, sizeof(*f));
        struct segment segment = {.run = run, .race = race};

        run->spec.is_race = 1;
        for (uint32_t k = 0; scenarios[k]; k++) {
                uint64_t expected[OUTCOME_FORBIDDEN + 2] = {[OUTCOME_FORBIDDEN + 1] = 7};

                metrics_init(&m);
                memset(race, 0, sizeof(*race));
                race->spec.scenario = k;
                race->spec.permits = 1;
                race->spec.actors = scenarios[k]->actors_def;
                race->tally_at = 1;
                race->tally[1].unknown = 7;
                race->tally[1].recovered = k;
                for (uint32_t i = 0; i < scenarios[k]->n_outcomes; i++) {
                        uint32_t effect = scenario_effect(scenarios[k], &race->spec);

                        race->tally[1].count[i] = UINT64_C(1) << i;
                        expected[outcome_expected(&scenarios[k]->outcomes[i], effect)] += UINT64_C(1) << i;
                }
                metrics_note_run(&m, &segment, f);
                ck_assert_mem_eq(expected, m.trials, sizeof(expected));
                ck_assert_uint_eq(k, m.race_permits);
                ck_assert_uint_eq(0, m.tasks[0][METRICS_VERIFIED]);
        }
        free(f);
        free(run);
        free(race);
}
END_TEST

static const struct {
        const char *accept;
        enum metrics_format format;
} accepts[] = {
        {NULL, METRICS_PROMETHEUS},
        {"", METRICS_PROMETHEUS},
        {"*/*", METRICS_PROMETHEUS},
        {"text/plain", METRICS_PROMETHEUS},
        {"application/json", METRICS_PROMETHEUS},
        {"application/openmetrics-text", METRICS_OPENMETRICS},
        {"Application/OpenMetrics-Text", METRICS_OPENMETRICS},
        {"application/openmetrics-textual", METRICS_PROMETHEUS},
        {"application/openmetrics-text;version=1.0.0", METRICS_OPENMETRICS},
        {"application/openmetrics-text ; version=1.0.0 ; charset=utf-8", METRICS_OPENMETRICS},
        {"application/openmetrics-text; version=0.0.1", METRICS_PROMETHEUS},
        {"application/openmetrics-text; version=2.0.0", METRICS_PROMETHEUS},
        {"application/openmetrics-text; q=0", METRICS_PROMETHEUS},
        {"application/openmetrics-text; q=x", METRICS_PROMETHEUS},
        {"application/openmetrics-text;q=0.5, text/plain;q=0.6", METRICS_PROMETHEUS},
        {"text/plain;q=0.5,application/openmetrics-text;q=0.5", METRICS_OPENMETRICS},
        {" , ,text/plain;version=0.0.4;q=0.3 ,application/openmetrics-text;q=0.4,", METRICS_OPENMETRICS},
        /* What Prometheus 2 and 3 send. */
        {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
         "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         METRICS_OPENMETRICS},
        {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;"
         "version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,"
         "*/*;q=0.2",
         METRICS_OPENMETRICS},
        {"application/openmetrics-text;", METRICS_OPENMETRICS},
        {";;;q=;version=,;", METRICS_PROMETHEUS},
        {"application/openmetrics-text;q=0.0000000000000000000000000000000000001", METRICS_OPENMETRICS},
};

START_TEST(the_form_is_the_one_that_is_wanted_most)
{
        ck_assert_msg(metrics_negotiate(accepts[_i].accept) == accepts[_i].format, "%s", accepts[_i].accept);
}
END_TEST

START_TEST(label_values_are_escaped)
{
        char text[64] = "";
        FILE *f = fmemopen(text, sizeof(text), "w");

        metrics_write_escaped(f, "a\\b \"c\"\nd\xc3\xa4");
        fclose(f);
        ck_assert_str_eq("a\\\\b \\\"c\\\"\\nd\xc3\xa4", text);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("metrics");
        TCase *tcase = tcase_create("metrics");

        tcase_set_timeout(tcase, 60);
        tcase_add_checked_fixture(tcase, setup, NULL);
        tcase_add_test(tcase, bounds_are_1_2_5_from_a_microsecond_to_100_s);
        tcase_add_test(tcase, a_sample_is_in_its_bucket);
        tcase_add_test(tcase, histograms_add_up);
        tcase_add_test(tcase, a_job_is_counted_by_method_and_state);
        tcase_add_test(tcase, a_run_is_counted_in_its_mode);
        tcase_add_test(tcase, a_race_is_counted_by_the_class_of_its_outcomes);
        tcase_add_loop_test(tcase, the_form_is_the_one_that_is_wanted_most, 0, (int)ARRAY_SIZE(accepts));
        tcase_add_test(tcase, label_values_are_escaped);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
