/* SPDX-License-Identifier: MIT */
#include "supervisor/instance.h"

#include "build-config.h"
#include "segment/process_time.h"
#include "segment/segment.h"
#include "shared/clock.h"
#include "shared/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#if HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

/* How long an old herd may take to end by itself, and after it was killed. */
#define HERD_PATIENCE_NS (2 * NS_PER_S)
#define HERD_KILLED_NS   (3 * NS_PER_S)
#define HERD_POLL_NS     (5 * NS_PER_MS)
#define LISTEN_BACKLOG   128

void
instance_private_name(char *buf, size_t size, const char *socket)
{
        uint32_t hash = UINT32_C(0x811c9dc5); /* FNV-1a */

        for (const char *p = socket; *p; p++)
                hash = (hash ^ (unsigned char)*p) * UINT32_C(0x01000193);
        snprintf(buf, size, "private-%08x", hash);
}

/* Opens <dir of socket>/<instance><suffix>. */
static int
open_lock(const struct instance *i, const char *suffix)
{
        AUTO_FREE char *path = NULL;
        const char *slash = strrchr(i->socket, '/');
        int fd;

        if (asprintf(&path, "%.*s/%s%s", (int)(slash - i->socket), i->socket, i->name, suffix) < 0)
                return -ENOMEM;
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0) {
                fd = -errno;
                log_error("cannot open the lock file %s: %s", path, strerror(-fd));
        }
        return fd;
}

static int
take_lock(struct instance *i)
{
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

        i->lock = open_lock(i, ".lock");
        if (i->lock < 0)
                return i->lock;
        if (fcntl(i->lock, F_SETLK, &lock) == 0)
                return 0;
        if (errno != EAGAIN && errno != EACCES) {
                int r = -errno;

                log_error("cannot lock instance %s: %s", i->name, strerror(-r));
                return r;
        }
        if (fcntl(i->lock, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
                log_error("instance %s is already running, pid %d", i->name, lock.l_pid);
        else
                log_error("instance %s is already running", i->name);
        return INSTANCE_E_RUNNING;
}

static bool
try_herd(const struct instance *i)
{
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

        return fcntl(i->herd, F_OFD_SETLK, &lock) == 0;
}

static bool
wait_herd(const struct instance *i, uint64_t patience_ns)
{
        const struct timespec pause = {.tv_nsec = HERD_POLL_NS};
        uint64_t begin = clock_now_ns();

        while (!try_herd(i)) {
                if (clock_now_ns() - begin > patience_ns)
                        return false;
                nanosleep(&pause, NULL);
        }
        return true;
}

/* The pidfd is opened before the start time is compared, so it cannot be another process by then. */
static void
kill_straggler(void *arg, pid_t pid, uint64_t start_time)
{
        AUTO_CLOSE int fd = pidfd_open(pid, 0);

        if (fd < 0 || start_time == 0 || process_start_time(pid) != start_time)
                return;
        log_warning("killing process %d of a daemon that is gone", pid);
        pidfd_send_signal(fd, SIGKILL, NULL, 0);
}

static int
take_herd(struct instance *i)
{
        i->herd = open_lock(i, ".herd");
        if (i->herd < 0)
                return i->herd;
        if (wait_herd(i, HERD_PATIENCE_NS))
                return 0;
        segment_stale_processes(i->uid, i->name, kill_straggler, NULL);
        if (wait_herd(i, HERD_KILLED_NS))
                return 0;
        log_error("processes of an old daemon of instance %s do not end; nothing was touched", i->name);
        return INSTANCE_E_HERD;
}

int
instance_init(struct instance *i, const char *name, const char *socket)
{
        int r;

        *i = (struct instance){.uid = geteuid(), .lock = -1, .herd = -1, .listener = -1};
        snprintf(i->name, sizeof(i->name), "%s", name);
        i->socket = strdup(socket);
        if (!i->socket)
                return -ENOMEM;
        r = take_lock(i);
        return r == 0 ? take_herd(i) : r;
}

#if HAVE_SYSTEMD
/* Which of the n descriptors from SD_LISTEN_FDS_START on is the control socket: the only one, whatever its name is, or
 * the only one of the name. Its place, or -1. */
static int
find_activated(char *const *names, int n)
{
        int found = -1;

        for (int k = 0; k < n; k++) {
                if (n > 1 && strcmp(names[k], INSTANCE_FD_NAME) != 0)
                        continue;
                if (found >= 0)
                        return -1;
                found = k;
        }
        return found;
}

/* Takes the one at `place`, and closes the others: nobody would ever accept there. */
static int
take_descriptor(struct instance *i, char *const *names, int n, int place)
{
        int fd = SD_LISTEN_FDS_START + place;

        for (int k = 0; k < n; k++) {
                if (k == place)
                        continue;
                log_warning("the service manager's descriptor named %s is not used: allowed is " INSTANCE_FD_NAME,
                            names[k]);
                close(SD_LISTEN_FDS_START + k);
        }
        i->listener = fd;
        if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0) {
                log_error("the service manager's descriptor named %s is not a Unix stream socket that listens",
                          names[place]);
                return -EINVAL;
        }
        i->activated = true;
        return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static void
free_names(char **names)
{
        for (char **name = names; name && *name; name++)
                free(*name);
        free(names);
}

static int
take_activated(struct instance *i)
{
        char **names = NULL;
        int n = sd_listen_fds_with_names(1, &names), r = MIN(n, 0), place;

        if (n > 0) {
                place = find_activated(names, n);
                if (place >= 0) {
                        r = take_descriptor(i, names, n, place);
                } else {
                        log_error("the service manager passed %d descriptors: one of them must be "
                                  "named " INSTANCE_FD_NAME,
                                  n);
                        r = -EINVAL;
                }
        }
        free_names(names);
        return r;
}
#else
static int
take_activated(struct instance *i)
{
        (void)i;
        return 0;
}
#endif

/* Does anybody listen there? With lock A in hand it is nobody of this instance, but a daemon of another one may
 * have been given the same path. */
static bool
somebody_listens(const struct sockaddr_un *address)
{
        AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        /* Only this says that it is dead; no permission, no descriptor or a full backlog does not. */
        return fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno != ECONNREFUSED;
}

/* -errno. */
static int
cannot_replace(const char *path)
{
        int r = -errno;

        log_error("cannot replace %s: %s", path, strerror(-r));
        return r;
}

/* Makes room for a new socket. */
static int
remove_old_socket(const struct sockaddr_un *address)
{
        const char *path = address->sun_path;
        struct stat st;

        if (lstat(path, &st) < 0)
                return errno == ENOENT ? 0 : cannot_replace(path);
        if (!S_ISSOCK(st.st_mode)) {
                log_error("%s exists and is not a socket", path);
                return -EEXIST;
        }
        if (somebody_listens(address)) {
                log_error("another process listens on %s", path);
                return -EADDRINUSE;
        }
        return unlink(path) < 0 ? cannot_replace(path) : 0;
}

/* *ret_bound: the socket file is ours from here on, whatever is returned. */
static int
bind_socket(int fd, const char *path, unsigned mode, bool *ret_bound)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        mode_t mask;
        int r;

        if (strlen(path) >= sizeof(address.sun_path)) {
                log_error("socket path %s is longer than %zu bytes", path, sizeof(address.sun_path) - 1);
                return -ENAMETOOLONG;
        }
        strcpy(address.sun_path, path);
        r = remove_old_socket(&address);
        if (r < 0)
                return r;
        /* Closed to all until the mode is set. */
        mask = umask(0777);
        r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
        umask(mask);
        *ret_bound = r == 0;
        if (r == 0 && listen(fd, LISTEN_BACKLOG) < 0)
                r = -errno;
        if (r == 0 && chmod(path, mode) < 0)
                r = -errno;
        if (r < 0)
                log_error("cannot listen on %s: %s", path, strerror(-r));
        return r;
}

int
instance_bind_socket(const char *path, unsigned mode, bool *ret_bound)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

        *ret_bound = false;
        if (fd < 0) {
                r = -errno;
                log_error("cannot create a socket: %s", strerror(-r));
                return r;
        }
        r = bind_socket(fd, path, mode, ret_bound);
        if (r < 0)
                close(fd);
        return r < 0 ? r : fd;
}

int
instance_listen(struct instance *i, unsigned mode)
{
        int r = take_activated(i);

        if (r < 0 || i->activated)
                return r;
        i->listener = instance_bind_socket(i->socket, mode, &i->bound);
        return MIN(i->listener, 0);
}

void
instance_remove_socket(const char *path)
{
        struct stat st;

        if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_uid == geteuid())
                unlink(path);
}

void
instance_deinit(struct instance *i)
{
        /* One that we did not bind is somebody else's. So is what has come into its place, but another socket of
         * our user is not told from ours. */
        if (i->bound)
                instance_remove_socket(i->socket);
        if (i->listener >= 0)
                close(i->listener);
        if (i->herd >= 0)
                close(i->herd);
        if (i->lock >= 0)
                close(i->lock);
        free(i->socket);
}
