/* SPDX-License-Identifier: MIT */
#include "supervisor/children.h"

#include "segment/process_time.h"
#include "shared/log.h"
#include "supervisor/events.h"
#include "supervisor/recovery.h"
#include "supervisor/runner.h"
#include "supervisor/supervisor.h"
#include "worker/process.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* The pause before a child that keeps dying is forked again: doubled from the third death in a row on. */
#define PATIENCE     3
#define PAUSE_MIN_MS 10
#define PAUSE_MAX_MS 1000

/* How often who was told to leave is woken again (a wake-up can go to somebody else), and a thread that could not
 * be started is asked for again. */
#define NUDGE_MS 100

static void on_exited(evutil_socket_t fd, short what, void *arg);
static void on_respawn(evutil_socket_t fd, short what, void *arg);
static void on_nudge(evutil_socket_t fd, short what, void *arg);

int
children_init(struct children *c, struct supervisor *s)
{
        uint32_t n = 1 + s->setup.segment.header->max_workers;

        memset(c, 0, sizeof(*c));
        c->child = calloc(n, sizeof(*c->child));
        if (!c->child)
                return -ENOMEM;
        for (uint32_t i = 0; i < n; i++) {
                struct child *child = &c->child[i];

                *child = (struct child){.supervisor = s, .slot = i, .pidfd = -1};
                child->respawn = evtimer_new(s->base, on_respawn, child);
                if (!child->respawn)
                        return -ENOMEM;
        }
        c->nudge = evtimer_new(s->base, on_nudge, s);
        return c->nudge ? 0 : -ENOMEM;
}

static void
slot_clear(struct slot *slot, enum worker_kind kind, enum slot_state state)
{
        atomic_store(&slot->kind, kind);
        atomic_store(&slot->pid, 0);
        atomic_store(&slot->tid, 0);
        atomic_store(&slot->start_time, 0);
        atomic_store(&slot->retire, 0);
        atomic_store(&slot->blame, BLAME_NONE);
        atomic_store(&slot->blame_value, 0);
        atomic_store(&slot->blame_task, 0);
        atomic_store(&slot->late_claim, 0);
        atomic_store(&slot->late_word, 0);
        atomic_store(&slot->permit_state, PERMIT_IDLE);
        atomic_store(&slot->tasks, 0);
        memset(&slot->base, 0, sizeof(slot->base));
        memset(&slot->base_process, 0, sizeof(slot->base_process));
        atomic_store(&slot->state, state);
}

static _Noreturn void
child_main(const struct child *child, pid_t supervisor)
{
        struct supervisor *s = child->supervisor;

        if (child->slot == SLOT_THREAD_HOST)
                thread_host_main(&s->setup, &s->semaphores, supervisor);
        s->setup.parked_thread = !child->native;
        process_worker_main(&s->setup, &s->semaphores, child->slot, supervisor);
}

/* The supervisor has no signal handlers, and what it blocks waits until the child has found its own (process.c). */
static pid_t
fork_child(struct child *child)
{
        pid_t self = getpid(), pid = fork();

        if (pid == 0)
                child_main(child, self);
        return pid < 0 ? -errno : pid;
}

static int
watch_child(struct child *child, pid_t pid)
{
        child->pidfd = pidfd_open(pid, 0);
        if (child->pidfd < 0)
                return -errno;
        child->exited = event_new(child->supervisor->base, child->pidfd, EV_READ | EV_PERSIST, on_exited, child);
        if (!child->exited || event_add(child->exited, NULL) < 0)
                return -ENOMEM;
        return 0;
}

static void
forget_child(struct child *child)
{
        if (child->exited)
                event_free(child->exited);
        if (child->pidfd >= 0)
                close(child->pidfd);
        child->exited = NULL;
        child->pidfd = -1;
        child->pid = 0;
}

static int
spawn(struct child *child)
{
        struct supervisor *s = child->supervisor;
        struct slot *slot = &s->setup.segment.slots[child->slot];
        pid_t pid;
        int r;

        slot_clear(slot, child->slot == SLOT_THREAD_HOST ? WORKER_THREAD_HOST : WORKER_PROCESS, SLOT_STARTING);
        child->native = s->children.native;
        pid = fork_child(child);
        if (pid < 0) {
                slot_clear(slot, WORKER_NONE, SLOT_FREE);
                log_error("cannot fork a worker: %s", strerror(-pid));
                return pid;
        }
        child->pid = pid;
        r = watch_child(child, pid);
        if (r < 0) {
                log_error("cannot watch a worker: %s", strerror(-r));
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
                forget_child(child);
                slot_clear(slot, WORKER_NONE, SLOT_FREE);
        }
        return r;
}

static void
poke_thread_host(struct supervisor *s)
{
        uint64_t one = 1;
        ssize_t n = write(s->setup.host_control, &one, sizeof(one));

        (void)n;
}

/* Asks the thread host for the threads that are missing, and the others to leave. Their slots are ours while
 * free. True while somebody has still to leave or could not be started. */
static bool
want_threads(struct supervisor *s, uint32_t threads, bool retry)
{
        struct segment *segment = &s->setup.segment;
        bool pending = false;

        for (uint32_t i = 0; i < segment->header->max_workers; i++) {
                struct slot *slot = &segment->slots[segment_thread_slot(segment, i)];
                enum slot_state state = atomic_load(&slot->state);

                if (i >= threads) {
                        if (state == SLOT_DEAD)
                                slot_clear(slot, WORKER_NONE, SLOT_FREE);
                        if (state == SLOT_FREE || state == SLOT_DEAD)
                                continue;
                        atomic_store(&slot->retire, 1);
                        pending = true;
                } else if (state == SLOT_FREE || (state == SLOT_DEAD && retry)) {
                        slot_clear(slot, WORKER_THREAD, SLOT_FREE);
                        atomic_store(&slot->tid, -1);
                        atomic_store(&slot->state, SLOT_STARTING);
                } else if (state == SLOT_DEAD) {
                        pending = true;
                }
        }
        poke_thread_host(s);
        return pending;
}

static void
nudge_later(struct supervisor *s)
{
        const struct timeval pause = {.tv_usec = NUDGE_MS * 1000};

        evtimer_add(s->children.nudge, &pause);
}

static bool
wake_leavers(struct supervisor *s, bool threads)
{
        uint32_t n = s->setup.segment.header->max_workers;
        bool processes = false;

        for (uint32_t i = 1; i <= n; i++)
                processes = processes || (s->children.child[i].pid && atomic_load(&s->setup.segment.slots[i].retire));
        if (processes)
                children_call(&s->children, WORKER_PROCESS, n);
        if (threads)
                children_call(&s->children, WORKER_THREAD, n);
        return processes || threads;
}

static void
on_nudge(evutil_socket_t fd, short what, void *arg)
{
        struct supervisor *s = arg;

        if (wake_leavers(s, want_threads(s, s->children.threads, true)))
                nudge_later(s);
}

bool
children_lack(const struct children *c, enum worker_kind kind)
{
        const struct segment *segment = &c->child[0].supervisor->setup.segment;
        uint32_t first = kind == WORKER_THREAD ? SLOT_THREAD_HOST : 1, last = kind == WORKER_THREAD ? 0 : c->processes;

        for (uint32_t i = first; i <= last; i++) {
                const struct child *child = &c->child[i];

                if (child->false_starts >= PATIENCE &&
                    (child->pid == 0 || atomic_load(&segment->slots[i].state) == SLOT_STARTING))
                        return true;
        }
        if (kind != WORKER_THREAD)
                return false;
        for (uint32_t i = 0; i < c->threads; i++) {
                if (atomic_load(&segment->slots[segment_thread_slot(segment, i)].state) == SLOT_DEAD)
                        return true;
        }
        return false;
}

void
children_tend(struct children *c)
{
        struct supervisor *s = c->child[0].supervisor;

        if (want_threads(s, c->threads, false) && !evtimer_pending(c->nudge, NULL))
                nudge_later(s);
}

static void
respawn_later(struct child *child, unsigned ms)
{
        const struct timeval pause = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

        evtimer_add(child->respawn, &pause);
}

/* Is it a process worker of the flavour that is not wanted? */
static bool
is_of_other_flavour(const struct children *c, const struct child *child)
{
        return child->slot != SLOT_THREAD_HOST && child->pid && child->native != c->native;
}

int
children_want(struct children *c, uint32_t processes, uint32_t threads, bool native)
{
        struct supervisor *s = c->child[0].supervisor;
        struct segment *segment = &s->setup.segment;
        int result = 0;

        c->processes = processes;
        c->threads = threads;
        c->native = native;
        for (uint32_t i = 0; i <= segment->header->max_workers; i++) {
                struct child *child = &c->child[i];

                child->wanted = i == SLOT_THREAD_HOST || i <= processes;
                if (child->wanted && child->pid == 0 && !evtimer_pending(child->respawn, NULL)) {
                        int r = spawn(child);

                        result = result ? result : r;
                        if (r < 0)
                                respawn_later(child, PAUSE_MAX_MS);
                } else if (!child->wanted) {
                        evtimer_del(child->respawn);
                        if (child->pid)
                                atomic_store(&segment->slots[i].retire, 1);
                } else if (is_of_other_flavour(c, child)) {
                        /* on_exited() forks it anew. */
                        atomic_store(&segment->slots[i].retire, 1);
                }
        }
        if (wake_leavers(s, want_threads(s, threads, true)))
                nudge_later(s);
        return result;
}

void
children_call(struct children *c, enum worker_kind kind, uint32_t n)
{
        struct supervisor *s = c->child[0].supervisor;
        sem_t *gate = semaphores_gate(&s->semaphores, kind);

        for (uint32_t i = 0; i < n; i++)
                sem_post(gate);
}

/* The child that a slot's worker lives in. */
static struct child *
child_of(struct children *c, uint32_t slot)
{
        return &c->child[slot <= c->child[0].supervisor->setup.segment.header->max_workers ? slot : SLOT_THREAD_HOST];
}

void
children_kill(struct children *c, uint32_t slot, int signal_number)
{
        struct child *child = child_of(c, slot);

        if (child->pidfd >= 0)
                pidfd_send_signal(child->pidfd, signal_number, NULL, 0);
}

void
children_forgive(struct children *c, uint32_t slot)
{
        child_of(c, slot)->quick_deaths = 0;
}

static unsigned
pause_ms(const struct child *child)
{
        unsigned ms = PAUSE_MIN_MS;

        if (child->quick_deaths < PATIENCE)
                return 0;
        for (unsigned i = PATIENCE; i < child->quick_deaths && ms < PAUSE_MAX_MS; i++)
                ms *= 2;
        return MIN(ms, PAUSE_MAX_MS);
}

static void
respawn(struct child *child)
{
        struct supervisor *s = child->supervisor;

        if (!child->wanted || s->leaving)
                return;
        if (spawn(child) < 0) {
                child->quick_deaths = MAX(child->quick_deaths + 1, PATIENCE);
                child->false_starts++;
                respawn_later(child, pause_ms(child));
                return;
        }
        if (child->slot == SLOT_THREAD_HOST)
                children_tend(&s->children);
        runner_call_missing(s);
}

static void
on_respawn(evutil_socket_t fd, short what, void *arg)
{
        respawn(arg);
}

static void
log_death(const struct child *child, const struct child_death *death, bool retiring)
{
        const char *who = child->slot == SLOT_THREAD_HOST ? "thread host" : "process worker";
        const struct job *job = child->supervisor->queue.running;
        int status = death->status;

        if (retiring && WIFEXITED(status) && WEXITSTATUS(status) == 0)
                log_debug("%s in slot %u (pid %d) left", who, child->slot, child->pid);
        else if (WIFSIGNALED(status))
                event_of_worker(child->slot, child->pid, status, job,
                                "%s in slot %u (pid %d) was killed by signal %d (%s)", who, child->slot, child->pid,
                                WTERMSIG(status), strsignal(WTERMSIG(status)));
        else
                event_of_worker(child->slot, child->pid, status, job, "%s in slot %u (pid %d) exited with status %d",
                                who, child->slot, child->pid, WEXITSTATUS(status));
}

/* Frees the slots of a child after their recovery. */
static void
free_slots(struct supervisor *s, uint32_t slot)
{
        struct segment *segment = &s->setup.segment;

        slot_clear(&segment->slots[slot], WORKER_NONE, SLOT_FREE);
        if (slot != SLOT_THREAD_HOST)
                return;
        for (uint32_t i = 0; i < segment->header->max_workers; i++)
                slot_clear(&segment->slots[segment_thread_slot(segment, i)], WORKER_NONE, SLOT_FREE);
}

static void
on_exited(evutil_socket_t fd, short what, void *arg)
{
        struct child *child = arg;
        struct supervisor *s = child->supervisor;
        struct child_death death = {.slot = child->slot};
        bool retiring = atomic_load(&s->setup.segment.slots[child->slot].retire);

        pid_t pid = wait4(child->pid, &death.status, WNOHANG, &death.usage);

        if (pid < 0 && errno == ECHILD)
                death.status = SIGKILL; /* reaped by somebody else, so nobody knows what of */
        else if (pid != child->pid)
                return;
        log_death(child, &death, retiring);
        if (atomic_load(&s->setup.segment.slots[child->slot].state) == SLOT_STARTING && WIFEXITED(death.status))
                child->false_starts++;
        else
                child->false_starts = 0;
        forget_child(child);
        if (!retiring) {
                s->children.deaths++;
                child->quick_deaths++;
        }
        recovery_of_death(s, &death);
        free_slots(s, child->slot);
        if (pause_ms(child) > 0)
                respawn_later(child, pause_ms(child));
        else
                respawn(child);
        runner_poll(s);
}

void
children_deinit(struct children *c)
{
        uint32_t n;

        if (!c->child)
                return;
        n = 1 + c->child[0].supervisor->setup.segment.header->max_workers;
        for (uint32_t i = 0; i < n; i++) {
                if (c->child[i].pidfd >= 0)
                        pidfd_send_signal(c->child[i].pidfd, SIGKILL, NULL, 0);
        }
        for (uint32_t i = 0; i < n; i++) {
                struct child *child = &c->child[i];

                if (child->pid)
                        waitpid(child->pid, NULL, 0);
                forget_child(child);
                if (child->respawn)
                        event_free(child->respawn);
        }
        if (c->nudge)
                event_free(c->nudge);
        free(c->child);
        c->child = NULL;
}
