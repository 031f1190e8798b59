/* SPDX-License-Identifier: MIT */
#include "ctl/answer.h"
#include "ctl/exit_code.h"
#include "ctl/field.h"
#include "ctl/follow.h"
#include "ctl/message.h"
#include "ctl/race-matrix.h"
#include "ctl/timeline.h"
#include "shared/quantity.h"

#include <errno.h>
#include <string.h>

extern const struct command command_race;

static const struct operand_spec operands[] = {
        {.name = "SCENARIO",
         .field = "scenario",
         .optional = true,
         .help = "what is raced; 'concctl list scenarios' (default: counter)"},
        {.name = NULL},
};

/* What a number may be is the daemon's business: it depends on the scenario and the guard. */
static const struct option_spec options[] = {
        {.name = "scenario",
         .value = "NAME",
         .type = OPTION_WORD,
         .field = "scenario",
         .help = "the same as the argument SCENARIO"},
        {.name = "mode",
         .value = "NAME",
         .type = OPTION_WORD,
         .field = "mode",
         .excludes = "matrix",
         .help = "what the actors are: process or thread (default: process)"},
        {.name = "guard",
         .value = "NAME",
         .type = OPTION_WORD,
         .field = "guard",
         .excludes = "matrix",
         .help = "what protects the shared state; 'concctl list guards' (default: as the scenario has it)"},
        {.name = "permits",
         .value = "N",
         .type = OPTION_COUNT,
         .max = 1000000,
         .field = "permits",
         .excludes = "matrix",
         .help = "how many actors the guard lets in at once; alone it means --guard=semaphore"},
        {.name = "actors",
         .value = "N",
         .type = OPTION_COUNT,
         .max = 1000000,
         .field = "actors",
         .help = "how many take part (default: as the scenario has it)"},
        {.name = "trials",
         .value = "N",
         .type = OPTION_COUNT,
         .max = COUNT_MAX,
         .field = "trials",
         .excludes = "duration",
         .help = "how often it is raced: 1000, 1e6, 10M … (default: 1000; of a matrix 200 each)"},
        {.name = "duration",
         .value = "TIME",
         .type = OPTION_DURATION,
         .min = DURATION_MIN_NS,
         .max = DURATION_MAX_NS,
         .field = "duration_ns",
         .help = "instead of trials: as many as can be raced in this time (5s, 200ms)"},
        {.name = "param",
         .value = "KEY=VALUE",
         .type = OPTION_PAIR,
         .field = "params",
         .help = "a parameter of the scenario; 'concctl describe NAME' tells which; may be repeated"},
        {.name = "hold",
         .value = "HOW",
         .type = OPTION_WORD,
         .field = "hold",
         .help = "loop: the guard is held over all steps; step: for each of them (default: loop)"},
        {.name = "barrier",
         .value = "NAME",
         .type = OPTION_WORD,
         .field = "barrier",
         .help = "how trials are started; 'concctl list barriers' (default: as fits the scenario)"},
        {.name = "pin",
         .type = OPTION_FLAG,
         .field = "pin",
         .excludes = "no-pin",
         .help = "each actor on a CPU of its own (the default)"},
        {.name = "no-pin",
         .type = OPTION_FLAG,
         .is_negative = true,
         .field = "pin",
         .help = "the kernel chooses where the actors run"},
        {.name = "widen",
         .value = "TIME",
         .type = OPTION_DURATION,
         .max = DURATION_MAX_NS,
         .field = "widen_ns",
         .help = "how long the window between a load and its store is made; 0: as it is"},
        {.name = "trial-timeout",
         .value = "TIME",
         .type = OPTION_DURATION,
         .min = DURATION_MIN_NS,
         .max = DURATION_MAX_NS,
         .field = "trial_timeout_ns",
         .help = "when a trial that does not end is given up (default: 100ms; of a matrix 20ms)"},
        {.name = "no-measure",
         .type = OPTION_FLAG,
         .is_negative = true,
         .field = "measure",
         .help = "leave out waits, holders and hand-offs, which cost time"},
        {.name = "timeline",
         .value = "FILE.svg",
         .type = OPTION_WORD,
         .excludes = "detach",
         .help = "also draw who held and who waited in the first trials"},
        {.name = "matrix",
         .type = OPTION_FLAG,
         .excludes = "timeline",
         .help = "the scenario under every guard, in processes and in threads, as one table"},
        COMMAND_OPTION_CPUS("actors"),
        COMMAND_OPTION_DEADLINE,
        COMMAND_OPTION_DETACH("matrix"),
        COMMAND_OPTION_ID("matrix"),
        COMMAND_OPTION_JSON,
        COMMAND_OPTION_QUIET,
        COMMAND_OPTION_SOCKET,
        COMMAND_OPTION_END,
};

/* ── the picture ── */

struct picture {
        const char *path;
        FILE *file; /* open before the race starts: that it cannot be written is found out first */
        int error;  /* -errno */
};

static bool
draw(void *userdata, const struct varlink_reply *reply, const char *raw, size_t len)
{
        struct picture *picture = userdata;
        const json_t *race = json_object_get(reply->parameters, "race");
        FILE *file = TAKE(picture->file);

        if (!json_is_object(race)) {
                fclose(file);
                return false;
        }
        timeline_write(file, race);
        errno = 0;
        if (ferror(file) | (fclose(file) != 0))
                picture->error = errno ? -errno : -EIO;
        return false;
}

static int
race_with_picture(struct client *client, struct follow_request *request, const char *path)
{
        struct picture picture = {.path = path, .file = fopen(path, "we")};
        int r;

        if (!picture.file)
                return message_fail(CTL_EXIT_USAGE, "--timeline: cannot write %s: %s", path, strerror(errno));
        json_object_set_new(request->parameters, "timeline", json_true());
        request->on_end = draw;
        request->userdata = &picture;
        r = follow_job(client, request);
        if (picture.file)
                fclose(picture.file);
        if (picture.error < 0)
                return message_fail(CTL_EXIT_INTERNAL, "cannot write %s: %s", path, strerror(-picture.error));
        return r;
}

/* ── the command ── */

static int
check(const struct args *args)
{
        if (args_has(args, "scenario") && args->n_operands > 0)
                return message_fail(CTL_EXIT_USAGE, "the scenario is given twice, as \"%s\" and as \"%s\"",
                                    args->operands[0], args_text(args, "scenario"));
        return 0;
}

static int
race(const struct args *args)
{
        AUTO_CLIENT struct client *client = NULL;
        struct follow_request request = {
                .args = args, .method = "org.concd.Race", .parameters = args->fields, .is_own = true};
        int r = check(args);

        if (r == 0)
                r = client_open(args_text(args, "socket"), CLIENT_AUTOSTART, &client);
        if (r != 0)
                return r;
        if (args_has(args, "matrix"))
                return race_matrix(client, args);
        r = follow_complete(args->fields);
        if (r != 0)
                return r;
        request.id = field_text(args->fields, "id");
        request.duration_s = field_real(args->fields, "duration_ns") / (double)NS_PER_S;
        request.is_detached = args_has(args, "detach");
        return args_has(args, "timeline") ? race_with_picture(client, &request, args_text(args, "timeline"))
                                          : follow_job(client, &request);
}

const struct command command_race = {
        .name = "race",
        .summary = "Race for shared state under a guard, and print what came of it",
        .description = "Without options: 1000 trials of counter, two processes. Under a semaphore with one permit\n"
                       "(--permits 1) one actor is at work at a time; with two (--permits 2) both are, and undo\n"
                       "each other's steps. Ctrl-C cancels the race and prints what was seen until then.",
        .operands = operands,
        .options = options,
        .exec = race,
};
