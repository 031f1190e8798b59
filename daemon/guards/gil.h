/* SPDX-License-Identifier: MIT */
/*
 * The emulated interpreter lock of CPython 3.11: one thread runs, the others wait. See gil.c for the protocol.
 */
#ifndef CONCD_GIL_H
#define CONCD_GIL_H

#include "segment/layout.h"

#include <pthread.h>
#include <stdint.h>

#define GIL_SWITCH_INTERVAL_NS UINT64_C(5000000)

/* Lies in the segment; all members are guarded by `lock`, but `interval_ns`, which does not change. */
struct gil {
        pthread_mutex_t lock;
        pthread_cond_t released; /* signalled when locked becomes 0 */
        pthread_cond_t taken;    /* broadcast when another thread than the last holder took it */
        uint32_t locked;
        uint32_t last_holder; /* thread number + 1; 0 is none */
        uint32_t waiters;     /* threads inside gil_acquire() that found it locked */
        uint64_t switches;    /* how often the holder changed */
        uint64_t interval_ns;
};

_Static_assert(sizeof(struct gil) <= LOCK_AREA_BYTES, "the segment has room for it");

/* What one thread knows of its own waiting; private to the thread. */
struct gil_thread {
        struct gil *gil;
        uint32_t *attention;         /* the run's attention word, the same for all threads of the lock */
        uint32_t id;                 /* number of the thread within the run, from 0 */
        uint64_t wait_ns;            /* gil_acquire() found it locked, or gil_release() waited for the next holder */
        uint64_t switches;           /* times this thread took it over from another */
        const struct tracer *tracer; /* that notes what makes wait_ns up; NULL: nobody */
};

/* The bit in the attention word by which a waiter asks the holder to let go. All changes of the word are
 * atomic or/and, since its other bits belong to others. */
#define GIL_DROP_BIT ATTENTION_GIL

/* Makes it free, whatever the memory held before. Process-shared, CLOCK_MONOTONIC. 0 or -errno (-EINVAL: an interval of
 * 0). Only when no thread uses it. There is nothing to free. Whoever owns the attention word clears it. */
int gil_init(struct gil *gil, uint64_t interval_ns);

/* Blocks until the thread holds it. Not recursive. */
void gil_acquire(struct gil_thread *t);

/* The same, but gives up when CLOCK_MONOTONIC comes to `until_ns`: -ETIMEDOUT. With 0 it never waits for it. */
int gil_acquire_until(struct gil_thread *t, uint64_t until_ns);

/* Lets go of it; only by the holder. When a waiter had asked for it, blocks until another thread has taken it (forced
 * switch). */
void gil_release(struct gil_thread *t);

/* Does a waiter want the holder to let go? */
static inline bool
gil_drop_is_asked(const struct gil_thread *t)
{
        return __atomic_load_n(t->attention, __ATOMIC_RELAXED) & GIL_DROP_BIT;
}

/* At a checkpoint, while held: hands over if asked to (release, then acquire). */
void gil_checkpoint(struct gil_thread *t);

/* The lock of the running run. */
static inline struct gil *
gil_of(struct run *run)
{
        return (struct gil *)run->lock_area;
}

#endif
