/* SPDX-License-Identifier: MIT */
/*
 * The supervisor's children: process workers and the thread host. Forks them, notices their end through pidfds,
 * has their slots recovered, and forks them again, after a pause when they keep dying at once.
 */
#ifndef CONCD_CHILDREN_H
#define CONCD_CHILDREN_H

#include "segment/layout.h"
#include "shared/base.h"

#include <event2/event.h>
#include <stdbool.h>
#include <sys/resource.h>

struct supervisor;

struct child {
        struct supervisor *supervisor;
        uint32_t slot;
        pid_t pid; /* 0: not running */
        int pidfd;
        struct event *exited, *respawn;
        bool wanted;           /* forked again when it dies */
        bool native;           /* was forked without a parked thread */
        unsigned quick_deaths; /* in a row, each without a commit */
        unsigned false_starts; /* in a row: it could not be forked, or left before it was ready */
};

struct children {
        struct child *child;         /* [slot] of the thread host and the processes */
        uint32_t processes, threads; /* wanted now */
        bool native;                 /* process workers without a parked thread are wanted */
        uint64_t deaths;             /* ever, of those that were not told to leave */
        struct event *nudge;         /* while somebody has still to leave, or a thread could not be started */
};

/* How one child ended, for the recovery of its slots. */
struct child_death {
        uint32_t slot; /* SLOT_THREAD_HOST or a process */
        int status;    /* as from wait(2) */
        struct rusage usage;
};

/* Makes the records; forks nothing. 0 or -errno. */
int children_init(struct children *c, struct supervisor *s);

/* Kills and reaps all that are left. Blocks until they are gone. */
void children_deinit(struct children *c);

/*
 * Has that many workers from now on: forks what is missing, tells the rest to leave as soon as they are idle. Process
 * workers have a parked thread (process.c), or none when `native`: who was forked the other way leaves too, and
 * is forked anew when gone. 0, or -errno when a fork failed (logged); those that exist stay.
 */
int children_want(struct children *c, uint32_t processes, uint32_t threads, bool native);

/* Are workers of a kind wanted that could not be started, for want of memory or the like? They are tried again, after a
 * pause. */
bool children_lack(const struct children *c, enum worker_kind kind);

/* Thread slots became free: asks for the threads that are missing. */
void children_tend(struct children *c);

/* Kills the worker of a slot; for a thread that is its whole host. */
void children_kill(struct children *c, uint32_t slot, int signal);

/* Wakes n sleepers of a kind, or fewer; only a hint to them. */
void children_call(struct children *c, enum worker_kind kind, uint32_t n);

/* A worker of this seat made progress, so its next death is not the same as its last. */
void children_forgive(struct children *c, uint32_t slot);

#endif
