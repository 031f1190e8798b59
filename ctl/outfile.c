/* SPDX-License-Identifier: MIT */
#include "ctl/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define MODE_MAX 0777
#define MODE_NEW 0666

/* As the kernel has it. */
#define LINKS_MAX 40

static mode_t
mode_of_new_file(void)
{
        mode_t mask = umask(0);

        umask(mask);
        return MODE_NEW & ~mask;
}

/* "x/y" is in "x", "y" in ".", "/y" in "/". Malloc'ed; NULL without memory. */
static char *
folder_of(const char *path)
{
        const char *slash = strrchr(path, '/');

        if (!slash)
                return strdup(".");
        return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/* A name beside the path that nothing has yet; the file under it is made by `fd` or, when that is -1, made anew. */
static int
open_named(struct outfile *o)
{
        int fd;

        if (asprintf(&o->name, "%s.XXXXXX", o->path) < 0) {
                o->name = NULL;
                return -ENOMEM;
        }
        fd = mkostemp(o->name, O_CLOEXEC);
        if (fd >= 0)
                return fd;
        fd = -errno;
        free(TAKE(o->name));
        return fd;
}

static int
open_beside(struct outfile *o, mode_t mode)
{
        AUTO_FREE char *folder = folder_of(o->path);
        int fd, r;

        if (!folder)
                return -ENOMEM;
        fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0)
                fd = open_named(o);
        if (fd < 0)
                return fd;
        r = fchmod(fd, mode) < 0 ? -errno : 0;
        o->file = r == 0 ? fdopen(fd, "w") : NULL;
        if (!o->file) {
                r = r < 0 ? r : -errno;
                close(fd);
        }
        return r;
}

/* Whatever is there; a pipe that nobody reads is an error and not a wait. */
static int
open_direct(struct outfile *o, bool is_pipe)
{
        int fd = open(o->path, O_WRONLY | O_CLOEXEC | O_NONBLOCK), r;

        o->is_direct = true;
        if (fd < 0)
                return errno == ENXIO && is_pipe ? -EPIPE : -errno;
        r = fcntl(fd, F_SETFL, 0) < 0 ? -errno : 0;
        o->file = r == 0 ? fdopen(fd, "w") : NULL;
        if (!o->file) {
                r = r < 0 ? r : -errno;
                close(fd);
        }
        return r;
}

/* Where a link points to; a path relative to the link's folder is made one relative to ours. Malloc'ed. */
static char *
read_link(const char *path)
{
        AUTO_FREE char *folder = folder_of(path);
        char target[PATH_MAX], *joined = NULL;
        ssize_t n = folder ? readlink(path, target, sizeof(target) - 1) : -1;

        if (n < 0)
                return NULL;
        target[n] = '\0';
        if (*target == '/')
                return strdup(target);
        return asprintf(&joined, "%s/%s", folder, target) < 0 ? NULL : joined;
}

/* What a path stands for under which there is no file: itself, or where the links end. Malloc'ed; NULL with errno. */
static char *
follow_links(const char *path)
{
        char *at = strdup(path);
        struct stat st;

        for (int i = 0; at && lstat(at, &st) == 0 && S_ISLNK(st.st_mode); i++) {
                char *next = i < LINKS_MAX ? read_link(at) : NULL;

                if (i >= LINKS_MAX)
                        errno = ELOOP;
                free(at);
                at = next;
        }
        return at;
}

static int
open_path(struct outfile *o, const char *path)
{
        struct stat st;
        bool is_there = stat(path, &st) == 0;

        if (!is_there && (errno != ENOENT || *path == '\0'))
                return -errno;
        o->path = is_there ? realpath(path, NULL) : follow_links(path);
        if (!o->path)
                return -errno;
        if (!is_there)
                return open_beside(o, mode_of_new_file());
        if (access(o->path, W_OK) < 0)
                return -errno;
        if (S_ISREG(st.st_mode)) {
                int r = open_beside(o, st.st_mode & MODE_MAX);

                if (r != -EACCES && r != -EROFS && r != -EPERM)
                        return r;
                /* A file that may be written in a folder that may not. */
        }
        return open_direct(o, S_ISFIFO(st.st_mode));
}

int
outfile_open(struct outfile *ret, const char *path)
{
        struct outfile o = {0};
        int r;

        if (strcmp(path, "-") == 0) {
                *ret = (struct outfile){.file = stdout, .is_direct = true};
                return 0;
        }
        r = open_path(&o, path);
        if (r < 0) {
                outfile_discard(&o);
                return r;
        }
        *ret = o;
        return 0;
}

/* Gives the file without a name one, that nothing has yet. */
static int
give_name(struct outfile *o)
{
        char self[64];
        int fd = open_named(o);

        if (fd < 0)
                return fd;
        close(fd);
        if (unlink(o->name) < 0)
                return -errno;
        snprintf(self, sizeof(self), "/proc/self/fd/%d", fileno(o->file));
        return linkat(AT_FDCWD, self, AT_FDCWD, o->name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

/* What an older, longer file had behind it. */
static int
truncate_rest(struct outfile *o)
{
        struct stat st;

        if (o->file == stdout || fstat(fileno(o->file), &st) < 0 || !S_ISREG(st.st_mode))
                return 0;
        return ftruncate(fileno(o->file), ftello(o->file)) < 0 ? -errno : 0;
}

static int
put_in_place(struct outfile *o)
{
        int r = 0;

        errno = 0;
        if (fflush(o->file) != 0 || ferror(o->file))
                return errno != 0 ? -errno : -EIO;
        if (o->is_direct)
                return truncate_rest(o);
        if (!o->name)
                r = give_name(o);
        if (r < 0)
                return r;
        if (rename(o->name, o->path) < 0)
                return -errno;
        free(TAKE(o->name));
        return 0;
}

int
outfile_commit(struct outfile *o)
{
        int r = put_in_place(o);

        outfile_discard(o);
        return r;
}

void
outfile_discard(struct outfile *o)
{
        if (o->name)
                unlink(o->name);
        if (o->file && o->file != stdout)
                fclose(o->file);
        free(o->name);
        free(o->path);
        *o = (struct outfile){0};
}

/* Is there the same folder, and in it the same name? */
static bool
is_same_place(const char *a, const char *b)
{
        AUTO_FREE char *folder = folder_of(a), *other = folder_of(b);
        const char *name = strrchr(a, '/'), *other_name = strrchr(b, '/');
        struct stat x, y;

        if (!folder || !other || stat(folder, &x) < 0 || stat(other, &y) < 0)
                return false;
        return x.st_dev == y.st_dev && x.st_ino == y.st_ino &&
               strcmp(name ? name + 1 : a, other_name ? other_name + 1 : b) == 0;
}

bool
outfile_is_same(const struct outfile *a, const struct outfile *b)
{
        struct stat x, y;

        if (!a->path || !b->path)
                return a->file == b->file;
        if (strcmp(a->path, b->path) == 0 || is_same_place(a->path, b->path))
                return true;
        return stat(a->path, &x) == 0 && stat(b->path, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

const char *
outfile_strerror(int error)
{
        return error == -EPIPE ? "it is a pipe that nobody reads" : strerror(-error);
}
