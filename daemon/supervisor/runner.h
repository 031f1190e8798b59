/* SPDX-License-Identifier: MIT */
/*
 * Executes the running job's plan, one run after the other: opens the run, watches it, stops it, collects its
 * figures. Driven by events (a worker rang, a child died, a timer); never blocks.
 */
#ifndef CONCD_RUNNER_H
#define CONCD_RUNNER_H

#include "supervisor/compare-run.h"
#include "supervisor/figures.h"
#include "supervisor/job.h"
#include "supervisor/stall.h"

#include <event2/event.h>
#include <stdbool.h>

struct supervisor;

/* How often a run is looked at that gives no sign. */
#define RUNNER_TICK_NS (200 * NS_PER_MS)

struct runner {
        struct job *job; /* NULL: idle */
        uint32_t step;
        uint64_t run;              /* number of the present run; counts on over jobs */
        bool active;               /* a run is going on */
        bool begun;                /* its start barrier has opened */
        bool stopping;             /* no more seats are given out */
        bool cold;                 /* of a comparison: its workers were forked anew for this run */
        bool broken;               /* a race whose actors are being ended, because one of them has died */
        sem_t *race_semaphore;     /* of the open race, if its guard is a named one; else NULL */
        enum job_state stop_state; /* how the job ends, when it was stopped */
        char *stop_reason;
        double steal_before_s;
        uint64_t kills_in_vain, done_at_kill; /* kills in a row without progress */
        struct stall *stalls;                 /* one a seat */
        uint8_t *verdict;                     /* one a slot, as struct cause: recovery must not need memory */
        struct cause *cause;
        struct pulse *pulses, *child_pulses; /* one a seat, one a child */
        struct event *tick, *stall, *duration, *deadline, *kill;
        struct figures *last;          /* of the last step that counts */
        struct comparison *comparison; /* NULL: the job is none */
};

int runner_init(struct runner *r, struct supervisor *s);
void runner_deinit(struct runner *r);

/* Starts a job that queue_next() returned. When it ends, supervisor_on_job_end() is called, perhaps at once. */
void runner_start(struct supervisor *s, struct job *job);

/*
 * Goes on with a job that an earlier supervisor began, at the step and run that the segment's record names; the run
 * was recovered, if it was open. A run by count goes on; another one and a race end interrupted, with the counts so
 * far; a comparison begins the round that was under way again; a job that was being ended ends so. Then, as after
 * runner_start(), supervisor_on_job_end() is called, perhaps at once.
 */
void runner_resume(struct supervisor *s, struct job *job);

/* Ends the running job early as `state`; tasks stop at their next checkpoint, workers that do not are killed after 1 s.
 * Only the first call counts. */
void runner_stop(struct supervisor *s, enum job_state state, const char *reason);

/* Something may have changed: looks whether the run began or ended. */
void runner_poll(struct supervisor *s);

/* Calls workers to the seats that are empty; they need not be there yet. */
void runner_call_missing(struct supervisor *s);

/* Progress of a job for the protocol; never NULL but when out of memory. */
json_t *runner_progress(struct supervisor *s, const struct job *job);

#endif
