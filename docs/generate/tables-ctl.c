/* SPDX-License-Identifier: MIT */
/*
 * Prints the tables of concctl as JSON: commands with operands and options, and exit codes. Arguments are qualified
 * names of errors; of each the exit code is printed, too. Runs while concd is built, for its manual and completions,
 * and is not installed.
 */
#include "ctl/command.h"
#include "ctl/exit_code.h"

static json_t *
operands(const struct command *command)
{
        json_t *all = json_array();

        for (const struct operand_spec *p = command->operands; p && p->name; p++)
                json_array_append_new(all, json_pack("{s:s, s:s?, s:b, s:s}", "name", p->name, "field", p->field,
                                                     "optional", p->optional, "help", p->help));
        return all;
}

static json_t *
options(const struct command *command)
{
        json_t *all = json_array();

        for (const struct option_spec *o = command->options; o->name; o++)
                json_array_append_new(all, json_pack("{s:s, s:s?, s:s?, s:s?, s:b, s:b, s:s}", "name", o->name, "value",
                                                     o->value, "field", o->field, "excludes", o->excludes, "repeatable",
                                                     o->type == OPTION_PAIR, "advanced", o->advanced, "help", o->help));
        return all;
}

static json_t *
all_commands(void)
{
        json_t *all = json_array();

        for (size_t i = 0; commands[i]; i++)
                json_array_append_new(all,
                                      json_pack("{s:s, s:s, s:s?, s:o, s:o}", "name", commands[i]->name, "summary",
                                                commands[i]->summary, "description", commands[i]->description,
                                                "operands", operands(commands[i]), "options", options(commands[i])));
        return all;
}

static json_t *
all_codes(void)
{
        json_t *all = json_array();

        for (const struct exit_code_row *row = exit_codes; row->meaning; row++)
                json_array_append_new(all, json_pack("{s:i, s:s}", "code", row->code, "meaning", row->meaning));
        return all;
}

static json_t *
codes_of_errors(char **names)
{
        json_t *all = json_object();

        for (; *names; names++)
                json_object_set_new(all, *names, json_integer(exit_code_of_error(*names)));
        return all;
}

int
main(int argc, char **argv)
{
        AUTO_JSON json_t *tables =
                json_pack("{s:s, s:o, s:o, s:o}", "version", CONCD_VERSION, "commands", all_commands(), "exit_codes",
                          all_codes(), "errors", codes_of_errors(argc > 0 ? argv + 1 : argv));

        if (!tables || json_dumpf(tables, stdout, JSON_INDENT(1)) < 0 || fflush(stdout) != 0)
                return 1;
        return 0;
}
