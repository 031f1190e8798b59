/* SPDX-License-Identifier: MIT */
/*
 * machine adds           nanoseconds of CPU time for one addition in a chain of them: one cycle of the clock as it is now
 * machine calc N COUNT   seconds that N bare processes take for COUNT tasks of calc together, without concd
 *
 * What the machine gives at this moment, to hold figures against: the clock of a shared machine moves, and two of its
 * CPUs may be one core.
 */
#include "shared/base.h"
#include "shared/clock.h"
#include "shared/quantity.h"
#include "workloads/workloads.h"

#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>

#define ADDS          UINT64_C(40000000)
#define PROCESSES_MAX 1024

static int
measure_adds(void)
{
        struct timespec begin, end;
        uint64_t x = 0;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
        for (uint64_t i = 0; i < ADDS; i++) {
                x++;
                __asm__ volatile("" : "+r"(x)); /* keeps the chain */
        }
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
        printf("%.4f\n",
               ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) / (double)ADDS);
        return x == ADDS ? EXIT_SUCCESS : EXIT_FAILURE;
}

static _Noreturn void
calculate(uint64_t count, int start)
{
        const struct concd_workload *calc = workload_by_name("calc");
        uint32_t attention = 0;
        struct concd_ctx ctx = {.struct_size = sizeof(ctx), .attention = &attention};
        uint64_t result;
        char byte;

        if (calc->prepare(&ctx) < 0 || read(start, &byte, 1) != 0)
                _exit(EXIT_FAILURE);
        for (uint64_t i = 0; i < count; i++) {
                if (calc->run(&ctx, i, &result) != 0 || calc->verify(&ctx, i, result) != 0)
                        _exit(EXIT_FAILURE);
        }
        calc->cleanup(&ctx);
        _exit(EXIT_SUCCESS);
}

static int
measure_calc(uint64_t processes, uint64_t count)
{
        uint64_t begin;
        int start[2], status;
        bool well = true;

        if (pipe(start) < 0)
                return EXIT_FAILURE;
        for (uint64_t i = 0; i < processes; i++) {
                if (fork() == 0) {
                        close(start[1]);
                        calculate(count * (i + 1) / processes - count * i / processes, start[0]);
                }
        }
        usleep(20000); /* so that all of them wait */
        begin = clock_now_ns();
        close(start[1]);
        while (wait(&status) > 0)
                well = well && status == 0;
        printf("%.6f\n", (double)(clock_now_ns() - begin) / (double)NS_PER_S);
        return well ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
        uint64_t processes, count;

        if (argc == 2 && strcmp(argv[1], "adds") == 0)
                return measure_adds();
        if (argc == 4 && strcmp(argv[1], "calc") == 0 &&
            quantity_parse_count(argv[2], 1, PROCESSES_MAX, &processes) == QUANTITY_OK &&
            quantity_parse_count(argv[3], 1, COUNT_MAX, &count) == QUANTITY_OK)
                return measure_calc(processes, count);
        fprintf(stderr, "usage: machine adds | machine calc PROCESSES COUNT\n");
        return EXIT_FAILURE;
}
