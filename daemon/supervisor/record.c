/* SPDX-License-Identifier: MIT */
#include "supervisor/record.h"

#include "protocol/json-memory.h"
#include "segment/seat.h"
#include "shared/log.h"

#include <string.h>

/* Malloc'ed; NULL when out of memory, which is logged: the job then does not survive its supervisor. */
static char *
job_text(const struct job *job)
{
        AUTO_JSON json_t *json = job_to_json(job);
        char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

        if (json_memory_failed())
                free(TAKE(text));
        if (!text)
                log_error("out of memory: job %s is not recorded", job->id);
        return text;
}

void
record_journal(struct record *record, const struct job *job)
{
        AUTO_FREE char *text = job_text(job);

        if (text && journal_append(&record->journal, text, strlen(text)) < 0)
                log_warning("job %s is too large to be recorded", job->id);
}

void
record_start(struct record *record, const struct job *job)
{
        struct record_running *r = &record->running;
        AUTO_FREE char *text = job_text(job);
        size_t length = text ? strlen(text) : 0;

        if (length >= sizeof(r->text)) {
                log_warning("the request of job %s is too long to be recorded: it is lost when the daemon is killed",
                            job->id);
                length = 0;
        }
        atomic_store(&r->at, 0);
        r->resumed = 0;
        r->stop_state = 0;
        r->stop_reason[0] = 0;
        r->started_ns = job->started_ns;
        r->length = length;
        r->checksum = checksum_add(CHECKSUM_INIT, text, length);
        if (length > 0)
                memcpy(r->text, text, length);
        atomic_store_explicit(&r->present, 1, memory_order_release);
}

void
record_step(struct record *record, uint32_t step, uint64_t run)
{
        atomic_store_explicit(&record->running.at, run << 24 | step, memory_order_release);
}

void
record_stop(struct record *record, enum job_state state, const char *reason)
{
        snprintf(record->running.stop_reason, sizeof(record->running.stop_reason), "%s", reason ? reason : "");
        __atomic_store_n(&record->running.stop_state, (uint32_t)state, __ATOMIC_RELEASE);
}

void
record_end(struct record *record)
{
        atomic_store_explicit(&record->running.present, 0, memory_order_release);
}

void
record_resumed(struct segment *segment)
{
        segment->record->running.resumed++;
        if (record_run_is_open(segment))
                segment->run->resumed++;
}

bool
record_run_is_open(const struct segment *segment)
{
        uint64_t run = record_run_of(segment->record);

        return run > 0 && current_run(atomic_load(&segment->run->current)) == run;
}
