/* SPDX-License-Identifier: MIT */
/*
 * Who is to blame. In a forked child, threads stand by, each for a slot of its own; one of them does the deed. The
 * parent reads in shared memory who was marked, and how the child ended.
 */
#include "worker/fatal.h"

#include "shared/base.h"
#include "worker_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define THREADS 4
#define CULPRIT 2
#define TASK    41

struct scene {
        struct slot slots[THREADS];
        _Atomic uint32_t standing_by;
        _Atomic uint32_t earlier_handler_ran;
};

static struct scene *scene;

static void
setup(void)
{
        scene = mmap(NULL, sizeof(*scene), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(scene, MAP_FAILED);
}

static void
teardown(void)
{
        munmap(scene, sizeof(*scene));
}

/* ── deeds ── */

/* A sanitizer is to let it through. */
static __attribute__((no_sanitize("address", "undefined"))) void
store_nowhere(int value)
{
        int *volatile nowhere = (int *)8;

        *nowhere = value;
}

static __attribute__((noinline, no_sanitize("address", "undefined"))) int
overflow(int depth)
{
        volatile char room[1024];

        room[0] = (char)depth;
        room[sizeof(room) - 1] = depth < 0 ? 0 : (char)overflow(depth + 1);
        return room[0] + room[sizeof(room) - 1];
}

static void
overflow_stack(int value)
{
        (void)value;
        overflow(0);
}

static void
call_abort(int value)
{
        (void)value;
        abort();
}

static void
raise_it(int value)
{
        raise(value);
}

static void
call_exit(int value)
{
        exit(value);
}

static void
leave_and_fall(int value)
{
        fatal_leave();
        store_nowhere(value);
}

static void
kill_process(int value)
{
        kill(getpid(), value);
        for (;;)
                pause();
}

static const struct {
        const char *name;
        void (*deed)(int value);
        int value;
        bool signals, marked; /* installed with signals; is a mark expected? */
        enum blame blame;
        int signal, status; /* how the process ends: by a signal, or with a status */
} deeds[] = {
        {"segv", store_nowhere, 0, true, true, BLAME_SIGNAL, SIGSEGV, 0},
        {"stack overflow", overflow_stack, 0, true, true, BLAME_SIGNAL, SIGSEGV, 0},
        {"abort", call_abort, 0, true, true, BLAME_SIGNAL, SIGABRT, 0},
        {"exit 3", call_exit, 3, true, true, BLAME_EXIT, 0, 3},
        {"exit 0", call_exit, 0, true, true, BLAME_EXIT, 0, 0},
        {"bus", raise_it, SIGBUS, true, true, BLAME_SIGNAL, SIGBUS, 0},
        {"fpe", raise_it, SIGFPE, true, true, BLAME_SIGNAL, SIGFPE, 0},
        {"ill", raise_it, SIGILL, true, true, BLAME_SIGNAL, SIGILL, 0},
        {"sys", raise_it, SIGSYS, true, true, BLAME_SIGNAL, SIGSYS, 0},
        {"trap", raise_it, SIGTRAP, true, true, BLAME_SIGNAL, SIGTRAP, 0},
        {"xcpu", raise_it, SIGXCPU, true, true, BLAME_SIGNAL, SIGXCPU, 0},
        {"killed from outside", kill_process, SIGKILL, true, false, BLAME_NONE, SIGKILL, 0},
        {"terminated from outside", kill_process, SIGTERM, true, false, BLAME_NONE, SIGTERM, 0},
        {"after leaving", leave_and_fall, 0, true, false, BLAME_NONE, SIGSEGV, 0},
        {"segv of a process worker", store_nowhere, 0, false, false, BLAME_NONE, SIGSEGV, 0},
        {"exit 3 of a process worker", call_exit, 3, false, true, BLAME_EXIT, 0, 3},
};

/* ── the scene ── */

struct part {
        size_t deed;
        uint32_t number;
        uint64_t task;
};

static void *
play(void *arg)
{
        const struct part *part = arg;

        if (fatal_enter(&scene->slots[part->number], part->task, true) < 0)
                _exit(99);
        atomic_fetch_add(&scene->standing_by, 1);
        while (atomic_load(&scene->standing_by) < THREADS || part->number != CULPRIT)
                usleep(1000);
        deeds[part->deed].deed(deeds[part->deed].value);
        return NULL;
}

static void
on_earlier_exit(void)
{
        atomic_store(&scene->earlier_handler_ran, 1);
}

static _Noreturn void
child_main(size_t deed, uint64_t task)
{
        const struct rlimit none = {0, 0};
        struct part parts[THREADS];
        pthread_t thread;

        setrlimit(RLIMIT_CORE, &none);
        signal(SIGTERM, SIG_DFL); /* Check has a handler for it */
        atexit(on_earlier_exit);
        if (fatal_install(deeds[deed].signals) < 0)
                _exit(98);
        for (uint32_t i = 0; i < THREADS; i++) {
                parts[i] = (struct part){deed, i, task};
                if (pthread_create(&thread, NULL, play, &parts[i]) != 0)
                        _exit(97);
        }
        for (;;)
                pause();
}

static int
play_in_child(size_t deed, uint64_t task)
{
        pid_t pid = fork();
        int status;

        ck_assert_int_ge(pid, 0);
        if (pid == 0)
                child_main(deed, task);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        return status;
}

static void
check_unmarked(uint32_t i)
{
        ck_assert_uint_eq(scene->slots[i].blame, BLAME_NONE);
        ck_assert_int_eq(scene->slots[i].blame_value, 0);
        ck_assert_uint_eq(scene->slots[i].blame_task, 0);
}

START_TEST(only_the_culprit_is_marked)
{
        int status = play_in_child((size_t)_i, TASK);
        const struct slot *culprit = &scene->slots[CULPRIT];

        if (deeds[_i].signal)
                ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == deeds[_i].signal, "%s: status %#x",
                              deeds[_i].name, (unsigned)status);
        else
                ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == deeds[_i].status, "%s: status %#x",
                              deeds[_i].name, (unsigned)status);
        for (uint32_t i = 0; i < THREADS; i++) {
                if (i != CULPRIT || !deeds[_i].marked)
                        check_unmarked(i);
        }
        ck_assert_uint_eq(scene->earlier_handler_ran, 0);
        if (!deeds[_i].marked)
                return;
        ck_assert_uint_eq(culprit->blame, deeds[_i].blame);
        ck_assert_int_eq(culprit->blame_value, deeds[_i].signal ? deeds[_i].signal : deeds[_i].status);
        ck_assert_uint_eq(culprit->blame_task, TASK + 1);
}
END_TEST

START_TEST(task_is_told_only_where_it_is_known)
{
        play_in_child(0, UINT64_MAX);
        ck_assert_uint_eq(scene->slots[CULPRIT].blame, BLAME_SIGNAL);
        ck_assert_uint_eq(scene->slots[CULPRIT].blame_task, 0);
        play_in_child(0, 0);
        ck_assert_uint_eq(scene->slots[CULPRIT].blame_task, 1);
}
END_TEST

START_TEST(own_signals_are_told_from_others)
{
        static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP, SIGXCPU};
        static const int others[] = {0, SIGKILL, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGSTOP};

        for (size_t i = 0; i < ARRAY_SIZE(own); i++)
                ck_assert_msg(fatal_signal_is_own(own[i]), "%d", own[i]);
        for (size_t i = 0; i < ARRAY_SIZE(others); i++)
                ck_assert_msg(!fatal_signal_is_own(others[i]), "%d", others[i]);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("fatal");
        TCase *tc = tcase_create("fatal");

        tcase_set_timeout(tc, 30);
        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_loop_test(tc, only_the_culprit_is_marked, 0, ARRAY_SIZE(deeds));
        tcase_add_test(tc, task_is_told_only_where_it_is_known);
        tcase_add_test(tc, own_signals_are_told_from_others);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
