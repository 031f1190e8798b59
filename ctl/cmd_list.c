/* SPDX-License-Identifier: MIT */
#include "ctl/answer.h"
#include "ctl/exit_code.h"
#include "ctl/field.h"
#include "ctl/message.h"
#include "ctl/table.h"
#include "ctl/text.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

extern const struct command command_list;

static const struct operand_spec operands[] = {
        {.name = "KIND",
         .field = "kind",
         .optional = true,
         .help = "only these: workloads, modes, spawns, scenarios, guards, barriers (default: everything)"},
        {.name = NULL},
};

static const struct table_column columns[] = {
        {"NAME"},
        {"PARAMETERS"},
        {"SUMMARY", .is_wrapped = true},
        {NULL},
};

/* Of a kind whose members have no parameters. */
static const struct table_column plain_columns[] = {{"NAME"}, {"SUMMARY", .is_wrapped = true}, {NULL}};

/* People ask for "workloads"; the protocol's word for the kind is "workload". */
static void
drop_plural(json_t *fields)
{
        const char *kind = field_text(fields, "kind");
        size_t len = strlen(kind);

        if (len > 1 && kind[len - 1] == 's')
                json_object_set_new(fields, "kind", json_stringn(kind, len - 1));
}

/* "us=1000", all with their defaults. Malloc'ed; NULL without memory. */
static char *
format_params(const json_t *entry)
{
        char *text = NULL;
        size_t size, i;
        json_t *param;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        json_array_foreach(json_object_get(entry, "params"), i, param)
                fprintf(f, "%s%s=%s", i > 0 ? " " : "", field_text(param, "name"), field_text(param, "default"));
        if (fclose(f) != 0) {
                free(text);
                return NULL;
        }
        return text;
}

static int
add_entry(struct table *table, const json_t *entry, bool is_plain)
{
        AUTO_FREE char *params = format_params(entry), *summary = NULL;

        if (asprintf(&summary, "%s%s", field_text(entry, "summary"), field_bool(entry, "default") ? " (default)" : "") <
            0)
                return -ENOMEM;
        if (!params)
                return -ENOMEM;
        if (is_plain)
                return table_add(table, (const char *const[]){field_text(entry, "name"), summary});
        return table_add(table, (const char *const[]){field_text(entry, "name"), params, summary});
}

static bool
is_of_kind(const json_t *entry, const char *kind)
{
        return strcmp(field_text(entry, "kind"), kind) == 0;
}

static bool
has_params(const json_t *entries, const char *kind)
{
        size_t i;
        json_t *entry;

        json_array_foreach(entries, i, entry)
        {
                if (is_of_kind(entry, kind) && json_array_size(json_object_get(entry, "params")) > 0)
                        return true;
        }
        return false;
}

/* All entries of one kind, under its name as a heading. */
static int
print_kind(const json_t *entries, const char *kind)
{
        bool is_plain = !has_params(entries, kind);
        AUTO_TABLE struct table *table = table_new(is_plain ? plain_columns : columns);
        size_t i;
        json_t *entry;
        int r;

        if (!table)
                return -ENOMEM;
        json_array_foreach(entries, i, entry)
        {
                r = is_of_kind(entry, kind) ? add_entry(table, entry, is_plain) : 0;
                if (r < 0)
                        return r;
        }
        text_printf(stdout, "%c%ss\n", toupper((unsigned char)kind[0]), kind + 1);
        return table_print(table, "  ", stdout);
}

static bool
is_first_of_kind(const json_t *entries, size_t index)
{
        const char *kind = field_text(json_array_get(entries, index), "kind");

        for (size_t i = 0; i < index; i++)
                if (strcmp(field_text(json_array_get(entries, i), "kind"), kind) == 0)
                        return false;
        return *kind != '\0';
}

static int
print_entries(const json_t *entries)
{
        for (size_t i = 0; i < json_array_size(entries); i++) {
                if (!is_first_of_kind(entries, i))
                        continue;
                if (i > 0)
                        text_printf(stdout, "\n");
                if (print_kind(entries, field_text(json_array_get(entries, i), "kind")) < 0)
                        return message_fail(CTL_EXIT_INTERNAL, "out of memory");
        }
        return 0;
}

static int
list(const struct args *args)
{
        struct answer a;
        int r;

        drop_plural(args->fields);
        r = answer_get(args, CLIENT_AUTOSTART, "org.concd.Describe", args->fields, &a);
        if (r != 0)
                return r;
        if (args_has(args, "json"))
                answer_put_json(&a.reply, a.raw, a.raw_len, NULL);
        else
                r = print_entries(json_object_get(a.reply.parameters, "entries"));
        answer_deinit(&a);
        return r;
}

const struct command command_list = {
        .name = "list",
        .summary = "List what the daemon knows: workloads, modes, scenarios, guards, …",
        .operands = operands,
        .options = command_options_of_question,
        .exec = list,
};
