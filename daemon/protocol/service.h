/* SPDX-License-Identifier: MIT */
/*
 * A Varlink service on a Unix stream socket: listener, sessions (one per connection) and calls. Knows libevent and the
 * protocol, nothing of jobs. Everything runs on the thread of the event base. Nothing blocks, unless a handler or hook
 * does (concd's `refused` looks a user up in the user database: docs/SECURITY.md), and nobody keeps the loop: after a
 * few connections accepted, and a few calls of each, all others have their turn.
 *
 * Replies come in call order: a session reads its next call only when the present one has had its last reply.
 */
#ifndef CONCD_SERVICE_H
#define CONCD_SERVICE_H

#include "protocol/idl.h"
#include "protocol/service-counts.h"
#include "shared/base.h"

#include <event2/event.h>
#include <stdbool.h>
#include <sys/types.h>

struct service;
struct call;

/* Who is on the other end, as the kernel says (SO_PEERCRED, SO_PEERGROUPS), at the time of its connect(2). Numbers are
 * those of the daemon's user namespace: who comes from another one, in which he has no number here, has the overflow
 * uid (65534), as has everybody like him. */
struct peer {
        pid_t pid;
        uid_t uid;
        gid_t gid;
        gid_t *groups; /* supplementary ones; the session's */
        size_t n_groups;
};

/* One row per method of the interface. The handler answers now or later; it owns neither argument. `parameters`
 * fit the IDL. `userdata` is the service's. */
struct service_method {
        const char *name; /* without the interface */
        void (*handle)(void *userdata, struct call *call, json_t *parameters);
        const char *(*allowed)(const char *field); /* may be NULL: better words than the declared type, or NULL */
        bool read_only;                            /* it does nothing but reply: not called for who wants no reply */
};

struct service_limits {
        uint64_t connections, connections_per_user; /* more are told Busy and closed */
        uint64_t reserved;                          /* of them for the privileged; at most half are */
        uint64_t max_message;                       /* bytes; a longer request closes the connection */
        uint64_t max_unread;                        /* bytes of unread output; more closes it */
        uint64_t request_timeout_ns;                /* to finish a request, and to read replies */
};

struct service_info {
        const char *vendor, *product, *version, *url;
};

/* `interface` is the text of the one interface served beside org.varlink.service; `methods` (ended by a NULL name)
 * must be exactly its methods, and it must declare the errors BadValue, Busy and ShuttingDown as org.concd does, else
 * -EINVAL, logged. 0 or -errno. Borrows all its arguments, and the strings of `info`, for the life of the service. From
 * now on the process ignores SIGPIPE. */
int service_new(struct event_base *base, const struct service_info *info, const char *interface,
                const struct service_method *methods, void *userdata, struct service **ret);

/* Ends all connections at once, without another word; the owners of unfinished calls are told as if their clients had
 * gone (call_on_gone). Not to be called from within a handler. Takes NULL. */
void service_free(struct service *service);

void service_set_limits(struct service *service, const struct service_limits *limits);

/* Takes over a listening socket (non-blocking, close-on-exec) and starts to accept. On EMFILE and ENFILE it rests for
 * 100 ms, or until a connection ends. 0; or -errno (-EBUSY: it listens already): the descriptor is the caller's. */
int service_listen(struct service *service, int fd);

/* No new connections (the listening socket is closed) and no new calls: those that come from now on, of any interface,
 * get org.concd.ShuttingDown. */
void service_shutdown(struct service *service);

/* Connections open now. */
unsigned service_clients(const struct service *service);

/* What was counted so far; the service's. */
const struct service_counts *service_counts(const struct service *service);

/* Calls answered in part or not at all, or bytes that are not yet written: while there are, leaving would cut
 * somebody off. */
bool service_is_busy(const struct service *service);

/* What the owner is asked and told, with the service's userdata. Each may be NULL; none may free the service. */
struct service_hooks {
        void (*clients_changed)(void *userdata);                        /* a connection opened or ended */
        bool (*is_privileged)(void *userdata, const struct peer *peer); /* NULL: everybody is */
        /* A "connection" or a "request" (`what`) was refused or cut off, because of `why`. NULL: the log is told. */
        void (*refused)(void *userdata, const struct peer *peer, const char *what, const char *why);
};
void service_set_hooks(struct service *service, const struct service_hooks *hooks);

/* ── a call, from inside a handler or later ── */

const struct peer *call_peer(const struct call *call);
bool call_wants_more(const struct call *call);

/* The last reply. Consumes `parameters` (NULL is an empty object) and the call. */
void call_reply(struct call *call, json_t *parameters);

/* A reply that others will follow; dropped when the client did not ask for `more`, or has not read the one before.
 * Consumes `parameters`. */
void call_progress(struct call *call, json_t *parameters);

/* Ends the call with an error: `name` without interface is one of this service's own ("BadValue"), with a dot it is
 * taken whole. Consumes `parameters` and the call. */
void call_error(struct call *call, const char *name, json_t *parameters);

/* The commonest error. `given` is formatted. Consumes the call. */
void call_bad_value(struct call *call, const char *field, const char *allowed, const char *given_fmt, ...)
        PRINTF_LIKE(4, 5);

/* `fn` is called at most once, when the client went away before the last reply; the call is then consumed as soon as fn
 * returns. Without it such a call is consumed silently. */
void call_on_gone(struct call *call, void (*fn)(void *arg, struct call *call), void *arg);

#endif
