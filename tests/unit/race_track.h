/* SPDX-License-Identifier: MIT */
/*
 * A race without an engine: its memory, and actors that are threads of the test, or processes that share it, and meet
 * before and after each trial. Nothing here is held to a time.
 */
#ifndef CONCD_TEST_RACE_TRACK_H
#define CONCD_TEST_RACE_TRACK_H

#include "scenarios/scenario.h"
#include "shm_fixture.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define RACERS_MAX 4
#define WIDEN      2000 /* turns */

struct racer {
        struct actor actor;
        struct track *track;
        uint64_t steps; /* of all trials */
};

/* All of it is shared. */
struct track {
        const struct scenario *scenario;
        const struct guard *guard;
        struct race race;
        struct race_actor figures[RACERS_MAX];
        alignas(RACE_LINE) sem_t sem;
        uint32_t attention;
        char file[64];
        struct racer racer[RACERS_MAX];
        uint64_t trials;                       /* that are left */
        bool until_witness;                    /* end after the first */
        uint64_t count[RACE_OUTCOMES_MAX + 1]; /* the last: unknown */
        struct trial_end sum;
        _Atomic uint32_t arrived, round, is_over;
        _Atomic uint32_t children_left; /* that an actor had not reaped when it was through */
};

static inline const struct scenario *
scenario_of(const char *name)
{
        int i = scenario_by_name(name);

        ck_assert_msg(i >= 0, "%s is missing", name);
        return scenarios[i];
}

/* With the defaults of the scenario. */
static inline struct race_spec
spec_of(const char *scenario, const char *guard)
{
        const struct scenario *s = scenario_of(scenario);
        struct race_spec spec = {.scenario = (uint32_t)scenario_by_name(scenario),
                                 .guard = (uint32_t)guard_by_name(guard),
                                 .permits = 1,
                                 .actors = s->actors_def,
                                 .batch = 1,
                                 .trial_ns = 100 * NS_PER_S};

        ck_assert_int_ge(guard_by_name(guard), 0);
        for (uint32_t i = 0; i < s->n_params; i++)
                spec.params[i] = s->params[i].def;
        return spec;
}

static inline void
track_reset(const struct scenario *s, void *state, const struct race_spec *spec)
{
        if (s->reset)
                s->reset(state, spec, UINT64_C(0x9e3779b97f4a7c15));
        else
                memset(state, 0, s->state_bytes);
}

static inline void
racer_init(struct track *t, uint32_t id)
{
        struct actor *a = &t->racer[id].actor;

        t->racer[id].track = t;
        *a = (struct actor){.id = id,
                            .actors = t->race.spec.actors,
                            .guard = t->guard,
                            .race = &t->race,
                            .figures = &t->figures[id],
                            .params = t->race.spec.params,
                            .atomic_steps = t->guard->flags & GUARD_ATOMIC,
                            .measure = true,
                            .widen = WIDEN,
                            .random = id + 1};
        a->user = (struct guard_user){.shared = &t->race.guard,
                                      .id = id,
                                      .sem = &t->sem,
                                      .permit_state = &t->figures[id].permit_state,
                                      .attention = &t->attention,
                                      .file = t->file,
                                      .deadline_ns = clock_now_ns() + t->race.spec.trial_ns,
                                      .fd = -1};
}

/* As new, like the engine's. */
static inline void
track_renew_guard(struct track *t)
{
        sem_destroy(&t->sem);
        ck_assert_int_eq(sem_init(&t->sem, 1, t->race.spec.permits), 0);
        ck_assert_int_eq(t->guard->init(&t->race.guard), 0);
}

static inline void
trial_begins(struct track *t)
{
        if (t->scenario->flags & SCENARIO_ONE_OF_A_KIND)
                track_renew_guard(t);
        track_reset(t->scenario, t->race.arena, &t->race.spec);
        atomic_store(&t->race.trial_over, 0);
}

/* The guard of the spec, or another one instead. */
static inline struct track *
track_open(const struct race_spec *spec, const struct guard *instead)
{
        struct track *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        int fd;

        ck_assert_ptr_ne(t, MAP_FAILED);
        ck_assert_uint_le(spec->actors, RACERS_MAX);
        t->scenario = scenarios[spec->scenario];
        t->guard = instead ? instead : guards[spec->guard];
        t->race.spec = *spec;
        t->race.guard.permits = spec->permits;
        snprintf(t->file, sizeof(t->file), "/%s%d_file", shm_mark, getpid());
        fd = shm_open(t->file, O_RDWR | O_CREAT | O_EXCL, 0600);
        ck_assert_int_ge(fd, 0);
        close(fd);
        ck_assert_int_eq(sem_init(&t->sem, 1, spec->permits), 0);
        track_renew_guard(t);
        for (uint32_t i = 0; i < spec->actors; i++)
                racer_init(t, i);
        trial_begins(t);
        return t;
}

static inline void
track_close(struct track *t)
{
        sem_destroy(&t->sem);
        shm_unlink(t->file);
        munmap(t, sizeof(*t));
}

static inline int
trial_outcome(struct track *t, struct trial_end *ret_end)
{
        *ret_end = (struct trial_end){.spec = &t->race.spec, .was_cut = atomic_load(&t->race.trial_over) != 0};
        return scenario_classify(t->scenario, t->race.arena, ret_end);
}

static inline void
trial_ends(struct track *t)
{
        struct trial_end end;
        int outcome = trial_outcome(t, &end);

        t->count[outcome < 0 ? RACE_OUTCOMES_MAX : outcome]++;
        t->sum.lost += end.lost;
        t->sum.leaked += end.leaked;
        t->sum.recovered += end.recovered;
        t->sum.kills += end.kills;
        t->trials--;
        if (t->trials == 0 || (t->until_witness && outcome >= 0 && t->scenario->outcomes[outcome].is_witness))
                atomic_store(&t->is_over, 1);
        trial_begins(t);
}

static inline void
nothing_begins(struct track *t)
{
}

/* The last one to come runs `last` while the others wait, and lets them go. */
static inline void
track_meet(struct track *t, void (*last)(struct track *t))
{
        uint32_t round = atomic_load(&t->round);

        if (atomic_fetch_add(&t->arrived, 1) + 1 == t->race.spec.actors) {
                atomic_store(&t->arrived, 0);
                last(t);
                atomic_store(&t->round, round + 1);
                return;
        }
        for (uint32_t spins = 1; atomic_load(&t->round) == round; spins++)
                if (spins % 1024 == 0)
                        sched_yield();
}

/* Actor i on the i-th CPU: two on one would take turns and not race. */
static inline void
pin(uint32_t i)
{
        cpu_set_t all, one;

        if (sched_getaffinity(0, sizeof(all), &all) < 0)
                return;
        i %= (uint32_t)CPU_COUNT(&all);
        CPU_ZERO(&one);
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
                if (CPU_ISSET(cpu, &all) && i-- == 0)
                        CPU_SET(cpu, &one);
        sched_setaffinity(0, sizeof(one), &one);
}

static inline void *
racer_run(void *arg)
{
        struct racer *r = arg;
        struct track *t = r->track;
        struct guard_user *u = &r->actor.user;

        pin(r->actor.id);
        if (t->guard->attach && t->guard->attach(u) < 0)
                abort();
        track_meet(t, nothing_begins);
        while (!atomic_load(&t->is_over)) {
                r->actor.steps = 0;
                u->deadline_ns = clock_now_ns() + t->race.spec.trial_ns;
                scenario_act(t->scenario, &r->actor, t->race.arena);
                r->steps += r->actor.steps;
                track_meet(t, trial_ends);
        }
        if (t->guard->detach)
                t->guard->detach(u);
        return NULL;
}

static inline void
track_run(struct track *t, uint64_t trials)
{
        pthread_t threads[RACERS_MAX];

        t->trials = trials;
        for (uint32_t i = 0; i < t->race.spec.actors; i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, racer_run, &t->racer[i]), 0);
        for (uint32_t i = 0; i < t->race.spec.actors; i++)
                pthread_join(threads[i], NULL);
}

static inline pid_t
racer_fork(struct racer *r)
{
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid > 0)
                return pid;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        racer_run(r);
        if (waitpid(-1, NULL, WNOHANG) >= 0 || errno != ECHILD)
                atomic_fetch_add(&r->track->children_left, 1);
        _exit(0);
}

static inline void
track_run_processes(struct track *t, uint64_t trials)
{
        pid_t pids[RACERS_MAX];
        int status;

        t->trials = trials;
        for (uint32_t i = 0; i < t->race.spec.actors; i++)
                pids[i] = racer_fork(&t->racer[i]);
        for (uint32_t i = 0; i < t->race.spec.actors; i++) {
                ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
                ck_assert_int_eq(status, 0);
        }
}

static inline bool
can_race(void)
{
        cpu_set_t cpus;

        return sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) > 1;
}

/* What must not be is not; returns how often a witness was. */
static inline uint64_t
judge(const struct track *t)
{
        const struct scenario *s = t->scenario;
        uint32_t effect = scenario_effect(s, &t->race.spec);
        uint64_t witnesses = 0;

        ck_assert_msg(t->count[RACE_OUTCOMES_MAX] == 0, "%s under %s: unknown outcomes", s->name, t->guard->name);
        for (uint32_t i = 0; i < s->n_outcomes; i++) {
                if (outcome_expected(&s->outcomes[i], effect) == OUTCOME_FORBIDDEN)
                        ck_assert_msg(t->count[i] == 0, "%s under %s: \"%s\" %" PRIu64 " times", s->name,
                                      t->guard->name, s->outcomes[i].name, t->count[i]);
                if (s->outcomes[i].is_witness)
                        witnesses += t->count[i];
        }
        return witnesses;
}

#endif
