/* SPDX-License-Identifier: MIT */
/*
 * What a killed daemon left, damaged: whatever of it the next one believes, it must be safe to go on with. The input's
 * first byte chooses: the header is overwritten by the rest; any bytes behind the header are (patches of a 24-bit place
 * and a byte); the running job's text is the rest, with a right sum; or the rest is an entry of the journal.
 */
#include "fuzz.h"
#include "protocol/json-memory.h"
#include "segment/seat.h"
#include "shared/log.h"
#include "supervisor/figures.h"
#include "supervisor/record.h"
#include "supervisor/resume.h"
#include "supervisor/supervisor.h"
#include "workloads/workloads.h"

#include <string.h>
#include <sys/mman.h>

#define WORKERS 3
#define CHUNKS  64
#define RUN     5
#define COUNT   1000

/* Of the record's long texts only the beginning is ever in use here. */
#define RECORD_USED 8192

static struct supervisor s;
static struct segment *const segment = &s.setup.segment;
static char *image;
static uint64_t journal_at;

/* A run of which some is done and two workers died in the middle. */
static void
leave_a_run(void)
{
        AUTO_JSON json_t *request = json_pack("{s:s, s:i, s:i}", "workload", "nop", "count", COUNT, "workers", 2);
        AUTO_JSON json_t *full = NULL;
        struct run_spec *spec = &segment->run->spec;
        struct bad_value bad = {0};
        struct plan plan;
        struct variant v;
        struct job *job;

        MUST(supervisor_make_plan(&s, "Run", request, NULL, &plan, &bad) == 0);
        v = plan.variants[0];
        full = request_of_variant(request, &v, 0);
        job = job_new("0123456789abcdef0123456789abcdef", 0, "Run", full, &plan);
        record_journal(segment->record, job);
        job->state = JOB_RUNNING;
        job->started_ns = 1;
        record_start(segment->record, job);
        record_step(segment->record, 0, RUN);
        job_free(job);
        *spec = (struct run_spec){.workload = v.workload, .mode = v.mode, .seats = v.workers, .cpus = v.cpus};
        memcpy(spec->params, v.params, sizeof(spec->params));
        MUST(variant_geometry(&v, false, CHUNKS, &spec->geometry, NULL) == 0);
        for (uint32_t i = 0; i < 2; i++) {
                struct seat *seat = &segment->seats[i];

                atomic_store(&segment->ledger[i].word, ledger_pack(2 + i, i, 3));
                atomic_store(&seat->word, seat_pack(RUN, SEAT_READY, 2 + i));
                atomic_store(&seat->claim, i + 1);
                atomic_store(&segment->slots[1 + i].state, SLOT_RUNNING);
        }
        atomic_store(&segment->run->current, current_pack(RUN, WORKER_PROCESS, true));
}

static void
restore(void)
{
        const struct segment_header *h = (const void *)image;
        uint64_t slots = h->off_slots;

        memcpy(segment->header, image, h->off_record + RECORD_USED);
        memcpy((char *)segment->header + journal_at, image + journal_at, RECORD_USED);
        memcpy((char *)segment->header + slots, image + slots, h->size - slots);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
        char instance[32];

        snprintf(instance, sizeof(instance), "fuzz-%d", getpid());
        log_set_level(LOG_LEVEL_ALERT);
        MUST(json_memory_watch() == 0);
        workloads_init();
        CPU_SET(0, &s.cpus);
        CPU_SET(1, &s.cpus);
        s.config.keep_results = 5;
        s.config.max_at_once = 100;
        MUST(segment_create(segment, geteuid(), instance, WORKERS, CHUNKS) == 0);
        segment_unlink(segment);
        leave_a_run();
        journal_at = (uint64_t)((char *)&segment->record->journal - (char *)segment->header);
        image = malloc(segment->header->size);
        memcpy(image, segment->header, segment->header->size);
        return 0;
}

/* What is done with a run that was taken over. */
static void
use_the_run(void)
{
        const struct job *job = s.queue.running;
        struct result_context context = {.id = job->id, .state = "done"};
        struct figures *figures = NULL;
        json_t *result;

        MUST(!record_run_is_open(segment) || segment->run->spec.seats <= WORKERS);
        if (!record_run_is_open(segment))
                return;
        for (uint32_t i = 0; i < segment->run->spec.geometry.n_lines; i++)
                MUST(ledger_owner(atomic_load(&segment->ledger[i].word)) == 0);
        for (uint32_t i = 0; i < segment->run->spec.seats; i++)
                MUST(seat_state(atomic_load(&segment->seats[i].word)) == SEAT_EMPTY);
        MUST(figures_collect(segment, &figures) == 0);
        MUST(figures->sum.done <= COUNT || segment->run->spec.geometry.count != COUNT);
        result = figures_to_result(figures, &job->plan.variants[0], &context);
        MUST(result);
        json_decref(result);
        figures_free(figures);
}

static void
resume(void)
{
        queue_init(&s.queue);
        MUST(resume_jobs(&s) == 0);
        if (s.queue.running)
                use_the_run();
        else
                MUST(!atomic_load(&segment->record->running.present));
        queue_deinit(&s.queue);
}

static void
patch_header(const uint8_t *data, size_t size)
{
        struct segment_header h;
        char reason[SEGMENT_REASON_MAX] = "";

        memcpy(&h, image, sizeof(h));
        memcpy(&h, data, size < sizeof(h) ? size : sizeof(h));
        if (segment_check(&h, segment->header->size, geteuid(), segment->header->instance, reason))
                MUST(memcmp(&h, image, offsetof(struct segment_header, checksum)) == 0);
        else
                MUST(*reason);
}

static void
patch_rest(const uint8_t *data, size_t size)
{
        const struct segment_header *h = (const void *)image;

        restore();
        for (; size >= 4; data += 4, size -= 4) {
                uint64_t at = sizeof(*h) + (data[0] | data[1] << 8 | data[2] << 16) % (h->size - sizeof(*h));
                bool kept = at < h->off_record + RECORD_USED || at >= h->off_slots ||
                            (at >= journal_at && at < journal_at + RECORD_USED);

                if (kept)
                        ((uint8_t *)segment->header)[at] = data[3];
        }
        resume();
}

static void
running_text(const uint8_t *data, size_t size)
{
        struct record_running *r = &segment->record->running;

        restore();
        r->length = size < RECORD_USED / 2 ? size : RECORD_USED / 2;
        memcpy(r->text, data, r->length);
        r->checksum = checksum_add(CHECKSUM_INIT, r->text, r->length);
        resume();
}

static void
journal_text(const uint8_t *data, size_t size)
{
        restore();
        journal_append(&segment->record->journal, (const char *)data, size < RECORD_USED / 4 ? size : RECORD_USED / 4);
        resume();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static void (*const ways[])(const uint8_t *data, size_t size) = {patch_header, patch_rest, running_text,
                                                                         journal_text};

        if (size > 0)
                ways[data[0] % 4](data + 1, size - 1);
        return 0;
}
