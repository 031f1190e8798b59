/* SPDX-License-Identifier: MIT */
/*
 * A comparison for other programs, in the shapes of hyperfine (https://github.com/sharkdp/hyperfine, "Export
 * results"), so that its plotting scripts work unchanged. Times are seconds per round, of CPU time the mean over the
 * rounds; where rounds have a fixed duration, seconds per task, null for a round without one. "parameters" is what
 * differs between the variants. All functions: 0 or -ENOMEM; errors of the stream stay in its state. Pure but for the
 * stream.
 */
#ifndef CONCCTL_COMPARE_EXPORT_H
#define CONCCTL_COMPARE_EXPORT_H

#include "shared/base.h"

/* {"results": [{command, mean, stddev, median, user, system, min, max, times[], exit_codes[], parameters{}}]}.
 * stddev is null when there are fewer than two rounds. exit_codes has one element for each time: 1 where a
 * task of that round failed. */
int compare_export_json(FILE *f, const json_t *compare);

/* command, mean, stddev, median, user, system, min, max, parameter_*, and behind them speed_up, speed_up_low,
 * speed_up_high; quoted as RFC 4180 has it, lines end with a newline. */
int compare_export_csv(FILE *f, const json_t *compare);

/* A table: command, mean ± standard deviation, minimum, maximum, relative time per task (the fastest is 1);
 * behind them median, its interval, speed-up and its interval, why. All times in it are per task where
 * compare_variant_is_per_task(), and the headings say so. */
int compare_export_markdown(FILE *f, const json_t *compare);

#endif
