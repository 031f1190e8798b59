/* SPDX-License-Identifier: MIT */
#include "ctl/follow.h"
#include "ctl/job_id.h"

extern const struct command command_wait;

static const struct option_spec options[] = {
        COMMAND_OPTION_EXPLAIN, COMMAND_OPTION_JSON, COMMAND_OPTION_QUIET, COMMAND_OPTION_SOCKET, COMMAND_OPTION_END,
};

static int
wait_for_job(const struct args *args)
{
        AUTO_CLIENT struct client *client = NULL;
        AUTO_JSON json_t *parameters = NULL;
        struct follow_request request = {.args = args, .method = "org.concd.Wait"};
        char id[JOB_ID_DIGITS + 1];
        int r = job_id_open(args, &client, id);

        if (r != 0)
                return r;
        parameters = json_pack("{s:s}", "id", id);
        request.parameters = parameters;
        request.id = id;
        return follow_job(client, &request);
}

const struct command command_wait = {
        .name = "wait",
        .summary = "Wait for a job, and print its result",
        .description = "Ctrl-C leaves; it does not cancel the job.",
        .operands = command_operand_job,
        .options = options,
        .exec = wait_for_job,
};
