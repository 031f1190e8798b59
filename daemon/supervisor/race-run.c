/* SPDX-License-Identifier: MIT */
/*
 * The actors of a race wait for each other, for a guard that a dead one may hold, and for a state that it left half
 * changed. Nothing of that is worth recovering one by one:
 *
 *     a seated worker dies → its seat is DONE, the seats that nobody took are closed, the other actors are killed
 *     all are reaped       → guard, semaphore and meeting points are made anew, the seats are empty again
 *
 * Between the two no seat is EMPTY, so nobody can sit down. The tally is never half written (segment/race.h), so it
 * goes on; the batch that was under way was not counted and is said to be dropped.
 */
#include "supervisor/race-run.h"

#include "scenarios/scenario.h"
#include "segment/seat.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "supervisor/race-figures.h"
#include "supervisor/recovery.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <string.h>

/* Sums of tasks and times that JSON can still say. */
#define FIGURE_MAX ((uint64_t)INT64_MAX)

/* ── the named semaphore ── */

void
race_run_close(struct supervisor *s)
{
        struct runner *r = &s->runner;

        if (!r->race_semaphore)
                return;
        semaphore_race_unlink(s->instance.uid, s->instance.name, s->semaphores.generation,
                              s->setup.segment.race->semaphore);
        sem_close(r->race_semaphore);
        r->race_semaphore = NULL;
}

/* Takes the one that there is away, and makes one under the next name. */
static int
make_semaphore(struct supervisor *s)
{
        struct race *race = s->setup.segment.race;
        uint64_t number;
        int r;

        race_run_close(s);
        if (!(guards[race->spec.guard]->flags & GUARD_NAMED))
                return 0;
        number = race->semaphore + 1;
        r = semaphore_race_create(&s->runner.race_semaphore, s->instance.uid, s->instance.name,
                                  s->semaphores.generation, &number, race->spec.permits);
        if (r == 0)
                race->semaphore = number;
        return r;
}

/* ── the memory ── */

/* The guard is free, whatever it was before. */
static int
make_guard(struct supervisor *s)
{
        struct race *race = s->setup.segment.race;
        const struct guard *g = guards[race->spec.guard];
        int r = make_semaphore(s);

        if (r < 0)
                return r;
        memset(&race->guard, 0, sizeof(race->guard));
        race->guard.permits = race->spec.permits;
        r = g->init(&race->guard);
        if (r < 0)
                log_error("cannot make the guard %s of a race: %s", g->name, strerror(-r));
        return r;
}

int
race_run_open(struct supervisor *s, const struct variant *v)
{
        struct segment *segment = &s->setup.segment;
        struct race *race = segment->race;

        race_run_close(s);
        memset(race, 0, offsetof(struct race, arena));
        memset(segment->race_actors, 0, v->workers * sizeof(*segment->race_actors));
        race->spec = v->race;
        race->barrier_made = v->race.barrier;
        race->seed = clock_now_ns() * UINT64_C(0x9e3779b97f4a7c15) + s->runner.run;
        /* Numbers count on from that of the run: see make_semaphore(). */
        race->semaphore = s->runner.run - 1;
        return make_guard(s);
}

/* Where the actors meet, and what they told each other. */
static void
forget_meetings(struct segment *segment)
{
        struct race *race = segment->race;

        for (uint32_t i = 0; i < race->spec.actors; i++) {
                struct race_actor *a = &segment->race_actors[i];

                atomic_store(&a->phase, 0);
                atomic_store(&a->trial, 0);
                atomic_store(&a->permit_state, PERMIT_IDLE);
        }
        race->batch_n = race->batch_first = race->batch_tsc = race->batch_step_tsc = 0;
        memset(race->barrier_area, 0, sizeof(race->barrier_area));
        atomic_store(&race->trial_over, 0);
        atomic_store(&race->holders, 0);
        atomic_store(&race->last_holder, 0);
}

/* ── the gang ── */

void
race_run_break(struct supervisor *s)
{
        struct race *race = s->setup.segment.race;

        if (!s->runner.broken && race->batch_first + race->batch_n > race_run_done(&s->setup.segment))
                race->dropped += race->batch_n;
        s->runner.broken = true;
        recovery_close_seats(s);
        recovery_kill_seated(s);
}

int
race_run_renew(struct supervisor *s)
{
        struct segment *segment = &s->setup.segment;
        int r;

        forget_meetings(segment);
        r = make_guard(s);
        if (r < 0)
                return r;
        s->runner.broken = false;
        __atomic_store_n(&segment->run->attention, 0, __ATOMIC_RELAXED);
        atomic_store(&segment->run->go, 0);
        for (uint32_t i = 0; i < segment->run->spec.seats; i++)
                atomic_store(&segment->seats[i].word, seat_pack(s->runner.run, SEAT_EMPTY, 0));
        return 0;
}

/* ── how far it is ── */

uint64_t
race_run_done(const struct segment *segment)
{
        struct race_tally tally;

        race_figures_tally(segment->race, &tally);
        return tally.trials;
}

bool
race_run_is_complete(const struct segment *segment)
{
        uint64_t wanted = segment->race->spec.trials;

        return wanted > 0 && race_run_done(segment) >= wanted;
}

/* ── after the death of a supervisor ── */

static bool
tally_is_sound(const struct race *race)
{
        const struct race_tally *t = race_tally(race);
        uint32_t n = scenarios[race->spec.scenario]->n_outcomes;
        uint64_t sum = t->unknown;

        for (uint32_t i = 0; i < RACE_OUTCOMES_MAX; i++) {
                if (t->count[i] > t->trials || (i >= n && t->count[i] > 0))
                        return false;
                sum += t->count[i];
        }
        return t->unknown <= t->trials && sum == t->trials && t->trials <= FIGURE_MAX / RACE_OUTCOMES_MAX &&
               (race->spec.trials == 0 || t->trials <= race->spec.trials) && t->lost <= FIGURE_MAX &&
               t->leaked <= FIGURE_MAX && t->recovered <= FIGURE_MAX && t->kills <= FIGURE_MAX;
}

static bool
actor_is_sound(const struct race_actor *a)
{
        return a->n_events <= RACE_EVENTS_MAX && a->steps <= FIGURE_MAX && a->acquires <= FIGURE_MAX &&
               a->contended <= FIGURE_MAX && a->handoffs <= FIGURE_MAX && a->timeouts <= FIGURE_MAX;
}

bool
race_run_is_sound(const struct segment *segment, const struct variant *v)
{
        const struct race *race = segment->race;

        if (memcmp(&race->spec, &v->race, sizeof(race->spec)) != 0 || race->barrier_made >= RACE_BARRIERS ||
            race->dropped > FIGURE_MAX || atomic_load(&race->holders_max) < 0 || !tally_is_sound(race))
                return false;
        for (uint32_t i = 0; i < race->spec.actors; i++) {
                if (!actor_is_sound(&segment->race_actors[i]))
                        return false;
        }
        return true;
}
