/* SPDX-License-Identifier: MIT */
#include "ctl/args.h"

#include "ctl/cpulist.h"
#include "ctl/exit_code.h"
#include "ctl/suggest.h"
#include "shared/quantity.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

static int fail(char **ret_error, const char *fmt, ...) PRINTF_LIKE(2, 3);

static int
fail(char **ret_error, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        if (vasprintf(ret_error, fmt, ap) < 0)
                *ret_error = NULL;
        va_end(ap);
        return CTL_EXIT_USAGE;
}

static int
fail_memory(char **ret_error)
{
        *ret_error = strdup("out of memory");
        return CTL_EXIT_INTERNAL;
}

static int
fail_value(const struct option_spec *o, const char *given, const char *allowed, char **ret_error)
{
        return fail(ret_error, "--%s: given \"%s\", allowed %s", o->name, given, allowed);
}

static char *
format_limit(char *buf, size_t size, uint64_t n)
{
        if (n == COUNT_MAX)
                snprintf(buf, size, "10^15");
        else
                snprintf(buf, size, "%" PRIu64, n);
        return buf;
}

static int
read_count(const struct option_spec *o, const char *text, json_t **ret, char **ret_error)
{
        char min[32], max[32], allowed[160];
        uint64_t n;

        if (quantity_parse_count(text, o->min, o->max, &n) == QUANTITY_OK) {
                *ret = json_integer((json_int_t)n);
                return 0;
        }
        snprintf(allowed, sizeof(allowed), "a whole number from %s to %s, as 1000, 1e6 or 10M (k M G T)",
                 format_limit(min, sizeof(min), o->min), format_limit(max, sizeof(max), o->max));
        return fail_value(o, text, allowed, ret_error);
}

static int
read_duration(const struct option_spec *o, const char *text, json_t **ret, char **ret_error)
{
        char min[48], max[48], allowed[200];
        uint64_t ns;

        if (quantity_parse_duration(text, o->min, o->max, &ns) == QUANTITY_OK) {
                *ret = json_integer((json_int_t)ns);
                return 0;
        }
        snprintf(allowed, sizeof(allowed), "a duration from %s to %s with its unit (ns us ms s min h), as 5s or 200ms",
                 quantity_format_duration_exact(min, sizeof(min), o->min),
                 quantity_format_duration_exact(max, sizeof(max), o->max));
        return fail_value(o, text, allowed, ret_error);
}

static int
read_cpus(const struct option_spec *o, const char *text, json_t **ret, char **ret_error)
{
        int r = cpulist_parse(text, ret);

        if (r == 0)
                return 0;
        return r < 0 ? fail_memory(ret_error)
                     : fail_value(o, text, "a list of CPUs and ranges of CPUs, as 0,2-5", ret_error);
}

static int
read_id(const struct option_spec *o, const char *text, json_t **ret, char **ret_error)
{
        if (strlen(text) != 32 || strspn(text, "0123456789abcdef") != 32)
                return fail_value(o, text, "32 hexadecimal digits in lower case", ret_error);
        *ret = json_string(text);
        return 0;
}

/* Adds one KEY=VALUE to the object that the field is. */
static int
add_pair(const struct option_spec *o, const char *text, json_t *fields, char **ret_error)
{
        const char *equals = strchr(text, '=');
        AUTO_FREE char *key = NULL;
        json_t *pairs;

        if (!equals || equals == text || equals[1] == '\0')
                return fail_value(o, text, "KEY=VALUE, as ns=500", ret_error);
        key = strndup(text, (size_t)(equals - text));
        pairs = json_object_get(fields, o->field);
        if (!pairs) {
                if (json_object_set_new(fields, o->field, json_object()) < 0)
                        return fail_memory(ret_error);
                pairs = json_object_get(fields, o->field);
        }
        if (key && json_object_get(pairs, key))
                return fail(ret_error, "--%s: \"%s\" is given twice, as \"%s\" and as \"%s\"", o->name, key,
                            json_string_value(json_object_get(pairs, key)), equals + 1);
        /* Text that is not UTF-8 cannot be said in JSON. */
        if (!key || json_object_set_new(pairs, key, json_string(equals + 1)) < 0)
                return fail(ret_error, "--%s: the value is not UTF-8", o->name);
        return 0;
}

/* The JSON value of one option; *ret stays NULL when its text is not UTF-8. */
static int
read_value(const struct option_spec *o, const char *text, json_t **ret, char **ret_error)
{
        switch (o->type) {
        case OPTION_FLAG:
                *ret = json_boolean(!o->is_negative);
                return 0;
        case OPTION_COUNT:
                return read_count(o, text, ret, ret_error);
        case OPTION_DURATION:
                return read_duration(o, text, ret, ret_error);
        case OPTION_CPUS:
                return read_cpus(o, text, ret, ret_error);
        case OPTION_ID:
                return read_id(o, text, ret, ret_error);
        case OPTION_WORD:
        case OPTION_PAIR:
                break;
        }
        if (*text == '\0')
                return fail_value(o, text, "a value that is not empty", ret_error);
        *ret = json_string(text);
        return 0;
}

static int
take_option(struct args *args, const struct option_spec *o, const char *text, char **ret_error)
{
        const char **slot = &args->texts[o - args->command->options];
        AUTO_JSON json_t *value = NULL;
        int r;

        if (*slot && o->type != OPTION_FLAG && o->type != OPTION_PAIR)
                return fail(ret_error, "--%s is given twice, as \"%s\" and as \"%s\"", o->name, *slot, text);
        *slot = text;
        if (o->type == OPTION_PAIR)
                return add_pair(o, text, args->fields, ret_error);
        r = read_value(o, text, &value, ret_error);
        if (r != 0 || !o->field)
                return r;
        if (!value)
                return fail(ret_error, "--%s: the value is not UTF-8", o->name);
        return json_object_set(args->fields, o->field, value) < 0 ? fail_memory(ret_error) : 0;
}

static int
unknown_option(const struct command *command, const char *given, size_t len, char **ret_error)
{
        AUTO_FREE char *name = strndup(given, len);
        struct suggestion s;

        if (!name)
                return fail_memory(ret_error);
        suggestion_init(&s, name);
        for (const struct option_spec *o = command->options; o->name; o++)
                if (!o->advanced)
                        suggestion_offer(&s, o->name, strlen(o->name));
        suggestion_offer(&s, "help", 4);
        if (suggestion_get(&s))
                return fail(ret_error, "%s knows no option --%s; did you mean --%s?", command->name, name,
                            suggestion_get(&s));
        return fail(ret_error, "%s knows no option --%s; see 'concctl help %s'", command->name, name, command->name);
}

/* Handles the option at argv[*i], and moves *i onto its value when that is an argument of its own. */
static int
parse_option(struct args *args, int argc, const char *const *argv, int *i, char **ret_error)
{
        const char *name = argv[*i] + 2, *equals = strchr(name, '='), *value = equals ? equals + 1 : NULL;
        size_t len = equals ? (size_t)(equals - name) : strlen(name);

        for (const struct option_spec *o = args->command->options; o->name; o++) {
                if (strlen(o->name) != len || strncmp(o->name, name, len) != 0)
                        continue;
                if (o->type == OPTION_FLAG) {
                        if (value)
                                return fail(ret_error, "--%s takes no value, given \"%s\"", o->name, value);
                        return take_option(args, o, "", ret_error);
                }
                if (!value && *i + 1 >= argc)
                        return fail(ret_error, "--%s needs a value: --%s=%s", o->name, o->name, o->value);
                return take_option(args, o, value ? value : argv[++*i], ret_error);
        }
        return unknown_option(args->command, name, len, ret_error);
}

static int
check_exclusions(const struct args *args, char **ret_error)
{
        for (const struct option_spec *o = args->command->options; o->name; o++)
                if (o->excludes && args_has(args, o->name) && args_has(args, o->excludes))
                        return fail(ret_error, "--%s and --%s contradict each other: give only one", o->name,
                                    o->excludes);
        return 0;
}

static int
check_operands(const struct args *args, char **ret_error)
{
        const struct operand_spec *p = args->command->operands;
        size_t i = 0;

        for (; p && p->name; p++, i++) {
                if (i >= args->n_operands) {
                        if (p->optional)
                                return 0;
                        return fail(ret_error, "%s needs %s: %s", args->command->name, p->name, p->help);
                }
                if (*args->operands[i] == '\0')
                        return fail(ret_error, "%s: given \"\", allowed a value that is not empty", p->name);
                if (p->field && json_object_set_new(args->fields, p->field, json_string(args->operands[i])) < 0)
                        return fail(ret_error, "%s: the value is not UTF-8", p->name);
        }
        if (i < args->n_operands)
                return fail(ret_error, "%s: one argument too many: \"%s\"", args->command->name, args->operands[i]);
        return 0;
}

static int
parse_all(struct args *args, int argc, const char *const *argv, char **ret_error)
{
        bool only_operands = false;
        int r;

        for (int i = 0; i < argc; i++)
                if (strcmp(argv[i], "--") == 0) {
                        break;
                } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
                        args->help = true;
                        return 0;
                }
        for (int i = 0; i < argc; i++) {
                r = 0;
                if (only_operands || argv[i][0] != '-' || argv[i][1] == '\0')
                        args->operands[args->n_operands++] = argv[i];
                else if (strcmp(argv[i], "--") == 0)
                        only_operands = true;
                else if (argv[i][1] != '-')
                        r = fail(ret_error, "%s knows no option %s; options are written in full, as --help",
                                 args->command->name, argv[i]);
                else
                        r = parse_option(args, argc, argv, &i, ret_error);
                if (r != 0)
                        return r;
        }
        r = check_exclusions(args, ret_error);
        return r != 0 ? r : check_operands(args, ret_error);
}

int
args_parse(const struct command *command, int argc, const char *const *argv, struct args *ret, char **ret_error)
{
        struct args args = {.command = command, .argc = argc, .argv = argv};
        size_t n_options = 0;
        int r;

        while (command->options[n_options].name)
                n_options++;
        args.texts = calloc(n_options + 1, sizeof(*args.texts));
        args.operands = calloc((size_t)argc + 1, sizeof(*args.operands));
        args.fields = json_object();
        if (args.texts && args.operands && args.fields)
                r = parse_all(&args, argc, argv, ret_error);
        else
                r = fail_memory(ret_error);
        if (r != 0) {
                args_deinit(&args);
                return r;
        }
        *ret = args;
        return 0;
}

void
args_deinit(struct args *args)
{
        free(args->texts);
        free(args->operands);
        json_decref(args->fields);
        *args = (struct args){0};
}

const char *
args_text(const struct args *args, const char *option)
{
        for (size_t i = 0; args->command->options[i].name; i++)
                if (strcmp(args->command->options[i].name, option) == 0)
                        return args->texts[i];
        return NULL;
}

const char *
args_text_of_field(const struct args *args, const char *field)
{
        const struct option_spec *o = args->command->options;
        const struct operand_spec *p = args->command->operands;

        for (size_t i = 0; o[i].name; i++)
                if (o[i].field && strcmp(o[i].field, field) == 0)
                        return o[i].type == OPTION_FLAG || o[i].type == OPTION_PAIR ? NULL : args->texts[i];
        for (size_t i = 0; i < args->n_operands && p && p[i].name; i++)
                if (p[i].field && strcmp(p[i].field, field) == 0)
                        return args->operands[i];
        return NULL;
}

char *
args_name_of_field(const struct command *command, const char *field)
{
        const char *dot = strchr(field, '.');
        size_t len = dot ? (size_t)(dot - field) : strlen(field);
        char *name = NULL;

        for (const struct option_spec *o = command->options; o->name; o++)
                if (o->field && strlen(o->field) == len && strncmp(o->field, field, len) == 0)
                        return asprintf(&name, "--%s%s%s", o->name, dot ? " " : "", dot ? dot + 1 : "") < 0 ? NULL
                                                                                                            : name;
        for (const struct operand_spec *p = command->operands; p && p->name; p++)
                if (p->field && strcmp(p->field, field) == 0)
                        return strdup(p->name);
        return strdup(field);
}
