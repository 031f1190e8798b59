/* SPDX-License-Identifier: MIT */
#include "shared/statistics.h"

#include "shared/base.h"
#include "shared/random.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#define LOW_TAIL  0.025
#define HIGH_TAIL 0.975

/* Tukey's fences, in distances between the quartiles. */
#define FENCE 1.5

/* The quartiles of a normal distribution are this many standard deviations apart. */
#define NORMAL_QUARTILES 1.349

/* With 2000 resamples another seed moves an end by about 3 % of the half width. Above 500 values there are fewer, so
 * that the work stays about the same; below RESAMPLES_MIN the tails would hold too few. */
#define RESAMPLES_MAX 2000
#define RESAMPLES_MIN 500
#define DRAWS         1000000

/* Width of the kernel of the smoothed bootstrap, in robust standard deviations x n^(-1/5): half of what Silverman
 * (1986) takes to show a density, found by simulation: enough to undo the steps of a median of few values. */
#define KERNEL_WIDTH 0.5

static size_t
resamples_for(size_t n)
{
        return MAX(MIN(DRAWS / n, RESAMPLES_MAX), RESAMPLES_MIN);
}

/* Seeds next to each other give streams that have nothing in common (splitmix64, Steele et al. 2014). */
static uint64_t
seed_mix(uint64_t seed)
{
        seed += UINT64_C(0x9e3779b97f4a7c15);
        seed = (seed ^ seed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        seed = (seed ^ seed >> 27) * UINT64_C(0x94d049bb133111eb);
        seed ^= seed >> 31;
        return seed ? seed : 1;
}

static size_t
random_index(uint64_t *state, size_t n)
{
        return (size_t)((random_next(state) >> 32) * n >> 32);
}

/* Mean 0, variance 1: the sum of four uniform numbers of 16 bits, close to normal in the middle and never beyond
 * 2 sqrt(3). As a kernel, the cubic B-spline. */
static double
random_kernel(uint64_t *state)
{
        uint64_t r = random_next(state);
        double sum = (double)((r & 0xffff) + (r >> 16 & 0xffff) + (r >> 32 & 0xffff) + (r >> 48));

        return (sum - 2.0 * 0xffff) * (1.7320508075688772 / 0x10000);
}

static void
swap(double *x, size_t i, size_t j)
{
        double t = x[i];

        x[i] = x[j];
        x[j] = t;
}

/* Puts the value of rank k (from 0) into x[k], none greater before and none smaller after it (Hoare's FIND, 1961). */
static double
select_rank(double *x, size_t n, size_t k)
{
        ptrdiff_t low = 0, high = (ptrdiff_t)n - 1;

        while (low < high) {
                double pivot = x[low + (high - low) / 2];
                ptrdiff_t i = low, j = high;

                while (i <= j) {
                        while (x[i] < pivot)
                                i++;
                        while (x[j] > pivot)
                                j--;
                        if (i <= j)
                                swap(x, (size_t)i++, (size_t)j--);
                }
                if ((ptrdiff_t)k <= j)
                        high = j;
                else if ((ptrdiff_t)k >= i)
                        low = i;
                else
                        break;
        }
        return x[k];
}

/* As statistics_quantile(), of an array that it may reorder. */
static double
quantile_in_place(double *x, size_t n, double q)
{
        double at = fmin(fmax(q, 0), 1) * (double)(n - 1);
        size_t k = (size_t)at;
        double below = select_rank(x, n, k), above = INFINITY;

        if (at == (double)k)
                return below;
        for (size_t i = k + 1; i < n; i++)
                above = fmin(above, x[i]);
        return below + (at - (double)k) * (above - below);
}

double
statistics_quantile(const double *x, size_t n, double q)
{
        double copy[STATISTICS_MAX];

        if (n == 0 || n > STATISTICS_MAX)
                return NAN;
        memcpy(copy, x, n * sizeof(*x));
        return quantile_in_place(copy, n, q);
}

double
statistics_mean(const double *x, size_t n)
{
        double sum = 0;

        for (size_t i = 0; i < n; i++)
                sum += x[i];
        return n > 0 ? sum / (double)n : NAN;
}

double
statistics_stddev(const double *x, size_t n)
{
        double mean = statistics_mean(x, n), sum = 0;

        if (n < 2)
                return 0;
        for (size_t i = 0; i < n; i++)
                sum += (x[i] - mean) * (x[i] - mean);
        return sqrt(sum / (double)(n - 1));
}

void
statistics_fences(const double *x, size_t n, struct interval *ret)
{
        double low = statistics_quantile(x, n, 0.25), high = statistics_quantile(x, n, 0.75);
        double fence = FENCE * (high - low);

        *ret = (struct interval){low - fence, high + fence};
}

static bool
is_sample(const double *x, size_t n, double above)
{
        if (n < 2 || n > STATISTICS_MAX)
                return false;
        for (size_t i = 0; i < n; i++)
                if (!isfinite(x[i]) || x[i] <= above)
                        return false;
        return true;
}

/* The smaller of the standard deviation and what the quartiles say it is: outliers do not widen it. */
static double
robust_deviation(const double *x, size_t n)
{
        double quartiles = statistics_quantile(x, n, 0.75) - statistics_quantile(x, n, 0.25);

        return fmin(statistics_stddev(x, n), quartiles / NORMAL_QUARTILES);
}

int
statistics_median_interval(const double *x, size_t n, uint64_t seed, struct interval *ret)
{
        size_t resamples = n > 0 ? resamples_for(n) : 0;
        AUTO_FREE double *sample = NULL, *medians = NULL;
        uint64_t state = seed_mix(seed);
        double width, median;

        if (!is_sample(x, n, -INFINITY))
                return -EINVAL;
        sample = calloc(n, sizeof(*sample));
        medians = calloc(resamples, sizeof(*medians));
        if (!sample || !medians)
                return -ENOMEM;

        width = KERNEL_WIDTH * robust_deviation(x, n) * pow((double)n, -0.2);
        for (size_t r = 0; r < resamples; r++) {
                for (size_t i = 0; i < n; i++) {
                        sample[i] = x[random_index(&state, n)];
                        sample[i] += width * random_kernel(&state);
                }
                medians[r] = quantile_in_place(sample, n, 0.5);
        }
        /* Where the values lie close above a floor, those that are drawn around them lie higher. */
        median = statistics_median(x, n);
        ret->low = fmin(quantile_in_place(medians, resamples, LOW_TAIL), median);
        ret->high = fmax(quantile_in_place(medians, resamples, HIGH_TAIL), median);
        return 0;
}

/* One of the two measures of each round, and the rounds from its smallest value to its largest. */
struct ranking {
        const double *value;
        uint16_t rounds[STATISTICS_MAX];
};

struct pairs {
        struct ranking x, y;
        uint16_t drawn[STATISTICS_MAX]; /* how often the resample has each round */
};

static int
compare_rounds(const void *a, const void *b, void *value)
{
        double x = ((const double *)value)[*(const uint16_t *)a], y = ((const double *)value)[*(const uint16_t *)b];

        return (x > y) - (x < y);
}

static void
ranking_init(struct ranking *r, const double *value, size_t n)
{
        r->value = value;
        for (size_t i = 0; i < n; i++)
                r->rounds[i] = (uint16_t)i;
        qsort_r(r->rounds, n, sizeof(*r->rounds), compare_rounds, (void *)value);
}

/* The median of a resample: its rounds are counted off from the smallest value until half of the n are passed. */
static double
ranking_median(const struct ranking *r, const uint16_t *drawn, size_t n)
{
        size_t i = 0, passed = drawn[r->rounds[0]];
        double low;

        while (passed < (n + 1) / 2)
                passed += drawn[r->rounds[++i]];
        low = r->value[r->rounds[i]];
        while (passed < n / 2 + 1)
                passed += drawn[r->rounds[++i]];
        return low + (r->value[r->rounds[i]] - low) / 2;
}

static double
pairs_log_ratio(struct pairs *p, size_t n, uint64_t *state)
{
        memset(p->drawn, 0, n * sizeof(*p->drawn));
        for (size_t i = 0; i < n; i++)
                p->drawn[random_index(state, n)]++;
        return log(ranking_median(&p->x, p->drawn, n)) - log(ranking_median(&p->y, p->drawn, n));
}

/*
 * The percentiles of the bootstrap give the width, and the ratio itself the middle: a resample's medians scatter around
 * a smoother estimate than the sample's own, and percentiles taken as the ends hold the truth in 98 % and more where
 * the rounds drift. sqrt(n / (n - 1)) undoes the narrowness of resampling few values (Hesterberg 2015).
 */
int
statistics_ratio_interval(const double *x, const double *y, size_t n, uint64_t seed, struct interval *ret)
{
        size_t resamples = n > 0 ? resamples_for(n) : 0;
        AUTO_FREE struct pairs *pairs = NULL;
        AUTO_FREE double *logs = NULL;
        uint64_t state = seed_mix(seed);
        double ratio, half;

        if (!is_sample(x, n, 0) || !is_sample(y, n, 0))
                return -EINVAL;
        pairs = malloc(sizeof(*pairs));
        logs = calloc(resamples, sizeof(*logs));
        if (!pairs || !logs)
                return -ENOMEM;

        ranking_init(&pairs->x, x, n);
        ranking_init(&pairs->y, y, n);
        for (size_t r = 0; r < resamples; r++)
                logs[r] = pairs_log_ratio(pairs, n, &state);
        half = quantile_in_place(logs, resamples, HIGH_TAIL);
        half = (half - quantile_in_place(logs, resamples, LOW_TAIL)) / 2 * sqrt((double)n / (double)(n - 1));
        ratio = statistics_median(x, n) / statistics_median(y, n);
        ret->low = ratio * exp(-half);
        ret->high = ratio * exp(half);
        return 0;
}
