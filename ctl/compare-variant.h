/* SPDX-License-Identifier: MIT */
/* What the variants of a CompareResult have in common and in what they differ. Pure. */
#ifndef CONCCTL_COMPARE_VARIANT_H
#define CONCCTL_COMPARE_VARIANT_H

#include "shared/base.h"
#include "shared/statistics.h"

#include <stdbool.h>

/* What the first column is called, and how many bytes of each name its heading says already: "MODE" when every
 * name is that of a mode, "WORKERS" and 8 when every name is "workers=…", else "VARIANT". Returns buf. */
char *compare_variant_heading(const json_t *compare, char *buf, size_t size, size_t *ret_skip);

/* The parameters in which the variants differ, in the same order for all of them, with the texts of this one.
 * What a mode brings along (one worker for sequential, another chunk) does not count. The caller owns it; NULL
 * without memory. */
json_t *compare_variant_parameters(const json_t *compare, const json_t *variant);

/* Do two variants differ in this field, or in any parameter of the workload for "params"? */
bool compare_variant_differs(const json_t *compare, const char *field);

/* Are rounds of different lengths compared, so that only the time per task tells? True for runs by duration, and when
 * counts differ. */
bool compare_variant_is_per_task(const json_t *compare);

/* The times of the rounds of a variant in seconds: per task where compare_variant_is_per_task(), else per round. NaN is
 * what is not known. */
struct compare_times {
        double median, mean, stddev, min, max;
        struct interval interval; /* of the median; both ends are known, or none */
};

/* In a run by duration they are computed from the rounds, which all are as long; nothing is known when one of them had
 * no task at all. Computes for as long as statistics_median_interval(). */
struct compare_times compare_variant_times(const json_t *compare, const json_t *variant);

/* Does every process worker carry an idle thread? "yes", "no", or where it does. */
const char *compare_variant_idle_thread(const json_t *compare);

/* Has a Scaling so many points that there is more to its curves than that they go through all of them? */
bool compare_variant_is_fitted(const json_t *scaling);

/* The number of workers, of all variants but the sequential ones; 0: they differ. */
int64_t compare_variant_workers(const json_t *compare);

/* The one that was compared with the reference, in a comparison of one variant with itself. */
const json_t *compare_variant_copy(const json_t *compare);

/* What a comparison of a variant with itself says of the machine. TRUST_NOISY: no bias, but an interval so wide that
 * it says more of the noise. */
enum compare_trust { TRUST_NOT_ASKED, TRUST_TOO_FEW_ROUNDS, TRUST_NO_RATIO, TRUST_GOOD, TRUST_NOISY, TRUST_BAD };

/* *ret_reach: how far the interval reaches from 1. */
enum compare_trust compare_variant_trust(const json_t *compare, double *ret_reach);

/* The one called so, or NULL. */
const json_t *compare_variant_find(const json_t *compare, const char *name);

#endif
