/* SPDX-License-Identifier: MIT */
/*
 * One batch of trials:
 *
 *     actor 0 resets the states ─▶ all meet ─▶ each trial: start barrier, act ─▶ all meet ─▶ actor 0 counts, commits
 *
 * Meeting: every actor raises its own `phase` (release) and waits until nobody's is behind (acquire). So all that
 * actor 0 writes before a meeting is seen by all after it, and it reads what they wrote before theirs. Only actor 0
 * touches the tally, and one store commits a whole batch: whoever is killed in the middle leaves no trial half
 * counted. A gang lives and dies together: when an actor is killed, the supervisor kills the others, makes the memory
 * fresh and calls them again (supervisor/race-run.c), and the batch under way was not counted.
 *
 * Starting a trial. `spin`: each actor says at which trial it stands and spins until all do: one rendezvous a trial.
 * `pthread`: the same by pthread_barrier_wait(3), which sleeps; right when there are more actors than CPUs, where a
 * spinning barrier wastes a time slice for each. `timebase`: trial i of a batch starts at an instant of the time-stamp
 * counter that is known to all (the idea: litmus7; Alglave, Maranget, Sarkar, Sewell, "Litmus: running tests against
 * hardware", 2011), with no rendezvous at all; the distance of the instants is widened when actors come late. It needs
 * a counter that all CPUs share; before the first batch the actors send each other their readings, and one that seems
 * to arrive before it was sent gives the barrier away.
 *
 * Only actor 0 decides that it is over, by a batch of no trials: an actor that left by itself would leave the others
 * waiting for it. Who waits in a meeting dies with its gang, or is killed with the run.
 */
#include "worker/race.h"

#include "scenarios/scenario.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/random.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

#define SPINS_BEFORE_YIELD 16
#define WIDEN_PROBE        20000 /* turns of the widening loop that are timed */
#define SKEW_ROUNDS        200
/* The timebase: how far ahead the first trial of a batch lies, and the distance of two. In ticks of the counter. */
#define BATCH_LEAD_TICKS 6000
#define STEP_TICKS       500
#define STEP_TICKS_MIN   450
#define STEP_TICKS_MAX   20000
#define TOUCH_AHEAD      8 /* trials: so long a copy of another CPU's line takes to come, in steps of the timebase */

struct race_engine {
        struct actor actor;
        struct race *race;
        struct race_actor *actors;
        const uint32_t *attention;
        const struct scenario *scenario;
        uint32_t n;
        uint64_t phase;
        uint64_t stride; /* bytes of a state, whole lines */
        uint64_t late;   /* trials of the timebase that it began too late */
        uint64_t random;
        bool crowded; /* more actors than CPUs: let others run while waiting */
};

/* ── the time-stamp counter ── */

#if defined(__x86_64__)
static uint64_t
ticks(void)
{
        unsigned aux;

        return __rdtscp(&aux);
}

static bool
ticks_are_steady(void)
{
        unsigned a, b, c, d;

        return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & (1U << 8)) != 0;
}
#else
static uint64_t
ticks(void)
{
        return clock_now_ns();
}

static bool
ticks_are_steady(void)
{
        return false;
}
#endif

/* ── waiting for each other ── */

/* Once more round a waiting loop. */
static inline void
wait_a_little(const struct race_engine *e, uint32_t *spins)
{
        worker_relax();
        if (UNLIKELY(e->crowded) && ++*spins % SPINS_BEFORE_YIELD == 0)
                sched_yield();
}

static void
meet(struct race_engine *e)
{
        uint32_t spins = 0;

        atomic_store_explicit(&e->actors[e->actor.id].phase, ++e->phase, memory_order_release);
        for (uint32_t i = 0; i < e->n; i++) {
                while (atomic_load_explicit(&e->actors[i].phase, memory_order_acquire) < e->phase)
                        wait_a_little(e, &spins);
        }
}

static void
rendezvous(struct race_engine *e, uint64_t trial)
{
        uint32_t spins = 0;

        atomic_store_explicit(&e->actors[e->actor.id].trial, trial, memory_order_release);
        for (uint32_t i = 0; i < e->n; i++) {
                while (atomic_load_explicit(&e->actors[i].trial, memory_order_acquire) < trial)
                        wait_a_little(e, &spins);
        }
}

static pthread_barrier_t *
barrier_of(struct race *r)
{
        return (pthread_barrier_t *)r->barrier_area;
}

static void
wait_for_instant(struct race_engine *e, uint64_t at)
{
        uint64_t now = ticks();

        e->late += now > at;
        while (now < at)
                now = ticks();
}

/* ── before the first trial ── */

/* Do all CPUs read the same? Actor 0 and each other one send readings to and fro; none may arrive before its time. */
static bool
counters_agree(struct race_engine *e, uint32_t other)
{
        struct race_actor *zero = &e->actors[0], *peer = &e->actors[other];
        struct race_actor *from = e->actor.id == 0 ? peer : zero, *to = e->actor.id == 0 ? zero : peer;
        uint64_t seen = 0, sent;
        uint32_t spins = 0;
        bool agree = true;

        for (int round = 0; round < SKEW_ROUNDS; round++) {
                if (e->actor.id == 0)
                        atomic_store_explicit(&to->trial, ticks(), memory_order_release);
                while ((sent = atomic_load_explicit(&from->trial, memory_order_acquire)) == seen)
                        wait_a_little(e, &spins);
                agree = agree && ticks() >= sent;
                seen = sent;
                if (e->actor.id != 0)
                        atomic_store_explicit(&to->trial, ticks(), memory_order_release);
        }
        return agree;
}

static void
check_counters(struct race_engine *e)
{
        bool agree = true;

        for (uint32_t other = 1; other < e->n; other++) {
                if (e->actor.id == 0 || e->actor.id == other)
                        agree = counters_agree(e, other) && agree;
                meet(e);
                /* Actor 0 begins with the next one from nothing. */
                if (e->actor.id == 0 || e->actor.id == other)
                        atomic_store_explicit(&e->actors[e->actor.id].trial, 0, memory_order_release);
                meet(e);
        }
        if (!agree)
                atomic_fetch_or_explicit(&e->race->notes, RACE_NOTE_SKEW, memory_order_relaxed);
        meet(e);
}

/* What the barrier will be; the same for all, because all see the same. */
static void
choose_barrier(struct race_engine *e)
{
        struct race *r = e->race;
        enum race_barrier barrier = r->spec.barrier;
        uint32_t note = 0;

        if (e->crowded && (barrier == RACE_BARRIER_SPIN || barrier == RACE_BARRIER_TIMEBASE)) {
                barrier = RACE_BARRIER_PTHREAD;
                note = RACE_NOTE_CROWDED;
        } else if (barrier == RACE_BARRIER_TIMEBASE && !ticks_are_steady()) {
                barrier = RACE_BARRIER_SPIN;
                note = RACE_NOTE_NO_TIMEBASE;
        }
        if (barrier == RACE_BARRIER_TIMEBASE) {
                check_counters(e);
                if (atomic_load(&r->notes) & RACE_NOTE_SKEW)
                        barrier = RACE_BARRIER_SPIN;
        }
        if (e->actor.id == 0) {
                atomic_fetch_or_explicit(&r->notes, note, memory_order_relaxed);
                r->barrier_made = barrier;
        }
        meet(e);
}

static int
init_pthread_barrier(struct race_engine *e)
{
        pthread_barrierattr_t attr;
        int r;

        pthread_barrierattr_init(&attr);
        pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
        r = pthread_barrier_init(barrier_of(e->race), &attr, e->n);
        pthread_barrierattr_destroy(&attr);
        return -r;
}

/* How many turns of the widening loop take so long: by the quickest of some, since others are disturbed. */
static uint64_t
turns_of(uint64_t ns)
{
        struct actor probe = {.widen = WIDEN_PROBE};
        uint64_t best = UINT64_MAX;

        for (int i = 0; i < 5; i++) {
                uint64_t began = clock_now_ns();

                actor_widen(&probe);
                best = MIN(best, MAX(clock_now_ns() - began, 1));
        }
        return ns * WIDEN_PROBE / best;
}

/* ── actor 0: between the meetings ── */

static void *
state_of(const struct race_engine *e, uint64_t i)
{
        return e->race->arena + e->race->place[i] * e->stride;
}

static uint64_t
trials_left(const struct race_engine *e)
{
        const struct race_tally *tally = race_tally(e->race);
        uint64_t done = tally->trials, wanted = e->race->spec.trials;

        if (__atomic_load_n(e->attention, __ATOMIC_RELAXED) & ATTENTION_STOP)
                return 0;
        if (wanted == 0)
                return UINT64_MAX;
        return done < wanted ? wanted - done : 0;
}

/* Neighbouring trials do not lie side by side: what one leaves in the caches is not the next one's head start. */
static void
shuffle(struct race_engine *e, uint64_t n)
{
        uint16_t *place = e->race->place;

        for (uint64_t i = 0; i < n; i++)
                place[i] = (uint16_t)i;
        for (uint64_t i = n; i > 1; i--) {
                uint64_t k = random_next(&e->random) % i;
                uint16_t swapped = place[i - 1];

                place[i - 1] = place[k];
                place[k] = swapped;
        }
}

/* A trial that used the guard up leaves it for the next one as if new. */
static void
renew_guard(struct race_engine *e)
{
        struct race *r = e->race;
        sem_t *sem = e->actor.user.sem;
        int value;

        if (sem) {
                while (sem_getvalue(sem, &value) == 0 && value > (int)r->spec.permits && sem_trywait(sem) == 0)
                        ;
                while (sem_getvalue(sem, &value) == 0 && value < (int)r->spec.permits)
                        sem_post(sem);
        }
        if (e->actor.guard->init(&r->guard) < 0)
                log_error("the guard %s cannot be made anew", e->actor.guard->name);
}

static void
prepare_batch(struct race_engine *e)
{
        const struct scenario *s = e->scenario;
        struct race *r = e->race;
        uint64_t n = MIN(trials_left(e), r->spec.batch);

        r->batch_n = n;
        r->batch_first = race_tally(r)->trials;
        shuffle(e, n);
        for (uint64_t i = 0; i < n; i++) {
                if (s->reset)
                        s->reset(state_of(e, i), &r->spec, random_next(&e->random));
                else
                        memset(state_of(e, i), 0, s->state_bytes);
        }
        if (n > 0 && (s->flags & SCENARIO_ONE_OF_A_KIND))
                renew_guard(e);
        atomic_store_explicit(&r->trial_over, 0, memory_order_relaxed);
        atomic_store_explicit(&r->holders, 0, memory_order_relaxed);
        atomic_store_explicit(&r->last_holder, 0, memory_order_relaxed);
        r->batch_tsc = ticks() + BATCH_LEAD_TICKS;
}

/* So far apart that few come late, and not farther. Who is late for most of a batch was not on its CPU. */
static void
adjust_timebase(struct race_engine *e)
{
        struct race *r = e->race;
        uint64_t late = e->late;

        e->late = 0;
        if (r->barrier_made != RACE_BARRIER_TIMEBASE)
                return;
        if (late * 20 > r->batch_n && late * 2 < r->batch_n)
                r->batch_step_tsc = MIN(r->batch_step_tsc * 5 / 4, STEP_TICKS_MAX);
        else if (late * 100 < r->batch_n)
                r->batch_step_tsc = MAX(r->batch_step_tsc * 15 / 16, STEP_TICKS_MIN);
}

/* Counts the batch in the copy that nobody reads, then makes it the one that is read. */
static void
settle_batch(struct race_engine *e)
{
        struct race *r = e->race;
        uint64_t at = atomic_load_explicit(&r->tally_at, memory_order_relaxed);
        struct race_tally *tally = &r->tally[(at + 1) & 1];

        *tally = r->tally[at & 1];
        for (uint64_t i = 0; i < r->batch_n; i++) {
                struct trial_end end = {.spec = &r->spec, .was_cut = atomic_load(&r->trial_over) != 0};
                int outcome = scenario_classify(e->scenario, state_of(e, i), &end);

                tally->trials++;
                if (outcome < 0)
                        tally->unknown++;
                else
                        tally->count[outcome]++;
                tally->lost += end.lost;
                tally->leaked += end.leaked;
                tally->recovered += end.recovered;
                tally->kills += end.kills;
        }
        atomic_store_explicit(&r->tally_at, at + 1, memory_order_release);
        adjust_timebase(e);
}

/* ── all actors ── */

static void
begin_trial(struct race_engine *e, uint64_t i)
{
        struct race *r = e->race;

        switch (r->barrier_made) {
        case RACE_BARRIER_SPIN:
                rendezvous(e, r->batch_first + i + 1);
                break;
        case RACE_BARRIER_PTHREAD:
                pthread_barrier_wait(barrier_of(r));
                break;
        case RACE_BARRIER_TIMEBASE:
                wait_for_instant(e, r->batch_tsc + i * r->batch_step_tsc);
                break;
        default:
                break;
        }
}

/* A scenario with loops: it can be cut, it can be noted, its steps count. */
static void
long_trial(struct race_engine *e, uint64_t i)
{
        struct actor *a = &e->actor;

        a->trial = (uint32_t)(e->race->batch_first + i);
        a->steps = 0;
        a->is_holding = false;
        a->user.deadline_ns = clock_now_ns() + e->race->spec.trial_ns;
        begin_trial(e, i);
        actor_note(a, RACE_EVENT_BEGIN);
        scenario_act(e->scenario, a, state_of(e, i));
        actor_note(a, RACE_EVENT_END);
        a->figures->steps += a->steps;
}

static void
take_part(struct race_engine *e)
{
        bool is_small = e->scenario->flags & SCENARIO_SMALL;
        uint64_t n = e->race->batch_n;

        for (uint64_t i = 0; is_small && i < MIN(n, TOUCH_AHEAD); i++)
                scenario_touch(e->scenario, state_of(e, i));
        for (uint64_t i = 0; i < n; i++) {
                if (!is_small) {
                        long_trial(e, i);
                        continue;
                }
                scenario_touch(e->scenario, state_of(e, MIN(i + TOUCH_AHEAD, n - 1)));
                begin_trial(e, i);
                scenario_act(e->scenario, &e->actor, state_of(e, i));
        }
        if (is_small)
                e->actor.figures->steps += n;
}

void
race_run(struct worker *w)
{
        struct race_engine *e = w->race;

        choose_barrier(e);
        for (;;) {
                if (e->actor.id == 0)
                        prepare_batch(e);
                meet(e);
                if (e->race->batch_n == 0)
                        return;
                take_part(e);
                meet(e);
                if (e->actor.id == 0)
                        settle_batch(e);
        }
}

/* ── becoming an actor, and a worker again ── */

/* Actor i on the i-th CPU of the run. */
static void
pin(struct worker *w, struct race_engine *e)
{
        uint32_t wanted = e->actor.id % (uint32_t)CPU_COUNT(&w->spec->cpus);
        cpu_set_t one;

        CPU_ZERO(&one);
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
                if (CPU_ISSET(cpu, &w->spec->cpus) && wanted-- == 0) {
                        CPU_SET(cpu, &one);
                        break;
                }
        }
        w->cpus_set = false; /* the next run moves it back */
        if (sched_setaffinity(0, sizeof(one), &one) < 0)
                atomic_fetch_or_explicit(&e->race->notes, RACE_NOTE_NOT_PINNED, memory_order_relaxed);
}

static void
actor_init(struct worker *w, struct race_engine *e)
{
        const struct race_spec *spec = &e->race->spec;

        e->actor = (struct actor){
                .id = w->seat_index,
                .actors = spec->actors,
                .guard = guards[spec->guard],
                .race = e->race,
                .figures = &e->actors[w->seat_index],
                .params = spec->params,
                .hold_loop = spec->hold == RACE_HOLD_LOOP,
                .measure = spec->measure,
                .random = (e->race->seed ^ (w->seat_index + 1) * UINT64_C(0x9e3779b97f4a7c15)) | 1,
                .is_noted = spec->timeline,
                .user =
                        {
                                .shared = &e->race->guard,
                                .id = w->seat_index,
                                .permit_state = &e->actors[w->seat_index].permit_state,
                                .attention = &w->setup->segment.run->attention,
                                .file = w->setup->segment.name,
                                .fd = -1,
                        },
        };
        e->actor.atomic_steps = e->actor.guard->flags & GUARD_ATOMIC;
        e->random = (e->race->seed * UINT64_C(0xd1342543de82ef95)) | 1;
}

static int
open_guard(struct worker *w, struct race_engine *e)
{
        const struct segment_header *h = w->setup->segment.header;
        struct guard_user *u = &e->actor.user;
        int r = 0;

        if (e->actor.guard->flags & GUARD_NAMED)
                r = semaphore_race_open(&u->sem, h->uid, h->instance,
                                        atomic_load_explicit(&h->generation, memory_order_acquire), e->race->semaphore);
        if (r == 0 && e->actor.guard->attach)
                r = e->actor.guard->attach(u);
        if (r < 0 && u->sem)
                sem_close(u->sem);
        return r;
}

int
race_begin(struct worker *w)
{
        struct race_engine *e = calloc(1, sizeof(*e));
        int r;

        if (!e)
                return -ENOMEM;
        e->race = w->setup->segment.race;
        e->actors = w->setup->segment.race_actors;
        e->attention = &w->setup->segment.run->attention;
        e->scenario = scenarios[e->race->spec.scenario];
        e->n = e->race->spec.actors;
        e->stride = (e->scenario->state_bytes + RACE_LINE - 1) / RACE_LINE * RACE_LINE;
        e->crowded = e->n > (uint32_t)CPU_COUNT(&w->spec->cpus);
        actor_init(w, e);
        r = e->actor.id == 0 ? init_pthread_barrier(e) : 0;
        if (r == 0)
                r = open_guard(w, e);
        if (r < 0) {
                log_error("an actor cannot open its side of the guard %s: %s", e->actor.guard->name, strerror(-r));
                free(e);
                return r;
        }
        if (e->race->spec.pin && !e->crowded)
                pin(w, e);
        e->actor.widen = turns_of(e->race->spec.widen_ns);
        if (e->actor.id == 0)
                e->race->batch_step_tsc = STEP_TICKS;
        w->race = e;
        return 0;
}

void
race_end(struct worker *w)
{
        struct race_engine *e = w->race;

        if (!e)
                return;
        if (e->actor.guard->detach)
                e->actor.guard->detach(&e->actor.user);
        if (e->actor.user.sem)
                sem_close(e->actor.user.sem);
        free(e);
        w->race = NULL;
}
