/* SPDX-License-Identifier: MIT */
/*
 * What the supervisor writes down of its jobs in the segment, so that the next one knows them when it is killed: see
 * struct record in layout.h. Everything is written before anybody is told of it.
 */
#ifndef CONCD_RECORD_H
#define CONCD_RECORD_H

#include "segment/segment.h"
#include "supervisor/job.h"

#include <stdbool.h>

/* A job was queued, or has ended: an entry of the journal. */
void record_journal(struct record *record, const struct job *job);

/* It becomes the running one. */
void record_start(struct record *record, const struct job *job);

/* The running job comes to this step of its plan, and is about to open that run for it: one store. Until run.current
 * has the same number, nothing of the run exists. */
void record_step(struct record *record, uint32_t step, uint64_t run);

/* What record_step() wrote last. */
static inline uint32_t
record_step_of(const struct record *record)
{
        return atomic_load(&record->running.at) & 0xffffff;
}

static inline uint64_t
record_run_of(const struct record *record)
{
        return atomic_load(&record->running.at) >> 24;
}

/* The running job is being ended early. */
void record_stop(struct record *record, enum job_state state, const char *reason);

/* It has ended; its end is in the journal. */
void record_end(struct record *record);

/* The running job was taken over once more. */
void record_resumed(struct segment *segment);

/* Had the run that the record names been opened? */
bool record_run_is_open(const struct segment *segment);

#endif
