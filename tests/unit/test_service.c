/* SPDX-License-Identifier: MIT */
/*
 * The service on a real socket and a real event base. Service and clients live in one thread: a client's step is
 * followed by turns of the loop, until something is there (UNTIL, with a guard against hanging) or nothing more can
 * come (settle(): what two ends of a Unix socket in one process have to say, they have said after a few turns).
 *
 * One long file, because all of it needs this world around, and most of it is tables and short scripts.
 */
#include "protocol/service.h"

#include "shared/log.h"

#include "run_suite.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define GUARD_TURNS 30000 /* of at least a millisecond each */
#define MAX_HELD    8
#define LAST(...)   "{\"parameters\":{" __VA_ARGS__ "}}"

static bool no_memory; /* for libevent */

static const char interface_text[] = "interface org.test\n"
                                     "method Echo(text: ?string, n: ?int, list: ?[]int) -> (text: ?string, n: ?int)\n"
                                     "method Later() -> (n: int)\n"
                                     "method Big(bytes: int) -> (text: string)\n"
                                     "method Wrong(how: string) -> (n: int)\n"
                                     "error BadValue (field: string, given: string, allowed: string)\n"
                                     "error Busy (what: string, limit: int)\n"
                                     "error ShuttingDown ()\n";

static struct {
        struct event_base *base;
        struct service *service;
        char folder[64];
        struct sockaddr_un address;
        int log, old_stderr;
        unsigned echoed, changes, gone;
        struct call *held[MAX_HELD];
        unsigned n_held;
        struct peer peer;
        bool alerts_expected, privileged;
        unsigned bigs;
        unsigned refused;
        char refusal[128];
} w;

/* ── the handlers ── */

static void
handle_echo(void *userdata, struct call *call, json_t *parameters)
{
        json_t *text = json_object_get(parameters, "text"), *n = json_object_get(parameters, "n");

        ck_assert_ptr_eq(userdata, &w);
        w.echoed++;
        w.peer = *call_peer(call);
        call_reply(call, json_pack("{s:O*, s:O*}", "text", text, "n", n));
}

static void
on_gone(void *arg, struct call *call)
{
        ck_assert_ptr_eq(arg, &w.held);
        ck_assert_int_eq(call_peer(call)->pid, getpid());
        w.gone++;
}

static void
handle_later(void *userdata, struct call *call, json_t *parameters)
{
        ck_assert_uint_lt(w.n_held, MAX_HELD);
        w.held[w.n_held++] = call;
        call_on_gone(call, on_gone, &w.held);
}

static void
handle_big(void *userdata, struct call *call, json_t *parameters)
{
        size_t size = (size_t)json_integer_value(json_object_get(parameters, "bytes"));
        AUTO_FREE char *text = malloc(size);

        w.bigs++;
        memset(text, 'x', size);
        call_reply(call, json_pack("{s:s#}", "text", text, size));
}

static void
handle_wrong(void *userdata, struct call *call, json_t *parameters)
{
        const char *how = json_string_value(json_object_get(parameters, "how"));

        if (strcmp(how, "reply") == 0)
                call_reply(call, json_pack("{s:s}", "n", "one"));
        else if (strcmp(how, "error") == 0)
                call_error(call, "NotDeclared", NULL);
        else
                call_error(call, "Busy", json_pack("{s:i}", "limit", 1));
}

static const struct service_method methods[] = {
        {"Echo", handle_echo}, {"Later", handle_later}, {"Big", handle_big, .read_only = true}, {"Wrong", handle_wrong},
        {NULL, NULL},
};

static void
on_clients_changed(void *userdata)
{
        w.changes++;
}

/* ── the world around ── */

static const struct service_info info = {"Vendor", "product", "1.2", "https://example.org"};

static const struct service_limits usual_limits = {
        .connections = 100,
        .connections_per_user = 100,
        .max_message = 65536,
        .max_unread = 4 * 1024 * 1024,
        .request_timeout_ns = 3600 * NS_PER_S,
};

static void
turn(void)
{
        event_base_loop(w.base, EVLOOP_NONBLOCK);
}

/* What is ready now, each event once; turn() goes on as long as there are any. */
static void
pass(void)
{
        event_base_loop(w.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void
settle(void)
{
        for (unsigned i = 0; i < 100; i++)
                turn();
}

#define UNTIL(condition)                                                                                               \
        for (unsigned turns_ = 0; !(condition); turns_++) {                                                            \
                ck_assert_msg(turns_ < GUARD_TURNS, "never came true: %s", #condition);                                \
                turn();                                                                                                \
                usleep(1000);                                                                                          \
        }

/* How often the log says `text`. */
static unsigned
logged(const char *text)
{
        static char buffer[1 << 20];
        ssize_t n = pread(w.log, buffer, sizeof(buffer) - 1, 0);
        unsigned count = 0;

        ck_assert_int_ge(n, 0);
        buffer[n] = '\0';
        for (const char *c = buffer; (c = strstr(c, text)); c++)
                count++;
        return count;
}

static void
listen_in_folder(void)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        snprintf(w.folder, sizeof(w.folder), "/tmp/concd-test-service-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(w.folder));
        w.address.sun_family = AF_UNIX;
        snprintf(w.address.sun_path, sizeof(w.address.sun_path), "%s/socket", w.folder);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&w.address, sizeof(w.address)), 0);
        ck_assert_int_eq(listen(fd, 64), 0);
        ck_assert_int_eq(service_listen(w.service, fd), 0);
}

static void *
allocate(size_t size)
{
        return no_memory ? NULL : malloc(size);
}

static void
setup(void)
{
        no_memory = false;
        memset(&w, 0, sizeof(w));
        w.log = memfd_create("log", MFD_CLOEXEC);
        w.old_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        ck_assert_int_ge(dup2(w.log, STDERR_FILENO), 0);
        log_init("test", LOG_LEVEL_INFO);
        w.base = event_base_new();
        ck_assert_int_eq(service_new(w.base, &info, interface_text, methods, &w, &w.service), 0);
        service_set_limits(w.service, &usual_limits);
        service_set_hooks(w.service, &(struct service_hooks){.clients_changed = on_clients_changed});
        listen_in_folder();
}

static void
teardown(void)
{
        service_free(w.service);
        event_base_free(w.base);
        unlink(w.address.sun_path);
        rmdir(w.folder);
        dup2(w.old_stderr, STDERR_FILENO);
        close(w.old_stderr);
        if (!w.alerts_expected)
                ck_assert_uint_eq(logged("ALERT"), 0);
        close(w.log);
}

/* ── a client ── */

static int
client_socket(void)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        ck_assert_int_ge(fd, 0);
        return fd;
}

static int
client_new(void)
{
        int fd = client_socket();

        ck_assert_int_eq(connect(fd, (struct sockaddr *)&w.address, sizeof(w.address)), 0);
        settle();
        return fd;
}

/* Sends as much as the socket takes, with turns between. */
static void
client_send(int fd, const char *bytes, size_t len)
{
        for (unsigned turns = 0; len > 0; turns++) {
                ssize_t n = send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n < 0 && errno != EAGAIN)
                        return;
                bytes += MAX(n, 0);
                len -= (size_t)MAX(n, 0);
                turn();
                ck_assert_uint_lt(turns, GUARD_TURNS);
        }
        settle();
}

static void
client_call(int fd, const char *message)
{
        client_send(fd, message, strlen(message) + 1);
}

/* The first byte that waits: itself, -EAGAIN, or 0 at the end of the connection. */
static int
client_peek(int fd)
{
        char c = 0;
        ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK);

        if (n < 0 && errno == ECONNRESET)
                return 0;
        return n < 0 ? -errno : n == 0 ? 0 : c;
}

/* Takes one message; malloc'ed. */
static char *
client_receive(int fd)
{
        size_t len = 0, room = 1 << 16;
        char *message = malloc(room);

        for (;;) {
                UNTIL(client_peek(fd) != -EAGAIN);
                ck_assert_int_eq(recv(fd, message + len, 1, 0), 1);
                if (message[len++] == '\0')
                        return message;
                if (len == room)
                        message = realloc(message, room *= 2);
        }
}

static void
expect_reply(int fd, const char *expected)
{
        AUTO_FREE char *reply = client_receive(fd);

        ck_assert_str_eq(reply, expected);
}

static void
expect_silence(int fd)
{
        settle();
        ck_assert_int_eq(client_peek(fd), -EAGAIN);
}

static void
expect_end(int fd)
{
        UNTIL(client_peek(fd) != -EAGAIN);
        ck_assert_int_eq(client_peek(fd), 0);
        close(fd);
}

#define ECHO(n)   "{\"method\":\"org.test.Echo\",\"parameters\":{\"n\":" #n "}}"
#define ECHOED(n) LAST("\"n\":" #n)
#define LATER     "{\"method\":\"org.test.Later\"}"

/* ── calls ── */

START_TEST(call_byte_by_byte)
{
        static const char message[] = ECHO(5);
        int fd = client_new();

        for (size_t i = 0; i < sizeof(message); i++) {
                ck_assert_uint_eq(w.echoed, 0);
                client_send(fd, message + i, 1);
        }
        expect_reply(fd, ECHOED(5));
        ck_assert_int_eq(w.peer.pid, getpid());
        ck_assert_uint_eq(w.peer.uid, getuid());
        ck_assert_uint_eq(w.peer.gid, getgid());
        ck_assert_int_eq((int)w.peer.n_groups, getgroups(0, NULL));
        close(fd);
}
END_TEST

START_TEST(two_calls_in_one_write)
{
        static const char messages[] = ECHO(1) "\0" ECHO(2) "\0"
                                                            "{\"method\":";
        int fd = client_new();

        client_send(fd, messages, sizeof(messages) - 1);
        expect_reply(fd, ECHOED(1));
        expect_reply(fd, ECHOED(2));
        client_call(fd, "\"org.test.Echo\"}");
        expect_reply(fd, LAST());
        close(fd);
}
END_TEST

START_TEST(replies_come_in_call_order)
{
        static const char messages[] = LATER "\0" ECHO(1) "\0" LATER "\0" ECHO(2);
        int fd = client_new(), other = client_new();

        client_send(fd, messages, sizeof(messages));
        expect_silence(fd);
        ck_assert_uint_eq(w.n_held, 1);
        ck_assert_uint_eq(w.echoed, 0);
        client_call(other, ECHO(7));
        expect_reply(other, ECHOED(7));
        call_reply(w.held[0], json_pack("{s:i}", "n", 10));
        ck_assert_uint_eq(w.n_held, 1); /* the next call does not start on the stack of who replied */
        expect_reply(fd, LAST("\"n\":10"));
        expect_reply(fd, ECHOED(1));
        expect_silence(fd);
        ck_assert_uint_eq(w.n_held, 2);
        call_reply(w.held[1], json_pack("{s:i}", "n", 20));
        ck_assert(service_is_busy(w.service));
        expect_reply(fd, LAST("\"n\":20"));
        expect_reply(fd, ECHOED(2));
        settle();
        ck_assert(!service_is_busy(w.service));
        close(fd);
        close(other);
}
END_TEST

START_TEST(more_streams_progress)
{
        int fd = client_new();

        client_call(fd, "{\"method\":\"org.test.Later\",\"more\":true}");
        ck_assert(call_wants_more(w.held[0]));
        call_progress(w.held[0], json_pack("{s:i}", "n", 1));
        call_progress(w.held[0], json_pack("{s:i}", "n", 2)); /* the first is not read yet: dropped */
        expect_reply(fd, "{\"parameters\":{\"n\":1},\"continues\":true}");
        call_progress(w.held[0], json_pack("{s:i}", "n", 3));
        expect_reply(fd, "{\"parameters\":{\"n\":3},\"continues\":true}");
        call_reply(w.held[0], json_pack("{s:i}", "n", 4));
        expect_reply(fd, LAST("\"n\":4"));
        client_call(fd, LATER);
        ck_assert(!call_wants_more(w.held[1]));
        call_progress(w.held[1], json_pack("{s:i}", "n", 5));
        call_reply(w.held[1], json_pack("{s:i}", "n", 6));
        expect_reply(fd, LAST("\"n\":6"));
        close(fd);
}
END_TEST

START_TEST(oneway_is_executed_without_reply)
{
        int fd = client_new();

        client_call(fd, "{\"method\":\"org.test.Echo\",\"oneway\":true}");
        client_call(fd, "{\"method\":\"org.test.Nowhere\",\"oneway\":true}");
        client_call(fd, "{\"method\":\"org.test.Later\",\"oneway\":true}");
        ck_assert_uint_eq(w.echoed, 1);
        call_reply(w.held[0], json_pack("{s:i}", "n", 1));
        expect_silence(fd);
        client_call(fd, ECHO(3));
        expect_reply(fd, ECHOED(3));
        close(fd);
}
END_TEST

/* What only reads does nothing for who does not want to know. */
START_TEST(oneway_call_of_a_reader_is_not_executed)
{
        int fd = client_new();

        client_call(fd, "{\"method\":\"org.test.Big\",\"oneway\":true,\"parameters\":{\"bytes\":10}}");
        client_call(fd, "{\"method\":\"org.varlink.service.GetInfo\",\"oneway\":true}");
        ck_assert_uint_eq(w.bigs, 0);
        client_call(fd, ECHO(1));
        expect_reply(fd, ECHOED(1));
        client_call(fd, "{\"method\":\"org.test.Big\",\"parameters\":{\"bytes\":1}}");
        expect_reply(fd, LAST("\"text\":\"x\""));
        ck_assert_uint_eq(w.bigs, 1);
        close(fd);
}
END_TEST

#define PIPELINED 200
#define AT_ONCE   16 /* calls, or connections, that may be handled in one turn */

/* However many calls a client sends at once: between some of them others have their turn, all are handled in their
 * order, and what follows them, or that nothing does, is noticed. */
START_TEST(pipelined_calls_let_others_have_their_turn)
{
        static const char call[] = "{\"method\":\"org.test.Echo\",\"oneway\":true}";
        struct service_limits limits = usual_limits;
        int fd = client_new(), other = client_new();
        char all[PIPELINED * sizeof(call)];

        limits.request_timeout_ns = 1; /* of a partial request: these are whole */
        service_set_limits(w.service, &limits);
        for (unsigned i = 0; i < PIPELINED; i++)
                memcpy(all + i * sizeof(call), call, sizeof(call));
        ck_assert_int_eq(send(fd, all, sizeof(all), MSG_NOSIGNAL), sizeof(all));
        pass();
        ck_assert_uint_le(w.echoed, AT_ONCE);
        ck_assert(service_is_busy(w.service));
        ck_assert_int_eq(send(other, ECHO(7), sizeof(ECHO(7)), MSG_NOSIGNAL), sizeof(ECHO(7)));
        for (unsigned i = 0; i < 3; i++) {
                unsigned before = w.echoed;

                pass();
                ck_assert_uint_le(w.echoed - before, AT_ONCE + 1);
        }
        ck_assert_int_ne(client_peek(other), -EAGAIN);
        expect_reply(other, ECHOED(7));
        UNTIL(w.echoed == PIPELINED + 1);
        if (_i == 0) {
                client_call(fd, ECHO(8));
                expect_reply(fd, ECHOED(8));
        } else if (_i == 1) {
                shutdown(fd, SHUT_WR);
                expect_end(dup(fd));
        }
        close(fd);
        UNTIL(service_clients(w.service) == 1);
        ck_assert_uint_eq(logged("refused"), 0);
        close(other);
}
END_TEST

/* A client that sends faster than its calls are handled is not read meanwhile, so nothing piles up. */
START_TEST(calls_that_wait_for_their_turn_are_bounded)
{
        static const char call[] = "{\"method\":\"org.test.Echo\",\"oneway\":true}";
        int fd = client_new();
        unsigned sent = 0;

        for (unsigned i = 0; i < 300; i++) {
                while (send(fd, call, sizeof(call), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(call))
                        sent++;
                ck_assert_int_eq(errno, EAGAIN);
                pass();
        }
        ck_assert_uint_ge(w.echoed, 300);
        /* The rest is in the socket, or at most one read, of 16 KiB, further. */
        ck_assert_uint_le(sent - w.echoed, 16384 / sizeof(call) + 4096);
        close(fd);
        settle();
}
END_TEST

static const struct {
        const char *call, *reply;
} answers[] = {
        {"{\"method\":\"org.varlink.service.GetInfo\"}",
         LAST("\"vendor\":\"Vendor\",\"product\":\"product\",\"version\":\"1.2\",\"url\":\"https://example.org\","
              "\"interfaces\":[\"org.varlink.service\",\"org.test\"]")},
        {"{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{\"interface\":\"org.no\"}}",
         "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"org.no\"}}"},
        {"{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{\"interface\":1}}",
         "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":\"interface\"}}"},
        {"{\"method\":\"org.varlink.service.Nowhere\"}",
         "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":"
         "{\"method\":\"org.varlink.service.Nowhere\"}}"},
        {"{\"method\":\"org.test.sub.Echo\"}",
         "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"org.test.sub\"}}"},
        {"{\"method\":\"org.test.Nowhere\"}",
         "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":\"org.test.Nowhere\"}}"},
        {"{\"method\":\"org.test.BadValue\"}",
         "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":\"org.test.BadValue\"}}"},
        {"{\"method\":\"org.test.Echo\",\"upgrade\":true}",
         "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":\"upgrade\"}}"},
        {"{\"method\":\"org.test.Echo\",\"parameters\":{\"m\":1}}",
         "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":\"m\"}}"},
        {"{\"method\":\"org.test.Big\",\"parameters\":{}}",
         "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":\"bytes\"}}"},
        {"{\"method\":\"org.test.Echo\",\"parameters\":{\"n\":\"x\"}}",
         "{\"error\":\"org.test.BadValue\",\"parameters\":{\"field\":\"n\",\"given\":\"\\\"x\\\"\",\"allowed\":\"int\"}"
         "}"},
        {"{\"method\":\"org.test.Echo\",\"parameters\":{\"n\":1.5}}",
         "{\"error\":\"org.test.BadValue\",\"parameters\":{\"field\":\"n\",\"given\":\"1.5\",\"allowed\":\"int\"}}"},
        {"{\"method\":\"org.test.Echo\",\"parameters\":{\"list\":[1,{\"a\":[]}]}}",
         "{\"error\":\"org.test.BadValue\",\"parameters\":{\"field\":\"list[1]\",\"given\":\"{\\\"a\\\":[]}\","
         "\"allowed\":\"int\"}}"},
        {"{\"method\":\"org.test.Echo\",\"parameters\":{\"n\":1e3}}", ECHOED(1000)},
        {"{\"method\":\"org.test.Echo\",\"parameters\":null}", LAST()},
        {" {\"method\" : \"org.test.Echo\"}\n", LAST()},
};

START_TEST(call_gets_this_answer)
{
        int fd = client_new();

        client_call(fd, answers[_i].call);
        expect_reply(fd, answers[_i].reply);
        client_call(fd, ECHO(1)); /* and the connection is as good as before */
        expect_reply(fd, ECHOED(1));
        close(fd);
}
END_TEST

/* Calls with one bad value and returns what the error quotes; malloc'ed. */
static char *
quoted_value(const char *call)
{
        AUTO_FREE char *reply = NULL;
        AUTO_JSON json_t *j = NULL;
        const char *error, *given;
        int fd = client_new();

        client_call(fd, call);
        reply = client_receive(fd);
        close(fd);
        j = json_loads(reply, 0, NULL);
        ck_assert_int_eq(json_unpack(j, "{s:s, s:{s:s}}", "error", &error, "parameters", "given", &given), 0);
        ck_assert_str_eq(error, "org.test.BadValue");
        return strdup(given);
}

START_TEST(integers_beyond_range_are_bad_values)
{
        AUTO_FREE char *given =
                quoted_value("{\"method\":\"org.test.Echo\",\"parameters\":{\"n\":18446744073709551616}}");

        ck_assert_str_eq(given, "18446744073709551616");
}
END_TEST

START_TEST(long_values_are_quoted_in_part)
{
        AUTO_FREE char *given = NULL;
        char call[2000] = "{\"method\":\"org.test.Echo\",\"parameters\":{\"n\":\"";

        for (unsigned i = 0; i < 300; i++)
                strcat(call, "€");
        strcat(call, "\"}}");
        given = quoted_value(call);
        ck_assert_uint_eq(strlen(given), 1 + 63 * strlen("€"));
}
END_TEST

START_TEST(descriptions_are_the_texts)
{
        static const char *const names[] = {"org.test", "org.varlink.service"};
        const char *const texts[] = {interface_text, idl_org_varlink_service};
        int fd = client_new();

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                AUTO_FREE char *call = NULL, *reply = NULL;
                AUTO_JSON json_t *j = NULL;
                const char *description;

                ck_assert_int_gt(asprintf(&call,
                                          "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
                                          "\"parameters\":{\"interface\":\"%s\"}}",
                                          names[i]),
                                 0);
                client_call(fd, call);
                reply = client_receive(fd);
                j = json_loads(reply, 0, NULL);
                ck_assert_int_eq(json_unpack(j, "{s:{s:s}}", "parameters", "description", &description), 0);
                ck_assert_str_eq(description, texts[i]);
        }
        close(fd);
}
END_TEST

#ifndef NDEBUG
START_TEST(undeclared_replies_raise_an_alert)
{
        static const char *const hows[] = {"reply", "error", "parameters"};
        AUTO_FREE char *call = NULL, *reply = NULL;
        int fd = client_new();

        w.alerts_expected = true;
        ck_assert_int_gt(asprintf(&call, "{\"method\":\"org.test.Wrong\",\"parameters\":{\"how\":\"%s\"}}", hows[_i]),
                         0);
        client_call(fd, call);
        reply = client_receive(fd);
        ck_assert_uint_eq(logged("ALERT"), 1);
        close(fd);
}
END_TEST
#endif

/* ── bad clients ── */

static const struct {
        const char *bytes;
        size_t len;
} malformed[] = {
#define BYTES(s)                                                                                                       \
        {                                                                                                              \
                s, sizeof(s)                                                                                           \
        }
        BYTES(""),
        BYTES("x"),
        BYTES("[]"),
        BYTES("{}"),
        BYTES("{\"method\":\"org.test.Echo\"}{}"),
        BYTES("{\"method\":\"org.test.Echo\",\"method\":\"org.test.Echo\"}"),
        BYTES("{\"method\":\"org.test.Echo\",\"parameters\":{\"n\":1,\"n\":1}}"),
        BYTES("{\"method\":\"org.test.Echo\",\"parameters\":{\"text\":\"\xff\"}}"),
        BYTES("{\"method\":\"org.test.Echo\",\"parameters\":[]}"),
        BYTES("{\"method\":\"org.test.Echo\",\"more\":1}"),
        BYTES("{\"method\":\"org.test.Echo\",\"more\":true,\"oneway\":true}"),
        BYTES("{\"method\":\"org.test.Echo\",\"other\":true}"),
        BYTES("{\"method\":\"Echo\"}"),
        BYTES("{\"method\":\"org.test.echo\"}"),
        BYTES("{\"method\":\"org.test.\"}"),
        BYTES("{\"method\":\"\"}"),
        BYTES("{\"method\":1}"),
};

START_TEST(malformed_request_ends_the_connection)
{
        int fd = client_new();

        client_call(fd, ECHO(1));
        client_send(fd, malformed[_i].bytes, malformed[_i].len);
        client_call(fd, ECHO(2));
        expect_reply(fd, ECHOED(1)); /* what was right before is answered */
        expect_end(fd);
        ck_assert_uint_eq(w.echoed, 1);
        ck_assert_uint_eq(service_clients(w.service), 0);
        ck_assert_uint_ge(logged("INFO test: client pid"), 1);
}
END_TEST

START_TEST(deep_request_ends_the_connection)
{
        static char bytes[60000];
        int fd = client_new();

        memset(bytes, '[', sizeof(bytes));
        memcpy(bytes, "{\"a\":", 5);
        bytes[sizeof(bytes) - 1] = '\0';
        client_send(fd, bytes, sizeof(bytes));
        expect_end(fd);
}
END_TEST

/* A request of `size` bytes with its NUL. */
static char *
request_of(size_t size)
{
        static const char head[] = "{\"method\":\"org.test.Echo\"";
        char *message = malloc(size);

        memset(message, ' ', size);
        memcpy(message, head, strlen(head));
        strcpy(message + size - 2, "}");
        return message;
}

START_TEST(request_may_be_this_long_and_not_longer)
{
        struct service_limits limits = usual_limits;
        AUTO_FREE char *fits = request_of(10000), *too_long = request_of(10001);
        int fd = client_new();

        limits.max_message = 10000;
        service_set_limits(w.service, &limits);
        client_send(fd, fits, 10000);
        expect_reply(fd, LAST());
        client_send(fd, too_long, 10001);
        expect_end(fd);
        fd = client_new();
        client_send(fd, too_long, 9999); /* still without its NUL, but it may come */
        expect_silence(fd);
        client_send(fd, " ", 1); /* now it cannot */
        expect_end(fd);
        ck_assert_uint_eq(w.echoed, 1);
        ck_assert_uint_eq(logged("request too long"), 2);
}
END_TEST

START_TEST(requests_behind_a_call_are_bounded)
{
        struct service_limits limits = usual_limits;
        AUTO_FREE char *request = request_of(3000);
        int fd = client_new();

        limits.max_message = 4096;
        service_set_limits(w.service, &limits);
        client_call(fd, LATER);
        client_send(fd, request, 3000);
        expect_silence(fd);
        ck_assert_uint_eq(w.gone, 0);
        for (unsigned i = 0; i < 3; i++)
                client_send(fd, request, 3000);
        expect_end(fd);
        ck_assert_uint_eq(w.gone, 1);
        ck_assert_uint_eq(w.echoed, 0);
}
END_TEST

START_TEST(unread_output_is_bounded)
{
        struct service_limits limits = usual_limits;
        int fd = client_new();

        limits.max_unread = 1 << 20;
        service_set_limits(w.service, &limits);
        for (unsigned i = 0; i < 100 && service_clients(w.service) > 0; i++)
                client_call(fd, "{\"method\":\"org.test.Big\",\"parameters\":{\"bytes\":100000}}");
        ck_assert_uint_eq(service_clients(w.service), 0);
        ck_assert_uint_eq(logged("too much unread output"), 1);
        close(fd);
}
END_TEST

START_TEST(output_of_a_late_reply_is_bounded)
{
        struct service_limits limits = usual_limits;
        int fd = client_new();

        limits.max_unread = 10;
        service_set_limits(w.service, &limits);
        client_call(fd, LATER);
        call_reply(w.held[0], json_pack("{s:i}", "n", 1));
        UNTIL(service_clients(w.service) == 0);
        ck_assert_uint_eq(logged("too much unread output"), 1);
        close(fd);
}
END_TEST

START_TEST(request_must_be_finished_in_time)
{
        struct service_limits limits = usual_limits;
        int slow = client_new(), idle = client_new();

        limits.request_timeout_ns = 100 * NS_PER_MS;
        service_set_limits(w.service, &limits);
        /* Bytes that keep coming do not move the deadline. */
        UNTIL(send(slow, " ", 1, MSG_NOSIGNAL) < 0 || client_peek(slow) == 0);
        expect_end(slow);
        ck_assert_uint_eq(logged("request not finished in time"), 1);
        client_call(idle, ECHO(1)); /* who asks nothing may stay */
        expect_reply(idle, ECHOED(1));
        close(idle);
}
END_TEST

START_TEST(call_in_progress_has_no_deadline)
{
        struct service_limits limits = usual_limits;
        int patient = client_new(), slow = client_new();

        limits.request_timeout_ns = 100 * NS_PER_MS;
        service_set_limits(w.service, &limits);
        client_call(patient, LATER);
        client_send(patient, "{", 1);
        client_send(slow, "{", 1); /* its deadline is later than any that the first could have */
        expect_end(slow);
        ck_assert_int_eq(client_peek(patient), -EAGAIN);
        call_reply(w.held[0], json_pack("{s:i}", "n", 1));
        expect_reply(patient, LAST("\"n\":1"));
        expect_end(patient); /* the rest of the request did not come */
}
END_TEST

START_TEST(replies_must_be_read_in_time)
{
        struct service_limits limits = usual_limits;
        int fd = client_new();

        limits.request_timeout_ns = 100 * NS_PER_MS;
        service_set_limits(w.service, &limits);
        client_call(fd, "{\"method\":\"org.test.Big\",\"parameters\":{\"bytes\":3000000}}");
        UNTIL(service_clients(w.service) == 0);
        ck_assert_uint_eq(logged("replies not read in time"), 1);
        close(fd);
}
END_TEST

/* ── clients that leave ── */

START_TEST(cut_request_is_dropped)
{
        int fd = client_new();

        client_call(fd, ECHO(1));
        client_send(fd, "{\"method\":\"org.t", 16);
        shutdown(fd, SHUT_WR);
        expect_reply(fd, ECHOED(1));
        expect_end(fd);
        ck_assert_uint_eq(logged("closed within a request"), 1);
        ck_assert_uint_eq(service_clients(w.service), 0);
}
END_TEST

START_TEST(half_closed_client_is_answered)
{
        static const char messages[] = ECHO(1) "\0" LATER "\0" ECHO(2);
        int fd = client_new();

        client_send(fd, messages, sizeof(messages));
        shutdown(fd, SHUT_WR);
        expect_reply(fd, ECHOED(1));
        expect_silence(fd);
        ck_assert_uint_eq(w.gone, 0);
        call_reply(w.held[0], json_pack("{s:i}", "n", 3));
        expect_reply(fd, LAST("\"n\":3"));
        expect_reply(fd, ECHOED(2));
        expect_end(fd);
        ck_assert_uint_eq(w.gone, 0);
}
END_TEST

START_TEST(half_closed_client_that_leaves_is_noticed)
{
        int fd = client_new();

        client_call(fd, LATER);
        shutdown(fd, SHUT_WR);
        expect_silence(fd);
        ck_assert_uint_eq(w.gone, 0);
        close(fd);
        UNTIL(w.gone == 1);
        ck_assert_uint_eq(service_clients(w.service), 0);
}
END_TEST

START_TEST(client_that_leaves_is_noticed_at_once)
{
        int fd = client_new(), silent = client_new();

        client_call(fd, LATER);
        client_call(fd, ECHO(1));
        client_call(silent, LATER);
        call_on_gone(w.held[1], NULL, NULL);
        close(silent);
        close(fd);
        settle(); /* no time passes here that a timer could use */
        ck_assert_uint_eq(w.gone, 1);
        ck_assert_uint_eq(w.echoed, 0);
        ck_assert_uint_eq(service_clients(w.service), 0);
        ck_assert_uint_eq(w.changes, 4);
}
END_TEST

START_TEST(client_that_leaves_unread_output_is_noticed)
{
        int fd = client_new();

        client_call(fd, "{\"method\":\"org.test.Big\",\"parameters\":{\"bytes\":3000000}}");
        ck_assert(service_is_busy(w.service));
        close(fd);
        UNTIL(service_clients(w.service) == 0);
        ck_assert(!service_is_busy(w.service));
}
END_TEST

/* ── room ── */

START_TEST(connections_are_limited)
{
        struct service_limits limits = usual_limits;
        bool per_user = _i == 0;
        int first = client_new(), second = client_new(), third;

        *(per_user ? &limits.connections_per_user : &limits.connections) = 2;
        service_set_limits(w.service, &limits);
        third = client_new();
        expect_reply(third,
                     per_user ? "{\"error\":\"org.test.Busy\",\"parameters\":{\"what\":\"connections of one user\","
                                "\"limit\":2}}"
                              : "{\"error\":\"org.test.Busy\",\"parameters\":{\"what\":\"connections\",\"limit\":2}}");
        expect_end(third);
        ck_assert_uint_eq(service_clients(w.service), 2);
        close(first);
        settle();
        third = client_new();
        client_call(third, ECHO(3));
        expect_reply(third, ECHOED(3));
        close(second);
        close(third);
}
END_TEST

static bool
is_privileged(void *userdata, const struct peer *peer)
{
        ck_assert_ptr_eq(userdata, &w);
        ck_assert_int_eq((int)peer->n_groups, getgroups(0, NULL));
        return w.privileged;
}

static void
on_refused(void *userdata, const struct peer *peer, const char *what, const char *why)
{
        ck_assert_ptr_eq(userdata, &w);
        ck_assert_uint_eq(peer->uid, getuid());
        w.refused++;
        snprintf(w.refusal, sizeof(w.refusal), "%s: %s", what, why);
}

static const struct service_hooks all_hooks = {
        .clients_changed = on_clients_changed, .is_privileged = is_privileged, .refused = on_refused};

/* Places, of them reserved, and how many others can have. */
static const unsigned places[][3] = {{4, 0, 4}, {4, 1, 3}, {4, 2, 2}, {4, 3, 2}, {4, 100, 2}, {5, 100, 3}, {1, 8, 1}};

START_TEST(places_are_reserved)
{
        struct service_limits limits = usual_limits;
        unsigned n = places[_i][0], common = places[_i][2];
        int fds[8], other;
        char busy[100];

        limits.connections = n;
        limits.reserved = places[_i][1];
        service_set_limits(w.service, &limits);
        service_set_hooks(w.service, &all_hooks);
        for (unsigned i = 0; i < common; i++)
                fds[i] = client_new();
        ck_assert_uint_eq(service_clients(w.service), common);
        other = client_new();
        snprintf(busy, sizeof(busy),
                 "{\"error\":\"org.test.Busy\",\"parameters\":{\"what\":\"connections\",\"limit\":%u}}", common);
        expect_reply(other, busy);
        expect_end(other);
        snprintf(busy, sizeof(busy), "connection: connections have their limit, %u", common);
        ck_assert_str_eq(w.refusal, busy);
        w.privileged = true;
        for (unsigned i = common; i < n; i++) {
                fds[i] = client_new();
                client_call(fds[i], ECHO(3));
                expect_reply(fds[i], ECHOED(3));
        }
        other = client_new();
        free(client_receive(other));
        close(other);
        ck_assert_uint_eq(service_clients(w.service), n);
        ck_assert_uint_eq(w.refused, 2);
        for (unsigned i = 0; i < n; i++)
                close(fds[i]);
        settle();
        ck_assert_uint_eq(service_clients(w.service), 0);
}
END_TEST

/* Of what the log has of everybody who misbehaves, its owner can say how much of it there is to be. */
START_TEST(owner_is_told_of_refusals)
{
        struct service_limits limits = usual_limits;
        int fd;

        service_set_hooks(w.service, &all_hooks);
        fd = client_new();
        client_call(fd, "nonsense");
        expect_end(fd);
        ck_assert_uint_eq(w.refused, 1);
        ck_assert_str_eq(w.refusal, "request: not JSON");
        limits.request_timeout_ns = 1;
        service_set_limits(w.service, &limits);
        fd = client_new();
        client_send(fd, "{", 1);
        expect_end(fd);
        ck_assert_uint_eq(w.refused, 2);
        ck_assert_str_eq(w.refusal, "connection: request not finished in time");
        limits = usual_limits;
        limits.connections_per_user = 0;
        service_set_limits(w.service, &limits);
        fd = client_new();
        free(client_receive(fd));
        close(fd);
        ck_assert_uint_eq(w.refused, 3);
        ck_assert_str_eq(w.refusal, "connection: connections of one user have their limit, 0");
        ck_assert_uint_eq(logged("client"), 0);
}
END_TEST

/* What fails here is told as such: the client did nothing that could be refused. */
START_TEST(own_failure_is_no_refusal)
{
        int fd = client_new();

        service_set_hooks(w.service, &all_hooks);
        client_call(fd, LATER);
        no_memory = true;
        call_reply(w.held[0], json_pack("{s:i}", "n", 1));
        no_memory = false;
        expect_end(fd);
        ck_assert_uint_eq(w.refused, 0);
        ck_assert_uint_eq(logged("ERROR"), 1);
        ck_assert_uint_eq(logged("connection closed: out of memory"), 1);
}
END_TEST

#define BURST 50

/* However many are in the queue, and come while it is emptied: who is in has his turn between some of them. */
START_TEST(burst_of_connections_lets_others_have_their_turn)
{
        int first = client_new(), fds[BURST];

        for (unsigned i = 0; i < BURST; i++) {
                fds[i] = client_socket();
                ck_assert_int_eq(connect(fds[i], (struct sockaddr *)&w.address, sizeof(w.address)), 0);
        }
        ck_assert_int_eq(send(first, ECHO(7), sizeof(ECHO(7)), MSG_NOSIGNAL), sizeof(ECHO(7)));
        for (unsigned before; (before = service_clients(w.service)) < 1 + BURST;) {
                pass();
                ck_assert_uint_le(service_clients(w.service) - before, AT_ONCE);
                if (before == 1)
                        continue;
                ck_assert_int_ne(client_peek(first), -EAGAIN);
                if (_i == 1 && before < BURST && fds[0] >= 0) { /* an end in the middle of a rest */
                        close(fds[0]);
                        fds[0] = -1;
                        UNTIL(service_clients(w.service) == BURST);
                        break;
                }
        }
        expect_reply(first, ECHOED(7));
        for (unsigned i = 0; i < BURST; i++) {
                if (fds[i] < 0)
                        continue;
                client_call(fds[i], ECHO(1));
                expect_reply(fds[i], ECHOED(1));
                close(fds[i]);
        }
        close(first);
        settle();
        ck_assert_uint_eq(service_clients(w.service), 0);
}
END_TEST

static void
limit_descriptors(struct rlimit *ret_before)
{
        struct rlimit limit;
        int next = dup(STDIN_FILENO);

        ck_assert_int_ge(next, 0);
        close(next);
        getrlimit(RLIMIT_NOFILE, &limit);
        *ret_before = limit;
        limit.rlim_cur = (rlim_t)next;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static uint64_t
now_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* Without descriptors the listener must rest: six blocking turns of the loop are three rests of 100 ms, of which the
 * first may have begun before. A listener that does not rest would make six turns in no time. */
START_TEST(listener_rests_without_descriptors)
{
        struct rlimit before;
        int first = client_new(), second = client_socket();
        uint64_t begin;

        limit_descriptors(&before);
        ck_assert_int_eq(connect(second, (struct sockaddr *)&w.address, sizeof(w.address)), 0);
        begin = now_ns();
        for (unsigned i = 0; i < 6; i++)
                event_base_loop(w.base, EVLOOP_ONCE);
        ck_assert_uint_ge(now_ns() - begin, 150 * NS_PER_MS);
        ck_assert_uint_eq(service_clients(w.service), 1);
        ck_assert_uint_eq(logged("cannot accept"), 1);
        if (_i == 0) {
                turn(); /* after this the listener certainly rests */
                close(first);
                settle();
                ck_assert_int_eq(service_clients(w.service), 1); /* a connection ended: there is room at once */
                client_call(second, ECHO(1));
                expect_reply(second, ECHOED(1));
        } else {
                setrlimit(RLIMIT_NOFILE, &before);
        }
        client_call(second, ECHO(2));
        expect_reply(second, ECHOED(2));
        setrlimit(RLIMIT_NOFILE, &before);
        if (_i != 0)
                close(first);
        close(second);
}
END_TEST

/* ── the end, and the beginning ── */

START_TEST(shutdown_finishes_what_was_begun)
{
        int fd = client_new(), other = client_new(), late = client_socket();

        client_call(fd, LATER);
        service_shutdown(w.service);
        ck_assert_int_eq(connect(late, (struct sockaddr *)&w.address, sizeof(w.address)), -1);
        ck_assert_int_eq(errno, ECONNREFUSED);
        client_call(other, ECHO(1));
        expect_reply(other, "{\"error\":\"org.test.ShuttingDown\",\"parameters\":{}}");
        ck_assert(service_is_busy(w.service));
        call_reply(w.held[0], json_pack("{s:i}", "n", 1));
        expect_reply(fd, LAST("\"n\":1"));
        settle();
        ck_assert(!service_is_busy(w.service));
        ck_assert_uint_eq(w.echoed, 0);
        close(fd);
        close(other);
        close(late);
}
END_TEST

START_TEST(free_ends_everything)
{
        int fd = client_new();

        client_call(fd, LATER);
        service_free(TAKE(w.service));
        ck_assert_uint_eq(w.gone, 1);
        ck_assert_int_eq(client_peek(fd), 0);
        close(fd);
}
END_TEST

START_TEST(second_listener_is_refused)
{
        AUTO_CLOSE int fd = client_socket();

        ck_assert_int_eq(service_listen(w.service, fd), -EBUSY);
        ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
}
END_TEST

static const struct service_method no_later[] = {
        {"Echo", handle_echo},
        {"Big", handle_big},
        {"Wrong", handle_wrong},
        {NULL, NULL},
};
static const struct service_method one_more[] = {
        {"Echo", handle_echo},   {"Later", handle_later}, {"Big", handle_big},
        {"Wrong", handle_wrong}, {"More", handle_echo},   {NULL, NULL},
};
static const struct service_method one_twice[] = {
        {"Echo", handle_echo},   {"Later", handle_later}, {"Big", handle_big},
        {"Wrong", handle_wrong}, {"Echo", handle_later},  {NULL, NULL},
};
static const struct service_method one_empty[] = {
        {"Echo", NULL}, {"Later", handle_later}, {"Big", handle_big}, {"Wrong", handle_wrong}, {NULL, NULL},
};
static const struct service_method only_echo[] = {{"Echo", handle_echo}, {NULL, NULL}};

static const struct {
        const char *text;
        const struct service_method *methods;
} unfit[] = {
        {interface_text, no_later},
        {interface_text, one_more},
        {interface_text, one_twice},
        {interface_text, one_empty},
        {"interface org.test\nmethod Echo() -> ()\n", only_echo}, /* declares no errors */
        {"interface org.test\nmethod Echo(\n", only_echo},
};

START_TEST(unfit_methods_are_refused)
{
        struct service *service = NULL;

        ck_assert_int_eq(service_new(w.base, &info, unfit[_i].text, unfit[_i].methods, NULL, &service), -EINVAL);
        ck_assert_ptr_null(service);
        ck_assert_uint_eq(logged("ERROR"), 1);
}
END_TEST

static TCase *
calls_case(void)
{
        TCase *tc = tcase_create("calls");

        tcase_add_test(tc, call_byte_by_byte);
        tcase_add_test(tc, two_calls_in_one_write);
        tcase_add_test(tc, replies_come_in_call_order);
        tcase_add_test(tc, more_streams_progress);
        tcase_add_test(tc, oneway_is_executed_without_reply);
        tcase_add_test(tc, oneway_call_of_a_reader_is_not_executed);
        tcase_add_loop_test(tc, pipelined_calls_let_others_have_their_turn, 0, 3);
        tcase_add_test(tc, calls_that_wait_for_their_turn_are_bounded);
        tcase_add_loop_test(tc, call_gets_this_answer, 0, ARRAY_SIZE(answers));
        tcase_add_test(tc, integers_beyond_range_are_bad_values);
        tcase_add_test(tc, long_values_are_quoted_in_part);
        tcase_add_test(tc, descriptions_are_the_texts);
#ifndef NDEBUG
        tcase_add_loop_test(tc, undeclared_replies_raise_an_alert, 0, 3);
#endif
        return tc;
}

static TCase *
bad_clients_case(void)
{
        TCase *tc = tcase_create("bad clients");

        tcase_add_loop_test(tc, malformed_request_ends_the_connection, 0, ARRAY_SIZE(malformed));
        tcase_add_test(tc, deep_request_ends_the_connection);
        tcase_add_test(tc, request_may_be_this_long_and_not_longer);
        tcase_add_test(tc, requests_behind_a_call_are_bounded);
        tcase_add_test(tc, unread_output_is_bounded);
        tcase_add_test(tc, output_of_a_late_reply_is_bounded);
        tcase_add_test(tc, request_must_be_finished_in_time);
        tcase_add_test(tc, call_in_progress_has_no_deadline);
        tcase_add_test(tc, replies_must_be_read_in_time);
        return tc;
}

static TCase *
connections_case(void)
{
        TCase *tc = tcase_create("connections");

        tcase_add_test(tc, cut_request_is_dropped);
        tcase_add_test(tc, half_closed_client_is_answered);
        tcase_add_test(tc, half_closed_client_that_leaves_is_noticed);
        tcase_add_test(tc, client_that_leaves_is_noticed_at_once);
        tcase_add_test(tc, client_that_leaves_unread_output_is_noticed);
        tcase_add_loop_test(tc, connections_are_limited, 0, 2);
        tcase_add_loop_test(tc, places_are_reserved, 0, ARRAY_SIZE(places));
        tcase_add_test(tc, owner_is_told_of_refusals);
        tcase_add_test(tc, own_failure_is_no_refusal);
        tcase_add_loop_test(tc, burst_of_connections_lets_others_have_their_turn, 0, 2);
        tcase_add_loop_test(tc, listener_rests_without_descriptors, 0, 2);
        tcase_add_test(tc, shutdown_finishes_what_was_begun);
        tcase_add_test(tc, free_ends_everything);
        tcase_add_test(tc, second_listener_is_refused);
        tcase_add_loop_test(tc, unfit_methods_are_refused, 0, ARRAY_SIZE(unfit));
        return tc;
}

int
main(void)
{
        Suite *suite = suite_create("service");
        TCase *cases[] = {calls_case(), bad_clients_case(), connections_case()};

        event_set_mem_functions(allocate, realloc, free);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                tcase_set_timeout(cases[i], 100);
                tcase_add_checked_fixture(cases[i], setup, teardown);
                suite_add_tcase(suite, cases[i]);
        }
        return run_suite(suite);
}
