/* SPDX-License-Identifier: MIT */
#include "ctl/answer.h"
#include "ctl/compare-command.h"
#include "ctl/compare-export.h"
#include "ctl/exit_code.h"
#include "ctl/field.h"
#include "ctl/follow.h"
#include "ctl/message.h"
#include "ctl/outfile.h"
#include "ctl/report.h"
#include "ctl/trace-export.h"
#include "ctl/vary.h"
#include "shared/quantity.h"

#include <string.h>

extern const struct command command_compare;

static const struct option_spec options[] = {
        {.name = "modes",
         .value = "a,b,c",
         .type = OPTION_WORD,
         .field = VARY_FIELD_MODES,
         .excludes = "mode",
         .help = "the modes to compare (default: sequential,process,thread,gil); the same as --vary mode=a,b,c"},
        {.name = "vary",
         .value = "KEY=a,b,c",
         .type = OPTION_PAIR,
         .field = VARY_FIELD,
         .help = "compare these values of an option (mode, spawn, workers, workload, chunk, libc, count, duration, "
                 "timeout, cpus) or of a parameter of the workload; may be repeated: every value with every other"},
        {.name = "rounds",
         .value = "N",
         .type = OPTION_COUNT,
         .min = 10,
         .max = 1000,
         .field = "rounds",
         .excludes = "precision",
         .help = "how often each variant is measured (default: 11)"},
        {.name = "precision",
         .value = "SHARE",
         .type = OPTION_WORD,
         .field = "precision",
         .help = "instead of rounds: until every interval is narrower than this on both sides, as 1%"},
        {.name = "warmup",
         .value = "N",
         .type = OPTION_COUNT,
         .min = 0,
         .max = COUNT_MAX,
         .field = "warmup",
         .help = "how many tasks of each variant to run first and discard (default: one whole round)"},
        {.name = "reference",
         .value = "VARIANT",
         .type = OPTION_WORD,
         .field = "reference",
         .excludes = "aa",
         .help = "what the others are compared with, as the result calls it (default: the first)"},
        {.name = "seed",
         .value = "N",
         .type = OPTION_COUNT,
         .max = UINT32_MAX,
         .field = "seed",
         .help = "of the order of the variants in each round, to have the same again"},
        {.name = "aa",
         .type = OPTION_FLAG,
         .field = "aa",
         .help = "compare one variant with itself: can this machine be trusted now?"},
        {.name = "mode",
         .value = "NAME",
         .type = OPTION_WORD,
         .field = "mode",
         .help = "what runs the tasks, where the mode is not what is compared (default: process)"},
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
        {.name = "count",
         .value = "N",
         .type = OPTION_COUNT,
         .min = 1,
         .max = COUNT_MAX,
         .field = "count",
         .excludes = "duration",
         .help = "how many tasks in each round: 1000, 1e6, 10M … up to 10^15 (default: 1000)"},
        {.name = "duration",
         .value = "TIME",
         .type = OPTION_DURATION,
         .min = DURATION_MIN_NS,
         .max = DURATION_MAX_NS,
         .field = "duration_ns",
         .excludes = "count",
         .help = "instead of a count: rounds of this time (5s, 200ms), compared by the time per task"},
        {.name = "workers",
         .value = "LIST",
         .type = OPTION_WORD,
         .field = "workers",
         .help = "how many workers (default: one per CPU); several, as 1,2,4,8, make a scaling curve"},
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
         .value = "HOW",
         .type = OPTION_WORD,
         .field = "libc",
         .help = "threaded (default): processes run the libc paths of threads, too; native: they run their own"},
        COMMAND_OPTION_CPUS("workers"),
        {.name = "timeout",
         .value = "TIME",
         .type = OPTION_DURATION,
         .min = DURATION_MIN_NS,
         .max = DURATION_MAX_NS,
         .field = "timeout_ns",
         .help = "a task that takes longer is given up, its worker killed and replaced"},
        COMMAND_OPTION_DEADLINE,
        COMMAND_OPTION_EXPLAIN,
        {.name = "report",
         .value = "FILE.html",
         .type = OPTION_WORD,
         .excludes = "detach",
         .help = "also write one page with pictures; it needs no network"},
        {.name = "trace",
         .value = "FILE.json",
         .type = OPTION_WORD,
         .excludes = "detach",
         .help = "also write what each worker did when, for ui.perfetto.dev"},
        {.name = "export-json",
         .value = "FILE",
         .type = OPTION_WORD,
         .excludes = "detach",
         .help = "also write the times in the shape of hyperfine; '-' instead of the table, for all files"},
        {.name = "export-csv",
         .value = "FILE",
         .type = OPTION_WORD,
         .excludes = "detach",
         .help = "the same as comma-separated values"},
        {.name = "export-markdown",
         .value = "FILE",
         .type = OPTION_WORD,
         .excludes = "detach",
         .help = "the same as a table in Markdown"},
        COMMAND_OPTION_DETACH(NULL),
        COMMAND_OPTION_ID(NULL),
        COMMAND_OPTION_JSON,
        COMMAND_OPTION_QUIET,
        COMMAND_OPTION_SOCKET,
        COMMAND_OPTION_END,
};

/* ── files ── */

static const struct {
        const char *option;
        bool has_timeline;
        int (*write)(FILE *f, const json_t *compare);
} kinds[] = {
        {"report", true, report_write},
        {"trace", true, trace_export_write},
        {"export-json", false, compare_export_json},
        {"export-csv", false, compare_export_csv},
        {"export-markdown", false, compare_export_markdown},
};

struct files {
        const struct args *args;
        struct outfile files[ARRAY_SIZE(kinds)];
        bool is_stdout_taken;
        int code; /* what went wrong with them, as an exit code */
};

static void
discard_files(struct files *files)
{
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                outfile_discard(&files->files[i]);
}

/* Two options that name one file would overwrite each other. */
static int
check_same_file(const struct files *files, size_t i, const char *path)
{
        for (size_t k = 0; k < i; k++) {
                if (files->files[k].file && outfile_is_same(&files->files[k], &files->files[i]))
                        return message_fail(CTL_EXIT_USAGE, "--%s and --%s name the same file, %s", kinds[k].option,
                                            kinds[i].option, path);
        }
        if (strcmp(path, "-") == 0 && args_has(files->args, "json"))
                return message_fail(CTL_EXIT_USAGE, "--json and --%s=- contradict each other: both are for stdout",
                                    kinds[i].option);
        return 0;
}

static int
open_file(struct files *files, size_t i, const char *path)
{
        int r = outfile_open(&files->files[i], path);

        if (r < 0)
                return message_fail(CTL_EXIT_USAGE, "--%s: cannot write %s: %s", kinds[i].option, path,
                                    outfile_strerror(r));
        files->is_stdout_taken = files->is_stdout_taken || strcmp(path, "-") == 0;
        if (kinds[i].has_timeline)
                json_object_set_new(files->args->fields, "timeline", json_true());
        return check_same_file(files, i, path);
}

/* That one cannot be written is found out before anything is measured. */
static int
open_files(struct files *files)
{
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                const char *path = args_text(files->args, kinds[i].option);
                int r = path ? open_file(files, i, path) : 0;

                if (r != 0)
                        return r;
        }
        return 0;
}

static void
write_file(struct files *files, size_t i, const json_t *compare)
{
        struct outfile *file = &files->files[i];
        int r;

        if (!file->file)
                return;
        r = kinds[i].write(file->file, compare);
        if (r == 0)
                r = outfile_commit(file);
        if (r < 0)
                files->code = message_fail(CTL_EXIT_INTERNAL, "--%s: cannot write %s: %s", kinds[i].option,
                                           args_text(files->args, kinds[i].option), outfile_strerror(r));
}

static bool
on_end(void *userdata, const struct varlink_reply *reply, const char *raw, size_t len)
{
        struct files *files = userdata;
        json_t *compare = json_object_get(reply->parameters, "compare");
        AUTO_FREE char *command = NULL;
        bool has_files = false;

        if (reply->error)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                has_files = has_files || files->files[i].file;
        command = compare_command(files->args, field_int(compare, "seed"));
        if (command)
                json_object_set_new(compare, "command", json_string(command));
        if (has_files && field_int(compare, "rounds") == 0) {
                message_print("no round was completed: no file is written");
                return false;
        }
        if (has_files && field_bool(compare, "partial"))
                message_print("not all rounds were measured: what is written is partial");
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                write_file(files, i, compare);
        return files->is_stdout_taken;
}

/* ── the command ── */

static int
complete(const struct args *args)
{
        AUTO_FREE char *error = NULL;
        int r = vary_complete(args, &error);

        if (r != 0)
                return message_fail(r, "%s", error ? error : "out of memory");
        return follow_complete(args->fields);
}

static int
compare_with_files(struct files *files)
{
        const struct args *args = files->args;
        AUTO_CLIENT struct client *client = NULL;
        struct follow_request request = {.args = args,
                                         .method = "org.concd.Compare",
                                         .parameters = args->fields,
                                         .is_own = true,
                                         .on_end = on_end,
                                         .userdata = files};
        int r = open_files(files);

        if (r == 0)
                r = client_open(args_text(args, "socket"), CLIENT_AUTOSTART, &client);
        if (r != 0)
                return r;
        request.id = field_text(args->fields, "id");
        request.is_detached = args_has(args, "detach");
        r = follow_job(client, &request);
        return files->code != 0 ? files->code : r;
}

static int
compare(const struct args *args)
{
        struct files files = {.args = args};
        int r = complete(args);

        if (r == 0)
                r = compare_with_files(&files);
        discard_files(&files);
        return r;
}

const struct command command_compare = {
        .name = "compare",
        .summary = "Compare modes, numbers of workers or parameters, and print why the times differ",
        .description =
                "Without options: 1000 tasks of calc in every mode, 11 rounds each. All variants take turns in one\n"
                "job, in an order that is shuffled anew in every round; times are medians with 95 % intervals.\n"
                "Ctrl-C cancels the job; what was measured until then is printed and exported, marked as partial.",
        .options = options,
        .exec = compare,
};
