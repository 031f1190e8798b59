/* SPDX-License-Identifier: MIT */
/*
 * What happens to jobs, workers and clients, in the log: for people as a message, for programs as fields of the
 * journal, when stderr is the journal's (else the message only). `journalctl CONCD_JOB=…` shows one job's life.
 *
 *     field             what
 *     MESSAGE_ID        which event, for ever: events.c has the numbers
 *     CONCD_EVENT       its name: job-queued, job-started, job-ended, job-recovered, job-lost, worker-ended, denied,
 *                       reloaded, reload-refused
 *     CONCD_JOB         the job's id
 *     CONCD_UID         of the job's owner, or of the client
 *     CONCD_USER        the owner's name
 *     CONCD_METHOD      Run, Race, Compare, …
 *     CONCD_STATE       of a job: queued, running, done, failed, cancelled, interrupted or lost
 *     CONCD_REASON      why a job ended as it did, why a request or connection was denied; absent when there is
 *                       nothing to say
 *     CONCD_SLOT, CONCD_WORKER_PID, CONCD_SIGNAL, CONCD_STATUS      of a worker; one of the last two
 *     CONCD_CLIENT_PID  of who was denied
 *
 * Journald reads the messages from a socket: a journald that does not read blocks the caller, as it does for all lines
 * on stderr. For the supervisor only. Nothing is returned: an event that cannot be written is lost.
 */
#ifndef CONCD_EVENTS_H
#define CONCD_EVENTS_H

#include "shared/base.h"
#include "supervisor/job.h"

enum event_kind {
        EVENT_JOB_QUEUED,
        EVENT_JOB_STARTED,
        EVENT_JOB_ENDED,
        EVENT_JOB_RECOVERED, /* a killed daemon's, and it goes on */
        EVENT_JOB_LOST,      /* a killed daemon's, and it does not */
        EVENT_WORKER_ENDED,
        EVENT_DENIED,
        EVENT_RELOADED,
        EVENT_RELOAD_REFUSED,
};

/* After log_init(). */
void events_init(void);

void event_of_job(enum event_kind kind, const struct job *job, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* A child of the slot is gone; `status` as wait(2) has it, `job` NULL when none runs. */
void event_of_worker(uint32_t slot, pid_t pid, int status, const struct job *job, const char *fmt, ...)
        PRINTF_LIKE(5, 6);

/* `method` and `object`, a job's id, may be NULL. */
void event_of_denial(const struct peer *peer, const char *method, const char *object, const char *why, const char *fmt,
                     ...) PRINTF_LIKE(5, 6);

/* Of the daemon itself. */
void event_of_daemon(enum event_kind kind, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
