/* SPDX-License-Identifier: MIT */
/*
 * The listener, the limits on connections and the tables of methods; one connection is session.c.
 *
 * When descriptors run out, accept(2) leaves the connection in the queue and the listening socket stays readable:
 * libevent would call us again at once, for ever. The listener then rests, until a timer fires or a connection ends.
 *
 * libevent's evconnlistener accepts until the queue is empty, which it never is when somebody connects as fast as he
 * can. So this one is a plain event, and takes a few connections in each turn of the loop.
 */
#include "protocol/service-private.h"

#include "shared/log.h"
#include "shared/varlink.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#define REST_MS            100
#define ACCEPTS_MAX        16 /* in a row */
#define STANDARD_INTERFACE "org.varlink.service"

static const struct service_limits default_limits = {
        .connections = 256,
        .connections_per_user = 64,
        .max_message = VARLINK_MESSAGE_MAX,
        .max_unread = 4 * 1024 * 1024,
        .request_timeout_ns = 30 * NS_PER_S,
};

/* ── the tables ── */

const struct service_method *
service_find_method(const struct service *service, const char *name)
{
        for (const struct service_method *m = service->methods; m->name; m++)
                if (strcmp(m->name, name) == 0)
                        return m;
        return NULL;
}

static bool
declares(const char *(*nth)(const struct idl *, size_t), const struct idl *idl, const char *name)
{
        const char *declared;

        for (size_t i = 0; (declared = nth(idl, i)); i++)
                if (strcmp(declared, name) == 0)
                        return true;
        return false;
}

/* The rows and the interface name the same methods, and the errors that this module answers with are declared. */
static int
check_tables(const struct service *service)
{
        static const char *const errors[] = {"BadValue", "Busy", "ShuttingDown"};
        const char *interface = idl_interface(service->own), *name;

        for (size_t i = 0; (name = idl_method(service->own, i)); i++) {
                if (service_find_method(service, name))
                        continue;
                log_error("method %s.%s has no handler", interface, name);
                return -EINVAL;
        }
        for (const struct service_method *m = service->methods; m->name; m++) {
                if (m->handle && service_find_method(service, m->name) == m &&
                    declares(idl_method, service->own, m->name))
                        continue;
                log_error("handler of %s: no such method in %s, no function, or a second one", m->name, interface);
                return -EINVAL;
        }
        for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
                if (declares(idl_error, service->own, errors[i]))
                        continue;
                log_error("interface %s does not declare the error %s", interface, errors[i]);
                return -EINVAL;
        }
        return 0;
}

static struct idl *
parse_interface(const char *text)
{
        AUTO_FREE char *message = NULL;
        struct idl *idl = idl_parse(text, &message);

        if (!idl)
                log_error("interface definition, %s", message ? message : "out of memory");
        return idl;
}

/* ── what is sent ── */

#ifndef NDEBUG
/* `name` is qualified. */
static void
check_error(const struct service *service, const char *name, json_t *parameters)
{
        AUTO_FREE char *field = NULL, *expected = NULL;
        const char *dot = strrchr(name, '.');
        size_t len = (size_t)(dot - name);
        const struct idl *idl = service->own;

        if (len == strlen(STANDARD_INTERFACE) && strncmp(name, STANDARD_INTERFACE, len) == 0)
                idl = service->standard;
        if (strlen(idl_interface(idl)) != len || strncmp(name, idl_interface(idl), len) != 0 ||
            idl_check_error(idl, dot + 1, parameters, &field, &expected) == -ENOENT)
                log_alert("error %s is not declared", name);
        else if (field)
                log_alert("error %s: parameter %s is not %s", name, field, expected ? expected : "declared");
}

static void
check_reply(const struct idl *idl, const char *method, json_t *parameters)
{
        AUTO_FREE char *field = NULL, *expected = NULL;

        if (idl_check_output(idl, method, parameters, &field, &expected) != 0)
                log_alert("reply of %s.%s: parameter %s is not %s", idl_interface(idl), method, field ? field : "?",
                          expected ? expected : "declared");
}
#endif

static char *
qualify(const struct service *service, const char *error)
{
        char *name;

        if (strchr(error, '.'))
                return strdup(error);
        return asprintf(&name, "%s.%s", idl_interface(service->own), error) < 0 ? NULL : name;
}

char *
service_encode(struct service *service, const struct idl *idl, const char *method, const char *error,
               json_t *parameters, bool continues, size_t *ret_len)
{
        AUTO_JSON json_t *body = parameters ? json_incref(parameters) : json_object();
        AUTO_FREE char *qualified = NULL;

        if (!body)
                return NULL;
        if (error) {
                qualified = qualify(service, error);
                if (!qualified)
                        return NULL;
        }
#ifndef NDEBUG
        if (qualified)
                check_error(service, qualified, body);
        else
                check_reply(idl, method, body);
#endif
        return varlink_reply_encode(qualified, body, continues, ret_len);
}

static void
handle_get_info(struct service *service, struct call *call)
{
        const struct service_info *info = &service->info;

        call_reply(call, json_pack("{s:s, s:s, s:s, s:s, s:[s, s]}", "vendor", info->vendor, "product", info->product,
                                   "version", info->version, "url", info->url, "interfaces", STANDARD_INTERFACE,
                                   idl_interface(service->own)));
}

static void
handle_get_description(struct service *service, struct call *call, json_t *parameters)
{
        json_t *interface = json_object_get(parameters, "interface");
        const char *name = json_string_value(interface);
        const struct idl *idl = NULL;

        if (strcmp(name, STANDARD_INTERFACE) == 0)
                idl = service->standard;
        else if (strcmp(name, idl_interface(service->own)) == 0)
                idl = service->own;
        if (idl)
                call_reply(call, json_pack("{s:s}", "description", idl_text(idl)));
        else
                call_error(call, STANDARD_INTERFACE ".InterfaceNotFound", json_pack("{s:O}", "interface", interface));
}

void
service_handle_standard(struct service *service, const char *method, struct call *call, json_t *parameters)
{
        if (strcmp(method, "GetInfo") == 0)
                handle_get_info(service, call);
        else
                handle_get_description(service, call, parameters);
}

/* ── connections ── */

void
service_tell_refused(struct service *service, const struct peer *peer, const char *what, const char *why)
{
        if (service->hooks.refused)
                service->hooks.refused(service->userdata, peer, what, why);
        else
                log_info("client pid %d uid %u, %s refused: %s", peer->pid, peer->uid, what, why);
}

/* One reply that nobody asked for, as far as it goes: the connection is not worth waiting for. */
static void
refuse(struct service *service, int fd, const struct peer *peer, const char *what, uint64_t limit)
{
        AUTO_JSON json_t *parameters = json_pack("{s:s, s:I}", "what", what, "limit", (json_int_t)limit);
        AUTO_FREE char *message = NULL;
        char why[80];
        size_t len;

        snprintf(why, sizeof(why), "%s have their limit, %llu", what, (unsigned long long)limit);
        service_tell_refused(service, peer, "connection", why);
        message = service_encode(service, service->own, NULL, "Busy", parameters, false, &len);
        if (message && send(fd, message, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                log_debug("client pid %d: not told that it was refused: %m", peer->pid);
}

/* The places that are there for this client. A few are kept, so that however many idle connections others hold, who
 * administers can get in and do something about it. */
static uint64_t
places_for(struct service *service, const struct peer *peer)
{
        uint64_t all = service->limits.connections, reserved = MIN(service->limits.reserved, all / 2);
        const struct service_hooks *hooks = &service->hooks;

        if (reserved == 0 || !hooks->is_privileged || hooks->is_privileged(service->userdata, peer))
                return all;
        return all - reserved;
}

static bool
has_room(struct service *service, int fd, const struct peer *peer)
{
        const struct service_limits *limits = &service->limits;
        uint64_t places = places_for(service, peer);
        const struct session *s;
        uint64_t of_user = 0;

        for (s = TAILQ_FIRST(&service->sessions); s; s = TAILQ_NEXT(s, entry))
                of_user += s->peer.uid == peer->uid;
        if (of_user >= limits->connections_per_user) {
                refuse(service, fd, peer, "connections of one user", limits->connections_per_user);
                return false;
        }
        if (service->n_sessions >= places) {
                refuse(service, fd, peer, "connections", places);
                return false;
        }
        return true;
}

static void
tell_clients_changed(struct service *service)
{
        if (service->hooks.clients_changed)
                service->hooks.clients_changed(service->userdata);
}

/* SO_PEERGROUPS. Who has none, or whose groups are not known, has fewer rights and never more. 0 or -ENOMEM. */
static int
read_groups(int fd, struct peer *peer)
{
        socklen_t size = 0;
        gid_t *groups = NULL;

        /* With too short a buffer it fails with ERANGE and says how many bytes there are. They do not change: they are
         * those of the moment of the connect(2). */
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE || size == 0)
                return 0;
        groups = malloc(size);
        if (!groups)
                return -ENOMEM;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0) {
                log_error("groups of pid %d uid %u are not known: %m", peer->pid, peer->uid);
                free(groups);
                return 0;
        }
        peer->groups = groups;
        peer->n_groups = size / sizeof(*groups);
        return 0;
}

/* Without a timer that ends it there is no rest. */
static void
begin_rest(struct service *service)
{
        static const struct timeval pause = {.tv_usec = REST_MS * 1000};

        if (event_add(service->rest, &pause) == 0)
                event_del(service->listener);
}

static void
end_rest(struct service *service)
{
        event_del(service->rest);
        if (service->listener && event_add(service->listener, NULL) < 0)
                begin_rest(service);
}

static void
on_rested(evutil_socket_t fd, short what, void *arg)
{
        end_rest(arg);
}

/* Takes over the descriptor. */
static void
take_connection(struct service *service, int fd)
{
        AUTO_CLOSE int owned = fd;
        struct ucred cred;
        socklen_t size = sizeof(cred);
        struct peer peer;
        int r;

        service->rest_logged = false;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0) {
                log_error("who connected is not known: %m");
                return;
        }
        peer = (struct peer){.pid = cred.pid, .uid = cred.uid, .gid = cred.gid};
        r = read_groups(fd, &peer);
        if (r == 0 && !has_room(service, fd, &peer)) {
                service->counts.refused++;
                free(peer.groups);
                return;
        }
        if (r == 0)
                r = session_new(service, fd, &peer);
        if (r < 0) {
                free(peer.groups);
                log_error("client pid %d uid %u: %s", peer.pid, peer.uid, strerror(-r));
                return;
        }
        owned = -1;
        service->counts.accepted++;
        tell_clients_changed(service);
}

static void
on_connecting(evutil_socket_t listener, short what, void *arg)
{
        struct service *service = arg;

        /* Who is told of a new client may shut the service down. */
        for (unsigned i = 0; i < ACCEPTS_MAX && service->listener; i++) {
                int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                if (fd >= 0) {
                        take_connection(service, fd);
                        continue;
                }
                if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
                        return;
                if (!service->rest_logged)
                        log_warning("cannot accept connections for now: %m");
                service->rest_logged = true;
                begin_rest(service);
                return;
        }
}

static void
close_listener(struct service *service)
{
        int fd;

        if (!service->listener)
                return;
        fd = event_get_fd(service->listener);
        event_free(TAKE(service->listener));
        close(fd);
}

void
service_session_ended(struct service *service)
{
        if (event_pending(service->rest, EV_TIMEOUT, NULL))
                end_rest(service);
        tell_clients_changed(service);
}

/* ── the service ── */

int
service_new(struct event_base *base, const struct service_info *info, const char *interface,
            const struct service_method *methods, void *userdata, struct service **ret)
{
        struct service *service = calloc(1, sizeof(*service));
        int r = -EINVAL;

        if (!service)
                return -ENOMEM;
        *service = (struct service){
                .base = base, .info = *info, .methods = methods, .userdata = userdata, .limits = default_limits};
        TAILQ_INIT(&service->sessions);
        signal(SIGPIPE, SIG_IGN); /* libevent writes with writev(2), which has no MSG_NOSIGNAL */
        service->own = parse_interface(interface);
        service->standard = parse_interface(idl_org_varlink_service);
        if (service->own && service->standard)
                r = check_tables(service);
        if (r == 0)
                r = service_counts_init(&service->counts, service->own, service->standard);
        if (r == 0) {
                service->rest = evtimer_new(base, on_rested, service);
                r = service->rest ? 0 : -ENOMEM;
        }
        if (r < 0) {
                service_free(service);
                return r;
        }
        *ret = service;
        return 0;
}

void
service_free(struct service *service)
{
        struct session *s;

        if (!service)
                return;
        service->hooks.clients_changed = NULL;
        close_listener(service);
        while ((s = TAILQ_FIRST(&service->sessions)))
                session_free(s);
        if (service->rest)
                event_free(service->rest);
        service_counts_deinit(&service->counts);
        idl_free(service->own);
        idl_free(service->standard);
        free(service);
}

void
service_set_limits(struct service *service, const struct service_limits *limits)
{
        struct session *s;

        service->limits = *limits;
        for (s = TAILQ_FIRST(&service->sessions); s; s = TAILQ_NEXT(s, entry))
                session_apply_limits(s);
}

int
service_listen(struct service *service, int fd)
{
        if (service->listener)
                return -EBUSY;
        service->listener = event_new(service->base, fd, EV_READ | EV_PERSIST, on_connecting, service);
        if (!service->listener)
                return -ENOMEM;
        if (event_add(service->listener, NULL) < 0) {
                log_error("cannot watch the socket: %m");
                event_free(TAKE(service->listener));
                return -EIO;
        }
        return 0;
}

void
service_shutdown(struct service *service)
{
        service->stopping = true;
        event_del(service->rest);
        close_listener(service);
}

unsigned
service_clients(const struct service *service)
{
        return service->n_sessions;
}

const struct service_counts *
service_counts(const struct service *service)
{
        return &service->counts;
}

bool
service_is_busy(const struct service *service)
{
        const struct session *s;

        for (s = TAILQ_FIRST(&service->sessions); s; s = TAILQ_NEXT(s, entry))
                if (session_is_busy(s))
                        return true;
        return false;
}

void
service_set_hooks(struct service *service, const struct service_hooks *hooks)
{
        service->hooks = *hooks;
}
