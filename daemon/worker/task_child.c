/* SPDX-License-Identifier: MIT */
#include "worker/task_child.h"

#include "shared/clock.h"
#include "shared/log.h"
#include "worker/evidence.h"
#include "worker/fatal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* One task needs little; a thousand threads at once must fit into any address space. */
#define TASK_STACK_BYTES (256 * 1024)

static void
fill_mailbox(struct task_mailbox *m, struct concd_ctx *ctx, const struct concd_workload *workload, uint64_t index)
{
        uint64_t result = 0, blocked = worker_of(ctx)->blocked_ns;

        m->rc = workload->run(ctx, index, &result);
        m->result = result;
        m->blocked_ns = worker_of(ctx)->blocked_ns - blocked;
        m->end_ns = clock_now_ns();
        atomic_store_explicit(&m->done, 1, memory_order_release);
}

static _Noreturn void
task_process_main(struct worker *w, uint64_t index, struct task_mailbox *mailbox, pid_t parent)
{
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(1);
        close(w->setup->doorbell);
        fatal_enter(NULL, UINT64_MAX, false);
        /* The area has room for one writer: this child while the worker waits for it, but not for many at once. */
        if (w->spec->spawn == SPAWN_AT_ONCE)
                w->tracer.trace = NULL;
        fill_mailbox(mailbox, &w->ctx, w->workload, index);
        _exit(0);
}

pid_t
task_process_start(struct worker *w, uint64_t index, struct task_mailbox *mailbox)
{
        pid_t parent = getpid(), pid;

        atomic_store_explicit(&mailbox->done, 0, memory_order_relaxed);
        pid = fork();
        if (pid == 0)
                task_process_main(w, index, mailbox, parent);
        return pid < 0 ? -errno : pid;
}

enum task_end
task_process_await(pid_t pid, const struct task_mailbox *mailbox, enum failure_reason *ret_reason, int *ret_value)
{
        int status;

        while (waitpid(pid, &status, 0) < 0) {
                if (errno != EINTR) {
                        log_alert("cannot await task process %d: %s", pid, strerror(errno));
                        return TASK_END_OUTSIDE;
                }
        }
        if (atomic_load_explicit(&mailbox->done, memory_order_acquire) && WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return TASK_END_DONE;
        if (WIFSIGNALED(status) && !fatal_signal_is_own(WTERMSIG(status)))
                return TASK_END_OUTSIDE;
        *ret_reason = WIFSIGNALED(status) ? FAILURE_SIGNAL : FAILURE_EXIT;
        *ret_value = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
        return TASK_END_OWN;
}

uint32_t
task_process_charge(struct worker *w)
{
        uint64_t word = atomic_load_explicit(&w->line->word, memory_order_relaxed);
        uint32_t attempts = ledger_attempts(word) + 1;

        atomic_store_explicit(&w->line->word, ledger_pack(ledger_owner(word), attempts, ledger_progress(word)),
                              memory_order_release);
        return attempts;
}

/* A context of its own: the worker's is in use by others. */
static void
execute_alone(struct task_thread *t)
{
        const struct worker *w = t->worker;
        /* What does not change during a run; the worker goes on writing the rest. */
        struct worker own = {
                .setup = w->setup,
                .slot = w->slot,
                .seat = w->seat,
                .seat_index = w->seat_index,
                .spec = w->spec,
                .workload = w->workload,
                .ctx =
                        {
                                .struct_size = w->ctx.struct_size,
                                .worker = w->ctx.worker,
                                .params = w->ctx.params,
                                .attention = w->ctx.attention,
                                .ops = w->ctx.ops,
                        },
        };
        int r = 0;

        if (own.workload->prepare)
                r = own.workload->prepare(&own.ctx);
        if (r < 0) {
                t->mailbox.rc = r;
                t->mailbox.end_ns = clock_now_ns();
                return;
        }
        fill_mailbox(&t->mailbox, &own.ctx, own.workload, t->index);
        if (own.workload->cleanup)
                own.workload->cleanup(&own.ctx);
}

static void *
task_thread_main(void *arg)
{
        struct task_thread *t = arg;

        /* Without the alternate stack an overflow of the thread's own would only be nobody's fault. */
        (void)fatal_enter(t->worker->slot, t->own_context ? t->index : UINT64_MAX, true);
        if (t->own_context)
                execute_alone(t);
        else
                fill_mailbox(&t->mailbox, &t->worker->ctx, t->worker->workload, t->index);
        evidence_read(&t->evidence, -1, false);
        fatal_leave();
        return NULL;
}

int
task_thread_start(struct task_thread *t)
{
        pthread_attr_t attr;
        int r;

        memset(&t->evidence, 0, sizeof(t->evidence));
        t->mailbox.rc = 0;
        atomic_store_explicit(&t->mailbox.done, 0, memory_order_relaxed);
        pthread_attr_init(&attr);
        pthread_attr_setstacksize(&attr, TASK_STACK_BYTES);
        r = pthread_create(&t->thread, &attr, task_thread_main, t);
        pthread_attr_destroy(&attr);
        return -r;
}

void
task_thread_await(struct task_thread *t)
{
        pthread_join(t->thread, NULL);
        evidence_add(&t->worker->seat->evidence, &t->evidence);
}
