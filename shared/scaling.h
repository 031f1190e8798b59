/* SPDX-License-Identifier: MIT */
/*
 * Fits of a scaling curve: throughput X against the number of workers n, where X1 is the throughput of one worker.
 *
 *   Amdahl:  X(n) = X1 n / (1 + serial (n - 1))                     serial fraction, 0 to 1 (Amdahl 1967)
 *   USL:     X(n) = X1 n / (1 + sigma (n - 1) + kappa n (n - 1))    contention, coherence (Gunther 1993, 2007)
 *
 * X1 is fitted too, for one worker may not have been measured, and is as noisy as the rest if it was. n / X(n) is
 * linear in 1/X1, sigma/X1 and kappa/X1; they are found by least squares of its relative residuals, so that a large n
 * weighs no more than a small one, under 0 <= serial, sigma <= 1 and 0 <= kappa. Pure and thread safe; nothing blocks.
 */
#ifndef CONCD_SCALING_H
#define CONCD_SCALING_H

#include <stddef.h>

/* Most points of one curve. */
#define SCALING_MAX 256

struct scaling_fit {
        double gain;         /* throughput of one worker by the USL, in units of the first point's */
        double serial;       /* Amdahl */
        double sigma, kappa; /* USL */
        double peak;         /* workers, at least 1, at which the USL has its maximum; 0: it grows for ever */
        double rms_relative; /* root mean square of the USL's relative residuals, each of n / X(n) */
};

/* throughput[i] with workers[i] workers, any unit, any order. With two points kappa is 0. Faster than linear is
 * fitted as linear: the residuals tell. 0, or -EINVAL and *ret untouched: fewer than 2 points or more than SCALING_MAX,
 * a number of workers that is 0 or comes twice, a throughput that is not finite and above 0. */
int scaling_fit(const unsigned *workers, const double *throughput, size_t n, struct scaling_fit *ret);

#endif
