/* SPDX-License-Identifier: MIT */
#include "worker/evidence.h"

#include "shared/base.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>

/* All members are uint64_t, so the structure can be walked as an array of them. */
#define MEMBERS (sizeof(struct evidence) / sizeof(uint64_t))

int
evidence_open(void)
{
        return open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
}

static uint64_t
timeval_ns(const struct timeval *tv)
{
        return (uint64_t)tv->tv_sec * NS_PER_S + (uint64_t)tv->tv_usec * NS_PER_US;
}

void
evidence_from_rusage(struct evidence *e, const struct rusage *usage)
{
        *e = (struct evidence){
                .user_ns = timeval_ns(&usage->ru_utime),
                .system_ns = timeval_ns(&usage->ru_stime),
                .voluntary = (uint64_t)usage->ru_nvcsw,
                .involuntary = (uint64_t)usage->ru_nivcsw,
                .minor_faults = (uint64_t)usage->ru_minflt,
                .major_faults = (uint64_t)usage->ru_majflt,
        };
}

void
evidence_add(struct evidence *to, const struct evidence *from)
{
        uint64_t *t = (uint64_t *)to;
        const uint64_t *f = (const uint64_t *)from;

        for (size_t i = 0; i < MEMBERS; i++)
                t[i] += f[i];
}

void
evidence_add_since(struct evidence *to, const struct evidence *now, const struct evidence *base)
{
        uint64_t *t = (uint64_t *)to;
        const uint64_t *n = (const uint64_t *)now, *b = (const uint64_t *)base;

        for (size_t i = 0; i < MEMBERS; i++)
                t[i] += n[i] > b[i] ? n[i] - b[i] : 0;
}

/* schedstat: time on the CPU, time runnable but waiting, timeslices. */
static uint64_t
read_run_queue_wait(int fd)
{
        char buf[96];
        ssize_t n = fd >= 0 ? pread(fd, buf, sizeof(buf) - 1, 0) : -1;
        unsigned long long on_cpu, waited;

        if (n <= 0)
                return 0;
        buf[n] = 0;
        return sscanf(buf, "%llu %llu", &on_cpu, &waited) == 2 ? waited : 0;
}

static void
add_rusage(struct evidence *e, int who)
{
        struct rusage usage;
        struct evidence part;

        getrusage(who, &usage);
        evidence_from_rusage(&part, &usage);
        evidence_add(e, &part);
}

void
evidence_read(struct evidence *e, int fd, bool children)
{
        struct timespec cpu;

        /* getrusage() tells a thread's times as of its last tick; reading this clock brings them up to date. */
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
        *e = (struct evidence){.run_queue_wait_ns = read_run_queue_wait(fd)};
        add_rusage(e, RUSAGE_THREAD);
        if (children)
                add_rusage(e, RUSAGE_CHILDREN);
}

void
evidence_read_process(struct evidence *e)
{
        *e = (struct evidence){0};
        add_rusage(e, RUSAGE_SELF);
        add_rusage(e, RUSAGE_CHILDREN);
}
