/* SPDX-License-Identifier: MIT */
/*
 * A room with one guard in it, and guests: threads of the test, or processes of their own that share its memory.
 * Nothing here is held to a time; a guest that hangs runs into a deadline that is far away.
 */
#ifndef CONCD_TEST_GUARD_ROOM_H
#define CONCD_TEST_GUARD_ROOM_H

#include "guards/guard.h"

#include "shared/base.h"
#include "shared/clock.h"
#include "shm_fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define GUESTS   4
#define USERS    5 /* and one more that finds it taken */
#define FAR_AWAY (40 * NS_PER_S)

enum mode { THREADS, PROCESSES, MODES };
static const char *const mode_names[] = {"threads", "processes"};

/* All that the guests share. */
struct room {
        struct race_guard shared;
        uint32_t attention;
        _Atomic int fault_line; /* where a guest saw something that must not be */
        _Atomic uint32_t inside, most, waiting, gone, phase, got, late;
        _Atomic uint32_t order[GUESTS];
        uint64_t counter; /* plain: what is guarded */
        _Atomic uint32_t permit_state[USERS];
};

static struct room *room;
static const struct guard *guard;
static enum mode mode;
static uint32_t permits;
static sem_t *sem;
static char file[64];

/* In a guest, where no assertion reaches. */
#define EXPECT(condition)                                                                                              \
        do {                                                                                                           \
                if (!(condition))                                                                                      \
                        atomic_store(&room->fault_line, __LINE__);                                                     \
        } while (0)

/* ── the room ── */

static inline void
room_setup(void)
{
        int fd;

        /* Names of this one test, so that it answers for no other. */
        snprintf(shm_mark + strlen(shm_mark), sizeof(shm_mark) - strlen(shm_mark), "%d_", getpid());
        room = mmap(NULL, sizeof(*room), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(room, MAP_FAILED);
        snprintf(file, sizeof(file), "/%sfile", shm_mark);
        fd = shm_open(file, O_RDWR | O_CREAT | O_EXCL, 0600);
        ck_assert_int_ge(fd, 0);
        close(fd);
}

static inline void
sem_drop(void)
{
        if (sem)
                sem_close(sem);
        sem = NULL;
}

static inline void
room_teardown(void)
{
        sem_drop();
        shm_unlink(file);
        munmap(room, sizeof(*room));
        ck_assert_uint_eq(shm_count(false), 0);
}

/* A new semaphore, whose name is gone at once: guests inherit it. */
static inline void
sem_make(void)
{
        char name[64];

        sem_drop();
        snprintf(name, sizeof(name), "/%spermits", shm_mark);
        sem = sem_open(name, O_CREAT | O_EXCL, 0600, permits);
        ck_assert_ptr_ne(sem, SEM_FAILED);
        sem_unlink(name);
}

/* Free, with nothing counted, whatever was there before. */
static inline void
room_open(const struct guard *g, enum mode m, uint32_t n)
{
        memset(room, 0, sizeof(*room));
        memset(room->shared.area, 0xa5, sizeof(room->shared.area));
        memset(&room->shared.cells, 0xa5, sizeof(room->shared.cells));
        guard = g;
        mode = m;
        permits = n;
        room->shared.permits = n;
        if (g->flags & GUARD_NAMED)
                sem_make();
        ck_assert_int_eq(g->init(&room->shared), 0);
}

/* The row and the mode of a loop test. False when the guard is not for this mode. */
static inline bool
room_for(int i)
{
        room_open(guards[i / MODES], i % MODES, 1);
        return mode == THREADS || !(guard->flags & GUARD_THREADS_ONLY);
}

static inline bool
limits(void)
{
        return guard_effect(guard, permits) & GUARD_LIMITS;
}

static inline void
user_open(struct guard_user *u, uint32_t id)
{
        *u = (struct guard_user){.shared = &room->shared,
                                 .id = id,
                                 .sem = sem,
                                 .permit_state = &room->permit_state[id],
                                 .attention = &room->attention,
                                 .file = file,
                                 .deadline_ns = clock_now_ns() + FAR_AWAY,
                                 .fd = -1};
        if (guard->attach)
                ck_assert_int_eq(guard->attach(u), 0);
}

static inline void
user_close(struct guard_user *u)
{
        if (guard->detach)
                guard->detach(u);
}

/* ── guests ── */

struct guest {
        uint32_t id;
        void (*act)(struct guard_user *u);
        pthread_t thread;
        pid_t pid;
};

static inline void *
guest_main(void *arg)
{
        struct guest *g = arg;
        struct guard_user u;

        user_open(&u, g->id);
        g->act(&u);
        user_close(&u);
        return NULL;
}

static inline void
guest_start(struct guest *g, uint32_t id, void (*act)(struct guard_user *u))
{
        *g = (struct guest){.id = id, .act = act};
        if (mode == THREADS) {
                ck_assert_int_eq(pthread_create(&g->thread, NULL, guest_main, g), 0);
                return;
        }
        g->pid = fork();
        ck_assert_int_ge(g->pid, 0);
        if (g->pid > 0)
                return;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        guest_main(g);
        _exit(0);
}

static inline void
guest_join(struct guest *g)
{
        int status = -1;

        if (mode == THREADS) {
                ck_assert_int_eq(pthread_join(g->thread, NULL), 0);
        } else {
                ck_assert_int_eq(waitpid(g->pid, &status, 0), g->pid);
                ck_assert_int_eq(status, 0);
        }
        ck_assert_msg(atomic_load(&room->fault_line) == 0, "%s, %s, %u permits: a guest failed in line %d", guard->name,
                      mode_names[mode], permits, atomic_load(&room->fault_line));
}

static inline void
play(uint32_t n, void (*act)(struct guard_user *u))
{
        struct guest guests[GUESTS];

        for (uint32_t i = 0; i < n; i++)
                guest_start(&guests[i], i, act);
        for (uint32_t i = 0; i < n; i++)
                guest_join(&guests[i]);
}

static inline void
await(const _Atomic uint32_t *word, uint32_t value)
{
        while (atomic_load(word) < value)
                sched_yield();
}

/* Exactly so many permits are to be had: one user after another gets one, the next gets none. */
static inline void
check_available(uint32_t n)
{
        struct guard_user u[USERS];

        for (uint32_t i = 0; i <= n; i++) {
                user_open(&u[i], i);
                if (limits())
                        ck_assert_msg(guard->try_acquire(&u[i]) == (i < n), "%s, %s: user %u of %u %s", guard->name,
                                      mode_names[mode], i, n, i < n ? "gets nothing" : "gets one too many");
        }
        for (uint32_t i = 0; i <= n; i++) {
                if (limits() && i < n)
                        guard->release(&u[i]);
                user_close(&u[i]);
        }
}

/* Acquires in vain: gives up so many ns from now, with 0 at once. */
static inline void
expect_late(struct guard_user *u, uint64_t ns)
{
        u->deadline_ns = ns ? clock_now_ns() + ns : 0;
        EXPECT(guard->acquire(u) == -ETIMEDOUT);
        EXPECT(clock_now_ns() >= u->deadline_ns);
        u->deadline_ns = clock_now_ns() + FAR_AWAY;
}

static inline int
room_main(Suite *suite, const char *name)
{
        snprintf(shm_mark, sizeof(shm_mark), "unit-%s-%d_", name, getpid());
        return shm_main(suite);
}

#endif
