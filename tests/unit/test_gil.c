/* SPDX-License-Identifier: MIT */
/* The emulated interpreter lock: one holder at a time, hand-over on request, and nobody left waiting for nobody. */
#include "guards/gil.h"

#include "shared/base.h"
#include "shared/clock.h"

#include "run_suite.h"

#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define THREADS 4

/* What the threads of one test share. `attention` carries a bit of somebody else's, which must never change. */
#define FOREIGN_BIT 2U

struct room {
        struct gil gil;
        uint32_t attention;
        uint32_t stop;
        uint64_t total;      /* all rounds; plain on purpose, since the lock under test guards it */
        uint64_t inside;     /* threads that hold the lock at this moment */
        uint64_t violations;
};

struct guest {
        struct room *room;
        struct gil_thread gil;
        pthread_t thread;
        uint64_t rounds;
};

static void
room_open(struct room *room, uint64_t interval_ns)
{
        memset(room, 0, sizeof(*room));
        room->attention = FOREIGN_BIT;
        ck_assert_int_eq(gil_init(&room->gil, interval_ns), 0);
}

static void
guest_init(struct guest *g, struct room *room, uint32_t id)
{
        *g = (struct guest){ .room = room, .gil = { .gil = &room->gil, .attention = &room->attention, .id = id } };
}

static void
guest_start(struct guest *g, struct room *room, uint32_t id, void *(*fn)(void *))
{
        guest_init(g, room, id);
        ck_assert_int_eq(pthread_create(&g->thread, NULL, fn, g), 0);
}

static void
guest_join(struct guest *g)
{
        ck_assert_int_eq(pthread_join(g->thread, NULL), 0);
}

static void
sleep_ms(long ms)
{
        nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

static bool
room_is_stopped(const struct room *room)
{
        return __atomic_load_n(&room->stop, __ATOMIC_RELAXED) != 0;
}

static bool
drop_is_asked(const struct room *room)
{
        return __atomic_load_n(&room->attention, __ATOMIC_RELAXED) & GIL_DROP_BIT;
}

static uint32_t
waiters_of(struct room *room)
{
        uint32_t n;

        pthread_mutex_lock(&room->gil.lock);
        n = room->gil.waiters;
        pthread_mutex_unlock(&room->gil.lock);
        return n;
}

/* Until that thread, and no other, holds the lock. */
static void
await_holder(struct room *room, uint32_t id)
{
        bool holds;

        do {
                pthread_mutex_lock(&room->gil.lock);
                holds = room->gil.locked && room->gil.last_holder == id + 1;
                pthread_mutex_unlock(&room->gil.lock);
        } while (!holds);
}

static void
await_waiters(struct room *room, uint32_t n)
{
        while (waiters_of(room) != n)
                sleep_ms(1);
}

/* Comes in, looks whether it is alone, goes out. */
static void
visit(struct room *room)
{
        uint64_t before = __atomic_fetch_add(&room->inside, 1, __ATOMIC_RELAXED);

        for (int i = 0; i < 50; i++)
                if (before != 0 || __atomic_load_n(&room->inside, __ATOMIC_RELAXED) != 1)
                        __atomic_fetch_add(&room->violations, 1, __ATOMIC_RELAXED);
        room->total++;
        __atomic_fetch_sub(&room->inside, 1, __ATOMIC_RELAXED);
}

/* CPU-bound: holds the lock throughout, but for its checkpoints. */
static void *
guest_compute(void *arg)
{
        struct guest *g = arg;

        gil_acquire(&g->gil);
        while (!room_is_stopped(g->room)) {
                visit(g->room);
                g->rounds++;
                gil_checkpoint(&g->gil);
        }
        gil_release(&g->gil);
        return NULL;
}

/* Lets go after every visit, as around a call that blocks. */
static void *
guest_block(void *arg)
{
        struct guest *g = arg;

        while (!room_is_stopped(g->room)) {
                gil_acquire(&g->gil);
                visit(g->room);
                g->rounds++;
                gil_release(&g->gil);
        }
        return NULL;
}

static void
run_guests(struct room *room, struct guest *guests, uint32_t n, void *(*fn)(void *), long ms)
{
        uint64_t rounds = 0;

        for (uint32_t i = 0; i < n; i++)
                guest_start(&guests[i], room, i, fn);
        sleep_ms(ms);
        __atomic_store_n(&room->stop, 1, __ATOMIC_RELAXED);
        for (uint32_t i = 0; i < n; i++) {
                guest_join(&guests[i]);
                rounds += guests[i].rounds;
        }
        ck_assert_uint_eq(room->total, rounds);
        ck_assert_uint_eq(room->violations, 0);
        ck_assert_uint_eq(room->gil.locked, 0);
        ck_assert_uint_eq(room->gil.waiters, 0);
        ck_assert_uint_eq(room->attention, FOREIGN_BIT);
}

START_TEST(init_refuses_no_interval)
{
        struct gil gil;

        ck_assert_int_eq(gil_init(&gil, 0), -EINVAL);
        ck_assert_int_eq(gil_init(&gil, 1), 0);
        ck_assert_uint_eq(gil.locked, 0);
}
END_TEST

START_TEST(one_thread_alone_never_waits)
{
        struct room room;
        struct guest g;

        room_open(&room, GIL_SWITCH_INTERVAL_NS);
        guest_init(&g, &room, 0);
        for (int i = 0; i < 1000; i++) {
                gil_acquire(&g.gil);
                gil_checkpoint(&g.gil);
                gil_release(&g.gil);
        }
        ck_assert_uint_eq(g.gil.wait_ns, 0);
        ck_assert_uint_eq(g.gil.switches, 0);
        ck_assert_uint_eq(room.gil.switches, 0);
}
END_TEST

/* Many switches at the shortest sensible interval. */
START_TEST(one_holder_at_a_time_computing)
{
        struct guest guests[THREADS];
        struct room room;

        room_open(&room, 100 * NS_PER_US);
        run_guests(&room, guests, THREADS, guest_compute, 400);
        for (int i = 0; i < THREADS; i++)
                ck_assert_uint_gt(guests[i].rounds, 0);
        ck_assert_uint_ge(room.gil.switches, THREADS);
}
END_TEST

START_TEST(one_holder_at_a_time_blocking)
{
        struct guest guests[THREADS];
        struct room room;

        room_open(&room, 100 * NS_PER_US);
        run_guests(&room, guests, THREADS, guest_block, 400);
        ck_assert_uint_ge(room.total, 1000);
}
END_TEST

/* Threads that never block change about once per interval, however many they are: neither never, nor at every
 * checkpoint, nor once per waiter and interval. */
START_TEST(computing_threads_switch_once_per_interval)
{
        struct guest guests[THREADS];
        uint64_t start, waited, switches = 0;
        uint32_t n = (uint32_t)_i;
        struct room room;

        room_open(&room, GIL_SWITCH_INTERVAL_NS);
        start = clock_now_ns();
        run_guests(&room, guests, n, guest_compute, 1000);
        waited = clock_now_ns() - start;
        ck_assert_uint_ge(room.gil.switches, 20);
        ck_assert_uint_le(room.gil.switches, waited / GIL_SWITCH_INTERVAL_NS + n);
        for (uint32_t i = 0; i < n; i++) {
                ck_assert_uint_gt(guests[i].rounds, 0);
                ck_assert_uint_ge(guests[i].gil.wait_ns, waited / 10);
                ck_assert_uint_le(guests[i].gil.wait_ns, waited);
                switches += guests[i].gil.switches;
        }
        ck_assert_uint_eq(switches, room.gil.switches);
}
END_TEST

static void *
guest_visit_once(void *arg)
{
        struct guest *g = arg;

        gil_acquire(&g->gil);
        visit(g->room);
        g->rounds++;
        gil_release(&g->gil);
        return NULL;
}

/* The forced switch: when a release on request returns, somebody else has had the lock. */
START_TEST(release_on_request_changes_the_holder)
{
        for (int i = 0; i < 20; i++) {
                struct guest holder, other;
                struct room room;

                room_open(&room, NS_PER_MS);
                guest_init(&holder, &room, 0);
                gil_acquire(&holder.gil);
                guest_start(&other, &room, 1, guest_visit_once);
                while (!drop_is_asked(&room))
                        sleep_ms(1);
                gil_release(&holder.gil);
                ck_assert_uint_eq(__atomic_load_n(&room.gil.last_holder, __ATOMIC_RELAXED), 2);
                guest_join(&other);
                ck_assert_uint_eq(room.gil.switches, 1);
                ck_assert_uint_eq(room.attention, FOREIGN_BIT);
        }
}
END_TEST

START_TEST(checkpoint_on_request_lets_another_in)
{
        struct guest holder, other;
        struct room room;

        room_open(&room, NS_PER_MS);
        guest_init(&holder, &room, 0);
        gil_acquire(&holder.gil);
        guest_start(&other, &room, 1, guest_visit_once);
        while (!drop_is_asked(&room))
                sleep_ms(1);
        gil_checkpoint(&holder.gil);
        ck_assert_uint_eq(__atomic_load_n(&other.rounds, __ATOMIC_RELAXED), 1);
        ck_assert_uint_eq(room.gil.last_holder, 1);
        ck_assert_uint_eq(room.gil.locked, 1);
        ck_assert_uint_eq(room.gil.switches, 2);
        ck_assert_uint_eq(holder.gil.switches, 1);
        ck_assert_uint_eq(other.gil.switches, 1);
        gil_release(&holder.gil);
        guest_join(&other);
}
END_TEST

/* Who waits for less than the interval does not disturb the holder. */
START_TEST(no_request_before_the_interval)
{
        struct guest holder, other;
        struct room room;

        room_open(&room, 60 * NS_PER_S);
        guest_init(&holder, &room, 0);
        gil_acquire(&holder.gil);
        guest_start(&other, &room, 1, guest_visit_once);
        await_waiters(&room, 1);
        sleep_ms(20);
        ck_assert(!drop_is_asked(&room));
        gil_release(&holder.gil);
        guest_join(&other);
        ck_assert_uint_ge(other.gil.wait_ns, 20 * NS_PER_MS);
        ck_assert_uint_eq(room.gil.switches, 1);
}
END_TEST

/* A request of which nobody is left, as after a kill, must not stop the holder. */
START_TEST(stale_request_makes_nobody_wait)
{
        struct room room;
        struct guest g;

        room_open(&room, GIL_SWITCH_INTERVAL_NS);
        guest_init(&g, &room, 0);
        gil_acquire(&g.gil);
        room.attention |= GIL_DROP_BIT;
        gil_checkpoint(&g.gil);
        ck_assert_uint_eq(room.attention, FOREIGN_BIT);
        ck_assert_uint_eq(room.gil.switches, 0);
        room.attention |= GIL_DROP_BIT;
        gil_release(&g.gil);
        ck_assert_uint_eq(room.gil.locked, 0);
}
END_TEST

static void *
guest_leave_early(void *arg)
{
        struct guest *g = arg;

        gil_acquire(&g->gil);
        for (int i = 0; i < 3; i++) {
                visit(g->room);
                gil_checkpoint(&g->gil);
        }
        g->rounds++;
        gil_release(&g->gil);
        return NULL;
}

/* Threads come and go beside one that stays: each time it goes on when it is the last. */
START_TEST(nobody_waits_for_a_thread_that_left)
{
        struct guest stays, leaves;
        struct room room;

        room_open(&room, 200 * NS_PER_US);
        guest_start(&stays, &room, 0, guest_compute);
        for (int i = 0; i < 100; i++) {
                await_holder(&room, 0);
                guest_start(&leaves, &room, 1, guest_leave_early);
                guest_join(&leaves);
                ck_assert_uint_eq(leaves.rounds, 1);
        }
        __atomic_store_n(&room.stop, 1, __ATOMIC_RELAXED);
        guest_join(&stays);
        ck_assert_uint_eq(room.violations, 0);
        ck_assert_uint_ge(room.gil.switches, 199);
        ck_assert_uint_eq(room.attention, FOREIGN_BIT);
}
END_TEST

/* While one thread blocks without the lock, the other has it all the time and makes no switches. */
START_TEST(blocked_thread_does_not_hold)
{
        struct guest blocks, works;
        struct room room;

        room_open(&room, GIL_SWITCH_INTERVAL_NS);
        guest_init(&blocks, &room, 0);
        gil_acquire(&blocks.gil);
        guest_start(&works, &room, 1, guest_compute);
        await_waiters(&room, 1);
        gil_release(&blocks.gil);
        await_waiters(&room, 0);
        sleep_ms(50);
        ck_assert_uint_eq(__atomic_load_n(&room.gil.switches, __ATOMIC_RELAXED), 1);
        gil_acquire(&blocks.gil);
        ck_assert_uint_gt(blocks.gil.wait_ns, 0);
        __atomic_store_n(&room.stop, 1, __ATOMIC_RELAXED);
        gil_release(&blocks.gil);
        guest_join(&works);
        ck_assert_uint_gt(works.rounds, 0);
        ck_assert_uint_eq(room.violations, 0);
}
END_TEST

/* ── giving up ── */

START_TEST(taken_lock_is_given_up_at_the_deadline)
{
        struct guest holder, other;
        struct room room;
        uint64_t until;

        room_open(&room, NS_PER_MS);
        guest_init(&holder, &room, 0);
        guest_init(&other, &room, 1);
        ck_assert_int_eq(gil_acquire_until(&holder.gil, 0), 0);
        ck_assert_int_eq(gil_acquire_until(&other.gil, 0), -ETIMEDOUT);
        ck_assert_uint_eq(other.gil.wait_ns, 0);
        ck_assert(!drop_is_asked(&room));
        until = clock_now_ns() + 10 * NS_PER_MS;
        ck_assert_int_eq(gil_acquire_until(&other.gil, until), -ETIMEDOUT);
        ck_assert_uint_ge(clock_now_ns(), until);
        ck_assert_uint_gt(other.gil.wait_ns, 0);
        ck_assert_uint_eq(room.gil.waiters, 0);
        ck_assert_uint_eq(room.gil.last_holder, 1);
        /* It had asked, and nobody waits any more: the holder goes on. */
        ck_assert(drop_is_asked(&room));
        gil_checkpoint(&holder.gil);
        ck_assert_uint_eq(room.attention, FOREIGN_BIT);
        ck_assert_uint_eq(room.gil.switches, 0);
        gil_release(&holder.gil);
        ck_assert_int_eq(gil_acquire_until(&other.gil, 0), 0);
        gil_release(&other.gil);
}
END_TEST

/* Who gives up before the interval is over does not disturb the holder. */
START_TEST(no_request_by_who_leaves_early)
{
        struct guest holder, other;
        struct room room;

        room_open(&room, 60 * NS_PER_S);
        guest_init(&holder, &room, 0);
        guest_init(&other, &room, 1);
        gil_acquire(&holder.gil);
        ck_assert_int_eq(gil_acquire_until(&other.gil, clock_now_ns() + 5 * NS_PER_MS), -ETIMEDOUT);
        ck_assert(!drop_is_asked(&room));
        gil_release(&holder.gil);
}
END_TEST

static void *
guest_hurry(void *arg)
{
        struct guest *g = arg;

        while (!room_is_stopped(g->room)) {
                if (gil_acquire_until(&g->gil, clock_now_ns() + (g->gil.id + g->rounds % 7) * 30 * NS_PER_US) < 0)
                        continue;
                for (int i = 0; i < 3; i++) {
                        visit(g->room);
                        g->rounds++;
                        gil_checkpoint(&g->gil);
                }
                gil_release(&g->gil);
        }
        return NULL;
}

/* Requests whose makers leave, in the middle of forced switches: nobody hangs, and nothing is left over. */
START_TEST(giving_up_disturbs_no_forced_switch)
{
        struct guest guests[THREADS], last;
        struct room room;

        room_open(&room, 50 * NS_PER_US);
        for (uint32_t i = 0; i < THREADS; i++)
                guest_start(&guests[i], &room, i, guest_hurry);
        sleep_ms(400);
        __atomic_store_n(&room.stop, 1, __ATOMIC_RELAXED);
        for (uint32_t i = 0; i < THREADS; i++)
                guest_join(&guests[i]);
        ck_assert_uint_eq(room.violations, 0);
        ck_assert_uint_eq(room.gil.waiters, 0);
        guest_init(&last, &room, THREADS);
        ck_assert_int_eq(gil_acquire_until(&last.gil, 0), 0);
        gil_release(&last.gil);
        ck_assert_uint_eq(room.attention, FOREIGN_BIT);
        for (uint32_t i = 0; i < THREADS; i++)
                room.total -= guests[i].rounds;
        ck_assert_uint_eq(room.total, 0);
}
END_TEST

static Suite *
gil_suite(void)
{
        Suite *s = suite_create("gil");
        TCase *tc = tcase_create("gil");

        tcase_set_timeout(tc, 20);
        tcase_add_test(tc, init_refuses_no_interval);
        tcase_add_test(tc, one_thread_alone_never_waits);
        tcase_add_test(tc, one_holder_at_a_time_computing);
        tcase_add_test(tc, one_holder_at_a_time_blocking);
        tcase_add_loop_test(tc, computing_threads_switch_once_per_interval, 2, THREADS + 1);
        tcase_add_test(tc, release_on_request_changes_the_holder);
        tcase_add_test(tc, checkpoint_on_request_lets_another_in);
        tcase_add_test(tc, no_request_before_the_interval);
        tcase_add_test(tc, stale_request_makes_nobody_wait);
        tcase_add_test(tc, nobody_waits_for_a_thread_that_left);
        tcase_add_test(tc, blocked_thread_does_not_hold);
        tcase_add_test(tc, taken_lock_is_given_up_at_the_deadline);
        tcase_add_test(tc, no_request_by_who_leaves_early);
        tcase_add_test(tc, giving_up_disturbs_no_forced_switch);
        suite_add_tcase(s, tc);
        return s;
}

int
main(void)
{
        return run_suite(gil_suite());
}
