/* SPDX-License-Identifier: MIT */
/*
 * How much a plan asks for, so that one user's unfinished jobs together can be held to a quota (jobs.tasks_per_user,
 * jobs.duration_per_user). What counts is the most that a plan can make the workers do: tasks and trials of all steps,
 * with warm-ups, rehearsals and rounds that only precision asks for; of a comparison also the steps that are run once
 * more because processes of another libc flavour had to be forked for them, as is possible for the first one. A run by
 * duration has no number of tasks; there it is the time. Jobs that have ended do not count, whatever they did.
 */
#ifndef CONCD_QUOTA_H
#define CONCD_QUOTA_H

#include "supervisor/queue.h"

/* Both stay at UINT64_MAX when they get there. */
struct quota {
        uint64_t tasks, duration_ns;
};

/* Adds what the plan asks for. */
void quota_add_plan(struct quota *q, const struct plan *plan);

/* Adds all jobs of the user that wait or run. */
void quota_add_jobs_of(struct quota *q, const struct queue *queue, uid_t uid);

#endif
