/* SPDX-License-Identifier: MIT */
/*
 * Jobs and their queue. A job is queued, then running, then ended with a result; it is kept for a while, so that
 * whoever asks late still gets it.
 *
 * One job runs at a time. Users take turns: the next job is the oldest one of the user whose last turn is longest ago.
 */
#ifndef CONCD_JOB_H
#define CONCD_JOB_H

#include "protocol/service.h"
#include "supervisor/plan.h"

#include <stdbool.h>
#include <sys/queue.h>

#define JOB_ID_SIZE 33

enum job_state {
        JOB_QUEUED,
        JOB_RUNNING,
        JOB_DONE,
        JOB_FAILED,
        JOB_CANCELLED,
        JOB_INTERRUPTED,
        JOB_LOST,
};

enum watcher_kind {
        WATCHER_CALLER, /* Run: when the last one goes, the job is cancelled, unless it is detached */
        WATCHER_WAIT,
        WATCHER_CANCEL,
};

struct supervisor;

/* A call that waits for a job. */
struct watcher {
        TAILQ_ENTRY(watcher) entry;
        struct supervisor *supervisor;
        struct job *job;
        struct call *call;
        enum watcher_kind kind;
};

struct job {
        TAILQ_ENTRY(job) entry;
        char id[JOB_ID_SIZE];
        uid_t uid;
        char *user;
        const char *method;
        char *summary;
        json_t *request;
        struct plan plan;
        enum job_state state;
        char *reason; /* NULL, or why it ended as it did */
        bool detached;
        double submitted;              /* seconds since the epoch */
        uint64_t arrival;              /* order of arrival */
        unsigned position;             /* in the order of execution, valid while the queue is arranged */
        uint64_t started_ns, ended_ns; /* CLOCK_MONOTONIC */
        json_t *result;                /* NULL, or the result */
        bool fetched;                  /* somebody was told the result */
        TAILQ_HEAD(, watcher) watchers;
};

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

const char *job_state_name(enum job_state state);
static inline bool
job_has_ended(const struct job *job)
{
        return job->state > JOB_RUNNING;
}

void queue_init(struct queue *q);
void queue_deinit(struct queue *q);

/* Makes a job; the plan is taken over on success. NULL when out of memory. `id` may be NULL: a new one is drawn. */
struct job *job_new(const char *id, uid_t uid, const char *method, json_t *request, struct plan *plan);
void job_free(struct job *job);

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

/* Forgets ended jobs beyond `keep`, the fetched ones first; those with watchers stay. */
void queue_trim(struct queue *q, uint64_t keep);

/* When the youngest result that nobody fetched ended; 0 when there is none. */
uint64_t queue_youngest_unfetched_ns(const struct queue *q);

#endif
