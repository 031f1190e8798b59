/* SPDX-License-Identifier: MIT */
#include "ctl/answer.h"
#include "ctl/exit_code.h"
#include "ctl/field.h"
#include "ctl/message.h"
#include "ctl/text.h"
#include "ctl/upgrade.h"

#define LEAVE_MS 10000

extern const struct command command_stop;

static int
stop(const struct args *args)
{
        struct answer a;
        int64_t pid;
        int r = answer_get(args, CLIENT_ONLY_RUNNING, "org.concd.Stop", NULL, &a);

        if (r != 0)
                return r;
        pid = field_int(a.reply.parameters, "pid");
        if (args_has(args, "json"))
                answer_put_json(&a.reply, a.raw, a.raw_len, NULL);
        /* The daemon may wait for this connection to end. */
        answer_deinit(&a);
        if (upgrade_wait_gone(pid, LEAVE_MS) != 0)
                return message_fail(CTL_EXIT_INTERNAL,
                                    "the daemon, pid %lld, still runs 10 s after it was told to stop", (long long)pid);
        if (!args_has(args, "json"))
                text_printf(stdout, "concd, pid %lld, has stopped\n", (long long)pid);
        return 0;
}

const struct command command_stop = {
        .name = "stop",
        .summary = "End the daemon; its running job ends cancelled",
        .options = command_options_of_question,
        .exec = stop,
};
