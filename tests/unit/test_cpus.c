/* SPDX-License-Identifier: MIT */
/* Every case of a cgroup is a folder made for it: files under <folder>/fs, <folder>/cgroup for /proc/self/cgroup. */
#include "supervisor/cpus.h"

#include "run_suite.h"

#include <check.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char folder[64];

static void
setup(void)
{
        snprintf(folder, sizeof(folder), "/tmp/concd-test-cpus-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(folder));
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        return remove(path);
}

static void
teardown(void)
{
        ck_assert_int_eq(nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* Writes <folder>/<name>, and makes the folders on the way. */
static void
write_file(const char *name, const char *text)
{
        char path[PATH_MAX];
        FILE *f;

        snprintf(path, sizeof(path), "%s/%s", folder, name);
        for (char *c = path + strlen(folder) + 1; (c = strchr(c, '/')); c++) {
                *c = 0;
                ck_assert(mkdir(path, 0700) == 0 || errno == EEXIST);
                *c = '/';
        }
        f = fopen(path, "w");
        ck_assert_ptr_nonnull(f);
        ck_assert_int_ge(fputs(text, f), 0);
        fclose(f);
}

static double
quota(const char *cgroup)
{
        char proc[96], root[96];

        if (cgroup)
                write_file("cgroup", cgroup);
        snprintf(proc, sizeof(proc), "%s/cgroup", folder);
        snprintf(root, sizeof(root), "%s/fs", folder);
        return cpus_quota(proc, root);
}

static bool
near(double a, double b)
{
        return a - b < 1e-9 && b - a < 1e-9;
}

#define MAX_FILES 6
#define V1(group, quota, period) \
        {"fs/" group "/cpu.cfs_quota_us", quota "\n"}, {"fs/" group "/cpu.cfs_period_us", period "\n"}

static const struct {
        const char *what, *cgroup;
        struct {
                const char *name, *text;
        } files[MAX_FILES];
        double quota;
} cases[] = {
        {"no /proc/self/cgroup", NULL, {{"fs/cpu.max", "50000 100000\n"}}, 0},
        {"an empty one", "", {{"fs/cpu.max", "50000 100000\n"}}, 0},
        {"v2, no file", "0::/a/b\n", {{NULL, NULL}}, 0},
        {"v2, no limit", "0::/a\n", {{"fs/a/cpu.max", "max 100000\n"}}, 0},
        {"v2, the own group", "0::/a/b\n", {{"fs/a/b/cpu.max", "150000 100000\n"}}, 1.5},
        {"v2, another period", "0::/a\n", {{"fs/a/cpu.max", "30000 10000\n"}}, 3},
        {"v2, below one CPU", "0::/a\n", {{"fs/a/cpu.max", "10000 100000\n"}}, 0.1},
        {"v2, a group above", "0::/a/b/c\n",
         {{"fs/a/cpu.max", "50000 100000\n"}, {"fs/a/b/cpu.max", "max 100000\n"}}, 0.5},
        {"v2, the least of three", "0::/a/b/c\n",
         {{"fs/a/cpu.max", "400000 100000\n"}, {"fs/a/b/cpu.max", "200000 100000\n"},
          {"fs/a/b/c/cpu.max", "300000 100000\n"}}, 2},
        {"v2, a group beside", "0::/a\n",
         {{"fs/b/cpu.max", "50000 100000\n"}, {"fs/a/b/cpu.max", "50000 100000\n"}}, 0},
        {"v2, the root of a namespace", "0::/\n", {{"fs/cpu.max", "250000 100000\n"}}, 2.5},
        {"v2, a container without a namespace", "0::/docker/abc\n", {{"fs/cpu.max", "250000 100000\n"}}, 2.5},
        {"v2, a colon in the name", "0::/a:b\n", {{"fs/a:b/cpu.max", "50000 100000\n"}}, 0.5},
        {"v2, a period of 0", "0::/a\n", {{"fs/a/cpu.max", "50000 0\n"}}, 0},
        {"v2, an empty file", "0::/a\n", {{"fs/a/cpu.max", ""}}, 0},
        {"v2, half a line", "0::/a\n", {{"fs/a/cpu.max", "50000\n"}}, 0},
        {"v1", "4:cpu:/x\n", {V1("cpu/x", "200000", "100000")}, 2},
        {"v1, cpu and cpuacct", "4:cpu,cpuacct:/x\n", {V1("cpu,cpuacct/x", "150000", "100000")}, 1.5},
        {"v1, cpuacct and cpu", "4:cpuacct,cpu:/x\n", {V1("cpu/x", "150000", "100000")}, 1.5},
        {"v1, no limit", "4:cpu:/x\n", {V1("cpu/x", "-1", "100000")}, 0},
        {"v1, nested", "4:cpu:/x/y\n", {V1("cpu/x", "50000", "100000"), V1("cpu/x/y", "80000", "100000")}, 0.5},
        {"v1, at its root", "4:cpu:/docker/abc\n", {V1("cpu", "70000", "100000")}, 0.7},
        {"v1, no period", "4:cpu:/x\n", {{"fs/cpu/x/cpu.cfs_quota_us", "200000\n"}}, 0},
        {"v1, a period of 0", "4:cpu:/x\n", {V1("cpu/x", "200000", "0")}, 0},
        {"v1, other controllers", "5:cpuset:/x\n6:cpuacct:/x\n1:name=cpu:/x\n", {V1("cpu/x", "50000", "100000")}, 0},
        {"v1 among others", "9:memory:/x\n8:cpu:/x\n7:pids:/x\n", {V1("cpu/x", "50000", "100000")}, 0.5},
        {"hybrid, v1 is less", "4:cpu:/x\n0::/u\n",
         {V1("cpu/x", "50000", "100000"), {"fs/unified/u/cpu.max", "90000 100000\n"}}, 0.5},
        {"hybrid, v2 is less", "4:cpu:/x\n0::/u\n",
         {V1("cpu/x", "90000", "100000"), {"fs/unified/u/cpu.max", "50000 100000\n"}}, 0.5},
        {"hybrid, only v2", "4:cpu:/x\n0::/u\n", {{"fs/unified/u/cpu.max", "50000 100000\n"}}, 0.5},
        {"lines that are none", "rubbish\n4:cpu\n::\n:\n\n0::/a", {{"fs/a/cpu.max", "50000 100000\n"}}, 0.5},
};

START_TEST(quota_of_the_cgroup)
{
        for (size_t i = 0; i < MAX_FILES && cases[_i].files[i].name; i++)
                write_file(cases[_i].files[i].name, cases[_i].files[i].text);
        ck_assert_msg(near(quota(cases[_i].cgroup), cases[_i].quota), "%s", cases[_i].what);
}
END_TEST

START_TEST(name_that_is_too_long_is_no_limit)
{
        char line[2 * PATH_MAX + 8] = "0::/";

        memset(line + 4, 'x', sizeof(line) - 5);
        line[sizeof(line) - 1] = 0;
        write_file("fs/cpu.max", "50000 100000\n");
        ck_assert_double_eq(quota(line), 0.5); /* of the groups that can be named */
}
END_TEST

static void
set_of(cpu_set_t *set, const char *text)
{
        char *end;

        CPU_ZERO(set);
        while (*text) {
                long first = strtol(text, &end, 10), last = *end == '-' ? strtol(end + 1, &end, 10) : first;

                for (long i = first; i <= last; i++)
                        CPU_SET(i, set);
                text = end + (*end == ',');
        }
}

static const struct {
        const char *set;
        double quota;
        unsigned usable;
} usable[] = {
        {"0-3", 0, 4},   {"0-3", 0.01, 1}, {"0-3", 0.5, 1}, {"0-3", 1, 1}, {"0-3", 1.999, 1}, {"0-3", 2, 2},
        {"0-3", 3.5, 3}, {"0-3", 4, 4},    {"0-3", 100, 4}, {"5", 0, 1},   {"5", 0.5, 1},     {"", 0, 1},
};

START_TEST(usable_cpus)
{
        cpu_set_t set;

        set_of(&set, usable[_i].set);
        ck_assert_uint_eq(cpus_usable(&set, usable[_i].quota), usable[_i].usable);
}
END_TEST

static const char *const lists[] = {
        "", "0", "7", "0-1", "0,2", "0-3,8", "1,3,5-6", "1023", "0-1023", "62-65,127-128,1022-1023",
};

START_TEST(lists_are_short)
{
        char buf[CPUS_TEXT_MAX];
        cpu_set_t set;

        set_of(&set, lists[_i]);
        ck_assert_str_eq(cpus_format(buf, sizeof(buf), &set), lists[_i]);
}
END_TEST

START_TEST(longest_lists_have_room)
{
        static const unsigned patterns[] = {0x55555555, 0xb6db6db6, 0xdb6db6db, 0x6db6db6d, 0xffffffff};
        char buf[CPUS_TEXT_MAX];
        cpu_set_t set, again;

        for (size_t p = 0; p < ARRAY_SIZE(patterns); p++) {
                CPU_ZERO(&set);
                for (int i = 0; i < CPU_SETSIZE; i++) {
                        if (patterns[p] >> i % 32 & 1)
                                CPU_SET(i, &set);
                }
                ck_assert_uint_lt(strlen(cpus_format(buf, sizeof(buf), &set)), sizeof(buf) - 1);
                set_of(&again, buf);
                ck_assert(CPU_EQUAL(&set, &again));
        }
}
END_TEST

START_TEST(short_buffers_are_not_overrun)
{
        const char *whole = "0-3,8,10-11";
        cpu_set_t set;

        set_of(&set, whole);
        for (size_t size = 1; size <= strlen(whole) + 1; size++) {
                char buf[16];

                memset(buf, '#', sizeof(buf));
                cpus_format(buf, size, &set);
                ck_assert_uint_eq(strlen(buf), size - 1);
                ck_assert_int_eq(strncmp(buf, whole, size - 1), 0);
                for (size_t i = size; i < sizeof(buf); i++)
                        ck_assert_int_eq(buf[i], '#');
        }
}
END_TEST

START_TEST(json_has_every_cpu)
{
        AUTO_JSON json_t *array = NULL, *expected = json_pack("[i, i, i, i]", 0, 1, 63, 1023);
        cpu_set_t set;

        set_of(&set, "0-1,63,1023");
        array = cpus_to_json(&set);
        ck_assert(json_equal(array, expected));
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("cpus");
        TCase *tc = tcase_create("cpus");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_loop_test(tc, quota_of_the_cgroup, 0, ARRAY_SIZE(cases));
        tcase_add_test(tc, name_that_is_too_long_is_no_limit);
        tcase_add_loop_test(tc, usable_cpus, 0, ARRAY_SIZE(usable));
        tcase_add_loop_test(tc, lists_are_short, 0, ARRAY_SIZE(lists));
        tcase_add_test(tc, longest_lists_have_room);
        tcase_add_test(tc, short_buffers_are_not_overrun);
        tcase_add_test(tc, json_has_every_cpu);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
