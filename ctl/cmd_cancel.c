/* SPDX-License-Identifier: MIT */
#include "ctl/answer.h"
#include "ctl/exit_code.h"
#include "ctl/field.h"
#include "ctl/job_id.h"
#include "ctl/message.h"
#include "ctl/text.h"

extern const struct command command_cancel;

static int
print_answer(const struct args *args, const struct varlink_reply *reply, const char *raw, size_t len)
{
        if (reply->error)
                return answer_report_error(args, reply);
        if (args_has(args, "json"))
                answer_put_json(reply, raw, len, NULL);
        else
                text_printf(stdout, "job %.*s: %s\n", JOB_ID_SHORT, field_text(reply->parameters, "id"),
                            field_text(reply->parameters, "state"));
        return 0;
}

static int
cancel(const struct args *args)
{
        AUTO_CLIENT struct client *client = NULL;
        AUTO_JSON json_t *parameters = NULL;
        struct varlink_reply reply;
        const char *raw;
        size_t len;
        char id[JOB_ID_DIGITS + 1];
        int r = job_id_open(args, &client, id);

        if (r != 0)
                return r;
        parameters = json_pack("{s:s}", "id", id);
        r = client_call(client, "org.concd.Cancel", parameters, -1, &reply, &raw, &len);
        if (r != 0)
                return message_fail(CTL_EXIT_NO_DAEMON, "%s: %s", client->socket, stream_error_text(r));
        r = print_answer(args, &reply, raw, len);
        varlink_reply_deinit(&reply);
        return r;
}

const struct command command_cancel = {
        .name = "cancel",
        .summary = "Cancel a job, and wait until it has ended",
        .operands = command_operand_job,
        .options = command_options_of_question,
        .exec = cancel,
};
