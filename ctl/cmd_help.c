/* SPDX-License-Identifier: MIT */
#include "ctl/args.h"
#include "ctl/exit_code.h"
#include "ctl/help.h"
#include "ctl/message.h"

extern const struct command command_help;

static const struct operand_spec operands[] = {
        {.name = "COMMAND", .optional = true, .help = "the command to tell about (default: an overview of all)"},
        {.name = NULL},
};

static const struct option_spec options[] = {COMMAND_OPTION_END};

static int
help(const struct args *args)
{
        const struct command *command;

        if (args->n_operands == 0) {
                help_print_overview(stdout);
                return 0;
        }
        command = command_find(args->operands[0]);
        if (!command)
                return command_report_unknown(args->operands[0]);
        help_print_command(stdout, command);
        return 0;
}

const struct command command_help = {
        .name = "help",
        .summary = "Tell about the commands and their options",
        .operands = operands,
        .options = options,
        .exec = help,
};
