/* SPDX-License-Identifier: MIT */
/*
 * Locks are seen only by other processes, so whoever contends is a child. Every test has a folder of its own and an
 * instance named after its process, and asserts at its end that nothing of it is left in /dev/shm.
 */
#include "supervisor/instance.h"

#include "build-config.h"
#include "segment/process_time.h"
#include "segment/segment.h"
#include "shared/clock.h"
#include "shared/log.h"

#include "run_suite.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static char folder[64], path[96], name[32];
static int log_fd, old_stderr;
static pid_t child;
static struct instance instance;
static bool initialised;

static void
setup(void)
{
        snprintf(folder, sizeof(folder), "/tmp/concd-test-instance-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(folder));
        snprintf(path, sizeof(path), "%s/socket", folder);
        snprintf(name, sizeof(name), "test-%d", (int)getpid());
        log_fd = memfd_create("log", MFD_CLOEXEC);
        old_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        ck_assert_int_ge(dup2(log_fd, STDERR_FILENO), 0);
        log_init("test", LOG_LEVEL_INFO);
        child = 0;
        initialised = false;
}

static int
remove_one(const char *file, const struct stat *st, int type, struct FTW *ftw)
{
        return remove(file);
}

static void
teardown(void)
{
        char segment[SEGMENT_NAME_MAX], file[SEGMENT_NAME_MAX + 16];

        if (initialised)
                instance_deinit(&instance);
        if (child > 0) {
                kill(child, SIGKILL);
                waitpid(child, NULL, 0);
        }
        ck_assert_int_eq(nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
        segment_name(segment, getuid(), name);
        snprintf(file, sizeof(file), "/dev/shm%s", segment);
        ck_assert_int_ne(access(file, F_OK), 0);
        dup2(old_stderr, STDERR_FILENO);
        close(old_stderr);
        close(log_fd);
}

static int
init(void)
{
        initialised = true;
        return instance_init(&instance, name, path);
}

static bool
logged(const char *text)
{
        static char buf[1 << 16];
        ssize_t n = pread(log_fd, buf, sizeof(buf) - 1, 0);

        buf[MAX(n, 0)] = 0;
        return strstr(buf, text) != NULL;
}

/* Runs fn in a child, which then says so and waits to be killed. */
static void
start_child(void (*fn)(void))
{
        int ready[2];
        char c;

        ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
        child = fork();
        if (child == 0) {
                fn();
                if (write(ready[1], "", 1) == 1)
                        pause();
                _exit(1);
        }
        close(ready[1]);
        ck_assert_int_eq(read(ready[0], &c, 1), 1);
        close(ready[0]);
}

static void
stop_child(void)
{
        kill(child, SIGKILL);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        child = 0;
}

/* What a child exits with that calls fn. */
static int
in_child(int (*fn)(void))
{
        pid_t pid = fork();
        int status;

        if (pid == 0)
                _exit(fn());
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static char *
beside(const char *suffix)
{
        static char buf[160];

        snprintf(buf, sizeof(buf), "%s/%s%s", folder, name, suffix);
        return buf;
}

static mode_t
mode_of(const char *file)
{
        struct stat st;

        ck_assert_int_eq(lstat(file, &st), 0);
        return st.st_mode;
}

static int
connect_to(const char *socket_path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        strcpy(address.sun_path, socket_path);
        return connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
}

static int
bind_to(const char *socket_path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        strcpy(address.sun_path, socket_path);
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 5) < 0)
                return -1;
        return fd;
}

/* ── lock A ── */

static int
init_and_deinit(void)
{
        struct instance other;
        int r = instance_init(&other, name, path);

        instance_deinit(&other);
        return r;
}

START_TEST(second_daemon_is_refused)
{
        char pid[16];

        ck_assert_int_eq(init(), 0);
        ck_assert_int_eq(instance_listen(&instance, 0600), 0);
        ck_assert_int_eq(in_child(init_and_deinit), INSTANCE_E_RUNNING);
        snprintf(pid, sizeof(pid), "pid %d\n", (int)getpid());
        ck_assert(logged("is already running"));
        ck_assert(logged(pid));
        /* It has touched nothing of the first one. */
        ck_assert_int_eq(connect_to(path), 0);
        ck_assert_int_eq(in_child(init_and_deinit), INSTANCE_E_RUNNING);
}
END_TEST

START_TEST(lock_ends_with_the_daemon)
{
        ck_assert_int_eq(init(), 0);
        instance_deinit(&instance);
        initialised = false;
        ck_assert_int_eq(in_child(init_and_deinit), 0);
        ck_assert_int_eq(init(), 0);
}
END_TEST

static void
hold_lock(void)
{
        struct instance other;

        if (instance_init(&other, name, path) != 0)
                _exit(1);
}

START_TEST(lock_ends_with_a_killed_daemon)
{
        start_child(hold_lock);
        ck_assert_int_eq(init(), INSTANCE_E_RUNNING);
        instance_deinit(&instance);
        stop_child();
        ck_assert_int_eq(init(), 0);
}
END_TEST

START_TEST(instances_do_not_disturb_each_other)
{
        struct instance other;

        ck_assert_int_eq(init(), 0);
        ck_assert_int_eq(instance_init(&other, "another", path), 0);
        instance_deinit(&other);
}
END_TEST

START_TEST(lock_files_are_private)
{
        mode_t mask = umask(0);

        ck_assert_int_eq(init(), 0);
        umask(mask);
        ck_assert_int_eq(mode_of(beside(".lock")), S_IFREG | 0600);
        ck_assert_int_eq(mode_of(beside(".herd")), S_IFREG | 0600);
        ck_assert(fcntl(instance.lock, F_GETFD) & FD_CLOEXEC);
        ck_assert(fcntl(instance.herd, F_GETFD) & FD_CLOEXEC);
}
END_TEST

START_TEST(lock_file_is_not_followed)
{
        char target[96];

        snprintf(target, sizeof(target), "%s/target", folder);
        ck_assert_int_eq(symlink(target, beside(_i == 0 ? ".lock" : ".herd")), 0);
        ck_assert_int_eq(init(), -ELOOP);
        ck_assert_int_ne(access(target, F_OK), 0);
        ck_assert(logged("cannot open the lock file"));
}
END_TEST

START_TEST(folder_must_exist)
{
        snprintf(path, sizeof(path), "%s/no/socket", folder);
        ck_assert_int_eq(init(), -ENOENT);
}
END_TEST

/* ── lock B ── */

static void
hold_herd(void)
{
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int fd = open(beside(".herd"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
                _exit(1);
}

START_TEST(old_herd_is_awaited)
{
        uint64_t begin;
        pid_t killer;

        start_child(hold_herd);
        begin = clock_now_ns();
        killer = fork();
        if (killer == 0) {
                usleep(400000);
                _exit(kill(child, SIGKILL));
        }
        ck_assert_int_eq(init(), 0);
        ck_assert_uint_ge(clock_now_ns() - begin, 390 * NS_PER_MS);
        ck_assert_int_eq(waitpid(killer, NULL, 0), killer);
}
END_TEST

/* A dead daemon's segment, in which `child` is a worker that started at this time. */
static void
leave_segment(struct segment *s, uint64_t start_time)
{
        ck_assert_int_eq(segment_create(s, getuid(), name, 4, 64), 0);
        atomic_store(&s->slots[2].pid, child);
        atomic_store(&s->slots[2].start_time, start_time);
        atomic_store(&s->slots[2].state, SLOT_IDLE);
}

static void
remove_segment(struct segment *s)
{
        segment_unlink(s);
        segment_unmap(s);
}

START_TEST(stragglers_are_killed)
{
        struct segment s;
        int status;

        start_child(hold_herd);
        leave_segment(&s, process_start_time(child));
        ck_assert_int_eq(init(), 0);
        remove_segment(&s);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        child = 0;
        ck_assert(logged("killing process"));
}
END_TEST

START_TEST(process_with_the_pid_of_a_straggler_is_spared)
{
        struct segment s;

        start_child(hold_herd);
        leave_segment(&s, process_start_time(child) + 1);
        ck_assert_int_eq(init(), INSTANCE_E_HERD);
        remove_segment(&s);
        ck_assert_int_eq(waitpid(child, NULL, WNOHANG), 0);
        ck_assert(!logged("killing process"));
        ck_assert(logged("nothing was touched"));
}
END_TEST

/* ── the socket ── */

START_TEST(socket_listens_with_its_mode)
{
        static const unsigned modes[] = {0660, 0600, 0666, 0};
        mode_t mask = umask(0027);

        ck_assert_int_eq(init(), 0);
        ck_assert_int_eq(instance_listen(&instance, modes[_i]), 0);
        ck_assert_int_eq(umask(mask), 0027);
        ck_assert_int_eq(mode_of(path), S_IFSOCK | modes[_i]);
        ck_assert(!instance.activated);
        ck_assert(fcntl(instance.listener, F_GETFD) & FD_CLOEXEC);
        ck_assert(fcntl(instance.listener, F_GETFL) & O_NONBLOCK);
        if (modes[_i] != 0)
                ck_assert_int_eq(connect_to(path), 0);
        instance_deinit(&instance);
        initialised = false;
        ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

static void
listen_here(void)
{
        if (bind_to(path) < 0)
                _exit(1);
}

START_TEST(dead_daemons_socket_is_replaced)
{
        start_child(listen_here);
        stop_child();
        ck_assert_int_eq(connect_to(path), -ECONNREFUSED);
        ck_assert_int_eq(init(), 0);
        ck_assert_int_eq(instance_listen(&instance, 0600), 0);
        ck_assert_int_eq(connect_to(path), 0);
}
END_TEST

/* As of a daemon with another instance name and by mistake the same socket: the locks do not tell. */
START_TEST(living_processes_socket_is_left_alone)
{
        start_child(listen_here);
        ck_assert_int_eq(init(), 0);
        ck_assert_int_eq(instance_listen(&instance, 0600), -EADDRINUSE);
        ck_assert(logged(path));
        instance_deinit(&instance);
        initialised = false;
        ck_assert_int_eq(connect_to(path), 0);
}
END_TEST

enum obstacle { REGULAR_FILE, FOLDER, SYMLINK, FIFO, OBSTACLES };

START_TEST(what_is_no_socket_is_refused_and_untouched)
{
        char target[96], buf[8] = "";
        mode_t before;
        int fd;

        snprintf(target, sizeof(target), "%s/target", folder);
        fd = open(_i == SYMLINK ? target : beside(".data"), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
        ck_assert_int_eq(write(fd, "data", 4), 4);
        if (_i == REGULAR_FILE)
                ck_assert_int_eq(rename(beside(".data"), path), 0);
        else if (_i == FOLDER)
                ck_assert_int_eq(mkdir(path, 0750), 0);
        else if (_i == SYMLINK)
                ck_assert_int_eq(symlink(target, path), 0);
        else
                ck_assert_int_eq(mkfifo(path, 0640), 0);
        before = mode_of(path);
        ck_assert_int_eq(init(), 0);
        ck_assert_int_eq(instance_listen(&instance, 0600), -EEXIST);
        ck_assert(logged("is not a socket"));
        instance_deinit(&instance);
        initialised = false;
        ck_assert_int_eq(mode_of(path), before);
        ck_assert_int_eq(pread(fd, buf, sizeof(buf), 0), 4);
        ck_assert_str_eq(buf, "data");
        close(fd);
}
END_TEST

START_TEST(longest_path_fits_and_a_longer_one_is_refused)
{
        struct sockaddr_un address;
        char *end = path + strlen(folder) + 1;
        AUTO_FREE char *longest = NULL;

        ck_assert_int_gt(asprintf(&longest, "%s/%0*d", folder, (int)(sizeof(address.sun_path) - 2 - strlen(folder)), 7),
                         0);
        *end = 0;
        ck_assert_uint_eq(strlen(longest), sizeof(address.sun_path) - 1);
        initialised = true;
        ck_assert_int_eq(instance_init(&instance, name, longest), 0);
        ck_assert_int_eq(instance_listen(&instance, 0600), 0);
        instance_deinit(&instance);
        longest = realloc(longest, strlen(longest) + 2);
        strcat(longest, "7");
        ck_assert_int_eq(instance_init(&instance, name, longest), 0);
        ck_assert_int_eq(instance_listen(&instance, 0600), -ENAMETOOLONG);
        ck_assert(logged("is longer than 107 bytes"));
        ck_assert_int_ne(access(longest, F_OK), 0);
}
END_TEST

#if HAVE_SYSTEMD
#define FIRST_FD 3

static int
activate(const char *sockets, const char *names)
{
        char pid[16];
        int fd = bind_to(path);

        if (init() != 0 || dup2(fd, FIRST_FD) < 0 || dup2(fd, FIRST_FD + 1) < 0)
                return 1;
        snprintf(pid, sizeof(pid), "%d", (int)getpid());
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", sockets, 1);
        if (names)
                setenv("LISTEN_FDNAMES", names, 1);
        return 0;
}

/* In a child, because descriptor 3 is not free here. */
static int
take_one(void)
{
        if (activate("1", NULL) != 0)
                return 1;
        if (instance_listen(&instance, 0600) != 0 || !instance.activated || instance.listener != FIRST_FD)
                return 2;
        if (getenv("LISTEN_FDS") || !(fcntl(FIRST_FD, F_GETFD) & FD_CLOEXEC) ||
            !(fcntl(FIRST_FD, F_GETFL) & O_NONBLOCK))
                return 3;
        instance_deinit(&instance);
        return access(path, F_OK) == 0 ? 0 : 4;
}

static int
refuse_two_without_names(void)
{
        if (activate("2", NULL) != 0)
                return 1;
        return instance_listen(&instance, 0600) == -EINVAL ? 0 : 2;
}

static int
refuse_two_of_the_name(void)
{
        if (activate("2", "varlink:varlink") != 0)
                return 1;
        return instance_listen(&instance, 0600) == -EINVAL ? 0 : 2;
}

static int
take_the_named_of_two(void)
{
        if (activate("2", "other:varlink") != 0)
                return 1;
        if (instance_listen(&instance, 0600) != 0 || !instance.activated || instance.listener != FIRST_FD + 1)
                return 2;
        return fcntl(FIRST_FD, F_GETFD) < 0 && errno == EBADF ? 0 : 3;
}

static int
refuse_what_does_not_listen(void)
{
        int fds[2];

        if (activate("1", "varlink") != 0 || pipe(fds) < 0 || dup2(fds[0], FIRST_FD) < 0)
                return 1;
        return instance_listen(&instance, 0600) == -EINVAL && !instance.activated ? 0 : 2;
}

START_TEST(service_managers_socket_is_taken_and_left)
{
        ck_assert_int_eq(in_child(take_one), 0);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(in_child(refuse_two_without_names), 0);
        ck_assert(logged("passed 2 descriptors"));
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(in_child(refuse_two_of_the_name), 0);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(in_child(take_the_named_of_two), 0);
        ck_assert(logged("named other is not used"));
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(in_child(refuse_what_does_not_listen), 0);
        ck_assert(logged("is not a Unix stream socket"));
}
END_TEST
#endif

/* ── names ── */

START_TEST(private_names_follow_the_path)
{
        char one[36], same[36], other[36];

        instance_private_name(one, sizeof(one), "/run/user/1000/concd/socket");
        instance_private_name(same, sizeof(same), "/run/user/1000/concd/socket");
        instance_private_name(other, sizeof(other), "/run/user/1001/concd/socket");
        ck_assert_str_eq(one, same);
        ck_assert_str_ne(one, other);
        ck_assert_uint_eq(strlen(one), strlen("private-01234567"));
        ck_assert_uint_eq(strspn(one + 8, "0123456789abcdef"), 8);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("instance");
        TCase *tc = tcase_create("instance");

        tcase_set_timeout(tc, 60);
        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, second_daemon_is_refused);
        tcase_add_test(tc, lock_ends_with_the_daemon);
        tcase_add_test(tc, lock_ends_with_a_killed_daemon);
        tcase_add_test(tc, instances_do_not_disturb_each_other);
        tcase_add_test(tc, lock_files_are_private);
        tcase_add_loop_test(tc, lock_file_is_not_followed, 0, 2);
        tcase_add_test(tc, folder_must_exist);
        tcase_add_test(tc, old_herd_is_awaited);
        tcase_add_test(tc, stragglers_are_killed);
        tcase_add_test(tc, process_with_the_pid_of_a_straggler_is_spared);
        tcase_add_loop_test(tc, socket_listens_with_its_mode, 0, 4);
        tcase_add_test(tc, dead_daemons_socket_is_replaced);
        tcase_add_test(tc, living_processes_socket_is_left_alone);
        tcase_add_loop_test(tc, what_is_no_socket_is_refused_and_untouched, 0, OBSTACLES);
        tcase_add_test(tc, longest_path_fits_and_a_longer_one_is_refused);
#if HAVE_SYSTEMD
        tcase_add_test(tc, service_managers_socket_is_taken_and_left);
#endif
        tcase_add_test(tc, private_names_follow_the_path);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
