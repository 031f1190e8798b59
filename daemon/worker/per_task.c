/* SPDX-License-Identifier: MIT */
#include "worker/per_task.h"

#include "worker/task_child.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* How long a worker goes on trying when the system is out of processes, threads or memory: 1 s. */
#define START_TRIES    50
#define START_PAUSE_NS (20 * NS_PER_MS)

struct per_task {
        struct task_mailbox *mailbox; /* shared with the children */
};

/* After a start that failed with `error`, for the `tried`th time: is it worth another try? Waits before it. */
static bool
try_again(int error, int tried)
{
        const struct timespec pause = {.tv_nsec = START_PAUSE_NS};

        if ((error != -EAGAIN && error != -ENOMEM) || tried >= START_TRIES)
                return false;
        nanosleep(&pause, NULL);
        return true;
}

static pid_t
start_process(struct worker *w, uint64_t index)
{
        pid_t pid;

        for (int tried = 1;; tried++) {
                pid = task_process_start(w, index, w->per_task->mailbox);
                if (pid >= 0 || !try_again(pid, tried))
                        return pid;
        }
}

static int
execute_in_process(struct concd_ctx *ctx, uint64_t index, uint64_t *ret_result)
{
        struct worker *w = worker_of(ctx);
        struct run *run = w->setup->segment.run;
        const struct task_mailbox *m = w->per_task->mailbox;

        for (;;) {
                pid_t pid = start_process(w, index);

                if (pid < 0)
                        return pid;
                switch (task_process_await(pid, m, &w->failure_reason, &w->failure_value)) {
                case TASK_END_DONE:
                        *ret_result = m->result;
                        w->blocked_ns += m->blocked_ns;
                        return m->rc;
                case TASK_END_OWN:
                        if (task_process_charge(w) >= LEDGER_ATTEMPTS_MAX)
                                return CONCD_CHILD_DIED;
                        break;
                case TASK_END_OUTSIDE:
                        atomic_fetch_add(&run->task_deaths, 1);
                        worker_ring(w->setup); /* there is a limit */
                        break;
                }
                if (__atomic_load_n(ctx->attention, __ATOMIC_RELAXED) & ATTENTION_STOP)
                        return CONCD_CANCELLED;
                atomic_fetch_add(&run->reexecuted, 1);
        }
}

static int
execute_in_thread(struct concd_ctx *ctx, uint64_t index, uint64_t *ret_result)
{
        struct task_thread t = {.worker = worker_of(ctx), .index = index};
        int r;

        for (int tried = 1; (r = task_thread_start(&t)) < 0; tried++) {
                if (!try_again(r, tried))
                        return r;
        }
        task_thread_await(&t);
        *ret_result = t.mailbox.result;
        return t.mailbox.rc;
}

int
per_task_begin(struct worker *w)
{
        if (w->kind == WORKER_THREAD) {
                w->execute = execute_in_thread;
                return 0;
        }
        w->per_task = calloc(1, sizeof(*w->per_task));
        if (!w->per_task)
                return -ENOMEM;
        w->per_task->mailbox =
                mmap(NULL, sizeof(struct task_mailbox), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (w->per_task->mailbox == MAP_FAILED) {
                int r = -errno;

                free(w->per_task);
                w->per_task = NULL;
                return r;
        }
        w->execute = execute_in_process;
        return 0;
}

void
per_task_end(struct worker *w)
{
        if (!w->per_task)
                return;
        munmap(w->per_task->mailbox, sizeof(struct task_mailbox));
        free(w->per_task);
        w->per_task = NULL;
}
