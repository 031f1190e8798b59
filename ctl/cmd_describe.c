/* SPDX-License-Identifier: MIT */
#include "ctl/answer.h"
#include "ctl/exit_code.h"
#include "ctl/field.h"
#include "ctl/message.h"
#include "ctl/table.h"
#include "ctl/text.h"

#include <errno.h>
#include <string.h>

extern const struct command command_describe;

static const struct operand_spec operands[] = {
        {.name = "NAME", .field = "name", .help = "one of the names that 'concctl list' shows"},
        {.name = NULL},
};

static const struct table_column columns[] = {
        {"PARAMETER"}, {"TYPE"}, {"RANGE"}, {"DEFAULT"}, {"SUMMARY", .is_wrapped = true}, {NULL},
};

static const struct table_column outcome_columns[] = {
        {"OUTCOME"}, {"EXPECTED"}, {"WITNESS"}, {"MEANING", .is_wrapped = true}, {NULL},
};

/* "1 to 1000 ns" or "error, exit, hang". Malloc'ed; NULL without memory. */
static char *
format_range(const json_t *param)
{
        const char *unit = field_text(param, "unit");
        char *text = NULL;
        size_t size, i;
        json_t *choice;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        json_array_foreach(json_object_get(param, "choices"), i, choice)
                fprintf(f, "%s%s", i > 0 ? ", " : "", json_string_value(choice) ? json_string_value(choice) : "?");
        if (field_is_set(param, "min") && field_is_set(param, "max"))
                fprintf(f, "%lld to %lld%s%s", (long long)field_int(param, "min"), (long long)field_int(param, "max"),
                        *unit ? " " : "", unit);
        if (fclose(f) != 0) {
                free(text);
                return NULL;
        }
        return text;
}

static int
print_params(const json_t *params)
{
        AUTO_TABLE struct table *table = table_new(columns);
        size_t i;
        json_t *param;
        int r;

        if (!table)
                return -ENOMEM;
        json_array_foreach(params, i, param)
        {
                AUTO_FREE char *range = format_range(param);

                if (!range)
                        return -ENOMEM;
                r = table_add(table, (const char *const[]){field_text(param, "name"), field_text(param, "type"), range,
                                                           field_text(param, "default"), field_text(param, "summary")});
                if (r < 0)
                        return r;
        }
        text_printf(stdout, "\n");
        return table_print(table, "  ", stdout);
}

/* "mutex, semaphore". Malloc'ed; NULL without memory. */
static char *
format_names(const json_t *names)
{
        char *text = NULL;
        size_t size, i;
        json_t *name;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        json_array_foreach(names, i, name)
                fprintf(f, "%s%s", i > 0 ? ", " : "", json_string_value(name) ? json_string_value(name) : "?");
        if (fclose(f) != 0) {
                free(text);
                return NULL;
        }
        return text;
}

/* Which guards (with 1 permit) rule an outcome out that can be seen without them. */
static int
print_forbidden(const json_t *outcome)
{
        const json_t *guards = json_object_get(outcome, "forbidden_by");
        AUTO_FREE char *names = NULL;

        if (json_array_size(guards) == 0 || strcmp(field_text(outcome, "expected"), "forbidden") == 0)
                return 0;
        names = format_names(guards);
        if (!names)
                return -ENOMEM;
        text_printf(stdout, "\n  \"%s\" is forbidden under %s.\n", field_text(outcome, "name"), names);
        return 0;
}

static int
print_outcomes(const json_t *outcomes)
{
        AUTO_TABLE struct table *table = table_new(outcome_columns);
        size_t i;
        json_t *outcome;
        int r;

        if (!table)
                return -ENOMEM;
        json_array_foreach(outcomes, i, outcome)
        {
                r = table_add(table, (const char *const[]){field_text(outcome, "name"), field_text(outcome, "expected"),
                                                           field_bool(outcome, "witness") ? "yes" : "",
                                                           field_text(outcome, "meaning")});
                if (r < 0)
                        return r;
        }
        text_printf(stdout, "\n");
        r = table_print(table, "  ", stdout);
        json_array_foreach(outcomes, i, outcome)
        {
                if (r == 0)
                        r = print_forbidden(outcome);
        }
        return r;
}

static int
print_guards(const json_t *guards)
{
        AUTO_FREE char *names = format_names(guards);

        if (!names)
                return -ENOMEM;
        text_printf(stdout, "\n  It can be raced under %s.\n", names);
        return 0;
}

static int
print_entry(const json_t *entry)
{
        const json_t *outcomes = json_object_get(entry, "outcomes"), *guards = json_object_get(entry, "guards");
        const json_t *params = json_object_get(entry, "params");
        int r;

        text_printf(stdout, "%s (%s%s)\n  %s\n", field_text(entry, "name"), field_text(entry, "kind"),
                    field_bool(entry, "default") ? ", the default" : "", field_text(entry, "summary"));
        if (field_is_set(entry, "unit"))
                text_printf(stdout, "  One task is one %s.\n", field_text(entry, "unit"));
        if (field_is_set(entry, "note"))
                text_printf(stdout, "  When its holder is killed: %s.\n", field_text(entry, "note"));
        r = json_array_size(params) > 0 ? print_params(params) : 0;
        if (r == 0 && json_array_size(outcomes) > 0)
                r = print_outcomes(outcomes);
        if (r == 0 && json_array_size(guards) > 0)
                r = print_guards(guards);
        return r;
}

static int
describe(const struct args *args)
{
        struct answer a;
        const json_t *entries;
        int r = answer_get(args, CLIENT_AUTOSTART, "org.concd.Describe", args->fields, &a);

        if (r != 0)
                return r;
        entries = json_object_get(a.reply.parameters, "entries");
        if (args_has(args, "json")) {
                answer_put_json(&a.reply, a.raw, a.raw_len, NULL);
        } else {
                for (size_t i = 0; i < json_array_size(entries) && r == 0; i++) {
                        text_printf(stdout, "%s", i > 0 ? "\n" : "");
                        r = print_entry(json_array_get(entries, i));
                }
                if (r < 0)
                        r = message_fail(CTL_EXIT_INTERNAL, "out of memory");
        }
        answer_deinit(&a);
        return r;
}

const struct command command_describe = {
        .name = "describe",
        .summary = "Tell about one name: what it means, its parameters, of a scenario its outcomes",
        .operands = operands,
        .options = command_options_of_question,
        .exec = describe,
};
