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
#include "supervisor/compare-figures.h"
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

static const struct step *
present_step(const struct runner *r)
{
        return &r->job->plan.steps[r->step];
}

static const struct variant *
present_variant(const struct runner *r)
{
        return &r->job->plan.variants[present_step(r)->variant];
}

static bool
by_duration(const struct runner *r)
{
        return present_variant(r)->count == 0 && present_step(r)->kind != STEP_WARMUP;
}

/* Is the present run one whose figures are kept? */
static bool
is_kept(const struct runner *r)
{
        enum step_kind kind = present_step(r)->kind;

        return (kind == STEP_MEASURED || kind == STEP_TRACED) && !r->cold;
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
        comparison_free(r->comparison);
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

        /* It goes on from one run of a job to the next: they may all be shorter than it. */
        if (!event_pending(s->runner.tick, EV_TIMEOUT, NULL) && event_add(s->runner.tick, &tick) < 0)
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
                        trace_reset(&segment->traces[i]);
                        s->runner.stalls[i] = (struct stall){.since_ns = clock_now_ns()};
                }
                /* A seat beyond the number of seats has an older run's number, so nobody takes it. */
                atomic_store(&seat->word, i < seats ? seat_pack(number, SEAT_EMPTY, 0) : 0);
        }
}

static int
reset_run(struct supervisor *s, const struct variant *v, const struct step *step)
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
                .libc_native = v->libc_native,
        };
        if (step->kind == STEP_TRACED) {
                spec->traced = true;
                spec->trace_join_ns = comparison_join_ns(segment, &s->runner.job->plan, step->variant);
        }
        memcpy(spec->params, v->params, sizeof(spec->params));
        /* Checked when the request was. */
        if (variant_geometry(v, step->kind == STEP_WARMUP, segment->header->ledger_chunks, &spec->geometry, NULL) != 0)
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

/* Workers of a kind that the plan needs at most, so that none has to be made within it; of processes only those of the
 * flavour. */
static uint32_t
most_workers(const struct plan *plan, enum worker_kind kind, bool native)
{
        uint32_t most = 0;

        for (uint32_t i = 0; i < plan->n_variants; i++) {
                const struct variant *v = &plan->variants[i];

                if (variant_kind(v) == kind && (kind != WORKER_PROCESS || v->libc_native == native))
                        most = MAX(most, v->workers);
        }
        return most;
}

static int
want_workers(struct supervisor *s, const struct variant *v)
{
        const struct plan *plan = &s->runner.job->plan;
        bool usual = !s->config.parked_thread;
        /* A run of threads is not disturbed by forking processes anew. */
        bool native = variant_kind(v) == WORKER_PROCESS ? v->libc_native : s->children.native;
        uint32_t processes = most_workers(plan, WORKER_PROCESS, native);
        bool is_usual_only = native == usual && most_workers(plan, WORKER_PROCESS, !usual) == 0;

        /* The rest of the pool changes its flavour when the job is over: forking it now would disturb the run. */
        if (is_usual_only)
                processes = MAX(processes, s->processes);
        s->runner.cold = s->runner.cold || (plan->is_comparison && native != s->children.native);
        return children_want(&s->children, processes, MAX(s->threads, most_workers(plan, WORKER_THREAD, false)),
                             native);
}

static void
run_activate(struct runner *r)
{
        r->active = true;
        r->begun = r->stopping = r->broken = false;
        r->kills_in_vain = r->done_at_kill = 0;
        r->steal_before_s = environment_steal_s(&present_variant(r)->cpus);
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
        result = reset_run(s, v, present_step(r));
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

/* 0, or -ENOMEM: then it can only be finished. */
static int
take_job(struct runner *r, struct job *job)
{
        uint64_t elapsed = clock_now_ns() - job->started_ns, deadline = job->plan.deadline_ns;

        r->job = job;
        r->step = 0;
        r->cold = false;
        r->stop_state = JOB_DONE;
        if (deadline) {
                struct timeval left = to_timeval(deadline > elapsed ? deadline - elapsed : 0);

                evtimer_add(r->deadline, &left);
        }
        if (!job->plan.is_comparison)
                return 0;
        r->comparison = comparison_new(&job->plan);
        if (r->comparison)
                return 0;
        lose_figures(r);
        return -ENOMEM;
}

void
runner_start(struct supervisor *s, struct job *job)
{
        if (take_job(&s->runner, job) < 0) {
                job_finish(s);
                return;
        }
        comparison_begin(&s->setup.segment);
        run_open(s);
        runner_poll(s);
}

/* ── going on with what an earlier supervisor began ── */

/* Ends the job with what there is of it. */
static void
run_abandon(struct supervisor *s, bool open)
{
        struct runner *r = &s->runner;

        if (open && is_kept(r) && !r->comparison) {
                totals_complete(&s->setup.segment);
                if (figures_collect(&s->setup.segment, &r->last) < 0)
                        lose_figures(r);
                else
                        metrics_note_run(&s->metrics, &s->setup.segment, r->last);
        }
        job_finish(s);
}

void
runner_resume(struct supervisor *s, struct job *job)
{
        struct segment *segment = &s->setup.segment;
        const struct record_running *record = &segment->record->running;
        struct runner *r = &s->runner;
        bool open = record_run_is_open(segment);

        r->run = record_run_of(segment->record);
        if (take_job(r, job) < 0) {
                job_finish(s);
                return;
        }
        r->step = record_step_of(segment->record);
        if (r->run == 0)
                comparison_begin(segment); /* killed before it did so itself */
        if (record->stop_state) {
                r->stop_state = record->stop_state;
                r->stop_reason = *record->stop_reason ? strdup(record->stop_reason) : NULL;
                run_abandon(s, open);
        } else if (r->comparison) {
                /* What was under way is begun again: its time would be worth nothing. */
                segment->compare->repeating += open && present_step(r)->kind == STEP_MEASURED;
                r->cold = true;
                run_open(s);
                runner_poll(s);
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

/* The run that was closed yielded this; it may be the comparison's. */
static void
keep_figures(struct supervisor *s)
{
        struct runner *r = &s->runner;

        figures_free(r->last);
        r->last = NULL;
        totals_complete(&s->setup.segment);
        if (figures_collect(&s->setup.segment, &r->last) < 0) {
                lose_figures(r);
                return;
        }
        r->last->steal_s = environment_steal_s(&present_variant(r)->cpus) - r->steal_before_s;
        metrics_note_run(&s->metrics, &s->setup.segment, r->last);
        if (r->comparison && r->stop_state == JOB_DONE &&
            comparison_take(r->comparison, &s->setup.segment, &r->job->plan, r->step, TAKE(r->last)) < 0)
                lose_figures(r);
}

/* A step for which workers were forked anew is run once more, now that they are warm. */
static uint32_t
next_step(struct supervisor *s)
{
        struct runner *r = &s->runner;
        bool again = r->cold && present_step(r)->kind >= STEP_MEASURED;

        r->cold = false;
        if (again)
                return r->step;
        return r->comparison ? comparison_next(r->comparison, &s->setup.segment, &r->job->plan, r->step) : r->step + 1;
}

static void
run_close(struct supervisor *s)
{
        struct runner *r = &s->runner;
        struct run *run = s->setup.segment.run;

        atomic_store(&run->current, current_pack(r->run, WORKER_NONE, false));
        event_del(r->stall);
        event_del(r->duration);
        event_del(r->kill);
        r->active = false;
        /* What a warm-up did is discarded, also when it was cut short. */
        if (is_kept(r))
                keep_figures(s);
        report_rescues(s);
        race_run_close(s);
        supervisor_refresh_semaphores(s);
        if (r->stop_state == JOB_DONE)
                r->step = next_step(s);
        if (r->stop_state == JOB_DONE && r->step < r->job->plan.n_steps)
                run_open(s);
        else
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
        uint64_t failed, done;
        char reason[128];

        if (r->stop_state != JOB_DONE || (!r->last && !r->comparison))
                return;
        if (r->job->plan.variants[0].is_race) {
                judge_race(s);
                return;
        }
        if (r->comparison) {
                failed = comparison_failed(&s->setup.segment, &r->job->plan, &done);
        } else {
                failed = r->last->sum.failed;
                done = r->last->sum.done;
        }
        if (failed == 0)
                return;
        snprintf(reason, sizeof(reason), "%" PRIu64 " of %" PRIu64 " tasks failed", failed, done);
        r->stop_state = JOB_FAILED;
        r->stop_reason = strdup(reason);
}

static json_t *
result_of(const struct supervisor *s, const struct job *job, const struct result_context *context)
{
        const struct segment *segment = &s->setup.segment;
        const struct variant *v = &job->plan.variants[0];
        const struct figures *figures = s->runner.last;

        if (s->runner.comparison)
                return compare_figures_to_result(segment, &job->plan, s->runner.comparison,
                                                 clock_now_ns() - job->started_ns, context);
        return v->is_race ? race_figures_to_result(segment, figures, v, context)
                          : figures_to_result(figures, v, context);
}

/* Twice, because memory may be short for a moment only. */
static void
put_result(const struct supervisor *s, struct job *job, const struct result_context *context)
{
        for (int tried = 0; tried < 2 && !job->result; tried++) {
                json_memory_failed(); /* whatever failed before was somebody else's */
                job->result = result_of(s, job, context);
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
        };

        judge(s);
        event_del(r->tick);
        event_del(r->deadline);
        job->state = r->stop_state;
        job->reason = TAKE(r->stop_reason);
        context.state = job_state_name(job->state);
        context.reason = job->reason;
        if (r->comparison ? s->setup.segment.compare->taken > 0 : r->last != NULL)
                put_result(s, job, &context);
        figures_free(r->last);
        comparison_free(r->comparison);
        r->last = NULL;
        r->comparison = NULL;
        r->job = NULL;
        if (children_want(&s->children, s->processes, s->threads, !s->config.parked_thread) < 0)
                log_warning("the pool is short of workers");
        supervisor_on_job_end(s, job);
}

static void
on_begin(struct supervisor *s)
{
        struct runner *r = &s->runner;

        r->begun = true;
        r->steal_before_s = environment_steal_s(&present_variant(r)->cpus);
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

/* How much of the whole job is done, when `within` of its present step is; below 0 when nobody knows. */
static double
share_of_job(const struct supervisor *s, const struct job *job, double within)
{
        const struct plan *plan = &job->plan;

        if (job->state != JOB_RUNNING)
                return 0;
        if (within < 0 || (plan->is_comparison && plan->comparison.precision > 0))
                return -1;
        return (s->runner.step + MIN(within, 1)) / plan->n_steps;
}

/* Of a step of which so much is done, in so long; below 0 when nobody knows. */
static double
share_of_step(const struct step *step, const struct variant *v, uint64_t done, uint64_t elapsed_ns)
{
        uint64_t total = step->kind == STEP_WARMUP ? v->warmup : v->count;

        if (total > 0)
                return (double)done / (double)total;
        return v->duration_ns > 0 ? (double)elapsed_ns / (double)v->duration_ns : -1;
}

static void
put_place(const struct supervisor *s, const struct job *job, const struct step *step, double within, json_t *o)
{
        double share = share_of_job(s, job, within);

        put_integer(o, "round", step->round + 1);
        put_integer(o, "rounds", job->plan.rounds);
        put_bool(o, "warming_up", step->kind == STEP_WARMUP || step->kind == STEP_REHEARSAL);
        put_json(o, "share", share >= 0 ? json_real(share) : json_null());
        put_seconds(o, "job_elapsed_s", job->started_ns ? clock_now_ns() - job->started_ns : 0);
        put_string(o, "variant", job->plan.is_comparison ? job->plan.comparison.names[step->variant] : NULL);
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
        put_integer_or_null(o, "total", step->kind == STEP_WARMUP ? v->warmup : v->count);
        put_integer(o, "failed", sum.failed);
        put_integer(o, "restarts", restarts);
        put_seconds(o, "elapsed_s", elapsed);
        put_real(o, "tasks_per_s", elapsed ? (double)sum.done * (double)NS_PER_S / (double)elapsed : 0);
        put_place(s, job, step, share_of_step(step, v, sum.done, elapsed), o);
        return o;
}
