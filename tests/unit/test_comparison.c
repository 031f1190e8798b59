/* SPDX-License-Identifier: MIT */
/* A comparison as it runs and as it is told: rounds are written here by hand, so that every figure is known. */
#include "protocol/idl.h"
#include "supervisor/compare-figures.h"
#include "worker/mode.h"

#include "run_suite.h"
#include "worker_fixture.h"

#include <check.h>
#include <math.h>
#include <string.h>

#define VARIANTS 3
#define TASKS    100

static double scale = 1; /* of all times */

static struct segment s;
static struct plan plan;
static struct comparison *c;
static const struct result_context context = {.id = "0123456789abcdef0123456789abcdef", .state = "done"};

static void
make_plan(struct comparison_spec spec)
{
        struct variant *variants = calloc(VARIANTS, sizeof(*variants));

        spec.names = calloc(VARIANTS, sizeof(*spec.names));
        for (uint32_t i = 0; i < VARIANTS; i++) {
                static const char *const names[VARIANTS] = {"process", "thread workers=2", "gil"};

                variants[i] = (struct variant){.mode = 1 + i, .workers = 2, .count = TASKS};
                CPU_SET(0, &variants[i].cpus);
                spec.names[i] = strdup(names[i]);
        }
        ck_assert_int_eq(plan_init_comparison(&plan, variants, VARIANTS, &spec, 0), 0);
        c = comparison_new(&plan);
        ck_assert_ptr_nonnull(c);
        comparison_begin(&s);
}

static void
setup(void)
{
        fixture_segment_of(&s, 64);
        s.run->spec.seats = 2;
        make_plan((struct comparison_spec){.seed = 9, .rounds = 12, .is_rehearsed = true, .timeline = true});
}

static void
teardown(void)
{
        comparison_free(c);
        plan_deinit(&plan);
        segment_unmap(&s);
}

/* The step is over, and took that long. */
static uint32_t
take(uint32_t step, uint64_t wall_ns)
{
        static const struct worker_figures workers[2] = {{.tasks = 60, .lock_wait_ns = 5, .evidence.user_ns = 1000},
                                                         {.tasks = 40, .evidence.system_ns = 500}};
        struct figures *f = calloc(1, sizeof(*f));

        f->sum = (struct ledger_sum){.done = TASKS, .acc = 7};
        f->wall_ns = wall_ns;
        f->chunk = 4;
        f->n_workers = 2;
        f->workers = malloc(sizeof(workers));
        memcpy(f->workers, workers, sizeof(workers));
        f->steal_s = 0.25;
        histogram_add(&f->totals.latency, 1000);
        f->totals.evidence.user_ns = 1000;
        ck_assert_int_eq(comparison_take(c, &s, &plan, step, f), 0);
        return comparison_next(c, &s, &plan, step);
}

/* All measured steps up to `end`, each variant with a time of its own and a little noise. */
static uint32_t
run_to(uint32_t end, double noise)
{
        uint32_t step = plan.first_measured;

        while (step < end) {
                const struct step *now = &plan.steps[step];
                double wall = 1e8 * scale * (1 + now->variant) * (1 + noise * (now->round * 7 % 11 - 5.0) / 5);

                step = take(step, (uint64_t)wall);
        }
        return step;
}

static json_t *
result(void)
{
        AUTO_FREE char *message = NULL, *path = NULL, *expected = NULL;
        json_t *o = compare_figures_to_result(&s, &plan, c, NS_PER_S, &context), *reply;
        struct idl *idl = idl_parse(idl_org_concd, &message);

        ck_assert_ptr_nonnull(o);
        /* As the daemon would send it. */
        reply = json_pack("{s:s, s:s, s:n, s:n, s:n, s:n, s:O}", "id", context.id, "state", "done", "reason",
                          "progress", "result", "race", "compare", o);
        ck_assert_msg(idl_check_output(idl, "Compare", reply, &path, &expected) == 0, "%s: %s", path, expected);
        json_decref(reply);
        idl_free(idl);
        return o;
}

static json_t *
variant_of(json_t *o, size_t i)
{
        return json_array_get(json_object_get(o, "variants"), i);
}

static double
real_of(json_t *o, const char *key)
{
        return json_number_value(json_object_get(o, key));
}

START_TEST(all_rounds)
{
        AUTO_JSON json_t *o = NULL;
        uint32_t end = run_to(plan.first_traced, 0.01);

        ck_assert_uint_eq(end, plan.first_traced);
        ck_assert_uint_eq(comparison_rounds(&s, &plan), 12);
        o = result();
        ck_assert_int_eq(json_integer_value(json_object_get(o, "rounds")), 12);
        ck_assert(json_is_false(json_object_get(o, "partial")));
        for (uint32_t i = 0; i < VARIANTS; i++) {
                json_t *v = variant_of(o, i);

                ck_assert_uint_eq(json_array_size(json_object_get(v, "times_s")), 12);
                ck_assert_double_eq_tol(real_of(v, "median_s"), 0.1 * (1 + i), 1e-3);
                ck_assert_double_eq_tol(real_of(v, "s_per_task"), 1e-3 * (1 + i), 1e-5);
                ck_assert_double_eq_tol(real_of(v, "speed_up"), 1.0 / (1 + i), 1e-6);
                ck_assert_int_eq(json_integer_value(json_object_get(v, "done")), 12 * TASKS);
                ck_assert_str_eq(json_string_value(json_object_get(v, "checksum")), "0x0000000000000054");
                ck_assert_double_eq_tol(real_of(v, "steal_s"), 3, 1e-9);
                ck_assert_uint_eq(json_array_size(json_object_get(v, "workers_detail")), 2);
                ck_assert_int_eq(json_integer_value(json_object_get(v, "evidence_rounds")), 12);
                ck_assert_str_eq(json_string_value(json_object_get(v, "verdict")), i == 0 ? "reference" : "slower");
                ck_assert_double_eq_tol(real_of(json_array_get(json_object_get(v, "workers_detail"), 0), "lock_wait_s"),
                                        60e-9, 1e-12);
        }
        /* Both vary in step, so their ratio is exact. */
        ck_assert_double_eq_tol(real_of(json_object_get(variant_of(o, 1), "speed_up_interval"), "low"), 0.5, 0.01);
}
END_TEST

START_TEST(cut_in_a_round)
{
        AUTO_JSON json_t *o = NULL;
        uint32_t end = plan.first_measured + 4 * VARIANTS + 1, more = plan.steps[end - 1].variant;

        run_to(end, 0.01);
        ck_assert_uint_eq(comparison_rounds(&s, &plan), 4);
        o = result();
        ck_assert(json_is_true(json_object_get(o, "partial")));
        for (uint32_t i = 0; i < VARIANTS; i++) {
                ck_assert_uint_eq(comparison_rounds_of(&s, &plan, i), i == more ? 5 : 4);
                /* What is told is of complete rounds. */
                ck_assert_uint_eq(json_array_size(json_object_get(variant_of(o, i), "times_s")), 4);
                ck_assert_int_eq(json_integer_value(json_object_get(variant_of(o, i), "done")), 4 * TASKS);
                ck_assert_int_eq(json_integer_value(json_object_get(variant_of(o, i), "evidence_rounds")), 4);
                ck_assert_str_eq(json_string_value(json_object_get(variant_of(o, i), "verdict")), "none");
        }
}
END_TEST

START_TEST(one_round_and_less)
{
        AUTO_JSON json_t *o = NULL, *first = NULL;

        run_to(plan.first_measured + 1, 0);
        first = result();
        ck_assert_int_eq(json_integer_value(json_object_get(first, "rounds")), 0);
        run_to(plan.first_measured + VARIANTS, 0);
        o = result();
        for (uint32_t i = 0; i < VARIANTS; i++) {
                ck_assert(json_is_null(json_object_get(variant_of(o, i), "stddev_s")));
                ck_assert(json_is_null(json_object_get(variant_of(o, i), "speed_up_interval")));
        }
}
END_TEST

/* Not before ten rounds, and not before the intervals are narrow. */
START_TEST(precision_ends_it)
{
        static const struct {
                double noise, precision;
                bool is_early;
        } rows[] = {{0, 0.02, true}, {0.5, 0.001, false}};
        AUTO_JSON json_t *o = NULL;
        uint32_t end;

        comparison_free(c);
        plan_deinit(&plan);
        make_plan((struct comparison_spec){.seed = 9, .rounds = 40, .precision = rows[_i].precision});
        for (end = plan.first_measured; end < plan.first_traced;) {
                const struct step *now = &plan.steps[end];

                /* Of one variant only, so that the ratio varies. */
                end = take(end, (uint64_t)(1e6 * (1 + rows[_i].noise * (now->variant == 1) * (now->round * 7 % 11))));
        }
        o = result();
        ck_assert_uint_eq(comparison_rounds(&s, &plan), rows[_i].is_early ? 10 : 40);
        ck_assert_int_eq(json_is_true(json_object_get(o, "precision_reached")), rows[_i].is_early);
        ck_assert(json_is_false(json_object_get(o, "partial"))); /* all that was asked for */
        ck_assert(json_is_null(json_object_get(o, "rounds_asked")));
}
END_TEST

START_TEST(outliers_are_shown_and_count)
{
        AUTO_JSON json_t *o = NULL;
        json_t *v;

        run_to(plan.first_traced, 0.01);
        comparison_record(&s, &plan, 1, 5)->wall_ns = 900000000;
        o = result();
        v = variant_of(o, 1);
        ck_assert_uint_eq(json_array_size(json_object_get(v, "outliers")), 1);
        ck_assert_int_eq(json_integer_value(json_array_get(json_object_get(v, "outliers"), 0)), 5);
        ck_assert_double_eq_tol(real_of(v, "max_s"), 0.9, 1e-9);
        ck_assert_uint_eq(json_array_size(json_object_get(v, "times_s")), 12);
}
END_TEST

START_TEST(workers_make_a_scaling_curve)
{
        AUTO_JSON json_t *o = NULL;
        json_t *scaling, *points;

        for (uint32_t i = 0; i < VARIANTS; i++) {
                plan.variants[i].mode = MODE_DEFAULT;
                plan.variants[i].workers = 2 - i % 2;
        }
        /* The third is as the first: each number of workers once. */
        run_to(plan.first_traced, 0.01);
        o = result();
        scaling = json_object_get(o, "scaling");
        ck_assert_uint_eq(json_array_size(scaling), 1);
        points = json_object_get(json_array_get(scaling, 0), "points");
        ck_assert_uint_eq(json_array_size(points), 2);
        ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(points, 0), "workers")), 1);
        ck_assert_double_eq_tol(real_of(json_array_get(points, 1), "speed_up"), 2, 1e-6);
        ck_assert_str_eq(json_string_value(json_object_get(json_array_get(scaling, 0), "name")), "thread");
}
END_TEST

/* A round in which nothing was done has no time per task. */
START_TEST(rounds_without_tasks)
{
        AUTO_JSON json_t *o = NULL, *other = NULL;

        run_to(plan.first_traced, 0.01);
        comparison_record(&s, &plan, 1, 3)->done = 0;
        o = result();
        ck_assert(json_is_null(json_object_get(variant_of(o, 1), "s_per_task")));
        ck_assert(json_is_null(json_object_get(variant_of(o, 1), "speed_up")));
        ck_assert(json_is_null(json_object_get(variant_of(o, 1), "speed_up_interval")));
        ck_assert_str_eq(json_string_value(json_object_get(variant_of(o, 1), "verdict")), "none");
        ck_assert_str_eq(json_string_value(json_object_get(variant_of(o, 2), "verdict")), "slower");
        /* Without the reference's there is nothing to compare with. */
        comparison_record(&s, &plan, 0, 3)->done = 0;
        other = result();
        for (uint32_t i = 0; i < VARIANTS; i++) {
                ck_assert(json_is_null(json_object_get(variant_of(other, i), "speed_up")));
                ck_assert_str_eq(json_string_value(json_object_get(variant_of(other, i), "verdict")), "none");
        }
        ck_assert(json_is_number(json_object_get(variant_of(other, 2), "s_per_task")));
}
END_TEST

START_TEST(short_rounds_have_no_verdict)
{
        AUTO_JSON json_t *o = NULL;

        scale = 0.001;
        run_to(plan.first_traced, 0.01);
        o = result();
        for (uint32_t i = 0; i < VARIANTS; i++)
                ck_assert_str_eq(json_string_value(json_object_get(variant_of(o, i), "verdict")), "none");
}
END_TEST

START_TEST(failures_are_told_by_round)
{
        AUTO_JSON json_t *o = NULL;
        json_t *failed;

        run_to(plan.first_traced, 0.01);
        comparison_record(&s, &plan, 1, 3)->failed = 7;
        o = result();
        failed = json_object_get(variant_of(o, 1), "failed_tasks");
        ck_assert_uint_eq(json_array_size(failed), 12);
        for (size_t i = 0; i < 12; i++)
                ck_assert_int_eq(json_integer_value(json_array_get(failed, i)), i == 3 ? 7 : 0);
        ck_assert_int_eq(json_integer_value(json_object_get(variant_of(o, 1), "failed")), 7);
}
END_TEST

START_TEST(aa_is_judged)
{
        AUTO_JSON json_t *o = NULL;
        bool is_same = _i == 0;

        plan.comparison.is_aa = true;
        run_to(plan.first_traced, 0.01);
        for (uint32_t i = 0; i < 12 && is_same; i++)
                comparison_record(&s, &plan, 1, i)->wall_ns = comparison_record(&s, &plan, 0, i)->wall_ns;
        o = result();
        ck_assert_int_eq(json_is_true(json_object_get(o, "trusted")), is_same);
        ck_assert(json_is_boolean(json_object_get(o, "trusted")));
}
END_TEST

/* Where a round had no task, there is no ratio that could be trusted or not. */
START_TEST(aa_without_a_ratio)
{
        AUTO_JSON json_t *o = NULL;

        plan.comparison.is_aa = true;
        run_to(plan.first_traced, 0.01);
        comparison_record(&s, &plan, (uint32_t)_i, 3)->done = 0;
        o = result();
        ck_assert(json_is_null(json_object_get(variant_of(o, 1), "speed_up_interval")));
        ck_assert_ptr_nonnull(json_object_get(o, "trusted"));
        ck_assert(json_is_null(json_object_get(o, "trusted")));
}
END_TEST

START_TEST(spans_are_taken)
{
        AUTO_JSON json_t *o = NULL;
        json_t *spans;

        run_to(plan.first_traced, 0.01);
        atomic_store(&s.run->start_ns, 1000);
        s.traces[0].n = 2;
        s.traces[0].span[0] = (struct trace_span){.from_ns = 900, .to_ns = 1500, .task = 3, .tasks = 1};
        s.traces[0].span[1] = (struct trace_span){.from_ns = 1600, .to_ns = 1700, .kind = TRACE_LOCK, .tasks = 1};
        s.traces[1].n = TRACE_SPANS_MAX + 100; /* damaged: no more is read than there is */
        s.traces[1].dropped = 5;
        take(plan.first_traced, 1);
        o = result();
        spans = json_object_get(variant_of(o, plan.steps[plan.first_traced].variant), "spans");
        ck_assert_uint_eq(json_array_size(spans), 2 + TRACE_SPANS_MAX);
        ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(spans, 0), "from_ns")), 0);
        ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(spans, 0), "to_ns")), 500);
        ck_assert_str_eq(json_string_value(json_object_get(json_array_get(spans, 1), "kind")), "lock");
        ck_assert_int_eq(json_integer_value(json_object_get(variant_of(o, 0), "spans_dropped")), 5);
        ck_assert_uint_eq(comparison_rounds(&s, &plan), 12);
}
END_TEST

/* A successor has the rounds, and the evidence of those that it measured itself. */
START_TEST(rounds_survive_the_supervisor)
{
        AUTO_JSON json_t *o = NULL;
        uint32_t step = run_to(plan.first_measured + 6 * VARIANTS, 0.01);

        comparison_free(c);
        c = comparison_new(&plan);
        ck_assert(comparison_is_sound(&s, &plan));
        comparison_record(&s, &plan, 2, 1)->failed = 3; /* before */
        s.compare->repeating = 2;
        while (step < plan.first_traced)
                step = take(step, 1000000);
        o = result();
        ck_assert_int_eq(json_integer_value(json_object_get(o, "rounds")), 12);
        ck_assert_int_eq(json_integer_value(json_object_get(variant_of(o, 0), "evidence_rounds")), 6);
        ck_assert_str_ne(json_string_value(json_object_get(variant_of(o, 0), "rule")), "evidence-lost");
        ck_assert_str_eq(json_string_value(json_object_get(variant_of(o, 2), "why")),
                         "3 of 1 200 tasks failed: the time of a failure is no comparison");
        ck_assert_int_eq(json_integer_value(json_object_get(variant_of(o, plan.steps[plan.first_measured + 18].variant),
                                                            "repeated")),
                         2);
        s.compare->taken = plan.first_traced + 1;
        ck_assert(!comparison_is_sound(&s, &plan));
}
END_TEST

/* Killed when all was measured: the times are there, and the reasons are not. */
START_TEST(evidence_goes_with_the_supervisor)
{
        AUTO_JSON json_t *o = NULL;

        run_to(plan.first_traced, 0.01);
        comparison_free(c);
        c = comparison_new(&plan);
        o = result();
        for (uint32_t i = 0; i < VARIANTS; i++) {
                ck_assert_str_eq(json_string_value(json_object_get(variant_of(o, i), "rule")), "evidence-lost");
                ck_assert_int_eq(json_integer_value(json_object_get(variant_of(o, i), "done")), 12 * TASKS);
        }
        ck_assert_str_eq(json_string_value(json_object_get(variant_of(o, 1), "verdict")), "slower");
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("comparison");
        TCase *tc = tcase_create("all");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, all_rounds);
        tcase_add_test(tc, cut_in_a_round);
        tcase_add_test(tc, one_round_and_less);
        tcase_add_loop_test(tc, precision_ends_it, 0, 2);
        tcase_add_test(tc, outliers_are_shown_and_count);
        tcase_add_test(tc, workers_make_a_scaling_curve);
        tcase_add_test(tc, rounds_without_tasks);
        tcase_add_test(tc, short_rounds_have_no_verdict);
        tcase_add_test(tc, failures_are_told_by_round);
        tcase_add_loop_test(tc, aa_is_judged, 0, 2);
        tcase_add_loop_test(tc, aa_without_a_ratio, 0, 2);
        tcase_add_test(tc, spans_are_taken);
        tcase_add_test(tc, rounds_survive_the_supervisor);
        tcase_add_test(tc, evidence_goes_with_the_supervisor);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
