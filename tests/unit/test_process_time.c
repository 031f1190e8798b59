/* SPDX-License-Identifier: MIT */
/* A process's start time: the same as long as it lives, whatever its name is, and none when it does not live. */
#include "segment/process_time.h"

#include "shared/base.h"

#include "run_suite.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

static pid_t
sleeper_fork(void)
{
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                for (;;)
                        pause();
        }
        return pid;
}

static void
sleeper_kill(pid_t pid)
{
        kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

/* Check runs every test in a fresh process, so this one is a few seconds old at most. */
START_TEST(own_start_was_just_now)
{
        uint64_t start = process_start_time(getpid()), ticks = (uint64_t)sysconf(_SC_CLK_TCK), now;
        struct timespec t;

        clock_gettime(CLOCK_BOOTTIME, &t);
        now = (uint64_t)t.tv_sec * ticks + (uint64_t)t.tv_nsec * ticks / NS_PER_S;
        ck_assert_uint_gt(start, 0);
        ck_assert_uint_le(start, now + 1);
        ck_assert_uint_gt(start + 30 * ticks, now);
        ck_assert_uint_eq(process_start_time(getpid()), start);
}
END_TEST

START_TEST(later_process_has_a_later_start)
{
        uint64_t own = process_start_time(getpid());
        pid_t pid;

        usleep(50000);
        pid = sleeper_fork();
        ck_assert_uint_gt(process_start_time(pid), own);
        sleeper_kill(pid);
}
END_TEST

START_TEST(name_does_not_matter)
{
        static const char *const names[] = {") R 1 2 3", "a b c d e f g", "(((", ")", " "};
        uint64_t start = process_start_time(getpid());

        ck_assert_int_eq(prctl(PR_SET_NAME, names[_i]), 0);
        ck_assert_uint_eq(process_start_time(getpid()), start);
}
END_TEST

START_TEST(who_is_not_there_has_none)
{
        pid_t pid = sleeper_fork();

        ck_assert_uint_gt(process_start_time(pid), 0);
        sleeper_kill(pid);
        ck_assert_uint_eq(process_start_time(pid), 0);
        ck_assert_uint_eq(process_start_time(0), 0);
        ck_assert_uint_eq(process_start_time(-1), 0);
}
END_TEST

START_TEST(dead_process_that_is_not_reaped_has_none)
{
        pid_t pid = sleeper_fork();
        siginfo_t info;

        kill(pid, SIGKILL);
        ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
        ck_assert_uint_eq(process_start_time(pid), 0);
        sleeper_kill(pid);
}
END_TEST

START_TEST(who_is_stopped_is_known)
{
        pid_t pid = sleeper_fork();
        int status;

        ck_assert(!process_is_stopped(pid));
        kill(pid, SIGSTOP);
        ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
        ck_assert(process_is_stopped(pid));
        ck_assert_uint_gt(process_start_time(pid), 0);
        kill(pid, SIGCONT);
        ck_assert_int_eq(waitpid(pid, &status, WCONTINUED), pid);
        ck_assert(!process_is_stopped(pid));
        sleeper_kill(pid);
        ck_assert(!process_is_stopped(pid));
        ck_assert(!process_is_stopped(0));
}
END_TEST

START_TEST(no_descriptor_is_left_open)
{
        int before = open("/dev/null", O_RDONLY | O_CLOEXEC), after;

        close(before);
        process_start_time(getpid());
        process_start_time(-1);
        after = open("/dev/null", O_RDONLY | O_CLOEXEC);
        close(after);
        ck_assert_int_eq(after, before);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("process_time");
        TCase *tc = tcase_create("process_time");

        tcase_add_test(tc, own_start_was_just_now);
        tcase_add_test(tc, later_process_has_a_later_start);
        tcase_add_loop_test(tc, name_does_not_matter, 0, 5);
        tcase_add_test(tc, who_is_not_there_has_none);
        tcase_add_test(tc, dead_process_that_is_not_reaped_has_none);
        tcase_add_test(tc, who_is_stopped_is_known);
        tcase_add_test(tc, no_descriptor_is_left_open);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
