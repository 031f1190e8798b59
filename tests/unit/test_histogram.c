/* SPDX-License-Identifier: MIT */
#include "shared/base.h"
#include "shared/histogram.h"
#include "shared/random.h"

#include "run_suite.h"

#include <check.h>
#include <inttypes.h>
#include <string.h>

#define SAMPLES 10000

static const double quantiles[] = {0, 0.0001, 0.01, 0.07, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1};

/* Made anew in each test's own process. */
static struct histogram h, other, whole;
static uint64_t values[SAMPLES];
static uint64_t seed = 7341;

static uint64_t
next_random(void)
{
        return random_next(&seed);
}

/* Every order of magnitude as likely as any other, below 2^43. */
static uint64_t
sample_spread(unsigned i)
{
        return (next_random() & (UINT64_MAX >> 21)) >> (next_random() % 43);
}

/* Most in a narrow band, one in a hundred far out: what latencies look like. */
static uint64_t
sample_tailed(unsigned i)
{
        return i % 100 == 99 ? 5000000 + next_random() % 1000000000 : 750000 + next_random() % 5000;
}

static uint64_t
sample_small(unsigned i)
{
        return next_random() % 128;
}

static uint64_t
sample_same(unsigned i)
{
        return 123456789;
}

static uint64_t
sample_rising(unsigned i)
{
        return i;
}

static uint64_t (*const samplers[])(unsigned i) = {sample_spread, sample_tailed, sample_small, sample_same,
                                                   sample_rising};

static int
compare_values(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

/* Nearest rank, in whole numbers: the smallest k with k / n >= q. q is given in ten-thousandths. */
static uint64_t
exact_quantile(unsigned n, unsigned q)
{
        unsigned k = (q * n + 9999) / 10000;

        return values[MAX(k, 1u) - 1];
}

static void
assert_near(uint64_t measured, uint64_t exact, double q)
{
        uint64_t off = measured > exact ? measured - exact : exact - measured;

        ck_assert_msg(off <= exact / 64, "q %g: %" PRIu64 " is not within 1/64 of %" PRIu64, q, measured, exact);
        if (exact < 128)
                ck_assert_msg(off == 0, "q %g: %" PRIu64 " instead of %" PRIu64, q, measured, exact);
}

START_TEST(quantiles_are_those_of_the_sorted_array)
{
        static const unsigned sizes[] = {1, 2, 3, 99, 100, 101, 1000, SAMPLES};

        for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
                unsigned n = sizes[s];
                uint64_t sum = 0;

                histogram_reset(&h);
                for (unsigned i = 0; i < n; i++) {
                        values[i] = samplers[_i](i);
                        sum += values[i];
                        histogram_add(&h, values[i]);
                }
                qsort(values, n, sizeof(values[0]), compare_values);
                ck_assert_uint_eq(h.samples, n);
                ck_assert_uint_eq(h.sum, sum);
                ck_assert_uint_eq(h.max, values[n - 1]);
                for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++)
                        assert_near(histogram_quantile(&h, quantiles[i]),
                                    exact_quantile(n, (unsigned)(quantiles[i] * 10000 + 0.5)), quantiles[i]);
                ck_assert_uint_eq(histogram_quantile(&h, 1), values[n - 1]);
        }
}
END_TEST

START_TEST(empty_is_zero)
{
        histogram_reset(&h);
        for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++)
                ck_assert_uint_eq(histogram_quantile(&h, quantiles[i]), 0);
        ck_assert_uint_eq(h.max, 0);
}
END_TEST

START_TEST(quantile_is_the_middle_of_its_bucket)
{
        /* From 2^20 on a bucket is 2^14 wide. */
        histogram_add(&h, (1 << 20) + 1);
        histogram_add(&h, 1 << 21);
        ck_assert_uint_eq(histogram_quantile(&h, 0.5), (1 << 20) + (1 << 13));
}
END_TEST

START_TEST(quantile_never_exceeds_max)
{
        /* The lowest value of a wide bucket: its middle would be above every sample. */
        histogram_add(&h, UINT64_C(1) << 42);
        for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++)
                ck_assert_uint_eq(histogram_quantile(&h, quantiles[i]), UINT64_C(1) << 42);
}
END_TEST

START_TEST(fraction_outside_0_to_1_is_the_nearest_end)
{
        histogram_add(&h, 10);
        histogram_add(&h, 20);
        ck_assert_uint_eq(histogram_quantile(&h, -1), 10);
        ck_assert_uint_eq(histogram_quantile(&h, -__builtin_inf()), 10);
        ck_assert_uint_eq(histogram_quantile(&h, 2), 20);
        ck_assert_uint_eq(histogram_quantile(&h, __builtin_inf()), 20);
        ck_assert_uint_eq(histogram_quantile(&h, __builtin_nan("")), 10);
}
END_TEST

START_TEST(rank_is_not_raised_by_rounding)
{
        /* 0.07 * 100 = 7.000000000000001 in doubles; the 7th of 100 samples is 7. */
        for (uint64_t v = 1; v <= 100; v++)
                histogram_add(&h, v);
        for (unsigned percent = 1; percent <= 100; percent++)
                ck_assert_uint_eq(histogram_quantile(&h, percent / 100.0), percent);
}
END_TEST

START_TEST(values_beyond_the_last_bucket_keep_their_maximum)
{
        static const uint64_t far[] = {UINT64_C(1) << 43, (UINT64_C(1) << 43) + 1, UINT64_C(1) << 63, UINT64_MAX};

        for (size_t i = 0; i < ARRAY_SIZE(far); i++) {
                histogram_reset(&h);
                histogram_add(&h, 5);
                histogram_add(&h, far[i]);
                ck_assert_uint_eq(histogram_bucket(far[i]), HISTOGRAM_BUCKETS - 1);
                ck_assert_uint_eq(h.max, far[i]);
                ck_assert_uint_eq(histogram_quantile(&h, 0.5), 5);
                ck_assert_uint_eq(histogram_quantile(&h, 0.99), far[i]);
        }
}
END_TEST

START_TEST(bucket_holds_what_begins_at_its_floor)
{
        ck_assert_uint_eq(histogram_bucket_floor(0), 0);
        for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
                uint64_t floor = histogram_bucket_floor(b);

                ck_assert_uint_eq(histogram_bucket(floor), b);
                if (b + 1 == HISTOGRAM_BUCKETS)
                        break;

                uint64_t next = histogram_bucket_floor(b + 1);

                ck_assert_uint_gt(next, floor);
                ck_assert_uint_eq(histogram_bucket(next - 1), b);
                ck_assert_uint_le((next - floor) * 64, MAX(floor, UINT64_C(64)));
        }
        ck_assert_uint_eq(histogram_bucket((UINT64_C(1) << HISTOGRAM_MAX_BITS) - 1), HISTOGRAM_BUCKETS - 1);
}
END_TEST

START_TEST(merge_is_as_if_added_to_one)
{
        for (unsigned i = 0; i < SAMPLES; i++) {
                uint64_t v = samplers[_i](i);

                histogram_add(i % 3 == 0 ? &h : &other, v);
                histogram_add(&whole, v);
        }

        struct histogram before = other;

        histogram_merge(&h, &other);
        ck_assert_mem_eq(&h, &whole, sizeof(h));
        ck_assert_mem_eq(&other, &before, sizeof(other));
}
END_TEST

START_TEST(merge_with_empty_changes_nothing)
{
        histogram_add(&h, 7);
        histogram_add(&h, 70000);
        whole = h;
        histogram_merge(&h, &other);
        ck_assert_mem_eq(&h, &whole, sizeof(h));
        histogram_merge(&other, &h);
        ck_assert_mem_eq(&other, &whole, sizeof(h));
}
END_TEST

START_TEST(reset_leaves_nothing)
{
        for (unsigned i = 0; i < 1000; i++)
                histogram_add(&h, sample_spread(i));
        histogram_add(&h, UINT64_MAX);
        histogram_reset(&h);
        ck_assert_mem_eq(&h, &other, sizeof(h));
}
END_TEST

/* A writer killed between two of its stores: quantiles come from the buckets, not from `samples`. */
START_TEST(sample_cut_off_by_a_kill_does_no_harm)
{
        for (uint64_t v = 1; v <= 100; v++)
                histogram_add(&h, v);
        h.samples--;
        ck_assert_uint_eq(histogram_quantile(&h, 0.5), 50);
        h.samples += 1000;
        ck_assert_uint_eq(histogram_quantile(&h, 0.99), 99);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("histogram");
        TCase *c = tcase_create("histogram");

        tcase_add_loop_test(c, quantiles_are_those_of_the_sorted_array, 0, ARRAY_SIZE(samplers));
        tcase_add_test(c, empty_is_zero);
        tcase_add_test(c, quantile_is_the_middle_of_its_bucket);
        tcase_add_test(c, quantile_never_exceeds_max);
        tcase_add_test(c, fraction_outside_0_to_1_is_the_nearest_end);
        tcase_add_test(c, rank_is_not_raised_by_rounding);
        tcase_add_test(c, values_beyond_the_last_bucket_keep_their_maximum);
        tcase_add_test(c, bucket_holds_what_begins_at_its_floor);
        tcase_add_loop_test(c, merge_is_as_if_added_to_one, 0, ARRAY_SIZE(samplers));
        tcase_add_test(c, merge_with_empty_changes_nothing);
        tcase_add_test(c, reset_leaves_nothing);
        tcase_add_test(c, sample_cut_off_by_a_kill_does_no_harm);
        suite_add_tcase(suite, c);

        return run_suite(suite);
}
