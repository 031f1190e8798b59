/* SPDX-License-Identifier: MIT */
/*
 * The queue of jobs. One runs at a time. Users take turns: the next job is the oldest one of the user whose last turn
 * is longest ago. Ended jobs are kept for a while, so that whoever asks late still gets the result.
 */
#ifndef CONCD_QUEUE_H
#define CONCD_QUEUE_H

#include "supervisor/job.h"

TAILQ_HEAD(job_list, job);

struct queue {
        struct job_list waiting; /* in the order of execution once arranged; a user's own in that of arrival always */
        struct job_list ended;   /* by time of their end */
        struct job *running;
        struct turn *turns; /* when each user last had one */
        size_t n_turns;
        uint64_t turn, arrivals, jobs_ended; /* ever */
        unsigned n_waiting, n_ended;
        bool arranged;
};

void queue_init(struct queue *q);
void queue_deinit(struct queue *q);

/* NULL when there is none. */
struct job *queue_find(const struct queue *q, const char *id);

/* Waiting jobs of one user; of all it is n_waiting. */
unsigned queue_length_of(const struct queue *q, uid_t uid);

/* The waiting jobs in the order of execution as things stand. Sorts them when they changed. */
const struct job_list *queue_waiting(struct queue *q);

/* A job's place in it, from 1; 0 when it does not wait. */
unsigned queue_position(struct queue *q, const struct job *job);

void queue_add(struct queue *q, struct job *job);

/* Takes the next one off the queue, makes it the running one and returns it; NULL when none waits. */
struct job *queue_next(struct queue *q);

/* Moves a waiting or running job to the ended ones. The caller has set state, reason and result. */
void queue_end(struct queue *q, struct job *job);

/* Makes a job of an earlier daemon's the running one. */
void queue_adopt(struct queue *q, struct job *job);

/* Puts a job of an earlier daemon's among the ended ones, in the place of what is known of the same id. */
void queue_restore(struct queue *q, struct job *job);

/* Forgets an ended job. */
void queue_forget(struct queue *q, struct job *job);

/* Forgets ended jobs beyond `keep`, each time one of the user who has most of them, so that nobody pushes out the few
 * of others: his oldest one whose result was fetched, or his oldest. Those with watchers stay. */
void queue_trim(struct queue *q, uint64_t keep);

/* When the youngest result that its owner did not fetch ended; 0 when there is none. */
uint64_t queue_youngest_unfetched_ns(const struct queue *q);

#endif
