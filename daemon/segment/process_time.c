/* SPDX-License-Identifier: MIT */
#include "segment/process_time.h"

#include "shared/base.h"

#include <fcntl.h>
#include <string.h>

/* Reads /proc/<pid>/stat; returns what follows the command's name, which may contain anything, or NULL. */
static const char *
read_stat(pid_t pid, char buf[1024])
{
        char path[48];
        AUTO_CLOSE int fd = -1;
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd >= 0 ? read(fd, buf, 1023) : -1;
        if (n <= 0)
                return NULL;
        buf[n] = 0;
        return strrchr(buf, ')');
}

uint64_t
process_start_time(pid_t pid)
{
        char buf[1024];
        const char *p = read_stat(pid, buf);
        unsigned long long start = 0;

        /* Field 3 is the state: a zombie is dead, and under a first process that reaps nobody it stays. */
        if (p && (strncmp(p, ") Z", 3) == 0 || strncmp(p, ") X", 3) == 0))
                return 0;
        for (int field = 2; p && field < 22; field++)
                p = strchr(p + 1, ' ');
        return p && sscanf(p, "%llu", &start) == 1 ? start : 0;
}

bool
process_is_stopped(pid_t pid)
{
        char buf[1024];
        const char *p = read_stat(pid, buf);

        return p && strncmp(p, ") T", 3) == 0;
}
