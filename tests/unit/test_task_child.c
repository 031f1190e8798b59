/* SPDX-License-Identifier: MIT */
/* A process or thread for each task, one after the other or all at once: whatever the tasks do, each counts once. */
#include "worker/task_child.h"

#include "shared/base.h"
#include "worker/at_once.h"
#include "worker/evidence.h"
#include "worker/fatal.h"
#include "worker/per_task.h"
#include "worker_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define COUNT 20

enum deed { FINE, ERROR, WRONG, ABORT, EXIT, KILL_TWICE, KILL_AND_STOP, CANCEL, BLOCK, BURN };

/* What the tasks see and leave; shared with those in processes. */
static struct {
        uint8_t deeds[COUNT];
        _Atomic uint32_t executed[COUNT];
        _Atomic int32_t pid[COUNT], tid[COUNT];
} * board;

static struct worker_setup setup_of_all;
static struct segment *s = &setup_of_all.segment;
static struct worker w;

static void
burn(uint64_t ns)
{
        struct timespec t;

        do
                clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        while ((uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec < ns);
}

static int
task_run(struct concd_ctx *ctx, uint64_t index, uint64_t *ret_result)
{
        uint32_t before = atomic_fetch_add(&board->executed[index], 1);

        atomic_store(&board->pid[index], getpid());
        atomic_store(&board->tid[index], gettid());
        *ret_result = fixture_result(index);
        switch ((enum deed)board->deeds[index]) {
        case FINE:
                break;
        case ERROR:
                return -EIO;
        case WRONG:
                *ret_result += 1;
                break;
        case ABORT:
                abort();
        case EXIT:
                exit(3);
        case KILL_TWICE:
                if (before < 2)
                        raise(SIGKILL);
                break;
        case KILL_AND_STOP:
                __atomic_fetch_or(&s->run->attention, ATTENTION_FINISH, __ATOMIC_RELAXED);
                raise(SIGKILL);
                break;
        case CANCEL:
                return CONCD_CANCELLED;
        case BLOCK:
                worker_of(ctx)->blocked_ns += 1000;
                break;
        case BURN:
                burn(30 * NS_PER_MS);
                break;
        }
        return 0;
}

static int
task_verify(struct concd_ctx *ctx, uint64_t index, uint64_t result)
{
        (void)ctx;
        return result == fixture_result(index) ? 0 : -EBADMSG;
}

static const struct concd_workload workload = {.name = "test", .run = task_run, .verify = task_verify};

static void
setup(void)
{
        const struct rlimit none = {0, 0};

        setrlimit(RLIMIT_CORE, &none);
        board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(board, MAP_FAILED);
        fixture_segment(s);
        setup_of_all.doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        ck_assert_int_eq(fatal_install(false), 0);
        fixture_run(s, COUNT, COUNT, 1);
        fixture_worker(&w, &setup_of_all, &workload, 0);
        w.line = s->ledger;
        ck_assert(ledger_claim(w.line, COUNT, w.slot_index + 1));
}

static void
teardown(void)
{
        ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
        ck_assert_int_eq(errno, ECHILD);
        close(setup_of_all.doorbell);
        segment_unmap(s);
        munmap(board, sizeof(*board));
}

/* ── one by one ── */

static void
begin(enum worker_kind kind)
{
        w.kind = kind;
        ck_assert_int_eq(per_task_begin(&w), 0);
}

static int
execute(uint64_t index, enum deed deed, uint64_t *ret_result)
{
        board->deeds[index] = deed;
        return w.execute(&w.ctx, index, ret_result);
}

START_TEST(task_has_a_process_of_its_own)
{
        uint64_t result = 0;

        begin(WORKER_PROCESS);
        ck_assert_int_eq(execute(3, FINE, &result), 0);
        ck_assert_uint_eq(result, fixture_result(3));
        ck_assert_int_ne(board->pid[3], getpid());
        ck_assert_int_eq(execute(4, ERROR, &result), -EIO);
        ck_assert_int_ne(board->pid[4], board->pid[3]);
        ck_assert_int_eq(execute(5, CANCEL, &result), CONCD_CANCELLED);
        ck_assert_int_eq(execute(6, BLOCK, &result), 0);
        ck_assert_uint_eq(w.blocked_ns, 1000);
        ck_assert_uint_eq(s->run->reexecuted, 0);
        per_task_end(&w);
        per_task_end(&w);
}
END_TEST

START_TEST(task_has_a_thread_of_its_own)
{
        uint64_t result = 0;

        begin(WORKER_THREAD);
        ck_assert_int_eq(execute(3, FINE, &result), 0);
        ck_assert_uint_eq(result, fixture_result(3));
        ck_assert_int_eq(board->pid[3], getpid());
        ck_assert_int_ne(board->tid[3], gettid());
        ck_assert_int_eq(execute(4, ERROR, &result), -EIO);
        ck_assert_int_eq(execute(6, BLOCK, &result), 0);
        ck_assert_uint_eq(w.blocked_ns, 1000);
        ck_assert_int_eq(execute(7, BURN, &result), 0);
        ck_assert_uint_ge(w.seat->evidence.user_ns + w.seat->evidence.system_ns, 20 * NS_PER_MS);
        per_task_end(&w);
}
END_TEST

/* Three executions, two of them again; then it is given up, and the reason is known. */
START_TEST(task_that_kills_itself_is_given_up)
{
        uint64_t result = 77;

        begin(WORKER_PROCESS);
        ck_assert_int_eq(execute(0, _i == 0 ? ABORT : EXIT, &result), CONCD_CHILD_DIED);
        ck_assert_int_eq(w.failure_reason, _i == 0 ? FAILURE_SIGNAL : FAILURE_EXIT);
        ck_assert_int_eq(w.failure_value, _i == 0 ? SIGABRT : 3);
        ck_assert_uint_eq(board->executed[0], LEDGER_ATTEMPTS_MAX);
        ck_assert_uint_eq(ledger_attempts(w.line->word), LEDGER_ATTEMPTS_MAX);
        ck_assert_uint_eq(ledger_owner(w.line->word), w.slot_index + 1);
        ck_assert_uint_eq(ledger_progress(w.line->word), 0);
        ck_assert_uint_eq(s->run->reexecuted, LEDGER_ATTEMPTS_MAX - 1);
        ck_assert_uint_eq(s->run->task_deaths, 0);
        ck_assert_uint_eq(result, 77);
        per_task_end(&w);
}
END_TEST

START_TEST(death_from_outside_is_free)
{
        uint64_t result = 0;

        begin(WORKER_PROCESS);
        ck_assert_int_eq(execute(0, KILL_TWICE, &result), 0);
        ck_assert_uint_eq(result, fixture_result(0));
        ck_assert_uint_eq(board->executed[0], 3);
        ck_assert_uint_eq(ledger_attempts(w.line->word), 0);
        ck_assert_uint_eq(s->run->task_deaths, 2);
        ck_assert_uint_eq(s->run->reexecuted, 2);
        ck_assert_int_eq(execute(1, KILL_AND_STOP, &result), CONCD_CANCELLED);
        ck_assert_uint_eq(board->executed[1], 1);
        per_task_end(&w);
}
END_TEST

/* ── all at once ── */

static struct ledger_sum
sum_of_line(void)
{
        struct ledger_sum sum;

        ledger_sum(s->ledger, &s->run->spec.geometry, &sum);
        return sum;
}

static bool
execute_all(enum worker_kind kind)
{
        w.kind = kind;
        return at_once_execute(&w, 0, COUNT);
}

static enum worker_kind
kind_of(int i)
{
        return i == 0 ? WORKER_PROCESS : WORKER_THREAD;
}

START_TEST(all_at_once_count_once)
{
        uint64_t missing = fixture_result(3) + fixture_result(7);

        board->deeds[3] = ERROR;
        board->deeds[7] = WRONG;
        board->deeds[9] = BLOCK;
        ck_assert(execute_all(kind_of(_i)));
        ck_assert_uint_eq(sum_of_line().done, COUNT);
        ck_assert_uint_eq(sum_of_line().failed, 2);
        ck_assert_uint_eq(sum_of_line().wrong, 1);
        ck_assert_uint_eq(sum_of_line().acc + missing, fixture_sum(COUNT));
        ck_assert_uint_eq(ledger_owner(w.line->word), 0);
        ck_assert_uint_eq(w.blocked_ns, 1000);
        ck_assert_uint_eq(w.seat->latency.samples, COUNT);
        for (int i = 0; i < COUNT; i++) {
                ck_assert_uint_eq(board->executed[i], 1);
                ck_assert_int_ne(board->tid[i], gettid());
                ck_assert(_i == 1 || board->pid[i] != getpid());
        }
}
END_TEST

START_TEST(all_at_once_goes_on_where_it_was)
{
        struct ledger_sum sum;
        uint64_t owner = ledger_open(w.line, &sum);

        for (uint64_t i = 0; i < 5; i++) {
                sum.acc += fixture_result(i);
                ledger_commit(w.line, owner, COUNT, &sum);
        }
        ck_assert(execute_all(kind_of(_i)));
        ck_assert_uint_eq(sum_of_line().done, COUNT);
        ck_assert_uint_eq(sum_of_line().acc, fixture_sum(COUNT));
        for (int i = 0; i < COUNT; i++)
                ck_assert_uint_eq(board->executed[i], i >= 5);
}
END_TEST

START_TEST(all_at_once_ends_with_a_cancelled_task)
{
        board->deeds[6] = CANCEL;
        ck_assert(!execute_all(kind_of(_i)));
        ck_assert_uint_eq(sum_of_line().done, 6);
        ck_assert_uint_eq(sum_of_line().acc, fixture_sum(6));
        ck_assert_uint_eq(ledger_owner(w.line->word), w.slot_index + 1); /* released by the task loop */
}
END_TEST

START_TEST(all_at_once_begins_nothing_when_stopped)
{
        s->run->attention = ATTENTION_FINISH;
        ck_assert(!execute_all(kind_of(_i)));
        ck_assert_uint_eq(sum_of_line().done, 0);
        for (int i = 0; i < COUNT; i++)
                ck_assert_uint_eq(board->executed[i], 0);
}
END_TEST

START_TEST(processes_that_die_do_not_disturb_the_others)
{
        uint64_t missing = fixture_result(2) + fixture_result(4);

        board->deeds[2] = ABORT;
        board->deeds[4] = EXIT;
        board->deeds[5] = KILL_TWICE;
        ck_assert(execute_all(WORKER_PROCESS));
        ck_assert_uint_eq(sum_of_line().done, COUNT);
        ck_assert_uint_eq(sum_of_line().failed, 2);
        ck_assert_uint_eq(sum_of_line().acc + missing, fixture_sum(COUNT));
        ck_assert_uint_eq(board->executed[2], 3);
        ck_assert_uint_eq(board->executed[4], 3);
        ck_assert_uint_eq(board->executed[5], 3);
        ck_assert_uint_eq(board->executed[6], 1);
        ck_assert_uint_eq(s->run->reexecuted, 2 + 2 + 2);
        ck_assert_uint_eq(s->run->task_deaths, 2);
        ck_assert_uint_eq(s->run->n_failures, 2);
        ck_assert_uint_eq(s->run->failures[0].task, 2);
        ck_assert_uint_eq(s->run->failures[0].reason, FAILURE_SIGNAL);
        ck_assert_int_eq(s->run->failures[0].value, SIGABRT);
        ck_assert_uint_eq(s->run->failures[1].reason, FAILURE_EXIT);
        ck_assert_int_eq(s->run->failures[1].value, 3);
}
END_TEST

/* Threads whose task killed the host too often are not begun again. */
START_TEST(poisonous_task_is_not_begun)
{
        s->run->poison[0] = (struct poison){.task = 8, .attempts = 3, .reason = FAILURE_SIGNAL, .value = SIGSEGV};
        s->run->poison[1] = (struct poison){.task = 9, .attempts = 2, .reason = FAILURE_SIGNAL, .value = SIGSEGV};
        s->run->n_poison = 2;
        ck_assert(execute_all(WORKER_THREAD));
        ck_assert_uint_eq(board->executed[8], 0);
        ck_assert_uint_eq(board->executed[9], 1);
        ck_assert_uint_eq(sum_of_line().done, COUNT);
        ck_assert_uint_eq(sum_of_line().failed, 1);
        ck_assert_uint_eq(sum_of_line().acc + fixture_result(8), fixture_sum(COUNT));
        ck_assert_uint_eq(s->run->failures[0].task, 8);
        ck_assert_int_eq(s->run->failures[0].value, SIGSEGV);
        ck_assert_uint_eq(w.seat->latency.samples, COUNT - 1);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("task_child");
        TCase *tc = tcase_create("one by one"), *all = tcase_create("all at once");

        tcase_set_timeout(tc, 30);
        tcase_set_timeout(all, 30);
        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_checked_fixture(all, setup, teardown);
        tcase_add_test(tc, task_has_a_process_of_its_own);
        tcase_add_test(tc, task_has_a_thread_of_its_own);
        tcase_add_loop_test(tc, task_that_kills_itself_is_given_up, 0, 2);
        tcase_add_test(tc, death_from_outside_is_free);
        tcase_add_loop_test(all, all_at_once_count_once, 0, 2);
        tcase_add_loop_test(all, all_at_once_goes_on_where_it_was, 0, 2);
        tcase_add_loop_test(all, all_at_once_ends_with_a_cancelled_task, 0, 2);
        tcase_add_loop_test(all, all_at_once_begins_nothing_when_stopped, 0, 2);
        tcase_add_test(all, processes_that_die_do_not_disturb_the_others);
        tcase_add_test(all, poisonous_task_is_not_begun);
        suite_add_tcase(suite, tc);
        suite_add_tcase(suite, all);
        return run_suite(suite);
}
