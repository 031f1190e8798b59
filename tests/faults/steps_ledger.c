/* SPDX-License-Identifier: MIT */
/*
 * Killed at every single instruction between claim and commit, and of the recovery: what is counted is exact, to the
 * task, whoever goes on. And whoever looks meanwhile, or is stopped while he looks, sees what was true at an instant.
 */
#include "step.h"

#include "../unit/worker_fixture.h"
#include "shared/base.h"
#include "worker/task_loop.h"
#include "worker/totals.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

static struct worker_setup setup_of_all;
static struct segment *s = &setup_of_all.segment;
static unsigned cases;

static void
setup(void)
{
        fixture_segment(s);
        cases = 0;
}

static void
teardown(void)
{
        segment_unmap(s);
        printf("# %u cases\n", cases);
        fflush(stdout);
}

/* ── the job: two lines of three tasks, one of which fails and one is wrong; somebody did the first one before ── */

#define TASKS  UINT64_C(6)
#define CHUNK  UINT64_C(3)
#define FAILS  UINT64_C(1)
#define WRONG  UINT64_C(4)
#define BEFORE UINT64_C(1)

static int
task_run(struct concd_ctx *ctx, uint64_t index, uint64_t *ret_result)
{
        (void)ctx;
        *ret_result = fixture_result(index) + (index == WRONG);
        return index == FAILS ? -EIO : 0;
}

static int
task_verify(struct concd_ctx *ctx, uint64_t index, uint64_t result)
{
        (void)ctx;
        return result == fixture_result(index) ? 0 : -EBADMSG;
}

static const struct concd_workload workload = {.name = "steps", .run = task_run, .verify = task_verify};

/* What the first n tasks from `first` on add up to. */
static void
add_tasks(struct ledger_sum *sum, uint64_t first, uint64_t n)
{
        for (uint64_t i = first; i < first + n; i++) {
                sum->done++;
                sum->acc += i == FAILS || i == WRONG ? 0 : fixture_result(i);
                sum->failed += i == FAILS || i == WRONG;
                sum->wrong += i == WRONG;
        }
}

static void
check_sum(const struct ledger_sum *sum, const struct ledger_sum *expected, const char *what, unsigned k)
{
        ck_assert_msg(memcmp(sum, expected, sizeof(*sum)) == 0,
                      "%s, instruction %u: done %lu failed %lu wrong %lu, expected %lu %lu %lu; acc off by %ld", what,
                      k, (unsigned long)sum->done, (unsigned long)sum->failed, (unsigned long)sum->wrong,
                      (unsigned long)expected->done, (unsigned long)expected->failed, (unsigned long)expected->wrong,
                      (long)(sum->acc - expected->acc));
}

static void
job_begin(void)
{
        struct ledger_line *line = &s->ledger[0];
        struct ledger_sum sum;
        uint64_t owner;

        fixture_run(s, TASKS, CHUNK, 1);
        memset(&s->seats[0], 0, sizeof(s->seats[0]));
        memset(s->run->failures, 0, sizeof(s->run->failures));
        s->run->n_failures = 0;
        ck_assert(ledger_claim(line, CHUNK, 99));
        owner = ledger_open(line, &sum);
        sum.acc += fixture_result(0);
        ledger_commit(line, owner, CHUNK, &sum);
        ledger_release(line);
}

static void
work(void *arg)
{
        struct worker w;

        (void)arg;
        fixture_worker(&w, &setup_of_all, &workload, 0);
        task_loop_run(&w);
}

/* The failures that are told are those that there were. */
static void
check_failures(unsigned k)
{
        for (uint32_t i = 0; i < s->run->n_failures; i++) {
                const struct failure *f = &s->run->failures[i];

                if (!f->written)
                        continue;
                ck_assert_msg((f->task == FAILS && f->reason == FAILURE_ERROR && f->value == EIO) ||
                                      (f->task == WRONG && f->reason == FAILURE_WRONG),
                              "instruction %u: task %lu is told to have failed", k, (unsigned long)f->task);
        }
}

/* Reaped, its seat settled, its line freed, and another one sits down. */
static void
bury_and_go_on(struct stepped *victim, enum ledger_verdict how, unsigned k)
{
        const struct ledger_geometry *g = &s->run->spec.geometry;
        uint8_t verdict[1 + 2 * FIXTURE_WORKERS] = {0};
        struct ledger_sum sum, expected = {0};
        uint64_t tasks;

        stepped_kill(victim);
        task_loop_settle(&s->seats[0], s->ledger, g->n_lines);
        verdict[segment_process_slot(s, 0)] = (uint8_t)how;
        ledger_recover(s->ledger, g, verdict, NULL, NULL);
        ledger_sum(s->ledger, g, &sum);
        tasks = s->seats[0].tasks;
        ck_assert_msg(tasks == sum.done - BEFORE, "instruction %u: %lu tasks of the seat, %lu of the ledger", k,
                      (unsigned long)tasks, (unsigned long)sum.done);
        for (uint32_t i = 0; i < g->n_lines; i++)
                ck_assert_uint_eq(ledger_owner(atomic_load(&s->ledger[i].word)), 0);
        check_failures(k);
        work(NULL);
        ledger_sum(s->ledger, g, &sum);
        add_tasks(&expected, 0, TASKS);
        check_sum(&sum, &expected, "killed at work", k);
        ck_assert_uint_eq(s->seats[0].tasks, TASKS - BEFORE);
        check_failures(k);
        cases++;
}

START_TEST(killed_from_claim_to_commit)
{
        FOR_EVERY_INSTRUCTION (sweep) {
                struct stepped victim;

                job_begin();
                stepped_start(&victim, NULL, work, NULL);
                stepped_go(&victim, &sweep);
                bury_and_go_on(&victim, sweep.k % 2 ? LEDGER_CHARGE : LEDGER_FREE, sweep.k);
        }
        ck_assert_uint_gt(cases * sweep_stride(), 500);
}
END_TEST

START_TEST(looked_at_from_outside)
{
        const struct ledger_geometry *g = &s->run->spec.geometry;
        struct sweep one = {.k = 1};
        struct stepped worker;
        uint64_t last = 0;

        job_begin();
        stepped_start(&worker, NULL, work, NULL);
        for (; one.now == STEP_STANDS; one.n = 0) {
                struct ledger_sum sum, expected = {0};

                ledger_sum(s->ledger, g, &sum);
                for (uint32_t i = 0; i < g->n_lines; i++)
                        add_tasks(&expected, ledger_line_base(g, i), ledger_progress(atomic_load(&s->ledger[i].word)));
                check_sum(&sum, &expected, "looked at from outside", cases);
                ck_assert_uint_ge(sum.done, last);
                last = sum.done;
                cases++;
                stepped_go(&worker, &one);
        }
        stepped_kill(&worker);
        sweep_end(&one);
        ck_assert_uint_eq(last, TASKS);
        ck_assert_uint_gt(cases, 500);
}
END_TEST

/* ── who looks is stopped, and the work goes on ── */

static struct ledger_sum *seen;

static void
look(void *arg)
{
        (void)arg;
        ledger_sum(s->ledger, &s->run->spec.geometry, seen);
}

static void
commit_tasks(uint64_t n)
{
        struct ledger_line *line = &s->ledger[0];
        struct ledger_sum sum;
        uint64_t owner = ledger_open(line, &sum);

        while (n-- > 0) {
                struct ledger_sum next = {0};

                add_tasks(&next, sum.done, 1);
                sum.acc += next.acc;
                sum.failed += next.failed;
                sum.wrong += next.wrong;
                ledger_commit(line, owner, 2 * TASKS, &sum);
        }
}

/* Stopped before every instruction of his look, while _i tasks are committed. */
START_TEST(stopped_while_he_looks)
{
        seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(seen, MAP_FAILED);
        FOR_EVERY_INSTRUCTION (sweep) {
                struct ledger_sum expected = {0};
                struct stepped reader;

                fixture_run(s, 2 * TASKS, 2 * TASKS, 1);
                ck_assert(ledger_claim(&s->ledger[0], 2 * TASKS, 1));
                commit_tasks(3);
                stepped_start(&reader, NULL, look, NULL);
                stepped_go(&reader, &sweep);
                commit_tasks((uint64_t)_i);
                stepped_let_go(&reader);
                ck_assert(stepped_end(&reader));
                ck_assert(seen->done >= 3 && seen->done <= 3 + (uint64_t)_i);
                add_tasks(&expected, 0, seen->done);
                check_sum(seen, &expected, "stopped while he looks", sweep.k);
                cases++;
        }
        munmap(seen, sizeof(*seen));
        ck_assert_uint_gt(cases * sweep_stride(), 20);
}
END_TEST

/* ── recovery killed ── */

/* Line i is owned by slot i. */
static const struct {
        enum ledger_verdict verdict;
        uint32_t attempts;
        uint64_t progress;
        bool given_up;
} dead[] = {
        {LEDGER_FREE, 0, 1, false},   {LEDGER_CHARGE, 0, 0, false}, {LEDGER_CHARGE, 2, 1, true},
        {LEDGER_GIVE_UP, 0, 2, true}, {LEDGER_ALIVE, 1, 1, false},  {LEDGER_CHARGE, 1, 2, false},
        {LEDGER_FREE, 2, 0, false},   {LEDGER_GIVE_UP, 1, 0, true},
};

#define DEAD ((uint32_t)ARRAY_SIZE(dead))

static struct {
        unsigned n[DEAD * CHUNK]; /* how often each task was said to be given up */
} * said;

static void
on_given_up(void *arg, uint32_t slot, uint64_t task)
{
        (void)arg;
        (void)slot;
        said->n[task]++;
}

static void
recover(void *arg)
{
        uint8_t verdict[DEAD];

        (void)arg;
        for (uint32_t i = 0; i < DEAD; i++)
                verdict[i] = (uint8_t)dead[i].verdict;
        ledger_recover(s->ledger, &s->run->spec.geometry, verdict, on_given_up, NULL);
}

static void
everybody_dies(void)
{
        fixture_run(s, DEAD * CHUNK, CHUNK, 1);
        memset(said, 0, sizeof(*said));
        for (uint32_t i = 0; i < DEAD; i++) {
                struct ledger_sum sum;
                uint64_t owner;

                ck_assert(ledger_claim(&s->ledger[i], CHUNK, i + 1));
                owner = ledger_open(&s->ledger[i], &sum);
                for (uint64_t k = 0; k < dead[i].progress; k++) {
                        sum.acc += fixture_result(CHUNK * i + k);
                        ledger_commit(&s->ledger[i], owner, CHUNK, &sum);
                }
                atomic_store(&s->ledger[i].word, ledger_pack(i + 1, dead[i].attempts, dead[i].progress));
        }
}

static void
check_recovered(unsigned k)
{
        for (uint32_t i = 0; i < DEAD; i++) {
                uint64_t word = atomic_load(&s->ledger[i].word), expected = dead[i].progress + dead[i].given_up;
                uint32_t attempts = dead[i].attempts + (dead[i].verdict == LEDGER_CHARGE), times;
                struct ledger_sum sum;

                times = said->n[CHUNK * i + dead[i].progress];
                ledger_open(&s->ledger[i], &sum);
                ck_assert_msg(ledger_owner(word) == (dead[i].verdict == LEDGER_ALIVE ? i + 1 : 0) &&
                                      ledger_progress(word) == expected &&
                                      ledger_attempts(word) == (dead[i].given_up ? 0 : attempts) &&
                                      sum.failed == dead[i].given_up && sum.wrong == 0,
                              "recovery killed at instruction %u: line %u is %016lx, %lu failed", k, i,
                              (unsigned long)word, (unsigned long)sum.failed);
                for (uint64_t t = 0; t < dead[i].progress; t++)
                        sum.acc -= fixture_result(CHUNK * i + t);
                ck_assert_uint_eq(sum.acc, 0);
                /* The one that was killed may have said it, too. */
                ck_assert(dead[i].given_up ? times >= 1 && times <= 2 : times == 0);
        }
}

START_TEST(ledger_recovery_killed)
{
        said = mmap(NULL, sizeof(*said), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(said, MAP_FAILED);
        FOR_EVERY_INSTRUCTION (sweep) {
                struct stepped supervisor;

                everybody_dies();
                stepped_start(&supervisor, NULL, recover, NULL);
                stepped_go(&supervisor, &sweep);
                stepped_kill(&supervisor);
                recover(NULL);
                check_recovered(sweep.k);
                cases++;
        }
        munmap(said, sizeof(*said));
        ck_assert_uint_gt(cases * sweep_stride(), 100);
}
END_TEST

static void
settle_seat(void *arg)
{
        (void)arg;
        task_loop_settle(&s->seats[0], s->ledger, s->run->spec.geometry.n_lines);
}

/* Who is dead is settled twice, when the first one was killed over it. */
START_TEST(settling_killed)
{
        struct sweep death = {0};
        unsigned deaths = 0;

        /* A worker that dies at every 61st instruction. */
        for (; death.now == STEP_STANDS; death.k += 61 * sweep_stride(), deaths++) {
                FOR_EVERY_INSTRUCTION (sweep) {
                        struct stepped victim;

                        job_begin();
                        stepped_start(&victim, NULL, work, NULL);
                        stepped_go(&victim, &death);
                        stepped_kill(&victim);
                        stepped_start(&victim, NULL, settle_seat, NULL);
                        stepped_go(&victim, &sweep);
                        bury_and_go_on(&victim, LEDGER_FREE, sweep.k);
                }
        }
        sweep_end(&death);
        ck_assert_uint_gt(deaths, 5);
}
END_TEST

/* ── the totals ── */

/* Figures of which every sum of seats tells which seats are in it. */
static void
fill_seat(uint32_t i)
{
        struct seat *seat = &s->seats[i];
        uint64_t unit = UINT64_C(1) << 3 * i;

        seat->lock_wait_ns = unit;
        seat->lock_switches = 2 * unit;
        seat->blocked_ns = 3 * unit;
        seat->evidence.user_ns = 4 * unit;
        seat->evidence.major_faults = 5 * unit;
        for (uint64_t k = 0; k < unit; k++)
                histogram_add(&seat->latency, 100 * (i + 1));
}

static void
merge(void *arg)
{
        (void)arg;
        totals_merge(s, 1);
}

static void
repair(void *arg)
{
        (void)arg;
        totals_repair(s);
}

static void
check_totals(unsigned k)
{
        static const uint64_t samples[] = {1, 8};
        const struct totals *t = &s->run->totals;
        uint64_t units = 0, in_buckets = 0;

        for (uint32_t i = 0; i < 2; i++)
                units += s->seats[i].merged ? samples[i] : 0;
        for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
                in_buckets += t->latency.buckets[i];
        ck_assert_msg(t->dirty == 0 && t->lock_wait_ns == units && t->lock_switches == 2 * units &&
                              t->blocked_ns == 3 * units && t->evidence.user_ns == 4 * units &&
                              t->evidence.major_faults == 5 * units && t->latency.samples == units &&
                              in_buckets == units,
                      "instruction %u: %lu units, not %lu", k, (unsigned long)t->lock_wait_ns, (unsigned long)units);
}

/* Too many instructions to kill one at each: it is left standing, the totals are repaired as if it were dead, and then
 * put back as they were. */
START_TEST(totals_killed)
{
        static struct totals saved;
        struct sweep one = {.k = 1};
        struct stepped victim;

        s->run->spec.seats = 2;
        fill_seat(0);
        fill_seat(1);
        totals_reset(s);
        totals_merge(s, 0);
        if (_i == 1)
                s->run->totals.dirty = s->seats[1].merged = 1;
        stepped_start(&victim, NULL, _i == 0 ? merge : repair, NULL);
        for (; one.now == STEP_STANDS; one.n = 0) {
                saved = s->run->totals;
                if (saved.dirty || s->seats[1].merged || cases == 0)
                        totals_repair(s);
                check_totals(cases);
                s->run->totals = saved;
                cases++;
                one.k = 1;
                for (unsigned i = 0; i < sweep_stride() && one.now == STEP_STANDS; i++, one.n = 0)
                        stepped_go(&victim, &one);
        }
        check_totals(cases);
        ck_assert_uint_eq(s->seats[1].merged, 1);
        stepped_kill(&victim);
        sweep_end(&one);
        ck_assert_uint_gt(cases * sweep_stride(), 1000);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("steps_ledger");
        TCase *tc = tcase_create("ledger");

        if (!step_permitted()) {
                printf("1..0 # SKIP the kernel lets nobody trace\n");
                return EXIT_SUCCESS;
        }
        tcase_set_timeout(tc, 240);
        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, killed_from_claim_to_commit);
        tcase_add_test(tc, looked_at_from_outside);
        tcase_add_loop_test(tc, stopped_while_he_looks, 1, 5);
        tcase_add_test(tc, ledger_recovery_killed);
        tcase_add_test(tc, settling_killed);
        tcase_add_loop_test(tc, totals_killed, 0, 2);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
