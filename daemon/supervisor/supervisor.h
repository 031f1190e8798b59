/* SPDX-License-Identifier: MIT */
/*
 * The supervisor: one thread, one event loop. Owns the socket, the configuration, the segment and the children; never
 * runs a task, never blocks on a semaphore, never becomes multi-threaded.
 */
#ifndef CONCD_SUPERVISOR_H
#define CONCD_SUPERVISOR_H

#include "config/config.h"
#include "protocol/service.h"
#include "segment/semaphores.h"
#include "supervisor/audit.h"
#include "supervisor/children.h"
#include "supervisor/instance.h"
#include "supervisor/metrics-http.h"
#include "supervisor/metrics.h"
#include "supervisor/queue.h"
#include "supervisor/request.h"
#include "supervisor/runner.h"
#include "supervisor/settings.h"
#include "supervisor/status.h"
#include "worker/worker.h"

#include <event2/event.h>
#include <stdbool.h>

struct supervisor {
        struct config config;
        char *config_path;               /* NULL: none was read */
        struct settings_options options; /* for SIGHUP; what it points to is main's */
        struct instance instance;
        struct worker_setup setup;
        struct semaphores semaphores;
        bool semaphores_worn;        /* a sleeper was killed: replace them at the next job boundary */
        uint32_t processes, threads; /* kept ready */
        cpu_set_t cpus;
        double quota_cpus;
        uint64_t clock_overhead_ns;
        uint64_t started_ns;
        struct event_base *base;
        int signal_fd;
        struct event *signals, *doorbell, *poll, *idle, *orphan, *leave, *watchdog;
        struct children children;
        struct queue queue;
        struct runner runner;
        struct service *service;
        struct audit audit;
        struct metrics metrics;
        struct status_memory memory;
        struct metrics_http *metrics_http; /* NULL: metrics are not served */
        bool adopted;                      /* the segment is a killed daemon's */
        bool started;                      /* it serves: what is in the segment is its own to remove */
        bool leaving;                      /* SIGTERM or Stop came */
        bool config_refused;               /* the last reload's file was wrong */
        uint64_t headline_ns;              /* when the service manager was last told what is going on */
        uint64_t jobs_over_ns;             /* while leaving: since when no job runs any more; 0: one does */
};

/* Positive results of supervisor_new(). */
enum supervisor_error {
        SUPERVISOR_OK = 0,
        SUPERVISOR_E_CONFIG,  /* said so in the log */
        SUPERVISOR_E_RUNNING, /* another daemon has the instance */
};

/* The options' strings must outlive the supervisor. Takes the instance, makes segment and semaphores, forks the
 * pool and listens. 0, a positive result or -errno, all logged; then nothing is left behind. */
int supervisor_new(const struct settings_options *options, struct supervisor **ret);

/* Runs until it is told to leave. 0 or -errno. */
int supervisor_run(struct supervisor *s);

/* Ends all children, removes segment, semaphores and socket. Takes NULL. */
void supervisor_free(struct supervisor *s);

/* Begins to leave: the running job ends cancelled, the queued ones are told that the daemon is shutting down. */
void supervisor_leave(struct supervisor *s);

/* The running job has ended, state, reason and result are set: tells who waits, starts the next one. */
void supervisor_on_job_end(struct supervisor *s, struct job *job);

/* A job has ended, state, reason and result are set: records it, tells who waits. */
void supervisor_end_job(struct supervisor *s, struct job *job);

/* Does the running job, taken over from a killed daemon, have somebody who waits for it? If not, it is cancelled after
 * a while. */
void supervisor_consider_orphan(struct supervisor *s);

/* Starts the next job if none runs. */
void supervisor_start_next(struct supervisor *s);

/* Sends the progress of all unfinished jobs to those who watch them. */
void supervisor_send_progress(struct supervisor *s);

/* Replaces the semaphores by a new generation if a sleeper was killed. Only between runs. */
void supervisor_refresh_semaphores(struct supervisor *s);

/* Looks whether a daemon with idle_exit may leave, and when to look again. */
void supervisor_consider_idle(struct supervisor *s);

/* The plan that a call of `method` (a name without its interface) by `peer` makes; NULL: a call that was accepted
 * before, which nothing but the daemon's own limits bounds. *ret is the caller's. 0; -EINVAL with *bad set; or
 * -ENOMEM. */
int supervisor_make_plan(const struct supervisor *s, const char *method, json_t *parameters, const struct peer *peer,
                         struct plan *ret, struct bad_value *bad);

/* As access_may_administer(), by the present configuration. */
bool supervisor_may_administer(const struct supervisor *s, const struct peer *peer);

/* The interface's methods (methods.c). */
extern const struct service_method supervisor_methods[];

/* Answers everybody who waits for a job that has ended. */
void methods_answer_watchers(struct supervisor *s, struct job *job);

/* Sends progress to the watchers of one job. */
void methods_send_progress(struct supervisor *s, struct job *job);

#endif
