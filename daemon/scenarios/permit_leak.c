/* SPDX-License-Identifier: MIT */
/*
 * A holder is killed. Actor 0 makes a process that takes the guard and stops itself; then it kills that process with
 * SIGKILL, reaps it, and calls recover() if the guard can do that. Now nobody holds anything, so there should be as
 * many permits as before: actor 0 takes what is to be had at once, as many users in one, and counts. Nothing in that
 * depends on time. Afterwards every actor takes the guard as usual, for a short time at most; with no permit left each
 * of them waits in vain, as it would for ever.
 *
 * The child: it dies with its parent, and its parent reaps it before it does anything else, so nothing stays behind.
 * It comes from a process that may have other threads, so it does only what is safe after such a fork, and takes the
 * guard. It is a user of its own, beyond the actors; so are those of the count. Their words lie in the state, because
 * what recover() reads must outlive the process that wrote it.
 *
 * The trial uses the guard up; the engine makes it anew before the next one (SCENARIO_ONE_OF_A_KIND).
 */
#include "scenarios/builtin.h"

#include "shared/log.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define ACTORS_MAX         62 /* a ticket lock has room for 64, and two more come: the victim, and who counts */
#define LOOKS_BEFORE_YIELD 256
#define VICTIM_WAIT_NS     (10 * NS_PER_S) /* the guard is free, so it does not wait */
#define TRY_NS             NS_PER_MS

enum { REPAIRED, TOLD, RELEASED, SHORT, NOBODY_KILLED };

struct permit_leak_state {
        alignas(RACE_LINE) uint64_t is_counted;                   /* release / acquire */
        uint64_t kills, recovered, available, told;               /* actor 0 */
        alignas(RACE_LINE) _Atomic uint32_t is_held;              /* by the victim; release / acquire */
        alignas(RACE_LINE) _Atomic uint32_t victim;               /* enum permit_state */
        alignas(RACE_LINE) _Atomic uint32_t counted[PERMITS_MAX]; /* the same of those who count */
};

static const struct outcome permit_leak_outcomes[] = {
        [REPAIRED] = {.name = "repaired", .meaning = "the dead one's permit was found and given back"},
        [TOLD] = {.name = "told", .meaning = "the next one got it, and was told that the holder had died"},
        [RELEASED] = {.name = "released by the kernel", .meaning = "the next one got it, and nobody told it anything"},
        [SHORT] = {.name = "short for ever",
                   .meaning = "the dead one's permit never comes back",
                   .expected = OUTCOME_INTERESTING,
                   .forbidden_by = GUARD_LIMITS,
                   .is_witness = true},
        [NOBODY_KILLED] = {.name = "nobody killed", .meaning = "no process could be made that takes the guard"},
};

static bool
permit_leak_accepts(const struct guard *g, const char **why)
{
        if ((g->flags & (GUARD_EXCLUDES | GUARD_LIMITS)) && !(g->flags & GUARD_THREADS_ONLY))
                return true;
        *why = "mutex, robust-mutex, semaphore, raw-semaphore, unnamed-semaphore, spin, ticket, rwlock, flock, futex: "
               "what a process can hold";
        return false;
}

/* A guard whose permits are lost with their holders limits nothing that could be relied on. */
static uint32_t
permit_leak_effect(const struct race_spec *spec)
{
        const struct guard *g = guards[spec->guard];
        uint32_t effect = guard_effect(g, spec->permits);

        return g->death == GUARD_DEATH_LOSES ? effect & ~GUARD_LIMITS : effect;
}

/* One more user of the guard, beside the actors. */
static struct guard_user
another_user(const struct actor *a, uint32_t number, _Atomic uint32_t *permit_state)
{
        return (struct guard_user){.shared = a->user.shared,
                                   .id = a->actors + number,
                                   .sem = a->user.sem,
                                   .permit_state = permit_state,
                                   .attention = a->user.attention,
                                   .file = a->user.file,
                                   .deadline_ns = clock_now_ns() + VICTIM_WAIT_NS,
                                   .fd = -1};
}

/* ── the victim ── */

static _Noreturn void
victim_main(const struct actor *a, struct permit_leak_state *s, pid_t parent)
{
        struct guard_user u = another_user(a, 0, &s->victim);

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || (a->guard->attach && a->guard->attach(&u) < 0) || a->guard->acquire(&u) < 0)
                _exit(EXIT_FAILURE);
        atomic_store_explicit(&s->is_held, 1, memory_order_release);
        for (;;)
                raise(SIGSTOP);
}

/* Its next change of state: it has stopped, or it has ended and was reaped. 0 or -errno. */
static int
await_child(pid_t pid, int *ret_status)
{
        while (waitpid(pid, ret_status, WUNTRACED) < 0)
                if (errno != EINTR)
                        return -errno;
        return 0;
}

/* True when a holder was killed. It was reaped in any case. */
static bool
kill_holder(const struct actor *a, struct permit_leak_state *s)
{
        pid_t parent = getpid(), pid = fork();
        int status, r;

        if (pid == 0)
                victim_main(a, s, parent);
        if (pid < 0)
                return false;
        while ((r = await_child(pid, &status)) == 0 && WIFSTOPPED(status))
                kill(pid, SIGKILL);
        if (r < 0)
                log_alert("cannot await process %d: %s", pid, strerror(-r));
        return r == 0 && WIFSIGNALED(status) && atomic_load_explicit(&s->is_held, memory_order_acquire);
}

/* ── what is left of the guard ── */

/* How many of so many users get it without waiting. */
static uint32_t
count_available(const struct actor *a, struct permit_leak_state *s, uint32_t permits)
{
        const struct guard *g = a->guard;
        struct guard_user users[PERMITS_MAX];
        uint32_t n = 0;

        for (; n < permits; n++) {
                struct guard_user *u = &users[n];

                *u = another_user(a, 1 + n, &s->counted[n]);
                if (g->attach && g->attach(u) < 0)
                        break;
                if (!g->try_acquire(u)) {
                        if (g->detach)
                                g->detach(u);
                        break;
                }
                s->told += u->owner_died;
        }
        for (uint32_t i = 0; i < n; i++) {
                g->release(&users[i]);
                if (g->detach)
                        g->detach(&users[i]);
        }
        return n;
}

static void
find_out(struct actor *a, struct permit_leak_state *s)
{
        const struct guard *g = a->guard;

        s->kills = kill_holder(a, s);
        if (s->kills && g->recover)
                s->recovered = g->recover(a->user.shared, a->user.sem, a->actors, &s->victim);
        s->available = count_available(a, s, a->race->spec.permits);
        actor_store_release(a, &s->is_counted, 1);
}

/* The actor's own attempt, which has a short time and not the trial's. */
static void
try_guard(struct actor *a)
{
        a->user.deadline_ns = clock_now_ns() + TRY_NS;
        if (actor_acquire(a))
                actor_release(a);
}

static void
permit_leak_act(struct actor *a, void *state)
{
        struct permit_leak_state *s = state;

        if (a->id == 0)
                find_out(a, s);
        for (uint32_t looks = 1; !actor_load_acquire(a, &s->is_counted); looks++) {
                if (!actor_goes_on(a))
                        return;
                if (looks % LOOKS_BEFORE_YIELD == 0)
                        actor_yield(a);
        }
        if (actor_goes_on(a))
                try_guard(a);
}

static int
permit_leak_classify(const void *state, struct trial_end *end)
{
        const struct permit_leak_state *s = state;
        enum guard_death death = guards[end->spec->guard]->death;

        if (!s->kills)
                return NOBODY_KILLED;
        end->kills = s->kills;
        end->recovered = s->recovered;
        end->leaked = end->spec->permits - s->available;
        if (end->leaked > 0)
                return SHORT;
        if (s->recovered > 0)
                return REPAIRED;
        if (s->told > 0)
                return TOLD;
        return death == GUARD_DEATH_RELEASED ? RELEASED : -1;
}

const struct scenario scenario_permit_leak = {
        .name = "permit-leak",
        .summary = "a holder is killed with SIGKILL: does its permit come back, and is anybody told?",
        .flags = SCENARIO_PROCESS_ONLY | SCENARIO_ONE_OF_A_KIND,
        .actors_min = 1,
        .actors_max = ACTORS_MAX,
        .actors_def = 2,
        .permits_def = 1,
        .guard_def = "raw-semaphore",
        .accepts = permit_leak_accepts,
        .effect = permit_leak_effect,
        .outcomes = permit_leak_outcomes,
        .n_outcomes = ARRAY_SIZE(permit_leak_outcomes),
        .state_bytes = sizeof(struct permit_leak_state),
        .act = permit_leak_act,
        .classify = permit_leak_classify,
};
