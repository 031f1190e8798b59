/* SPDX-License-Identifier: MIT */
/* Permits: never more holders than permits, and none lost, whoever dies and wherever it stood. */
#include "segment/permits.h"

#include "permit_deaths.h"
#include "shared/base.h"
#include "worker_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>

#define SLOTS 4

/* All that the slots share; also between processes. */
struct room {
        struct permits permits;
        sem_t sem;
        _Atomic uint32_t state[SLOTS];
        _Atomic uint32_t inside[SLOTS]; /* odd between acquire and release */
        _Atomic uint32_t most;          /* so many were inside at once */
        _Atomic uint64_t rounds, given_up;
        uint64_t unguarded; /* with one permit: changed inside, without atomics */
};

static struct room *room;

static void
setup(void)
{
        room = mmap(NULL, sizeof(*room), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(room, MAP_FAILED);
}

static void
teardown(void)
{
        sem_destroy(&room->sem);
        munmap(room, sizeof(*room));
}

static void
room_open(uint32_t n)
{
        memset(room, 0, sizeof(*room));
        permits_init(&room->permits, n);
        ck_assert_int_eq(sem_init(&room->sem, 1, n), 0);
}

static int
value(void)
{
        int v;

        ck_assert_int_eq(sem_getvalue(&room->sem, &v), 0);
        return v;
}

static uint32_t
acquire(uint32_t slot)
{
        return permits_acquire(&room->permits, &room->sem, slot, &room->state[slot]);
}

static int
acquire_until(uint32_t slot, uint64_t until_ns, uint32_t *ret_cell)
{
        return permits_acquire_until(&room->permits, &room->sem, slot, &room->state[slot], until_ns, ret_cell);
}

static void
release(uint32_t slot, uint32_t cell)
{
        permits_release(&room->permits, &room->sem, cell, &room->state[slot]);
}

static uint32_t
free_cells(void)
{
        uint32_t n = 0;

        for (uint32_t i = 0; i < room->permits.n; i++)
                n += atomic_load(&room->permits.cell[i]) == 0;
        return n;
}

/* As it was at the beginning: every permit is there, and nobody is anywhere. */
static void
check_all_free(void)
{
        ck_assert_uint_eq(free_cells(), room->permits.n);
        ck_assert_int_eq(value(), (int)room->permits.n);
        for (uint32_t i = 0; i < SLOTS; i++)
                ck_assert_uint_eq(room->state[i], PERMIT_IDLE);
        ck_assert_uint_eq(room->permits.rescues, 0);
}

/* ── one after another ── */

START_TEST(uncontended_permit_comes_and_goes)
{
        static const uint32_t permits[] = {1, 2, 3, PERMITS_MAX};
        uint32_t n = permits[_i];

        room_open(n);
        for (uint32_t slot = 0; slot < SLOTS; slot++) {
                uint64_t relseq = room->permits.relseq;
                uint32_t cell = acquire(slot);

                ck_assert_uint_eq(cell, slot % n);
                ck_assert_uint_eq(room->permits.cell[cell], slot + 1);
                ck_assert_uint_eq(room->state[slot], PERMIT_HELD);
                ck_assert_int_eq(value(), (int)n - 1);
                release(slot, cell);
                ck_assert_uint_eq(room->permits.relseq, relseq + 1);
                check_all_free();
        }
}
END_TEST

START_TEST(holders_have_cells_of_their_own)
{
        uint32_t cells[3];

        room_open(3);
        for (uint32_t i = 0; i < 3; i++) /* slot 3 would like the cell of slot 0 */
                cells[i] = acquire(i == 2 ? 3 : i);
        ck_assert_uint_eq(cells[0], 0);
        ck_assert_uint_eq(cells[1], 1);
        ck_assert_uint_eq(cells[2], 2);
        ck_assert_int_eq(value(), 0);
        release(1, cells[1]);
        ck_assert_uint_eq(acquire(2), 1);
        release(2, 1);
        release(0, 0);
        release(3, 2);
        check_all_free();
}
END_TEST

/* ── recovery, state by state ── */

static unsigned repairs;

/* The dead one's permit must not be to be had yet. */
static void
repair(void *arg)
{
        const int *before = arg;

        ck_assert_uint_eq(room->state[0], PERMIT_RECOVERING);
        ck_assert_int_eq(value(), before[0]);
        ck_assert_uint_eq(free_cells(), (uint32_t)before[1]);
        repairs++;
}

static void
check_recovery(uint32_t n, uint32_t others, size_t d)
{
        const struct permit_death *death = &permit_deaths[d];
        uint32_t freed, cell;
        int before[2];

        room_open(n);
        for (uint32_t i = 0; i < others; i++)
                acquire(1 + i);
        permit_die(death, &room->permits, &room->sem, 0, &room->state[0]);
        before[0] = value();
        before[1] = (int)free_cells();
        repairs = 0;
        freed = permits_recover(&room->permits, &room->sem, 0, &room->state[0], repair, before);
        ck_assert_uint_eq(repairs, 1);
        ck_assert_uint_eq(freed, death->cell);
        ck_assert_uint_eq(free_cells(), n - others);
        ck_assert_uint_eq(room->state[0], PERMIT_IDLE);
        /* Enough for all that is free; more than there are permits never. A holder's permit is one and not two. */
        ck_assert_msg(value() >= (int)(n - others) && value() <= (int)n, "%s: value %d, %u of %u held", death->where,
                      value(), others, n);
        if (death->state == PERMIT_HELD)
                ck_assert_int_eq(value(), (int)(n - others));
        /* The others and the slot's next owner find everything in order. */
        release(0, acquire(0));
        for (uint32_t i = 0; i < others; i++) {
                cell = 0;
                while (room->permits.cell[cell] != 2 + i)
                        cell++;
                release(1 + i, cell);
        }
        room->state[0] = PERMIT_ACQUIRING;
        permits_recover(&room->permits, &room->sem, 0, &room->state[0], NULL, NULL);
        check_all_free();
}

START_TEST(recovery_wherever_it_died)
{
        for (uint32_t n = 1; n <= 3; n++) {
                for (uint32_t others = 0; others < n; others++)
                        check_recovery(n, others, (size_t)_i);
        }
}
END_TEST

START_TEST(recovery_leaves_the_idle_alone)
{
        uint64_t relseq;

        room_open(2);
        acquire(1);
        relseq = room->permits.relseq;
        repairs = 0;
        ck_assert_uint_eq(permits_recover(&room->permits, &room->sem, 0, &room->state[0], repair, NULL), 0);
        ck_assert_uint_eq(repairs, 0);
        ck_assert_int_eq(value(), 1);
        ck_assert_uint_eq(room->permits.relseq, relseq);
        ck_assert_uint_eq(room->permits.cell[1], 2);
}
END_TEST

/* A scan that goes on meanwhile must learn that a cell was freed. */
START_TEST(recovery_moves_the_sequence)
{
        uint64_t relseq;

        room_open(1);
        acquire(0);
        relseq = room->permits.relseq;
        ck_assert_uint_eq(permits_recover(&room->permits, &room->sem, 0, &room->state[0], NULL, NULL), 1);
        ck_assert_uint_gt(room->permits.relseq, relseq);
        check_all_free();
}
END_TEST

START_TEST(surplus_is_clipped)
{
        room_open(3);
        for (int i = 0; i < 5; i++)
                sem_post(&room->sem);
        room->state[0] = PERMIT_ACQUIRING;
        permits_recover(&room->permits, &room->sem, 0, &room->state[0], NULL, NULL);
        check_all_free();
}
END_TEST

/* ── waiting ── */

static void *
wait_and_go(void *arg)
{
        uint32_t slot = (uint32_t)(uintptr_t)arg;

        release(slot, acquire(slot));
        return NULL;
}

/* A token without a cell is dropped, and grants nothing. */
START_TEST(surplus_token_grants_nothing)
{
        pthread_t thread;

        room_open(1);
        acquire(0);
        sem_post(&room->sem);
        ck_assert_int_eq(pthread_create(&thread, NULL, wait_and_go, (void *)1), 0);
        for (int i = 0; i < 2000 && value() > 0; i++)
                usleep(1000);
        ck_assert_int_eq(value(), 0);
        ck_assert_uint_eq(room->state[1], PERMIT_ACQUIRING);
        ck_assert_uint_eq(room->permits.cell[0], 1);
        release(0, 0);
        pthread_join(thread, NULL);
        check_all_free();
}
END_TEST

static void
on_signal(int signal_number)
{
        (void)signal_number;
}

START_TEST(interrupted_wait_goes_on)
{
        struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART */
        pthread_t thread;

        sigaction(SIGUSR1, &action, NULL);
        room_open(1);
        ck_assert_int_eq(sem_trywait(&room->sem), 0); /* the cell stays free: only a wait to the end finds it */
        ck_assert_int_eq(pthread_create(&thread, NULL, wait_and_go, (void *)1), 0);
        while (room->state[1] != PERMIT_ACQUIRING)
                usleep(1000);
        for (int i = 0; i < 20; i++) {
                pthread_kill(thread, SIGUSR1);
                usleep(1000);
        }
        ck_assert_uint_eq(room->state[1], PERMIT_ACQUIRING);
        sem_post(&room->sem);
        pthread_join(thread, NULL);
        check_all_free();
}
END_TEST

/* A worker that is stopped between its cell and its post: who waits looks at the cells again after a second. */
START_TEST(cell_without_a_token_is_found)
{
        uint64_t begin;

        room_open(1);
        ck_assert_int_eq(sem_trywait(&room->sem), 0);
        begin = clock_now_ns();
        ck_assert_uint_eq(acquire(1), 0);
        ck_assert_uint_ge(clock_now_ns() - begin, 900 * NS_PER_MS);
        ck_assert_uint_eq(room->permits.rescues, 1);
        ck_assert_uint_eq(room->state[1], PERMIT_HELD);
        sem_post(&room->sem); /* the stopped one goes on */
        release(1, 0);
        ck_assert_int_eq(value(), 2);
        room->state[0] = PERMIT_RELEASING; /* and dies at last */
        permits_recover(&room->permits, &room->sem, 0, &room->state[0], NULL, NULL);
        ck_assert_int_eq(value(), 1);
}
END_TEST

/* ── giving up ── */

START_TEST(who_gives_up_leaves_nothing_behind)
{
        static const uint64_t patience[] = {0, 1, NS_PER_MS, 20 * NS_PER_MS};
        uint32_t cell = 77;

        room_open(2);
        acquire(0);
        acquire(2 + 1);
        for (size_t i = 0; i < ARRAY_SIZE(patience); i++) {
                uint64_t until = patience[i] ? clock_now_ns() + patience[i] : 0;

                ck_assert_int_eq(acquire_until(1, until, &cell), -ETIMEDOUT);
                ck_assert_uint_ge(clock_now_ns(), until);
                ck_assert_uint_eq(cell, 77);
                ck_assert_uint_eq(room->state[1], PERMIT_IDLE);
                ck_assert_int_eq(value(), 0);
        }
        release(0, 0);
        ck_assert_int_eq(acquire_until(1, 0, &cell), 0); /* what is there is to be had, however late it is */
        ck_assert_uint_eq(cell, 0);
        ck_assert_uint_eq(room->state[1], PERMIT_HELD);
        release(1, cell);
        release(3, 1);
        check_all_free();
}
END_TEST

START_TEST(who_gives_up_drops_a_surplus_token_only)
{
        uint32_t cell;

        room_open(1);
        acquire(0);
        sem_post(&room->sem);
        ck_assert_int_eq(acquire_until(1, clock_now_ns() + NS_PER_MS, &cell), -ETIMEDOUT);
        ck_assert_int_eq(value(), 0);
        release(0, 0);
        check_all_free();
}
END_TEST

/* A release stands between its cell and its post: to wait a little is no reason to take that cell without a token, to
 * wait for the whole limit is. */
START_TEST(short_of_the_limit_nobody_is_rescued)
{
        uint32_t cell;

        room_open(1);
        ck_assert_int_eq(sem_trywait(&room->sem), 0);
        ck_assert_int_eq(acquire_until(1, clock_now_ns() + 20 * NS_PER_MS, &cell), -ETIMEDOUT);
        ck_assert_uint_eq(room->permits.cell[0], 0);
        ck_assert_uint_eq(room->permits.rescues, 0);
        ck_assert_int_eq(acquire_until(1, clock_now_ns() + 60 * NS_PER_S, &cell), 0);
        ck_assert_uint_eq(room->permits.rescues, 1);
        ck_assert_uint_eq(room->permits.cell[0], 2);
}
END_TEST

START_TEST(interrupted_wait_gives_up_all_the_same)
{
        struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART */
        struct itimerval often = {.it_interval.tv_usec = 2000, .it_value.tv_usec = 2000};
        uint64_t until;
        uint32_t cell;

        sigaction(SIGALRM, &action, NULL);
        room_open(1);
        acquire(0);
        ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
        until = clock_now_ns() + 50 * NS_PER_MS;
        ck_assert_int_eq(acquire_until(1, until, &cell), -ETIMEDOUT);
        ck_assert_uint_ge(clock_now_ns(), until);
        memset(&often, 0, sizeof(often));
        setitimer(ITIMER_REAL, &often, NULL);
        release(0, 0);
        check_all_free();
}
END_TEST

/* ── many at once ── */

/* How many are inside at one instant, or 0 when that cannot be told: what was read twice without a change was so all
 * the time between. */
static uint32_t
count_inside(void)
{
        uint32_t seen[SLOTS], n = 0;

        for (uint32_t i = 0; i < SLOTS; i++)
                seen[i] = atomic_load(&room->inside[i]);
        for (uint32_t i = 0; i < SLOTS; i++) {
                if (atomic_load(&room->inside[i]) != seen[i])
                        return 0;
                n += seen[i] & 1;
        }
        return n;
}

/* What a holder does; it looks how many are with it. */
static void
stay_inside(uint32_t slot)
{
        uint32_t n, most = atomic_load(&room->most);

        atomic_fetch_add(&room->inside[slot], 1);
        if (room->permits.n == 1)
                room->unguarded++;
        n = count_inside();
        while (n > most && !atomic_compare_exchange_weak(&room->most, &most, n))
                ;
        atomic_fetch_add(&room->rounds, 1);
        atomic_fetch_add(&room->inside[slot], 1);
}

#define VISITS 20000

static void *
visit_often(void *arg)
{
        uint32_t slot = (uint32_t)(uintptr_t)arg;

        for (int i = 0; i < VISITS; i++) {
                uint32_t cell = acquire(slot);

                stay_inside(slot);
                release(slot, cell);
        }
        return NULL;
}

START_TEST(threads_never_exceed_the_permits)
{
        pthread_t threads[SLOTS];

        room_open((uint32_t)_i);
        for (uintptr_t i = 0; i < SLOTS; i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, visit_often, (void *)i), 0);
        for (uint32_t i = 0; i < SLOTS; i++)
                pthread_join(threads[i], NULL);
        ck_assert_uint_le(room->most, (uint32_t)_i);
        if (_i == 1)
                ck_assert_uint_eq(room->unguarded, SLOTS * VISITS);
        check_all_free();
}
END_TEST

/* Waits for 50 µs at most, so that many give up while others release. */
static void
visit_in_a_hurry(uint32_t slot, uint64_t *random)
{
        uint64_t until = clock_now_ns() + fixture_random(random) % (50 * NS_PER_US);
        uint32_t cell;

        if (acquire_until(slot, until, &cell) < 0) {
                atomic_fetch_add(&room->given_up, 1);
                return;
        }
        stay_inside(slot);
        if (fixture_random(random) % 4 == 0)
                sched_yield();
        release(slot, cell);
}

#define ENOUGH 2000

static void *
hurry_often(void *arg)
{
        uint32_t slot = (uint32_t)(uintptr_t)arg;
        uint64_t random = slot + 1;

        while (atomic_load(&room->rounds) < ENOUGH || atomic_load(&room->given_up) < ENOUGH)
                visit_in_a_hurry(slot, &random);
        return NULL;
}

START_TEST(giving_up_loses_no_permit)
{
        pthread_t threads[SLOTS];

        room_open((uint32_t)_i);
        for (uintptr_t i = 0; i < SLOTS; i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, hurry_often, (void *)i), 0);
        for (uint32_t i = 0; i < SLOTS; i++)
                pthread_join(threads[i], NULL);
        ck_assert_uint_le(room->most, (uint32_t)_i);
        if (_i == 1)
                ck_assert_uint_eq(room->unguarded, room->rounds);
        check_all_free();
}
END_TEST

#define KILLS 150

static bool is_hurried;

static pid_t
holder_fork(uint32_t slot)
{
        uint64_t random = slot + 1;
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid > 0)
                return pid;
        for (;;) {
                uint32_t cell;

                if (is_hurried) {
                        visit_in_a_hurry(slot, &random);
                        continue;
                }
                cell = acquire(slot);
                stay_inside(slot);
                release(slot, cell);
        }
}

/* What recovery relies on: who tells that it is idle has no cell, and who tells that it holds has one. */
static void
check_told(uint32_t slot)
{
        uint32_t cells = 0;

        for (uint32_t i = 0; i < room->permits.n; i++)
                cells += atomic_load(&room->permits.cell[i]) == slot + 1;
        if (room->state[slot] == PERMIT_IDLE)
                ck_assert_uint_eq(cells, 0);
        else if (room->state[slot] == PERMIT_HELD)
                ck_assert_uint_eq(cells, 1);
        else
                ck_assert_uint_le(cells, 1);
}

/* The order of the daemon: reaped, then recovered, then the slot is given out again. */
static void
holder_bury(uint32_t slot, pid_t pid)
{
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        check_told(slot);
        atomic_fetch_add(&room->inside[slot], atomic_load(&room->inside[slot]) & 1);
        permits_recover(&room->permits, &room->sem, slot, &room->state[slot], NULL, NULL);
}

static void
check_kills(uint32_t n)
{
        uint64_t random = (uint64_t)getpid(), rounds;
        pid_t pid[SLOTS];

        room_open(n);
        for (uint32_t i = 0; i < SLOTS; i++)
                pid[i] = holder_fork(i);
        for (int k = 0; k < KILLS; k++) {
                uint32_t victim = (uint32_t)fixture_random(&random) % SLOTS;

                usleep((useconds_t)(fixture_random(&random) % 1000));
                holder_bury(victim, pid[victim]);
                pid[victim] = holder_fork(victim);
        }
        /* They go on after all that. */
        rounds = atomic_load(&room->rounds);
        for (int i = 0; i < 10000 && atomic_load(&room->rounds) < rounds + 100; i++)
                usleep(1000);
        ck_assert_uint_ge(atomic_load(&room->rounds), rounds + 100);
        for (uint32_t i = 0; i < SLOTS; i++)
                holder_bury(i, pid[i]);
        ck_assert_uint_le(room->most, n);
        /* A post too many may have stayed, none too few. The next recovery clips it. */
        ck_assert_int_ge(value(), (int)n);
        ck_assert_uint_eq(free_cells(), n);
        room->state[0] = PERMIT_ACQUIRING;
        permits_recover(&room->permits, &room->sem, 0, &room->state[0], NULL, NULL);
        check_all_free();
}

START_TEST(killed_holders_lose_no_permit)
{
        check_kills((uint32_t)_i);
}
END_TEST

START_TEST(killed_in_a_hurry_they_lose_no_permit)
{
        is_hurried = true;
        check_kills((uint32_t)_i);
        ck_assert_uint_gt(room->given_up, 0);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("permits");
        TCase *alone = tcase_create("alone"), *waiting = tcase_create("waiting"), *many = tcase_create("many");
        TCase *cases[] = {alone, waiting, many};

        tcase_add_loop_test(alone, uncontended_permit_comes_and_goes, 0, 4);
        tcase_add_test(alone, holders_have_cells_of_their_own);
        tcase_add_loop_test(alone, recovery_wherever_it_died, 0, ARRAY_SIZE(permit_deaths));
        tcase_add_test(alone, recovery_leaves_the_idle_alone);
        tcase_add_test(alone, recovery_moves_the_sequence);
        tcase_add_test(alone, surplus_is_clipped);
        tcase_add_test(waiting, surplus_token_grants_nothing);
        tcase_add_test(waiting, interrupted_wait_goes_on);
        tcase_add_test(waiting, cell_without_a_token_is_found);
        tcase_add_test(waiting, who_gives_up_leaves_nothing_behind);
        tcase_add_test(waiting, who_gives_up_drops_a_surplus_token_only);
        tcase_add_test(waiting, short_of_the_limit_nobody_is_rescued);
        tcase_add_test(waiting, interrupted_wait_gives_up_all_the_same);
        tcase_add_loop_test(many, threads_never_exceed_the_permits, 1, 4);
        tcase_add_loop_test(many, giving_up_loses_no_permit, 1, 4);
        tcase_add_loop_test(many, killed_holders_lose_no_permit, 1, 4);
        tcase_add_loop_test(many, killed_in_a_hurry_they_lose_no_permit, 1, 4);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                tcase_set_timeout(cases[i], 60);
                tcase_add_checked_fixture(cases[i], setup, teardown);
                suite_add_tcase(suite, cases[i]);
        }
        return run_suite(suite);
}
