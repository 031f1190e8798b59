/* SPDX-License-Identifier: MIT */
/* The test is the service manager: a datagram socket, named by NOTIFY_SOCKET, that holds the messages as they come. */
#include "supervisor/notify.h"

#include "build-config.h"
#include "shared/clock.h"

#include "run_suite.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static char folder[64];
static struct sockaddr_un address;
static int manager;

static void
setup(void)
{
        snprintf(folder, sizeof(folder), "/tmp/concd-test-notify-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(folder));
        manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        address = (struct sockaddr_un){.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", folder);
        ck_assert_int_eq(bind(manager, (struct sockaddr *)&address, sizeof(address)), 0);
        setenv("NOTIFY_SOCKET", address.sun_path, 1);
        unsetenv("WATCHDOG_USEC");
        unsetenv("WATCHDOG_PID");
}

static void
teardown(void)
{
        close(manager);
        unlink(address.sun_path);
        rmdir(folder);
}

/* The next message, or "" when there is none. */
static const char *
heard(void)
{
        static char buf[4096];
        ssize_t n = recv(manager, buf, sizeof(buf) - 1, 0);

        ck_assert(n >= 0 || errno == EAGAIN);
        buf[MAX(n, 0)] = 0;
        return buf;
}

static void
expect(const char *message)
{
        ck_assert_str_eq(heard(), HAVE_SYSTEMD ? message : "");
}

START_TEST(states_are_told)
{
        notify_ready();
        expect("READY=1");
        notify_watchdog();
        expect("WATCHDOG=1");
        notify_stopping();
        expect("STOPPING=1");
        notify_status("running %s, %d of %d", "calc × 5", 1, 2);
        expect("STATUS=running calc × 5, 1 of 2");
        ck_assert_str_eq(heard(), "");
}
END_TEST

START_TEST(reload_carries_the_time)
{
        unsigned long long us = 0, before = clock_now_ns() / NS_PER_US;

        notify_reloading();
        if (!HAVE_SYSTEMD) {
                expect("");
                return;
        }
        ck_assert_int_eq(sscanf(heard(), "RELOADING=1\nMONOTONIC_USEC=%llu", &us), 1);
        ck_assert_uint_ge(us, before);
        ck_assert_uint_le(us, clock_now_ns() / NS_PER_US);
}
END_TEST

START_TEST(long_status_is_cut)
{
        char text[2000];

        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = 0;
        notify_status("%s", text);
        ck_assert_uint_eq(strlen(heard()), HAVE_SYSTEMD ? 511 : 0);
}
END_TEST

START_TEST(without_a_manager_nothing_happens)
{
        unsetenv("NOTIFY_SOCKET");
        notify_ready();
        notify_reloading();
        notify_stopping();
        notify_watchdog();
        notify_status("idle");
        ck_assert_str_eq(heard(), "");
        ck_assert_uint_eq(notify_watchdog_interval_ns(), 0);
}
END_TEST

START_TEST(watchdog_is_fed_twice_as_often_as_it_bites)
{
        char pid[16];

        setenv("WATCHDOG_USEC", "3000000", 1);
        ck_assert_uint_eq(notify_watchdog_interval_ns(), HAVE_SYSTEMD ? 1500 * NS_PER_MS : 0);
        setenv("WATCHDOG_PID", "1", 1); /* meant for somebody else */
        ck_assert_uint_eq(notify_watchdog_interval_ns(), 0);
        snprintf(pid, sizeof(pid), "%d", (int)getpid());
        setenv("WATCHDOG_PID", pid, 1);
        ck_assert_uint_eq(notify_watchdog_interval_ns(), HAVE_SYSTEMD ? 1500 * NS_PER_MS : 0);
        setenv("WATCHDOG_USEC", "soon", 1);
        ck_assert_uint_eq(notify_watchdog_interval_ns(), 0);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("notify");
        TCase *tc = tcase_create("notify");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, states_are_told);
        tcase_add_test(tc, reload_carries_the_time);
        tcase_add_test(tc, long_status_is_cut);
        tcase_add_test(tc, without_a_manager_nothing_happens);
        tcase_add_test(tc, watchdog_is_fed_twice_as_often_as_it_bites);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
