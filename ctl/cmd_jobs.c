/* SPDX-License-Identifier: MIT */
#include "ctl/answer.h"
#include "ctl/exit_code.h"
#include "ctl/job_table.h"
#include "ctl/message.h"
#include "ctl/text.h"

#include <time.h>

extern const struct command command_jobs;

static int
show_jobs(const struct args *args)
{
        struct answer a;
        const json_t *jobs;
        int r = answer_get(args, CLIENT_ONLY_RUNNING, "org.concd.Jobs", NULL, &a);

        if (r != 0)
                return r;
        jobs = json_object_get(a.reply.parameters, "jobs");
        if (args_has(args, "json"))
                answer_put_json(&a.reply, a.raw, a.raw_len, NULL);
        else if (json_array_size(jobs) == 0)
                text_printf(stdout, "no jobs\n");
        else if (job_table_print(jobs, (double)time(NULL), "", stdout) < 0)
                r = message_fail(CTL_EXIT_INTERNAL, "out of memory");
        answer_deinit(&a);
        return r;
}

const struct command command_jobs = {
        .name = "jobs",
        .summary = "List the jobs that run or wait, and those whose result is still kept",
        .options = command_options_of_question,
        .exec = show_jobs,
};
