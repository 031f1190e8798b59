/* SPDX-License-Identifier: MIT */
/*
 * The server of the metrics when something is missing: descriptors, memory. Server and clients live in one thread, on a
 * supervisor that has nothing but its configuration and its event base. What it serves is in test_metrics.c, and how it
 * fares with clients of all kinds in tests/integration/test_metrics.py.
 */
#include "supervisor/metrics-http.h"

#include "shared/clock.h"
#include "shared/log.h"
#include "supervisor/supervisor.h"

#include "run_suite.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PLACES  16
#define CLIENTS (PLACES + 8)

static bool no_memory; /* for libevent, to let what it has grow */

static struct {
        struct supervisor supervisor;
        struct metrics_http *server;
        char folder[64];
        struct sockaddr_un address;
        int log, old_stderr;
        int clients[CLIENTS];
        unsigned n;
} w;

static void *
reallocate(void *old, size_t size)
{
        return no_memory ? NULL : realloc(old, size);
}

static void
setup(void)
{
        struct config *config = &w.supervisor.config;

        memset(&w, 0, sizeof(w));
        no_memory = false;
        w.log = memfd_create("log", MFD_CLOEXEC);
        w.old_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        ck_assert_int_ge(dup2(w.log, STDERR_FILENO), 0);
        log_init("test", LOG_LEVEL_INFO);
        snprintf(w.folder, sizeof(w.folder), "/tmp/concd-test-http-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(w.folder));
        w.address.sun_family = AF_UNIX;
        snprintf(w.address.sun_path, sizeof(w.address.sun_path), "%s/metrics", w.folder);
        config->metrics_socket = w.address.sun_path;
        config->socket = w.folder;
        config->metrics_socket_mode = 0600;
        w.supervisor.base = event_base_new();
}

static void
teardown(void)
{
        metrics_http_stop(w.server);
        for (unsigned i = 0; i < w.n; i++)
                close(w.clients[i]);
        event_base_free(w.supervisor.base);
        ck_assert_int_eq(rmdir(w.folder), 0); /* the socket is gone */
        dup2(w.old_stderr, STDERR_FILENO);
        close(w.old_stderr);
        close(w.log);
}

static void
start(void)
{
        ck_assert_int_eq(metrics_http_start(&w.supervisor, &w.server), 0);
}

static void
turn_for(uint64_t ns)
{
        for (uint64_t begin = clock_now_ns(); clock_now_ns() - begin < ns; usleep(1000))
                event_base_loop(w.supervisor.base, EVLOOP_NONBLOCK);
}

static int
client_new(void)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        ck_assert_int_ge(fd, 0);
        ck_assert_uint_lt(w.n, CLIENTS);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&w.address, sizeof(w.address)), 0);
        w.clients[w.n++] = fd;
        return fd;
}

/* The first descriptor that is free. */
static int
next_descriptor(void)
{
        int next = dup(STDIN_FILENO);

        ck_assert_int_ge(next, 0);
        close(next);
        return next;
}

/* How many descriptors there are. */
static unsigned
descriptors(void)
{
        unsigned n = 0;

        for (int fd = 0; fd < 256; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

static void
limit_descriptors(rlim_t n)
{
        struct rlimit limit;

        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = n;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static unsigned
logged(const char *text)
{
        static char buffer[1 << 16];
        ssize_t n = pread(w.log, buffer, sizeof(buffer) - 1, 0);
        unsigned count = 0;

        buffer[MAX(n, 0)] = '\0';
        for (const char *c = buffer; (c = strstr(c, text)); c++)
                count++;
        return count;
}

/* A rest for want of descriptors ends when all places have been taken meanwhile: that does not make room for more. */
START_TEST(end_of_a_rest_takes_no_more_than_there_are_places)
{
        struct rlimit usual;
        unsigned before;

        start();
        before = descriptors();
        getrlimit(RLIMIT_NOFILE, &usual);
        for (unsigned i = 0; i < PLACES - 1; i++)
                client_new();
        turn_for(10 * NS_PER_MS);
        ck_assert_uint_eq(descriptors() - before, 2 * (PLACES - 1));
        client_new();
        limit_descriptors((rlim_t)next_descriptor());
        turn_for(10 * NS_PER_MS);
        ck_assert_uint_eq(logged("cannot accept connections"), 1);
        limit_descriptors(usual.rlim_cur);
        while (w.n < CLIENTS)
                client_new();
        turn_for(300 * NS_PER_MS);
        ck_assert_uint_eq(descriptors() - before, CLIENTS + PLACES);
}
END_TEST

/* A connection that nobody could look after takes no place: it would never be free again. */
START_TEST(connections_without_a_timer_take_no_place)
{
        static const char request[] = "GET /nothing HTTP/1.0\r\n\r\n";
        char answer[16] = "";
        int fd;

        start();
        no_memory = true;
        for (unsigned i = 0; i < PLACES; i++)
                client_new();
        turn_for(10 * NS_PER_MS);
        no_memory = false;
        for (unsigned i = 0; i < w.n; i++)
                close(w.clients[i]);
        w.n = 0;
        fd = client_new();
        ck_assert_int_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
        turn_for(100 * NS_PER_MS);
        ck_assert_int_gt(recv(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT), 0);
        ck_assert_str_eq(answer, "HTTP/1.0 404 No");
}
END_TEST

START_TEST(socket_that_cannot_be_bound_is_told_once)
{
        char path[100];

        snprintf(path, sizeof(path), "%s/none/metrics", w.folder);
        w.supervisor.config.metrics_socket = path;
        ck_assert_int_eq(metrics_http_start(&w.supervisor, &w.server), -ENOENT);
        ck_assert_ptr_null(w.server);
        ck_assert_uint_eq(logged(path), 1);
        ck_assert_uint_eq(logged("ERROR"), 1);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("metrics_http");
        TCase *tc = tcase_create("metrics_http");

        event_set_mem_functions(malloc, reallocate, free);
        tcase_set_timeout(tc, 60);
        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, end_of_a_rest_takes_no_more_than_there_are_places);
        tcase_add_test(tc, connections_without_a_timer_take_no_place);
        tcase_add_test(tc, socket_that_cannot_be_bound_is_told_once);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
