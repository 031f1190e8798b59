/* SPDX-License-Identifier: MIT */
/* What the workers of a traced run note: it adds up to what they account for elsewhere. */
#include "worker/worker.h"

#include "segment/trace.h"
#include "shared/base.h"
#include "shm_fixture.h"
#include "worker/mode.h"
#include "worker_fixture.h"
#include "workloads/workloads.h"

#include <pthread.h>

#define COUNT UINT64_C(120)
#define RUN   UINT64_C(3)
#define SEATS 2

static struct worker_setup setup_of_all;
static struct segment *s = &setup_of_all.segment;
static struct semaphores semaphores;

static void
setup(void)
{
        shm_count(true); /* of a test that failed before */
        fixture_segment(s);
        snprintf(s->header->instance, sizeof(s->header->instance), "%s", shm_instance(""));
        ck_assert_int_eq(semaphores_create(&semaphores, geteuid(), s->header->instance, 1), 0);
        semaphores_unlink(geteuid(), s->header->instance, 1);
        s->header->generation = semaphores.generation;
        setup_of_all.doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        setup_of_all.herd_lock = setup_of_all.host_control = -1;
        setup_of_all.parked_thread = true;
}

static void
teardown(void)
{
        ck_assert_uint_eq(shm_count(false), 0);
        semaphores_close(&semaphores);
        close(setup_of_all.doorbell);
        segment_unmap(s);
}

struct traced_run {
        const char *mode;
        enum run_spawn spawn;
        const char *workload;
        int64_t param;
        bool blocks;
};

static void
prepare_run(const struct traced_run *r, uint64_t join_ns, bool traced)
{
        struct run_spec *spec = &s->run->spec;
        uint32_t seats = modes[mode_by_name(r->mode)].single || r->spawn == SPAWN_AT_ONCE ? 1 : SEATS;

        fixture_run(s, COUNT, r->spawn == SPAWN_AT_ONCE ? COUNT : 5, seats);
        spec->mode = (uint32_t)mode_by_name(r->mode);
        spec->spawn = r->spawn;
        spec->params[0] = r->param;
        spec->traced = traced;
        spec->trace_join_ns = join_ns;
        while (workloads[spec->workload] != workload_by_name(r->workload))
                spec->workload++;
        ck_assert_int_eq(sched_getaffinity(0, sizeof(spec->cpus), &spec->cpus), 0);
        for (uint32_t i = 0; i < seats; i++) {
                atomic_store(&s->seats[i].word, seat_pack(RUN, SEAT_EMPTY, 0));
                trace_reset(&s->traces[i]);
        }
        ck_assert_int_eq(gil_init(gil_of(s->run), GIL_SWITCH_INTERVAL_NS), 0);
}

static enum worker_kind
kind_of_run(void)
{
        return modes[s->run->spec.mode].kind;
}

static uint32_t
slot_of(uint32_t i)
{
        return kind_of_run() == WORKER_PROCESS ? segment_process_slot(s, i) : segment_thread_slot(s, i);
}

static void *
worker_thread(void *arg)
{
        worker_main(&setup_of_all, &semaphores, (uint32_t)(uintptr_t)arg);
        return NULL;
}

static void
until_all_wait_for_the_lock(void)
{
        struct gil *gil = gil_of(s->run);
        uint32_t waiters = 0;

        while (waiters < s->run->spec.seats) {
                usleep(1000);
                pthread_mutex_lock(&gil->lock);
                waiters = gil->waiters;
                pthread_mutex_unlock(&gil->lock);
        }
}

/* Serves the run, from its opening to its end. Under the interpreter lock it is held at first, so that everybody
 * waits for it at least once. */
static void
serve_run(void)
{
        struct gil_thread gil = {.gil = gil_of(s->run), .attention = &s->run->attention, .id = 99};
        bool under_gil = modes[s->run->spec.mode].gil;
        pthread_t threads[SEATS];
        uint32_t n = s->run->spec.seats;

        if (under_gil)
                gil_acquire(&gil);
        atomic_store(&s->run->current, current_pack(RUN, kind_of_run(), true));
        for (uint32_t i = 0; i < n; i++) {
                s->slots[slot_of(i)].kind = kind_of_run();
                ck_assert_int_eq(pthread_create(&threads[i], NULL, worker_thread, (void *)(uintptr_t)slot_of(i)), 0);
        }
        if (under_gil) {
                until_all_wait_for_the_lock();
                gil_release(&gil);
        }
        for (uint32_t i = 0; i < n; i++) {
                while (seat_state(atomic_load(&s->seats[i].word)) != SEAT_DONE)
                        usleep(1000);
        }
        for (uint32_t i = 0; i < n; i++)
                s->slots[slot_of(i)].retire = 1;
        for (uint32_t i = 0; i < n; i++)
                sem_post(semaphores.sem[kind_of_run() == WORKER_PROCESS ? SEMAPHORE_PROCESS : SEMAPHORE_THREAD]);
        for (uint32_t i = 0; i < n; i++)
                pthread_join(threads[i], NULL);
}

/* What the spans of a seat add up to, of each kind. */
struct account {
        uint64_t ns[TRACE_KINDS], spans[TRACE_KINDS], tasks[TRACE_KINDS];
};

static struct account
account_of(uint32_t seat)
{
        const struct trace *t = &s->traces[seat];
        struct account a = {0};

        for (uint32_t i = 0; i < t->n; i++) {
                const struct trace_span *span = &t->span[i];

                ck_assert_uint_lt(span->kind, TRACE_KINDS);
                ck_assert_uint_le(span->from_ns, span->to_ns);
                ck_assert_uint_lt(span->task, COUNT);
                a.ns[span->kind] += span->to_ns - span->from_ns;
                a.spans[span->kind]++;
                a.tasks[span->kind] += span->tasks;
        }
        return a;
}

static const struct traced_run runs[] = {
        {"sequential", SPAWN_POOL, "nop", 0, false},     {"sequential", SPAWN_POOL, "sleep", 100, true},
        {"process", SPAWN_POOL, "spin", 100000, false},  {"process", SPAWN_POOL, "sleep", 100, true},
        {"process", SPAWN_PER_TASK, "sleep", 100, true}, {"process", SPAWN_AT_ONCE, "sleep", 100, true},
        {"thread", SPAWN_POOL, "sleep", 100, true},      {"thread", SPAWN_PER_TASK, "sleep", 100, true},
        {"thread", SPAWN_AT_ONCE, "sleep", 100, true},   {"gil", SPAWN_POOL, "nop", 0, false},
        {"gil", SPAWN_POOL, "spin", 1000000, false},     {"gil", SPAWN_POOL, "sleep", 100, true},
};

START_TEST(untraced_run_notes_nothing)
{
        prepare_run(&runs[_i], 0, false);
        serve_run();
        for (uint32_t i = 0; i < FIXTURE_WORKERS; i++) {
                ck_assert_uint_eq(s->traces[i].n, 0);
                ck_assert_uint_eq(s->traces[i].dropped, 0);
        }
}
END_TEST

START_TEST(spans_add_up)
{
        bool at_once = runs[_i].spawn == SPAWN_AT_ONCE;
        uint64_t tasks = 0, blocked = 0, waited = 0;

        prepare_run(&runs[_i], 0, true);
        serve_run();
        for (uint32_t i = 0; i < s->run->spec.seats; i++) {
                const struct seat *seat = &s->seats[i];
                struct account a = account_of(i);

                ck_assert_uint_eq(s->traces[i].dropped, 0);
                ck_assert_uint_eq(a.tasks[TRACE_RUN], seat->tasks);
                ck_assert_uint_eq(seat->latency.samples, seat->tasks);
                ck_assert_uint_eq(a.ns[TRACE_LOCK], seat->lock_wait_ns);
                if (!at_once) {
                        ck_assert_uint_eq(a.spans[TRACE_RUN], seat->tasks);
                        ck_assert_uint_eq(a.ns[TRACE_BLOCKED], seat->blocked_ns);
                } else {
                        ck_assert_uint_eq(a.spans[TRACE_BLOCKED], 0);
                }
                if (modes[s->run->spec.mode].gil)
                        ck_assert_uint_gt(a.spans[TRACE_LOCK], 0);
                tasks += a.tasks[TRACE_RUN];
                blocked += seat->blocked_ns;
                waited += seat->lock_wait_ns;
        }
        ck_assert_uint_eq(tasks, COUNT);
        ck_assert_int_eq(blocked > 0, runs[_i].blocks);
        ck_assert_int_eq(waited > 0, modes[s->run->spec.mode].gil);
        ck_assert_uint_eq(s->traces[s->run->spec.seats].n, 0);
}
END_TEST

/* Every task is in one span, though they are joined; and no wait is lost. */
START_TEST(joined_spans_add_up)
{
        uint64_t tasks = 0;

        prepare_run(&runs[_i], 10 * NS_PER_MS, true);
        serve_run();
        for (uint32_t i = 0; i < s->run->spec.seats; i++) {
                struct account a = account_of(i);

                ck_assert_uint_eq(s->traces[i].dropped, 0);
                ck_assert_uint_eq(a.tasks[TRACE_RUN], s->seats[i].tasks);
                ck_assert_uint_ge(a.ns[TRACE_LOCK], s->seats[i].lock_wait_ns);
                tasks += a.tasks[TRACE_RUN];
        }
        ck_assert_uint_eq(tasks, COUNT);
}
END_TEST

START_TEST(every_task_is_timed)
{
        prepare_run(&(struct traced_run){"sequential", SPAWN_POOL, "nop", 0, false}, NS_PER_S, true);
        /* So many that without a trace only some of them would be. */
        fixture_run(s, 20000, 100, 1);
        serve_run();
        ck_assert_uint_eq(s->seats[0].latency.samples, 20000);
        ck_assert_uint_eq(s->seats[0].sample_every, 1);
        ck_assert_uint_eq(s->traces[0].span[0].kind, TRACE_RUN);
        ck_assert_uint_eq(s->traces[0].n + s->traces[0].dropped, 1);
        ck_assert_uint_eq(s->traces[0].span[0].tasks, 20000);
}
END_TEST

/* ── the truth about the interpreter lock ── */

struct stretch {
        uint64_t from, to;
};

static int
by_begin(const void *a, const void *b)
{
        const struct stretch *x = a, *y = b;

        return (x->from > y->from) - (x->from < y->from);
}

/* What a seat did while it held the lock: its tasks without their waits. */
static size_t
held_by(uint32_t seat, struct stretch *ret)
{
        const struct trace *t = &s->traces[seat];
        size_t n = 0;

        for (uint32_t i = 0, first_wait = 0; i < t->n; i++) {
                uint64_t from = t->span[i].from_ns;

                if (t->span[i].kind != TRACE_RUN)
                        continue;
                /* Its waits stand before it, in order. */
                for (uint32_t k = first_wait; k < i; k++) {
                        if (t->span[k].kind != TRACE_LOCK || t->span[k].from_ns < from)
                                continue;
                        ret[n++] = (struct stretch){from, t->span[k].from_ns};
                        from = t->span[k].to_ns;
                }
                ret[n++] = (struct stretch){from, t->span[i].to_ns};
                first_wait = i + 1;
        }
        return n;
}

START_TEST(under_the_lock_one_runs_at_a_time)
{
        static struct stretch held[SEATS * 2 * TRACE_SPANS_MAX];
        static const struct traced_run run = {"gil", SPAWN_POOL, "spin", 3000000, false};
        size_t n = 0;

        prepare_run(&run, 0, true);
        serve_run();
        for (uint32_t i = 0; i < SEATS; i++) {
                ck_assert_uint_eq(s->traces[i].dropped, 0);
                n += held_by(i, held + n);
        }
        ck_assert_uint_ge(n, COUNT);
        qsort(held, n, sizeof(*held), by_begin);
        for (size_t i = 1; i < n; i++)
                ck_assert_uint_le(held[i - 1].to, held[i].from);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("trace_run");
        TCase *all = tcase_create("runs");

        snprintf(shm_mark, sizeof(shm_mark), "unit-trc-%d_", getpid());
        workloads_init();
        tcase_set_timeout(all, 60);
        tcase_add_checked_fixture(all, setup, teardown);
        tcase_add_loop_test(all, untraced_run_notes_nothing, 0, ARRAY_SIZE(runs));
        tcase_add_loop_test(all, spans_add_up, 0, ARRAY_SIZE(runs));
        tcase_add_loop_test(all, joined_spans_add_up, 0, ARRAY_SIZE(runs));
        tcase_add_test(all, every_task_is_timed);
        tcase_add_test(all, under_the_lock_one_runs_at_a_time);
        suite_add_tcase(suite, all);
        return shm_main(suite);
}
