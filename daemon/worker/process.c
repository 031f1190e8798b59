/* SPDX-License-Identifier: MIT */
/*
 * A child never returns into the supervisor's code: it gives up what it must not have (limits.c), resets the signals,
 * closes every descriptor but the few it needs, asks to be killed with its parent, and leaves by _exit(). libevent's
 * base is left alone: freeing it would take events off the epoll instance that parent and child share.
 */
#include "worker/process.h"

#include "segment/process_time.h"
#include "shared/log.h"
#include "worker/fatal.h"
#include "worker/limits.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

static int
by_value(const void *a, const void *b)
{
        return *(const int *)a - *(const int *)b;
}

/* Closes all descriptors but those in keep[] (-1 is none) and the standard ones. */
static void
close_others(int *keep, size_t n)
{
        unsigned next = 3;

        qsort(keep, n, sizeof(*keep), by_value);
        for (size_t i = 0; i < n; i++) {
                if (keep[i] < 3)
                        continue;
                if ((unsigned)keep[i] > next)
                        close_range(next, (unsigned)keep[i] - 1, 0);
                next = (unsigned)keep[i] + 1;
        }
        close_range(next, UINT_MAX, 0);
}

static void
reset_signals(void)
{
        sigset_t none;

        for (int s = 1; s < 32; s++) {
                if (s != SIGKILL && s != SIGSTOP)
                        signal(s, SIG_DFL);
        }
        /* Ctrl-C at a terminal goes to the whole group; the supervisor alone decides what it means. */
        signal(SIGINT, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
}

static struct slot *
enter(const struct worker_setup *setup, uint32_t slot_index, pid_t supervisor, const char *name)
{
        struct slot *slot = &setup->segment.slots[slot_index];

        if (limits_apply(setup->core_files) < 0)
                _exit(1);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != supervisor)
                _exit(0);
        atomic_store(&slot->pid, getpid());
        atomic_store(&slot->tid, getpid());
        atomic_store(&slot->start_time, process_start_time(getpid()));
        prctl(PR_SET_NAME, name);
        reset_signals();
        return slot;
}

struct worker_start {
        const struct worker_setup *setup;
        const struct semaphores *semaphores;
        uint32_t slot_index;
};

/* Serves as a process worker, and takes the process along when it is done. */
static _Noreturn void
process_serve(const struct worker_start *start)
{
        struct slot *slot = &start->setup->segment.slots[start->slot_index];

        if (fatal_enter(slot, UINT64_MAX, false) < 0)
                _exit(1);
        worker_main(start->setup, start->semaphores, start->slot_index);
        _exit(0);
}

static void *
process_thread(void *arg)
{
        const struct worker_start *start = arg;

        prctl(PR_SET_NAME, "concd-worker");
        atomic_store(&start->setup->segment.slots[start->slot_index].tid, gettid());
        process_serve(start);
}

/*
 * While a process has only one thread, glibc leaves the atomics out of its locks, malloc and stdio, and the kernel
 * takes shorter paths, too. With a second thread a process worker pays what a thread worker pays. It is the first one
 * that is parked for ever, so that the worker has what a thread worker has: a stack of its own, and an arena of malloc
 * that is not full of holes which the supervisor left.
 */
static _Noreturn void
serve_beside_parked_thread(const struct worker_start *start)
{
        pthread_t thread;
        sigset_t all;
        int r = pthread_create(&thread, NULL, process_thread, (void *)(uintptr_t)start);

        if (r != 0) {
                log_error("a process worker cannot have its second thread: %s", strerror(r));
                _exit(1);
        }
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, NULL);
        for (;;)
                pause();
}

void
process_worker_main(const struct worker_setup *setup, const struct semaphores *semaphores, uint32_t slot_index,
                    pid_t supervisor)
{
        const struct worker_start start = {setup, semaphores, slot_index};
        int keep[] = {setup->doorbell, setup->herd_lock};

        enter(setup, slot_index, supervisor, "concd-process");
        close_others(keep, ARRAY_SIZE(keep));
        if (fatal_install(false) < 0)
                _exit(1);
        if (setup->parked_thread)
                serve_beside_parked_thread(&start);
        process_serve(&start);
}

/* ── the thread host ── */

static void *
thread_main(void *arg)
{
        AUTO_FREE struct worker_start *start = arg;
        struct slot *slot = &start->setup->segment.slots[start->slot_index];

        prctl(PR_SET_NAME, "concd-thread");
        atomic_store(&slot->tid, gettid());
        if (fatal_enter(slot, UINT64_MAX, true) < 0) {
                atomic_store(&slot->state, SLOT_DEAD);
        } else {
                worker_main(start->setup, start->semaphores, start->slot_index);
                fatal_leave();
                atomic_store(&slot->tid, 0);
                atomic_store(&slot->state, SLOT_FREE);
        }
        worker_ring(start->setup);
        return NULL;
}

static int
start_thread(const struct worker_setup *setup, const struct semaphores *semaphores, uint32_t slot_index)
{
        struct worker_start *start = malloc(sizeof(*start));
        pthread_attr_t attr;
        pthread_t thread;
        int r;

        if (!start)
                return ENOMEM;
        *start = (struct worker_start){setup, semaphores, slot_index};
        pthread_attr_init(&attr);
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        r = pthread_create(&thread, &attr, thread_main, start);
        pthread_attr_destroy(&attr);
        if (r != 0)
                free(start);
        return r;
}

/* Gives every slot that the supervisor asked for its thread. */
static void
start_threads(const struct worker_setup *setup, const struct semaphores *semaphores, pid_t self, uint64_t start_time)
{
        const struct segment *s = &setup->segment;

        for (uint32_t i = 0; i < s->header->max_workers; i++) {
                uint32_t index = segment_thread_slot(s, i);
                struct slot *slot = &s->slots[index];
                int r;

                /* tid is set to -1 by the supervisor with the request, and by us when it is granted. */
                if (atomic_load(&slot->state) != SLOT_STARTING || atomic_load(&slot->tid) != -1)
                        continue;
                atomic_store(&slot->pid, self);
                atomic_store(&slot->start_time, start_time);
                atomic_store(&slot->tid, 0);
                r = start_thread(setup, semaphores, index);
                if (r != 0) {
                        log_error("cannot start a thread worker: %s", strerror(r));
                        atomic_store(&slot->state, SLOT_DEAD);
                        worker_ring(setup);
                }
        }
}

void
thread_host_main(const struct worker_setup *setup, const struct semaphores *semaphores, pid_t supervisor)
{
        int keep[] = {setup->doorbell, setup->herd_lock, setup->host_control};
        struct slot *slot = enter(setup, SLOT_THREAD_HOST, supervisor, "concd-threads");
        uint64_t start_time = atomic_load(&slot->start_time), rings;

        close_others(keep, ARRAY_SIZE(keep));
        if (fatal_install(true) < 0)
                _exit(1);
        atomic_store(&slot->state, SLOT_RUNNING);
        for (;;) {
                start_threads(setup, semaphores, getpid(), start_time);
                if (read(setup->host_control, &rings, sizeof(rings)) < 0 && errno != EINTR)
                        _exit(1);
        }
}
