/* SPDX-License-Identifier: MIT */
#include "ctl/stream.h"

#include "shared/clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define READ_SIZE ((size_t)16384)

void
stream_deinit(struct stream *s)
{
        if (s->fd >= 0)
                close(s->fd);
        free(s->buf);
        *s = (struct stream)STREAM_INIT(-1);
}

static bool
is_broken(int error)
{
        return error == EPIPE || error == ECONNRESET || error == ENOTCONN;
}

int
stream_send(struct stream *s, const char *method, json_t *parameters, bool more, bool *ret_all)
{
        size_t len = 0;
        AUTO_FREE char *message = varlink_call_encode(method, parameters, more, false, &len);

        if (ret_all)
                *ret_all = false;
        if (!message)
                return -ENOMEM;
        for (size_t sent = 0; sent < len;) {
                ssize_t n = send(s->fd, message + sent, len - sent, MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return is_broken(errno) ? STREAM_E_CLOSED : -errno;
                sent += (size_t)n;
        }
        if (ret_all)
                *ret_all = true;
        return 0;
}

static int
make_room(struct stream *s)
{
        size_t len = s->end - s->start, cap;
        char *buf;

        if (s->cap - s->end >= READ_SIZE)
                return 0;
        if (s->start > 0) {
                memmove(s->buf, s->buf + s->start, len);
                s->scanned -= s->start;
                s->start = 0;
                s->end = len;
        }
        if (s->cap - s->end >= READ_SIZE)
                return 0;
        if (len > STREAM_MESSAGE_MAX)
                return STREAM_E_TOO_LONG;
        cap = MAX(s->cap * 2, READ_SIZE * 2);
        buf = realloc(s->buf, cap);
        if (!buf)
                return -ENOMEM;
        s->buf = buf;
        s->cap = cap;
        return 0;
}

/* Reads what is there, without blocking. */
static int
fill(struct stream *s)
{
        ssize_t n;
        int r = make_room(s);

        if (r != 0)
                return r;
        n = recv(s->fd, s->buf + s->end, s->cap - s->end, MSG_DONTWAIT);
        if (n == 0)
                return STREAM_E_CLOSED;
        if (n < 0) {
                if (errno == EAGAIN || errno == EINTR)
                        return 0;
                return is_broken(errno) ? STREAM_E_CLOSED : -errno;
        }
        s->end += (size_t)n;
        return 0;
}

/* One message out of the buffer, without its NUL; NULL when there is no whole one yet. */
static const char *
take_message(struct stream *s, size_t *ret_len)
{
        const char *message;
        char *nul;

        if (s->end == s->start)
                return NULL;
        if (s->scanned < s->start)
                s->scanned = s->start;
        nul = s->end > s->scanned ? memchr(s->buf + s->scanned, '\0', s->end - s->scanned) : NULL;
        s->scanned = s->end;
        if (!nul)
                return NULL;
        message = s->buf + s->start;
        *ret_len = (size_t)(nul - message);
        s->start = s->scanned = (size_t)(nul + 1 - s->buf);
        return message;
}

static int
wait_readable(const struct stream *s, int wake_fd, uint64_t deadline_ns)
{
        struct pollfd fds[2] = {{.fd = s->fd, .events = POLLIN}, {.fd = wake_fd, .events = POLLIN}};
        int timeout = -1, n;

        if (deadline_ns != UINT64_MAX) {
                uint64_t now = clock_now_ns();

                timeout = deadline_ns > now ? (int)((deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS) : 0;
        }
        n = poll(fds, 2, timeout);
        if (n < 0)
                return errno == EINTR ? 0 : -errno;
        if (fds[1].revents != 0)
                return STREAM_E_WOKEN;
        return n == 0 ? STREAM_E_TIMEOUT : 0;
}

int
stream_receive(struct stream *s, int wake_fd, int timeout_ms, struct varlink_reply *ret, const char **ret_raw,
               size_t *ret_len)
{
        uint64_t deadline = timeout_ms < 0 ? UINT64_MAX : clock_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
        const char *message;
        size_t len;
        int r;

        while (!(message = take_message(s, &len))) {
                if (s->end - s->start > STREAM_MESSAGE_MAX)
                        return STREAM_E_TOO_LONG;
                r = wait_readable(s, wake_fd, deadline);
                if (r == 0)
                        r = fill(s);
                if (r != 0)
                        return r;
        }
        if (len > STREAM_MESSAGE_MAX)
                return STREAM_E_TOO_LONG;
        r = varlink_reply_decode(message, len, ret, NULL);
        if (r != VARLINK_OK)
                return r == VARLINK_E_MEMORY ? -ENOMEM : STREAM_E_MALFORMED;
        if (ret_raw)
                *ret_raw = message;
        if (ret_len)
                *ret_len = len;
        return 0;
}

const char *
stream_error_text(int error)
{
        switch (error) {
        case STREAM_E_CLOSED:
                return "the connection was closed";
        case STREAM_E_TIMEOUT:
                return "no answer in time";
        case STREAM_E_TOO_LONG:
                return "the answer is longer than 64 MiB";
        case STREAM_E_MALFORMED:
                return "the answer is not Varlink";
        default:
                return error < 0 ? strerror(-error) : "interrupted";
        }
}
