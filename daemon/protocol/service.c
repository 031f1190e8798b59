/* SPDX-License-Identifier: MIT */
/*
 * The listener, the limits on connections and the tables of methods; one connection is session.c.
 *
 * When descriptors run out, accept(2) leaves the connection in the queue and the listening socket stays readable:
 * libevent would call us again at once, for ever. The listener then rests, until a timer fires or a connection ends.
 */
#include "protocol/service-private.h"

#include "shared/log.h"
#include "shared/varlink.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#define REST_MS            100
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

/* One reply that nobody asked for, as far as it goes: the connection is not worth waiting for. */
static void
refuse(struct service *service, int fd, const struct peer *peer, const char *what, uint64_t limit)
{
        AUTO_JSON json_t *parameters = json_pack("{s:s, s:I}", "what", what, "limit", (json_int_t)limit);
        AUTO_FREE char *message = NULL;
        size_t len;

        log_info("client pid %d uid %u refused: %s, limit %llu", peer->pid, peer->uid, what, (unsigned long long)limit);
        message = service_encode(service, service->own, NULL, "Busy", parameters, false, &len);
        if (message && send(fd, message, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                log_debug("client pid %d: not told that it was refused: %m", peer->pid);
}

static bool
has_room(struct service *service, int fd, const struct peer *peer)
{
        const struct service_limits *limits = &service->limits;
        const struct session *s;
        uint64_t of_user = 0;

        for (s = TAILQ_FIRST(&service->sessions); s; s = TAILQ_NEXT(s, entry))
                of_user += s->peer.uid == peer->uid;
        if (of_user >= limits->connections_per_user) {
                refuse(service, fd, peer, "connections of one user", limits->connections_per_user);
                return false;
        }
        if (service->n_sessions >= limits->connections) {
                refuse(service, fd, peer, "connections", limits->connections);
                return false;
        }
        return true;
}

static void
tell_clients_changed(struct service *service)
{
        if (service->on_clients_changed)
                service->on_clients_changed(service->userdata);
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len, void *arg)
{
        struct service *service = arg;
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
        if (!has_room(service, fd, &peer))
                return;
        r = session_new(service, fd, &peer);
        if (r < 0) {
                log_error("client pid %d uid %u: %s", peer.pid, peer.uid, strerror(-r));
                return;
        }
        owned = -1;
        tell_clients_changed(service);
}

static void
on_accept_error(struct evconnlistener *listener, void *arg)
{
        static const struct timeval pause = {.tv_usec = REST_MS * 1000};
        struct service *service = arg;

        if (!service->rest_logged)
                log_warning("cannot accept connections for now: %m");
        service->rest_logged = true;
        evconnlistener_disable(listener);
        event_add(service->rest, &pause);
}

static void
close_listener(struct service *service)
{
        evutil_socket_t fd;

        if (!service->listener)
                return;
        fd = evconnlistener_get_fd(service->listener);
        evconnlistener_free(TAKE(service->listener));
        close(fd);
}

static void
end_rest(struct service *service)
{
        event_del(service->rest);
        if (service->listener)
                evconnlistener_enable(service->listener);
}

static void
on_rested(evutil_socket_t fd, short what, void *arg)
{
        end_rest(arg);
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
        service->on_clients_changed = NULL;
        close_listener(service);
        while ((s = TAILQ_FIRST(&service->sessions)))
                session_free(s);
        if (service->rest)
                event_free(service->rest);
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
        service->listener =
                evconnlistener_new(service->base, on_accept, service, LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_DISABLED, 0, fd);
        if (!service->listener)
                return -ENOMEM;
        evconnlistener_set_error_cb(service->listener, on_accept_error);
        /* Not by evconnlistener_new(), which would not say when this fails. */
        if (evconnlistener_enable(service->listener) < 0) {
                log_error("cannot watch the socket: %m");
                evconnlistener_free(TAKE(service->listener));
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
service_on_clients_changed(struct service *service, void (*fn)(void *userdata))
{
        service->on_clients_changed = fn;
}
