/* SPDX-License-Identifier: MIT */
/*
 * One run, from here:
 *
 *     open: ledger, seats, spec complete → run.current (one store) → posts at the gate
 *     workers take seats, prepare, open the start barrier; the last event of each is its seat DONE and a ring
 *     close: all seats DONE or empty, and every task accounted for → figures → the next step, or the job's end
 *
 * A ring, a death and the tick all lead to runner_poll(), which decides from the segment alone; so a ring that is
 * lost costs at most a tick. Stopping closes the run (nobody can sit down any more), asks the workers by the
 * attention word, and kills who has not left after STOP_PATIENCE.
 *
 * A race is such a run without tasks: its actors are the workers on its seats, and it is over when all of them are
 * done. What is different when one dies is in race-run.c.
 */
#include "supervisor/runner.h"

#include "guards/gil.h"
#include "protocol/json-memory.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "supervisor/environment.h"
#include "supervisor/fields.h"
#include "supervisor/race-figures.h"
#include "supervisor/race-run.h"
#include "supervisor/record.h"
#include "supervisor/recovery.h"
#include "supervisor/supervisor.h"
#include "worker/mode.h"
#include "worker/totals.h"
#include "worker/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#define STALL_MIN_MS    1 /* how often a task's time limit is looked after: a quarter of it, within these */
#define STALL_MS        50
#define STOP_PATIENCE_S 1

static void run_open(struct supervisor *s);
static void job_finish(struct supervisor *s);

static const struct variant *
present_variant(const struct runner *r)
{
        return &r->job->plan.variants[r->job->plan.steps[r->step].variant];
}

static bool
by_duration(const struct runner *r)
{
        return present_variant(r)->count == 0 && !r->job->plan.steps[r->step].warmup;
}

static const char no_memory_for_result[] = "out of memory while its result was put together";

static void
lose_figures(struct runner *r)
{
        r->stop_state = JOB_FAILED;
        free(r->stop_reason);
        r->stop_reason = strdup(no_memory_for_result);
}

/* ── events ── */

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
        struct supervisor *s = arg;

        runner_call_missing(s);
        stall_feel_pulses(s);
        supervisor_send_progress(s);
        runner_poll(s);
}

static void
on_stall(evutil_socket_t fd, short what, void *arg)
{
        stall_find_late(arg);
}

static void
on_duration(evutil_socket_t fd, short what, void *arg)
{
        struct supervisor *s = arg;
        const struct timeval patience = {.tv_sec = STOP_PATIENCE_S};
        struct run *run = s->setup.segment.run;

        if (!s->runner.active || s->runner.stopping)
                return;
        s->runner.stopping = true;
        atomic_store(&run->current, current_pack(s->runner.run, variant_kind(present_variant(&s->runner)), false));
        __atomic_fetch_or(&run->attention, ATTENTION_FINISH, __ATOMIC_RELAXED);
        evtimer_add(s->runner.kill, &patience);
        runner_poll(s);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
        struct supervisor *s = arg;
        char reason[96];

        if (!s->runner.job)
                return;
        snprintf(reason, sizeof(reason), "its deadline of %.3g s has passed",
                 (double)s->runner.job->plan.deadline_ns / (double)NS_PER_S);
        runner_stop(s, JOB_FAILED, reason);
}

/* Patience is over: first the tasks are told to give up at their next checkpoint, then their workers are killed. */
static void
on_kill(evutil_socket_t fd, short what, void *arg)
{
        struct supervisor *s = arg;
        const struct timeval patience = {.tv_sec = STOP_PATIENCE_S};
        struct run *run = s->setup.segment.run;
        uint32_t before;

        if (!s->runner.active)
                return;
        before = __atomic_fetch_or(&run->attention, ATTENTION_STOP, __ATOMIC_RELAXED);
        if (before & ATTENTION_CANCEL)
                recovery_kill_seated(s);
        evtimer_add(s->runner.kill, &patience);
        runner_poll(s);
}

int
runner_init(struct runner *r, struct supervisor *s)
{
        uint32_t max_workers = s->setup.segment.header->max_workers;

        memset(r, 0, sizeof(*r));
        r->stalls = calloc(max_workers, sizeof(*r->stalls));
        r->pulses = calloc(max_workers, sizeof(*r->pulses));
        r->verdict = calloc(LEDGER_OWNERS, sizeof(*r->verdict));
        r->cause = calloc(s->setup.segment.header->n_slots, sizeof(*r->cause));
        r->child_pulses = calloc(1 + max_workers, sizeof(*r->child_pulses));
        r->tick = event_new(s->base, -1, EV_PERSIST, on_tick, s);
        r->stall = event_new(s->base, -1, EV_PERSIST, on_stall, s);
        r->duration = evtimer_new(s->base, on_duration, s);
        r->deadline = evtimer_new(s->base, on_deadline, s);
        r->kill = evtimer_new(s->base, on_kill, s);
        return r->stalls && r->pulses && r->child_pulses && r->verdict && r->cause && r->tick && r->stall &&
                               r->duration && r->deadline && r->kill
                       ? 0
                       : -ENOMEM;
}

void
runner_deinit(struct runner *r)
{
        struct event *events[] = {r->tick, r->stall, r->duration, r->deadline, r->kill};

        for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
                if (events[i])
                        event_free(events[i]);
        }
        free(r->stalls);
        free(r->pulses);
        free(r->child_pulses);
        free(r->verdict);
        free(r->cause);
        free(r->stop_reason);
        figures_free(r->last);
        if (r->race_semaphore)
                sem_close(r->race_semaphore);
}

static struct timeval
to_timeval(uint64_t ns)
{
        return (struct timeval){.tv_sec = (time_t)(ns / NS_PER_S), .tv_usec = (suseconds_t)(ns % NS_PER_S / 1000)};
}

static void
start_ticks(struct supervisor *s)
{
        const struct timeval tick = to_timeval(RUNNER_TICK_NS);
        uint64_t timeout_ms = present_variant(&s->runner)->timeout_ns / NS_PER_MS;

        if (event_add(s->runner.tick, &tick) < 0)
                runner_stop(s, JOB_FAILED, "out of memory");
        if (timeout_ms) {
                struct timeval look = to_timeval(MAX(MIN(timeout_ms / 4, STALL_MS), STALL_MIN_MS) * NS_PER_MS);

                event_add(s->runner.stall, &look);
        }
}

/* ── opening ── */

static void
reset_seats(struct supervisor *s, uint32_t seats)
{
        struct segment *segment = &s->setup.segment;
        uint64_t number = s->runner.run;

        for (uint32_t i = 0; i < segment->header->max_workers; i++) {
                struct seat *seat = &segment->seats[i];

                if (i < seats) {
                        memset(seat, 0, sizeof(*seat));
                        s->runner.stalls[i] = (struct stall){.since_ns = clock_now_ns()};
                }
                /* A seat beyond the number of seats has an older run's number, so nobody takes it. */
                atomic_store(&seat->word, i < seats ? seat_pack(number, SEAT_EMPTY, 0) : 0);
        }
}

static int
reset_run(struct supervisor *s, const struct variant *v, bool warmup)
{
        struct segment *segment = &s->setup.segment;
        struct run *run = segment->run;
        struct run_spec *spec = &run->spec;
        int r;

        *spec = (struct run_spec){
                .is_race = v->is_race,
                .workload = v->workload,
                .mode = v->mode,
                .spawn = v->spawn,
                .seats = v->workers,
                .cpus = v->cpus,
                .clock_overhead_ns = s->clock_overhead_ns,
        };
        memcpy(spec->params, v->params, sizeof(spec->params));
        /* Checked when the request was. */
        if (variant_geometry(v, warmup, segment->header->ledger_chunks, &spec->geometry, NULL) != 0)
                return -EINVAL;
        ledger_reset(segment->ledger, &spec->geometry);
        __atomic_store_n(&run->attention, 0, __ATOMIC_RELAXED);
        atomic_store(&run->go, 0);
        atomic_store(&run->start_ns, 0);
        atomic_store(&run->prepare_error, 0);
        atomic_store(&run->task_deaths, 0);
        atomic_store(&run->kills, 0);
        atomic_store(&run->reexecuted, 0);
        run->resumed = 0;
        atomic_store(&run->n_failures, 0);
        memset(run->failures, 0, sizeof(run->failures));
        run->n_poison = 0;
        totals_reset(segment);
        r = gil_init(gil_of(run), GIL_SWITCH_INTERVAL_NS);
        reset_seats(s, v->workers);
        if (r == 0 && v->is_race)
                r = race_run_open(s, v);
        return r;
}

static int
want_workers(struct supervisor *s, const struct variant *v)
{
        enum worker_kind kind = variant_kind(v);
        uint32_t processes = s->processes, threads = s->threads;

        if (kind == WORKER_PROCESS)
                processes = MAX(processes, v->workers);
        else
                threads = MAX(threads, v->workers);
        return children_want(&s->children, processes, threads);
}

static void
run_activate(struct runner *r)
{
        r->active = true;
        r->begun = r->stopping = r->broken = false;
        r->kills_in_vain = r->done_at_kill = 0;
        r->steal_before_s = environment_steal_s();
}

/* All that is the run's stands in the segment: lets the workers in. */
static void
run_call(struct supervisor *s)
{
        const struct variant *v = present_variant(&s->runner);
        enum worker_kind kind = variant_kind(v);

        start_ticks(s);
        atomic_store_explicit(&s->setup.segment.run->current, current_pack(s->runner.run, kind, true),
                              memory_order_release);
        children_call(&s->children, kind, v->workers);
}

static void
run_open(struct supervisor *s)
{
        struct runner *r = &s->runner;
        const struct variant *v = present_variant(r);
        int result;

        r->run++;
        /* Before anything of the run before it is lost. */
        record_step(s->setup.segment.record, r->step, r->run);
        run_activate(r);
        result = reset_run(s, v, r->job->plan.steps[r->step].warmup);
        if (result < 0) {
                runner_stop(s, JOB_FAILED,
                            v->is_race ? "its guard cannot be made: see the daemon's log"
                                       : "it does not fit into the ledger");
                return;
        }
        if (want_workers(s, v) < 0) {
                runner_stop(s, JOB_FAILED, "there are not enough workers: see the daemon's log");
                return;
        }
        run_call(s);
}

static void
take_job(struct runner *r, struct job *job)
{
        uint64_t elapsed = clock_now_ns() - job->started_ns, deadline = job->plan.deadline_ns;

        r->job = job;
        r->step = 0;
        r->stop_state = JOB_DONE;
        if (deadline) {
                struct timeval left = to_timeval(deadline > elapsed ? deadline - elapsed : 0);

                evtimer_add(r->deadline, &left);
        }
}

void
runner_start(struct supervisor *s, struct job *job)
{
        take_job(&s->runner, job);
        run_open(s);
        runner_poll(s);
}

/* ── going on with what an earlier supervisor began ── */

/* Ends the job with what there is of it. */
static void
run_abandon(struct supervisor *s, bool open)
{
        struct runner *r = &s->runner;

        if (open && !r->job->plan.steps[r->step].warmup) {
                totals_complete(&s->setup.segment);
                if (figures_collect(&s->setup.segment, &r->last) < 0)
                        lose_figures(r);
        }
        job_finish(s);
}

void
runner_resume(struct supervisor *s, struct job *job)
{
        const struct record_running *record = &s->setup.segment.record->running;
        struct runner *r = &s->runner;
        bool open = record_run_is_open(&s->setup.segment);

        take_job(r, job);
        r->step = record_step_of(s->setup.segment.record);
        r->run = record_run_of(s->setup.segment.record);
        if (record->stop_state) {
                r->stop_state = record->stop_state;
                r->stop_reason = *record->stop_reason ? strdup(record->stop_reason) : NULL;
                run_abandon(s, open);
        } else if (present_variant(r)->count == 0 || present_variant(r)->is_race) {
                r->stop_state = JOB_INTERRUPTED;
                r->stop_reason = strdup(present_variant(r)->is_race
                                                ? "its daemon was killed, and a race cannot go on"
                                                : "its daemon was killed, and a run by duration cannot go on");
                run_abandon(s, open);
        } else if (!open) {
                run_open(s);
                runner_poll(s);
        } else {
                run_activate(r);
                for (uint32_t i = 0; i < present_variant(r)->workers; i++)
                        r->stalls[i] = (struct stall){.since_ns = clock_now_ns()};
                if (want_workers(s, present_variant(r)) < 0)
                        log_warning("the pool is short of workers");
                run_call(s);
                runner_poll(s);
        }
}

/* ── stopping ── */

void
runner_stop(struct supervisor *s, enum job_state state, const char *reason)
{
        struct runner *r = &s->runner;
        const struct timeval patience = {.tv_sec = STOP_PATIENCE_S};
        struct run *run = s->setup.segment.run;

        if (!r->job || r->stop_state != JOB_DONE)
                return;
        r->stop_state = state;
        r->stop_reason = reason ? strdup(reason) : NULL;
        r->stopping = true;
        record_stop(s->setup.segment.record, state, reason);
        atomic_store(&run->current, current_pack(r->run, variant_kind(present_variant(r)), false));
        __atomic_fetch_or(&run->attention, ATTENTION_STOP, __ATOMIC_RELAXED);
        evtimer_add(r->kill, &patience);
        event_active(s->poll, EV_TIMEOUT, 0);
}

/* ── closing ── */

/* Nobody waits that long for a permit whose owner lives and runs. */
static void
report_rescues(struct supervisor *s)
{
        uint64_t rescues = atomic_exchange(&s->setup.segment.run->guard.rescues, 0);

        if (rescues > 0)
                log_warning("%" PRIu64 " times a permit of the run's guard was free and nobody was woken for it",
                            rescues);
}

static void
run_close(struct supervisor *s)
{
        struct runner *r = &s->runner;
        struct run *run = s->setup.segment.run;

        atomic_store(&run->current, current_pack(r->run, WORKER_NONE, false));
        event_del(r->tick);
        event_del(r->stall);
        event_del(r->duration);
        event_del(r->kill);
        r->active = false;
        /* What a warm-up did is discarded, also when it was cut short. */
        if (!r->job->plan.steps[r->step].warmup) {
                figures_free(r->last);
                r->last = NULL;
                totals_complete(&s->setup.segment);
                if (figures_collect(&s->setup.segment, &r->last) == 0)
                        r->last->steal_s = environment_steal_s() - r->steal_before_s;
                else
                        lose_figures(r);
        }
        report_rescues(s);
        race_run_close(s);
        supervisor_refresh_semaphores(s);
        if (r->stop_state == JOB_DONE && ++r->step < r->job->plan.n_steps) {
                run_open(s);
                return;
        }
        job_finish(s);
}

static void
judge_race(struct supervisor *s)
{
        const struct race *race = s->setup.segment.race;
        struct runner *r = &s->runner;
        struct race_tally tally;

        race_figures_tally(race, &tally);
        if (race_figures_failed(race, &tally) == 0)
                return;
        r->stop_state = JOB_FAILED;
        r->stop_reason = race_figures_fault(race, &tally);
}

/* The state that the figures give the job, when nobody stopped it. */
static void
judge(struct supervisor *s)
{
        struct runner *r = &s->runner;
        char reason[128];

        if (r->stop_state != JOB_DONE || !r->last)
                return;
        if (r->job->plan.variants[0].is_race) {
                judge_race(s);
                return;
        }
        if (r->last->sum.failed == 0)
                return;
        snprintf(reason, sizeof(reason), "%" PRIu64 " of %" PRIu64 " tasks failed", r->last->sum.failed,
                 r->last->sum.done);
        r->stop_state = JOB_FAILED;
        r->stop_reason = strdup(reason);
}

static json_t *
result_of(const struct segment *segment, const struct variant *v, const struct figures *figures,
          const struct result_context *context)
{
        return v->is_race ? race_figures_to_result(segment, figures, v, context)
                          : figures_to_result(figures, v, context);
}

/* Twice, because memory may be short for a moment only. */
static void
put_result(const struct segment *segment, struct job *job, const struct figures *figures,
           const struct result_context *context)
{
        for (int tried = 0; tried < 2 && !job->result; tried++) {
                json_memory_failed(); /* whatever failed before was somebody else's */
                job->result = result_of(segment, &job->plan.variants[0], figures, context);
                if (json_memory_failed()) {
                        json_decref(job->result);
                        job->result = NULL;
                }
        }
        if (job->result)
                return;
        job->state = JOB_FAILED;
        free(job->reason);
        job->reason = strdup(no_memory_for_result);
}

static void
job_finish(struct supervisor *s)
{
        struct runner *r = &s->runner;
        struct job *job = r->job;
        struct result_context context = {
                .id = job->id,
                .resumed = s->setup.segment.record->running.resumed,
                .quota_cpus = s->quota_cpus,
                .parked_thread = s->setup.parked_thread,
        };

        judge(s);
        event_del(r->deadline);
        job->state = r->stop_state;
        job->reason = TAKE(r->stop_reason);
        context.state = job_state_name(job->state);
        context.reason = job->reason;
        if (r->last)
                put_result(&s->setup.segment, job, r->last, &context);
        figures_free(r->last);
        r->last = NULL;
        r->job = NULL;
        if (children_want(&s->children, s->processes, s->threads) < 0)
                log_warning("the pool is short of workers");
        supervisor_on_job_end(s, job);
}

static void
on_begin(struct supervisor *s)
{
        struct runner *r = &s->runner;

        r->begun = true;
        for (uint32_t i = 0; i < s->setup.segment.run->spec.seats; i++)
                r->stalls[i].since_ns = clock_now_ns();
        if (by_duration(r)) {
                uint64_t elapsed = clock_now_ns() - atomic_load(&s->setup.segment.run->start_ns);
                uint64_t duration = present_variant(r)->duration_ns;
                struct timeval left = to_timeval(duration > elapsed ? duration - elapsed : 0);

                evtimer_add(r->duration, &left);
        }
}

/* Stops the job for what its workers reported. */
static void
heed_reports(struct supervisor *s)
{
        const struct runner *r = &s->runner;
        struct run *run = s->setup.segment.run;
        int error = atomic_load(&run->prepare_error);
        char reason[160];

        if (!r->begun && children_lack(&s->children, variant_kind(present_variant(r)))) {
                runner_stop(s, JOB_FAILED, "there are not enough workers: see the daemon's log");
        } else if (error) {
                snprintf(reason, sizeof(reason), "a worker could not prepare: %s", strerror(-error));
                runner_stop(s, JOB_FAILED, reason);
        } else if (recovery_kills(s) > s->config.max_restarts) {
                snprintf(reason, sizeof(reason),
                         "%" PRIu64 " workers were killed from outside in one run; max_restarts allows %" PRIu64,
                         recovery_kills(s), s->config.max_restarts);
                runner_stop(s, JOB_FAILED, reason);
        } else if (r->kills_in_vain > s->config.max_kills_in_vain) {
                snprintf(reason, sizeof(reason), "workers were killed %" PRIu64 " times in a row with no %s done",
                         r->kills_in_vain, present_variant(r)->is_race ? "trial" : "task");
                runner_stop(s, JOB_FAILED, reason);
        }
}

/* Is there nothing left to be done? */
static bool
all_accounted(const struct supervisor *s)
{
        const struct run *run = s->setup.segment.run;
        struct ledger_sum sum;

        if (run->spec.is_race)
                return race_run_is_complete(&s->setup.segment);
        if (run->spec.geometry.count == UINT64_MAX)
                return false;
        ledger_sum(s->setup.segment.ledger, &run->spec.geometry, &sum);
        return sum.done == run->spec.geometry.count;
}

/* A race's actors say themselves when it is over. */
static bool
race_has_ended(const struct supervisor *s, const struct seat_census *census)
{
        return s->setup.segment.run->spec.is_race && !s->runner.broken && census->empty == 0;
}

/* The race goes on with other actors. */
static void
run_mend(struct supervisor *s)
{
        if (race_run_renew(s) < 0)
                runner_stop(s, JOB_FAILED, "its guard cannot be made: see the daemon's log");
        else
                runner_call_missing(s);
}

void
runner_poll(struct supervisor *s)
{
        struct runner *r = &s->runner;
        struct seat_census census;

        if (!r->active)
                return;
        if (!r->begun && atomic_load(&s->setup.segment.run->start_ns) != 0)
                on_begin(s);
        heed_reports(s);
        census = recovery_census(s);
        if (census.seated > 0)
                return;
        if (r->stopping || all_accounted(s) || race_has_ended(s, &census)) {
                if (recovery_close_seats(s))
                        run_close(s);
                return;
        }
        if (s->setup.segment.run->spec.is_race) {
                if (r->broken)
                        run_mend(s);
                return;
        }
        /* Everybody has left, but a worker that died late left tasks behind. */
        if (census.empty == 0)
                recovery_reopen_seat(s, 0);
}

void
runner_call_missing(struct supervisor *s)
{
        struct seat_census census;

        if (!s->runner.active || s->runner.stopping)
                return;
        census = recovery_census(s);
        if (census.empty > 0)
                children_call(&s->children, variant_kind(present_variant(&s->runner)), census.empty);
}

static void
glance_at_race(const struct segment *segment, struct ledger_sum *ret)
{
        struct race_tally tally;

        race_figures_tally(segment->race, &tally);
        *ret = (struct ledger_sum){.done = tally.trials, .failed = race_figures_failed(segment->race, &tally)};
}

json_t *
runner_progress(struct supervisor *s, const struct job *job)
{
        const struct plan *plan = &job->plan;
        const struct step *step = &plan->steps[job->state == JOB_RUNNING ? s->runner.step : 0];
        const struct variant *v = &plan->variants[step->variant];
        bool running = job->state == JOB_RUNNING && s->runner.active;
        struct ledger_sum sum = {0};
        uint64_t elapsed = 0, restarts = 0;
        json_t *o = json_object();

        if (running) {
                figures_glance(&s->setup.segment, &sum, &elapsed);
                if (v->is_race)
                        glance_at_race(&s->setup.segment, &sum);
                restarts = recovery_restarts(s);
        }
        put_integer_or_null(o, "position", queue_position(&s->queue, job));
        put_integer(o, "done", sum.done);
        put_integer_or_null(o, "total", step->warmup ? v->warmup : v->count);
        put_integer(o, "failed", sum.failed);
        put_integer(o, "restarts", restarts);
        put_seconds(o, "elapsed_s", elapsed);
        put_real(o, "tasks_per_s", elapsed ? (double)sum.done * (double)NS_PER_S / (double)elapsed : 0);
        put_integer(o, "round", step->round + 1);
        put_integer(o, "rounds", plan->rounds);
        put_bool(o, "warming_up", step->warmup);
        return o;
}
