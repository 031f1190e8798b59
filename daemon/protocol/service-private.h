/* SPDX-License-Identifier: MIT */
/*
 * What service.c (listener, limits, routing's tables) and session.c (one connection and its call) share.
 *
 * A session belongs to its service's list from session_new() until it closes itself: because the client went, broke a
 * rule or has had its last reply; or because service_free() closes it. Nobody else keeps a pointer to it, except the
 * call that it is waiting for, which it owns and outlives.
 */
#ifndef CONCD_SERVICE_PRIVATE_H
#define CONCD_SERVICE_PRIVATE_H

#include "protocol/service.h"

#include <sys/queue.h>

struct session;
TAILQ_HEAD(session_list, session);

struct service {
        struct event_base *base;
        struct service_info info;
        struct idl *own, *standard;
        const struct service_method *methods;
        void *userdata;
        struct service_limits limits;
        struct service_counts counts;

        struct event *listener; /* NULL before service_listen() and after service_shutdown() */
        struct event *rest;     /* pending while the listener rests */
        bool rest_logged;       /* since the last connection that was accepted */
        bool stopping;

        struct session_list sessions;
        unsigned n_sessions;
        struct service_hooks hooks;
};

struct session {
        TAILQ_ENTRY(session) entry;
        struct service *service;
        struct peer peer;
        int fd;
        struct bufferevent *bev;
        struct event *kick;  /* made active when there is work that must not be done on the caller's stack */
        struct event *timer; /* before EOF: the deadline of a partial request; after it: the next look for a hang-up */
        struct call *call;   /* being answered, or NULL */
        size_t searched;     /* bytes at the start of the input that hold no NUL */
        const char *doom;    /* why it is to be closed, or NULL */
        bool failed;         /* that is our own failure, and nothing that the client did */
        bool eof;            /* the client will send no more */
        bool dispatching;    /* session_dispatch() is on the stack */
        bool backlog;        /* requests that nothing stands before wait for the next turn; nothing is read till then */
};

/* Takes over `fd` and `peer->groups`, on success only, and appears in the service's list. 0 or -errno. */
int session_new(struct service *service, int fd, const struct peer *peer);

/* Closes the connection, tells the owner of its call (call_on_gone), frees it. */
void session_free(struct session *session);

/* Takes over the limits of the service as they now are. */
void session_apply_limits(struct session *session);

/* Is anything half done: a call, unwritten output, requests not yet looked at? */
bool session_is_busy(const struct session *session);

/* Tells the owner, or the log, of what was refused or cut off; see struct service_hooks. */
void service_tell_refused(struct service *service, const struct peer *peer, const char *what, const char *why);

/* A session has left the list and its descriptor is closed. */
void service_session_ended(struct service *service);

/* Encodes a reply (`method` answered) or an error (`error` not NULL: with an interface in front, or one of the
 * service's own). In builds with assertions it is held to the IDL: what is not as declared is logged as an alert.
 * Borrows `parameters`, which may be NULL. Returns a malloc'ed message, or NULL when out of memory. */
char *service_encode(struct service *service, const struct idl *idl, const char *method, const char *error,
                     json_t *parameters, bool continues, size_t *ret_len);

/* Answers a call of the interface org.varlink.service, whose parameters fit. Consumes the call. */
void service_handle_standard(struct service *service, const char *method, struct call *call, json_t *parameters);

/* The row of a method of the service's own interface, or NULL. */
const struct service_method *service_find_method(const struct service *service, const char *name);

#endif
