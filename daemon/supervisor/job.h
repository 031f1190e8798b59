/* SPDX-License-Identifier: MIT */
/* Jobs: queued, then running, then ended with a result. */
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
        char *method;
        char *summary;
        json_t *request; /* as a later daemon has to read it; NULL once ended in an earlier one */
        struct plan plan;
        enum job_state state;
        char *reason; /* NULL, or why it ended as it did */
        bool detached;
        bool orphaned;                 /* its callers were lost with the daemon before */
        double submitted;              /* seconds since the epoch */
        uint64_t arrival;              /* order of arrival */
        unsigned position;             /* in the order of execution, valid while the queue is arranged */
        uint64_t started_ns, ended_ns; /* CLOCK_MONOTONIC */
        json_t *result;                /* NULL, or the result */
        bool fetched;                  /* its owner was told the result */
        TAILQ_HEAD(, watcher) watchers;
};

const char *job_state_name(enum job_state state);
static inline bool
job_has_ended(const struct job *job)
{
        return job->state > JOB_RUNNING;
}

/* Makes a job; the plan is taken over on success. NULL when out of memory. `id` may be NULL: a new one is drawn. */
struct job *job_new(const char *id, uid_t uid, const char *method, json_t *request, struct plan *plan);
void job_free(struct job *job);

/* What a later daemon needs to know of a job; NULL when out of memory. */
json_t *job_to_json(const struct job *job);

/* Such a job again: without a plan, and without its request when it had ended. 0; -EBADMSG when the JSON is not what
 * job_to_json() makes; or -ENOMEM. *ret is the caller's. */
int job_from_json(json_t *json, struct job **ret);

#endif
