/* SPDX-License-Identifier: MIT */
/* What every guard must do, for the whole table and in both modes. */
#include "guard_room.h"

static const char *const names[] = {
        "none",   "mutex",  "robust-mutex", "semaphore", "raw-semaphore", "unnamed-semaphore", "spin", "ticket",
        "rwlock", "atomic", "flock",        "futex",     "gil",
};
#define ROWS (int)ARRAY_SIZE(names)

/* ── the table ── */

START_TEST(rows_are_as_promised)
{
        const struct guard *g = guards[_i];

        ck_assert_str_eq(g->name, names[_i]);
        ck_assert_int_eq(guard_by_name(g->name), _i); /* hence no name comes twice */
        ck_assert_uint_eq(strspn(g->name, "abcdefghijklmnopqrstuvwxyz-"), strlen(g->name));
        ck_assert(g->summary[0] && !strchr(g->summary, '\n'));
        ck_assert(g->death_note[0] && !strchr(g->death_note, '\n'));
        ck_assert(g->init && g->try_acquire && g->acquire && g->release);
        ck_assert_int_eq(!g->attach, !g->detach);
        ck_assert_int_eq(g->recover != NULL, g->death == GUARD_DEATH_REPAIRED);
        ck_assert_int_eq(g->acquire_shared != NULL, (g->flags & GUARD_SHARES) != 0);
        ck_assert(!(g->flags & GUARD_NAMED) || g->flags & GUARD_COUNTED);
        ck_assert(!(g->flags & GUARD_EXCLUDES) || g->flags & GUARD_LIMITS);
        ck_assert(g->flags & GUARD_LIMITS || g->death == GUARD_DEATH_HARMLESS);
}
END_TEST

START_TEST(table_ends_and_knows_nobody_else)
{
        ck_assert_ptr_null(guards[ROWS]);
        ck_assert_int_eq(guard_by_name("mutexx"), -1);
        ck_assert_int_eq(guard_by_name(""), -1);
}
END_TEST

START_TEST(effect_depends_on_the_permits)
{
        const struct guard *semaphore = guards[guard_by_name("semaphore")], *rw = guards[guard_by_name("rwlock")];

        ck_assert_uint_eq(guard_effect(semaphore, 1), GUARD_EXCLUDES | GUARD_LIMITS);
        ck_assert_uint_eq(guard_effect(semaphore, 2), GUARD_LIMITS);
        ck_assert_uint_eq(guard_effect(rw, 1), GUARD_EXCLUDES | GUARD_LIMITS | GUARD_SHARES);
        ck_assert_uint_eq(guard_effect(guards[guard_by_name("atomic")], 1), GUARD_ATOMIC);
        ck_assert_uint_eq(guard_effect(guards[0], 1), 0);
        ck_assert_uint_eq(guard_permits_max(semaphore), PERMITS_MAX);
        ck_assert_uint_eq(guard_permits_max(rw), 1);
}
END_TEST

/* ── exclusion ── */

#define RAISES 1500

/* As an unguarded programmer would, with time between the load and the store. */
static void
raise_counter(uint32_t round)
{
        volatile uint64_t *counter = &room->counter;
        uint64_t value = *counter;

        if (round % 16 == 0)
                sched_yield();
        *counter = value + 1;
}

static void
act_raise(struct guard_user *u)
{
        for (uint32_t i = 0; i < RAISES; i++) {
                EXPECT(guard->acquire(u) == 0);
                raise_counter(i);
                guard->release(u);
        }
}

static uint64_t
lost_of(uint32_t n)
{
        room->counter = 0;
        play(n, act_raise);
        return n * RAISES - room->counter;
}

START_TEST(no_update_is_lost)
{
        if (!room_for(_i) || !(guard->flags & GUARD_EXCLUDES))
                return;
        for (uint32_t n = 2; n <= GUESTS; n++)
                ck_assert_msg(lost_of(n) == 0, "%s, %u %s: %" PRIu64 " updates are lost", guard->name, n,
                              mode_names[mode], n * RAISES - room->counter);
        check_available(1);
}
END_TEST

#define AT_FULL_SPEED (40 * NS_PER_MS)

static void
act_raise_at_full_speed(struct guard_user *u)
{
        uint32_t raises = 0;

        for (uint64_t end = clock_now_ns() + AT_FULL_SPEED; clock_now_ns() < end; raises += 64) {
                for (int i = 0; i < 64; i++) {
                        EXPECT(guard->acquire(u) == 0);
                        raise_counter(1);
                        guard->release(u);
                }
        }
        atomic_fetch_add(&room->got, raises);
}

START_TEST(no_update_is_lost_at_full_speed)
{
        if (!room_for(_i) || !(guard->flags & GUARD_EXCLUDES))
                return;
        play(2, act_raise_at_full_speed);
        ck_assert_uint_eq(room->counter, room->got);
        check_available(1);
}
END_TEST

/* Looks whether it is free, and then takes it. */
static bool
broken_try_acquire(struct guard_user *u)
{
        volatile unsigned char *word = u->shared->area;

        if (*word)
                return false;
        sched_yield();
        *word = 1;
        return true;
}

static int
broken_acquire(struct guard_user *u)
{
        while (!broken_try_acquire(u))
                sched_yield();
        return 0;
}

static void
broken_release(struct guard_user *u)
{
        *(volatile unsigned char *)u->shared->area = 0;
}

static int
broken_init(struct race_guard *shared)
{
        shared->area[0] = 0;
        return 0;
}

static const struct guard broken = {
        .name = "broken",
        .flags = GUARD_EXCLUDES | GUARD_LIMITS,
        .init = broken_init,
        .try_acquire = broken_try_acquire,
        .acquire = broken_acquire,
        .release = broken_release,
};

/* The check above can fail: it finds what happens without a guard, and with a bad one. */
START_TEST(lost_updates_are_found)
{
        const struct guard *const bad[] = {guards[0], &broken};
        uint64_t lost = 0;

        room_open(bad[_i / MODES], _i % MODES, 1);
        for (int i = 0; i < 1000 && lost == 0; i++)
                lost = lost_of(GUESTS);
        ck_assert_uint_gt(lost, 0);
}
END_TEST

/* ── permits ── */

#define VISITS 1000

static void
visit(uint32_t round)
{
        uint32_t n = atomic_fetch_add(&room->inside, 1) + 1, most = atomic_load(&room->most);

        while (n > most && !atomic_compare_exchange_weak(&room->most, &most, n))
                ;
        EXPECT(n <= permits);
        if (round % 16 == 0)
                sched_yield();
        atomic_fetch_sub(&room->inside, 1);
}

static void
act_visit(struct guard_user *u)
{
        for (uint32_t i = 0; i < VISITS; i++) {
                EXPECT(guard->acquire(u) == 0);
                visit(i);
                guard->release(u);
        }
}

/* Stays until as many are inside as may be. */
static void
act_gather(struct guard_user *u)
{
        EXPECT(guard->acquire(u) == 0);
        EXPECT(atomic_fetch_add(&room->got, 1) < permits);
        await(&room->got, permits);
        guard->release(u);
}

START_TEST(permits_are_never_exceeded_and_all_there)
{
        if (!room_for(_i) || !limits())
                return;
        for (uint32_t n = 1; n <= MIN(3, guard_permits_max(guard)); n++) {
                room_open(guard, mode, n);
                play(n, act_gather);
                play(GUESTS, act_visit);
                ck_assert_uint_ge(room->most, 1);
                ck_assert_uint_le(room->most, n);
                check_available(n);
        }
}
END_TEST

START_TEST(the_most_permits_work)
{
        uint32_t n;

        if (!room_for(_i) || !(guard->flags & GUARD_COUNTED))
                return;
        room_open(guard, mode, PERMITS_MAX);
        for (n = 0; n < PERMITS_MAX; n++) {
                struct guard_user u;

                user_open(&u, 0);
                u.id = n;
                ck_assert(guard->try_acquire(&u));
        }
        room->permit_state[0] = PERMIT_IDLE;
        check_available(0);
}
END_TEST

/* ── sleepers ── */

#define HANDOVERS 300

/* Gives it back only when somebody waits for it, who will most often be asleep. */
static void
act_hand_over(struct guard_user *u)
{
        for (uint32_t i = 0; i < HANDOVERS; i++) {
                atomic_fetch_add(&room->waiting, 1);
                EXPECT(guard->acquire(u) == 0);
                atomic_fetch_sub(&room->waiting, 1);
                while (atomic_load(&room->waiting) == 0 && atomic_load(&room->gone) + permits < GUESTS)
                        sched_yield();
                usleep(i % 8 == 0 ? 50 : 0);
                guard->release(u);
        }
        atomic_fetch_add(&room->gone, 1);
}

START_TEST(no_sleeper_is_forgotten)
{
        if (!room_for(_i) || !limits())
                return;
        for (uint32_t n = 1; n <= MIN(2, guard_permits_max(guard)); n++) {
                room_open(guard, mode, n);
                play(GUESTS, act_hand_over);
                ck_assert_uint_eq(room->gone, GUESTS);
                check_available(n);
        }
}
END_TEST

/* Two at the same data, one of which lets go only when it is asked to. */
static void
act_compute(struct guard_user *u)
{
        EXPECT(guard->acquire(u) == 0);
        atomic_fetch_add(&room->phase, 1);
        while (atomic_load(&room->got) == 0)
                guard->checkpoint(u);
        raise_counter(0);
        guard->release(u);
}

static void
act_come_between(struct guard_user *u)
{
        await(&room->phase, 1);
        EXPECT(guard->acquire(u) == 0);
        raise_counter(0);
        atomic_store(&room->got, 1);
        guard->release(u);
}

START_TEST(checkpoint_lets_another_in)
{
        struct guest computes, comes;

        if (!room_for(_i) || !guard->checkpoint)
                return;
        guest_start(&computes, 0, act_compute);
        guest_start(&comes, 1, act_come_between);
        guest_join(&computes);
        guest_join(&comes);
        ck_assert_uint_eq(room->counter, 2);
        check_available(1);
}
END_TEST

/* ── deadlines ── */

/* While others hold all there is; then the holders leave. */
static void
act_wait_in_vain(struct guard_user *u)
{
        EXPECT(!guard->try_acquire(u));
        expect_late(u, 0);
        expect_late(u, 1);
        expect_late(u, 3 * NS_PER_MS);
        expect_late(u, 12 * NS_PER_MS);
        EXPECT(!guard->try_acquire(u));
        atomic_store(&room->phase, 1);
        EXPECT(guard->acquire(u) == 0);
        guard->release(u);
        u->deadline_ns = 0; /* what is free is to be had, however late it is */
        EXPECT(guard->acquire(u) == 0);
        guard->release(u);
}

START_TEST(acquire_gives_up_at_its_deadline)
{
        if (!room_for(_i) || !limits())
                return;
        for (uint32_t n = 1; n <= MIN(2, guard_permits_max(guard)); n++) {
                struct guard_user holder[2];
                struct guest waits;

                room_open(guard, mode, n);
                for (uint32_t i = 0; i < n; i++) {
                        user_open(&holder[i], i);
                        ck_assert_int_eq(guard->acquire(&holder[i]), 0);
                }
                guest_start(&waits, n, act_wait_in_vain);
                while (atomic_load(&room->phase) == 0)
                        usleep(1000);
                usleep(2000);
                for (uint32_t i = 0; i < n; i++) {
                        guard->release(&holder[i]);
                        user_close(&holder[i]);
                }
                guest_join(&waits);
                check_available(n);
        }
}
END_TEST

#define ENOUGH 600

static uint32_t
random_below(uint32_t *state, uint32_t n)
{
        *state = *state * 1664525 + 1013904223;
        return (*state >> 8) % n;
}

static void
spin_for(uint64_t ns)
{
        for (uint64_t end = clock_now_ns() + ns; clock_now_ns() < end;)
                ;
}

/* Deadlines so short that they come while others release. Who gave up comes back at once, or stays away a while. */
static void
act_hurry(struct guard_user *u)
{
        uint32_t random = u->id + 1;

        for (uint32_t i = 0; atomic_load(&room->got) < ENOUGH || atomic_load(&room->late) < ENOUGH; i++) {
                int r;

                u->deadline_ns = clock_now_ns() + random_below(&random, 60) * NS_PER_US;
                r = guard->acquire(u);
                if (r == -ETIMEDOUT) {
                        atomic_fetch_add(&room->late, 1);
                        if (random_below(&random, 2) == 0)
                                spin_for(random_below(&random, 100) * NS_PER_US);
                        continue;
                }
                EXPECT(r == 0);
                visit(i);
                if (permits == 1)
                        raise_counter(i);
                spin_for(random_below(&random, 60) * NS_PER_US);
                guard->release(u);
                atomic_fetch_add(&room->got, 1);
        }
        /* Whoever gave up last comes through all the same. */
        u->deadline_ns = clock_now_ns() + FAR_AWAY;
        EXPECT(guard->acquire(u) == 0);
        guard->release(u);
}

START_TEST(giving_up_loses_nothing)
{
        if (!room_for(_i) || !limits())
                return;
        for (uint32_t n = 1; n <= MIN(3, guard_permits_max(guard)); n++) {
                int value = (int)n;

                room_open(guard, mode, n);
                play(GUESTS, act_hurry);
                if (n == 1)
                        ck_assert_uint_eq(room->counter, room->got);
                if (sem)
                        ck_assert_int_eq(sem_getvalue(sem, &value), 0);
                ck_assert_int_eq(value, (int)n);
                check_available(n);
        }
}
END_TEST

/* ── death ── */

static void
act_hold_for_ever(struct guard_user *u)
{
        EXPECT(guard->acquire(u) == 0);
        atomic_store(&room->phase, 1);
        for (;;)
                pause();
}

static void
kill_a_holder(uint32_t id)
{
        struct guest holds;

        guest_start(&holds, id, act_hold_for_ever);
        while (atomic_load(&room->phase) == 0)
                usleep(500);
        ck_assert_int_eq(kill(holds.pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(holds.pid, NULL, 0), holds.pid);
        ck_assert_int_eq(atomic_load(&room->fault_line), 0);
}

/* The permit of the dead one is gone, those of the others are not. */
static void
check_lost(uint32_t n)
{
        struct guard_user u;

        check_available(n - 1);
        if (n > 1)
                return;
        user_open(&u, 0);
        expect_late(&u, 20 * NS_PER_MS);
        user_close(&u);
        ck_assert_int_eq(atomic_load(&room->fault_line), 0);
}

static void
check_told(void)
{
        struct guard_user u;

        user_open(&u, 0);
        ck_assert_int_eq(guard->acquire(&u), 0);
        ck_assert(u.owner_died);
        guard->release(&u);
        u.owner_died = false;
        ck_assert_int_eq(guard->acquire(&u), 0);
        ck_assert(!u.owner_died);
        guard->release(&u);
        user_close(&u);
}

static void
check_after_death(uint32_t n, uint32_t dead)
{
        switch (guard->death) {
        case GUARD_DEATH_LOSES:
                check_lost(n);
                break;
        case GUARD_DEATH_REPAIRED:
                check_available(n - 1);
                ck_assert_uint_eq(guard->recover(&room->shared, sem, dead, &room->permit_state[dead]), 1);
                check_available(n);
                break;
        case GUARD_DEATH_TOLD:
                check_told();
                check_available(n);
                break;
        default:
                check_available(n);
                break;
        }
}

START_TEST(death_of_a_holder_is_as_described)
{
        if (!room_for(_i * MODES + PROCESSES))
                return;
        for (uint32_t n = 1; n <= MIN(3, guard_permits_max(guard)); n++) {
                room_open(guard, PROCESSES, n);
                kill_a_holder(USERS - 1);
                check_after_death(n, USERS - 1);
                room_open(guard, PROCESSES, n);
                check_available(n);
                if (limits())
                        play(GUESTS, act_visit);
        }
}
END_TEST

/* Others sleep for it when the holder dies, and go on as soon as it was recovered, told or released. */
START_TEST(sleepers_go_on_after_a_death)
{
        struct guest holds, sleeper;

        if (!room_for(_i * MODES + PROCESSES) || guard->death == GUARD_DEATH_LOSES)
                return;
        guest_start(&holds, USERS - 1, act_hold_for_ever);
        while (atomic_load(&room->phase) == 0)
                usleep(500);
        guest_start(&sleeper, 1, act_visit);
        usleep(5000);
        ck_assert_int_eq(kill(holds.pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(holds.pid, NULL, 0), holds.pid);
        if (guard->recover)
                guard->recover(&room->shared, sem, USERS - 1, &room->permit_state[USERS - 1]);
        guest_join(&sleeper);
        check_available(1);
}
END_TEST

/* ── readers ── */

static void
act_read(struct guard_user *u)
{
        atomic_fetch_add(&room->waiting, 1);
        EXPECT(guard->acquire_shared(u) == 0);
        atomic_fetch_add(&room->got, 1);
        await(&room->got, 2); /* both at once */
        await(&room->phase, 1);
        guard->release(u);
}

static void
act_read_in_vain(struct guard_user *u)
{
        u->deadline_ns = clock_now_ns() + 3 * NS_PER_MS;
        EXPECT(guard->acquire_shared(u) == -ETIMEDOUT);
        atomic_store(&room->phase, 1);
        u->deadline_ns = clock_now_ns() + FAR_AWAY;
        EXPECT(guard->acquire_shared(u) == 0);
        guard->release(u);
}

START_TEST(readers_share_and_exclude_writers)
{
        struct guest reader[2], late;
        struct guard_user writer;

        if (!room_for(_i) || !guard->acquire_shared)
                return;
        user_open(&writer, 2);
        ck_assert_int_eq(guard->acquire(&writer), 0);
        for (uint32_t i = 0; i < 2; i++)
                guest_start(&reader[i], i, act_read);
        await(&room->waiting, 2);
        usleep(5000); /* most often both sleep for it by now */
        guard->release(&writer);
        await(&room->got, 2);
        ck_assert(!guard->try_acquire(&writer));
        expect_late(&writer, 3 * NS_PER_MS);
        atomic_store(&room->phase, 1);
        ck_assert_int_eq(guard->acquire(&writer), 0);
        for (uint32_t i = 0; i < 2; i++)
                guest_join(&reader[i]);
        atomic_store(&room->phase, 0);
        guest_start(&late, 0, act_read_in_vain);
        while (atomic_load(&room->phase) == 0)
                usleep(500);
        guard->release(&writer);
        user_close(&writer);
        guest_join(&late);
        check_available(1);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("guards");
        TCase *table = tcase_create("table"), *all = tcase_create("all");
        TCase *cases[] = {table, all};

        tcase_add_loop_test(table, rows_are_as_promised, 0, ROWS);
        tcase_add_test(table, table_ends_and_knows_nobody_else);
        tcase_add_test(table, effect_depends_on_the_permits);
        tcase_add_loop_test(all, no_update_is_lost, 0, ROWS * MODES);
        tcase_add_loop_test(all, no_update_is_lost_at_full_speed, 0, ROWS * MODES);
        tcase_add_loop_test(all, lost_updates_are_found, 0, 2 * MODES);
        tcase_add_loop_test(all, permits_are_never_exceeded_and_all_there, 0, ROWS * MODES);
        tcase_add_loop_test(all, the_most_permits_work, 0, ROWS * MODES);
        tcase_add_loop_test(all, no_sleeper_is_forgotten, 0, ROWS * MODES);
        tcase_add_loop_test(all, checkpoint_lets_another_in, 0, ROWS * MODES);
        tcase_add_loop_test(all, acquire_gives_up_at_its_deadline, 0, ROWS * MODES);
        tcase_add_loop_test(all, giving_up_loses_nothing, 0, ROWS * MODES);
        tcase_add_loop_test(all, death_of_a_holder_is_as_described, 0, ROWS);
        tcase_add_loop_test(all, sleepers_go_on_after_a_death, 0, ROWS);
        tcase_add_loop_test(all, readers_share_and_exclude_writers, 0, ROWS * MODES);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                tcase_set_timeout(cases[i], 300);
                tcase_add_checked_fixture(cases[i], room_setup, room_teardown);
                suite_add_tcase(suite, cases[i]);
        }
        return room_main(suite, "guards");
}
