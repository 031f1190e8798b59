/* SPDX-License-Identifier: MIT */
/* The totals are the sums of the merged seats, whatever was killed while they were being made. */
#include "worker/totals.h"

#include "worker_fixture.h"

static struct segment s;
static struct totals *t;

/* Figures of which every sum of seats tells which seats are in it. */
static void
fill_seat(uint32_t i, uint64_t unit)
{
        struct seat *seat = &s.seats[i];
        uint64_t *e = (uint64_t *)&seat->evidence;

        seat->lock_wait_ns = unit;
        seat->lock_switches = 2 * unit;
        seat->blocked_ns = 3 * unit;
        for (size_t k = 0; k < sizeof(seat->evidence) / sizeof(*e); k++)
                e[k] = (4 + k) * unit;
        seat->sample_every = 1U << i;
        histogram_reset(&seat->latency);
        for (uint64_t k = 0; k < unit; k++)
                histogram_add(&seat->latency, 100 * (i + 1));
}

static uint64_t
unit_of(uint32_t i)
{
        return UINT64_C(1) << 3 * i;
}

static void
setup(void)
{
        fixture_segment(&s);
        t = &s.run->totals;
        s.run->spec.seats = 3; /* the fourth has figures, too, but is of another run */
        for (uint32_t i = 0; i < FIXTURE_WORKERS; i++)
                fill_seat(i, unit_of(i));
        s.seats[3].merged = 1;
        memset(t, 0x55, sizeof(*t));
        totals_reset(&s);
}

static void
teardown(void)
{
        segment_unmap(&s);
}

static void
check_totals(uint64_t units, uint32_t sample_every)
{
        const uint64_t *e = (const uint64_t *)&t->evidence;
        uint64_t samples = 0;

        ck_assert_uint_eq(t->dirty, 0);
        ck_assert_uint_eq(t->sample_every, sample_every);
        ck_assert_uint_eq(t->lock_wait_ns, units);
        ck_assert_uint_eq(t->lock_switches, 2 * units);
        ck_assert_uint_eq(t->blocked_ns, 3 * units);
        for (size_t k = 0; k < sizeof(t->evidence) / sizeof(*e); k++)
                ck_assert_uint_eq(e[k], (4 + k) * units);
        for (size_t k = 0; k < HISTOGRAM_BUCKETS; k++)
                samples += t->latency.buckets[k];
        ck_assert_uint_eq(samples, units);
        ck_assert_uint_eq(t->latency.samples, units);
}

START_TEST(merged_seats_add_up)
{
        check_totals(0, 0);
        totals_merge(&s, 2);
        check_totals(unit_of(2), 4);
        ck_assert_uint_eq(t->latency.max, 300);
        totals_merge(&s, 0);
        check_totals(unit_of(0) + unit_of(2), 4);
        ck_assert_uint_eq(s.seats[0].merged, 1);
        ck_assert_uint_eq(s.seats[1].merged, 0);
        totals_merge(&s, 1);
        check_totals(unit_of(0) + unit_of(1) + unit_of(2), 4);
        ck_assert_uint_eq(t->latency.sum, 100 * unit_of(0) + 200 * unit_of(1) + 300 * unit_of(2));
}
END_TEST

START_TEST(seat_that_was_opened_again_counts_once)
{
        totals_merge(&s, 0);
        totals_merge(&s, 1);
        fill_seat(1, 5);
        totals_merge(&s, 1);
        check_totals(unit_of(0) + 5, 2);
}
END_TEST

/* Killed in the middle: some of it is added, and the seat is marked or not. */
START_TEST(repair_puts_half_a_merge_right)
{
        struct totals once;

        totals_merge(&s, 0);
        t->dirty = 1;
        t->lock_wait_ns += 77;
        t->latency.buckets[3] += 9;
        t->evidence.voluntary += 1000;
        t->sample_every = 1 << 20;
        s.seats[1].merged = _i == 1;
        totals_repair(&s);
        check_totals(unit_of(0) + (_i == 1 ? unit_of(1) : 0), _i == 1 ? 2 : 1);
        once = *t;
        totals_repair(&s);
        ck_assert_mem_eq(t, &once, sizeof(once));
}
END_TEST

START_TEST(dirty_totals_are_not_built_upon)
{
        totals_merge(&s, 0);
        t->dirty = 1;
        t->lock_wait_ns += 77;
        t->latency.samples += 9;
        totals_merge(&s, 2);
        check_totals(unit_of(0) + unit_of(2), 4);
}
END_TEST

START_TEST(complete_takes_in_all_seats_of_the_run)
{
        totals_merge(&s, 1);
        fill_seat(1, 6); /* of a worker that died after it had sat down again */
        totals_complete(&s);
        check_totals(unit_of(0) + 6 + unit_of(2), 4);
        totals_complete(&s);
        check_totals(unit_of(0) + 6 + unit_of(2), 4);
        totals_reset(&s);
        check_totals(0, 0);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("totals");
        TCase *tc = tcase_create("totals");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, merged_seats_add_up);
        tcase_add_test(tc, seat_that_was_opened_again_counts_once);
        tcase_add_loop_test(tc, repair_puts_half_a_merge_right, 0, 2);
        tcase_add_test(tc, dirty_totals_are_not_built_upon);
        tcase_add_test(tc, complete_takes_in_all_seats_of_the_run);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
