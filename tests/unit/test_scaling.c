/* SPDX-License-Identifier: MIT */
#include "shared/base.h"
#include "shared/scaling.h"

#include "noise.h"
#include "run_suite.h"

#include <check.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <string.h>

static const unsigned powers[] = {1, 2, 4, 8, 16, 32};

#define N ARRAY_SIZE(powers)

static double
usl(double sigma, double kappa, double n)
{
        return n / (1 + sigma * (n - 1) + kappa * n * (n - 1));
}

static struct scaling_fit
fit(const unsigned *workers, const double *throughput, size_t n)
{
        struct scaling_fit f;

        ck_assert_int_eq(scaling_fit(workers, throughput, n, &f), 0);
        ck_assert(isfinite(f.gain) && f.gain > 0 && f.serial >= 0 && f.serial <= 1);
        ck_assert(f.sigma >= 0 && f.sigma <= 1 && f.kappa >= 0 && isfinite(f.kappa));
        ck_assert(f.peak == 0 || f.peak >= 1);
        ck_assert(f.rms_relative >= 0 && isfinite(f.rms_relative));
        return f;
}

static const struct {
        double sigma, kappa;
} curves[] = {{0, 0}, {0.05, 0}, {0.3, 0}, {1, 0}, {0, 0.001}, {0.02, 0.0005}, {0.1, 0.02}, {1, 0.01}};

START_TEST(exact_curve_gives_its_parameters)
{
        double sigma = curves[_i].sigma, kappa = curves[_i].kappa, throughput[N];
        struct scaling_fit f;

        for (size_t i = 0; i < N; i++)
                throughput[i] = 12345 * usl(sigma, kappa, powers[i]);
        f = fit(powers, throughput, N);
        ck_assert_double_eq_tol(f.gain, 1, 1e-9);
        ck_assert_double_eq_tol(f.sigma, sigma, 1e-9);
        ck_assert_double_eq_tol(f.kappa, kappa, 1e-9);
        ck_assert_double_eq_tol(f.rms_relative, 0, 1e-9);
        if (kappa > 0) {
                ck_assert_double_eq_tol(f.peak, fmax(1, sqrt((1 - sigma) / kappa)), 1e-5);
        } else {
                ck_assert(f.peak == 0);
                ck_assert_double_eq_tol(f.serial, sigma, 1e-9);
        }
}
END_TEST

/* Neither the unit nor the order matters, and one worker need not have been measured. */
START_TEST(first_point_may_be_any_number_of_workers)
{
        static const unsigned workers[] = {6, 3, 24, 12, 48};
        double throughput[ARRAY_SIZE(workers)];
        struct scaling_fit f;

        for (size_t i = 0; i < ARRAY_SIZE(workers); i++)
                throughput[i] = 1e-3 * usl(0.04, 0.0002, workers[i]);
        f = fit(workers, throughput, ARRAY_SIZE(workers));
        ck_assert_double_eq_tol(f.gain, 1 / usl(0.04, 0.0002, 6), 1e-9);
        ck_assert_double_eq_tol(f.sigma, 0.04, 1e-9);
        ck_assert_double_eq_tol(f.kappa, 0.0002, 1e-9);
}
END_TEST

START_TEST(noise_moves_the_parameters_a_little)
{
        uint64_t state = 77 + (uint64_t)_i * 1000;
        double throughput[N];
        struct scaling_fit f;

        for (size_t i = 0; i < N; i++)
                throughput[i] = usl(0.1, 0.002, powers[i]) * noise_one_percent(&state);
        f = fit(powers, throughput, N);
        ck_assert_double_eq_tol(f.sigma, 0.1, 0.05);
        ck_assert_double_eq_tol(f.kappa, 0.002, 0.001);
        ck_assert_double_eq_tol(f.peak, sqrt(0.9 / 0.002), 5);
        ck_assert(f.rms_relative > 1e-5 && f.rms_relative < 0.03);
}
END_TEST

/* The residuals of the answer are not undercut by any allowed parameters nearby. */
START_TEST(nothing_allowed_fits_better)
{
        uint64_t state = 500 + (uint64_t)_i;
        double throughput[N];
        struct scaling_fit f;

        for (size_t i = 0; i < N; i++)
                throughput[i] = powers[i] * exp(noise_normal(&state));
        f = fit(powers, throughput, N);
        for (unsigned k = 0; k < 2000; k++) {
                double gain = f.gain * exp(0.1 * noise_normal(&state)), sum = 0;
                double sigma = fmin(fmax(f.sigma + 0.1 * noise_normal(&state), 0), 1);
                double kappa = fmax(f.kappa + 0.01 * noise_normal(&state), 0);

                for (size_t i = 0; i < N; i++) {
                        double r = throughput[i] / throughput[0] / (gain * usl(sigma, kappa, powers[i])) - 1;

                        sum += r * r;
                }
                ck_assert_double_ge(sqrt(sum / N), f.rms_relative * (1 - 1e-9));
        }
}
END_TEST

START_TEST(faster_than_linear_is_fitted_as_linear)
{
        double throughput[N];
        struct scaling_fit f;

        for (size_t i = 0; i < N; i++)
                throughput[i] = pow(powers[i], 1.2);
        f = fit(powers, throughput, N);
        ck_assert(f.serial == 0 && f.sigma == 0 && f.kappa == 0 && f.peak == 0);
        ck_assert_double_gt(f.gain, 1);
        ck_assert_double_gt(f.rms_relative, 0.1);
}
END_TEST

START_TEST(slower_with_more_workers_has_a_peak)
{
        static const double throughput[] = {100, 170, 230, 220, 150, 85};
        struct scaling_fit f = fit(powers, throughput, N);

        ck_assert_double_gt(f.kappa, 0);
        ck_assert(f.peak > 4 && f.peak < 8);
        ck_assert_double_eq_tol(f.peak, sqrt((1 - f.sigma) / f.kappa), 1e-9);
}
END_TEST

START_TEST(equal_throughputs_are_wholly_serial)
{
        static const double throughput[] = {7, 7, 7, 7, 7, 7};
        struct scaling_fit f = fit(powers, throughput, N);

        ck_assert_double_eq_tol(f.serial, 1, 1e-12);
        ck_assert_double_eq_tol(f.sigma, 1, 1e-12);
        ck_assert(f.kappa == 0 && f.peak == 0);
}
END_TEST

START_TEST(two_points_have_no_kappa)
{
        static const double some[] = {10, 15}, fewer[] = {10, 5}, more[] = {10, 25};
        struct scaling_fit f = fit(powers, some, 2);

        /* 2 / (1 + s) = 1.5 */
        ck_assert_double_eq_tol(f.sigma, 1.0 / 3, 1e-12);
        ck_assert_double_eq_tol(f.serial, 1.0 / 3, 1e-12);
        ck_assert_double_eq_tol(f.gain, 1, 1e-12);
        ck_assert(f.kappa == 0 && f.peak == 0);
        f = fit(powers, fewer, 2);
        ck_assert(f.sigma == 1 && f.kappa == 0 && f.peak == 0 && f.rms_relative > 0.1);
        f = fit(powers, more, 2);
        ck_assert(f.sigma == 0 && f.kappa == 0 && f.rms_relative > 0.05);
}
END_TEST

START_TEST(bad_points_are_refused)
{
        static const double bad[] = {0, -1, NAN, INFINITY};
        static unsigned workers[SCALING_MAX + 1];
        static double throughput[SCALING_MAX + 1];
        struct scaling_fit f, untouched;

        memset(&untouched, 0x55, sizeof(untouched));
        f = untouched;
        for (unsigned i = 0; i <= SCALING_MAX; i++) {
                workers[i] = i + 1;
                throughput[i] = 1 + i;
        }
        ck_assert_int_eq(scaling_fit(workers, throughput, 0, &f), -EINVAL);
        ck_assert_int_eq(scaling_fit(workers, throughput, 1, &f), -EINVAL);
        ck_assert_int_eq(scaling_fit(workers, throughput, SCALING_MAX + 1, &f), -EINVAL);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                throughput[2] = bad[i];
                ck_assert_int_eq(scaling_fit(workers, throughput, 3, &f), -EINVAL);
        }
        throughput[2] = 3;
        workers[2] = 1;
        ck_assert_int_eq(scaling_fit(workers, throughput, 3, &f), -EINVAL);
        workers[2] = 0;
        ck_assert_int_eq(scaling_fit(workers, throughput, 3, &f), -EINVAL);
        ck_assert_int_eq(memcmp(&f, &untouched, sizeof(f)), 0);
        workers[2] = UINT_MAX;
        ck_assert_int_eq(scaling_fit(workers, throughput, 3, &f), 0);
        workers[2] = 3;
        ck_assert_int_eq(scaling_fit(workers, throughput, SCALING_MAX, &f), 0);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("scaling");
        TCase *c = tcase_create("scaling");

        tcase_add_loop_test(c, exact_curve_gives_its_parameters, 0, ARRAY_SIZE(curves));
        tcase_add_test(c, first_point_may_be_any_number_of_workers);
        tcase_add_loop_test(c, noise_moves_the_parameters_a_little, 0, 20);
        tcase_add_loop_test(c, nothing_allowed_fits_better, 0, 20);
        tcase_add_test(c, faster_than_linear_is_fitted_as_linear);
        tcase_add_test(c, slower_with_more_workers_has_a_peak);
        tcase_add_test(c, equal_throughputs_are_wholly_serial);
        tcase_add_test(c, two_points_have_no_kappa);
        tcase_add_test(c, bad_points_are_refused);
        suite_add_tcase(suite, c);

        return run_suite(suite);
}
