/* SPDX-License-Identifier: MIT */
/*
 * flock(2). The lock belongs to an open file description, so every actor opens the file itself, and two threads exclude
 * each other as two processes do; the kernel gives it back when the description is closed, however its process ended.
 * There is no flock() with a time limit, so a waiter asks again and again, with pauses that grow.
 */
#include "guards/builtin.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>

#define PAUSE_MIN_NS UINT64_C(1000)
#define PAUSE_MAX_NS UINT64_C(100000)

static int
flock_attach(struct guard_user *u)
{
        int fd = shm_open(u->file, O_RDONLY | O_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        u->fd = fd;
        return 0;
}

static void
flock_detach(struct guard_user *u)
{
        close(u->fd);
        u->fd = -1;
}

/* 0 or -errno: -EWOULDBLOCK when somebody has it. */
static int
flock_try(const struct guard_user *u)
{
        int r;

        do
                r = flock(u->fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
        while (r == -EINTR);
        return r;
}

static bool
flock_try_acquire(struct guard_user *u)
{
        return flock_try(u) == 0;
}

static int
flock_acquire(struct guard_user *u)
{
        uint64_t pause_ns = PAUSE_MIN_NS;
        int r;

        while ((r = flock_try(u)) == -EWOULDBLOCK) {
                if (guard_is_late(u))
                        return -ETIMEDOUT;
                nanosleep(&(struct timespec){.tv_nsec = (long)pause_ns}, NULL);
                pause_ns = MIN(pause_ns * 2, PAUSE_MAX_NS);
        }
        return r;
}

static void
flock_release(struct guard_user *u)
{
        flock(u->fd, LOCK_UN);
}

const struct guard guard_flock = {
        .name = "flock",
        .summary = "flock(2) on a file, asked for again and again",
        .flags = GUARD_EXCLUDES | GUARD_LIMITS,
        .death = GUARD_DEATH_RELEASED,
        .death_note = "the kernel gives it back and tells nobody: what it guards may be half done",
        .init = nothing_init,
        .attach = flock_attach,
        .detach = flock_detach,
        .try_acquire = flock_try_acquire,
        .acquire = flock_acquire,
        .release = flock_release,
};
