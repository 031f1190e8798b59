/* SPDX-License-Identifier: MIT */
/*
 * task_loop COUNT: one worker's task loop over COUNT tasks of nop at the default chunk, without a daemon, for a counter
 * of instructions around it. The difference between two counts is what the tasks took, without all that is done once.
 */
#include "worker/task_loop.h"

#include "shared/quantity.h"
#include "workloads/workloads.h"

#include <string.h>

#define LEDGER_CHUNKS 16384

/* A segment whose name is taken away at once. */
static int
make_segment(struct segment *s, uint64_t count)
{
        char instance[32];
        int r;

        snprintf(instance, sizeof(instance), "bench-%d", (int)getpid());
        r = segment_create(s, geteuid(), instance, 1, LEDGER_CHUNKS);
        if (r < 0)
                return r;
        segment_unlink(s);
        s->run->spec.seats = 1;
        /* As if the clock were so slow that tasks are timed as rarely as can be: else the figure depends on how fast the
         * machine, or what simulates it, is. */
        s->run->spec.clock_overhead_ns = NS_PER_S;
        return ledger_geometry_init(&s->run->spec.geometry, count, 0, LEDGER_CHUNKS, NULL);
}

int
main(int argc, char **argv)
{
        struct worker_setup setup = {.doorbell = -1, .herd_lock = -1, .host_control = -1};
        const struct concd_workload *nop = workload_by_name("nop");
        struct segment *s = &setup.segment;
        struct ledger_sum sum;
        struct worker w;
        uint64_t count;

        if (argc != 2 || quantity_parse_count(argv[1], 1, COUNT_MAX, &count) != QUANTITY_OK ||
            make_segment(s, count) != 0)
                return EXIT_FAILURE;
        w = (struct worker){
                .setup = &setup,
                .slot_index = segment_process_slot(s, 0),
                .slot = &s->slots[segment_process_slot(s, 0)],
                .kind = WORKER_PROCESS,
                .seat = &s->seats[0],
                .spec = &s->run->spec,
                .workload = nop,
                .execute = nop->run,
                .ctx = {.struct_size = sizeof(w.ctx), .params = s->run->spec.params, .attention = &s->run->attention},
        };
        task_loop_run(&w);
        ledger_sum(s->ledger, &s->run->spec.geometry, &sum);
        segment_unmap(s);
        return sum.done == count && sum.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
