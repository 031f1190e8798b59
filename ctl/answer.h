/* SPDX-License-Identifier: MIT */
/* One question to the daemon and its answer, as most commands need it; and what to say about an error. */
#ifndef CONCCTL_ANSWER_H
#define CONCCTL_ANSWER_H

#include "ctl/args.h"
#include "ctl/client.h"

struct answer {
        struct client *client; /* still connected */
        struct varlink_reply reply;
        const char *raw; /* the message as it came; in the client's buffer, valid until its next call */
        size_t raw_len;
};

/* Connects as --socket says, calls, and waits for the answer. 0, or an exit code, having said what is wrong. On success
 * the caller calls answer_deinit(). */
int answer_get(const struct args *args, enum client_start start, const char *method, json_t *parameters,
               struct answer *ret);
void answer_deinit(struct answer *answer);

/* Prints one line of JSON: the member of the reply's parameters, or with NULL all of them, byte for byte as the daemon
 * sent it. */
void answer_put_json(const struct varlink_reply *reply, const char *raw, size_t raw_len, const char *member);

/* Says what an error reply means to the person who gave `args`; returns the exit code. */
int answer_report_error(const struct args *args, const struct varlink_reply *reply);

/* The parameters of a BadValue as one line in the person's own words: the option for the field, what they typed for the
 * value, durations for nanoseconds. Malloc'ed; NULL without memory. Pure. */
char *answer_format_bad_value(const struct args *args, const json_t *parameters);

#endif
