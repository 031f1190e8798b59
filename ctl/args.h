/* SPDX-License-Identifier: MIT */
/* Command-line arguments, read by the tables of a command. Pure. */
#ifndef CONCCTL_ARGS_H
#define CONCCTL_ARGS_H

#include "ctl/command.h"

/* What was given to a command. The texts point into argv. */
struct args {
        const struct command *command;
        int argc; /* as it was typed, behind the subcommand */
        const char *const *argv;
        const char **texts;    /* one for each row of the option table; NULL: not given; "" for a flag */
        const char **operands; /* ended by NULL */
        size_t n_operands;
        bool help;      /* --help: nothing else was checked */
        json_t *fields; /* the parameters of the call, from every option and operand that has a field */
};

/* Reads the arguments behind the subcommand. 0, or the exit code with *ret_error a malloc'ed line that names the
 * option, what was given and what is allowed. On success the caller calls args_deinit(). */
int args_parse(const struct command *command, int argc, const char *const *argv, struct args *ret, char **ret_error);
void args_deinit(struct args *args);

/* The text of an option, or NULL when it was not given. The option must be in the table. */
const char *args_text(const struct args *args, const char *option);
static inline bool
args_has(const struct args *args, const char *option)
{
        return args_text(args, option) != NULL;
}

/* What the person typed for a field of the call; NULL when they gave nothing for it, or only a flag, or when it is one
 * of several KEY=VALUE. */
const char *args_text_of_field(const struct args *args, const char *field);

/* How the person calls a field of the call: "--mode", "NAME", "--param ns" for "params.ns"; for a field that has no
 * option, the field itself. Malloc'ed; NULL without memory. */
char *args_name_of_field(const struct command *command, const char *field);

#endif
