/* SPDX-License-Identifier: MIT */
/* Help, made from the tables of the commands. */
#ifndef CONCCTL_HELP_H
#define CONCCTL_HELP_H

#include "ctl/command.h"

/* The overview of all commands, or everything about one, in UTF-8. */
void help_print_overview(FILE *f);
void help_print_command(FILE *f, const struct command *command);

/* "concctl describe [OPTION]… NAME". Malloc'ed; NULL without memory. Pure. */
char *help_usage(const struct command *command);

#endif
