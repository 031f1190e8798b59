/* SPDX-License-Identifier: MIT */
/*
 * Killed, and stopped, at every single instruction of acquiring, releasing and recovering: no permit is lost, nobody
 * waits for ever, and never are there more holders than permits. Each case is played with real processes on a real
 * semaphore; the victim is slot 3, whose scan begins at the last cell.
 */
#include "permit_actors.h"
#include "step.h"

#include "../unit/permit_deaths.h"
#include "../unit/run_suite.h"
#include "shared/base.h"

#include <check.h>
#include <stdio.h>

#define VICTIM (ACTORS - 1)
#define N_MAX  2

static uint32_t victim_cell;

static void
victim_acquire(void *arg)
{
        (void)arg;
        victim_cell = permits_acquire(&stage->permits, &stage->sem, VICTIM, &stage->state[VICTIM]);
}

static void
victim_release(void *arg)
{
        (void)arg;
        permits_release(&stage->permits, &stage->sem, victim_cell, &stage->state[VICTIM]);
}

static void
victim_pair(void *arg)
{
        victim_acquire(arg);
        victim_release(arg);
}

/* Takes what is to be had, and gives up if that is nothing. */
static void
victim_try(void *arg)
{
        (void)arg;
        if (permits_acquire_until(&stage->permits, &stage->sem, VICTIM, &stage->state[VICTIM], 0, &victim_cell) == 0)
                victim_release(NULL);
}

static void
recover(void *arg)
{
        (void)arg;
        permits_recover(&stage->permits, &stage->sem, VICTIM, &stage->state[VICTIM], NULL, NULL);
}

static unsigned kills, pauses;

/* As the supervisor does: reaped, then recovered. What recovery relies on: who tells that it is idle has no cell, and
 * who tells that it holds has one. */
static void
bury(struct stepped *victim)
{
        uint32_t cells;

        stepped_kill(victim);
        kills++;
        cells = stage_cells_of(VICTIM);
        if (stage->state[VICTIM] == PERMIT_IDLE)
                ck_assert_msg(cells == 0, "%s: idle, with %u cells", case_name(), cells);
        else if (stage->state[VICTIM] == PERMIT_HELD)
                ck_assert_msg(cells == 1, "%s: holding, with %u cells", case_name(), cells);
        else
                ck_assert_msg(cells <= 1, "%s: %u cells", case_name(), cells);
        recover(NULL);
}

/* Whoever sleeps after a recovery does so beside no free cell; and then all ends well. */
static void
check_after_recovery(void)
{
        settle(NULL);
        CHECK_SETTLED();
        stage_check_end();
}

static void
stage_with_holders(uint32_t n, uint32_t holders)
{
        stage_set(n);
        for (uint32_t i = 0; i < holders; i++)
                expect_permit(1 + i);
}

static void
say_cases(void)
{
        printf("# %u cases, %u kills, %u pauses\n", cases_begun(), kills, pauses);
        fflush(stdout);
}

/* ── killed ── */

START_TEST(killed_in_a_pair)
{
        uint32_t n = (uint32_t)_i;

        for (uint32_t holders = 0; holders < n; holders++) {
                FOR_EVERY_INSTRUCTION (sweep) {
                        struct stepped victim;

                        case_begin("killed in a pair: %u of %u permits held by others, instruction %u", holders, n,
                                   sweep.k);
                        stage_with_holders(n, holders);
                        stepped_start(&victim, NULL, victim_pair, NULL);
                        stepped_go(&victim, &sweep);
                        bury(&victim);
                        check_after_recovery();
                }
        }
        say_cases();
}
END_TEST

/* All permits are held; it goes to sleep, a holder releases, and it dies at instruction k after its wake-up. */
START_TEST(killed_after_its_wake_up)
{
        uint32_t n = (uint32_t)_i;

        for (int another = 0; another < 2; another++) {
                unsigned woken = 0;

                FOR_EVERY_INSTRUCTION (sweep) {
                        struct stepped victim;

                        case_begin("killed after its wake-up: %u permits, %s sleeps, instruction %u", n,
                                   another ? "another" : "nobody", sweep.k);
                        stage_with_holders(n, n);
                        stepped_start(&victim, NULL, victim_pair, NULL);
                        ck_assert_int_eq(stepped_go_to_sleep(&victim), STEP_ASLEEP);
                        if (another) {
                                order(0, ORDER_ACQUIRE);
                                settle(NULL);
                        }
                        order(1, ORDER_RELEASE);
                        settle(NULL);
                        woken += stepped_go(&victim, &sweep) == STEP_STANDS;
                        bury(&victim);
                        check_after_recovery();
                }
                /* It was he who was woken, and not the other one. */
                ck_assert_uint_gt(woken, 10);
        }
        say_cases();
}
END_TEST

START_TEST(killed_on_its_way_to_sleep)
{
        FOR_EVERY_INSTRUCTION (sweep) {
                struct stepped victim;

                case_begin("killed on its way to sleep: %d permits, instruction %u", _i, sweep.k);
                stage_with_holders((uint32_t)_i, (uint32_t)_i);
                stepped_start(&victim, NULL, victim_pair, NULL);
                stepped_go(&victim, &sweep);
                bury(&victim);
                check_after_recovery();
        }
        say_cases();
}
END_TEST

START_TEST(killed_in_release_with_a_sleeper)
{
        uint32_t n = (uint32_t)_i;
        FOR_EVERY_INSTRUCTION (sweep) {
                struct stepped victim;

                case_begin("killed in release beside a sleeper: %u permits, instruction %u", n, sweep.k);
                stage_with_holders(n, n - 1);
                stepped_start(&victim, victim_acquire, victim_release, NULL);
                order(0, ORDER_ACQUIRE);
                settle(NULL);
                stepped_go(&victim, &sweep);
                bury(&victim);
                settle(NULL);
                ck_assert_msg(idle(0), "%s: the sleeper was not woken", case_name());
                check_after_recovery();
        }
        say_cases();
}
END_TEST

START_TEST(killed_giving_up)
{
        uint32_t n = (uint32_t)_i;

        for (uint32_t holders = 0; holders <= n; holders++) {
                FOR_EVERY_INSTRUCTION (sweep) {
                        struct stepped victim;

                        case_begin("killed giving up: %u of %u permits held by others, instruction %u", holders, n,
                                   sweep.k);
                        stage_with_holders(n, holders);
                        stepped_start(&victim, NULL, victim_try, NULL);
                        stepped_go(&victim, &sweep);
                        bury(&victim);
                        check_after_recovery();
                }
        }
        say_cases();
}
END_TEST

/* ── recovery killed ── */

/* Somebody died there; somebody waits, if he must. */
static void
stage_with_dead(const struct permit_death *death, uint32_t n, uint32_t holders)
{
        stage_with_holders(n, holders);
        permit_die(death, &stage->permits, &stage->sem, VICTIM, &stage->state[VICTIM]);
        if (stage_tokens() == 0) {
                order(0, ORDER_ACQUIRE);
                settle(NULL);
        }
}

/* The supervisor is killed at an instruction of the recovery. */
static void
kill_supervisor(struct sweep *sweep)
{
        struct stepped supervisor;

        stepped_start(&supervisor, NULL, recover, NULL);
        stepped_go(&supervisor, sweep);
        stepped_kill(&supervisor);
        kills++;
}

START_TEST(recovery_killed)
{
        const struct permit_death *death = &permit_deaths[_i];

        for (uint32_t n = 1; n <= N_MAX; n++) {
                for (uint32_t holders = 0; holders < n; holders++) {
                        FOR_EVERY_INSTRUCTION (sweep) {
                                case_begin("died %s; recovery killed: %u of %u permits held, instruction %u",
                                           death->where, holders, n, sweep.k);
                                stage_with_dead(death, n, holders);
                                kill_supervisor(&sweep);
                                recover(NULL);
                                check_after_recovery();
                        }
                }
        }
        say_cases();
}
END_TEST

#define SAMPLE 9 /* of so many instructions one, in each of the two recoveries */

START_TEST(recovery_killed_twice)
{
        const struct permit_death *death = &permit_deaths[_i];
        unsigned sample = SAMPLE * sweep_stride();
        struct sweep first = {0};

        for (first.k = (unsigned)_i % sample; first.now == STEP_STANDS; first.k += sample) {
                struct sweep second = {0};

                for (second.k = first.k % sample; second.now == STEP_STANDS; second.k += sample) {
                        case_begin("died %s; two recoveries killed: instructions %u and %u", death->where, first.k,
                                   second.k);
                        stage_with_dead(death, 1, 0);
                        kill_supervisor(&first);
                        kill_supervisor(&second);
                        recover(NULL);
                        check_after_recovery();
                }
                sweep_end(&second);
        }
        sweep_end(&first);
        say_cases();
}
END_TEST

/* ── stopped, while others run on ── */

/* Orders what can be ordered to somebody who may be waiting. */
static void
order_if_able(uint32_t actor, enum order what)
{
        if (idle(actor) && stage->actor[actor].holds == (what == ORDER_RELEASE))
                order(actor, what);
        settle(NULL);
}

/* What goes on meanwhile. Each row meets another defect: `hand over` a scan that is overtaken on both sides, `crowd` a
 * token that was counted but not taken yet, `busy` the rest. */
enum meanwhile { MEANWHILE_HAND_OVER, MEANWHILE_CROWD, MEANWHILE_BUSY, MEANWHILES };
static const char *const meanwhiles[] = {"a permit is handed over", "a crowd comes and goes", "others are busy"};

static void
go_on(enum meanwhile meanwhile)
{
        switch (meanwhile) {
        case MEANWHILE_HAND_OVER:
                order_if_able(1, ORDER_RELEASE);
                order_if_able(0, ORDER_ACQUIRE);
                order_if_able(2, ORDER_ACQUIRE);
                break;
        case MEANWHILE_CROWD:
                order_if_able(0, ORDER_ACQUIRE);
                order_if_able(2, ORDER_ACQUIRE);
                order_if_able(0, ORDER_RELEASE);
                order_if_able(2, ORDER_RELEASE);
                break;
        default:
                for (uint32_t i = 0; i < 3; i++) {
                        if (idle(i) && !stage->actor[i].holds)
                                order_cycles(i, 5);
                }
                settle(NULL);
                break;
        }
}

/* It goes on; the holders leave one by one until it is through. */
static void
let_finish(struct stepped *p)
{
        stepped_let_go(p);
        settle(p);
        for (uint32_t i = 0; i < ACTORS; i++) {
                CHECK_SETTLED();
                if (stepped_has_ended(p))
                        break;
                ck_assert_msg(stage_free_cells() == 0, "%s: who was stopped sleeps for ever beside a free cell",
                              case_name());
                if (idle(i) && stage->actor[i].holds)
                        order(i, ORDER_RELEASE);
                settle(p);
        }
        ck_assert_msg(stepped_has_ended(p), "%s: who was stopped hangs", case_name());
        ck_assert(stepped_end(p));
}

/* Stopped there while the others run on, it goes on or is killed. */
static void
play_pause(struct stepped *p, enum meanwhile meanwhile, bool is_killed)
{
        pauses++;
        go_on(meanwhile);
        if (is_killed)
                bury(p);
        else
                let_finish(p);
        check_after_recovery();
}

START_TEST(stopped_in_a_pair)
{
        uint32_t n = (uint32_t)_i;

        for (unsigned row = 0; row < 2 * MEANWHILES; row++) {
                for (uint32_t holders = 0; holders < n; holders++) {
                        FOR_EVERY_INSTRUCTION (sweep) {
                                struct stepped victim;

                                case_begin("stopped in a pair, %s, then %s: %u of %u permits held, instruction %u",
                                           meanwhiles[row / 2], row % 2 ? "killed" : "going on", holders, n, sweep.k);
                                stage_with_holders(n, holders);
                                stepped_start(&victim, NULL, victim_pair, NULL);
                                stepped_go(&victim, &sweep);
                                play_pause(&victim, row / 2, row % 2);
                        }
                }
        }
        say_cases();
}
END_TEST

START_TEST(stopped_giving_up)
{
        uint32_t n = (uint32_t)_i;

        for (unsigned row = 0; row < 2 * MEANWHILES; row++) {
                FOR_EVERY_INSTRUCTION (sweep) {
                        struct stepped victim;

                        case_begin("stopped giving up, %s, then %s: %u permits, instruction %u", meanwhiles[row / 2],
                                   row % 2 ? "killed" : "going on", n, sweep.k);
                        stage_with_holders(n, n);
                        stepped_start(&victim, NULL, victim_try, NULL);
                        stepped_go(&victim, &sweep);
                        play_pause(&victim, row / 2, row % 2);
                }
        }
        say_cases();
}
END_TEST

START_TEST(stopped_after_its_wake_up)
{
        uint32_t n = (uint32_t)_i;

        for (unsigned row = 0; row < 2 * MEANWHILES; row++) {
                FOR_EVERY_INSTRUCTION (sweep) {
                        struct stepped victim;

                        case_begin("stopped after its wake-up, %s, then %s: %u permits, instruction %u",
                                   meanwhiles[row / 2], row % 2 ? "killed" : "going on", n, sweep.k);
                        stage_with_holders(n, n);
                        stepped_start(&victim, NULL, victim_pair, NULL);
                        ck_assert_int_eq(stepped_go_to_sleep(&victim), STEP_ASLEEP);
                        order(n, ORDER_RELEASE);
                        settle(NULL);
                        stepped_go(&victim, &sweep);
                        play_pause(&victim, row / 2, row % 2);
                }
        }
        say_cases();
}
END_TEST

START_TEST(stopped_in_release)
{
        uint32_t n = (uint32_t)_i;

        for (unsigned row = 0; row < 2 * MEANWHILES; row++) {
                FOR_EVERY_INSTRUCTION (sweep) {
                        struct stepped victim;

                        case_begin("stopped in release, %s, then %s: %u permits, instruction %u", meanwhiles[row / 2],
                                   row % 2 ? "killed" : "going on", n, sweep.k);
                        stage_with_holders(n, n - 1);
                        stepped_start(&victim, victim_acquire, victim_release, NULL);
                        order(0, ORDER_ACQUIRE);
                        settle(NULL);
                        stepped_go(&victim, &sweep);
                        play_pause(&victim, row / 2, row % 2);
                }
        }
        say_cases();
}
END_TEST

START_TEST(stopped_in_recovery)
{
        const struct permit_death *death = &permit_deaths[_i];

        for (unsigned row = 0; row < 2 * MEANWHILE_BUSY; row++) {
                for (uint32_t n = 1; n <= N_MAX; n++) {
                        FOR_EVERY_INSTRUCTION (sweep) {
                                struct stepped supervisor;

                                case_begin("died %s; recovery stopped, %s, then %s: %u permits, instruction %u",
                                           death->where, meanwhiles[row / 2], row % 2 ? "killed" : "going on", n,
                                           sweep.k);
                                stage_with_dead(death, n, n - 1);
                                stepped_start(&supervisor, NULL, recover, NULL);
                                stepped_go(&supervisor, &sweep);
                                play_pause(&supervisor, row / 2, row % 2);
                        }
                }
        }
        say_cases();
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("steps_permits");
        TCase *killed = tcase_create("killed"), *recovery_dies = tcase_create("recovery_killed");
        TCase *stopped = tcase_create("stopped"), *recovery_stops = tcase_create("recovery_stopped");
        TCase *cases[] = {killed, recovery_dies, stopped, recovery_stops};

        if (!step_permitted()) {
                printf("1..0 # SKIP the kernel lets nobody trace\n");
                return EXIT_SUCCESS;
        }
        tcase_add_loop_test(killed, killed_in_a_pair, 1, N_MAX + 1);
        tcase_add_loop_test(killed, killed_on_its_way_to_sleep, 1, N_MAX + 1);
        tcase_add_loop_test(killed, killed_after_its_wake_up, 1, N_MAX + 1);
        tcase_add_loop_test(killed, killed_in_release_with_a_sleeper, 1, N_MAX + 1);
        tcase_add_loop_test(killed, killed_giving_up, 1, N_MAX + 1);
        tcase_add_loop_test(recovery_dies, recovery_killed, 0, ARRAY_SIZE(permit_deaths));
        tcase_add_loop_test(recovery_dies, recovery_killed_twice, 0, ARRAY_SIZE(permit_deaths));
        tcase_add_loop_test(stopped, stopped_in_a_pair, 1, N_MAX + 1);
        tcase_add_loop_test(stopped, stopped_after_its_wake_up, 1, N_MAX + 1);
        tcase_add_loop_test(stopped, stopped_in_release, 1, N_MAX + 1);
        tcase_add_loop_test(stopped, stopped_giving_up, 1, N_MAX + 1);
        tcase_add_loop_test(recovery_stops, stopped_in_recovery, 0, ARRAY_SIZE(permit_deaths));
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                tcase_set_timeout(cases[i], 240);
                tcase_add_checked_fixture(cases[i], stage_open, stage_close);
                suite_add_tcase(suite, cases[i]);
        }
        return run_suite(suite);
}
