/* SPDX-License-Identifier: MIT */
#include "ctl/vary.h"

#include "ctl/exit_code.h"
#include "ctl/field.h"
#include "ctl/suggest.h"
#include "shared/quantity.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define PRECISION_MIN 0.001
#define PRECISION_MAX 0.5
#define PARAM_PREFIX  "param."

/* Has one worker whatever else is asked for: it takes no part in a list of workers. */
#define MODE_OF_ONE "sequential"
#define MODES_ALL   "sequential,process,thread,gil"

/* What may differ between variants: an option of this name in the table of the command. Every other key is a
 * parameter of the workload. */
static const char *const varying[] = {"mode", "spawn", "workers",  "workload", "chunk",
                                      "libc", "count", "duration", "timeout",  "cpus"};

/* Alone it is an option with a list, so that its row tells nothing about one number. */
static const struct option_spec row_of_workers = {
        .name = "workers", .value = "N", .type = OPTION_COUNT, .min = 0, .max = 1000000, .field = "workers"};
static const struct option_spec row_of_param = {
        .name = "param", .value = "KEY=VALUE", .type = OPTION_PAIR, .field = "params"};

struct vary {
        const struct args *args;
        json_t *variants; /* so far: of each the fields; names are added as they grow */
        size_t n_lists;
        char **ret_error;
};

static int fail(struct vary *v, const char *fmt, ...) PRINTF_LIKE(2, 3);

static int
fail(struct vary *v, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        if (vasprintf(v->ret_error, fmt, ap) < 0)
                *v->ret_error = NULL;
        va_end(ap);
        return CTL_EXIT_USAGE;
}

static int
fail_memory(struct vary *v)
{
        *v->ret_error = strdup("out of memory");
        return CTL_EXIT_INTERNAL;
}

/* ── one list ── */

/* How an option calls itself, what its values are, and what to put before one in a variant's name. */
struct list {
        const char *option; /* "modes", "vary count" */
        const char *key;
        const struct option_spec *row;
        bool is_param;
};

static const struct option_spec *
find_row(const struct command *command, const char *key)
{
        if (strcmp(key, "workers") == 0)
                return &row_of_workers;
        for (size_t i = 0; i < ARRAY_SIZE(varying); i++)
                for (const struct option_spec *o = command->options; o->name && strcmp(key, varying[i]) == 0; o++)
                        if (strcmp(o->name, key) == 0)
                                return o;
        return NULL;
}

static bool
is_option(const struct command *command, const char *key)
{
        for (const struct option_spec *o = command->options; o->name; o++)
                if (strcmp(o->name, key) == 0)
                        return true;
        return false;
}

/* One value as the fields that it becomes, by a table of one row that is called as the person called it. */
static int
read_value(struct vary *v, const struct list *list, const char *text, json_t **ret)
{
        AUTO_FREE char *argument = NULL;
        struct option_spec table[] = {*list->row, COMMAND_OPTION_END};
        const struct command command = {.name = v->args->command->name, .options = table};
        const char *argv[1];
        struct args args;
        int r;

        table[0].name = list->option;
        table[0].excludes = NULL;
        if (asprintf(&argument, "--%s=%s%s%s", list->option, list->is_param ? list->key : "", list->is_param ? "=" : "",
                     text) < 0) {
                argument = NULL;
                return fail_memory(v);
        }
        argv[0] = argument;
        r = args_parse(&command, 1, argv, &args, v->ret_error);
        if (r != 0)
                return r;
        *ret = json_incref(args.fields);
        args_deinit(&args);
        return 0;
}

/* The values of a list: an array of pairs [fields, text]. */
static int
read_values(struct vary *v, const struct list *list, const char *text, json_t **ret)
{
        AUTO_JSON json_t *values = json_array();
        AUTO_FREE char *copy = strdup(text);
        char *rest = copy, *word;

        while ((word = strsep(&rest, ",")) != NULL) {
                json_t *fields = NULL, *other;
                size_t i;
                int r;

                if (*word == '\0')
                        return fail(v, "--%s: given \"%s\", allowed values with one comma between them, as a,b,c",
                                    list->option, text);
                r = read_value(v, list, word, &fields);
                if (r != 0)
                        return r;
                json_array_foreach(values, i, other)
                {
                        if (!json_equal(json_array_get(other, 0), fields))
                                continue;
                        r = fail(v, "--%s: \"%s\" is given twice, allowed values that differ", list->option, word);
                        json_decref(fields);
                        return r;
                }
                if (json_array_append_new(values, json_pack("[o, s]", fields, word)) < 0)
                        return fail_memory(v);
        }
        *ret = TAKE(values);
        return 0;
}

/* ── the cross product ── */

/* By its own mode, or by the one that is given for all. */
static bool
is_of_one(const struct vary *v, const json_t *variant)
{
        const char *mode = field_text(variant, "mode");

        return strcmp(*mode ? mode : field_text(v->args->fields, "mode"), MODE_OF_ONE) == 0;
}

static bool
are_all_of_one(const struct vary *v)
{
        json_t *variant;
        size_t i;

        json_array_foreach(v->variants, i, variant)
        {
                if (!is_of_one(v, variant))
                        return false;
        }
        return true;
}

/* The variant with one value more; its name grows when the list has several. */
static json_t *
extend(const json_t *variant, const struct list *list, const json_t *value, bool is_named)
{
        const char *name = field_text(variant, "name"), *text = json_string_value(json_array_get(value, 1));
        bool is_plain = strcmp(list->key, "mode") == 0 || strcmp(list->key, "workload") == 0;
        json_t *longer = json_deep_copy(variant);

        json_object_update_recursive(longer, json_array_get(value, 0));
        if (is_named)
                json_object_set_new(longer, "name",
                                    json_sprintf("%s%s%s%s%s", name, *name ? " " : "", is_plain ? "" : list->key,
                                                 is_plain ? "" : "=", text));
        return longer;
}

static int
multiply(struct vary *v, const struct list *list, const json_t *values)
{
        json_t *product = json_array(), *variant, *value;
        bool is_workers = list->row == &row_of_workers;
        size_t i, k;

        json_array_foreach(v->variants, i, variant)
        {
                if (is_workers && is_of_one(v, variant)) {
                        json_array_append(product, variant);
                        continue;
                }
                json_array_foreach(values, k, value)
                {
                        if (json_array_size(product) > VARY_VARIANTS_MAX)
                                break;
                        json_array_append_new(product, extend(variant, list, value, json_array_size(values) > 1));
                }
        }
        json_decref(v->variants);
        v->variants = product;
        v->n_lists++;
        if (json_array_size(product) > VARY_VARIANTS_MAX)
                return fail(v, "--%s: that makes more than %d variants, allowed 2 to %d", list->option,
                            VARY_VARIANTS_MAX, VARY_VARIANTS_MAX);
        return 0;
}

static bool
is_given(const struct vary *v, const struct list *list)
{
        const json_t *fields = v->args->fields;

        return list->is_param ? json_object_get(json_object_get(fields, "params"), list->key) != NULL
                              : json_object_get(fields, list->row->field) != NULL;
}

static bool
is_varied(const struct vary *v, const struct list *list)
{
        const json_t *first = json_array_get(v->variants, 0);

        return list->is_param ? json_object_get(json_object_get(first, "params"), list->key) != NULL
                              : json_object_get(first, list->row->field) != NULL;
}

static int
add_list(struct vary *v, const struct list *list, const char *text)
{
        AUTO_JSON json_t *values = NULL;
        const char *excluded = list->row->excludes;
        int r;

        if (is_given(v, list))
                return fail(v, "--%s and --%s contradict each other: give only one", list->option,
                            list->is_param ? "param" : list->key);
        if (is_varied(v, list))
                return fail(v, "--%s: \"%s\" is varied twice, allowed once", list->option, list->key);
        if (excluded && args_has(v->args, excluded))
                return fail(v, "--%s and --%s contradict each other: give only one", list->option, excluded);
        r = read_values(v, list, text, &values);
        if (r == 0 && list->row == &row_of_workers && are_all_of_one(v))
                return fail(v,
                            "--%s: given \"%s\", but mode " MODE_OF_ONE " always has one worker, so that there is "
                            "nothing to vary; allowed with the modes process, thread and gil",
                            list->option, text);
        return r != 0 ? r : multiply(v, list, values);
}

/* One --vary KEY=a,b,c. */
static int
add_vary(struct vary *v, const char *key, const char *text)
{
        AUTO_FREE char *option = NULL;
        bool is_param = strncmp(key, PARAM_PREFIX, strlen(PARAM_PREFIX)) == 0;
        struct list list = {.key = is_param ? key + strlen(PARAM_PREFIX) : key};

        if (*list.key == '\0')
                return fail(v, "--vary: given \"%s\", allowed %sNAME=a,b,c", key, PARAM_PREFIX);
        list.row = is_param ? NULL : find_row(v->args->command, key);
        if (!list.row && !is_param && is_option(v->args->command, key))
                return fail(v,
                            "--vary: given \"%s\", allowed mode, spawn, workers, workload, chunk, libc, count, "
                            "duration, timeout, cpus, or a parameter of the workload",
                            key);
        list.is_param = !list.row;
        if (list.is_param)
                list.row = &row_of_param;
        if (asprintf(&option, "vary %s", key) < 0) {
                option = NULL;
                return fail_memory(v);
        }
        list.option = option;
        return add_list(v, &list, text);
}

/* ── the whole ── */

/* Takes a text out of the fields, where it had its place only so that errors can name it. */
static json_t *
take_field(const struct vary *v, const char *field)
{
        json_t *value = json_incref(json_object_get(v->args->fields, field));

        json_object_del(v->args->fields, field);
        return value;
}

static int
add_modes(struct vary *v, const char *text)
{
        const struct list list = {"modes", "mode", find_row(v->args->command, "mode"), false};

        return add_list(v, &list, text);
}

/* Several numbers are a list, one is a plain option. */
static int
add_workers(struct vary *v, const char *text)
{
        const struct list list = {"workers", "workers", &row_of_workers, false};
        AUTO_JSON json_t *fields = NULL;
        int r;

        if (strchr(text, ','))
                return add_list(v, &list, text);
        if (is_varied(v, &list))
                return fail(v, "--workers and --vary workers contradict each other: give only one");
        r = read_value(v, &list, text, &fields);
        if (r == 0)
                json_object_update(v->args->fields, fields);
        return r;
}

static int
add_lists(struct vary *v, json_t *vary, const char *modes, const char *workers)
{
        json_t *text;
        const char *key;
        int r = 0;

        /* Modes first: whether a number of workers applies to a variant depends on its mode. */
        if (modes)
                r = add_modes(v, modes);
        text = json_object_get(vary, "mode");
        if (r == 0 && text)
                r = add_vary(v, "mode", json_string_value(text));
        if (r != 0)
                return r;
        json_object_foreach(vary, key, text)
        {
                r = strcmp(key, "mode") == 0 ? 0 : add_vary(v, key, json_string_value(text));
                if (r != 0)
                        return r;
        }
        if (workers)
                r = add_workers(v, workers);
        if (r == 0 && v->n_lists == 0 && !args_has(v->args, "mode") && !args_has(v->args, "aa"))
                r = add_modes(v, MODES_ALL);
        return r;
}

/* Not both, also when one of them is a list. */
static int
check_length(struct vary *v)
{
        const json_t *first = json_array_get(v->variants, 0);

        if (field_is_set(first, "count") && field_is_set(first, "duration_ns"))
                return fail(v, "--vary count and --vary duration contradict each other: give only one");
        return 0;
}

static int
check_number(struct vary *v)
{
        size_t n = json_array_size(v->variants);

        if (args_has(v->args, "aa"))
                return n == 1 ? 0 : fail(v, "--aa: given %zu variants, allowed 1, which is compared with itself", n);
        if (n >= 2)
                return 0;
        return fail(v, "there is only one variant, and nothing to compare it with: give several values to --modes, "
                       "--vary or --workers, as --modes=process,thread; or --aa to compare it with itself");
}

static int
check_reference(struct vary *v)
{
        const char *reference = field_text(v->args->fields, "reference"), *separator = "";
        AUTO_FREE char *names = NULL;
        size_t size, i;
        json_t *variant;
        FILE *f;

        if (!*reference)
                return 0;
        f = open_memstream(&names, &size);
        if (!f)
                return fail_memory(v);
        json_array_foreach(v->variants, i, variant)
        {
                fprintf(f, "%s%s", separator, field_text(variant, "name"));
                separator = ", ";
                if (strcmp(field_text(variant, "name"), reference) == 0)
                        return fclose(f), 0;
        }
        fclose(f);
        *v->ret_error = suggest_bad_value("--reference", reference, names);
        return CTL_EXIT_USAGE;
}

int
vary_parse_precision(const char *text, double *ret)
{
        size_t digits = strspn(text, "0123456789."), len = digits;
        double value;
        char *end;

        len += strspn(text + len, " ");
        if (digits == 0 || (text[len] == '%' ? text[len + 1] : text[digits]) != '\0')
                return -EINVAL;
        value = strtod(text, &end) / (text[len] == '%' ? 100 : 1);
        if (end != text + digits || !(value >= PRECISION_MIN && value <= PRECISION_MAX))
                return -EINVAL;
        *ret = value;
        return 0;
}

static int
take_precision(struct vary *v)
{
        const char *text = args_text(v->args, "precision");
        double precision;

        if (!text)
                return 0;
        if (vary_parse_precision(text, &precision) < 0)
                return fail(v, "--precision: given \"%s\", allowed 0.1%% to 50%%, as 1%% or 0.01", text);
        json_object_set_new(v->args->fields, "precision", json_real(precision));
        return 0;
}

int
vary_complete(const struct args *args, char **ret_error)
{
        struct vary v = {.args = args, .variants = json_pack("[{}]"), .ret_error = ret_error};
        AUTO_JSON json_t *vary = take_field(&v, VARY_FIELD), *modes = take_field(&v, VARY_FIELD_MODES);
        AUTO_JSON json_t *workers = take_field(&v, "workers");
        int r = add_lists(&v, vary, json_string_value(modes), json_string_value(workers));

        if (r == 0)
                r = check_length(&v);
        if (r == 0)
                r = check_number(&v);
        if (r == 0)
                r = check_reference(&v);
        if (r == 0)
                r = take_precision(&v);
        if (r == 0 && v.n_lists > 0)
                json_object_set(args->fields, "variants", v.variants);
        json_decref(v.variants);
        return r;
}
