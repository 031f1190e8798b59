/* SPDX-License-Identifier: MIT */
/*
 * The measured rounds of a comparison, in the segment, so that a supervisor that is killed loses none of them: its
 * successor goes on with the round that was under way, and repeats that one. Written by the supervisor only: a
 * record is complete before `taken` and record_step() say that its step is over.
 */
#ifndef CONCD_COMPARE_H
#define CONCD_COMPARE_H

#include <stdint.h>

#define COMPARE_VARIANTS_MAX 64
#define COMPARE_RECORDS_MAX  8192 /* variants × measured rounds, at most */

/* What one variant yielded in one round; the record of round r of variant v is record[r * variants + v]. Times in
 * nanoseconds, summed over the workers but for the wall. */
struct compare_record {
        uint64_t wall_ns;
        uint64_t done, failed, wrong, acc; /* acc: sum of the results modulo 2^64 */
        uint64_t user_ns, system_ns;
        uint64_t restarts, reexecuted;
        uint64_t steal_ns;
        uint32_t order;    /* its place in the order of execution of its round, from 0 */
        uint32_t repeated; /* how often it had to be measured again: a daemon was killed within it */
};

struct compare {
        uint32_t taken;     /* measured steps whose records are complete: the first so many of the plan */
        uint32_t repeating; /* how often the step under way was begun again */
        struct compare_record record[COMPARE_RECORDS_MAX];
};

#endif
