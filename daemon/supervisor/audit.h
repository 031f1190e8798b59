/* SPDX-License-Identifier: MIT */
/*
 * A line in the log, an event, for each request that was denied and each connection that was refused or cut off: who
 * asked, for what, and why not. So that nobody can fill the log by asking again and again, a user has AUDIT_LINES lines
 * of each kind in a minute, which begins with his first; what comes then is counted, and the count is logged when the
 * minute is over and anybody is denied anything, or at the end. The kinds are apart so that nobody hides behind what is
 * only malformed what he must not do.
 *
 * A plain value of its owner; {} is an empty one. One thread at a time.
 */
#ifndef CONCD_AUDIT_H
#define CONCD_AUDIT_H

#include "protocol/service.h"

#define AUDIT_LINES     5
#define AUDIT_MINUTE_NS (60 * NS_PER_S)
#define AUDIT_USERS     64 /* of a kind at once; of more within a minute, the one whose minute is oldest begins anew */

enum audit_kind {
        AUDIT_NOT_PERMITTED, /* the access rules say no */
        AUDIT_OTHER,         /* no room, too much, malformed, connections */
};
#define AUDIT_KINDS 2

struct audit {
        struct audit_user {
                uid_t uid;
                unsigned lines;    /* 0: the place is free */
                uint64_t began_ns; /* CLOCK_MONOTONIC */
                uint64_t unlogged;
        } users[AUDIT_KINDS][AUDIT_USERS];
};

/* Is the user's denial, at the time now_ns, to be logged? Logs the counts of minutes that are over. */
bool audit_admits(struct audit *a, enum audit_kind kind, uid_t uid, uint64_t now_ns);

/* The request of `peer` for `method`, of an object that may be NULL, was denied because of `why`. Looks the user's name
 * up (user-name.h). */
void audit_denied(struct audit *a, enum audit_kind kind, const struct peer *peer, const char *method,
                  const char *object, const char *why);

/* The same of what is no call, and of the kind AUDIT_OTHER: `what` is "connection" or "request". */
void audit_refused(struct audit *a, const struct peer *peer, const char *what, const char *why);

/* Logs what was counted only. */
void audit_deinit(struct audit *a);

#endif
