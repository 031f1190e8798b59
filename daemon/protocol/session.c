/* SPDX-License-Identifier: MIT */
/*
 * One connection and the call that it is waiting for.
 *
 * When bytes arrive, session_dispatch() takes messages and hands each to its method's handler, as long as no call
 * is being answered. A handler answers at once, and the loop goes on; or later, and call_finish() kicks the
 * session: its next call starts from the event loop, never on the stack of whoever replied.
 *
 * After CALLS_AT_ONCE calls it is the turn of everybody else on the loop, and a timer that is due at once brings the
 * session back. (An active event would not do: libevent runs those in the same turn.) Until then nothing more is read.
 *
 * Otherwise reading never stops while the client may still send, because only reading shows that it went away. So what
 * may pile up is bounded: a message by max_message; and the requests behind a call in progress together by as much
 * again.
 *
 * How a connection ends. A full close of the client, or an error of the socket: whatever it asked for is moot. A
 * client may also close only its writing side and wait for replies (`printf … | socat`): EOF is read then too,
 * but poll(2) does not tell POLLHUP. The requests that it sent are answered and the connection is closed behind
 * the last reply. After EOF libevent watches nothing on this socket, so the session looks for POLLHUP once a
 * second while a call is running.
 *
 * A malformed request, and a cut one before EOF, end the reading too: what was answered before is still
 * delivered. Every other offence closes the connection at once.
 *
 * Sessions are freed at two places only: at the end of an event callback (session_settle()), and in
 * service_free(). Whoever finds a reason elsewhere leaves it in session->doom and kicks.
 */
#include "protocol/service-private.h"

#include "protocol/json-memory.h"
#include "shared/log.h"
#include "shared/varlink.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>

#define GIVEN_MAX     64 /* characters of a value that is quoted back */
#define CALLS_AT_ONCE 8

struct call {
        struct session *session;
        const struct idl *idl;
        const char *method; /* without its interface; NULL before it is known */
        bool more, oneway;
        void (*gone)(void *arg, struct call *call);
        void *gone_arg;
};

static void
session_kick(struct session *s)
{
        event_active(s->kick, EV_TIMEOUT, 1);
}

/* The session will be closed soon; the first reason is the one that is told. */
static void
session_doom(struct session *s, const char *why)
{
        if (!s->doom)
                s->doom = why;
        if (!s->dispatching)
                session_kick(s);
}

/* The same for what is no fault of the client's. */
static void
session_fail(struct session *s, const char *why)
{
        s->failed = s->failed || !s->doom;
        session_doom(s, why);
}

static size_t
unread(const struct session *s)
{
        return evbuffer_get_length(bufferevent_get_output(s->bev));
}

static size_t
unheard(const struct session *s)
{
        return evbuffer_get_length(bufferevent_get_input(s->bev));
}

/* Forgets what was sent and reads no more; the session ends when its output is written. */
static void
session_stop_reading(struct session *s, const char *why)
{
        service_tell_refused(s->service, &s->peer, "request", why);
        s->eof = true;
        s->searched = 0;
        bufferevent_disable(s->bev, EV_READ);
        evbuffer_drain(bufferevent_get_input(s->bev), unheard(s));
}

/* Has the client closed both directions? */
static bool
is_hung_up(const struct session *s)
{
        struct pollfd p = {.fd = s->fd};

        return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));
}

/* ── replies ── */

static void
free_message(const void *data, size_t len, void *arg)
{
        free(arg);
}

/* The message, or when there was no memory to make it whole, an error that says so. NULL when not even that goes. */
static char *
encode(const struct call *call, const char *error, json_t *parameters, bool continues, size_t *ret_len)
{
        struct service *service = call->session->service;
        char *message = json_memory_failed() ? NULL
                                             : service_encode(service, call->idl, call->method, error, parameters,
                                                              continues, ret_len);
        AUTO_JSON json_t *why = NULL;

        if (message && !json_memory_failed())
                return message;
        free(message);
        log_error("out of memory for a reply of %s", call->method ? call->method : "an unknown method");
        why = json_pack("{s:s}", "what", "out of memory");
        message = why ? service_encode(service, service->own, NULL, "Internal", why, false, ret_len) : NULL;
        if (!json_memory_failed())
                return message;
        free(message);
        return NULL;
}

static void
call_send(struct call *call, const char *error, json_t *parameters, bool continues)
{
        struct session *s = call->session;
        size_t len;
        char *message;

        if (call->oneway || s->doom)
                return;
        message = encode(call, error, parameters, continues, &len);
        if (!message ||
            evbuffer_add_reference(bufferevent_get_output(s->bev), message, len, free_message, message) < 0) {
                free(message);
                session_fail(s, "out of memory");
        } else if (unread(s) > s->service->limits.max_unread) {
                session_doom(s, "too much unread output");
        } else if (bufferevent_enable(s->bev, EV_WRITE) < 0) {
                /* libevent does this by itself, but when memory was short it may not have, and would not tell. */
                session_fail(s, "cannot be written to");
        }
}

/* The call has been answered. */
static void
call_finish(struct call *call)
{
        struct session *s = call->session;

        s->call = NULL;
        free(call);
        if (!s->dispatching)
                session_kick(s);
}

const struct peer *
call_peer(const struct call *call)
{
        return &call->session->peer;
}

bool
call_wants_more(const struct call *call)
{
        return call->more;
}

void
call_reply(struct call *call, json_t *parameters)
{
        call_send(call, NULL, parameters, false);
        json_decref(parameters);
        call_finish(call);
}

void
call_progress(struct call *call, json_t *parameters)
{
        /* One that is not whole is left out: there will be another. */
        if (call->more && unread(call->session) == 0 && !json_memory_failed())
                call_send(call, NULL, parameters, true);
        json_decref(parameters);
}

void
call_error(struct call *call, const char *name, json_t *parameters)
{
        service_counts_error(&call->session->service->counts, name);
        call_send(call, name, parameters, false);
        json_decref(parameters);
        call_finish(call);
}

/* A JSON string of a text that may have been cut within its last UTF-8 character. NULL when out of memory. */
static json_t *
string_of_cut(const char *text)
{
        size_t len = strlen(text);
        json_t *string = json_stringn(text, len);

        for (unsigned i = 0; i < 3 && !string && len > 0; i++)
                string = json_stringn(text, --len);
        return string;
}

void
call_bad_value(struct call *call, const char *field, const char *allowed, const char *given_fmt, ...)
{
        AUTO_FREE char *given = NULL;
        va_list ap;

        va_start(ap, given_fmt);
        if (vasprintf(&given, given_fmt, ap) < 0)
                given = NULL;
        va_end(ap);
        call_error(call, "BadValue",
                   json_pack("{s:s, s:o, s:s}", "field", field, "given", string_of_cut(given ? given : "?"), "allowed",
                             allowed));
}

void
call_on_gone(struct call *call, void (*fn)(void *arg, struct call *call), void *arg)
{
        call->gone = fn;
        call->gone_arg = arg;
}

/* ── requests ── */

/* Cuts a text after `max` characters of UTF-8. */
static void
cut_text(char *text, size_t max)
{
        for (size_t n = 0; *text; text++) {
                if (((unsigned char)*text & 0xc0) != 0x80 && n++ == max) {
                        *text = '\0';
                        return;
                }
        }
}

/* Compact JSON; NULL when out of memory. Integers beyond 64 bits were decoded as reals: they are quoted as digits. */
static char *
quote_value(const json_t *value)
{
        double r = json_real_value(value);
        char *text;

        if (json_is_real(value) && fabs(r) >= 0x1p53 && fabs(r) < 1e21) /* from 2^53 on, all doubles are integral */
                return asprintf(&text, "%.0f", r) < 0 ? NULL : text;
        return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
}

/* The parameters do not fit the declaration. An own field with a bad value deserves to be told what would do. */
static void
refuse_parameters(struct call *call, const struct service_method *own, const char *field, const char *expected,
                  json_t *given)
{
        AUTO_FREE char *text = own && expected && given ? quote_value(given) : NULL;
        const char *allowed = own && own->allowed ? own->allowed(field) : NULL;

        if (text) {
                cut_text(text, GIVEN_MAX);
                call_bad_value(call, field, allowed ? allowed : expected, "%s", text);
        } else {
                call_error(call, "org.varlink.service.InvalidParameter", json_pack("{s:s}", "parameter", field));
        }
}

/* `name` is the method without its interface. */
static void
call_route(struct call *call, const char *full, const char *name, json_t *parameters)
{
        struct service *service = call->session->service;
        bool own = call->idl == service->own;
        AUTO_FREE char *field = NULL, *expected = NULL;
        const struct service_method *m = NULL;
        json_t *given = NULL;
        int r = idl_check_input(call->idl, name, parameters, &field, &expected, &given);

        if (r == -ENOENT) {
                call_error(call, "org.varlink.service.MethodNotFound", json_pack("{s:s}", "method", full));
                return;
        }
        call->method = name;
        service_counts_call(&service->counts, own ? name : full);
        if (own)
                m = service_find_method(service, name);
        if (r < 0) {
                refuse_parameters(call, m, field ? field : "?", expected, given);
        } else if (call->oneway && (!own || m->read_only)) {
                call_finish(call);
        } else if (own) {
                call->method = m->name;
                m->handle(service->userdata, call, parameters);
        } else {
                service_handle_standard(service, name, call, parameters);
        }
}

/* Starts one call; on return it is answered, or somebody else's to answer. */
static void
session_start_call(struct session *s, const struct varlink_call *request)
{
        struct service *service = s->service;
        const char *dot = strrchr(request->method, '.');
        AUTO_FREE char *interface = strndup(request->method, (size_t)(dot - request->method));
        struct call *call = calloc(1, sizeof(*call));

        if (!call || !interface) {
                free(call);
                session_fail(s, "out of memory");
                return;
        }
        *call = (struct call){.session = s, .more = request->more, .oneway = request->oneway};
        s->call = call;
        if (strcmp(interface, idl_interface(service->own)) == 0)
                call->idl = service->own;
        else if (strcmp(interface, idl_interface(service->standard)) == 0)
                call->idl = service->standard;
        if (service->stopping)
                call_error(call, "ShuttingDown", NULL);
        else if (request->upgrade)
                call_error(call, "org.varlink.service.InvalidParameter", json_pack("{s:s}", "parameter", "upgrade"));
        else if (!call->idl)
                call_error(call, "org.varlink.service.InterfaceNotFound", json_pack("{s:s}", "interface", interface));
        else
                call_route(call, request->method, dot + 1, request->parameters);
}

/* Decodes and removes the first `len` bytes of the input and the NUL behind them. False: there will be no next call. */
static bool
take_message(struct session *s, size_t len, struct varlink_call *ret)
{
        struct evbuffer *input = bufferevent_get_input(s->bev);
        const char *why = "malformed request", *message = (const char *)evbuffer_pullup(input, (ev_ssize_t)len + 1);
        int r = VARLINK_E_MEMORY;

        json_memory_begin_reading();
        if (message)
                r = varlink_call_decode(message, len, ret, &why);
        if (json_memory_end_reading()) {
                if (r == VARLINK_OK)
                        varlink_call_deinit(ret);
                r = VARLINK_E_MEMORY;
        }
        evbuffer_drain(input, len + 1);
        s->searched = 0;
        event_del(s->timer);
        if (r == VARLINK_OK && varlink_method_is_valid(ret->method))
                return true;
        if (r == VARLINK_OK) {
                varlink_call_deinit(ret);
                why = "bad name of a method";
        }
        if (r == VARLINK_E_MEMORY)
                session_fail(s, "out of memory");
        else
                session_stop_reading(s, why);
        return false;
}

/* Finds the length of the first message of the input, without its NUL; -1 when it is not complete yet, or too long. */
static ev_ssize_t
find_message(struct session *s)
{
        struct evbuffer *input = bufferevent_get_input(s->bev);
        uint64_t max = s->service->limits.max_message;
        struct evbuffer_ptr from, nul = {.pos = -1};

        if (unheard(s) > s->searched && evbuffer_ptr_set(input, &from, s->searched, EVBUFFER_PTR_SET) == 0)
                nul = evbuffer_search(input, "\0", 1, &from);
        s->searched = unheard(s);
        if (nul.pos < 0 ? s->searched < max : (uint64_t)nul.pos < max)
                return nul.pos;
        session_stop_reading(s, "request too long");
        return -1;
}

/* After every dispatch: do requests wait for the next turn? */
static void
session_set_backlog(struct session *s, bool backlog)
{
        static const struct timeval at_once = {0};

        if (backlog && event_add(s->kick, &at_once) < 0)
                session_fail(s, "out of memory");
        if (s->backlog == backlog)
                return;
        s->backlog = backlog;
        if (backlog)
                bufferevent_disable(s->bev, EV_READ);
        else if (!s->eof && bufferevent_enable(s->bev, EV_READ) < 0)
                session_fail(s, "cannot be read from");
}

static void
session_dispatch(struct session *s)
{
        ev_ssize_t len;
        unsigned n;

        s->dispatching = true;
        for (n = 0; n < CALLS_AT_ONCE && !s->call && !s->doom && (len = find_message(s)) >= 0; n++) {
                struct varlink_call request;

                if (!take_message(s, (size_t)len, &request))
                        break;
                session_start_call(s, &request);
                varlink_call_deinit(&request);
        }
        session_set_backlog(s, n == CALLS_AT_ONCE && !s->call && unheard(s) > 0);
        s->dispatching = false;
}

/* ── the life of a session ── */

static struct timeval
request_timeout(const struct session *s)
{
        uint64_t ns = s->service->limits.request_timeout_ns;

        return (struct timeval){.tv_sec = (time_t)(ns / NS_PER_S), .tv_usec = (suseconds_t)(ns % NS_PER_S / 1000)};
}

/* The deadline of a partial request starts with its first byte and no later one moves it. False when out of memory. */
static bool
session_set_timer(struct session *s)
{
        struct timeval second = {.tv_sec = 1}, timeout = request_timeout(s);

        if (s->eof ? !s->call : (s->call || s->backlog || unheard(s) == 0))
                event_del(s->timer);
        else if (!event_pending(s->timer, EV_TIMEOUT, NULL))
                return event_add(s->timer, s->eof ? &second : &timeout) == 0;
        return true;
}

/* Is it over without anybody's fault? */
static bool
is_finished(const struct session *s)
{
        return s->eof && !s->call && unheard(s) == 0 && unread(s) == 0;
}

/* Closes the session or says what it waits for. Expects that no complete request is left without a call before it, but
 * in a backlog. */
static void
session_settle(struct session *s)
{
        if (s->call && unheard(s) > s->service->limits.max_message)
                session_doom(s, "too many requests behind a call in progress");
        if (s->eof && !s->call && !s->backlog && unheard(s) > 0)
                session_stop_reading(s, "closed within a request");
        if (!s->doom && !is_finished(s) && !session_set_timer(s))
                session_fail(s, "out of memory");
        if (s->failed)
                log_error("client pid %d uid %u, connection closed: %s", s->peer.pid, s->peer.uid, s->doom);
        else if (s->doom)
                service_tell_refused(s->service, &s->peer, "connection", s->doom);
        if (s->doom || is_finished(s))
                session_free(s);
}

/* What every event callback ends with. The session may be gone then. */
static void
session_run(struct session *s)
{
        session_dispatch(s);
        session_settle(s);
}

static void
on_kick(evutil_socket_t fd, short what, void *arg)
{
        session_run(arg);
}

static void
on_moved(struct bufferevent *bev, void *arg)
{
        session_run(arg);
}

static void
session_went_away(struct session *s)
{
        log_debug("client pid %d uid %u went away", s->peer.pid, s->peer.uid);
        session_free(s);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
        struct session *s = arg;

        if (s->eof && is_hung_up(s)) {
                session_went_away(s);
                return;
        }
        if (!s->eof)
                session_doom(s, "request not finished in time");
        session_run(s);
}

static void
on_end(struct bufferevent *bev, short what, void *arg)
{
        struct session *s = arg;

        if (what & BEV_EVENT_TIMEOUT) {
                session_doom(s, "replies not read in time");
        } else if ((what & BEV_EVENT_ERROR) || is_hung_up(s)) {
                session_went_away(s);
                return;
        }
        s->eof = true;
        session_run(s);
}

void
session_apply_limits(struct session *s)
{
        struct timeval timeout = request_timeout(s);

        bufferevent_set_timeouts(s->bev, NULL, &timeout);
}

int
session_new(struct service *service, int fd, const struct peer *peer)
{
        struct session *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        *s = (struct session){.service = service, .peer = *peer, .fd = fd};
        s->bev = bufferevent_socket_new(service->base, fd, 0);
        s->kick = event_new(service->base, -1, 0, on_kick, s);
        s->timer = evtimer_new(service->base, on_timer, s);
        if (s->bev && s->kick && s->timer) {
                bufferevent_setcb(s->bev, on_moved, on_moved, on_end, s);
                session_apply_limits(s);
                if (bufferevent_enable(s->bev, EV_READ | EV_WRITE) == 0) {
                        TAILQ_INSERT_TAIL(&service->sessions, s, entry);
                        service->n_sessions++;
                        return 0;
                }
        }
        if (s->bev)
                bufferevent_free(s->bev);
        if (s->kick)
                event_free(s->kick);
        if (s->timer)
                event_free(s->timer);
        free(s);
        return -ENOMEM;
}

void
session_free(struct session *s)
{
        struct service *service = s->service;
        struct call *call = TAKE(s->call);

        TAILQ_REMOVE(&service->sessions, s, entry);
        service->n_sessions--;
        if (call && call->gone)
                call->gone(call->gone_arg, call);
        free(call);
        event_free(s->kick);
        event_free(s->timer);
        /* libevent frees a bufferevent from its loop; the descriptor must not wait for that. */
        bufferevent_disable(s->bev, EV_READ | EV_WRITE);
        bufferevent_free(s->bev);
        close(s->fd);
        free(s->peer.groups);
        free(s);
        service_session_ended(service);
}

bool
session_is_busy(const struct session *s)
{
        return s->call || unread(s) > 0 || event_pending(s->kick, EV_TIMEOUT, NULL);
}
