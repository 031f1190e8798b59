/* SPDX-License-Identifier: MIT */
/*
 * A connection to a daemon. Which one: the socket that the caller names, else $CONCD_SOCKET, else the system's, else
 * the caller's private daemon, which is started when it is wanted and does not run.
 */
#ifndef CONCCTL_CLIENT_H
#define CONCCTL_CLIENT_H

#include "ctl/stream.h"

enum client_start {
        CLIENT_ONLY_RUNNING, /* no daemon: say so */
        CLIENT_AUTOSTART,    /* start a private daemon when none runs; replace an idle one of another version */
};

struct client {
        struct stream stream;
        char *socket;
        char *private_dir; /* the private daemon's folder; NULL: it is not the private daemon */
};

/* `socket` may be NULL. 0, or an exit code, having said what is wrong. On success the caller owns *ret. */
int client_open(const char *socket, enum client_start start, struct client **ret);

/* A second connection to the same daemon. It is neither started nor is anything said. 0, or a result of
 * place_connect. */
int client_open_second(const struct client *client, struct client **ret);

/* Connects again after the connection broke; starts a private daemon if need be. 0, a result of place_connect that may
 * pass (nothing was said), or -ECANCELED when the autostart gave up, having said why. */
int client_reopen(struct client *client);

void client_free(struct client *client);

static inline void
client_cleanup(struct client **client)
{
        client_free(*client);
}
#define AUTO_CLIENT __attribute__((cleanup(client_cleanup)))

/* One call, one reply, in at most timeout_ms (-1: for ever). Results as stream_receive. */
int client_call(struct client *client, const char *method, json_t *parameters, int timeout_ms,
                struct varlink_reply *ret, const char **ret_raw, size_t *ret_len);

#endif
