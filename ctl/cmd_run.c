/* SPDX-License-Identifier: MIT */
#include "ctl/answer.h"
#include "ctl/exit_code.h"
#include "ctl/field.h"
#include "ctl/follow.h"
#include "ctl/message.h"
#include "shared/quantity.h"

#include <string.h>

extern const struct command command_run;

static const struct option_spec options[] = {
        {.name = "mode",
         .value = "NAME",
         .type = OPTION_WORD,
         .field = "mode",
         .help = "what runs the tasks; 'concctl list modes' (default: process)"},
        {.name = "count",
         .value = "N",
         .type = OPTION_COUNT,
         .min = 1,
         .max = COUNT_MAX,
         .field = "count",
         .excludes = "duration",
         .help = "how many tasks: 1000, 1e6, 10M … up to 10^15 (default: 1000)"},
        {.name = "duration",
         .value = "TIME",
         .type = OPTION_DURATION,
         .min = DURATION_MIN_NS,
         .max = DURATION_MAX_NS,
         .field = "duration_ns",
         .help = "instead of a count: as many tasks as can be done in this time (5s, 200ms)"},
        {.name = "workload",
         .value = "NAME",
         .type = OPTION_WORD,
         .field = "workload",
         .help = "what a task does; 'concctl list workloads' (default: calc)"},
        {.name = "param",
         .value = "KEY=VALUE",
         .type = OPTION_PAIR,
         .field = "params",
         .help = "a parameter of the workload; 'concctl describe NAME' tells which; may be repeated"},
        {.name = "workers",
         .value = "N",
         .type = OPTION_COUNT,
         .min = 0,
         .max = 1000000,
         .field = "workers",
         .help = "how many workers (default: one per CPU); 0 with --spawn=per-task: all tasks at once"},
        {.name = "chunk",
         .value = "N",
         .type = OPTION_COUNT,
         .min = 1,
         .max = COUNT_MAX,
         .field = "chunk",
         .help = "how many tasks a worker claims at a time (default: as fits the count)"},
        {.name = "spawn",
         .value = "HOW",
         .type = OPTION_WORD,
         .field = "spawn",
         .help = "pool, or a fresh worker per task; 'concctl list spawns' (default: pool)"},
        {.name = "libc",
         .value = "NAME",
         .type = OPTION_WORD,
         .field = "libc",
         .help = "threaded: process workers have an idle second thread, so that libc works as it does in threads; "
                 "native: they have none (default: threaded, unless the daemon's pool.parked_thread says no)"},
        {.name = "warmup",
         .value = "N",
         .type = OPTION_COUNT,
         .min = 0,
         .max = COUNT_MAX,
         .field = "warmup",
         .help = "how many tasks to run first and discard"},
        COMMAND_OPTION_CPUS("workers"),
        {.name = "timeout",
         .value = "TIME",
         .type = OPTION_DURATION,
         .min = DURATION_MIN_NS,
         .max = DURATION_MAX_NS,
         .field = "timeout_ns",
         .help = "a task that takes longer is given up, its worker killed and replaced"},
        COMMAND_OPTION_DEADLINE,
        COMMAND_OPTION_DETACH(NULL),
        COMMAND_OPTION_ID(NULL),
        COMMAND_OPTION_JSON,
        COMMAND_OPTION_QUIET,
        COMMAND_OPTION_SOCKET,
        COMMAND_OPTION_END,
};

/* No pool has 0 workers: only fresh workers per task can be "as many as there are tasks". */
static int
check_workers(const struct args *args)
{
        const char *spawn = args_text(args, "spawn");
        const json_t *workers = json_object_get(args->fields, "workers");

        if (!workers || json_integer_value(workers) != 0 || (spawn && strcmp(spawn, "pool") != 0))
                return 0;
        if (spawn)
                return message_fail(CTL_EXIT_USAGE,
                                    "--workers=0 and --spawn=%s contradict each other: all tasks at once needs "
                                    "--spawn=per-task",
                                    spawn);
        return message_fail(CTL_EXIT_USAGE,
                            "--workers: given \"0\", allowed 1 or more; 0 (all tasks at once) only with "
                            "--spawn=per-task");
}

static int
run(const struct args *args)
{
        AUTO_CLIENT struct client *client = NULL;
        struct follow_request request = {
                .args = args, .method = "org.concd.Run", .parameters = args->fields, .is_own = true};
        int r = check_workers(args);

        if (r == 0)
                r = follow_complete(args->fields);
        if (r == 0)
                r = client_open(args_text(args, "socket"), CLIENT_AUTOSTART, &client);
        if (r != 0)
                return r;
        request.id = field_text(args->fields, "id");
        request.duration_s = field_real(args->fields, "duration_ns") / (double)NS_PER_S;
        request.is_detached = args_has(args, "detach");
        return follow_job(client, &request);
}

const struct command command_run = {
        .name = "run",
        .summary = "Run one workload in one mode, and print how long it took",
        .description =
                "Without options: 1000 tasks of calc in the process pool. Counts may be written as 1000, 1e6 or\n"
                "10M (k M G T, decimal), times need a unit: ns us ms s min h. Ctrl-C cancels the job and prints\n"
                "what was done until then; a second one leaves at once.",
        .options = options,
        .exec = run,
};
