/* SPDX-License-Identifier: MIT */
/* The rows of modes and ways to spawn: found by their names, and what each of them promises. */
#include "worker/mode.h"

#include "worker_fixture.h"

START_TEST(rows_are_found_by_name)
{
        for (int i = 0; i < MODES; i++) {
                ck_assert_int_eq(mode_by_name(modes[i].name), i);
                ck_assert_uint_gt(strlen(modes[i].summary), 0);
        }
        for (int i = 0; i < SPAWNS; i++) {
                ck_assert_int_eq(spawn_by_name(spawns[i].name), i);
                ck_assert_uint_gt(strlen(spawns[i].summary), 0);
        }
        ck_assert_str_eq(modes[MODE_DEFAULT].name, "process");
        ck_assert_int_eq(spawn_by_name("pool"), SPAWN_POOL);
        ck_assert_int_eq(spawn_by_name("per-task"), SPAWN_PER_TASK);
}
END_TEST

START_TEST(other_names_are_none)
{
        static const char *const names[] = {"", "proces", "processs", "Process", "thread ", "pool,"};

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                ck_assert_int_eq(mode_by_name(names[i]), -1);
                ck_assert_int_eq(spawn_by_name(names[i]), -1);
        }
}
END_TEST

START_TEST(models_are_what_they_are_called)
{
        static const struct {
                const char *name;
                enum worker_kind kind;
                bool single, gil, per_task;
        } expected[] = {
                {"sequential", WORKER_PROCESS, true, false, false},
                {"process", WORKER_PROCESS, false, false, true},
                {"thread", WORKER_THREAD, false, false, true},
                {"gil", WORKER_THREAD, false, true, false},
        };

        for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
                const struct mode *m = &modes[mode_by_name(expected[i].name)];

                ck_assert_int_eq(m->kind, expected[i].kind);
                ck_assert_int_eq(m->single, expected[i].single);
                ck_assert_int_eq(m->gil, expected[i].gil);
                ck_assert_int_eq(m->per_task, expected[i].per_task);
        }
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("mode");
        TCase *tc = tcase_create("mode");

        tcase_add_test(tc, rows_are_found_by_name);
        tcase_add_test(tc, other_names_are_none);
        tcase_add_test(tc, models_are_what_they_are_called);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
