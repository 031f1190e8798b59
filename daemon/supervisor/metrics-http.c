/* SPDX-License-Identifier: MIT */
/*
 * libevent's HTTP server (evhttp) reads requests, bounds them and answers what is not HTTP. What it lacks in version
 * 2.1 is added here: a bound on connections, and one on the time that a connection may take as a whole, which its
 * timeout between two bytes is not.
 *
 * evhttp takes connections over from a listener and does not tell when one ends. But it asks us to make each one's
 * bufferevent (evhttp_set_bevcb()), and we keep a reference of our own to it: when evhttp has freed its own, the
 * bufferevent has no callbacks any more. The descriptor is closed with the last reference, which is ours. A timer looks
 * after that while there are connections, and shuts down those that take too long; evhttp reads the end of them then.
 *
 * While all places are taken, the listener rests: who comes next waits in the socket's queue.
 */
#include "supervisor/metrics-http.h"

#include "shared/clock.h"
#include "shared/log.h"
#include "supervisor/instance.h"
#include "supervisor/metrics.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <string.h>
#include <sys/socket.h>

#define CONNECTIONS_MAX 16
#define CONNECTION_NS   (5 * NS_PER_S)
#define TEND_MS         50
#define REST_MS         100
#define TELL_NS         (60 * NS_PER_S) /* trouble with accepting is logged no more often */
#define HEADERS_MAX     8192
#define BODY_MAX        1024 /* nobody needs one; more closes the connection */

#define METHODS_SERVED (EVHTTP_REQ_GET | EVHTTP_REQ_HEAD)
/* The rest is told what is allowed. */
#define METHODS_HEARD                                                                                                  \
        (METHODS_SERVED | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS |                  \
         EVHTTP_REQ_TRACE | EVHTTP_REQ_PATCH)

struct connection {
        struct bufferevent *bev; /* NULL: the place is free */
        uint64_t since_ns;
};

struct metrics_http {
        struct supervisor *supervisor;
        char *path;
        bool bound; /* the socket file is ours */
        struct evhttp *http;
        struct evconnlistener *listener; /* evhttp's from evhttp_bind_listener() on */
        struct event *tend;              /* pending while there are connections */
        struct event *rest;              /* pending while accept(2) is not tried again, because it failed */
        uint64_t told_ns;                /* when that was logged last; 0: never */
        struct connection connections[CONNECTIONS_MAX];
        unsigned n;
};

/* The one that listens, or NULL: when accept(2) fails, libevent calls back with an argument of evhttp's. */
static struct metrics_http *listening;

static const struct timeval rest = {.tv_usec = REST_MS * 1000};

/* ── connections ── */

/* Accepts, or not, as is right now. */
static void
set_listener(struct metrics_http *h)
{
        if (h->n == CONNECTIONS_MAX || event_pending(h->rest, EV_TIMEOUT, NULL))
                evconnlistener_disable(h->listener);
        else if (evconnlistener_enable(h->listener) < 0)
                event_add(h->rest, &rest);
}

/* Has evhttp freed its reference? */
static bool
is_left(struct bufferevent *bev)
{
        void *owner;

        bufferevent_getcb(bev, NULL, NULL, NULL, &owner);
        return !owner;
}

static void
on_tend(evutil_socket_t fd, short what, void *arg)
{
        struct metrics_http *h = arg;
        uint64_t now = clock_now_ns();

        for (int i = 0; i < CONNECTIONS_MAX; i++) {
                struct connection *c = &h->connections[i];

                if (c->bev && is_left(c->bev)) {
                        bufferevent_decref(TAKE(c->bev));
                        h->n--;
                } else if (c->bev && now - c->since_ns > CONNECTION_NS) {
                        shutdown(bufferevent_getfd(c->bev), SHUT_RDWR);
                }
        }
        if (h->n == 0)
                event_del(h->tend);
        set_listener(h);
}

/* A connection was accepted and evhttp wants its bufferevent. NULL when out of memory: then evhttp makes one by itself,
 * or closes the connection. One without a place is bounded by nothing but evhttp's timeout between two bytes; but a
 * place that nobody looks after would never be free again. */
static struct bufferevent *
on_connection(struct event_base *base, void *arg)
{
        static const struct timeval every = {.tv_usec = TEND_MS * 1000};
        struct metrics_http *h = arg;
        struct bufferevent *bev;

        if (!event_pending(h->tend, EV_TIMEOUT, NULL) && event_add(h->tend, &every) < 0)
                return NULL;
        bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
        if (!bev)
                return NULL;
        for (int i = 0; i < CONNECTIONS_MAX; i++) {
                struct connection *c = &h->connections[i];

                if (c->bev)
                        continue;
                *c = (struct connection){.bev = bev, .since_ns = clock_now_ns()};
                bufferevent_incref(bev);
                h->n++;
                break;
        }
        set_listener(h);
        return bev;
}

static void
on_rested(evutil_socket_t fd, short what, void *arg)
{
        set_listener(arg);
}

/* No descriptor is left, or no memory. accept(2) leaves the connection where it is, and would fail again at once. */
static void
on_accept_error(struct evconnlistener *listener, void *arg)
{
        struct metrics_http *h = listening;
        uint64_t now = clock_now_ns();

        if (h->told_ns == 0 || now - h->told_ns > TELL_NS) {
                log_warning("cannot accept connections on metrics.socket for now: %m");
                h->told_ns = now;
        }
        event_add(h->rest, &rest);
        set_listener(h);
}

/* ── requests ── */

/* Takes over `text`, which may be NULL. */
static void
answer(struct evhttp_request *req, int code, const char *type, char *text, size_t len)
{
        struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
        struct evbuffer *body = evbuffer_new();
        char length[24];

        /* Also of what a HEAD is not sent: evhttp would not say it then, and it would send it. */
        snprintf(length, sizeof(length), "%zu", text ? len : 0);
        evhttp_add_header(headers, "Content-Length", length);
        evhttp_add_header(headers, "Connection", "close");
        if (text && type)
                evhttp_add_header(headers, "Content-Type", type);
        if (body && text && evhttp_request_get_command(req) != EVHTTP_REQ_HEAD)
                evbuffer_add(body, text, len);
        free(text);
        evhttp_send_reply(req, code, NULL, body);
        if (body)
                evbuffer_free(body);
}

static void
answer_error(struct evhttp_request *req, int code, const char *why)
{
        char *text = strdup(why);

        answer(req, code, "text/plain; charset=utf-8", text, text ? strlen(text) : 0);
}

static void
on_metrics(struct evhttp_request *req, void *arg)
{
        struct metrics_http *h = arg;
        const char *accept = evhttp_find_header(evhttp_request_get_input_headers(req), "Accept");
        enum metrics_format format = metrics_negotiate(accept);
        size_t len;
        char *text;

        if (!(evhttp_request_get_command(req) & METHODS_SERVED)) {
                evhttp_add_header(evhttp_request_get_output_headers(req), "Allow", "GET, HEAD");
                answer_error(req, HTTP_BADMETHOD, "allowed: GET and HEAD\n");
                return;
        }
        text = metrics_text(h->supervisor, format, &len);
        if (text)
                answer(req, HTTP_OK, metrics_content_type(format), text, len);
        else
                answer_error(req, HTTP_SERVUNAVAIL, "out of memory\n");
}

static void
on_other(struct evhttp_request *req, void *arg)
{
        answer_error(req, HTTP_NOTFOUND, "what there is: /metrics\n");
}

/* ── start and end ── */

/* 0 or -ENOMEM. */
static int
make_server(struct metrics_http *h, struct event_base *base)
{
        h->http = evhttp_new(base);
        h->tend = event_new(base, -1, EV_PERSIST, on_tend, h);
        h->rest = evtimer_new(base, on_rested, h);
        if (!h->http || !h->tend || !h->rest)
                return -ENOMEM;
        evhttp_set_max_headers_size(h->http, HEADERS_MAX);
        evhttp_set_max_body_size(h->http, BODY_MAX);
        evhttp_set_allowed_methods(h->http, METHODS_HEARD);
        evhttp_set_bevcb(h->http, on_connection, h);
        evhttp_set_gencb(h->http, on_other, h);
        return evhttp_set_cb(h->http, "/metrics", on_metrics, h) == 0 ? 0 : -ENOMEM;
}

/* Takes over the descriptor. 0 or -errno. */
static int
listen_there(struct metrics_http *h, struct event_base *base, int fd)
{
        struct evconnlistener *listener =
                evconnlistener_new(base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);

        if (!listener) {
                close(fd);
                return -ENOMEM;
        }
        evconnlistener_set_error_cb(listener, on_accept_error);
        if (!evhttp_bind_listener(h->http, listener)) {
                evconnlistener_free(listener);
                return -ENOMEM;
        }
        h->listener = listener;
        listening = h;
        /* Not by evconnlistener_new(), which would not say when this fails. */
        return evconnlistener_enable(listener) == 0 ? 0 : -EIO;
}

int
metrics_http_start(struct supervisor *s, struct metrics_http **ret)
{
        const struct config *config = &s->config;
        struct metrics_http *h;
        int fd, r = -ENOMEM;

        *ret = NULL;
        if (!*config->metrics_socket)
                return 0;
        if (strcmp(config->metrics_socket, config->socket) == 0) {
                log_error("metrics.socket: given \"%s\", allowed is another path than that of daemon.socket",
                          config->metrics_socket);
                return -EINVAL;
        }
        h = calloc(1, sizeof(*h));
        if (!h)
                return -ENOMEM;
        h->supervisor = s;
        h->path = strdup(config->metrics_socket);
        if (h->path)
                r = make_server(h, s->base);
        if (r == 0) {
                fd = instance_bind_socket(h->path, (unsigned)config->metrics_socket_mode, &h->bound);
                if (fd < 0) { /* that was logged there */
                        metrics_http_stop(h);
                        return fd;
                }
                r = listen_there(h, s->base, fd);
        }
        if (r < 0) {
                log_error("metrics.socket: cannot serve metrics on %s: %s", config->metrics_socket, strerror(-r));
                metrics_http_stop(h);
                return r;
        }
        *ret = h;
        return 0;
}

void
metrics_http_stop(struct metrics_http *h)
{
        if (!h)
                return;
        if (h->http)
                evhttp_free(h->http);
        listening = NULL;
        for (int i = 0; i < CONNECTIONS_MAX; i++) {
                if (h->connections[i].bev)
                        bufferevent_decref(h->connections[i].bev);
        }
        if (h->tend)
                event_free(h->tend);
        if (h->rest)
                event_free(h->rest);
        if (h->bound)
                instance_remove_socket(h->path);
        free(h->path);
        free(h);
}
