/* SPDX-License-Identifier: MIT */
/* Replies in pieces, replies that never end, and what must not be trusted to connect to. */
#include "ctl/exit_code.h"
#include "ctl/place.h"
#include "ctl/stream.h"

#include "run_suite.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static const char reply_text[] = "{\"parameters\":{\"n\":1}}";

/* A connected stream, and the daemon's end of it. */
static struct stream
connected(int *ret_peer)
{
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        *ret_peer = fds[1];
        return (struct stream)STREAM_INIT(fds[0]);
}

static void
put(int fd, const void *bytes, size_t len)
{
        ck_assert_int_eq(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

START_TEST(one_byte_at_a_time)
{
        struct varlink_reply reply;
        int peer;
        struct stream s = connected(&peer);
        const char *raw;
        size_t len;

        for (size_t i = 0; i + 1 < sizeof(reply_text); i++) {
                put(peer, &reply_text[i], 1);
                ck_assert_int_eq(stream_receive(&s, -1, 0, &reply, NULL, NULL), STREAM_E_TIMEOUT);
        }
        put(peer, "", 1);
        ck_assert_int_eq(stream_receive(&s, -1, 1000, &reply, &raw, &len), 0);
        ck_assert_uint_eq(len, sizeof(reply_text) - 1);
        ck_assert_str_eq(raw, reply_text);
        varlink_reply_deinit(&reply);
        close(peer);
        stream_deinit(&s);
}
END_TEST

START_TEST(several_at_once_and_then_the_end)
{
        struct varlink_reply reply;
        int peer;
        struct stream s = connected(&peer);

        for (int i = 0; i < 3; i++)
                put(peer, reply_text, sizeof(reply_text));
        put(peer, "{", 1);
        close(peer);
        for (int i = 0; i < 3; i++) {
                ck_assert_int_eq(stream_receive(&s, -1, 1000, &reply, NULL, NULL), 0);
                varlink_reply_deinit(&reply);
        }
        ck_assert_int_eq(stream_receive(&s, -1, 1000, &reply, NULL, NULL), STREAM_E_CLOSED);
        stream_deinit(&s);
}
END_TEST

START_TEST(what_is_no_reply)
{
        static const char *const texts[] = {"",    "[]", "{", "{}{}", "{\"a\":1}", "{\"parameters\":{\"x\":1,\"x\":2}}",
                                            "\xff"};

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                struct varlink_reply reply;
                int peer;
                struct stream s = connected(&peer);

                put(peer, texts[i], strlen(texts[i]) + 1);
                ck_assert_msg(stream_receive(&s, -1, 1000, &reply, NULL, NULL) == STREAM_E_MALFORMED, "%s", texts[i]);
                close(peer);
                stream_deinit(&s);
        }
}
END_TEST

/* Writes `len` blanks and then `tail` with its NUL; in a child, because the socket holds less. */
static pid_t
feed(int peer, size_t len, const char *tail)
{
        static char blanks[65536];
        pid_t pid = fork();

        if (pid != 0)
                return pid;
        memset(blanks, ' ', sizeof(blanks));
        for (ssize_t n; len > 0; len -= (size_t)n) {
                n = send(peer, blanks, MIN(len, sizeof(blanks)), MSG_NOSIGNAL);
                if (n <= 0)
                        _exit(0);
        }
        (void)!send(peer, tail, strlen(tail) + 1, MSG_NOSIGNAL);
        _exit(0);
}

START_TEST(the_cap)
{
        struct varlink_reply reply;
        int peer;
        struct stream s = connected(&peer);
        pid_t pid = feed(peer, (size_t)STREAM_MESSAGE_MAX + 65536, reply_text);

        ck_assert_int_eq(stream_receive(&s, -1, 60000, &reply, NULL, NULL), STREAM_E_TOO_LONG);
        stream_deinit(&s);
        close(peer);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);

        s = connected(&peer);
        pid = feed(peer, 5 * 1024 * 1024, reply_text);
        ck_assert_int_eq(stream_receive(&s, -1, 60000, &reply, NULL, NULL), 0);
        varlink_reply_deinit(&reply);
        stream_deinit(&s);
        close(peer);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

START_TEST(a_wake_up_ends_the_wait)
{
        struct varlink_reply reply;
        int peer, wake[2];
        struct stream s = connected(&peer);

        ck_assert_int_eq(pipe(wake), 0);
        ck_assert_int_eq(write(wake[1], "", 1), 1);
        ck_assert_int_eq(stream_receive(&s, wake[0], -1, &reply, NULL, NULL), STREAM_E_WOKEN);
        put(peer, reply_text, sizeof(reply_text));
        ck_assert_int_eq(stream_receive(&s, -1, -1, &reply, NULL, NULL), 0);
        varlink_reply_deinit(&reply);
        close(wake[0]);
        close(wake[1]);
        close(peer);
        stream_deinit(&s);
}
END_TEST

START_TEST(a_call_that_nobody_reads_was_not_handed_over)
{
        int peer;
        struct stream s = connected(&peer);
        bool all = true;

        close(peer);
        ck_assert_int_eq(stream_send(&s, "org.concd.Run", NULL, false, &all), STREAM_E_CLOSED);
        ck_assert(!all);
        stream_deinit(&s);
        s = connected(&peer);
        ck_assert_int_eq(stream_send(&s, "org.concd.Run", NULL, false, &all), 0);
        ck_assert(all);
        close(peer);
        stream_deinit(&s);
}
END_TEST

static char base[64];

static void
make_base(void)
{
        strcpy(base, "/tmp/concctl-test-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(base));
        setenv("TMPDIR", base, 1);
        unsetenv("XDG_RUNTIME_DIR");
        /* The messages of the refusals are not what is tested here. */
        ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
}

static char *
base_path(const char *name)
{
        char *path;

        ck_assert_int_gt(asprintf(&path, "%s/%s", base, name), 0);
        return path;
}

static void
remove_base(void)
{
        AUTO_FREE char *own = NULL, *runtime = base_path("concd"), *file = base_path("file"), *sock = base_path("sock");

        ck_assert_int_gt(asprintf(&own, "%s/concd-%u", base, (unsigned)geteuid()), 0);
        if (rmdir(own) < 0)
                unlink(own);
        rmdir(runtime);
        unlink(file);
        unlink(sock);
        ck_assert_int_eq(rmdir(base), 0);
}

START_TEST(the_private_folder)
{
        AUTO_FREE char *dir = NULL, *again = NULL, *other = NULL;
        struct stat st;

        ck_assert_int_eq(place_private_dir(false, &dir), -ENOENT);
        ck_assert_ptr_null(dir);
        ck_assert_int_eq(place_private_dir(true, &dir), 0);
        ck_assert_int_eq(lstat(dir, &st), 0);
        ck_assert_uint_eq(st.st_mode, S_IFDIR | 0700);
        ck_assert_int_eq(place_private_dir(false, &again), 0);
        ck_assert_str_eq(dir, again);

        ck_assert_int_eq(chmod(dir, 0710), 0);
        ck_assert_int_eq(place_private_dir(true, &other), CTL_EXIT_NOT_PERMITTED);
        ck_assert_int_eq(rmdir(dir), 0);
        ck_assert_int_eq(symlink("/", dir), 0);
        ck_assert_int_eq(place_private_dir(true, &other), CTL_EXIT_NOT_PERMITTED);
        ck_assert_ptr_null(other);
}
END_TEST

START_TEST(the_runtime_directory_comes_first)
{
        AUTO_FREE char *dir = NULL, *want = base_path("concd");

        setenv("XDG_RUNTIME_DIR", base, 1);
        ck_assert_int_eq(place_private_dir(true, &dir), 0);
        ck_assert_str_eq(dir, want);
}
END_TEST

START_TEST(what_cannot_be_connected_to)
{
        AUTO_FREE char *file = base_path("file"), *sock = base_path("sock");
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        char long_path[200];
        int fd = -1, s;

        ck_assert_int_eq(place_connect(sock, &fd), -ENOENT);
        close(open(file, O_CREAT | O_WRONLY, 0600));
        ck_assert_int_eq(place_connect(file, &fd), -ENOTSOCK);
        memset(long_path, 'x', sizeof(long_path) - 1);
        long_path[sizeof(long_path) - 1] = '\0';
        ck_assert_int_eq(place_connect(long_path, &fd), PLACE_E_LONG);

        s = socket(AF_UNIX, SOCK_STREAM, 0);
        strcpy(address.sun_path, sock);
        ck_assert_int_eq(bind(s, (struct sockaddr *)&address, sizeof(address)), 0);
        ck_assert_int_eq(place_connect(sock, &fd), -ECONNREFUSED);
        ck_assert_int_eq(fd, -1);
        ck_assert_int_eq(listen(s, 1), 0);
        ck_assert_int_eq(place_connect(sock, &fd), 0);
        close(fd);
        if (geteuid() == 0) {
                ck_assert_int_eq(chown(sock, 12345, (gid_t)-1), 0);
                ck_assert_int_eq(place_connect(sock, &fd), PLACE_E_FOREIGN);
        }
        close(s);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("ctl_stream");
        TCase *tc = tcase_create("stream"), *places = tcase_create("places");

        tcase_set_timeout(tc, 60);
        tcase_add_test(tc, one_byte_at_a_time);
        tcase_add_test(tc, several_at_once_and_then_the_end);
        tcase_add_test(tc, what_is_no_reply);
        tcase_add_test(tc, the_cap);
        tcase_add_test(tc, a_wake_up_ends_the_wait);
        tcase_add_test(tc, a_call_that_nobody_reads_was_not_handed_over);
        suite_add_tcase(suite, tc);
        tcase_add_checked_fixture(places, make_base, remove_base);
        tcase_add_test(places, the_private_folder);
        tcase_add_test(places, the_runtime_directory_comes_first);
        tcase_add_test(places, what_cannot_be_connected_to);
        suite_add_tcase(suite, places);
        return run_suite(suite);
}
