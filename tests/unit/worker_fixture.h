/* SPDX-License-Identifier: MIT */
/*
 * A segment and a worker without a daemon: the segment is a real one whose name is taken away at once, so that nothing
 * is left behind however the test ends; forked children share it. The worker is what begin_run() would have made.
 */
#ifndef CONCD_TEST_WORKER_FIXTURE_H
#define CONCD_TEST_WORKER_FIXTURE_H

#include "segment/ledger.h"
#include "shared/clock.h"
#include "worker/worker.h"

#include "run_suite.h"

#include <check.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#define FIXTURE_WORKERS 4
#define FIXTURE_CHUNKS  1024

static inline void
fixture_segment_of(struct segment *s, uint32_t chunks)
{
        char instance[32];

        snprintf(instance, sizeof(instance), "unit-%d", getpid());
        ck_assert_int_eq(segment_create(s, geteuid(), instance, FIXTURE_WORKERS, chunks), 0);
        segment_unlink(s);
}

static inline void
fixture_segment(struct segment *s)
{
        fixture_segment_of(s, FIXTURE_CHUNKS);
}

static inline void
fixture_run(struct segment *s, uint64_t count, uint64_t chunk, uint32_t seats)
{
        s->run->spec.seats = seats;
        s->run->spec.clock_overhead_ns = 40;
        ck_assert_int_eq(ledger_geometry_init(&s->run->spec.geometry, count, chunk, s->header->ledger_chunks, NULL), 0);
        ledger_reset(s->ledger, &s->run->spec.geometry);
}

/* Process slot `i` at seat `i`. */
static inline void
fixture_worker(struct worker *w, const struct worker_setup *setup, const struct concd_workload *workload, uint32_t i)
{
        const struct segment *s = &setup->segment;
        uint32_t slot = segment_process_slot(s, i);

        *w = (struct worker){
                .setup = setup,
                .slot_index = slot,
                .slot = &s->slots[slot],
                .kind = WORKER_PROCESS,
                .schedstat = -1,
                .seat_index = i,
                .seat = &s->seats[i],
                .spec = &s->run->spec,
                .workload = workload,
                .execute = workload->run,
                .ctx = {.struct_size = sizeof(w->ctx),
                        .worker = i,
                        .params = s->run->spec.params,
                        .attention = &s->run->attention},
        };
}

/* A number that depends on all bits of the index. */
static inline uint64_t
fixture_result(uint64_t index)
{
        return (index + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ index >> 7;
}

static inline uint64_t
fixture_sum(uint64_t count)
{
        uint64_t sum = 0;

        for (uint64_t i = 0; i < count; i++)
                sum += fixture_result(i);
        return sum;
}

static inline uint64_t
fixture_random(uint64_t *state)
{
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return *state >> 33;
}

#endif
