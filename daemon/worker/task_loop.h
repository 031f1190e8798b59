/* SPDX-License-Identifier: MIT */
/* From claim to commit: what a worker does between the start barrier and the end of its run. */
#ifndef CONCD_TASK_LOOP_H
#define CONCD_TASK_LOOP_H

#include "worker/worker.h"

/* Executes chunks until none is left that is free, or the run is told to stop. Blocks as its tasks do. */
void task_loop_run(struct worker *w);

/* Notes a failed task among the run's first failures. Thread and process safe. */
void task_loop_note_failure(struct run *run, uint32_t seat, uint64_t task, enum failure_reason reason, int value);

/* Checks the outcome of task `index`, the next one of the worker's line, and commits it. rc is what run() returned; not
 * CONCD_CANCELLED. `owner` and `sum` are from ledger_open(). */
void task_loop_commit(struct worker *w, uint64_t owner, uint64_t size, uint64_t index, int rc, uint64_t result,
                      struct ledger_sum *sum);

/* Beginning and end of timing n tasks; what is recorded has the clock's overhead taken off. */
void sampler_init(struct sampler *s, uint64_t overhead_ns, uint64_t seed);
void sampler_record(struct sampler *s, struct seat *seat, uint64_t ns);

/* The exact number of tasks that the seat of a dead worker did, brought up to date from its line. Supervisor, after the
 * reaping and before the ledger is recovered. */
void task_loop_settle(struct seat *seat, const struct ledger_line *lines, uint32_t n_lines);

#endif
