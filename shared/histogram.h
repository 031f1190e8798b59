/* SPDX-License-Identifier: MIT */
/*
 * A latency histogram of fixed size that can lie in shared memory: log-linear, 64 linear steps for every power
 * of two, so a value is known to 1/64 = 1.6 % (exactly below 128). After the idea of HdrHistogram (Tene).
 *
 * One writer at a time: who resets, adds or merges into a histogram excludes the others who do. Any number of
 * readers, in other threads and processes too: a reader sees each counter whole (relaxed atomics), but not all of
 * one instant. A writer killed in the middle loses at most the sample it was adding; a killed merge leaves part of
 * `from` in `to`. No pointers inside, all zeros is an empty one, nothing here fails, blocks or allocates.
 */
#ifndef CONCD_HISTOGRAM_H
#define CONCD_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 6
#define HISTOGRAM_MAX_BITS 43 /* values from 2^43 ns (2.4 h) on count into the last bucket; max stays exact */
#define HISTOGRAM_BUCKETS  ((HISTOGRAM_MAX_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
        uint64_t samples;
        uint64_t max; /* exact; 0 without samples */
        uint64_t sum; /* for the mean; wraps after 584 years of ns */
        uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_reset(struct histogram *h);
void histogram_add(struct histogram *h, uint64_t value);

/* Adds all of `from` to `to`: the result is what adding each sample of both to one histogram would have made. */
void histogram_merge(struct histogram *to, const struct histogram *from);

/* The value at or below which the fraction q of the samples lies, nearest rank: the middle of its bucket, so within
 * 1/128 of the sample itself, but never more than max. q at or below 0 asks for the smallest sample; at or above 1
 * it is max itself, as it is when the rank falls into the last bucket, which has no middle. 0 without samples. */
uint64_t histogram_quantile(const struct histogram *h, double q);

/* The bucket of a value, and the lowest value of a bucket (for tests, pictures and exports); a bucket ends where the
 * next one begins, the last one never. `bucket` must be below HISTOGRAM_BUCKETS. */
unsigned histogram_bucket(uint64_t value);
uint64_t histogram_bucket_floor(unsigned bucket);

#endif
