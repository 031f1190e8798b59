/* SPDX-License-Identifier: MIT */
#include "shared/base.h"
#include "shared/statistics.h"

#include "noise.h"
#include "run_suite.h"

#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#define EXPERIMENTS 2000
#define N_MAX       100

/* ── coverage: how often the interval holds the truth ── */

static const struct {
        double (*x)(uint64_t *state), (*y)(uint64_t *state);
        double drift; /* standard deviation of what both of a round have in common */
        size_t n;
} ratios[] = {
        {noise_one_percent, noise_one_percent, 0, 10},     {noise_one_percent, noise_one_percent, 0, 11},
        {noise_one_percent, noise_one_percent, 0.01, 11},  {noise_one_percent, noise_one_percent, 0.03, 11},
        {noise_lognormal, noise_lognormal, 0, 11},         {noise_lognormal, noise_lognormal, 0.03, 15},
        {noise_exponential, noise_exponential, 0, 11},     {noise_laplace, noise_laplace, 0.01, 20},
        {noise_outliers, noise_outliers, 0, 11},           {noise_one_percent, noise_lognormal_5, 0, 11},
        {noise_one_percent, noise_one_percent, 0.01, 100},
};

static const struct {
        double (*x)(uint64_t *state);
        double truth;
        size_t n;
} medians[] = {
        {noise_one_percent, 1, 11},
        {noise_lognormal, 1, 11},
        {noise_exponential, NOISE_MEDIAN_EXPONENTIAL, 11},
        {noise_outliers, NOISE_MEDIAN_OUTLIERS, 11},
        {noise_laplace, 1, 15},
        {noise_one_percent, 1, 20},
};

static void
assert_covers(unsigned hits)
{
        ck_assert_msg(hits >= EXPERIMENTS * 93 / 100 && hits <= EXPERIMENTS * 97 / 100,
                      "The interval held the truth in %.2f %% of the experiments, not in 93 to 97 %%",
                      100.0 * hits / EXPERIMENTS);
}

START_TEST(ratio_interval_holds_the_truth)
{
        uint64_t state = 7341 + (uint64_t)_i;
        unsigned hits = 0;

        for (unsigned e = 0; e < EXPERIMENTS; e++) {
                double x[N_MAX], y[N_MAX];
                struct interval range;

                for (size_t i = 0; i < ratios[_i].n; i++) {
                        double drift = exp(ratios[_i].drift * noise_normal(&state));

                        x[i] = 3 * drift * ratios[_i].x(&state);
                        y[i] = 2 * drift * ratios[_i].y(&state);
                }
                ck_assert_int_eq(statistics_ratio_interval(x, y, ratios[_i].n, e, &range), 0);
                hits += range.low <= 1.5 && 1.5 <= range.high;
        }
        assert_covers(hits);
}
END_TEST

START_TEST(median_interval_holds_the_truth)
{
        uint64_t state = 991 + (uint64_t)_i;
        unsigned hits = 0;

        for (unsigned e = 0; e < EXPERIMENTS; e++) {
                double x[N_MAX];
                struct interval range;

                for (size_t i = 0; i < medians[_i].n; i++)
                        x[i] = medians[_i].x(&state);
                ck_assert_int_eq(statistics_median_interval(x, medians[_i].n, e, &range), 0);
                hits += range.low <= medians[_i].truth && medians[_i].truth <= range.high;
        }
        assert_covers(hits);
}
END_TEST

/* ── what must hold of every interval ── */

static double x11[11], y11[11];

static void
measure(void)
{
        uint64_t state = 4711;

        for (size_t i = 0; i < 11; i++) {
                x11[i] = 1.5 * noise_one_percent(&state);
                y11[i] = noise_exponential(&state);
        }
}

#define assert_near(a, b) ck_assert_double_eq_tol(a, b, 1e-12 * fabs(b))

START_TEST(interval_scales_with_the_values)
{
        struct interval before, after, ratio, scaled_ratio;
        double scaled[11];

        measure();
        for (size_t i = 0; i < 11; i++)
                scaled[i] = 1e9 * x11[i];
        ck_assert_int_eq(statistics_median_interval(x11, 11, 5, &before), 0);
        ck_assert_int_eq(statistics_median_interval(scaled, 11, 5, &after), 0);
        assert_near(after.low, 1e9 * before.low);
        assert_near(after.high, 1e9 * before.high);
        ck_assert_int_eq(statistics_ratio_interval(x11, y11, 11, 5, &ratio), 0);
        ck_assert_int_eq(statistics_ratio_interval(scaled, y11, 11, 5, &scaled_ratio), 0);
        assert_near(scaled_ratio.low, 1e9 * ratio.low);
        assert_near(scaled_ratio.high, 1e9 * ratio.high);
        ck_assert_double_lt(ratio.low, ratio.high);
}
END_TEST

START_TEST(swapping_inverts_the_ratio)
{
        struct interval there, back;

        measure();
        ck_assert_int_eq(statistics_ratio_interval(x11, y11, 11, 5, &there), 0);
        ck_assert_int_eq(statistics_ratio_interval(y11, x11, 11, 5, &back), 0);
        assert_near(back.low, 1 / there.high);
        assert_near(back.high, 1 / there.low);
}
END_TEST

/* Rounds that drift by a factor of 5 and differ by exactly 2 leave no doubt about the ratio. */
START_TEST(what_both_share_is_no_doubt)
{
        struct interval range;
        double x[11], y[11];

        for (size_t i = 0; i < 11; i++) {
                y[i] = 1 + 0.4 * (double)(i * 7 % 11);
                x[i] = 2 * y[i];
        }
        ck_assert_int_eq(statistics_ratio_interval(x, y, 11, 3, &range), 0);
        assert_near(range.low, 2.0);
        assert_near(range.high, 2.0);
        ck_assert_int_eq(statistics_ratio_interval(y, y, 11, 3, &range), 0);
        ck_assert(range.low == 1 && range.high == 1);
}
END_TEST

START_TEST(equal_values_leave_no_doubt)
{
        static const size_t lengths[] = {2, 3, 10, 11, STATISTICS_MAX};
        static double x[STATISTICS_MAX];
        struct interval range;

        for (size_t i = 0; i < STATISTICS_MAX; i++)
                x[i] = 0.1;
        for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
                ck_assert_int_eq(statistics_ratio_interval(x, x, lengths[i], 1, &range), 0);
                ck_assert(range.low == 1 && range.high == 1);
                ck_assert_int_eq(statistics_median_interval(x, lengths[i], 1, &range), 0);
                ck_assert(range.low == 0.1 && range.high == 0.1);
        }
}
END_TEST

START_TEST(same_seed_same_interval)
{
        struct interval one, two, other;

        measure();
        for (uint64_t seed = 0; seed < 20; seed++) {
                ck_assert_int_eq(statistics_median_interval(x11, 11, seed, &one), 0);
                ck_assert_int_eq(statistics_median_interval(x11, 11, seed, &two), 0);
                ck_assert_int_eq(statistics_median_interval(x11, 11, seed + 1, &other), 0);
                ck_assert(one.low == two.low && one.high == two.high && one.low != other.low);
                ck_assert_double_eq_tol(one.high - one.low, other.high - other.low, 0.15 * (one.high - one.low));
        }
        ck_assert_int_eq(statistics_ratio_interval(x11, y11, 11, 0, &one), 0);
        ck_assert_int_eq(statistics_ratio_interval(x11, y11, 11, 0, &two), 0);
        ck_assert(one.low == two.low && one.high == two.high);
}
END_TEST

START_TEST(interval_contains_the_ratio_of_two_rounds_or_many)
{
        static double x[STATISTICS_MAX], y[STATISTICS_MAX];
        uint64_t state = 17;

        for (size_t i = 0; i < STATISTICS_MAX; i++) {
                x[i] = noise_outliers(&state);
                y[i] = noise_lognormal(&state);
        }
        for (size_t n = 2; n <= STATISTICS_MAX; n += n < 40 ? 1 : n) {
                double ratio = statistics_median(x, n) / statistics_median(y, n);
                struct interval range;

                ck_assert_int_eq(statistics_ratio_interval(x, y, n, n, &range), 0);
                ck_assert(range.low > 0 && range.low < ratio && ratio < range.high && isfinite(range.high));
                ck_assert_int_eq(statistics_median_interval(x, n, n, &range), 0);
                ck_assert(isfinite(range.low) && isfinite(range.high) && range.low < range.high);
        }
}
END_TEST

/* Times have a floor that most of them come near to: what is drawn around a value is then mostly above it. */
START_TEST(interval_contains_a_median_on_the_floor)
{
        static double x[400];
        uint64_t state = 23;

        for (size_t i = 0; i < ARRAY_SIZE(x); i++)
                x[i] = 1 + (noise_uniform(&state) < 0.6 ? 1e-7 : 0.05) * noise_uniform(&state);
        for (size_t n = 20; n <= ARRAY_SIZE(x); n += 20) {
                double median = statistics_median(x, n);
                struct interval range;

                ck_assert_int_eq(statistics_median_interval(x, n, n, &range), 0);
                ck_assert_msg(range.low <= median && median <= range.high, "%zu: %.12f is not in %.12f … %.12f", n,
                              median, range.low, range.high);
        }
}
END_TEST

START_TEST(more_rounds_make_it_narrower)
{
        double x[1000], y[1000];
        struct interval few, many;
        uint64_t state = 29;

        for (size_t i = 0; i < ARRAY_SIZE(x); i++) {
                x[i] = noise_one_percent(&state);
                y[i] = noise_one_percent(&state);
        }
        ck_assert_int_eq(statistics_ratio_interval(x, y, 10, 1, &few), 0);
        ck_assert_int_eq(statistics_ratio_interval(x, y, ARRAY_SIZE(x), 1, &many), 0);
        ck_assert_double_lt(many.high - many.low, (few.high - few.low) / 4);
}
END_TEST

START_TEST(bad_values_are_refused)
{
        static const double bad[] = {0, -1, NAN, INFINITY, -INFINITY};
        const struct interval untouched = {-7, 7};
        struct interval range = untouched;

        measure();
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                double good = x11[10];

                x11[10] = bad[i];
                ck_assert_int_eq(statistics_ratio_interval(x11, y11, 11, 1, &range), -EINVAL);
                ck_assert_int_eq(statistics_ratio_interval(y11, x11, 11, 1, &range), -EINVAL);
                if (!isfinite(bad[i]))
                        ck_assert_int_eq(statistics_median_interval(x11, 11, 1, &range), -EINVAL);
                x11[10] = good;
        }
        for (size_t n = 0; n < 2; n++) {
                ck_assert_int_eq(statistics_ratio_interval(x11, y11, n, 1, &range), -EINVAL);
                ck_assert_int_eq(statistics_median_interval(x11, n, 1, &range), -EINVAL);
        }
        ck_assert_int_eq(statistics_median_interval(x11, STATISTICS_MAX + 1, 1, &range), -EINVAL);
        ck_assert_int_eq(memcmp(&range, &untouched, sizeof(range)), 0);
}
END_TEST

/* ── quantiles and the like ── */

static const struct {
        double q, value;
} quantiles[] = {
        /* of 3, 1, 4, 1, 5, 9, 2, 6 by R: quantile(x, q, type = 7) */
        {-1, 1}, {0, 1}, {0.1, 1}, {0.25, 1.75}, {0.5, 3.5}, {0.75, 5.25}, {0.9, 6.9}, {1, 9}, {2, 9},
};

START_TEST(quantiles_are_those_of_type_7)
{
        static const double x[] = {3, 1, 4, 1, 5, 9, 2, 6};
        static const double before[] = {3, 1, 4, 1, 5, 9, 2, 6};

        assert_near(statistics_quantile(x, ARRAY_SIZE(x), quantiles[_i].q), quantiles[_i].value);
        ck_assert_int_eq(memcmp(x, before, sizeof(x)), 0);
}
END_TEST

static int
compare_doubles(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

/* Selection finds what sorting finds, with many equal values too. */
START_TEST(quantiles_are_those_of_the_sorted_array)
{
        uint64_t state = 3;

        for (size_t n = 1; n <= 300; n++) {
                double x[300], sorted[300];

                for (size_t i = 0; i < n; i++)
                        sorted[i] = x[i] = (double)(random_next(&state) % (n % 3 ? 1000000 : 7));
                qsort(sorted, n, sizeof(*sorted), compare_doubles);
                for (size_t k = 0; k < n; k++) {
                        double q = n > 1 ? (double)k / (double)(n - 1) : 0;

                        ck_assert_double_eq_tol(statistics_quantile(x, n, q), sorted[k], 1e-6);
                }
        }
}
END_TEST

START_TEST(mean_and_deviation)
{
        static const double x[] = {2, 4, 4, 4, 5, 5, 7, 9};

        assert_near(statistics_mean(x, 8), 5.0);
        assert_near(statistics_stddev(x, 8), sqrt(32.0 / 7));
        ck_assert(statistics_stddev(x, 1) == 0 && statistics_stddev(x, 0) == 0);
        ck_assert(isnan(statistics_mean(x, 0)) && isnan(statistics_median(x, 0)));
        ck_assert(isnan(statistics_quantile(x, STATISTICS_MAX + 1, 0.5)));
        ck_assert(statistics_median(x, 1) == 2 && statistics_median(x, 2) == 3);
}
END_TEST

/* Quartiles 3 and 7, fences -3 and 13. */
START_TEST(outliers_are_beyond_the_fences)
{
        static const double x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
        struct interval fences;

        statistics_fences(x, 9, &fences);
        ck_assert_double_eq(fences.low, -3);
        ck_assert_double_eq(fences.high, 13);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("statistics");
        TCase *c = tcase_create("statistics");

        tcase_set_timeout(c, 120);
        tcase_add_loop_test(c, ratio_interval_holds_the_truth, 0, ARRAY_SIZE(ratios));
        tcase_add_loop_test(c, median_interval_holds_the_truth, 0, ARRAY_SIZE(medians));
        tcase_add_test(c, interval_scales_with_the_values);
        tcase_add_test(c, swapping_inverts_the_ratio);
        tcase_add_test(c, what_both_share_is_no_doubt);
        tcase_add_test(c, equal_values_leave_no_doubt);
        tcase_add_test(c, same_seed_same_interval);
        tcase_add_test(c, interval_contains_the_ratio_of_two_rounds_or_many);
        tcase_add_test(c, interval_contains_a_median_on_the_floor);
        tcase_add_test(c, more_rounds_make_it_narrower);
        tcase_add_test(c, bad_values_are_refused);
        tcase_add_loop_test(c, quantiles_are_those_of_type_7, 0, ARRAY_SIZE(quantiles));
        tcase_add_test(c, quantiles_are_those_of_the_sorted_array);
        tcase_add_test(c, mean_and_deviation);
        tcase_add_test(c, outliers_are_beyond_the_fences);
        suite_add_tcase(suite, c);

        return run_suite(suite);
}
