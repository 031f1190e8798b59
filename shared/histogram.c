/* SPDX-License-Identifier: MIT */
#include "shared/histogram.h"

#include "shared/base.h"

#define SUB_BUCKETS (1u << HISTOGRAM_SUB_BITS)
#define LAST_BUCKET (HISTOGRAM_BUCKETS - 1)

/* With one writer a plain load and store make an increment; they are atomic only for the readers' sake. */
static uint64_t
counter_get(const uint64_t *counter)
{
        return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void
counter_set(uint64_t *counter, uint64_t value)
{
        __atomic_store_n(counter, value, __ATOMIC_RELAXED);
}

static void
counter_add(uint64_t *counter, uint64_t n)
{
        counter_set(counter, counter_get(counter) + n);
}

unsigned
histogram_bucket(uint64_t value)
{
        if (value < SUB_BUCKETS)
                return (unsigned)value;
        if (value >> HISTOGRAM_MAX_BITS)
                return LAST_BUCKET;

        unsigned shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;

        return ((shift + 1) << HISTOGRAM_SUB_BITS) + (unsigned)((value >> shift) & (SUB_BUCKETS - 1));
}

uint64_t
histogram_bucket_floor(unsigned bucket)
{
        if (bucket < SUB_BUCKETS)
                return bucket;

        unsigned shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;

        return (uint64_t)(SUB_BUCKETS + (bucket & (SUB_BUCKETS - 1))) << shift;
}

void
histogram_reset(struct histogram *h)
{
        counter_set(&h->samples, 0);
        counter_set(&h->max, 0);
        counter_set(&h->sum, 0);
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
                counter_set(&h->buckets[i], 0);
}

void
histogram_add(struct histogram *h, uint64_t value)
{
        if (value > counter_get(&h->max))
                counter_set(&h->max, value);
        counter_add(&h->sum, value);
        counter_add(&h->buckets[histogram_bucket(value)], 1);
        counter_add(&h->samples, 1);
}

void
histogram_merge(struct histogram *to, const struct histogram *from)
{
        uint64_t max = counter_get(&from->max);

        if (max > counter_get(&to->max))
                counter_set(&to->max, max);
        counter_add(&to->sum, counter_get(&from->sum));
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
                uint64_t n = counter_get(&from->buckets[i]);

                if (n > 0)
                        counter_add(&to->buckets[i], n);
        }
        counter_add(&to->samples, counter_get(&from->samples));
}

/* The rank, from 1, of the sample that is the quantile. The slack keeps the error of q * total from adding one: 0.07 *
 * 100 is a little more than 7. */
static uint64_t
quantile_rank(double q, uint64_t total)
{
        double exact = q * (double)total * (1 - 1e-12);
        uint64_t rank;

        if (!(exact > 1))
                return 1;
        if (exact >= (double)total)
                return total;
        rank = (uint64_t)exact;
        return (double)rank < exact ? rank + 1 : rank;
}

/* The total is taken from the buckets: `samples` may be behind them while a writer adds, or for good when one was
 * killed between the two. */
uint64_t
histogram_quantile(const struct histogram *h, double q)
{
        uint64_t total = 0, seen = 0, max = counter_get(&h->max);
        unsigned i;

        for (i = 0; i < HISTOGRAM_BUCKETS; i++)
                total += counter_get(&h->buckets[i]);
        if (total == 0)
                return 0;
        if (q >= 1)
                return max;

        uint64_t rank = quantile_rank(q, total);

        for (i = 0; i < LAST_BUCKET; i++) {
                seen += counter_get(&h->buckets[i]);
                if (seen >= rank)
                        break;
        }
        if (i == LAST_BUCKET)
                return max;

        uint64_t floor = histogram_bucket_floor(i);

        return MIN(floor + (histogram_bucket_floor(i + 1) - floor) / 2, max);
}
