/* SPDX-License-Identifier: MIT */
/*
 * A latency histogram of fixed size that can lie in shared memory: log-linear, 64 linear steps for every power
 * of two, so a value is known to 1/64 = 1.6 % (exactly below 128). After the idea of HdrHistogram (Tene).
 *
 * One writer at a time; a reader in another process sees each counter whole, but not all of one
 * instant. A writer killed in the middle loses at most the sample it was adding. No pointers inside.
 */
#ifndef CONCD_HISTOGRAM_H
#define CONCD_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 6
#define HISTOGRAM_MAX_BITS 43 /* values from 2^43 ns (2.4 h) on count into the last bucket */
#define HISTOGRAM_BUCKETS ((HISTOGRAM_MAX_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
        uint64_t samples;
        uint64_t max; /* exact */
        uint64_t sum; /* for the mean; wraps after 584 years of ns */
        uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_reset(struct histogram *h);
void histogram_add(struct histogram *h, uint64_t value);

/* Adds all of `from` to `to`. */
void histogram_merge(struct histogram *to, const struct histogram *from);

/* The value below or at which the fraction q (0..1) of the samples lies: the middle of its bucket, never more
 * than max. 0 without samples. */
uint64_t histogram_quantile(const struct histogram *h, double q);

/* The bucket of a value, and the lowest value of a bucket (for tests, pictures and exports). */
unsigned histogram_bucket(uint64_t value);
uint64_t histogram_bucket_floor(unsigned bucket);

#endif
