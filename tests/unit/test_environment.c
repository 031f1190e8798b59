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

START_TEST(steal_is_the_kernels)
{
        double before = environment_steal_s(), now;
        AUTO_FCLOSE FILE *f = fopen("/proc/stat", "re");
        unsigned long long fields[8] = {0};

        ck_assert_int_eq(fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &fields[0], &fields[1], &fields[2],
                                &fields[3], &fields[4], &fields[5], &fields[6], &fields[7]),
                         8);
        now = (double)fields[7] / (double)sysconf(_SC_CLK_TCK);
        ck_assert_double_ge(before, 0);
        ck_assert_double_le(before, now);
        ck_assert_double_le(now, environment_steal_s());
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
