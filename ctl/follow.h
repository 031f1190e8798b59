/* SPDX-License-Identifier: MIT */
/*
 * Following a job until it ends: progress, Ctrl-C, and a daemon that goes away in the middle.
 *
 * A job must never be started twice by this. The request is sent again only when its last byte was never handed to
 * the kernel; in every other case the job is waited for by its id, which concctl chose. A daemon that does not know the
 * id then has lost the job.
 */
#ifndef CONCCTL_FOLLOW_H
#define CONCCTL_FOLLOW_H

#include "ctl/args.h"
#include "ctl/client.h"

struct follow_request {
        const struct args *args; /* for --json, --quiet, and to name options in errors */
        const char *method;      /* the first call */
        json_t *parameters;      /* of it */
        const char *id;          /* of the job */
        double duration_s;       /* a run by duration; else 0 */
        bool is_own;             /* Ctrl-C cancels the job; else it only leaves */
        bool is_detached;        /* the first answer is the last */
        bool is_part;            /* of something larger: no progress of its own */
        /* Optional: is shown the last reply, as it was read and as it came; true: nothing more is to be said about
         * it. */
        bool (*on_end)(void *userdata, const struct varlink_reply *reply, const char *raw, size_t len);
        void *userdata;
};

/* Adds to the parameters of a new job what the caller did not choose, but the daemon must know: the job's id, and where
 * the caller may run. 0, or an exit code, having said what is wrong. */
int follow_complete(json_t *fields);

/* Prints what came out; returns the exit code. */
int follow_job(struct client *client, const struct follow_request *request);

#endif
