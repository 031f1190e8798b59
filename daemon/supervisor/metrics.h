/* SPDX-License-Identifier: MIT */
/*
 * What the daemon tells a monitoring system about itself: one table of metrics (metrics.c), from which the text, its
 * types, units and help derive; docs/METRICS.md is held to it by a test. Served by metrics-http.c.
 *
 * Counters live as long as the daemon, and only rise. After a takeover they begin anew at 0: a reader sees it by
 * concd_start_time_seconds, and rates in the usual tools allow for it. Tasks, trials and latencies are counted when
 * their run closes, by the daemon that closes it, so that every task is counted by one daemon only.
 *
 * Everything here belongs to the supervisor's thread. Nothing blocks but metrics_text(), which may read /proc.
 */
#ifndef CONCD_METRICS_H
#define CONCD_METRICS_H

#include "scenarios/scenario.h"
#include "segment/segment.h"
#include "shared/histogram.h"
#include "supervisor/figures.h"
#include "supervisor/job.h"
#include "worker/mode.h"

#include <stdbool.h>

struct supervisor;

enum metrics_outcome { METRICS_VERIFIED, METRICS_FAILED, METRICS_WRONG, METRICS_OUTCOMES };

/* Methods that make jobs. */
enum metrics_method { METRICS_RUN, METRICS_RACE, METRICS_COMPARE, METRICS_METHODS };

/* Upper bounds of the classic buckets: 1, 2 and 5 of every power of ten from 1 us to 100 s. */
#define METRICS_BOUNDS 25

struct metrics_latency {
        uint64_t sum_ns;
        uint64_t bucket[METRICS_BOUNDS + 1]; /* of its own each, not cumulative; the last is what exceeds all bounds */
};

struct metrics {
        double started; /* seconds since the epoch */
        uint64_t jobs[METRICS_METHODS][JOB_LOST + 1];
        uint64_t tasks[MODES][METRICS_OUTCOMES];
        uint64_t trials[OUTCOME_FORBIDDEN + 2]; /* [enum outcome_class]; the last one: of no known outcome */
        uint64_t reexecuted;                    /* tasks, because their worker died before they were committed */
        uint64_t run_permits, race_permits;     /* of dead holders, given back: of the runs' guard, of races */
        struct metrics_latency latency[MODES];  /* of the tasks that were timed */
};

/* The two forms of the text. */
enum metrics_format {
        METRICS_PROMETHEUS,  /* text/plain; version=0.0.4 */
        METRICS_OPENMETRICS, /* application/openmetrics-text; version=1.0.0 */
};

/* All counters 0, the daemon starts now. */
void metrics_init(struct metrics *m);

/* A job has ended; its state is set. */
void metrics_note_job(struct metrics *m, const struct job *job);

/* A run whose results count has closed: `f` is what figures_collect() made of it, the segment is as the run left it. */
void metrics_note_run(struct metrics *m, const struct segment *segment, const struct figures *f);

/* Adds the samples of a histogram of nanoseconds, each to the first bucket whose bound is not below the largest
 * value that the sample may have had: so a sample within 1.6 % below a bound may be counted one bucket higher, never
 * lower. */
void metrics_latency_add(struct metrics_latency *l, const struct histogram *h);

/* Upper bound of a bucket in ns; i is below METRICS_BOUNDS. */
uint64_t metrics_bound_ns(unsigned i);

/* Which form the client prefers, by its Accept header (RFC 9110, 12.5.1); NULL when it sent none. */
enum metrics_format metrics_negotiate(const char *accept);

/* Value of the Content-Type header. */
const char *metrics_content_type(enum metrics_format format);

/* All metrics as they stand; malloc'ed, with a NUL behind *ret_len bytes. NULL when out of memory. The memory that the
 * daemon takes is as status_memory() tells it. */
char *metrics_text(struct supervisor *s, enum metrics_format format, size_t *ret_len);

/* Writes a label's value with its special characters escaped. */
void metrics_write_escaped(FILE *f, const char *value);

#endif
