/* SPDX-License-Identifier: MIT */
/* The command line: every option by its table, every mistake by the words that name it. */
#include "ctl/answer.h"
#include "ctl/args.h"
#include "ctl/exit_code.h"
#include "ctl/help.h"
#include "ctl/text.h"

#include "run_suite.h"

#include <check.h>
#include <string.h>

#define ARGS_MAX 8

static int
count_args(const char *const *argv)
{
        int n = 0;

        while (argv[n])
                n++;
        return n;
}

/* The parameters that a command line becomes, as sorted JSON. */
static const struct {
        const char *command;
        const char *argv[ARGS_MAX];
        const char *fields;
} good[] = {
        {"run", {NULL}, "{}"},
        {"run", {"--count=1e3", NULL}, "{\"count\":1000}"},
        {"run", {"--count", "10M", NULL}, "{\"count\":10000000}"},
        {"run", {"--count=1000000000000000", NULL}, "{\"count\":1000000000000000}"},
        {"run", {"--duration=200ms", NULL}, "{\"duration_ns\":200000000}"},
        {"run", {"--mode", "gil", "--spawn=per-task", NULL}, "{\"mode\":\"gil\",\"spawn\":\"per-task\"}"},
        {"run", {"--workers=0", NULL}, "{\"workers\":0}"},
        {"run", {"--param=ns=5", "--param", "how=a=b", NULL}, "{\"params\":{\"how\":\"a=b\",\"ns\":\"5\"}}"},
        {"run", {"--cpus=0,3-4", NULL}, "{\"cpus\":[0,3,4]}"},
        {"run", {"--detach", "--quiet", "--json", "--quiet", NULL}, "{\"detach\":true}"},
        {"run", {"--id=0123456789abcdef0123456789abcdef", NULL}, "{\"id\":\"0123456789abcdef0123456789abcdef\"}"},
        {"run",
         {"--timeout=5ms", "--deadline=2s", "--warmup=0", "--chunk=5", NULL},
         "{\"chunk\":5,\"deadline_ns\":2000000000,\"timeout_ns\":5000000,\"warmup\":0}"},
        {"race", {NULL}, "{}"},
        {"race", {"counter", "--permits", "2", NULL}, "{\"permits\":2,\"scenario\":\"counter\"}"},
        {"race",
         {"--scenario=sb", "--trials", "1e6", "--pin", NULL},
         "{\"pin\":true,\"scenario\":\"sb\",\"trials\":1000000}"},
        {"race",
         {"--no-pin", "--no-measure", "--widen=0", "--hold=step", NULL},
         "{\"hold\":\"step\",\"measure\":false,\"pin\":false,\"widen_ns\":0}"},
        {"race",
         {"--trial-timeout=5ms", "--barrier=none", "--timeline=x.svg", "--actors=0", NULL},
         "{\"actors\":0,\"barrier\":\"none\",\"trial_timeout_ns\":5000000}"},
        {"race", {"--matrix", "--param", "target=5", NULL}, "{\"params\":{\"target\":\"5\"}}"},
        {"describe", {"calc", NULL}, "{\"name\":\"calc\"}"},
        {"describe", {"--", "--calc", NULL}, "{\"name\":\"--calc\"}"},
        {"list", {NULL}, "{}"},
        {"list", {"--json", "modes", NULL}, "{\"kind\":\"modes\"}"},
};

START_TEST(options_become_fields)
{
        struct args args;
        AUTO_FREE char *error = NULL, *fields = NULL;

        ck_assert_int_eq(
                args_parse(command_find(good[_i].command), count_args(good[_i].argv), good[_i].argv, &args, &error), 0);
        fields = json_dumps(args.fields, JSON_COMPACT | JSON_SORT_KEYS);
        ck_assert_str_eq(fields, good[_i].fields);
        args_deinit(&args);
}
END_TEST

/* Every part of `says` (parted by '|') must be in the message. */
static const struct {
        const char *command;
        const char *argv[ARGS_MAX];
        const char *says;
} bad[] = {
        {"run", {"--count=0", NULL}, "--count|\"0\"|1 to 10^15"},
        {"run", {"--count=-1", NULL}, "--count|\"-1\"|1 to 10^15"},
        {"run", {"--count", "1000000000000001", NULL}, "--count|\"1000000000000001\"|1 to 10^15"},
        {"run", {"--count", "18446744073709551616", NULL}, "--count|\"18446744073709551616\"|10^15"},
        {"run", {"--count", "1e3x", NULL}, "--count|\"1e3x\""},
        {"run", {"--count", "1.5", NULL}, "--count|\"1.5\""},
        {"run", {"--count", "NaN", NULL}, "--count|\"NaN\""},
        {"run", {"--count=", NULL}, "--count|\"\""},
        {"run", {"--count", NULL}, "--count|needs a value"},
        {"run", {"--duration=5", NULL}, "--duration|\"5\"|unit|1ms to 1000h"},
        {"run", {"--duration=1001h", NULL}, "--duration|1000h"},
        {"run", {"--timeout=0", NULL}, "--timeout|1ms"},
        {"run", {"--mode=", NULL}, "--mode|\"\"|empty"},
        {"run", {"--mode=\xff", NULL}, "--mode|UTF-8"},
        {"run", {"--param=x=\xff", NULL}, "--param|UTF-8"},
        {"run", {"--param=ns", NULL}, "--param|\"ns\"|KEY=VALUE"},
        {"run", {"--param==5", NULL}, "--param|KEY=VALUE"},
        {"run", {"--param=a=1", "--param=a=2", NULL}, "--param|\"a\"|twice|\"1\"|\"2\""},
        {"run", {"--cpus=3-1", NULL}, "--cpus|\"3-1\""},
        {"run", {"--id=ABC", NULL}, "--id|\"ABC\"|32"},
        {"run", {"--count=5", "--duration=5s", NULL}, "--count|--duration|contradict"},
        {"run", {"--mode=a", "--mode=b", NULL}, "--mode|twice|\"a\"|\"b\""},
        {"run", {"--detach=yes", NULL}, "--detach|no value|\"yes\""},
        {"run", {"--cuont=5", NULL}, "--cuont|did you mean --count?"},
        {"run", {"--zzzzzz", NULL}, "--zzzzzz|concctl help run"},
        {"run", {"-c", NULL}, "-c|in full"},
        {"run", {"extra", NULL}, "run|too many|\"extra\""},
        {"race", {"--pin", "--no-pin", NULL}, "--pin|--no-pin|contradict"},
        {"race", {"--trials=5", "--duration=5s", NULL}, "--trials|--duration|contradict"},
        {"race", {"--matrix", "--guard=mutex", NULL}, "--matrix|--guard|contradict"},
        {"race", {"--matrix", "--timeline=x.svg", NULL}, "--matrix|--timeline|contradict"},
        {"race", {"--detach", "--timeline=x.svg", NULL}, "--detach|--timeline|contradict"},
        {"race", {"--widen=5", NULL}, "--widen|\"5\"|unit"},
        {"race", {"--no-pin=yes", NULL}, "--no-pin|no value"},
        {"race", {"counter", "sb", NULL}, "too many|\"sb\""},
        {"stop", {"--quiet", NULL}, "stop|--quiet"},
        {"describe", {NULL}, "describe|NAME"},
        {"describe", {"", NULL}, "NAME|empty"},
        {"describe", {"a", "b", NULL}, "too many|\"b\""},
        {"describe", {"\xff", NULL}, "NAME|UTF-8"},
};

START_TEST(mistakes_are_named)
{
        struct args args = {0};
        AUTO_FREE char *error = NULL, *says = strdup(bad[_i].says);

        ck_assert_int_eq(
                args_parse(command_find(bad[_i].command), count_args(bad[_i].argv), bad[_i].argv, &args, &error),
                CTL_EXIT_USAGE);
        ck_assert_ptr_null(args.command);
        ck_assert_ptr_nonnull(error);
        for (char *part = strtok(says, "|"); part; part = strtok(NULL, "|"))
                ck_assert_msg(strstr(error, part) != NULL, "\"%s\" does not say \"%s\"", error, part);
}
END_TEST

START_TEST(help_wins_over_mistakes)
{
        const char *argv[] = {"--nonsense", "--help", NULL};
        struct args args;
        AUTO_FREE char *error = NULL;

        ck_assert_int_eq(args_parse(command_find("run"), 2, argv, &args, &error), 0);
        ck_assert(args.help);
        args_deinit(&args);
}
END_TEST

START_TEST(fields_are_called_as_people_call_them)
{
        static const struct {
                const char *command, *field, *name;
        } rows[] = {
                {"run", "mode", "--mode"},    {"run", "duration_ns", "--duration"}, {"run", "params.ns", "--param ns"},
                {"run", "params", "--param"}, {"run", "unheard_of", "unheard_of"},  {"describe", "name", "NAME"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                AUTO_FREE char *name = args_name_of_field(command_find(rows[i].command), rows[i].field);

                ck_assert_str_eq(name, rows[i].name);
        }
}
END_TEST

/* What a BadValue of the daemon becomes, after a given command line. */
START_TEST(bad_values_are_said_in_the_persons_words)
{
        static const struct {
                const char *command;
                const char *argv[ARGS_MAX];
                const char *field, *given, *allowed, *line;
        } rows[] = {
                {"run",
                 {"--timeout", "1s", NULL},
                 "timeout_ns",
                 "1000000000",
                 "nothing",
                 "--timeout: given \"1s\", allowed nothing"},
                {"run",
                 {"--duration=1h", NULL},
                 "duration_ns",
                 "3600000000000",
                 "1000000 to 1500000000",
                 "--duration: given \"1h\", allowed 1ms to 1500ms"},
                {"run",
                 {NULL},
                 "deadline_ns",
                 "x",
                 "a whole number from 1000000 to 3600000000000000",
                 "--deadline: given \"x\", allowed 1ms to 1000h"},
                {"run",
                 {"--timeout=1s", NULL},
                 "timeout_ns",
                 "5",
                 "1000000 to 2000000, when it is so",
                 "--timeout: given \"1s\", allowed 1ms to 2ms, when it is so"},
                {"run",
                 {"--count=1e6", NULL},
                 "count",
                 "1000000",
                 "1 to 16384",
                 "--count: given \"1e6\", allowed 1 to 16384"},
                {"run",
                 {"--param=a=1", "--param=b=2", NULL},
                 "params.a",
                 "1",
                 "2 to 3",
                 "--param a: given \"1\", allowed 2 to 3"},
                {"run", {"--param=a=1", NULL}, "params", "{}", "x", "--param: given \"{}\", allowed x"},
                {"run", {"--detach", NULL}, "detach", "true", "x", "--detach: given \"true\", allowed x"},
                {"list", {"frobs", NULL}, "kind", "frob", "mode, spawn", "KIND: given \"frobs\", allowed mode, spawn"},
                {"list", {NULL}, "unheard_of", "5", "6", "unheard_of: given \"5\", allowed 6"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                AUTO_JSON json_t *p = json_pack("{s:s, s:s, s:s}", "field", rows[i].field, "given", rows[i].given,
                                                "allowed", rows[i].allowed);
                AUTO_FREE char *error = NULL, *line = NULL;
                struct args args;

                ck_assert_int_eq(args_parse(command_find(rows[i].command), count_args(rows[i].argv), rows[i].argv,
                                            &args, &error),
                                 0);
                line = answer_format_bad_value(&args, p);
                ck_assert_str_eq(line, rows[i].line);
                args_deinit(&args);
        }
}
END_TEST

START_TEST(tables_are_consistent)
{
        for (size_t i = 0; commands[i]; i++) {
                const struct command *c = commands[i];

                ck_assert_ptr_eq(command_find(c->name), c);
                ck_assert(c->summary && c->options && c->exec);
                for (const struct option_spec *o = c->options; o->name; o++) {
                        bool excluded_exists = !o->excludes;

                        ck_assert_msg(o->help && (o->type == OPTION_FLAG) == !o->value, "%s --%s", c->name, o->name);
                        ck_assert_msg((o->type != OPTION_COUNT && o->type != OPTION_DURATION) || o->min < o->max,
                                      "%s --%s", c->name, o->name);
                        for (const struct option_spec *p = c->options; p->name; p++) {
                                ck_assert_msg(p == o || strcmp(p->name, o->name) != 0, "%s --%s", c->name, o->name);
                                excluded_exists |= o->excludes && strcmp(p->name, o->excludes) == 0;
                        }
                        ck_assert_msg(excluded_exists, "%s --%s", c->name, o->name);
                }
        }
}
END_TEST

/* The text that help prints; malloc'ed. */
static char *
help_text(const struct command *command)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (command)
                help_print_command(f, command);
        else
                help_print_overview(f);
        fclose(f);
        return text;
}

START_TEST(help_tells_all_that_the_tables_hold)
{
        AUTO_FREE char *overview = help_text(NULL);

        for (size_t i = 0; commands[i]; i++) {
                AUTO_FREE char *text = help_text(commands[i]), *summary = text_for_locale(commands[i]->summary);
                char option[64];

                ck_assert_ptr_nonnull(strstr(overview, summary));
                ck_assert_ptr_nonnull(strstr(text, summary));
                for (const struct option_spec *o = commands[i]->options; o->name; o++) {
                        snprintf(option, sizeof(option), "  --%s%s", o->name, o->value ? "=" : " ");
                        ck_assert_msg((strstr(text, option) == NULL) == o->advanced, "%s %s", commands[i]->name,
                                      option);
                }
        }
        for (const struct exit_code_row *row = exit_codes; row->meaning; row++)
                ck_assert_ptr_nonnull(strstr(overview, row->meaning));
}
END_TEST

START_TEST(usage_shows_operands)
{
        AUTO_FREE char *list = help_usage(command_find("list")), *describe = help_usage(command_find("describe"));

        ck_assert_str_eq(list, "concctl list [OPTION]… [KIND]");
        ck_assert_str_eq(describe, "concctl describe [OPTION]… NAME");
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("ctl_args");
        TCase *tc = tcase_create("args");

        tcase_add_loop_test(tc, options_become_fields, 0, ARRAY_SIZE(good));
        tcase_add_loop_test(tc, mistakes_are_named, 0, ARRAY_SIZE(bad));
        tcase_add_test(tc, help_wins_over_mistakes);
        tcase_add_test(tc, fields_are_called_as_people_call_them);
        tcase_add_test(tc, bad_values_are_said_in_the_persons_words);
        tcase_add_test(tc, tables_are_consistent);
        tcase_add_test(tc, help_tells_all_that_the_tables_hold);
        tcase_add_test(tc, usage_shows_operands);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
