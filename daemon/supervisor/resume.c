/* SPDX-License-Identifier: MIT */
/*
 * What is believed, and in which order:
 *
 *   segment_adopt()        the header, before anything else is read
 *   journal_check()        every entry's length and sum; one that is wrong empties the journal
 *   resume_running()       the running job's text: its sum, its JSON, and then the same checks as for a call of Run
 *   resume_run_is_sound()  the run is the one that this request makes: spec and geometry are computed again and
 *                          compared; every owner, progress, claim and count is within its bounds
 *
 * Sums of results have no second source: a bit that flips in one goes unnoticed.
 *
 * All of it can be killed and done again by the next supervisor: the record says that the job runs until its end is in
 * the journal.
 */
#include "supervisor/resume.h"

#include "protocol/json-memory.h"
#include "segment/ledger.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "supervisor/events.h"
#include "supervisor/race-run.h"
#include "supervisor/record.h"
#include "supervisor/recovery.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

/* The number of a run has 40 bits in a seat's word; nobody gets near. */
#define RUN_MAX (UINT64_C(1) << 39)

static bool PRINTF_LIKE(2, 3) unsound(char reason[RESUME_REASON_MAX], const char *fmt, ...)
{
        va_list args;

        va_start(args, fmt);
        vsnprintf(reason, RESUME_REASON_MAX, fmt, args);
        va_end(args);
        return false;
}

/* ── is it sound? ── */

static bool
spec_is_sound(const struct segment *segment, const struct variant *v, bool warmup, char reason[RESUME_REASON_MAX])
{
        const struct run_spec *spec = &segment->run->spec;
        struct ledger_geometry geometry;

        if (variant_geometry(v, warmup, segment->header->ledger_chunks, &geometry, NULL) != 0)
                return unsound(reason, "it does not fit into the ledger");
        if (spec->is_race != v->is_race || spec->workload != v->workload || spec->mode != v->mode ||
            spec->spawn != v->spawn || spec->libc_native != v->libc_native || spec->seats != v->workers ||
            memcmp(spec->params, v->params, sizeof(spec->params)) != 0 || !CPU_EQUAL(&spec->cpus, &v->cpus) ||
            memcmp(&spec->geometry, &geometry, sizeof(geometry)) != 0)
                return unsound(reason, "its run is not the one that its request makes");
        return true;
}

static bool
line_is_sound(const struct segment *segment, uint32_t i, char reason[RESUME_REASON_MAX])
{
        uint64_t word = atomic_load(&segment->ledger[i].word), size = ledger_line_size(&segment->run->spec.geometry, i);
        uint64_t p = ledger_progress(word);

        if (ledger_owner(word) <= segment->header->n_slots && ledger_attempts(word) <= LEDGER_ATTEMPTS_MAX &&
            p <= size && (p < size || ledger_owner(word) == 0) && segment->ledger[i].failed[p & 1] <= p &&
            segment->ledger[i].wrong[p & 1] <= segment->ledger[i].failed[p & 1])
                return true;
        return unsound(reason, "line %u of its ledger is damaged", i);
}

static bool
seat_is_sound(const struct segment *segment, uint32_t i, uint64_t run, char reason[RESUME_REASON_MAX])
{
        const struct run_spec *spec = &segment->run->spec;
        const struct seat *seat = &segment->seats[i];
        uint64_t word = atomic_load(&seat->word);
        uint32_t claim = atomic_load(&seat->claim);

        if (seat_run(word) == run && seat_state(word) <= SEAT_DONE && seat_owner(word) <= segment->header->n_slots &&
            claim <= spec->geometry.n_lines && atomic_load(&seat->tasks) <= spec->geometry.count &&
            atomic_load(&seat->tasks_next) <= spec->geometry.count &&
            (claim == 0 ||
             atomic_load(&seat->claim_progress) <= ledger_progress(atomic_load(&segment->ledger[claim - 1].word))))
                return true;
        return unsound(reason, "seat %u of its run is damaged", i);
}

static bool
lists_are_sound(const struct segment *segment, char reason[RESUME_REASON_MAX])
{
        const struct run *run = segment->run;

        if (atomic_load(&run->n_failures) > FAILURES_MAX || run->n_poison > POISON_MAX || atomic_load(&run->go) > 1 ||
            atomic_load(&run->prepare_error) > 0)
                return unsound(reason, "the figures of its run are damaged");
        for (uint32_t i = 0; i < FAILURES_MAX; i++) {
                if (run->failures[i].reason > FAILURE_TIMEOUT || run->failures[i].seat >= run->spec.seats)
                        return unsound(reason, "the list of its failures is damaged");
        }
        for (uint32_t i = 0; i < run->n_poison; i++) {
                if (run->poison[i].reason > FAILURE_TIMEOUT)
                        return unsound(reason, "the list of its failures is damaged");
        }
        return true;
}

bool
resume_run_is_sound(const struct segment *segment, const struct variant *v, bool warmup, char reason[RESUME_REASON_MAX])
{
        uint64_t run = current_run(atomic_load(&segment->run->current));

        if (!spec_is_sound(segment, v, warmup, reason) || !lists_are_sound(segment, reason))
                return false;
        if (v->is_race && !race_run_is_sound(segment, v))
                return unsound(reason, "what is recorded of its race is damaged");
        for (uint32_t i = 0; i < segment->run->spec.geometry.n_lines; i++) {
                if (!line_is_sound(segment, i, reason))
                        return false;
        }
        for (uint32_t i = 0; i < segment->run->spec.seats; i++) {
                if (!seat_is_sound(segment, i, run, reason))
                        return false;
        }
        return true;
}

/* ── queued and ended jobs ── */

static void
end_lost(struct supervisor *s, struct job *job, const char *reason)
{
        job->state = JOB_LOST;
        metrics_note_job(&s->metrics, job);
        free(job->reason);
        job->reason = strdup(reason);
        queue_restore(&s->queue, job);
        record_journal(s->setup.segment.record, job);
        event_of_job(EVENT_JOB_LOST, job, "job %s of %s (%s) is lost: %s", job->id, job->user, job->summary, reason);
}

/* Every job that the journal names, as its last entry has it: among the ended ones, also those that were queued. 0 or
 * -ENOMEM. */
static int
read_journal(struct supervisor *s)
{
        struct record *record = s->setup.segment.record;
        uint64_t position = 0;
        char *text;

        if (journal_check(&record->journal) < 0)
                log_warning("the journal of queued and ended jobs was damaged: they are forgotten");
        while ((text = journal_next(&record->journal, &position))) {
                AUTO_JSON json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
                struct job *job = NULL;
                int r = json ? job_from_json(json, &job) : 0;

                free(text);
                if (r == -ENOMEM)
                        return r;
                if (job && request_id_is_valid(job->id))
                        queue_restore(&s->queue, job);
                else
                        job_free(job);
        }
        return 0;
}

static void
lose_queued(struct supervisor *s, const char *reason)
{
        struct job *job, *next;

        for (job = TAILQ_FIRST(&s->queue.ended); job; job = next) {
                next = TAILQ_NEXT(job, entry);
                if (job_has_ended(job))
                        continue;
                TAILQ_REMOVE(&s->queue.ended, job, entry);
                s->queue.n_ended--;
                end_lost(s, job, reason);
        }
}

/* ── the running job ── */

/* The running job as it was recorded. 0; -EBADMSG, or -ENOMEM, which says nothing about the job. */
static int
read_running(const struct record_running *running, struct job **ret)
{
        AUTO_JSON json_t *json = NULL;
        struct job *job = NULL;
        int r = -EBADMSG;

        if (running->length == 0 || running->length >= sizeof(running->text) ||
            checksum_add(CHECKSUM_INIT, running->text, running->length) != running->checksum)
                return r;
        json = json_loadb(running->text, running->length, JSON_REJECT_DUPLICATES, NULL);
        if (json)
                r = job_from_json(json, &job);
        if (r < 0)
                return r;
        if (request_id_is_valid(job->id) && job->request && job->state == JOB_RUNNING) {
                *ret = job;
                return 0;
        }
        job_free(job);
        return -EBADMSG;
}

/* Makes its plan again and checks all that is recorded of it: 1; 0 with the reason it cannot go on; -ENOMEM, which says
 * nothing about the job, so that it is left to the next daemon. */
static int
can_go_on(struct supervisor *s, struct job *job, char reason[RESUME_REASON_MAX])
{
        const struct segment *segment = &s->setup.segment;
        const struct record_running *r = &segment->record->running;
        struct bad_value bad = {0};
        const struct step *step;
        int made = supervisor_make_plan(s, job->method, job->request, NULL, &job->plan, &bad);

        if (made < 0)
                unsound(reason, "its request is not accepted any more: %s",
                        made == -EINVAL ? bad.field : strerror(-made));
        bad_value_deinit(&bad);
        if (made < 0)
                return made == -ENOMEM ? made : 0;
        if (record_step_of(segment->record) >= job->plan.n_steps || record_run_of(segment->record) > RUN_MAX ||
            r->stop_state > JOB_LOST || r->stop_state == JOB_RUNNING ||
            strnlen(r->stop_reason, sizeof(r->stop_reason)) == sizeof(r->stop_reason) || r->started_ns > clock_now_ns())
                return unsound(reason, "its record is damaged");
        if (job->plan.is_comparison && record_run_of(segment->record) > 0 && !comparison_is_sound(segment, &job->plan))
                return unsound(reason, "its record is damaged");
        step = &job->plan.steps[record_step_of(segment->record)];
        return !record_run_is_open(segment) ||
               resume_run_is_sound(segment, &job->plan.variants[step->variant], step->kind == STEP_WARMUP, reason);
}

/* No run: the next one begins the numbers anew, which nobody remembers. */
static void
forget_run(struct segment *segment)
{
        memset(segment->run, 0, sizeof(*segment->run));
        memset(segment->seats, 0, segment->header->max_workers * sizeof(*segment->seats));
        memset(segment->slots, 0, segment->header->n_slots * sizeof(*segment->slots));
        permits_init(&segment->run->guard, 1);
}

static int
resume_running(struct supervisor *s)
{
        struct segment *segment = &s->setup.segment;
        char reason[RESUME_REASON_MAX];
        struct job *job, *known;
        int r;

        if (!atomic_load_explicit(&segment->record->running.present, memory_order_acquire))
                return 0;
        r = read_running(&segment->record->running, &job);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                lose_queued(s, "the daemon was killed, and its record of the job that was running is damaged");
                return 0;
        }
        known = queue_find(&s->queue, job->id);
        if (known && job_has_ended(known)) {
                job_free(job); /* killed between its end and the end of its record */
                return 0;
        }
        if (known)
                queue_forget(&s->queue, known);
        r = can_go_on(s, job, reason);
        if (r < 0) {
                job_free(job);
                return r;
        }
        if (r == 0) {
                end_lost(s, job, reason);
                return 0;
        }
        job->started_ns = segment->record->running.started_ns;
        job->orphaned = !job->detached;
        record_resumed(segment);
        queue_adopt(&s->queue, job);
        return record_run_is_open(segment) ? recovery_of_herd(segment) : 0;
}

int
resume_jobs(struct supervisor *s)
{
        struct segment *segment = &s->setup.segment;
        int r;

        json_memory_begin_reading();
        r = read_journal(s);
        if (r == 0)
                r = resume_running(s);
        if (json_memory_end_reading())
                r = -ENOMEM;
        if (r < 0)
                return r;
        lose_queued(s, "the daemon was killed while it waited in the queue");
        queue_trim(&s->queue, s->config.keep_results);
        if (!s->queue.running)
                record_end(segment->record);
        if (!s->queue.running || !record_run_is_open(segment))
                forget_run(segment);
        return 0;
}

void
resume_go_on(struct supervisor *s)
{
        struct job *job = s->queue.running;

        if (!job)
                return;
        event_of_job(EVENT_JOB_RECOVERED, job, "job %s of %s, which a killed daemon was running, goes on: %s", job->id,
                     job->user, job->summary);
        supervisor_consider_orphan(s);
        runner_resume(s, job);
}
