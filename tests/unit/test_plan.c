/* SPDX-License-Identifier: MIT */
#include "supervisor/plan.h"

#include "scenarios/scenario.h"
#include "segment/ledger.h"
#include "worker/mode.h"

#include "run_suite.h"

#include <check.h>
#include <string.h>

#define LINES 64

enum { CALC, NOP, SPIN };

static const struct variant usual = {.workload = CALC, .mode = MODE_DEFAULT, .workers = 2, .count = 1000};

START_TEST(single_plan_is_one_step)
{
        struct plan plan;

        ck_assert_int_eq(plan_init_single(&plan, &usual, 5 * NS_PER_S), 0);
        ck_assert_uint_eq(plan.n_variants, 1);
        ck_assert_uint_eq(plan.rounds, 1);
        ck_assert_uint_eq(plan.n_steps, 1);
        ck_assert_uint_eq(plan.deadline_ns, 5 * NS_PER_S);
        ck_assert_int_eq(plan.steps[0].kind, STEP_MEASURED);
        ck_assert_uint_eq(plan.steps[0].variant, 0);
        ck_assert_uint_eq(plan.steps[0].round, 0);
        ck_assert_ptr_ne(plan.variants, &usual);
        ck_assert(memcmp(plan.variants, &usual, sizeof(usual)) == 0);
        plan_deinit(&plan);
        plan_deinit(&plan); /* once more does no harm */
}
END_TEST

START_TEST(warmup_comes_first)
{
        struct variant v = usual;
        struct plan plan;

        v.warmup = 10;
        ck_assert_int_eq(plan_init_single(&plan, &v, 0), 0);
        ck_assert_uint_eq(plan.n_steps, 2);
        ck_assert_uint_eq(plan.rounds, 1);
        ck_assert_int_eq(plan.steps[0].kind, STEP_WARMUP);
        ck_assert_int_eq(plan.steps[1].kind, STEP_MEASURED);
        plan_deinit(&plan);
}
END_TEST

static void
comparison_init(struct plan *plan, uint32_t n, struct comparison_spec spec)
{
        struct variant *variants = calloc(n, sizeof(*variants));

        spec.names = calloc(n, sizeof(*spec.names));
        for (uint32_t i = 0; i < n; i++) {
                variants[i] = usual;
                variants[i].warmup = i % 2;
                ck_assert_int_gt(asprintf(&spec.names[i], "variant-%u", i), 0);
        }
        ck_assert_int_eq(plan_init_comparison(plan, variants, n, &spec, 0), 0);
}

/* Every variant once a round, in an order that the seed makes. */
START_TEST(rounds_are_interleaved)
{
        struct plan plan, same, other;
        uint32_t differ = 0, first[5] = {0};

        comparison_init(&plan, 5, (struct comparison_spec){.seed = 1, .rounds = 200, .is_rehearsed = true});
        comparison_init(&same, 5, (struct comparison_spec){.seed = 1, .rounds = 200, .is_rehearsed = true});
        comparison_init(&other, 5, (struct comparison_spec){.seed = 2, .rounds = 200, .is_rehearsed = true});
        ck_assert_uint_eq(plan.n_steps, 5 * 201);
        ck_assert_uint_eq(plan.first_measured, 5);
        ck_assert_uint_eq(plan.first_traced, plan.n_steps);
        for (uint32_t i = 0; i < plan.n_steps; i += 5) {
                uint32_t seen = 0;

                for (uint32_t k = 0; k < 5; k++) {
                        const struct step *step = &plan.steps[i + k];

                        ck_assert_int_eq(step->kind, i == 0 ? STEP_REHEARSAL : STEP_MEASURED);
                        ck_assert_uint_eq(step->round, i == 0 ? 0 : i / 5 - 1);
                        ck_assert_uint_eq(step->order, k);
                        seen |= 1u << step->variant;
                        differ += step->variant != other.steps[i + k].variant;
                }
                ck_assert_uint_eq(seen, 31);
                first[plan.steps[i].variant]++;
        }
        ck_assert(memcmp(plan.steps, same.steps, plan.n_steps * sizeof(*plan.steps)) == 0);
        ck_assert_uint_gt(differ, 500);
        /* Nobody is favoured: 40 expected, standard deviation 5.7. */
        for (uint32_t i = 0; i < 5; i++)
                ck_assert(first[i] > 12 && first[i] < 68);
        plan_deinit(&plan);
        plan_deinit(&same);
        plan_deinit(&other);
}
END_TEST

START_TEST(comparison_has_warmups_and_pictures)
{
        AUTO_FREE char *summary = NULL;
        struct plan plan;

        comparison_init(&plan, 4, (struct comparison_spec){.seed = 1, .rounds = 10, .timeline = true});
        ck_assert_uint_eq(plan.first_measured, 2); /* two of the variants ask for a warm-up */
        ck_assert_int_eq(plan.steps[0].kind, STEP_WARMUP);
        ck_assert_uint_eq(plan.steps[0].variant, 1);
        ck_assert_uint_eq(plan.steps[1].variant, 3);
        ck_assert_uint_eq(plan.first_traced, 42);
        ck_assert_uint_eq(plan.n_steps, 46);
        for (uint32_t i = 0; i < 4; i++) {
                ck_assert_int_eq(plan.steps[42 + i].kind, STEP_TRACED);
                ck_assert_uint_eq(plan.steps[42 + i].variant, i);
        }
        summary = plan_summary(&plan);
        ck_assert_str_eq(summary, "calc compared: variant-0, variant-1, variant-2, variant-3 · 10 rounds");
        plan_deinit(&plan);
}
END_TEST

START_TEST(summary_of_many_is_short)
{
        AUTO_FREE char *summary = NULL;
        struct plan plan;

        comparison_init(&plan, 64, (struct comparison_spec){.seed = 1, .rounds = 100, .precision = 0.1});
        summary = plan_summary(&plan);
        ck_assert_uint_lt(strlen(summary), 200);
        ck_assert_ptr_nonnull(strstr(summary, ", … · at most 100 rounds"));
        plan_deinit(&plan);
}
END_TEST

START_TEST(kind_is_the_modes)
{
        static const enum worker_kind kinds[MODES] = {WORKER_PROCESS, WORKER_PROCESS, WORKER_THREAD, WORKER_THREAD};
        struct variant v = usual;

        for (v.mode = 0; v.mode < MODES; v.mode++)
                ck_assert_int_eq(variant_kind(&v), kinds[v.mode]);
}
END_TEST

/* ── how the tasks are divided ── */

START_TEST(tasks_are_divided_by_the_chunk)
{
        struct variant v = usual;
        struct ledger_geometry g;
        uint64_t lines = 0;

        v.chunk = 30;
        v.warmup = 20;
        ck_assert_int_eq(variant_geometry(&v, false, LINES, &g, &lines), 0);
        ck_assert_uint_eq(lines, 34);
        ck_assert_uint_eq(g.n_lines, 34);
        ck_assert_uint_eq(g.count, 1000);
        ck_assert_uint_eq(ledger_line_size(&g, 0), 30);
        ck_assert_uint_eq(ledger_line_size(&g, 33), 10);
        v.chunk = 15;
        ck_assert_int_eq(variant_geometry(&v, false, LINES, &g, &lines), LEDGER_E_LINES);
        ck_assert_uint_eq(lines, 67);
}
END_TEST

START_TEST(warmup_has_chunks_of_its_own)
{
        struct variant v = usual;
        struct ledger_geometry g;

        v.chunk = 1000; /* as many workers take part in the warm-up as later, whatever the chunk is */
        v.warmup = 20;
        ck_assert_int_eq(variant_geometry(&v, true, LINES, &g, NULL), 0);
        ck_assert_uint_eq(g.count, 20);
        ck_assert_uint_gt(g.n_lines, 1);
}
END_TEST

START_TEST(run_by_duration_has_a_line_without_end_for_each_worker)
{
        struct variant v = usual;
        struct ledger_geometry g;

        v.count = 0;
        v.duration_ns = NS_PER_S;
        v.workers = 3;
        v.warmup = 7;
        ck_assert_int_eq(variant_geometry(&v, false, LINES, &g, NULL), 0);
        ck_assert_uint_eq(g.n_lines, 3);
        ck_assert_uint_eq(g.count, UINT64_MAX);
        ck_assert_int_eq(variant_geometry(&v, true, LINES, &g, NULL), 0);
        ck_assert_uint_eq(g.count, 7);
}
END_TEST

START_TEST(all_at_once_is_one_chunk)
{
        struct variant v = usual;
        struct ledger_geometry g;

        v.spawn = SPAWN_AT_ONCE;
        v.workers = 1;
        v.warmup = 200;
        ck_assert_int_eq(variant_geometry(&v, false, LINES, &g, NULL), 0);
        ck_assert_uint_eq(g.n_lines, 1);
        ck_assert_uint_eq(ledger_line_size(&g, 0), 1000);
        ck_assert_int_eq(variant_geometry(&v, true, LINES, &g, NULL), 0);
        ck_assert_uint_eq(g.n_lines, 1);
        ck_assert_uint_eq(ledger_line_size(&g, 0), 200);
}
END_TEST

START_TEST(geometry_of_any_count_is_found_at_once)
{
        static const uint32_t ledgers[] = {64, 65, 100, 16384, 1048576};
        struct variant v = usual;
        struct ledger_geometry g;

        /* Counts just below and above powers of ten, up to the greatest. */
        for (uint64_t count = 10; count <= UINT64_C(1000000000000000); count *= 10) {
                for (int off = -1; off <= 0; off++) {
                        for (size_t i = 0; i < ARRAY_SIZE(ledgers); i++) {
                                uint64_t lines = 0, done = 0;
                                int r;

                                v.count = count + (uint64_t)off;
                                r = variant_geometry(&v, false, ledgers[i], &g, &lines);
                                ck_assert_int_ne(r, LEDGER_E_LINES);
                                ck_assert_uint_le(lines, ledgers[i]);
                                if (r != 0)
                                        continue;
                                /* Few tasks have a line each; many use most of the ledger. */
                                ck_assert_uint_ge(lines, MIN(v.count, (uint64_t)ledgers[i] / 3));
                                if (v.count > UINT64_C(1000) * ledgers[i])
                                        ck_assert_uint_ge(lines, (uint64_t)ledgers[i] * 9 / 10);
                                /* An assertion a line would take longer than all the rest. */
                                for (uint32_t line = 0; line < g.n_lines && ledger_line_base(&g, line) == done; line++)
                                        done += ledger_line_size(&g, line);
                                ck_assert_uint_eq(done, v.count);
                        }
                }
        }
}
END_TEST

/* ── in words ── */

static const struct {
        struct variant variant;
        const char *summary;
} summaries[] = {
        {{.workload = CALC, .mode = 1, .workers = 2, .count = 1000}, "calc × 1000 · process · 2 workers"},
        {{.workload = CALC, .mode = 0, .workers = 1, .count = 1}, "calc × 1 · sequential · 1 worker"},
        {{.workload = NOP, .mode = 2, .workers = 64, .count = UINT64_C(1000000000000000)},
         "nop × 1000000000000000 · thread · 64 workers"},
        {{.workload = SPIN, .mode = 3, .workers = 3, .duration_ns = 5 * NS_PER_S}, "spin for 5s · gil · 3 workers"},
        {{.workload = SPIN, .mode = 3, .workers = 3, .duration_ns = 1500 * NS_PER_US},
         "spin for 1500us · gil · 3 workers"},
        {{.workload = CALC, .mode = 1, .workers = 2, .count = 10, .spawn = SPAWN_PER_TASK},
         "calc × 10 · process, one per task · 2 workers"},
        {{.workload = CALC, .mode = 2, .workers = 1, .count = 10, .spawn = SPAWN_AT_ONCE},
         "calc × 10 · thread, all at once"},
};

START_TEST(variants_are_said_in_words)
{
        AUTO_FREE char *summary = variant_summary(&summaries[_i].variant);

        ck_assert_str_eq(summary, summaries[_i].summary);
}
END_TEST

START_TEST(races_are_said_in_words)
{
        static const struct {
                const char *guard;
                uint32_t permits;
                uint64_t count, duration_ns;
                const char *summary;
        } rows[] = {
                {"semaphore", 2, 1000, 0, "counter × 1000 · process · semaphore, 2 permits · 2 actors"},
                {"raw-semaphore", 1, 1, 0, "counter × 1 · process · raw-semaphore, 1 permit · 2 actors"},
                {"mutex", 1, 0, 5 * NS_PER_S, "counter for 5s · process · mutex · 2 actors"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const struct variant v = {
                        .is_race = true,
                        .race = {.scenario = (uint32_t)scenario_by_name("counter"),
                                 .guard = (uint32_t)guard_by_name(rows[i].guard),
                                 .permits = rows[i].permits},
                        .mode = MODE_DEFAULT,
                        .workers = 2,
                        .count = rows[i].count,
                        .duration_ns = rows[i].duration_ns,
                };
                AUTO_FREE char *summary = variant_summary(&v);

                ck_assert_str_eq(summary, rows[i].summary);
        }
}
END_TEST

/* Its lines are there for those who look at the ledger; nobody claims one. */
START_TEST(race_has_no_tasks)
{
        struct variant v = usual;
        struct ledger_geometry g;

        v.is_race = true;
        v.workers = 3;
        ck_assert_int_eq(variant_geometry(&v, false, LINES, &g, NULL), 0);
        ck_assert_uint_eq(g.count, UINT64_MAX);
        ck_assert_uint_eq(g.n_lines, 3);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("plan");
        TCase *tc = tcase_create("plan");

        tcase_set_timeout(tc, 30);
        tcase_add_test(tc, single_plan_is_one_step);
        tcase_add_test(tc, warmup_comes_first);
        tcase_add_test(tc, rounds_are_interleaved);
        tcase_add_test(tc, comparison_has_warmups_and_pictures);
        tcase_add_test(tc, summary_of_many_is_short);
        tcase_add_test(tc, kind_is_the_modes);
        tcase_add_test(tc, tasks_are_divided_by_the_chunk);
        tcase_add_test(tc, warmup_has_chunks_of_its_own);
        tcase_add_test(tc, run_by_duration_has_a_line_without_end_for_each_worker);
        tcase_add_test(tc, all_at_once_is_one_chunk);
        tcase_add_test(tc, geometry_of_any_count_is_found_at_once);
        tcase_add_loop_test(tc, variants_are_said_in_words, 0, ARRAY_SIZE(summaries));
        tcase_add_test(tc, races_are_said_in_words);
        tcase_add_test(tc, race_has_no_tasks);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
