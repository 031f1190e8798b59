/* SPDX-License-Identifier: MIT */
#include "ctl/place.h"

#include "ctl/exit_code.h"
#include "ctl/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#define CONNECT_TIMEOUT_S 5

_Static_assert(sizeof(((struct sockaddr_un *)NULL)->sun_path) == PLACE_PATH_MAX + 1, "the path and its NUL");

static char *
choose_private_dir(void)
{
        const char *runtime = getenv("XDG_RUNTIME_DIR"), *tmp = getenv("TMPDIR");
        struct stat st;
        char *dir;
        int n;

        /* After su(1) the variable may still name the folder of another user. */
        if (runtime && *runtime == '/' && stat(runtime, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid())
                n = asprintf(&dir, "%s/concd", runtime);
        else
                n = asprintf(&dir, "%s/concd-%u", tmp && *tmp == '/' ? tmp : "/tmp", (unsigned)geteuid());
        return n < 0 ? NULL : dir;
}

int
place_private_dir(bool create, char **ret)
{
        AUTO_FREE char *dir = choose_private_dir();
        struct stat st;

        if (!dir)
                return message_fail(CTL_EXIT_INTERNAL, "out of memory");
        if (create && mkdir(dir, 0700) < 0 && errno != EEXIST)
                return message_fail(CTL_EXIT_NO_DAEMON, "cannot make the folder %s: %s", dir, strerror(errno));
        if (lstat(dir, &st) < 0) {
                if (errno == ENOENT && !create)
                        return -ENOENT;
                return message_fail(CTL_EXIT_NO_DAEMON, "%s: %s", dir, strerror(errno));
        }
        if (!S_ISDIR(st.st_mode))
                return message_fail(CTL_EXIT_NOT_PERMITTED, "%s is not a folder: refused", dir);
        if (st.st_uid != geteuid())
                return message_fail(CTL_EXIT_NOT_PERMITTED, "%s belongs to user %u, not to you: refused", dir,
                                    (unsigned)st.st_uid);
        if ((st.st_mode & 077) != 0)
                return message_fail(CTL_EXIT_NOT_PERMITTED,
                                    "%s is open to others (mode %04o, it must be 0700): refused", dir,
                                    (unsigned)st.st_mode & 07777);
        *ret = TAKE(dir);
        return 0;
}

static bool
is_trusted(const char *path, uid_t uid)
{
        struct stat st;
        AUTO_FREE char *dir = NULL;

        if (uid == 0 || uid == geteuid())
                return true;
        if (strcmp(path, PLACE_SYSTEM_SOCKET) != 0)
                return false;
        dir = strndup(path, (size_t)(strrchr(path, '/') - path));
        return dir && lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == uid && (st.st_mode & 022) == 0;
}

static int
check_socket_file(const char *path)
{
        struct stat st;

        if (stat(path, &st) < 0)
                return -errno;
        if (!S_ISSOCK(st.st_mode))
                return -ENOTSOCK;
        return is_trusted(path, st.st_uid) ? 0 : PLACE_E_FOREIGN;
}

static int
check_peer(const char *path, int fd)
{
        struct ucred peer;
        socklen_t len = sizeof(peer);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
                return -errno;
        return is_trusted(path, peer.uid) ? 0 : PLACE_E_FOREIGN;
}

static void
set_send_timeout(int fd, int seconds)
{
        struct timeval timeout = {.tv_sec = seconds};

        /* It also bounds connect(2) when the daemon's backlog is full. */
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
}

int
place_connect(const char *path, int *ret_fd)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        AUTO_CLOSE int fd = -1;
        int r;

        if (strlen(path) > PLACE_PATH_MAX)
                return PLACE_E_LONG;
        r = check_socket_file(path);
        if (r != 0)
                return r;
        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        set_send_timeout(fd, CONNECT_TIMEOUT_S);
        do
                r = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
        while (r == -EINTR);
        if (r == 0)
                r = check_peer(path, fd);
        if (r != 0)
                return r;
        *ret_fd = fd;
        fd = -1;
        return 0;
}

const char *
place_error_text(int error)
{
        switch (error) {
        case PLACE_E_FOREIGN:
                return "it belongs to somebody else: refused";
        case PLACE_E_LONG:
                return "the path is longer than a socket's address can be (107 bytes)";
        case -ENOTSOCK:
                return "it is not a socket";
        default:
                return strerror(-error);
        }
}
