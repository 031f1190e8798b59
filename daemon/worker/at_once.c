/* SPDX-License-Identifier: MIT */
/*
 * Many tasks are under way, but the ledger knows only the one at the line's progress, so deaths are counted elsewhere:
 * for processes in the batch, because the pool worker survives its children; for threads, whose death takes the whole
 * thread host, in run.poison, which the supervisor fills in from the culprit's mark.
 *
 * When the system has no room for another child, those that run are awaited and the rest follows.
 */
#include "worker/at_once.h"

#include "shared/clock.h"
#include "worker/task_child.h"
#include "worker/task_loop.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

/* One task under way. */
struct batch_task {
        uint64_t begin_ns;
        pid_t pid;
        int start_error;
        uint32_t deaths;
        struct task_thread thread;
};

struct batch {
        struct worker *worker;
        uint64_t base, size; /* of the line */
        struct batch_task *tasks;
        struct task_mailbox *mailboxes;
        size_t mailbox_bytes;
        uint64_t started; /* tasks before this one were started */
};

static bool
stopped(const struct worker *w)
{
        return __atomic_load_n(w->ctx.attention, __ATOMIC_RELAXED) & ATTENTION_STOP;
}

static const struct poison *
find_poison(const struct run *run, uint64_t task)
{
        for (uint32_t i = 0; i < MIN(run->n_poison, POISON_MAX); i++) {
                if (run->poison[i].task == task && run->poison[i].attempts >= LEDGER_ATTEMPTS_MAX)
                        return &run->poison[i];
        }
        return NULL;
}

static int
start_one(struct batch *b, uint64_t i)
{
        struct batch_task *t = &b->tasks[i];
        int r;

        t->begin_ns = clock_now_ns();
        if (b->worker->kind == WORKER_PROCESS) {
                r = t->pid = task_process_start(b->worker, b->base + i, &b->mailboxes[i]);
                return MIN(r, 0);
        }
        t->thread = (struct task_thread){.worker = b->worker, .index = b->base + i, .own_context = true};
        return task_thread_start(&t->thread);
}

/* Starts as many as there is room for; 0 when that is none. */
static uint64_t
start_batch(struct batch *b)
{
        const struct run *run = b->worker->setup->segment.run;
        uint64_t before = b->started;

        for (; b->started < b->size && !stopped(b->worker); b->started++) {
                struct batch_task *t = &b->tasks[b->started];
                bool poisoned = b->worker->kind == WORKER_THREAD && find_poison(run, b->base + b->started);

                t->start_error = poisoned ? 0 : start_one(b, b->started);
                if ((t->start_error == -EAGAIN || t->start_error == -ENOMEM) && b->started > before)
                        break;
                atomic_fetch_add_explicit(&b->worker->seat->in_flight, 1, memory_order_relaxed);
        }
        return b->started - before;
}

static int
await_thread(struct batch *b, uint64_t i, uint64_t *ret_result, uint64_t *ret_end_ns)
{
        struct worker *w = b->worker;
        struct batch_task *t = &b->tasks[i];
        const struct poison *poison = find_poison(w->setup->segment.run, b->base + i);

        if (poison) {
                w->failure_reason = poison->reason;
                w->failure_value = poison->value;
                return CONCD_CHILD_DIED;
        }
        task_thread_await(&t->thread);
        w->blocked_ns += t->thread.mailbox.blocked_ns;
        *ret_result = t->thread.mailbox.result;
        *ret_end_ns = t->thread.mailbox.end_ns;
        return t->thread.mailbox.rc;
}

static int
await_process(struct batch *b, uint64_t i, uint64_t *ret_result, uint64_t *ret_end_ns)
{
        struct worker *w = b->worker;
        struct run *run = w->setup->segment.run;
        struct batch_task *t = &b->tasks[i];

        for (;;) {
                enum task_end end = task_process_await(t->pid, &b->mailboxes[i], &w->failure_reason, &w->failure_value);
                int r;

                t->pid = 0;
                if (end == TASK_END_DONE) {
                        w->blocked_ns += b->mailboxes[i].blocked_ns;
                        *ret_result = b->mailboxes[i].result;
                        *ret_end_ns = b->mailboxes[i].end_ns;
                        return b->mailboxes[i].rc;
                }
                if (end == TASK_END_OWN && ++t->deaths >= LEDGER_ATTEMPTS_MAX)
                        return CONCD_CHILD_DIED;
                if (end == TASK_END_OUTSIDE) {
                        atomic_fetch_add(&run->task_deaths, 1);
                        worker_ring(w->setup); /* there is a limit */
                }
                if (stopped(w))
                        return CONCD_CANCELLED;
                atomic_fetch_add(&run->reexecuted, 1);
                r = start_one(b, i);
                if (r < 0)
                        return r;
        }
}

/* Awaits what was started and is not committed, without counting it. */
static void
abandon(struct batch *b, uint64_t from)
{
        for (uint64_t i = from; i < b->started; i++) {
                struct batch_task *t = &b->tasks[i];
                enum failure_reason reason;
                int value;

                if (t->start_error < 0)
                        continue;
                if (b->worker->kind == WORKER_THREAD) {
                        if (!find_poison(b->worker->setup->segment.run, b->base + i))
                                task_thread_await(&t->thread);
                } else if (t->pid > 0) {
                        kill(t->pid, SIGKILL);
                        task_process_await(t->pid, &b->mailboxes[i], &reason, &value);
                }
        }
}

static void
note_time(struct worker *w, uint64_t task, uint64_t begin_ns, uint64_t end_ns)
{
        sampler_record(&w->sampler, w->seat, end_ns - begin_ns);
        if (w->tracer.trace)
                trace_add(w->tracer.trace, TRACE_RUN, task, begin_ns, end_ns, w->tracer.join_ns);
}

/* Commits all that was started; false when a task was cancelled. */
static bool
commit_started(struct batch *b, uint64_t *i)
{
        struct worker *w = b->worker;
        struct ledger_sum sum;
        uint64_t owner = ledger_open(w->line, &sum);

        for (; *i < b->started; ++*i) {
                struct batch_task *t = &b->tasks[*i];
                uint64_t result = 0, end_ns = t->begin_ns;
                int rc = t->start_error;

                if (rc == 0)
                        rc = w->kind == WORKER_PROCESS ? await_process(b, *i, &result, &end_ns)
                                                       : await_thread(b, *i, &result, &end_ns);
                if (rc == CONCD_CANCELLED) {
                        abandon(b, *i + 1);
                        return false;
                }
                if (end_ns > t->begin_ns)
                        note_time(w, b->base + *i, t->begin_ns, end_ns);
                task_loop_commit(w, owner, b->size, b->base + *i, rc, result, &sum);
                atomic_fetch_sub_explicit(&w->seat->in_flight, 1, memory_order_relaxed);
        }
        return true;
}

static int
batch_init(struct batch *b)
{
        b->tasks = calloc(b->size, sizeof(*b->tasks));
        if (!b->tasks)
                return -ENOMEM;
        if (b->worker->kind == WORKER_THREAD)
                return 0;
        b->mailbox_bytes = b->size * sizeof(*b->mailboxes);
        b->mailboxes = mmap(NULL, b->mailbox_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (b->mailboxes == MAP_FAILED) {
                b->mailboxes = NULL;
                free(b->tasks);
                return -ENOMEM;
        }
        return 0;
}

bool
at_once_execute(struct worker *w, uint64_t base, uint64_t size)
{
        uint64_t i = ledger_progress(atomic_load_explicit(&w->line->word, memory_order_relaxed));
        struct batch b = {.worker = w, .base = base, .size = size, .started = i};
        bool goes_on = true;

        if (batch_init(&b) < 0) {
                worker_report_error(w, -ENOMEM);
                return false;
        }
        while (goes_on && i < size)
                goes_on = start_batch(&b) > 0 && commit_started(&b, &i);
        atomic_store_explicit(&w->seat->in_flight, 0, memory_order_relaxed);
        free(b.tasks);
        if (b.mailboxes)
                munmap(b.mailboxes, b.mailbox_bytes);
        return goes_on;
}
