/* SPDX-License-Identifier: MIT */
/* A process or thread of its own for one task: start it, await it, tell how it ended. */
#ifndef CONCD_TASK_CHILD_H
#define CONCD_TASK_CHILD_H

#include "worker/worker.h"

#include <pthread.h>

/* What the child leaves behind. For processes it lies in memory shared with them. */
struct task_mailbox {
        _Atomic uint32_t done;
        int32_t rc;
        uint64_t result;
        uint64_t end_ns;
        uint64_t blocked_ns; /* inside blocking marks */
};

enum task_end {
        TASK_END_DONE,    /* the mailbox is filled */
        TASK_END_OWN,     /* it killed its process: reason and value are set */
        TASK_END_OUTSIDE, /* somebody killed it */
};

/* Forks a child that executes one task. Returns its pid or -errno. */
pid_t task_process_start(struct worker *w, uint64_t index, struct task_mailbox *mailbox);

/* Blocks until it ends, and reaps it. */
enum task_end task_process_await(pid_t pid, const struct task_mailbox *mailbox, enum failure_reason *ret_reason,
                                 int *ret_value);

/* Charges a death to the task at the progress of the worker's line; returns how often it has died. */
uint32_t task_process_charge(struct worker *w);

struct task_thread {
        pthread_t thread;
        struct worker *worker;
        uint64_t index;
        bool own_context; /* with a workload state of its own, because others run at the same time */
        struct task_mailbox mailbox;
        struct evidence evidence;
};

/* Starts a thread that executes one task of t->worker; t must stay until task_thread_await(). 0 or -errno. */
int task_thread_start(struct task_thread *t);

/* Blocks until it ends; its evidence is added to the worker's seat. */
void task_thread_await(struct task_thread *t);

#endif
