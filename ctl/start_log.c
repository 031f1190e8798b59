/* SPDX-License-Identifier: MIT */
#include "ctl/start_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define LOG_MAX (1024 * 1024)

int
start_log_open(const char *path, off_t *ret_begin)
{
        AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
        struct stat st;
        int r;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (st.st_size > LOG_MAX) {
                if (ftruncate(fd, 0) < 0)
                        return -errno;
                st.st_size = 0;
        }
        *ret_begin = st.st_size;
        r = fd;
        fd = -1;
        return r;
}

/* As shared/log.h writes it: the time, and the level as the second word. */
static bool
is_error(const char *line)
{
        const char *level = strchr(line, ' ');

        return level && (strncmp(level, " ERROR ", 7) == 0 || strncmp(level, " ALERT ", 7) == 0);
}

char *
start_log_find(const char *path, off_t begin, bool *ret_is_error)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
        char *line = NULL, *found = NULL;
        bool is_found = false;
        size_t size = 0;

        if (!f) {
                if (fd >= 0)
                        close(fd);
                return NULL;
        }
        if (fseeko(f, begin, SEEK_SET) == 0)
                while (!is_found && getline(&line, &size, f) > 0) {
                        line[strcspn(line, "\n")] = '\0';
                        if (*line == '\0')
                                continue;
                        is_found = is_error(line);
                        free(found);
                        found = TAKE(line);
                        size = 0;
                }
        free(line);
        fclose(f);
        if (found)
                *ret_is_error = is_found;
        return found;
}
