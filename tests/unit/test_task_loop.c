/* SPDX-License-Identifier: MIT */
/* From claim to commit: which tasks count, how, and for whom; and that sampling takes what it should. */
#include "worker/task_loop.h"

#include "shared/base.h"
#include "worker_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static struct worker_setup setup_of_all;
static struct segment *s = &setup_of_all.segment;

static void
setup(void)
{
        fixture_segment(s);
}

static void
teardown(void)
{
        segment_unmap(s);
}

/* ── a workload that does what params tell ── */

enum { PARAM_FAIL_EVERY, PARAM_WRONG_EVERY, PARAM_STOP_AT, PARAM_CANCEL_AT };

static int
task_run(struct concd_ctx *ctx, uint64_t index, uint64_t *ret_result)
{
        if (ctx->params[PARAM_CANCEL_AT] && index == (uint64_t)ctx->params[PARAM_CANCEL_AT])
                return CONCD_CANCELLED;
        if (ctx->params[PARAM_STOP_AT] && index == (uint64_t)ctx->params[PARAM_STOP_AT])
                __atomic_fetch_or(&s->run->attention, ATTENTION_FINISH, __ATOMIC_RELAXED);
        *ret_result = fixture_result(index);
        if (ctx->params[PARAM_FAIL_EVERY] && index % (uint64_t)ctx->params[PARAM_FAIL_EVERY] == 0)
                return -EIO;
        if (ctx->params[PARAM_WRONG_EVERY] && index % (uint64_t)ctx->params[PARAM_WRONG_EVERY] == 0)
                *ret_result += 1;
        return 0;
}

static int
task_verify(struct concd_ctx *ctx, uint64_t index, uint64_t result)
{
        (void)ctx;
        return result == fixture_result(index) ? 0 : -EBADMSG;
}

static const struct concd_workload workload = {.name = "test", .run = task_run, .verify = task_verify};

/* ── the loop ── */

#define COUNT UINT64_C(50000)

static uint64_t
owned_lines(void)
{
        uint64_t n = 0;

        for (uint32_t i = 0; i < s->run->spec.geometry.n_lines; i++)
                n += ledger_owner(atomic_load(&s->ledger[i].word)) != 0;
        return n;
}

static struct ledger_sum
sum_of_all(void)
{
        struct ledger_sum sum;

        ledger_sum(s->ledger, &s->run->spec.geometry, &sum);
        return sum;
}

START_TEST(one_worker_does_everything_once)
{
        uint64_t begin = clock_now_ns();
        struct worker w;

        fixture_run(s, COUNT, 0, 1);
        fixture_worker(&w, &setup_of_all, &workload, 0);
        task_loop_run(&w);
        ck_assert_uint_eq(sum_of_all().done, COUNT);
        ck_assert_uint_eq(sum_of_all().acc, fixture_sum(COUNT));
        ck_assert_uint_eq(sum_of_all().failed, 0);
        ck_assert_uint_eq(s->seats[0].tasks, COUNT);
        ck_assert_uint_eq(s->seats[0].claim, 0);
        ck_assert_uint_ge(s->seats[0].commit_ns, begin);
        ck_assert_uint_le(s->seats[0].commit_ns, clock_now_ns());
        ck_assert_uint_gt(s->seats[0].latency.samples, 0);
        ck_assert_uint_eq(owned_lines(), 0);
}
END_TEST

START_TEST(failures_are_counted_by_kind)
{
        uint64_t failed = 0, wrong = 0, missing = 0;
        struct worker w;

        fixture_run(s, COUNT, 0, 1);
        s->run->spec.params[PARAM_FAIL_EVERY] = 1000;
        s->run->spec.params[PARAM_WRONG_EVERY] = 700;
        for (uint64_t i = 0; i < COUNT; i++) {
                bool is_wrong = i % 700 == 0 && i % 1000 != 0;

                wrong += is_wrong;
                failed += is_wrong || i % 1000 == 0;
                missing += is_wrong || i % 1000 == 0 ? fixture_result(i) : 0;
        }
        fixture_worker(&w, &setup_of_all, &workload, 0);
        task_loop_run(&w);
        ck_assert_uint_eq(sum_of_all().done, COUNT);
        ck_assert_uint_eq(sum_of_all().failed, failed);
        ck_assert_uint_eq(sum_of_all().wrong, wrong);
        ck_assert_uint_eq(sum_of_all().acc + missing, fixture_sum(COUNT));
        ck_assert_uint_eq(s->run->n_failures, FAILURES_MAX);
        for (uint32_t i = 0; i < FAILURES_MAX; i++) {
                const struct failure *f = &s->run->failures[i];
                bool error = f->task % 1000 == 0;

                ck_assert_uint_eq(f->written, 1);
                ck_assert(error || f->task % 700 == 0);
                ck_assert_uint_eq(f->reason, error ? FAILURE_ERROR : FAILURE_WRONG);
                ck_assert_int_eq(f->value, error ? EIO : 0);
                ck_assert_uint_eq(f->seat, 0);
        }
}
END_TEST

/* Looks from within each task at what is committed: were the worker killed now, this is what it would leave. */
static int
task_look(struct concd_ctx *ctx, uint64_t index, uint64_t *ret_result)
{
        static struct ledger_sum expected;
        struct ledger_sum sum = sum_of_all();
        int r;

        if (index == 0)
                expected = (struct ledger_sum){0};
        ck_assert_msg(sum.done == index && sum.acc == expected.acc && sum.failed == expected.failed &&
                              sum.wrong == expected.wrong,
                      "before task %llu: %llu done, %llu failed, %llu wrong", (unsigned long long)index,
                      (unsigned long long)sum.done, (unsigned long long)sum.failed, (unsigned long long)sum.wrong);
        r = task_run(ctx, index, ret_result);
        if (r == 0 && task_verify(ctx, index, *ret_result) == 0) {
                expected.acc += *ret_result;
        } else {
                expected.failed++;
                expected.wrong += r == 0;
        }
        return r;
}

static const struct concd_workload looking = {.name = "look", .run = task_look, .verify = task_verify};

START_TEST(every_commit_is_whole)
{
        /* Failures alone, side by side, at even and odd places, and between them tasks that are fine. */
        static const int64_t every[][2] = {{0, 0}, {1, 0}, {0, 1}, {2, 3}, {3, 5}, {7, 11}, {100, 33}};
        struct worker w;

        fixture_run(s, 2000, 2000, 1);
        s->run->spec.params[PARAM_FAIL_EVERY] = every[_i][0];
        s->run->spec.params[PARAM_WRONG_EVERY] = every[_i][1];
        fixture_worker(&w, &setup_of_all, &looking, 0);
        task_loop_run(&w);
        ck_assert_uint_eq(sum_of_all().done, 2000);
}
END_TEST

/* Told to finish within a task: that one counts. Cancelled: it does not. The line goes back. */
START_TEST(stop_keeps_what_is_done)
{
        bool cancel = _i == 1;
        struct worker w;

        fixture_run(s, 100, 40, 1);
        s->run->spec.params[cancel ? PARAM_CANCEL_AT : PARAM_STOP_AT] = 50;
        fixture_worker(&w, &setup_of_all, &workload, 0);
        task_loop_run(&w);
        ck_assert_uint_eq(sum_of_all().done, cancel ? 50 : 51);
        ck_assert_uint_eq(sum_of_all().acc, fixture_sum(cancel ? 50 : 51));
        ck_assert_uint_eq(s->seats[0].tasks, cancel ? 50 : 51);
        ck_assert_uint_eq(owned_lines(), 0);
        ck_assert_uint_gt(s->seats[0].commit_ns, 0);
        /* Another one goes on from there. */
        s->run->attention = 0;
        memset(s->run->spec.params, 0, sizeof(s->run->spec.params));
        fixture_worker(&w, &setup_of_all, &workload, 0);
        task_loop_run(&w);
        ck_assert_uint_eq(sum_of_all().done, 100);
        ck_assert_uint_eq(sum_of_all().acc, fixture_sum(100));
        ck_assert_uint_eq(s->seats[0].tasks, 100);
}
END_TEST

START_TEST(lines_of_others_are_passed_over)
{
        struct worker w;

        fixture_run(s, 100, 10, 1);
        ck_assert(ledger_claim(&s->ledger[3], 10, 99));
        fixture_worker(&w, &setup_of_all, &workload, 0);
        task_loop_run(&w);
        ck_assert_uint_eq(sum_of_all().done, 90);
        ck_assert_uint_eq(ledger_owner(s->ledger[3].word), 99);
}
END_TEST

static void *
loop_main(void *arg)
{
        task_loop_run(arg);
        return NULL;
}

START_TEST(workers_share_the_tasks)
{
        struct worker w[FIXTURE_WORKERS];
        pthread_t threads[FIXTURE_WORKERS];
        uint64_t tasks = 0;

        fixture_run(s, 4 * COUNT, 0, FIXTURE_WORKERS);
        for (uint32_t i = 0; i < FIXTURE_WORKERS; i++) {
                fixture_worker(&w[i], &setup_of_all, &workload, i);
                ck_assert_int_eq(pthread_create(&threads[i], NULL, loop_main, &w[i]), 0);
        }
        for (uint32_t i = 0; i < FIXTURE_WORKERS; i++) {
                pthread_join(threads[i], NULL);
                tasks += s->seats[i].tasks;
        }
        ck_assert_uint_eq(tasks, 4 * COUNT);
        ck_assert_uint_eq(sum_of_all().done, 4 * COUNT);
        ck_assert_uint_eq(sum_of_all().acc, fixture_sum(4 * COUNT));
}
END_TEST

START_TEST(commit_judges_the_result)
{
        struct ledger_sum sum;
        struct worker w;
        uint64_t owner;

        fixture_run(s, 10, 10, 1);
        fixture_worker(&w, &setup_of_all, &workload, 0);
        w.line = &s->ledger[0];
        w.failure_reason = FAILURE_SIGNAL;
        w.failure_value = SIGSEGV;
        ck_assert(ledger_claim(w.line, 10, 5));
        owner = ledger_open(w.line, &sum);
        task_loop_commit(&w, owner, 10, 0, 0, fixture_result(0), &sum);
        task_loop_commit(&w, owner, 10, 1, 0, fixture_result(0), &sum);
        task_loop_commit(&w, owner, 10, 2, -ENOMEM, fixture_result(2), &sum);
        task_loop_commit(&w, owner, 10, 3, CONCD_CHILD_DIED, 0, &sum);
        ck_assert_uint_eq(sum_of_all().done, 4);
        ck_assert_uint_eq(sum_of_all().acc, fixture_result(0));
        ck_assert_uint_eq(sum_of_all().failed, 3);
        ck_assert_uint_eq(sum_of_all().wrong, 1);
        ck_assert_uint_eq(s->run->n_failures, 3);
        ck_assert_uint_eq(s->run->failures[0].reason, FAILURE_WRONG);
        ck_assert_uint_eq(s->run->failures[1].reason, FAILURE_ERROR);
        ck_assert_int_eq(s->run->failures[1].value, ENOMEM);
        ck_assert_uint_eq(s->run->failures[2].reason, FAILURE_SIGNAL);
        ck_assert_int_eq(s->run->failures[2].value, SIGSEGV);
}
END_TEST

/* ── failures ── */

static void *
note_main(void *arg)
{
        uint32_t seat = (uint32_t)(uintptr_t)arg;

        for (uint64_t i = 0; i < 20; i++)
                task_loop_note_failure(s->run, seat, 100 * seat + i, FAILURE_EXIT, (int)(100 * seat + i));
        return NULL;
}

START_TEST(first_failures_are_noted_whole)
{
        pthread_t threads[4];

        for (uintptr_t i = 0; i < 4; i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, note_main, (void *)i), 0);
        for (int i = 0; i < 4; i++)
                pthread_join(threads[i], NULL);
        ck_assert_uint_eq(s->run->n_failures, FAILURES_MAX);
        for (uint32_t i = 0; i < FAILURES_MAX; i++) {
                const struct failure *f = &s->run->failures[i];

                ck_assert_uint_eq(f->written, 1);
                ck_assert_uint_eq(f->task / 100, f->seat);
                ck_assert_uint_eq((uint64_t)f->value, f->task);
                for (uint32_t k = 0; k < i; k++)
                        ck_assert_uint_ne(f->task, s->run->failures[k].task);
        }
}
END_TEST

/* ── settling a dead worker's seat ── */

/* The worker had done 100 tasks, claimed a line at 5 and was killed with it at 9, by when it had done what a row
 * says. */
static const struct {
        const char *where;
        uint32_t claim; /* line + 1 */
        uint64_t claim_progress, tasks, tasks_next, line_progress, expected;
} windows[] = {
        {"never began", 0, 0, 0, 0, 0, 0},
        {"first claim, not told yet", 0, 0, 0, 0, 9, 0},
        {"first claim", 2, 5, 0, 0, 9, 4},
        {"claimed, not told yet", 0, 77, 100, 100, 5, 100},
        {"progress told, claim not", 0, 5, 100, 100, 5, 100},
        {"claim told, nothing done", 2, 5, 100, 100, 5, 100},
        {"at work", 2, 5, 100, 100, 9, 104},
        {"line complete, its owner cleared", 2, 5, 100, 100, 10, 105},
        {"next count written", 2, 5, 100, 104, 9, 104},
        {"claim taken back", 0, 5, 100, 104, 9, 104},
        {"count written", 0, 5, 104, 104, 9, 104},
        {"claim beyond the ledger", 5, 5, 100, 100, 9, 100},
        {"claim far beyond the ledger", UINT32_MAX, 5, 100, 100, 9, 100},
};

START_TEST(settled_count_is_exact)
{
        struct seat *seat = &s->seats[0];

        fixture_run(s, 40, 10, 1);
        seat->claim = windows[_i].claim;
        seat->claim_progress = windows[_i].claim_progress;
        seat->tasks = windows[_i].tasks;
        seat->tasks_next = windows[_i].tasks_next;
        atomic_store(&s->ledger[1].word,
                     ledger_pack(windows[_i].line_progress == 10 ? 0 : 7, 0, windows[_i].line_progress));
        for (int again = 0; again < 2; again++) {
                task_loop_settle(seat, s->ledger, s->run->spec.geometry.n_lines);
                ck_assert_msg(seat->tasks == windows[_i].expected, "%s: %lu", windows[_i].where,
                              (unsigned long)seat->tasks);
                if (windows[_i].claim <= 4)
                        ck_assert_uint_eq(seat->claim, 0);
        }
}
END_TEST

#define STORM UINT64_C(65536)
#define KILLS 50

static pid_t
worker_fork(uint32_t i)
{
        pid_t pid = fork();
        struct worker w;

        ck_assert_int_ge(pid, 0);
        if (pid > 0)
                return pid;
        fixture_worker(&w, &setup_of_all, &workload, i);
        task_loop_run(&w);
        _exit(0);
}

/* Reaped, then its seat settled, then its lines freed: the daemon's order. */
static bool
worker_bury(uint32_t i, pid_t pid)
{
        uint8_t verdict[1 + 2 * FIXTURE_WORKERS] = {0};
        int status;

        kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        task_loop_settle(&s->seats[i], s->ledger, s->run->spec.geometry.n_lines);
        verdict[segment_process_slot(s, i)] = LEDGER_FREE;
        ledger_recover(s->ledger, &s->run->spec.geometry, verdict, NULL, NULL);
        return WIFSIGNALED(status);
}

/* A line for each task, so that many are killed between two claims. */
START_TEST(killed_workers_leave_exact_counts)
{
        uint64_t random = (uint64_t)getpid(), expected = fixture_sum(STORM), tasks;
        unsigned kills = 0;
        pid_t pid[3];

        segment_unmap(s);
        fixture_segment_of(s, STORM);
        while (kills < KILLS) {
                fixture_run(s, STORM, 1, 3);
                memset(s->seats, 0, 3 * sizeof(*s->seats));
                for (uint32_t i = 0; i < 3; i++)
                        pid[i] = worker_fork(i);
                while (sum_of_all().done < STORM) {
                        uint32_t victim = (uint32_t)fixture_random(&random) % 3;

                        usleep((useconds_t)(fixture_random(&random) % 1000));
                        kills += worker_bury(victim, pid[victim]);
                        pid[victim] = worker_fork(victim);
                }
                tasks = 0;
                for (uint32_t i = 0; i < 3; i++) {
                        worker_bury(i, pid[i]);
                        tasks += s->seats[i].tasks;
                }
                ck_assert_uint_eq(tasks, STORM);
                ck_assert_uint_eq(sum_of_all().done, STORM);
                ck_assert_uint_eq(sum_of_all().acc, expected);
        }
}
END_TEST

/* ── sampling ── */

#define OVERHEAD 40
#define PROBES   32

START_TEST(overhead_is_taken_off)
{
        struct seat *seat = &s->seats[0];
        struct sampler sampler;

        sampler_init(&sampler, OVERHEAD, 1);
        ck_assert_uint_eq(sampler.countdown, 1);
        sampler_record(&sampler, seat, OVERHEAD + 7);
        ck_assert_uint_eq(seat->latency.max, 7);
        sampler_record(&sampler, seat, OVERHEAD - 1);
        ck_assert_uint_eq(seat->latency.samples, 2);
        ck_assert_uint_eq(seat->latency.sum, 7);
}
END_TEST

START_TEST(long_tasks_are_all_timed)
{
        struct seat *seat = &s->seats[0];
        struct sampler sampler;

        sampler_init(&sampler, OVERHEAD, 1);
        for (int i = 1; i <= 10 * PROBES; i++) {
                sampler_record(&sampler, seat, NS_PER_MS);
                ck_assert_uint_eq(sampler.countdown, 1);
                ck_assert_uint_eq(seat->latency.samples, (uint64_t)i);
                ck_assert_uint_eq(seat->sample_every, 1);
        }
}
END_TEST

/* Tasks of 10 ns, timing one of which costs three readings of the clock: 1 % is every 1200th, so every 2048th. */
START_TEST(short_tasks_are_timed_now_and_then)
{
        struct seat *seat = &s->seats[0];
        uint64_t passed = 0, least = UINT64_MAX, most = 0;
        struct sampler sampler;

        sampler_init(&sampler, OVERHEAD, 1);
        for (int i = 0; i < PROBES - 1; i++) {
                sampler_record(&sampler, seat, OVERHEAD + 10);
                ck_assert_uint_eq(sampler.countdown, 1);
        }
        for (int i = 0; i < 2000; i++) {
                sampler_record(&sampler, seat, OVERHEAD + 10);
                ck_assert_uint_eq(seat->sample_every, 2048);
                ck_assert_uint_ge(sampler.countdown, 1);
                ck_assert_uint_le(sampler.countdown, 2 * 2048 - 1);
                least = MIN(least, sampler.countdown);
                most = MAX(most, sampler.countdown);
                passed += sampler.countdown;
        }
        ck_assert_uint_gt(passed, 2000 * 2048 * UINT64_C(95) / 100);
        ck_assert_uint_lt(passed, 2000 * 2048 * UINT64_C(105) / 100);
        ck_assert_uint_lt(least, 100);
        ck_assert_uint_gt(most, 4000);
}
END_TEST

/* Somebody else had the CPU during two of the first tasks. */
START_TEST(disturbed_probe_is_believed_in_the_main)
{
        struct seat *seat = &s->seats[0];
        struct sampler sampler;

        sampler_init(&sampler, OVERHEAD, 1);
        for (int i = 0; i < PROBES; i++)
                sampler_record(&sampler, seat, OVERHEAD + (i == 3 || i == 20 ? 10 * NS_PER_MS : 10));
        ck_assert_uint_eq(seat->sample_every, 2048);
}
END_TEST

START_TEST(distance_is_bounded)
{
        struct seat *seat = &s->seats[0];
        struct sampler sampler;

        sampler_init(&sampler, NS_PER_MS, 1);
        for (int i = 0; i < PROBES; i++)
                sampler_record(&sampler, seat, 0);
        ck_assert_uint_eq(seat->sample_every, 65536);
}
END_TEST

/* The probe's samples are the coldest: they go as soon as there are others, but a run never ends without any. */
START_TEST(probe_is_thrown_away)
{
        struct seat *seat = &s->seats[0];
        struct sampler sampler;

        sampler_init(&sampler, OVERHEAD, 1);
        for (int i = 0; i < PROBES; i++)
                sampler_record(&sampler, seat, OVERHEAD + 100);
        for (int i = 0; i < 2 * PROBES; i++) {
                sampler_record(&sampler, seat, OVERHEAD + 10);
                ck_assert_uint_gt(seat->latency.samples, 0);
        }
        ck_assert_uint_eq(seat->latency.max, 10);
}
END_TEST

START_TEST(workers_sample_different_tasks)
{
        struct seat *seat = &s->seats[0];
        struct sampler a, b;
        unsigned same = 0;

        sampler_init(&a, OVERHEAD, 1);
        sampler_init(&b, OVERHEAD, 2);
        for (int i = 0; i < 1000; i++) {
                sampler_record(&a, seat, OVERHEAD + 10);
                sampler_record(&b, seat, OVERHEAD + 10);
                same += i > PROBES && a.countdown == b.countdown;
        }
        ck_assert_uint_lt(same, 50);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("task_loop");
        TCase *loop = tcase_create("loop"), *settle = tcase_create("settle"), *sampler = tcase_create("sampler");
        TCase *cases[] = {loop, settle, sampler};

        tcase_add_test(loop, one_worker_does_everything_once);
        tcase_add_test(loop, failures_are_counted_by_kind);
        tcase_add_loop_test(loop, every_commit_is_whole, 0, 7);
        tcase_add_loop_test(loop, stop_keeps_what_is_done, 0, 2);
        tcase_add_test(loop, lines_of_others_are_passed_over);
        tcase_add_test(loop, workers_share_the_tasks);
        tcase_add_test(loop, commit_judges_the_result);
        tcase_add_test(loop, first_failures_are_noted_whole);
        tcase_add_loop_test(settle, settled_count_is_exact, 0, ARRAY_SIZE(windows));
        tcase_add_test(settle, killed_workers_leave_exact_counts);
        tcase_add_test(sampler, overhead_is_taken_off);
        tcase_add_test(sampler, long_tasks_are_all_timed);
        tcase_add_test(sampler, short_tasks_are_timed_now_and_then);
        tcase_add_test(sampler, disturbed_probe_is_believed_in_the_main);
        tcase_add_test(sampler, distance_is_bounded);
        tcase_add_test(sampler, probe_is_thrown_away);
        tcase_add_test(sampler, workers_sample_different_tasks);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                tcase_set_timeout(cases[i], 60);
                tcase_add_checked_fixture(cases[i], setup, teardown);
                suite_add_tcase(suite, cases[i]);
        }
        return run_suite(suite);
}
