/* SPDX-License-Identifier: MIT */
/*
 * Varlink messages over a connected socket: calls go out, replies come in, in whatever pieces the kernel delivers. A
 * reply may be at most STREAM_MESSAGE_MAX bytes long; the buffer grows only with what has really arrived.
 */
#ifndef CONCCTL_STREAM_H
#define CONCCTL_STREAM_H

#include "shared/varlink.h"

#define STREAM_MESSAGE_MAX (64 * 1024 * 1024)

struct stream {
        int fd;
        char *buf;
        size_t cap;
        size_t start, end; /* what is in the buffer: the unread bytes */
        size_t scanned;    /* no NUL in [start, scanned) */
};

#define STREAM_INIT(f)                                                                                                 \
        {                                                                                                              \
                .fd = (f)                                                                                              \
        }

/* Positive results. */
enum stream_error {
        STREAM_OK = 0,
        STREAM_E_CLOSED, /* the connection ended, or broke */
        STREAM_E_WOKEN,  /* the wake-up descriptor became readable */
        STREAM_E_TIMEOUT,
        STREAM_E_TOO_LONG,  /* more than STREAM_MESSAGE_MAX bytes without an end */
        STREAM_E_MALFORMED, /* not a Varlink reply */
};

void stream_deinit(struct stream *s);

/* Sends one call, blocking. *ret_all, when given, tells whether the last byte was handed over too: if not, the call
 * cannot have been executed. 0, STREAM_E_CLOSED, or -errno. `parameters` is not consumed. */
int stream_send(struct stream *s, const char *method, json_t *parameters, bool more, bool *ret_all);

/* Waits for one reply, at most timeout_ms (-1: for ever). wake_fd (-1: none) is watched too, and not read. On success
 * the caller owns *ret; *ret_raw and *ret_len are the message as it came, valid until the next call. 0, positive, or
 * -errno. */
int stream_receive(struct stream *s, int wake_fd, int timeout_ms, struct varlink_reply *ret, const char **ret_raw,
                   size_t *ret_len);

/* What a positive result means, in words. */
const char *stream_error_text(int error);

#endif
