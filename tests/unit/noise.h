/* SPDX-License-Identifier: MIT */
/* Noise of known distribution, from a seed: what the intervals of shared/statistics.h are held to. */
#ifndef CONCD_TEST_NOISE_H
#define CONCD_TEST_NOISE_H

#include "shared/random.h"

#include <math.h>

/* Between 0 and 1, never either. */
static inline double
noise_uniform(uint64_t *state)
{
        return ((double)(random_next(state) >> 11) + 0.5) / (double)(UINT64_C(1) << 53);
}

/* Box and Muller, 1958. */
static inline double
noise_normal(uint64_t *state)
{
        double radius = sqrt(-2 * log(noise_uniform(state)));

        return radius * cos(2 * M_PI * noise_uniform(state));
}

static inline double
noise_one_percent(uint64_t *state)
{
        return 1 + 0.01 * noise_normal(state);
}

static inline double
noise_lognormal(uint64_t *state)
{
        return exp(0.1 * noise_normal(state));
}

static inline double
noise_lognormal_5(uint64_t *state)
{
        return exp(0.05 * noise_normal(state));
}

static inline double
noise_exponential(uint64_t *state)
{
        return 1 - 0.05 * log(noise_uniform(state));
}

/* One in ten is half as long again. */
static inline double
noise_outliers(uint64_t *state)
{
        double value = noise_one_percent(state);

        return noise_uniform(state) < 0.1 ? 1.5 * value : value;
}

static inline double
noise_laplace(uint64_t *state)
{
        double u = noise_uniform(state) - 0.5;

        return 1 + 0.01 * (u < 0 ? log(1 + 2 * u) : -log(1 - 2 * u));
}

static inline double
noise_flat(uint64_t *state)
{
        return 1 + 0.02 * noise_uniform(state);
}

/* The true medians. With outliers: 9 in 10 are normal, so Phi(z) = 0.5 / 0.9. */
#define NOISE_MEDIAN_EXPONENTIAL (1 + 0.05 * M_LN2)
#define NOISE_MEDIAN_OUTLIERS    (1 + 0.01 * 0.13971029888)
#define NOISE_MEDIAN_FLAT        1.01

#endif
