/* SPDX-License-Identifier: MIT */
#include "supervisor/record.h"

#include "protocol/json-memory.h"
#include "segment/seat.h"
#include "shared/log.h"
#include "supervisor/fields.h"

#include <string.h>

/* An entry that is longer would push too many others out of the journal. */
#define ENTRY_BYTES (JOURNAL_BYTES / 8)

/* What a comparison can do without, the largest and least needed first: pictures, and the evidence of each worker. */
static const char *const ornaments[] = {"spans", "latency_bins", "workers_detail"};

/* Takes one of them out of every variant of a result, which is ours alone. What is gone is not counted any more. */
static void
drop_ornament(json_t *result, const char *ornament)
{
        json_t *variant;
        size_t i;

        json_array_foreach(json_object_get(result, "variants"), i, variant)
        {
                json_int_t dropped = json_integer_value(json_object_get(variant, "spans_dropped"));

                if (strcmp(ornament, "spans") == 0)
                        dropped += (json_int_t)json_array_size(json_object_get(variant, "spans"));
                if (strcmp(ornament, "workers_detail") == 0)
                        put_integer(variant, "evidence_rounds", 0);
                put_integer(variant, "spans_dropped", (uint64_t)dropped);
                put_json(variant, ornament, json_array());
        }
}

/* A shorter text, as far as that is possible; `text` is freed. */
static char *
shorten(char *text, json_t *json)
{
        json_t *result = json_deep_copy(json_object_get(json, "result"));

        if (!json_is_array(json_object_get(result, "variants"))) {
                json_decref(result);
                return text;
        }
        put_json(json, "result", result);
        for (size_t i = 0; text && strlen(text) > ENTRY_BYTES && i < ARRAY_SIZE(ornaments); i++) {
                drop_ornament(result, ornaments[i]);
                free(text);
                text = json_dumps(json, JSON_COMPACT);
        }
        return text;
}

/* Malloc'ed; NULL when out of memory, which is logged: the job then does not survive its supervisor. */
static char *
job_text(const struct job *job)
{
        AUTO_JSON json_t *json = job_to_json(job);
        char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

        if (text && strlen(text) > ENTRY_BYTES)
                text = shorten(text, json);
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
