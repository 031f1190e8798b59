/* SPDX-License-Identifier: MIT */
/* What a supervisor does for the herd of a killed one: the ledger is right, whatever the seats say. */
#include "supervisor/recovery.h"

#include "worker_fixture.h"

#include <check.h>

#define CHUNK UINT64_C(3)

static struct segment segment, *const s = &segment;

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

#define HERD_SEATS  2
#define HERD_CHUNKS 8

/* Both workers are in the middle of a chunk; the supervisor had begun to give a task up when it was killed, so that
 * seat 0 was told of one more task, or one less, than the ledger has: `off`. */
static void
herd_dies(int off)
{
        struct run *run = s->run;

        fixture_run(s, HERD_CHUNKS * CHUNK, CHUNK, HERD_SEATS);
        atomic_store(&run->current, current_pack(7, WORKER_PROCESS, true));
        for (uint32_t i = 0; i < HERD_SEATS; i++) {
                struct seat *seat = &s->seats[i];
                struct ledger_line *line = &s->ledger[i];
                struct ledger_sum sum;
                uint64_t owner;

                memset(seat, 0, sizeof(*seat));
                ck_assert(ledger_claim(line, CHUNK, i + 1));
                owner = ledger_open(line, &sum);
                sum.acc += fixture_result(CHUNK * i);
                ledger_commit(line, owner, CHUNK, &sum);
                atomic_store(&seat->word, seat_pack(7, SEAT_READY, i + 1));
                atomic_store(&seat->claim, i + 1);
                atomic_store(&s->slots[i].pid, 4711);
        }
        atomic_store(&s->seats[0].tasks, (uint64_t)(1 + off));
        atomic_store(&s->seats[0].claim, 0);
        atomic_store(&s->seats[0].tasks_next, (uint64_t)(1 + off));
        atomic_store(&run->reexecuted, 0);
}

static void
check_herd(int off, const char *when)
{
        uint64_t tasks = 0, restarts = 0;
        struct ledger_sum sum, expected = {.done = HERD_SEATS};

        for (uint32_t i = 0; i < HERD_SEATS; i++) {
                expected.acc += fixture_result(CHUNK * i);
                tasks += atomic_load(&s->seats[i].tasks);
                restarts += s->seats[i].restarts;
                ck_assert_uint_eq(atomic_load(&s->seats[i].word), seat_pack(7, SEAT_EMPTY, 0));
                ck_assert_uint_eq(ledger_owner(atomic_load(&s->ledger[i].word)), 0);
        }
        ledger_sum(s->ledger, &s->run->spec.geometry, &sum);
        ck_assert_msg(sum.done == HERD_SEATS && sum.acc == expected.acc && sum.failed == 0 && tasks == sum.done,
                      "%s (%+d): %lu tasks of seats, %lu in the ledger", when, off, (unsigned long)tasks,
                      (unsigned long)sum.done);
        ck_assert_uint_le(restarts, HERD_SEATS);
        ck_assert_uint_eq(atomic_load(&s->run->current), current_pack(7, WORKER_NONE, false));
}

/* And once more, as when it was itself killed before it said that it was done: nothing is counted twice. */
START_TEST(seats_agree_with_the_ledger)
{
        int off = _i - 1;

        herd_dies(off);
        ck_assert_int_eq(recovery_of_herd(s), 0);
        check_herd(off, "once");
        ck_assert_uint_eq(atomic_load(&s->run->reexecuted), HERD_SEATS);
        ck_assert_int_eq(recovery_of_herd(s), 0);
        check_herd(off, "twice");
        ck_assert_uint_eq(atomic_load(&s->run->reexecuted), HERD_SEATS);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("recovery");
        TCase *tc = tcase_create("herd");

        tcase_set_timeout(tc, 60);
        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_loop_test(tc, seats_agree_with_the_ledger, 0, 3);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
