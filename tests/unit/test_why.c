/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/why.h"
#include "daemon/worker/mode.h"
#include "shared/base.h"

#include "run_suite.h"

#include <check.h>
#include <math.h>
#include <string.h>

#define MS UINT64_C(1000000)

enum { SEQUENTIAL, PROCESS, THREAD, GIL };

/* A comparison of up to four variants; every case changes what it is about. */
static struct why_input in[4];
static struct why why;

/*
 * 11 rounds of 1000 tasks of 750 µs of CPU time on two CPUs; the figures of the modes are those that were measured with
 * calc on such a machine.
 */
static struct why_input
variant(uint32_t mode, uint32_t workers, uint64_t wall_ms, double cores, double speed_up)
{
        struct why_input v = {
                .mode = mode,
                .workers = workers,
                .cpus = 2,
                .rounds = 11,
                .done = 11000,
                .evidence_rounds = 11,
                .tasks = 11000,
                .wall_ns = 11 * wall_ms * MS,
                .evidence = {.user_ns = (uint64_t)(11.0 * (double)(wall_ms * MS) * cores)},
                .task_p50_ns = 750000,
                .s_per_task = (double)wall_ms * 1e-6,
                .speed_up = speed_up,
                .range = {speed_up * 0.99, speed_up * 1.01},
                .chunk = 8,
        };

        return v;
}

static void
setup(void)
{
        in[0] = variant(SEQUENTIAL, 1, 752, 1, 1);
        in[0].is_reference = true;
        in[0].range = (struct interval){1, 1};
        in[1] = variant(PROCESS, 2, 381, 1.98, 1.97);
        in[2] = variant(THREAD, 2, 380, 1.98, 1.98);
        in[3] = variant(GIL, 2, 779, 1, 0.97);
        in[3].lock_wait_ns = in[3].wall_ns / 100 * 99;
}

static const char *
explain(uint32_t n, uint32_t i)
{
        memset(&why, 'x', sizeof(why));
        why_explain(in, n, i, true, &why);
        ck_assert_ptr_nonnull(memchr(why.text, 0, WHY_TEXT_MAX));
        return why.text;
}

static void
expect(uint32_t i, const char *rule, const char *text)
{
        explain(4, i);
        ck_assert_str_eq(why.rule, rule);
        if (text)
                ck_assert_str_eq(why.text, text);
}

static void
expect_not(uint32_t i, const char *rule)
{
        explain(4, i);
        ck_assert_str_ne(why.rule, rule);
}

START_TEST(four_modes_tell_their_story)
{
        expect(0, "one-worker", "one worker, computing 100 % of the time");
        expect(1, "cores-full", "both cores busy, nothing shared");
        expect(2, "as-process", "as process: C threads share no lock here");
        expect(3, "interpreter-lock",
               "while one worker ran the other waited for the interpreter lock 99 % of the time");
}
END_TEST

/* ── each rule, with what it says, and its neighbour ── */

/* Makes variants for which in[i] comes under the rule; with `off`, ones on the other side of the threshold. */
struct rule_case {
        const char *rule;
        void (*arrange)(bool off);
        uint32_t i;
        const char *text;
};

static void
arrange_nothing(bool off)
{
        in[1].evidence_rounds = in[1].rounds = off ? 1 : 0;
}

static void
arrange_nothing_done(bool off)
{
        in[1].tasks = off ? 1 : 0;
        in[1].failed = 0;
}

/* As after a takeover: the times are there, and nothing else. */
static void
lose_evidence(struct why_input *v)
{
        v->evidence_rounds = 0;
        v->tasks = v->wall_ns = v->lock_wait_ns = v->task_p50_ns = 0;
        memset(&v->evidence, 0, sizeof(v->evidence));
}

static void
arrange_evidence_lost(bool off)
{
        if (!off)
                lose_evidence(&in[3]);
}

static void
arrange_evidence_lost_round(bool off)
{
        arrange_evidence_lost(off);
        in[3].rounds = 1;
}

static void
arrange_failures(bool off)
{
        in[1].failed = off ? 0 : 3;
}

/* Failures of all rounds are known, whatever became of the evidence. */
static void
arrange_failures_alone(bool off)
{
        arrange_failures(off);
        lose_evidence(&in[1]);
}

static void
arrange_deaths(bool off)
{
        in[1].restarts = off ? 5 : 6;
}

static void
arrange_steal(bool off)
{
        in[3].steal_ns = in[3].wall_ns * 2 * (off ? 99 : 101) / 1000;
}

static void
arrange_deaths_taken_over(bool off)
{
        arrange_deaths(off);
        in[1].evidence_rounds = 5; /* the workers died in any of the 11 */
}

/* However short the time, a tick or two are no steal. */
static void
arrange_steal_ticks(bool off)
{
        in[3].wall_ns = 11 * 20 * MS;
        in[3].steal_ns = (off ? 49 : 50) * MS;
}

static void
arrange_same(bool off)
{
        in[1] = in[0];
        in[1].is_reference = false;
        in[1].range = (struct interval){0.988, 1.005};
        in[1].chunk_asked += off;
}

static void
arrange_same_parameters(bool off)
{
        arrange_same(false);
        in[1].params[CONCD_PARAMS_MAX - 1] += off;
}

static void
arrange_same_cpus(bool off)
{
        arrange_same(false);
        CPU_SET(1, &in[0].affinity);
        CPU_SET(off ? 2 : 1, &in[1].affinity);
}

static void
arrange_same_timeout(bool off)
{
        arrange_same(false);
        in[1].timeout_ns += off;
}

static void
arrange_same_count(bool off)
{
        arrange_same(false);
        in[1].count += off;
}

static void
arrange_same_duration(bool off)
{
        arrange_same(false);
        in[1].duration_ns += off;
}

static void
arrange_same_slower(bool off)
{
        arrange_same(off);
        in[1].speed_up = 0.9;
        in[1].range = (struct interval){0.88, 0.92};
}

static void
arrange_same_faster(bool off)
{
        arrange_same(off);
        in[1].speed_up = 1.1;
        in[1].range = (struct interval){1.08, 1.12};
}

static void
arrange_native(bool off)
{
        for (int i = 0; i < 4; i++)
                in[i].is_libc_native = true;
        if (off) {
                in[2] = in[3] = in[1];
        }
}

static void
arrange_native_gain(bool off)
{
        in[0] = in[1];
        in[1].is_libc_native = !off;
        in[1].s_per_task /= 2;
        in[1].speed_up *= 2;
        in[1].range = (struct interval){3.9, 4};
}

static void
arrange_native_equal(bool off)
{
        in[0] = in[1];
        in[1].is_libc_native = !off;
}

static void
arrange_native_slower(bool off)
{
        arrange_native_equal(off);
        in[1].s_per_task /= 0.8;
        in[1].speed_up *= 0.8;
        in[1].range = (struct interval){in[1].speed_up * 0.99, in[1].speed_up * 1.01};
}

/* Faster by far, but the interval says that it may be nothing. */
static void
arrange_native_unclear(bool off)
{
        arrange_native_equal(off);
        in[1].s_per_task /= 1.2;
        in[1].speed_up *= 1.2;
        in[1].range = (struct interval){1, 4};
}

/* The same, but an interval is wide, of the one or of the other. */
static void
arrange_native_wide(bool off)
{
        arrange_native_equal(off);
        in[1].range = (struct interval){1.6, 2.3};
}

static void
arrange_native_against_wide(bool off)
{
        arrange_native_equal(off);
        in[0].range = (struct interval){1.6, 2.3};
}

/* Twice as fast, but the one or the other had to wait for a CPU. */
static void
arrange_native_busy(bool off)
{
        arrange_native_gain(off);
        in[1].evidence.run_queue_wait_ns = in[1].wall_ns * 2 / 100 * 26;
}

static void
arrange_native_against_busy(bool off)
{
        arrange_native_gain(off);
        in[0].evidence.run_queue_wait_ns = in[0].wall_ns * 2 / 100 * 26;
}

/* Nothing is said of a ratio that there is not: of the variant, or of all. */
static void
arrange_native_no_time(bool off)
{
        arrange_native_equal(off);
        in[1].s_per_task = in[1].speed_up = 0;
        in[1].range = (struct interval){0, 0};
}

static void
arrange_native_no_ratio(bool off)
{
        arrange_native_equal(off);
        in[0].range = in[1].range = (struct interval){0, 0};
}

static void
arrange_lock(bool off)
{
        in[3].workers = 8;
        in[3].evidence.run_queue_wait_ns = in[3].wall_ns / 2;
        in[3].lock_wait_ns = in[3].wall_ns * 7 * (off ? 9 : 11) / 100;
}

static void
arrange_lock_quiet(bool off)
{
        arrange_lock(off);
        in[3].evidence.run_queue_wait_ns = in[3].wall_ns / 4;
}

static void
arrange_lock_busy_two(bool off)
{
        in[3].lock_wait_ns = in[3].wall_ns * (off ? 9 : 99) / 100;
        in[3].evidence.run_queue_wait_ns = in[3].wall_ns * 34 / 100;
}

static void
arrange_lock_only_gil(bool off)
{
        in[3].mode = off ? THREAD : GIL;
}

static void
arrange_lock_released(bool off)
{
        in[3].lock_wait_ns = in[3].wall_ns / 50;
        in[3].evidence.user_ns = in[3].wall_ns / 50;
        in[3].blocked_ns = in[3].wall_ns * 2 * (off ? 89 : 98) / 100;
}

static void
arrange_spawn(bool off)
{
        in[0] = in[1];
        in[1].spawn = SPAWN_PER_TASK;
        in[1].wall_ns = 11 * 665 * MS;
        in[1].evidence.user_ns = in[1].wall_ns / 100 * 167;
        in[1].evidence.system_ns = in[1].wall_ns / 100 * (off ? 0 : 30);
        if (off)
                in[1].evidence.user_ns = in[0].evidence.user_ns + in[1].wall_ns * 2 / 100 * 9;
}

static void
arrange_spawn_thread(bool off)
{
        arrange_spawn(off);
        in[0] = in[2]; /* what process costs is not asked when there is a pool of threads */
        in[1].mode = THREAD;
}

static void
arrange_spawn_at_once(bool off)
{
        arrange_spawn(off);
        in[1].spawn = SPAWN_AT_ONCE;
        in[1].workers = 1;
        if (off)
                in[1].evidence.user_ns = in[0].evidence.user_ns / 100 * 105;
}

static void
arrange_spawn_alone(bool off)
{
        arrange_spawn(false);
        for (int i = 0; i < 4; i++)
                in[i].spawn = SPAWN_PER_TASK;
        if (off)
                in[1].evidence.system_ns = in[1].wall_ns * 2 / 100 * 9;
}

static void
arrange_busy(bool off)
{
        in[1].evidence.run_queue_wait_ns = in[1].wall_ns * 2 * (off ? 9 : 11) / 100;
}

static void
arrange_busy_alone(bool off)
{
        in[0].evidence.run_queue_wait_ns = in[0].wall_ns * (off ? 9 : 11) / 100;
}

static void
arrange_one(bool off)
{
        in[0].workers = off ? 2 : 1;
        in[0].mode = PROCESS;
}

static void
arrange_one_blocked(bool off)
{
        arrange_one(off);
        in[0].blocked_ns = in[0].wall_ns / 100 * 98;
        in[0].evidence.user_ns = in[0].wall_ns / 50;
}

static void
arrange_one_partly(bool off)
{
        arrange_one(off);
        in[0].blocked_ns = in[0].wall_ns / 100 * 40;
        in[0].evidence.user_ns = in[0].wall_ns / 100 * 59;
}

static void
arrange_oversubscribed(bool off)
{
        in[1].workers = 8;
        in[1].evidence.run_queue_wait_ns = in[1].wall_ns * 8 * (off ? 9 : 74) / 100;
}

static void
arrange_quota(bool off)
{
        in[1].cpus = 1.5;
        in[1].evidence.run_queue_wait_ns = in[1].wall_ns * 2 * (off ? 9 : 25) / 100;
}

static void
arrange_io(bool off)
{
        in[1].evidence.user_ns = in[1].wall_ns / 50;
        in[1].blocked_ns = in[1].wall_ns * 2 * (off ? 89 : 98) / 100;
}

static void
arrange_io_at_once(bool off)
{
        in[1].spawn = SPAWN_AT_ONCE;
        in[1].workers = 1;
        in[1].evidence.user_ns = in[1].wall_ns;
        in[1].blocked_ns = in[1].wall_ns * (off ? 8 : 19); /* of the sum of all, 19 / 20 */
        in[0].evidence.user_ns = in[0].wall_ns;
}

/* Threads take twice as long, mostly in sleep, and fault. */
static void
arrange_slow_threads(void)
{
        in[2] = variant(THREAD, 2, 762, 1.05, 0.99);
        in[2].evidence.minor_faults = 30000 * (in[2].evidence.user_ns / (1000 * MS));
}

static void
arrange_memory_map(bool off)
{
        arrange_slow_threads();
        if (off)
                in[2].evidence.minor_faults = in[2].evidence.minor_faults * 8 / 10;
}

static void
arrange_memory_map_slower(bool off)
{
        arrange_slow_threads();
        if (off) /* processes are as slow */
                in[1] = variant(PROCESS, 2, 760, 1.05, 0.99);
}

static void
arrange_shared_wait(bool off)
{
        arrange_slow_threads();
        in[2].evidence.minor_faults = 0;
        in[1].evidence.voluntary = in[1].tasks / 20;
        in[2].evidence.voluntary = in[2].tasks / 100 * (off ? 14 : 125);
}

static void
arrange_partly(bool off)
{
        in[1].evidence.user_ns = in[1].wall_ns * 2 / 100 * 60;
        in[1].blocked_ns = in[1].wall_ns * 2 / 100 * (off ? 19 : 38);
        in[1].evidence.voluntary = 0;
}

static void
arrange_short_rounds(bool off)
{
        in[1].wall_ns = 11 * MS * (off ? 11 : 9) / 10;
        in[1].evidence.user_ns = in[1].wall_ns;
}

static void
arrange_short_rounds_full(bool off)
{
        arrange_short_rounds(false);
        in[1].evidence.user_ns = in[1].wall_ns * 2 / 100 * (off ? 91 : 89);
}

/* Short are the rounds that the evidence is of, however many others there were. */
static void
arrange_short_rounds_taken_over(bool off)
{
        in[1].evidence_rounds = 5;
        in[1].wall_ns = 5 * MS * (off ? 11 : 9) / 10;
        in[1].tasks = 5000;
        in[1].evidence.user_ns = in[1].wall_ns;
}

static void
arrange_few_tasks(bool off)
{
        in[1].chunk = 1;
        in[1].evidence.user_ns = in[1].wall_ns * 2 / 100 * 82;
        in[1].tasks = 11 * (off ? 20 : 3);
}

/* 20 tasks in each of the rounds that the evidence is of. */
static void
arrange_few_tasks_taken_over(bool off)
{
        in[1].chunk = 1;
        in[1].evidence_rounds = 5;
        in[1].tasks = 5 * (off ? 20 : 19);
        in[1].wall_ns = in[1].wall_ns / 11 * 5;
        in[1].evidence.user_ns = in[1].wall_ns * 2 / 100 * 82;
}

static void
arrange_some_tasks(bool off)
{
        arrange_few_tasks(false);
        in[1].tasks = 11 * (off ? 20 : 19);
}

static void
arrange_large_chunks(bool off)
{
        in[1].evidence.user_ns = in[1].wall_ns * 2 / 100 * 56;
        in[1].chunk = off ? 50 : 900;
}

static void
arrange_idle(bool off)
{
        in[1].chunk = 900;
        in[1].evidence.user_ns = in[1].wall_ns * 2 / 1000 * (off ? 905 : 895);
}

static void
arrange_unmarked(bool off)
{
        in[1].evidence.user_ns = in[1].wall_ns * 2 / 100 * 50;
        in[1].evidence.voluntary = in[1].tasks / 100 * (off ? 9 : 105);
}

static void
arrange_short(bool off)
{
        for (int i = 0; i < 4; i++)
                in[i].tasks *= off ? 14900 : 150000;
}

static void
arrange_dearer(bool off)
{
        in[1].evidence.user_ns = in[0].evidence.user_ns / 100 * (off ? 114 : 190);
        in[1].wall_ns = in[1].evidence.user_ns / 198 * 100;
}

static void
arrange_as_process(bool off)
{
        in[2].s_per_task = in[1].s_per_task * (off ? 1.06 : 1.04);
        in[2].range.low = in[1].range.low * 0.97;
}

static void
arrange_as_process_wide(bool off)
{
        in[2].range = (struct interval){1.9, off ? 2.2 : 2.05};
}

static void
arrange_equal(bool off)
{
        in[1].speed_up = 1.001;
        in[1].range = (struct interval){0.995, off ? 1.2 : 1.008};
}

static void
arrange_noise(bool off)
{
        in[1].range = (struct interval){off ? 1.01 : 0.85, 1.4};
}

static void
arrange_noise_short(bool off)
{
        arrange_noise(off);
        for (int i = 0; i < 4; i++) {
                in[i].wall_ns /= 100;
                in[i].evidence.user_ns /= 100;
        }
}

static void
arrange_noise_steal(bool off)
{
        arrange_noise(off);
        in[1].steal_ns = in[1].wall_ns * 2 * 30 / 1000;
}

static void
arrange_full(bool off)
{
        in[1].cpus = 8;
        in[1].workers = 8;
        in[1].chunk = 1;
        in[0].evidence.user_ns *= 5;
        in[1].evidence.user_ns = in[1].wall_ns * 8 / 100 * (off ? 89 : 97);
}

static void
arrange_full_workers(bool off)
{
        in[1].cpus = 8;
        in[1].evidence.user_ns = in[1].wall_ns * 2 / 100 * (off ? 89 : 97);
}

static void
arrange_full_threads(bool off)
{
        in[1] = in[0];
        in[2].evidence.user_ns = in[2].wall_ns * 2 / 100 * (off ? 89 : 97);
}

static void
arrange_full_at_once(bool off)
{
        in[1].spawn = SPAWN_AT_ONCE;
        in[1].workers = 1;
        in[1].evidence.user_ns = in[1].wall_ns * 2 / 100 * (off ? 89 : 97);
}

static void
arrange_unexplained(bool off)
{
        in[1].evidence.user_ns = in[1].wall_ns * 2 / 100 * (off ? 91 : 80);
}

static const struct rule_case cases[] = {
        {"nothing-measured", arrange_nothing, 1, "no round was measured"},
        {"nothing-measured", arrange_nothing_done, 1, "no task was done in the time"},
        {"evidence-lost", arrange_evidence_lost, 3,
         "the evidence went with the daemon that was killed; the times of 11 rounds are kept"},
        {"evidence-lost", arrange_evidence_lost_round, 3,
         "the evidence went with the daemon that was killed; the times of 1 round are kept"},
        {"failures", arrange_failures, 1, "3 of 11 000 tasks failed: the time of a failure is no comparison"},
        {"failures", arrange_failures_alone, 1, "3 of 11 000 tasks failed: the time of a failure is no comparison"},
        {"deaths", arrange_deaths, 1, "6 workers died and had to be replaced: the time includes that"},
        {"deaths", arrange_deaths_taken_over, 1, "6 workers died and had to be replaced: the time includes that"},
        {"steal", arrange_steal_ticks, 3, "the hypervisor took 11 % of the CPU time away: no fair comparison now"},
        {"steal", arrange_steal, 3, "the hypervisor took 10 % of the CPU time away: no fair comparison now"},
        {"same-variant", arrange_same, 1, "the same variant again: the same time within ±1.2 %"},
        {"same-variant", arrange_same_parameters, 1, "the same variant again: the same time within ±1.2 %"},
        {"same-variant", arrange_same_cpus, 1, "the same variant again: the same time within ±1.2 %"},
        {"same-variant", arrange_same_timeout, 1, "the same variant again: the same time within ±1.2 %"},
        {"same-variant", arrange_same_count, 1, "the same variant again: the same time within ±1.2 %"},
        {"same-variant", arrange_same_duration, 1, "the same variant again: the same time within ±1.2 %"},
        {"same-variant", arrange_same_slower, 1,
         "the same variant again, yet 11 % slower: this machine cannot be trusted now"},
        {"same-variant", arrange_same_faster, 1,
         "the same variant again, yet 10 % faster: this machine cannot be trusted now"},
        {"native-libc", arrange_native, 1,
         "not comparable with threads: with one thread in a process libc leaves out its locks"},
        {"native-libc", arrange_native_gain, 1,
         "2.00 × as fast as with a parked thread: libc leaves out its locks when there is only one"},
        {"native-libc", arrange_native_busy, 1,
         "2.00 × as fast as with a parked thread, but the machine was busy: that tells little"},
        {"native-libc", arrange_native_against_busy, 1,
         "2.00 × as fast as with a parked thread, but the machine was busy: that tells little"},
        {"native-libc", arrange_native_equal, 1,
         "as with a parked thread: leaving out libc's locks gains nothing here"},
        {"native-libc", arrange_native_slower, 1,
         "slower than with a parked thread (0.80 ×), though libc leaves out its locks"},
        {"native-libc", arrange_native_unclear, 1, "no clear difference to the parked thread (1.20 ×)"},
        {"native-libc", arrange_native_wide, 1, "no clear difference to the parked thread (1.00 ×)"},
        {"native-libc", arrange_native_against_wide, 1, "no clear difference to the parked thread (1.00 ×)"},
        {"native-libc", arrange_native_no_time, 1,
         "not comparable with threads: with one thread in a process libc leaves out its locks"},
        {"native-libc", arrange_native_no_ratio, 1, "no clear difference to the parked thread (1.00 ×)"},
        {"interpreter-lock", arrange_lock_busy_two, 3,
         "while one worker ran the other waited for the interpreter lock 99 % of the time, and the machine was busy"},
        {"interpreter-lock", arrange_lock, 3,
         "while one worker ran the other 7 waited for the interpreter lock 11 % of the time, and the machine was busy"},
        {"interpreter-lock", arrange_lock_only_gil, 3, NULL},
        {"interpreter-lock", arrange_lock_quiet, 3,
         "while one worker ran the other 7 waited for the interpreter lock 11 % of the time"},
        {"lock-released", arrange_lock_released, 3,
         "the interpreter lock is released while blocked (98 % of the time), so the waits overlap"},
        {"spawn-cost", arrange_spawn, 1,
         "a fresh process costs 556 µs a task more than a warm worker: 42 % of its time"},
        {"spawn-cost", arrange_spawn_thread, 1,
         "a fresh thread costs 558 µs a task more than a warm worker: 42 % of its time"},
        {"spawn-cost", arrange_spawn_at_once, 1,
         "a fresh process costs 556 µs a task more than a warm worker: 42 % of its CPU time"},
        {"spawn-cost", arrange_spawn_alone, 1, "a fresh process for each task, for which the kernel worked 200 µs"},
        {"busy-machine", arrange_busy, 1,
         "the machine is busy: workers waited 11 % of the time for a CPU, though there are enough"},
        {"busy-machine", arrange_busy_alone, 0,
         "the machine is busy: the worker waited 11 % of the time for a CPU, though there are enough"},
        {"one-worker", arrange_one, 0, "one worker, computing 100 % of the time"},
        {"one-worker", arrange_one_blocked, 0, "one worker, blocked 98 % of the time"},
        {"one-worker", arrange_one_partly, 0, "one worker, blocked 40 % and computing 59 % of the time"},
        {"oversubscribed", arrange_oversubscribed, 1,
         "8 workers take turns on 2 CPUs: each waits 74 % of the time for one"},
        {"oversubscribed", arrange_quota, 1, "2 workers take turns on 1.5 CPUs: each waits 25 % of the time for one"},
        {"io-bound", arrange_io, 1, "I/O bound: blocked 98 % of the time, so threads and processes both overlap it"},
        {"io-bound", arrange_io_at_once, 1,
         "I/O bound: blocked 95 % of the time, so threads and processes both overlap it"},
        {"memory-map-lock", arrange_memory_map, 2,
         "process is 2.00 × as fast: 21.8 page faults a task, and threads share the memory-map lock"},
        {"memory-map-lock", arrange_memory_map_slower, 2, NULL},
        {"shared-wait", arrange_shared_wait, 2,
         "process is 2.00 × as fast: threads sleep 1.25 × a task (processes 0.05 ×), as behind a shared lock"},
        {"partly-blocked", arrange_partly, 1,
         "blocked 38 % and computing 60 % of the time: more workers could use the CPU meanwhile"},
        {"short-rounds", arrange_short_rounds, 1,
         "a round lasts only 900 µs, and start and end of the workers are a part of it: more tasks would help"},
        {"short-rounds", arrange_short_rounds_full, 1, NULL},
        {"short-rounds", arrange_short_rounds_taken_over, 1, NULL},
        {"few-pieces", arrange_few_tasks_taken_over, 1,
         "19 tasks cannot be shared out evenly to 2 workers: idle 18 % of the time"},
        {"few-pieces", arrange_few_tasks, 1, "3 tasks cannot be shared out evenly to 2 workers: idle 18 % of the time"},
        {"few-pieces", arrange_some_tasks, 1,
         "19 tasks cannot be shared out evenly to 2 workers: idle 18 % of the time"},
        {"few-pieces", arrange_large_chunks, 1,
         "chunks of 900 are too large to share 1 000 tasks out evenly: workers idle 44 % of the time"},
        {"few-pieces", arrange_idle, 1, NULL},
        {"unmarked-wait", arrange_unmarked, 1,
         "a task sleeps 1.05 × outside of its blocking marks: 50 % of the time nobody accounts for"},
        {"short-tasks", arrange_short, 1,
         "a task takes 5.03 ns of CPU time: this measures the bookkeeping rather than the work"},
        {"dearer-tasks", arrange_dearer, 1,
         "1.98 of 2 cores busy, but a task takes 1.90 × the CPU time that it takes one worker alone"},
        {"as-process", arrange_as_process, 2, "as process: C threads share no lock here"},
        {"as-process", arrange_as_process_wide, 2, NULL},
        {"equal", arrange_equal, 1, "as fast as the reference, within ±0.8 %"},
        {"noise", arrange_noise, 1,
         "noise: 0.85 … 1.40 spans 1, no verdict; more rounds or a quieter machine would help"},
        {"noise", arrange_noise_short, 1,
         "noise: 0.85 … 1.40 spans 1, no verdict; rounds of 3.81 ms are short, more tasks would help"},
        {"noise", arrange_noise_steal, 1,
         "noise: 0.85 … 1.40 spans 1, no verdict; the hypervisor took 3.0 % of the CPU time"},
        {"cores-full", arrange_full, 1, "all 8 cores busy, nothing shared"},
        {"cores-full", arrange_full_workers, 1, "both workers busy, each on a core of its own, nothing shared"},
        {"cores-full", arrange_full_threads, 2, "both cores busy"},
        {"cores-full", arrange_full_at_once, 1, "both cores busy, nothing shared"},
        {"unexplained", arrange_unexplained, 1,
         "1.60 of 2 cores busy; no single cause stands out, --explain shows the evidence"},
};

/* Characters, not bytes. */
static size_t
width(const char *text)
{
        size_t n = 0;

        for (; *text; text++)
                n += ((unsigned char)*text & 0xc0) != 0x80;
        return n;
}

START_TEST(rule_speaks)
{
        const struct rule_case *c = &cases[_i];

        c->arrange(false);
        expect(c->i, c->rule, c->text);
        ck_assert_uint_le(width(why.text), 110);
}
END_TEST

START_TEST(neighbour_is_silent)
{
        const struct rule_case *c = &cases[_i];

        c->arrange(true);
        expect_not(c->i, c->rule);
}
END_TEST

START_TEST(few_rounds_are_told)
{
        in[1].evidence_rounds = in[1].rounds = 3;
        why_explain(in, 4, 1, false, &why);
        ck_assert_str_eq(why.rule, "few-rounds");
        ck_assert_str_eq(why.text, "3 rounds: too few for a verdict");
        in[1].evidence_rounds = in[1].rounds = 1;
        why_explain(in, 4, 1, false, &why);
        ck_assert_str_eq(why.text, "1 round: too few for a verdict");
        expect_not(1, "few-rounds");
}
END_TEST

START_TEST(every_rule_has_a_case)
{
        const struct why_rule_name *names = why_rule_names();
        size_t n = 0;

        for (; names[n].name; n++) {
                bool found = strcmp(names[n].name, "few-rounds") == 0;

                for (size_t k = 0; k < ARRAY_SIZE(cases); k++)
                        found = found || strcmp(cases[k].rule, names[n].name) == 0;
                ck_assert_msg(found, "no case for the rule %s", names[n].name);
                ck_assert_uint_gt(strlen(names[n].meaning), 10);
                for (size_t k = 0; k < n; k++)
                        ck_assert_str_ne(names[k].name, names[n].name);
        }
        ck_assert_uint_gt(n, 15);
        ck_assert_ptr_null(names[n].meaning);
}
END_TEST

/* All that can be wrong at once: the rules speak in the order of the table, as one after the other is put right. */
START_TEST(the_stronger_rule_speaks)
{
        struct why_input *v = &in[3];

        arrange_steal(false);
        v->failed = 1;
        v->restarts = 11;
        v->evidence.run_queue_wait_ns = v->wall_ns;
        v->range = (struct interval){0.5, 1.5};
        v->evidence_rounds = 0;
        expect(3, "failures", NULL);
        v->failed = 0;
        expect(3, "evidence-lost", NULL);
        v->rounds = 0;
        expect(3, "nothing-measured", NULL);
        v->rounds = v->evidence_rounds = 11;
        why_explain(in, 4, 3, false, &why);
        ck_assert_str_eq(why.rule, "few-rounds");
        expect(3, "deaths", NULL);
        v->restarts = 0;
        expect(3, "steal", NULL);
        v->steal_ns = 0;
        expect(3, "interpreter-lock", NULL);
        v->lock_wait_ns = 0;
        expect(3, "busy-machine", NULL);
        v->evidence.run_queue_wait_ns = 0;
        v->chunk = 500;
        expect(3, "few-pieces", NULL);
        v->chunk = 1;
        expect(3, "noise", NULL);
}
END_TEST

/* What has no evidence is no sibling either. */
START_TEST(lost_evidence_is_not_compared_with)
{
        expect(2, "as-process", NULL);
        in[1].evidence_rounds = 0;
        expect(2, "cores-full", "both cores busy");
}
END_TEST

/* Nor is there a likeness where there is no ratio. */
START_TEST(no_ratio_is_no_likeness)
{
        expect(2, "as-process", NULL);
        in[1].range = in[2].range = (struct interval){0, 0};
        expect(2, "cores-full", "both cores busy");
}
END_TEST

/* Whoever gives a verdict stands on the threshold of the rule, and asks neither for idleness nor for cores. */
START_TEST(too_short_is_told)
{
        ck_assert(!why_is_too_short(&in[1]));
        in[1].wall_ns = 11 * MS;
        ck_assert(!why_is_too_short(&in[1]));
        in[1].wall_ns--;
        ck_assert(why_is_too_short(&in[1]));
        in[1].evidence_rounds = 5; /* the time is that of five rounds, then */
        ck_assert(!why_is_too_short(&in[1]));
        in[1].wall_ns = 5 * MS - 1;
        ck_assert(why_is_too_short(&in[1]));
        lose_evidence(&in[1]);
        ck_assert(!why_is_too_short(&in[1]));
}
END_TEST

/* A tick or two do not explain noise either. */
START_TEST(few_ticks_are_no_steal)
{
        arrange_noise(false);
        in[1].wall_ns = 11 * 100 * MS;
        in[1].evidence.user_ns = in[1].wall_ns * 2;
        in[1].steal_ns = 49 * MS;
        expect(1, "noise", "noise: 0.85 … 1.40 spans 1, no verdict; more rounds or a quieter machine would help");
        in[1].steal_ns = 50 * MS;
        expect(1, "noise", "noise: 0.85 … 1.40 spans 1, no verdict; the hypervisor took 2.3 % of the CPU time");
}
END_TEST

/* A sibling of another kind, of other work or with failures is none. */
START_TEST(only_like_is_compared_with_like)
{
        for (int i = 0; i < 6; i++) {
                setup();
                expect(2, "as-process", NULL);
                in[1].workload = i == 0;
                in[1].params[0] = i == 1;
                in[1].workers += i == 2;
                in[1].spawn = i == 3 ? SPAWN_PER_TASK : SPAWN_POOL;
                in[1].failed = i == 4;
                in[1].is_libc_native = i == 5;
                expect(2, "cores-full", "both cores busy");
        }
}
END_TEST

START_TEST(reference_never_hears_of_noise)
{
        in[1].is_reference = true;
        in[1].range = (struct interval){0.5, 2};
        expect(1, "cores-full", "both cores busy, nothing shared");
}
END_TEST

START_TEST(nothing_is_divided_by_zero)
{
        memset(in, 0, sizeof(in));
        for (uint32_t mode = 0; mode < MODES; mode++) {
                for (int spawn = SPAWN_POOL; spawn <= SPAWN_AT_ONCE; spawn++) {
                        in[1] = (struct why_input){.mode = mode, .spawn = (enum run_spawn)spawn};
                        expect(1, "nothing-measured", NULL);
                        in[1].evidence_rounds = in[1].rounds = in[1].wall_ns = in[1].tasks =
                                1; /* no worker, no CPU, no time of theirs */
                        explain(4, 1);
                        ck_assert_ptr_null(strstr(why.text, "nan"));
                        ck_assert_ptr_null(strstr(why.text, "inf"));
                        in[1].speed_up = in[1].s_per_task = in[1].range.low = in[1].range.high = NAN;
                        explain(4, 1);
                        ck_assert_ptr_null(strstr(why.text, "nan"));
                }
        }
}
END_TEST

/* Medians apart and intervals that meet, or the other way round, are no difference. */
START_TEST(faster_is_apart_in_both)
{
        arrange_slow_threads();
        in[1].range = (struct interval){0.9, 3};
        expect_not(2, "memory-map-lock");
        setup();
        in[2].evidence.minor_faults = 60000 * (in[2].evidence.user_ns / (1000 * MS));
        in[2].range = (struct interval){1.9, 1.91}; /* medians as before */
        expect_not(2, "memory-map-lock");
}
END_TEST

/* What a fresh process costs is told by warm workers with the same work and no interpreter lock, best in its mode. */
START_TEST(spawn_is_compared_with_the_right_pool)
{
        static const char alone[] = "a fresh process for each task, for which the kernel worked 200 µs";

        arrange_spawn(false);
        in[2] = in[0]; /* the process pool; an earlier one in another mode is cheaper */
        in[0].mode = SEQUENTIAL;
        in[0].evidence.user_ns /= 2;
        expect(1, "spawn-cost", "a fresh process costs 556 µs a task more than a warm worker: 42 % of its time");
        in[2].workload = 1;
        expect(1, "spawn-cost", "a fresh process costs 933 µs a task more than a warm worker: 70 % of its time");
        in[0].params[0] = 1;
        expect(1, "spawn-cost", alone); /* there is only gil left */
        in[0].params[0] = 0;
        in[0].failed = 1;
        expect(1, "spawn-cost", alone);
        in[0] = in[1];
        expect(1, "spawn-cost", alone);
}
END_TEST

/* What a task costs one worker alone is told by one that did the same and has not failed. */
START_TEST(dearer_needs_the_lone_worker)
{
        arrange_dearer(false);
        expect(1, "dearer-tasks", NULL);
        in[0].failed = 1;
        expect_not(1, "dearer-tasks");
        in[0].failed = 0;
        in[0].workload = 1;
        expect_not(1, "dearer-tasks");
        in[0].workload = 0;
        in[0].spawn = SPAWN_PER_TASK;
        expect_not(1, "dearer-tasks");
        in[0].spawn = SPAWN_POOL;
        in[0].workers = 2;
        expect_not(1, "dearer-tasks");
}
END_TEST

/* ── siblings: what is set side by side is alike but for what the rule is about ── */

static void
differs_in_chunk(struct why_input *decoy)
{
        decoy->chunk_asked = 45;
}

static void
differs_in_count(struct why_input *decoy)
{
        decoy->count = 10;
}

static void
differs_in_duration(struct why_input *decoy)
{
        decoy->duration_ns = MS;
}

static void
differs_in_timeout(struct why_input *decoy)
{
        decoy->timeout_ns = MS;
}

static void
differs_in_cpus(struct why_input *decoy)
{
        CPU_SET(1, &decoy->affinity);
}

static void
differs_in_libc(struct why_input *decoy)
{
        decoy->is_libc_native = true;
}

static void (*const decoys[])(struct why_input *decoy) = {
        differs_in_chunk, differs_in_count, differs_in_duration, differs_in_timeout, differs_in_cpus, differs_in_libc,
};

START_TEST(processes_that_differ_are_no_witness_against_threads)
{
        arrange_slow_threads();
        expect(2, "memory-map-lock", NULL);
        decoys[_i](&in[1]);
        expect_not(2, "memory-map-lock");
}
END_TEST

START_TEST(a_lone_worker_that_differs_tells_nothing)
{
        arrange_dearer(false);
        expect(1, "dearer-tasks", NULL);
        decoys[_i](&in[0]);
        expect_not(1, "dearer-tasks");
}
END_TEST

START_TEST(a_pool_that_differs_does_not_tell_the_cost_of_a_spawn)
{
        arrange_spawn(false);
        ck_assert_ptr_nonnull(strstr(explain(2, 1), "more than a warm worker"));
        decoys[_i](&in[0]);
        explain(2, 1);
        ck_assert_ptr_null(strstr(why.text, "more than a warm worker"));
}
END_TEST

/* But for libc, which is what it is about. */
START_TEST(a_parked_thread_that_differs_is_not_compared)
{
        arrange_native_gain(false);
        if (decoys[_i] != differs_in_libc)
                decoys[_i](&in[0]);
        expect(1, "native-libc",
               decoys[_i] == differs_in_libc
                       ? "2.00 × as fast as with a parked thread: libc leaves out its locks when there is only one"
                       : "not comparable with threads: with one thread in a process libc leaves out its locks");
}
END_TEST

/* Every member at its largest, under every rule that can be brought about. */
START_TEST(large_numbers_fit)
{
        for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
                setup();
                cases[k].arrange(false);
                for (int i = 0; i < 4; i++) {
                        in[i].done = in[i].tasks = in[i].chunk = UINT64_MAX;
                        in[i].failed = in[i].failed ? UINT64_MAX : 0;
                        in[i].restarts = in[i].restarts ? UINT64_MAX : 0;
                        in[i].workers = UINT32_MAX;
                        in[i].cpus = i % 2 ? 1e300 : 0.1;
                        in[i].evidence.minor_faults = in[i].evidence.voluntary = UINT64_MAX;
                }
                for (uint32_t i = 0; i < 4; i++) {
                        explain(4, i);
                        ck_assert_uint_lt(strlen(why.text), WHY_TEXT_MAX - 40);
                }
        }
}
END_TEST

/* ── limits of a curve ── */

/* in[k] with 1, 2, 4, 8 workers on 8 CPUs, so many times as fast as with one. */
static void
curve(uint32_t mode, double two, double four, double eight)
{
        const double gain[] = {1, two, four, eight};

        for (int k = 0; k < 4; k++) {
                in[k] = variant(mode, 1U << k, (uint64_t)(8000 / gain[k]), MIN(gain[k], 1U << k), gain[k]);
                in[k].s_per_task = 8e-3 / gain[k];
                in[k].cpus = 8;
                in[k].chunk = 1;
        }
}

static void
expect_limit(const struct scaling_fit *fit, uint32_t n, const char *text)
{
        char got[WHY_TEXT_MAX];

        memset(got, 'x', sizeof(got));
        why_limit(fit, in, n, got);
        ck_assert_str_eq(got, text);
        ck_assert_uint_le(width(got), 110);
}

START_TEST(limit_linear)
{
        static const struct scaling_fit fit = {.gain = 1, .serial = 0.003, .sigma = 0.003};

        curve(PROCESS, 2, 3.98, 7.86);
        expect_limit(&fit, 4, "linear as far as measured: 7.86 × with 8 workers");
        expect_limit(&fit, 2, "linear as far as measured: 2.00 × with 2 workers");
        expect_limit(NULL, 4, "linear as far as measured: 7.86 × with 8 workers");
        curve(PROCESS, 1.3, 1.5, 1.6);
        expect_limit(&fit, 2, "not clear: a curve through two points says nothing");
}
END_TEST

START_TEST(limit_cpus)
{
        static const struct scaling_fit fit = {.gain = 1, .serial = 0.4, .sigma = 0.4};

        curve(PROCESS, 1.97, 1.98, 1.96);
        for (int k = 0; k < 4; k++)
                in[k].cpus = 2;
        expect_limit(&fit, 4, "the CPUs: 2 can be used, more workers take turns");
        /* Not when those that there are gained little: then it is the work. */
        curve(PROCESS, 1.3, 1.3, 1.3);
        for (int k = 0; k < 4; k++)
                in[k].cpus = 2;
        expect_limit(&fit, 4, "contention: 40 % of the work is serial, so no more than 2.5 × is possible");
        /* Unless they waited for CPUs that others had. */
        in[3].evidence.run_queue_wait_ns = in[3].wall_ns * 8 / 100 * 85;
        in[3].evidence.user_ns = in[3].wall_ns;
        in[3].evidence.system_ns = 0;
        expect_limit(&fit, 4, "a busy machine: the workers got 1.00 of 2 CPUs, others had the rest");
        in[3].evidence.user_ns = in[3].wall_ns * 2;
        expect_limit(&fit, 4, "contention: 40 % of the work is serial, so no more than 2.5 × is possible");
}
END_TEST

START_TEST(limit_measured_waits)
{
        static const struct scaling_fit fit = {.gain = 1, .serial = 1, .sigma = 1};

        curve(GIL, 1, 0.98, 0.95);
        in[3].lock_wait_ns = in[3].wall_ns / 100 * 97 * 7;
        expect_limit(&fit, 4, "waiting for the interpreter lock: 97 % of the time");
        in[3].evidence.run_queue_wait_ns = in[3].wall_ns / 100 * 34;
        expect_limit(&fit, 4, "waiting for the interpreter lock: 97 % of the time, and the machine was busy");
        in[3].evidence.run_queue_wait_ns = 0;
        in[3].lock_wait_ns = 0;
        in[3].steal_ns = in[3].wall_ns * 8 / 100 * 20;
        expect_limit(&fit, 4, "the hypervisor: it took 20 % of the CPU time away");
        in[3].steal_ns = 0;
        in[3].evidence.run_queue_wait_ns = in[3].wall_ns * 8 / 100 * 30;
        expect_limit(&fit, 4, "a busy machine: workers wait 30 % of the time for a CPU, though there are enough");
        in[3].evidence.run_queue_wait_ns = 0;
        in[3].tasks = 11 * 9;
        expect_limit(&fit, 4, "9 tasks cannot be shared out evenly to 8 workers: idle 88 % of the time");
        in[3].tasks = 11 * 1000;
        expect_limit(&fit, 4, "contention: all of the work is serial, more workers do not help");
}
END_TEST

START_TEST(limit_contention)
{
        struct scaling_fit fit = {.gain = 1, .serial = 0.08, .sigma = 0.08};

        curve(PROCESS, 1.85, 3.2, 5.1);
        expect_limit(&fit, 4, "contention: 8.0 % of the work is serial, so no more than 12 × is possible");
        fit.rms_relative = 0.11;
        expect_limit(&fit, 4, "not clear: the points do not follow the laws of scaling");
        expect_limit(NULL, 4, "not clear: the points do not follow the laws of scaling");
        fit.rms_relative = NAN;
        expect_limit(&fit, 4, "not clear: the points do not follow the laws of scaling");
        fit = (struct scaling_fit){.gain = 1};
        expect_limit(&fit, 4, "not clear: 5.10 × of 8.00 × possible, and nothing that was measured explains it");
}
END_TEST

START_TEST(limit_coherence)
{
        struct scaling_fit fit = {.gain = 1, .serial = 0.2, .sigma = 0.05, .kappa = 0.02, .peak = 5.9};

        curve(PROCESS, 1.8, 3.2, 2.9);
        expect_limit(&fit, 4,
                     "coherence: beyond 6 workers it gets slower, each has to wait for what the others changed");
        fit.peak = 1;
        expect_limit(&fit, 4,
                     "coherence: beyond 1 worker it gets slower, each has to wait for what the others changed");
        fit.peak = 5.9;
        /* The fit's peak alone is no evidence: the last point has to be lower than another. */
        curve(PROCESS, 1.8, 3.2, 3.15);
        expect_limit(&fit, 4, "contention: 20 % of the work is serial, so no more than 5.0 × is possible");
        curve(PROCESS, 1.8, 3.2, 2.9);
        fit.peak = 20;
        expect_limit(&fit, 4, "contention: 20 % of the work is serial, so no more than 5.0 × is possible");
}
END_TEST

/* A law with as many parameters as there are points always fits. */
START_TEST(limit_of_few_points)
{
        struct scaling_fit fit = {.gain = 1, .serial = 0.3, .sigma = 0.3};

        curve(PROCESS, 1.5, 2, 2.5);
        expect_limit(NULL, 2, "not clear: a curve through two points says nothing");
        expect_limit(&fit, 3, "contention: 30 % of the work is serial, so no more than 3.3 × is possible");
        curve(PROCESS, 0.9, 1, 1); /* nor does slower with two make a law */
        fit.serial = 1;
        expect_limit(&fit, 2, "not clear: a curve through two points says nothing");
}
END_TEST

START_TEST(limit_coherence_of_three_points)
{
        static const char falls[] =
                "coherence: beyond 2 workers it gets slower, each has to wait for what the others changed";
        static const char serial[] = "contention: 20 % of the work is serial, so no more than 5.0 × is possible";
        static const struct scaling_fit fit = {.gain = 1, .serial = 0.2, .sigma = 0.05, .kappa = 0.02, .peak = 2};

        curve(PROCESS, 1.8, 1.6, 1.4);
        expect_limit(&fit, 3, falls);
        in[2].range.high = in[1].range.low; /* medians as before */
        expect_limit(&fit, 3, serial);
        in[3].range = in[1].range;
        expect_limit(&fit, 4, falls);
}
END_TEST

START_TEST(limit_without_a_curve)
{
        static const struct scaling_fit fit = {.gain = 1};

        curve(PROCESS, 2, 4, 8);
        expect_limit(NULL, 0, "one number of workers is no curve");
        expect_limit(&fit, 1, "one number of workers is no curve");
        in[1].failed = 1;
        expect_limit(&fit, 4, "not clear: a point is missing or has failures");
        in[1].failed = 0;
        lose_evidence(&in[1]);
        expect_limit(&fit, 4, "not clear: the evidence went with the daemon that was killed");
        memset(in, 0, sizeof(in));
        expect_limit(&fit, 4, "not clear: a point is missing or has failures");
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("why");
        TCase *tc = tcase_create("why");

        tcase_add_checked_fixture(tc, setup, NULL);
        tcase_add_test(tc, four_modes_tell_their_story);
        tcase_add_loop_test(tc, rule_speaks, 0, ARRAY_SIZE(cases));
        tcase_add_loop_test(tc, neighbour_is_silent, 0, ARRAY_SIZE(cases));
        tcase_add_test(tc, few_rounds_are_told);
        tcase_add_test(tc, every_rule_has_a_case);
        tcase_add_test(tc, the_stronger_rule_speaks);
        tcase_add_test(tc, lost_evidence_is_not_compared_with);
        tcase_add_test(tc, no_ratio_is_no_likeness);
        tcase_add_test(tc, too_short_is_told);
        tcase_add_test(tc, few_ticks_are_no_steal);
        tcase_add_test(tc, only_like_is_compared_with_like);
        tcase_add_test(tc, reference_never_hears_of_noise);
        tcase_add_test(tc, faster_is_apart_in_both);
        tcase_add_test(tc, spawn_is_compared_with_the_right_pool);
        tcase_add_test(tc, dearer_needs_the_lone_worker);
        tcase_add_loop_test(tc, processes_that_differ_are_no_witness_against_threads, 0, ARRAY_SIZE(decoys));
        tcase_add_loop_test(tc, a_lone_worker_that_differs_tells_nothing, 0, ARRAY_SIZE(decoys));
        tcase_add_loop_test(tc, a_pool_that_differs_does_not_tell_the_cost_of_a_spawn, 0, ARRAY_SIZE(decoys));
        tcase_add_loop_test(tc, a_parked_thread_that_differs_is_not_compared, 0, ARRAY_SIZE(decoys));
        tcase_add_test(tc, nothing_is_divided_by_zero);
        tcase_add_test(tc, large_numbers_fit);
        tcase_add_test(tc, limit_linear);
        tcase_add_test(tc, limit_cpus);
        tcase_add_test(tc, limit_measured_waits);
        tcase_add_test(tc, limit_contention);
        tcase_add_test(tc, limit_coherence);
        tcase_add_test(tc, limit_of_few_points);
        tcase_add_test(tc, limit_coherence_of_three_points);
        tcase_add_test(tc, limit_without_a_curve);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
