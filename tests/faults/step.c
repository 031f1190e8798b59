/* SPDX-License-Identifier: MIT */
#include "step.h"

#include "shared/base.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#define LOOKS_BETWEEN 64 /* looks for the end of a step between two looks whether the child sleeps */
#define PIDS_MAX      16

/* Stops here for the tracer, and goes on behind it. */
#if defined(__x86_64__)
#define TRAP() __asm__ volatile("int3" ::: "memory")
#else
#define TRAP() raise(SIGTRAP)
#endif

/* A test that cannot trace must not go on as if it had. */
static void
must(bool worked, const char *what)
{
        if (worked)
                return;
        perror(what);
        abort();
}

bool
step_permitted(void)
{
        pid_t pid = fork();
        int status;

        if (pid == 0)
                _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0);
        return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

unsigned
sweep_stride(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        return 13;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
        return 13;
#endif
#endif
        return 1;
}

pid_t
step_fork(void (*body)(void *arg), void *arg)
{
        pid_t parent = getpid(), pid = fork();

        must(pid >= 0, "fork");
        if (pid > 0)
                return pid;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
                body(arg);
        _exit(1);
}

struct birth {
        struct stepped *p;
        void (*prepare)(void *arg), (*body)(void *arg);
        void *arg;
};

static void
child_main(void *arg)
{
        struct birth *b = arg;

        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
                _exit(1);
        if (b->prepare)
                b->prepare(b->arg);
        TRAP();
        b->body(b->arg);
        atomic_store(b->p->ended, 1);
        _exit(0);
}

void
stepped_start(struct stepped *p, void (*prepare)(void *arg), void (*body)(void *arg), void *arg)
{
        struct birth birth = {p, prepare, body, arg};
        int status;

        *p = (struct stepped){
                .ended = mmap(NULL, sizeof(*p->ended), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
        };
        must(p->ended != MAP_FAILED, "mmap");
        p->pid = step_fork(child_main, &birth);
        must(waitpid(p->pid, &status, 0) == p->pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP,
             "child to be stepped");
        must(ptrace(PTRACE_SETOPTIONS, p->pid, NULL, (void *)(PTRACE_O_EXITKILL | PTRACE_O_TRACEEXIT)) == 0,
             "PTRACE_SETOPTIONS");
}

/* ── what /proc says of a process ── */

struct look {
        char state;
        uint64_t sleeps; /* how often it has gone to sleep of its own will */
};

static bool
look_at(pid_t pid, struct look *ret)
{
        static const char state[] = "\nState:\t", sleeps[] = "\nvoluntary_ctxt_switches:\t";
        char path[32], text[4096];
        const char *found;
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/%d/status", pid);
        AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0 || (n = read(fd, text, sizeof(text) - 1)) <= 0)
                return false;
        text[n] = '\0';
        found = strstr(text, state);
        if (!found)
                return false;
        ret->state = found[sizeof(state) - 1];
        found = strstr(text, sleeps);
        if (!found)
                return false;
        ret->sleeps = strtoull(found + sizeof(sleeps) - 1, NULL, 10);
        return true;
}

bool
step_all_asleep(const pid_t *pids, unsigned n)
{
        struct look before[PIDS_MAX], now;

        must(n <= PIDS_MAX, "step_all_asleep");
        for (unsigned i = 0; i < n; i++) {
                if (!look_at(pids[i], &before[i]) || before[i].state != 'S')
                        return false;
        }
        /* Each slept from its first look to its second, and all first looks lie before all second ones. */
        for (unsigned i = 0; i < n; i++) {
                if (!look_at(pids[i], &now) || now.state != 'S' || now.sleeps != before[i].sleeps)
                        return false;
        }
        return true;
}

/* ── stepping ── */

/* The end of the step that was begun; false while the child sleeps. */
static bool
await_stop(struct stepped *p)
{
        int status;

        for (unsigned looks = 1;; looks++) {
                pid_t pid = waitpid(p->pid, &status, WNOHANG);

                must(pid >= 0, "waitpid");
                if (pid == p->pid)
                        break;
                if (looks % LOOKS_BETWEEN == 0) {
                        if (step_all_asleep(&p->pid, 1))
                                return false;
                        sched_yield();
                }
        }
        must(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP, "step");
        p->pending = false;
        return true;
}

static void
begin(struct stepped *p, enum __ptrace_request how)
{
        must(ptrace(how, p->pid, NULL, NULL) == 0, "ptrace");
        p->pending = true;
}

/* ── the way to where the case before stood ── */

#if defined(__x86_64__)
#define AT (void *)offsetof(struct user, regs.rip)

static uintptr_t
where(const struct stepped *p)
{
        return (uintptr_t)ptrace(PTRACE_PEEKUSER, p->pid, AT, NULL);
}

static void
poke(struct stepped *p, uintptr_t at, long text)
{
        must(ptrace(PTRACE_POKETEXT, p->pid, (void *)at, (void *)text) == 0, "PTRACE_POKETEXT");
}

/* Runs to an instruction by a breakpoint, past those times that it is met before. The child's text is its own as soon
 * as it is written to. False when it ended without coming by, because another process did something at another time
 * than in the case before. */
static bool
run_to(struct stepped *p, const struct sweep_step *step)
{
        long text = ptrace(PTRACE_PEEKTEXT, p->pid, (void *)step->at, NULL);

        for (unsigned before = 0;; before++) {
                poke(p, step->at, (text & ~0xffL) | 0xcc);
                begin(p, PTRACE_CONT);
                must(await_stop(p), "the path of the case before");
                if (stepped_has_ended(p))
                        return false;
                must(where(p) == step->at + 1, "breakpoint");
                poke(p, step->at, text);
                must(ptrace(PTRACE_POKEUSER, p->pid, AT, (void *)step->at) == 0, "PTRACE_POKEUSER");
                if (before == step->before)
                        return true;
                begin(p, PTRACE_SINGLESTEP);
                must(await_stop(p), "step");
        }
}
#else
static uintptr_t
where(const struct stepped *p)
{
        (void)p;
        return 0;
}

static bool
run_to(struct stepped *p, const struct sweep_step *step)
{
        (void)p;
        (void)step;
        return false;
}
#endif

#define COST_OF_BREAKPOINT 8 /* in single steps */

/* From which instruction on it is best to step. */
static unsigned
shortcut(const struct sweep *s)
{
        unsigned best = 0, least = s->k;

        for (unsigned i = 1; i < s->n && i <= s->k; i++) {
                unsigned cost = s->k - i + COST_OF_BREAKPOINT * (1 + s->step[i].before);

                if (cost < least && s->step[i].at != 0) {
                        least = cost;
                        best = i;
                }
        }
        return best;
}

static void
sweep_note(struct sweep *s, unsigned i, uintptr_t at)
{
        if (i < s->n && s->step[i].at == at)
                return;
        if (i == s->size) {
                s->size = s->size ? 2 * s->size : 256;
                s->step = realloc(s->step, s->size * sizeof(*s->step));
                must(s->step, "realloc");
        }
        /* Another way than in the case before: reading the clock takes an instruction more or less. */
        s->n = i + 1;
        s->step[i] = (struct sweep_step){.at = at};
        for (unsigned before = 0; before < i; before++)
                s->step[i].before += s->step[before].at == at;
}

void
sweep_end(struct sweep *s)
{
        free(s->step);
        *s = (struct sweep){0};
}

static enum step
go(struct stepped *p, struct sweep *s)
{
        unsigned i;

        if (p->pending && !await_stop(p))
                return STEP_ASLEEP;
        i = shortcut(s);
        if (i > 0 && !run_to(p, &s->step[i])) {
                s->k -= sweep_stride(); /* the next case is this one again, by steps alone */
                s->n = 0;
                return STEP_STANDS;
        }
        for (;; i++) {
                if (stepped_has_ended(p))
                        return STEP_ENDED;
                sweep_note(s, i, where(p));
                if (i == s->k)
                        return STEP_STANDS;
                begin(p, PTRACE_SINGLESTEP);
                if (!await_stop(p))
                        return STEP_ASLEEP;
        }
}

enum step
stepped_go(struct stepped *p, struct sweep *s)
{
        return s->now = go(p, s);
}

enum step
stepped_go_to_sleep(struct stepped *p)
{
        begin(p, PTRACE_SYSCALL);
        must(await_stop(p), "entry of a system call");
        begin(p, PTRACE_SYSCALL);
        return await_stop(p) ? STEP_STANDS : STEP_ASLEEP;
}

void
stepped_kill(struct stepped *p)
{
        int status;

        must(kill(p->pid, SIGKILL) == 0, "kill");
        /* The end of a step may be reported first. One that is about to exit no signal moves on. */
        do {
                ptrace(PTRACE_CONT, p->pid, NULL, NULL);
                must(waitpid(p->pid, &status, 0) == p->pid, "waitpid");
        } while (WIFSTOPPED(status));
        munmap((void *)p->ended, sizeof(*p->ended));
}

void
stepped_let_go(struct stepped *p)
{
        /* Asleep in the middle of a step: it stands as soon as it is woken. */
        if (p->pending && !await_stop(p))
                return;
        must(ptrace(PTRACE_DETACH, p->pid, NULL, NULL) == 0, "PTRACE_DETACH");
        p->let_go = true;
}

bool
stepped_has_ended(const struct stepped *p)
{
        return atomic_load(p->ended);
}

bool
stepped_end(struct stepped *p)
{
        int status;

        must(waitpid(p->pid, &status, 0) == p->pid, "waitpid");
        munmap((void *)p->ended, sizeof(*p->ended));
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
