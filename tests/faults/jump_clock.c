/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into a program: its wall clock is another one at every reading, by years, forward and backward; and its
 * monotonic clock is ahead by as many seconds as the file $JUMP_CLOCK holds (a 64-bit number, read at every call).
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const _Atomic int64_t *ahead_s;

static void __attribute__((constructor)) attach(void)
{
        const char *path = getenv("JUMP_CLOCK");
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        void *p = fd >= 0 ? mmap(NULL, sizeof(*ahead_s), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

        if (fd >= 0)
                close(fd);
        if (p != MAP_FAILED)
                ahead_s = p;
}

static time_t
some_years(void)
{
        static _Atomic uint32_t calls;
        uint32_t n = atomic_fetch_add(&calls, 1) * 2654435761u;

        return ((time_t)(n >> 8) - (1 << 23)) * 20; /* five years each way */
}

int
clock_gettime(clockid_t clock, struct timespec *ret)
{
        static int (*next)(clockid_t clock, struct timespec * ret);
        int r;

        if (!next)
                next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
        r = next(clock, ret);
        if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
                ret->tv_sec += some_years();
        else if (ahead_s && (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE))
                ret->tv_sec += atomic_load(ahead_s);
        return r;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        tv->tv_sec = now.tv_sec;
        tv->tv_usec = now.tv_nsec / 1000;
        return 0;
}

time_t
time(time_t *ret)
{
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        if (ret)
                *ret = now.tv_sec;
        return now.tv_sec;
}
