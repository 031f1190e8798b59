/* SPDX-License-Identifier: MIT */
#include "ctl/command.h"

#include "ctl/exit_code.h"
#include "ctl/message.h"
#include "ctl/suggest.h"

#include <string.h>

extern const struct command command_run, command_compare, command_race, command_list, command_describe, command_status,
        command_jobs, command_wait, command_cancel, command_stop, command_help, command_version;

const struct command *const commands[] = {
        &command_run,    &command_compare, &command_race, &command_list,   &command_describe,
        &command_status, &command_jobs,    &command_wait, &command_cancel, &command_stop,
        &command_help,   &command_version, NULL,
};

const struct operand_spec command_operand_job[] = {
        {.name = "ID", .help = "the job's id, or so many of its first digits that no other job has them"},
        {.name = NULL},
};

const struct option_spec command_options_of_question[] = {
        COMMAND_OPTION_JSON,
        COMMAND_OPTION_SOCKET,
        COMMAND_OPTION_END,
};

const struct command *
command_find(const char *name)
{
        for (size_t i = 0; commands[i]; i++)
                if (strcmp(commands[i]->name, name) == 0)
                        return commands[i];
        return NULL;
}

int
command_report_unknown(const char *name)
{
        struct suggestion s;

        suggestion_init(&s, name);
        for (size_t i = 0; commands[i]; i++)
                suggestion_offer(&s, commands[i]->name, strlen(commands[i]->name));
        if (suggestion_get(&s))
                return message_fail(CTL_EXIT_USAGE, "no command \"%s\"; did you mean \"%s\"?", name,
                                    suggestion_get(&s));
        return message_fail(CTL_EXIT_USAGE, "no command \"%s\"; 'concctl help' lists them", name);
}
