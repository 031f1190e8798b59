/* SPDX-License-Identifier: MIT */
/* What is said of the machine is compared with what can be known otherwise, and held to the interface. */
#include "supervisor/environment.h"

#include "protocol/idl.h"
#include "supervisor/figures.h"

#include "run_suite.h"

#include <check.h>
#include <string.h>
#include <sys/utsname.h>

static cpu_set_t cpus;

static void
setup(void)
{
        CPU_ZERO(&cpus);
        CPU_SET(0, &cpus);
        CPU_SET(5, &cpus);
}

/* A result with this environment must be of the declared type. */
static void
expect_declared(json_t *environment)
{
        AUTO_FREE char *message = NULL, *field = NULL, *expected = NULL;
        const struct result_context context = {.id = "", .state = "done"};
        const struct variant variant = {.workers = 1, .count = 1};
        const struct figures figures = {.n_workers = 0};
        AUTO_JSON json_t *reply = NULL;
        struct idl *idl = idl_parse(idl_org_concd, &message);
        json_t *result = figures_to_result(&figures, &variant, &context);
        int r;

        ck_assert_ptr_nonnull(idl);
        ck_assert_int_eq(json_object_set(result, "environment", environment), 0);
        reply = json_pack("{s:s, s:s, s:o}", "id", "", "state", "done", "result", result);
        r = idl_check_output(idl, "Run", reply, &field, &expected);
        ck_assert_msg(r == 0, "%s is not %s", field, expected);
        idl_free(idl);
}

static const char *
text(json_t *environment, const char *name)
{
        const char *s = json_string_value(json_object_get(environment, name));

        ck_assert_msg(s != NULL, "no %s", name);
        return s;
}

START_TEST(machine_is_described)
{
        AUTO_JSON json_t *e = environment_describe(&cpus, 0, true, 0.25), *expected = json_pack("[i, i]", 0, 5);
        struct utsname uts;

        uname(&uts);
        expect_declared(e);
        ck_assert_str_eq(text(e, "concd"), CONCD_VERSION);
        ck_assert_str_eq(text(e, "kernel"), uts.release);
        ck_assert_str_eq(text(e, "machine"), uts.machine);
        ck_assert_int_eq(strncmp(text(e, "libc"), "glibc 2.", 8), 0);
        ck_assert(strstr(text(e, "compiler"), "gcc ") || strstr(text(e, "compiler"), "clang "));
        ck_assert_str_eq(text(e, "clock"), "CLOCK_MONOTONIC");
        ck_assert_int_eq(json_integer_value(json_object_get(e, "cpus_online")), sysconf(_SC_NPROCESSORS_ONLN));
        ck_assert(json_equal(json_object_get(e, "cpus"), expected));
        ck_assert(json_is_null(json_object_get(e, "quota_cpus")));
        ck_assert_double_eq(json_real_value(json_object_get(e, "steal_s")), 0.25);
        ck_assert_double_ge(json_real_value(json_object_get(e, "load_1min")), 0);
#if defined(__x86_64__)
        ck_assert_uint_gt(strlen(text(e, "cpu")), 0);
        ck_assert_ptr_null(strchr(text(e, "cpu"), '\n'));
#endif
}
END_TEST

START_TEST(circumstances_are_told)
{
        AUTO_JSON json_t *e = environment_describe(&cpus, 1.5, _i != 0, 0);

        expect_declared(e);
        ck_assert_double_eq(json_real_value(json_object_get(e, "quota_cpus")), 1.5);
        ck_assert_int_eq(json_is_true(json_object_get(e, "parked_thread")), _i != 0);
}
END_TEST

/* What the line of one CPU says, in ticks. */
static unsigned long long
steal_ticks(int cpu)
{
        AUTO_FCLOSE FILE *f = fopen("/proc/stat", "re");
        char line[4096], name[16];
        unsigned long long steal;

        snprintf(name, sizeof(name), "cpu%d ", cpu);
        while (fgets(line, sizeof(line), f)) {
                if (strncmp(line, name, strlen(name)) == 0 &&
                    sscanf(line, "%*s %*u %*u %*u %*u %*u %*u %*u %llu", &steal) == 1)
                        return steal;
        }
        ck_abort_msg("no CPU %d", cpu);
}

START_TEST(steal_is_the_kernels)
{
        cpu_set_t all, one, none;
        double sum = 0, before, tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
        int first = -1;

        CPU_ZERO(&one);
        CPU_ZERO(&none);
        ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
        before = environment_steal_s(&all);
        for (int i = 0; i < CPU_SETSIZE; i++) {
                if (!CPU_ISSET(i, &all))
                        continue;
                first = first < 0 ? i : first;
                sum += (double)steal_ticks(i) * tick;
        }
        ck_assert_double_le(before, sum + 1e-6);
        ck_assert_double_le(sum, environment_steal_s(&all) + 1e-6);
        /* Of these CPUs only. */
        CPU_SET(first, &one);
        before = environment_steal_s(&one);
        sum = (double)steal_ticks(first) * tick;
        ck_assert_double_le(before, sum + 1e-6);
        ck_assert_double_le(sum, environment_steal_s(&one) + 1e-6);
        ck_assert_double_eq(environment_steal_s(&none), 0);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("environment");
        TCase *tc = tcase_create("environment");

        tcase_add_checked_fixture(tc, setup, NULL);
        tcase_add_test(tc, machine_is_described);
        tcase_add_loop_test(tc, circumstances_are_told, 0, 2);
        tcase_add_test(tc, steal_is_the_kernels);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
