/* SPDX-License-Identifier: MIT */
#include "segment/process_time.h"

#include "shared/base.h"

#include <fcntl.h>
#include <string.h>

uint64_t
process_start_time(pid_t pid)
{
        char path[48], buf[1024], *p;
        AUTO_CLOSE int fd = -1;
        unsigned long long start = 0;
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd >= 0 ? read(fd, buf, sizeof(buf) - 1) : -1;
        if (n <= 0)
                return 0;
        buf[n] = 0;
        /* Field 22, counted from behind the command's name, which may contain anything. Field 3 is the state: a zombie
         * is dead, and under a first process that reaps nobody it stays. */
        p = strrchr(buf, ')');
        if (p && (strncmp(p, ") Z", 3) == 0 || strncmp(p, ") X", 3) == 0))
                return 0;
        for (int field = 2; p && field < 22; field++)
                p = strchr(p + 1, ' ');
        return p && sscanf(p, "%llu", &start) == 1 ? start : 0;
}
