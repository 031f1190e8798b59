/* SPDX-License-Identifier: MIT */
/* Workers without a supervisor: they sleep at the gate, take seats of the open run, begin together, and leave when
 * told. */
#include "worker/worker.h"

#include "segment/seat.h"
#include "shared/base.h"
#include "shm_fixture.h"
#include "worker/mode.h"
#include "worker_fixture.h"
#include "workloads/workloads.h"

#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>

#define COUNT UINT64_C(100000)
#define RUN   UINT64_C(7)

static struct worker_setup setup_of_all;
static struct segment *s = &setup_of_all.segment;
static struct semaphores semaphores;

/* ── words ── */

START_TEST(seat_word_keeps_its_parts_apart)
{
        static const uint64_t runs[] = {0, 1, 0xabcdef, (UINT64_C(1) << 40) - 1};
        static const uint32_t owners[] = {0, 1, 0x1234, 0xffff};

        for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
                for (uint32_t state = SEAT_EMPTY; state <= SEAT_DONE; state++) {
                        for (size_t k = 0; k < ARRAY_SIZE(owners); k++) {
                                uint64_t word = seat_pack(runs[i], state, owners[k]);

                                ck_assert_uint_eq(word >> 24, runs[i]);
                                ck_assert_uint_eq(seat_state(word), state);
                                ck_assert_uint_eq(seat_owner(word), owners[k]);
                        }
                }
        }
}
END_TEST

START_TEST(current_word_keeps_its_parts_apart)
{
        uint64_t words[8];
        unsigned n = 0;

        for (uint64_t run = 1; run <= 2; run++) {
                for (unsigned open = 0; open < 2; open++) {
                        for (enum worker_kind kind = WORKER_PROCESS; kind <= WORKER_THREAD; kind++) {
                                uint64_t word = current_pack(run, kind, open);

                                ck_assert_uint_eq(current_run(word), run);
                                ck_assert_uint_eq(word & CURRENT_OPEN, open);
                                for (unsigned i = 0; i < n; i++)
                                        ck_assert_uint_ne(word, words[i]);
                                words[n++] = word;
                        }
                }
        }
        ck_assert_uint_eq(current_run(current_pack((UINT64_C(1) << 40) - 1, WORKER_THREAD, true)),
                          (UINT64_C(1) << 40) - 1);
}
END_TEST

START_TEST(clock_overhead_is_plausible)
{
        uint64_t begin = clock_now_ns(), overhead = worker_clock_overhead_ns();

        ck_assert_uint_le(overhead, 1000 * NS_PER_US);
        ck_assert_uint_lt(clock_now_ns() - begin, 3 * NS_PER_S); /* it does not hang */
}
END_TEST

/* ── runs ── */

/* The workers have the semaphores open; without their names nothing can be left behind, whatever becomes of a test. */
static void
forget_names(void)
{
        for (uint64_t g = 1; g <= semaphores.generation; g++)
                semaphores_unlink(geteuid(), s->header->instance, g);
}

static void
setup(void)
{
        shm_count(true); /* of a test that failed before */
        fixture_segment(s);
        snprintf(s->header->instance, sizeof(s->header->instance), "%s", shm_instance(""));
        ck_assert_int_eq(semaphores_create(&semaphores, geteuid(), s->header->instance, 1), 0);
        forget_names();
        s->header->generation = semaphores.generation;
        setup_of_all.doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        setup_of_all.herd_lock = setup_of_all.host_control = -1;
        setup_of_all.parked_thread = true; /* this process has more threads than one, as a worker with a parked one */
}

static void
teardown(void)
{
        ck_assert_uint_eq(shm_count(false), 0);
        semaphores_close(&semaphores);
        close(setup_of_all.doorbell);
        segment_unmap(s);
}

/* A closed run of `nop` in that mode. */
static void
prepare_run(const char *mode, uint32_t seats)
{
        struct run_spec *spec = &s->run->spec;

        fixture_run(s, COUNT, 0, seats);
        spec->mode = (uint32_t)mode_by_name(mode);
        spec->spawn = SPAWN_POOL;
        while (workloads[spec->workload] != workload_by_name("nop"))
                spec->workload++;
        ck_assert_int_eq(sched_getaffinity(0, sizeof(spec->cpus), &spec->cpus), 0);
        for (uint32_t i = 0; i < seats; i++)
                atomic_store(&s->seats[i].word, seat_pack(RUN, SEAT_EMPTY, 0));
        if (modes[spec->mode].gil)
                ck_assert_int_eq(gil_init(gil_of(s->run), GIL_SWITCH_INTERVAL_NS), 0);
}

static void
open_run(void)
{
        enum worker_kind kind = modes[s->run->spec.mode].kind;

        atomic_store(&s->run->current, current_pack(RUN, kind, true));
        for (uint32_t i = 0; i < FIXTURE_WORKERS; i++)
                sem_post(semaphores.sem[kind == WORKER_PROCESS ? SEMAPHORE_PROCESS : SEMAPHORE_THREAD]);
}

static uint32_t
seats_in(enum seat_state state)
{
        uint32_t n = 0;

        for (uint32_t i = 0; i < s->run->spec.seats; i++)
                n += seat_state(atomic_load(&s->seats[i].word)) == state;
        return n;
}

#define UNTIL(condition)                                                                                               \
        for (unsigned turns_ = 0; !(condition); turns_++) {                                                            \
                ck_assert_msg(turns_ < 20000, "never came true: %s", #condition);                                      \
                usleep(1000);                                                                                          \
        }

static uint32_t
slot_of(enum worker_kind kind, uint32_t i)
{
        return kind == WORKER_PROCESS ? segment_process_slot(s, i) : segment_thread_slot(s, i);
}

/* A worker of either kind, in a thread: what it does is the same. */
static void *
worker_thread(void *arg)
{
        worker_main(&setup_of_all, &semaphores, (uint32_t)(uintptr_t)arg);
        return NULL;
}

static void
start_workers(pthread_t *threads, enum worker_kind kind, uint32_t n)
{
        for (uint32_t i = 0; i < n; i++) {
                uintptr_t slot = slot_of(kind, i);

                s->slots[slot].kind = kind;
                s->slots[slot].state = SLOT_STARTING;
                ck_assert_int_eq(pthread_create(&threads[i], NULL, worker_thread, (void *)slot), 0);
        }
        for (uint32_t i = 0; i < n; i++)
                UNTIL(s->slots[slot_of(kind, i)].state == SLOT_IDLE);
}

static void
retire_workers(const pthread_t *threads, enum worker_kind kind, uint32_t n)
{
        for (uint32_t i = 0; i < n; i++)
                s->slots[slot_of(kind, i)].retire = 1;
        for (uint32_t i = 0; i < n; i++)
                sem_post(semaphores.sem[kind == WORKER_PROCESS ? SEMAPHORE_PROCESS : SEMAPHORE_THREAD]);
        for (uint32_t i = 0; i < n; i++) {
                pthread_join(threads[i], NULL);
                ck_assert_uint_eq(s->slots[slot_of(kind, i)].state, SLOT_RETIRING);
        }
}

static void
check_finished(uint32_t seats)
{
        uint64_t tasks = 0, rings = 0, last = 0;
        struct ledger_sum sum;

        ledger_sum(s->ledger, &s->run->spec.geometry, &sum);
        ck_assert_uint_eq(sum.done, COUNT);
        ck_assert_uint_eq(sum.failed, 0);
        for (uint32_t i = 0; i < seats; i++) {
                tasks += s->seats[i].tasks;
                last = MAX(last, s->seats[i].commit_ns);
                ck_assert_uint_eq(s->seats[i].merged, 1);
        }
        ck_assert_uint_eq(tasks, COUNT);
        ck_assert_uint_gt(s->run->start_ns, 0);
        ck_assert_uint_ge(last, s->run->start_ns);
        ck_assert_uint_eq(s->run->totals.dirty, 0);
        ck_assert_uint_gt(s->run->totals.latency.samples, 0);
        ck_assert_int_eq(s->run->prepare_error, 0);
        ck_assert_int_eq(read(setup_of_all.doorbell, &rings, sizeof(rings)), sizeof(rings));
        ck_assert_uint_gt(rings, 0);
}

static const char *const modes_tried[] = {"process", "thread", "gil"};

START_TEST(run_is_served_by_its_kind)
{
        pthread_t threads[3];
        enum worker_kind kind;

        prepare_run(modes_tried[_i], 3);
        kind = modes[s->run->spec.mode].kind;
        start_workers(threads, kind, 3);
        open_run();
        UNTIL(seats_in(SEAT_DONE) == 3);
        check_finished(3);
        for (uint32_t i = 0; i < 3; i++) {
                const struct slot *slot = &s->slots[slot_of(kind, i)];

                ck_assert_uint_eq(slot->state, SLOT_IDLE);
                ck_assert_uint_eq(slot->permit_state, PERMIT_IDLE);
                for (uint32_t k = 0; k < 3; k++)
                        ck_assert(s->seats[k].slot != slot_of(kind, i) || s->seats[k].tasks == slot->tasks);
        }
        retire_workers(threads, kind, 3);
}
END_TEST

START_TEST(other_kind_is_not_called)
{
        pthread_t threads[2];

        prepare_run("process", 2);
        start_workers(threads, WORKER_THREAD, 2);
        open_run();
        for (int i = 0; i < 2; i++)
                sem_post(semaphores.sem[SEMAPHORE_THREAD]);
        usleep(50000);
        ck_assert_uint_eq(seats_in(SEAT_EMPTY), 2);
        retire_workers(threads, WORKER_THREAD, 2);
}
END_TEST

/* Process workers with a parked thread and those without do not take each other's seats; threads do not care. */
START_TEST(other_flavour_is_not_called)
{
        enum worker_kind kind = _i < 2 ? WORKER_PROCESS : WORKER_THREAD;
        pthread_t threads[2];

        prepare_run(kind == WORKER_PROCESS ? "process" : "thread", 2);
        setup_of_all.parked_thread = _i % 2 == 0;
        s->run->spec.libc_native = setup_of_all.parked_thread;
        start_workers(threads, kind, 2);
        open_run();
        if (kind == WORKER_THREAD) {
                UNTIL(seats_in(SEAT_DONE) == 2);
                check_finished(2);
        } else {
                usleep(50000);
                ck_assert_uint_eq(seats_in(SEAT_EMPTY), 2);
        }
        retire_workers(threads, kind, 2);
}
END_TEST

START_TEST(native_run_is_served_without_a_parked_thread)
{
        pthread_t threads[2];

        prepare_run("process", 2);
        setup_of_all.parked_thread = false;
        s->run->spec.libc_native = true;
        start_workers(threads, WORKER_PROCESS, 2);
        open_run();
        UNTIL(seats_in(SEAT_DONE) == 2);
        check_finished(2);
        retire_workers(threads, WORKER_PROCESS, 2);
}
END_TEST

START_TEST(nobody_sits_down_in_another_run)
{
        pthread_t threads[1];

        prepare_run("thread", 2);
        atomic_store(&s->seats[0].word, seat_pack(RUN - 1, SEAT_EMPTY, 0));
        atomic_store(&s->seats[1].word, seat_pack(RUN, SEAT_DONE, 9));
        start_workers(threads, WORKER_THREAD, 1);
        open_run();
        usleep(50000);
        ck_assert_uint_eq(s->seats[0].word, seat_pack(RUN - 1, SEAT_EMPTY, 0));
        ck_assert_uint_eq(s->seats[1].word, seat_pack(RUN, SEAT_DONE, 9));
        retire_workers(threads, WORKER_THREAD, 1);
}
END_TEST

/* Who came first waits for the last one; told to stop, nobody begins. */
START_TEST(barrier_waits_for_all)
{
        pthread_t threads[2];
        struct ledger_sum sum;

        prepare_run("thread", 3);
        start_workers(threads, WORKER_THREAD, 2);
        open_run();
        UNTIL(seats_in(SEAT_READY) == 2);
        if (_i == 0) { /* the third is there, and not ready yet */
                atomic_store(&s->seats[2].word, seat_pack(RUN, SEAT_TAKEN, 9));
                usleep(150000);
        }
        usleep(20000);
        ledger_sum(s->ledger, &s->run->spec.geometry, &sum);
        ck_assert_uint_eq(sum.done, 0);
        ck_assert_uint_eq(s->run->go, 0);
        if (_i == 0) {
                atomic_store(&s->seats[2].word, seat_pack(RUN, SEAT_READY, 9));
                UNTIL(seats_in(SEAT_DONE) == 2);
                ck_assert_uint_gt(s->run->start_ns, 0);
        } else {
                __atomic_fetch_or(&s->run->attention, ATTENTION_FINISH, __ATOMIC_RELAXED);
                UNTIL(seats_in(SEAT_DONE) == 3); /* one of them took the third seat, too */
                ck_assert_uint_eq(s->run->start_ns, 0);
        }
        ledger_sum(s->ledger, &s->run->spec.geometry, &sum);
        ck_assert_uint_eq(sum.done == 0, _i == 1);
        retire_workers(threads, WORKER_THREAD, 2);
}
END_TEST

/* Who opened the barrier was killed between the stamp and the opening: the others go on, and the stamp stays. */
START_TEST(barrier_that_is_half_open_is_opened)
{
        pthread_t threads[2];

        prepare_run("thread", 2);
        atomic_store(&s->run->start_ns, 4711);
        start_workers(threads, WORKER_THREAD, 2);
        open_run();
        UNTIL(seats_in(SEAT_DONE) == 2);
        ck_assert_uint_eq(s->run->start_ns, 4711);
        check_finished(2);
        retire_workers(threads, WORKER_THREAD, 2);
}
END_TEST

/* The supervisor replaced the semaphores: a worker that wakes goes over to the new ones. */
START_TEST(worker_follows_the_generation)
{
        uint64_t before = semaphores.generation;
        struct semaphores fresh, old = semaphores;
        pthread_t threads[1];

        prepare_run("thread", 1);
        start_workers(threads, WORKER_THREAD, 1);
        ck_assert_int_eq(semaphores_create(&fresh, geteuid(), s->header->instance, before + 1), 0);
        semaphores = fresh;
        s->header->generation = fresh.generation;
        sem_post(old.sem[SEMAPHORE_THREAD]); /* it sleeps there still */
        open_run();
        UNTIL(seats_in(SEAT_DONE) == 1);
        forget_names(); /* it found the new ones by name */
        check_finished(1);
        retire_workers(threads, WORKER_THREAD, 1);
        semaphores_close(&old);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("worker");
        TCase *words = tcase_create("words"), *runs = tcase_create("runs");

        snprintf(shm_mark, sizeof(shm_mark), "unit-wrk-%d_", getpid());
        tcase_add_test(words, seat_word_keeps_its_parts_apart);
        tcase_add_test(words, current_word_keeps_its_parts_apart);
        tcase_add_test(words, clock_overhead_is_plausible);
        tcase_set_timeout(runs, 60);
        tcase_add_checked_fixture(runs, setup, teardown);
        tcase_add_loop_test(runs, run_is_served_by_its_kind, 0, ARRAY_SIZE(modes_tried));
        tcase_add_test(runs, other_kind_is_not_called);
        tcase_add_loop_test(runs, other_flavour_is_not_called, 0, 4);
        tcase_add_test(runs, native_run_is_served_without_a_parked_thread);
        tcase_add_test(runs, nobody_sits_down_in_another_run);
        tcase_add_loop_test(runs, barrier_waits_for_all, 0, 2);
        tcase_add_test(runs, barrier_that_is_half_open_is_opened);
        tcase_add_test(runs, worker_follows_the_generation);
        suite_add_tcase(suite, words);
        suite_add_tcase(suite, runs);
        return shm_main(suite);
}
