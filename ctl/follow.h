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
};

/* Prints what came out; returns the exit code. */
int follow_job(struct client *client, const struct follow_request *request);

#endif
