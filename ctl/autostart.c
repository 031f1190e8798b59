/* SPDX-License-Identifier: MIT */
#include "ctl/autostart.h"

#include "build-config.h"
#include "ctl/cpulist.h"
#include "ctl/exit_code.h"
#include "ctl/message.h"
#include "ctl/place.h"
#include "ctl/start_log.h"
#include "shared/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define PATIENCE_NS               (5 * NS_PER_S)
#define PATIENCE_AFTER_FAILURE_NS NS_PER_S /* another starter's daemon may still come up */
#define RETRY_FIRST_NS            (2 * NS_PER_MS)
#define RETRY_MOST_NS             (50 * NS_PER_MS)
#define RESTART_AFTER_NS          (100 * NS_PER_MS)

/* What a daemon started by us sees of the environment: nothing that would make two starters' daemons differ. */
static const char *const kept_variables[] = {
        "PATH", "HOME", "USER", "LANG", "TMPDIR", "XDG_RUNTIME_DIR", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS",
};

static bool
is_program(const char *path)
{
        struct stat st;

        return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* Malloc'ed; NULL when there is none. */
static char *
find_daemon(void)
{
        static const char *const beside[] = {"concd", "../daemon/concd", "../sbin/concd"};
        const char *named = getenv("CONCD_DAEMON");
        char self[4096], *path;
        ssize_t n;

        if (named && *named)
                return realpath(named, NULL);
        n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        if (n > 0) {
                self[n] = '\0';
                *strrchr(self, '/') = '\0';
                for (size_t i = 0; i < ARRAY_SIZE(beside); i++) {
                        if (asprintf(&path, "%s/%s", self, beside[i]) < 0)
                                return NULL;
                        if (is_program(path))
                                return path;
                        free(path);
                }
        }
        return is_program(CONCD_SBINDIR "/concd") ? strdup(CONCD_SBINDIR "/concd") : NULL;
}

/* Ended by NULL; the strings stay the caller's environment. */
static void
fill_environment(char **ret)
{
        for (char **e = environ; *e; e++)
                for (size_t i = 0; i < ARRAY_SIZE(kept_variables); i++) {
                        size_t len = strlen(kept_variables[i]);

                        if (strncmp(*e, kept_variables[i], len) == 0 && (*e)[len] == '=') {
                                *ret++ = *e;
                                break;
                        }
                }
        *ret = NULL;
}

/* The daemon serves later callers too, who may use CPUs that this one may not: each job carries its own set. */
static void
reset_affinity(void)
{
        unsigned long all[CPULIST_CPUS / (8 * sizeof(unsigned long))];

        memset(all, 0xff, sizeof(all));
        sched_setaffinity(0, sizeof(all), (cpu_set_t *)all);
}

static void
reset_signals(void)
{
        sigset_t none;

        sigemptyset(&none);
        for (int sig = 1; sig < NSIG; sig++)
                signal(sig, SIG_DFL);
        sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child; does not return. */
static void __attribute__((noreturn)) become_daemon(const char *program, const char *socket, int log_fd)
{
        char *environment[ARRAY_SIZE(kept_variables) + 1];
        const char *argv[] = {"concd", "--private", "--socket", socket, NULL};
        int null_fd = open("/dev/null", O_RDONLY);

        if (setsid() < 0 || chdir("/") < 0 || null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(log_fd, 1) < 0 ||
            dup2(log_fd, 2) < 0)
                _exit(126);
        close_range(3, ~0U, 0);
        reset_signals();
        reset_affinity();
        fill_environment(environment);
        execve(program, (char *const *)argv, environment);
        dprintf(2, "cannot execute %s: %s\n", program, strerror(errno));
        _exit(127);
}

struct attempt {
        const char *program, *socket, *log_path;
        pid_t pid; /* of the daemon that was started and has not ended; 0: none */
        uint64_t give_up_ns;
        uint64_t restart_ns; /* when to start another; UINT64_MAX: not */
        off_t log_begin;     /* where the last one that was started begins in the log */
        bool has_ended;      /* one that was started */
        int status;          /* of the last one that ended, as waitpid(2) has it */
};

static int
start(struct attempt *a)
{
        AUTO_CLOSE int log_fd = start_log_open(a->log_path, &a->log_begin);
        pid_t pid;

        if (log_fd < 0)
                return message_fail(CTL_EXIT_NO_DAEMON, "cannot write %s: %s", a->log_path, strerror(-log_fd));
        pid = fork();
        if (pid < 0)
                return message_fail(CTL_EXIT_NO_DAEMON, "cannot start a daemon: %s", strerror(errno));
        if (pid == 0)
                become_daemon(a->program, a->socket, log_fd);
        a->pid = pid;
        return 0;
}

/* Says how the daemon ended that was started. */
static void
say_end(const struct attempt *a)
{
        const char *name;

        if (!WIFSIGNALED(a->status)) {
                message_print("the daemon that was started, %s, ended with exit status %d", a->program,
                              WEXITSTATUS(a->status));
                return;
        }
        name = sigabbrev_np(WTERMSIG(a->status));
        message_print("the daemon that was started, %s, was ended by signal %d (SIG%s)", a->program,
                      WTERMSIG(a->status), name ? name : "?");
}

static int
give_up(const struct attempt *a, int connect_result)
{
        bool is_error;
        AUTO_FREE char *line = start_log_find(a->log_path, a->log_begin, &is_error);

        message_print("no daemon answers at %s: %s", a->socket, strerror(connect_result < 0 ? -connect_result : EIO));
        if (a->has_ended)
                say_end(a);
        if (line)
                message_print("%s in %s: %s", is_error ? "its first error" : "the last line", a->log_path, line);
        return a->has_ended && WIFEXITED(a->status) && WEXITSTATUS(a->status) == CTL_EXIT_CONFIG ? CTL_EXIT_CONFIG
                                                                                                 : CTL_EXIT_NO_DAEMON;
}

static bool
is_nobody_listening(int connect_result)
{
        return connect_result == -ENOENT || connect_result == -ECONNREFUSED || connect_result == -EAGAIN;
}

/* Sees whether the daemon that was started has ended, and decides what that means. */
static void
watch_child(struct attempt *a)
{
        int status;
        uint64_t now = clock_now_ns();

        if (a->pid == 0 || waitpid(a->pid, &status, WNOHANG) <= 0)
                return;
        a->pid = 0;
        a->has_ended = true;
        a->status = status;
        if (WIFEXITED(status) && WEXITSTATUS(status) == AUTOSTART_ALREADY_RUNNING)
                a->restart_ns = now + RESTART_AFTER_NS;
        else if (status != 0)
                a->give_up_ns = MIN(a->give_up_ns, now + PATIENCE_AFTER_FAILURE_NS);
}

static void
pause_ns(uint64_t ns)
{
        struct timespec ts = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};

        nanosleep(&ts, NULL);
}

int
autostart_connect(const char *dir, const char *socket, int *ret_fd)
{
        AUTO_FREE char *program = find_daemon(), *log_path = NULL;
        struct attempt a = {.program = program, .socket = socket, .give_up_ns = clock_now_ns() + PATIENCE_NS};
        uint64_t wait_ns = RETRY_FIRST_NS;
        int r, started;

        if (asprintf(&log_path, "%s/concd.log", dir) < 0)
                return message_fail(CTL_EXIT_INTERNAL, "out of memory");
        a.log_path = log_path;
        for (;;) {
                r = place_connect(socket, ret_fd);
                if (r == 0)
                        return 0;
                if (!is_nobody_listening(r))
                        return message_fail(r == PLACE_E_FOREIGN ? CTL_EXIT_NOT_PERMITTED : CTL_EXIT_NO_DAEMON,
                                            "%s: %s", socket, place_error_text(r));
                if (!program)
                        return message_fail(
                                CTL_EXIT_NO_DAEMON,
                                "no daemon is running, and the program concd is not found: set $CONCD_DAEMON");
                if (clock_now_ns() >= a.restart_ns) {
                        a.restart_ns = UINT64_MAX;
                        started = start(&a);
                        if (started != 0)
                                return started;
                }
                pause_ns(wait_ns);
                wait_ns = MIN(wait_ns * 3 / 2, RETRY_MOST_NS);
                watch_child(&a);
                if (clock_now_ns() >= a.give_up_ns)
                        return give_up(&a, r);
        }
}
