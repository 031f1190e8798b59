/* SPDX-License-Identifier: MIT */
/* The result of a comparison, as people read it. Pure but for the stream that it is written to. */
#ifndef CONCCTL_COMPARE_RESULT_H
#define CONCCTL_COMPARE_RESULT_H

#include "shared/base.h"

#include <stdbool.h>

/* Writes a CompareResult: title, a row for each variant, how it scales, and what to know about it; when it did
 * not end as it should, that comes first. On a terminal the last column is broken to fit, and where there is room
 * each row has a bar. With `explain` the evidence of every variant follows. */
void compare_result_print(FILE *f, const json_t *compare, bool explain);

/* One line for each variant: name, time, interval, speed-up; of a comparison with itself, the verdict. */
void compare_result_print_brief(FILE *f, const json_t *compare);

/* The tasks that failed, of all variants. */
int64_t compare_result_failed(const json_t *compare);

/* How many times are shown: a unit of time, and so many decimals that an interval [low, high] in seconds can be
 * told from a point. */
struct compare_scale {
        const char *unit;
        double per_s; /* units in a second */
        int decimals;
};

struct compare_scale compare_scale_of(double seconds, double low, double high);

#endif
