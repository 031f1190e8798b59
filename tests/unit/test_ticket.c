/* SPDX-License-Identifier: MIT */
/* The ticket lock: who gives up stands in nobody's way, and all others are served in their order. */
#include "guard_room.h"

/* What ticket.c has in its area: next, serving and the ring of marks, each on a line of its own. */
static uint32_t
tickets_drawn(void)
{
        return atomic_load((_Atomic uint32_t *)(void *)room->shared.area);
}

static _Atomic uint64_t *
mark_of_ticket(uint32_t ticket)
{
        return (_Atomic uint64_t *)(void *)(room->shared.area + 2 * RACE_LINE) + ticket;
}

static void
act_note_order(struct guard_user *u)
{
        EXPECT(guard->acquire(u) == 0);
        room->order[atomic_fetch_add(&room->got, 1)] = u->id;
        guard->release(u);
}

/* Gives up, and stands in its old place when it comes back. */
static void
act_leave_and_return(struct guard_user *u)
{
        expect_late(u, 1);
        await(&room->phase, 1);
        u->deadline_ns = 0;
        EXPECT(guard->acquire(u) == -ETIMEDOUT);
        u->deadline_ns = clock_now_ns() + FAR_AWAY;
        EXPECT(!guard->try_acquire(u));
        atomic_store(&room->phase, 2);
        act_note_order(u);
}

START_TEST(tickets_are_served_in_order)
{
        static void (*const acts[])(struct guard_user * u) = {act_note_order, act_leave_and_return, act_note_order};
        struct guest guests[3];
        struct guard_user holder;

        room_open(guards[guard_by_name("ticket")], (enum mode)_i, 1);
        user_open(&holder, 0);
        ck_assert_int_eq(guard->acquire(&holder), 0);
        for (uint32_t i = 0; i < 3; i++) {
                guest_start(&guests[i], i + 1, acts[i]);
                while (tickets_drawn() != i + 2)
                        sched_yield();
        }
        atomic_store(&room->phase, 1);
        await(&room->phase, 2);
        while (atomic_load(mark_of_ticket(2)) != 0) /* until it stands in its place again */
                sched_yield();
        guard->release(&holder);
        for (uint32_t i = 0; i < 3; i++)
                guest_join(&guests[i]);
        ck_assert_uint_eq(tickets_drawn(), 4);
        for (uint32_t i = 0; i < 3; i++)
                ck_assert_uint_eq(room->order[i], i + 1);
        check_available(1);
}
END_TEST

/* Who gives up again and again stands in the queue once: else the ring would run over. */
START_TEST(one_that_gives_up_has_one_ticket)
{
        struct guard_user u[3];

        room_open(guards[guard_by_name("ticket")], THREADS, 1);
        for (uint32_t i = 0; i < 3; i++)
                user_open(&u[i], i);
        ck_assert_int_eq(guard->acquire(&u[0]), 0);
        for (int i = 0; i < 200; i++) {
                expect_late(&u[1], 0);
                expect_late(&u[2], 0);
        }
        ck_assert_uint_eq(tickets_drawn(), 3);
        guard->release(&u[0]);
        /* Both are passed over by who comes, and nobody is in the way. */
        ck_assert(guard->try_acquire(&u[2]));
        expect_late(&u[1], 0);
        guard->release(&u[2]);
        ck_assert_int_eq(guard->acquire(&u[1]), 0);
        guard->release(&u[1]);
        ck_assert_int_eq(atomic_load(&room->fault_line), 0);
        check_available(1);
}
END_TEST

/* The number of who gave up is called, and nobody waits: the next one to come moves on. */
START_TEST(newcomer_passes_a_number_that_nobody_answers)
{
        struct guard_user u[2];

        room_open(guards[guard_by_name("ticket")], THREADS, 1);
        for (uint32_t i = 0; i < 2; i++)
                user_open(&u[i], i);
        ck_assert_int_eq(guard->acquire(&u[0]), 0);
        expect_late(&u[1], 0);
        ck_assert_uint_ne(atomic_load(mark_of_ticket(u[1].ticket)), 0);
        guard->release(&u[0]);
        if (_i == 0)
                ck_assert_int_eq(guard->acquire(&u[0]), 0);
        else
                ck_assert(guard->try_acquire(&u[0]));
        guard->release(&u[0]);
        ck_assert_int_eq(atomic_load(&room->fault_line), 0);
        check_available(1);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("ticket");
        TCase *ticket = tcase_create("ticket");

        tcase_add_loop_test(ticket, tickets_are_served_in_order, 0, MODES);
        tcase_add_test(ticket, one_that_gives_up_has_one_ticket);
        tcase_add_loop_test(ticket, newcomer_passes_a_number_that_nobody_answers, 0, 2);
        tcase_set_timeout(ticket, 300);
        tcase_add_checked_fixture(ticket, room_setup, room_teardown);
        suite_add_tcase(suite, ticket);
        return room_main(suite, "ticket");
}
