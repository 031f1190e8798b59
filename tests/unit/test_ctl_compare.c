/* SPDX-License-Identifier: MIT */
/* Comparisons: from the options to the variants of the call, and the result as people see it. */
#include "ctl/args.h"
#include "ctl/bar.h"
#include "ctl/compare-command.h"
#include "ctl/compare-result.h"
#include "ctl/exit_code.h"
#include "ctl/text.h"
#include "ctl/vary.h"

#include "compare_fixture.h"
#include "run_suite.h"
#include "text_check.h"

#include <check.h>
#include <fcntl.h>
#include <locale.h>
#include <pty.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>

#define ARGS_MAX 8

/* ── options ── */

static int
count_args(const char *const *argv)
{
        int n = 0;

        while (argv[n])
                n++;
        return n;
}

static const struct {
        const char *argv[ARGS_MAX];
        const char *fields; /* of the call, sorted */
} good[] = {
        {{NULL},
         "{\"variants\":[{\"mode\":\"sequential\",\"name\":\"sequential\"},{\"mode\":\"process\",\"name\":\"process\"},"
         "{\"mode\":\"thread\",\"name\":\"thread\"},{\"mode\":\"gil\",\"name\":\"gil\"}]}"},
        {{"--modes=process,thread", "--count=1e6", NULL},
         "{\"count\":1000000,\"variants\":[{\"mode\":\"process\",\"name\":\"process\"},{\"mode\":\"thread\",\"name\":"
         "\"thread\"}]}"},
        {{"--workers=1,2", NULL},
         "{\"variants\":[{\"name\":\"workers=1\",\"workers\":1},{\"name\":\"workers=2\",\"workers\":2}]}"},
        {{"--workers=4", "--modes=thread,gil", NULL},
         "{\"variants\":[{\"mode\":\"thread\",\"name\":\"thread\"},{\"mode\":\"gil\",\"name\":\"gil\"}],\"workers\":"
         "4}"},
        {{"--vary=workers=1,2", "--modes=sequential,gil", NULL},
         "{\"variants\":[{\"mode\":\"sequential\",\"name\":\"sequential\"},{\"mode\":\"gil\",\"name\":\"gil "
         "workers=1\",\"workers\":1},{\"mode\":\"gil\",\"name\":\"gil workers=2\",\"workers\":2}]}"},
        {{"--vary=workers=1,2", "--vary=mode=sequential,process", NULL},
         "{\"variants\":[{\"mode\":\"sequential\",\"name\":\"sequential\"},{\"mode\":\"process\",\"name\":\"process "
         "workers=1\",\"workers\":1},{\"mode\":\"process\",\"name\":\"process workers=2\",\"workers\":2}]}"},
        {{"--workers=1,2", "--vary", "ns=100,200", "--mode=thread", "--workload=spin", NULL},
         "{\"mode\":\"thread\",\"variants\":["
         "{\"name\":\"ns=100 workers=1\",\"params\":{\"ns\":\"100\"},\"workers\":1},"
         "{\"name\":\"ns=100 workers=2\",\"params\":{\"ns\":\"100\"},\"workers\":2},"
         "{\"name\":\"ns=200 workers=1\",\"params\":{\"ns\":\"200\"},\"workers\":1},"
         "{\"name\":\"ns=200 workers=2\",\"params\":{\"ns\":\"200\"},\"workers\":2}],\"workload\":\"spin\"}"},
        {{"--vary=param.how=a=b,c", "--vary=param.ns=5", NULL},
         "{\"variants\":[{\"name\":\"how=a=b\",\"params\":{\"how\":\"a=b\",\"ns\":\"5\"}},"
         "{\"name\":\"how=c\",\"params\":{\"how\":\"c\",\"ns\":\"5\"}}]}"},
        {{"--vary=count=1e3,2k", NULL},
         "{\"variants\":[{\"count\":1000,\"name\":\"count=1e3\"},{\"count\":2000,\"name\":\"count=2k\"}]}"},
        {{"--vary=duration=5s,200ms", NULL},
         "{\"variants\":[{\"duration_ns\":5000000000,\"name\":\"duration=5s\"},{\"duration_ns\":200000000,\"name\":"
         "\"duration=200ms\"}]}"},
        {{"--vary=timeout=5ms,1s", "--vary=chunk=1,2", "--vary=spawn=pool", NULL},
         "{\"variants\":["
         "{\"chunk\":1,\"name\":\"timeout=5ms chunk=1\",\"spawn\":\"pool\",\"timeout_ns\":5000000},"
         "{\"chunk\":2,\"name\":\"timeout=5ms chunk=2\",\"spawn\":\"pool\",\"timeout_ns\":5000000},"
         "{\"chunk\":1,\"name\":\"timeout=1s chunk=1\",\"spawn\":\"pool\",\"timeout_ns\":1000000000},"
         "{\"chunk\":2,\"name\":\"timeout=1s chunk=2\",\"spawn\":\"pool\",\"timeout_ns\":1000000000}]}"},
        {{"--vary=libc=threaded,native", NULL},
         "{\"variants\":[{\"libc\":\"threaded\",\"name\":\"libc=threaded\"},{\"libc\":\"native\",\"name\":"
         "\"libc=native\"}]}"},
        {{"--vary=workload=calc,spin", "--vary=cpus=0,0-1", "--reference=spin cpus=0", NULL},
         "{\"reference\":\"spin cpus=0\",\"variants\":[{\"cpus\":[0],\"name\":\"calc cpus=0\",\"workload\":\"calc\"},"
         "{\"cpus\":[0,1],\"name\":\"calc cpus=0-1\",\"workload\":\"calc\"},{\"cpus\":[0],\"name\":\"spin cpus=0\","
         "\"workload\":\"spin\"},{\"cpus\":[0,1],\"name\":\"spin cpus=0-1\",\"workload\":\"spin\"}]}"},
        {{"--aa", "--count=5", NULL}, "{\"aa\":true,\"count\":5}"},
        {{"--aa", "--modes=gil", NULL}, "{\"aa\":true,\"variants\":[{\"mode\":\"gil\"}]}"},
        {{"--aa", "--workers=2", "--mode=thread", "--rounds=10", "--seed=0", NULL},
         "{\"aa\":true,\"mode\":\"thread\",\"rounds\":10,\"seed\":0,\"workers\":2}"},
        {{"--aa", "--precision=0.5 %", NULL}, "{\"aa\":true,\"precision\":0.0050000000000000001}"},
};

/* What the command line becomes; *ret_error: why not. */
static json_t *
fields_of(const char *const *argv, char **ret_error)
{
        json_t *fields = NULL;
        struct args args;
        int r = args_parse(command_find("compare"), count_args(argv), argv, &args, ret_error);

        if (r == 0) {
                r = vary_complete(&args, ret_error);
                fields = r == 0 ? json_incref(args.fields) : NULL;
                args_deinit(&args);
        }
        if (r != 0)
                ck_assert_int_eq(r, CTL_EXIT_USAGE);
        return fields;
}

START_TEST(options_become_variants)
{
        AUTO_FREE char *error = NULL, *text = NULL;
        AUTO_JSON json_t *fields = fields_of(good[_i].argv, &error);

        ck_assert_msg(fields != NULL, "%s", error);
        text = json_dumps(fields, JSON_COMPACT | JSON_SORT_KEYS);
        ck_assert_str_eq(text, good[_i].fields);
}
END_TEST

/* Every part of `says` (parted by '|') must be in the message. */
static const struct {
        const char *argv[ARGS_MAX];
        const char *says;
} bad[] = {
        {{"--modes=process", NULL}, "nothing to compare|--aa"},
        {{"--mode=process", NULL}, "nothing to compare|--aa"},
        {{"--vary=spawn=pool", NULL}, "nothing to compare"},
        {{"--modes=sequential", "--workers=1,2", NULL}, "--workers|\"1,2\"|sequential always has one worker"},
        {{"--mode", "sequential", "--workers", "1,2", NULL}, "--workers|\"1,2\"|sequential always has one worker"},
        {{"--vary=workers=1,2", "--mode=sequential", NULL}, "--vary workers|\"1,2\"|sequential always has one"},
        {{"--vary=workers=1,2", "--vary=mode=sequential", NULL}, "--vary workers|\"1,2\"|sequential always has"},
        {{"--aa", "--modes=process,thread", NULL}, "--aa|2 variants|allowed 1"},
        {{"--aa", "--reference=x", NULL}, "--aa|--reference|contradict"},
        {{"--modes=process,thread", "--mode=gil", NULL}, "--modes|--mode|contradict"},
        {{"--modes=process,thread", "--vary=mode=gil", NULL}, "--vary mode|twice"},
        {{"--vary=mode=process,thread", "--mode=gil", NULL}, "--vary mode|--mode|contradict"},
        {{"--vary=workers=1,2", "--workers=2", NULL}, "--vary workers|--workers|contradict"},
        {{"--vary=workers=1,2", "--workers=2,3", NULL}, "--workers|twice"},
        {{"--vary=ns=1,2", "--param=ns=3", NULL}, "--vary ns|--param|contradict"},
        {{"--vary=ns=1,2", "--vary=param.ns=3", NULL}, "--vary param.ns|twice"},
        {{"--vary=ns=1,2", "--vary=ns=3", NULL}, "--vary|\"ns\"|twice"},
        {{"--vary=count=1,2", "--count=3", NULL}, "--vary count|--count|contradict"},
        {{"--vary=count=1,2", "--duration=1s", NULL}, "--vary count|--duration|contradict"},
        {{"--vary=duration=1s,2s", "--count=3", NULL}, "--vary duration|--count|contradict"},
        {{"--vary=count=1,2", "--vary=duration=1s", NULL}, "count|duration|contradict"},
        {{"--modes=process,process", NULL}, "--modes|\"process\"|twice"},
        {{"--workers=1,2,1", NULL}, "--workers|\"1\"|twice"},
        {{"--vary=count=1000,1e3", NULL}, "--vary count|\"1e3\"|twice"},
        {{"--modes=process,,thread", NULL}, "--modes|\"process,,thread\"|comma"},
        {{"--modes=process,", NULL}, "--modes|comma"},
        {{"--vary=count=0,5", NULL}, "--vary count|\"0\"|1 to 10^15"},
        {{"--vary=count=5,many", NULL}, "--vary count|\"many\"|1 to 10^15"},
        {{"--vary=duration=5,6", NULL}, "--vary duration|\"5\"|unit"},
        {{"--vary=timeout=1us,1s", NULL}, "--vary timeout|\"1us\"|1ms"},
        {{"--vary=chunk=-1,1", NULL}, "--vary chunk|\"-1\""},
        {{"--vary=cpus=0,1-0", NULL}, "--vary cpus|\"1-0\""},
        {{"--workers=1,x", NULL}, "--workers|\"x\"|whole number"},
        {{"--workers=x", NULL}, "--workers|\"x\"|whole number"},
        {{"--workers=1.5", NULL}, "--workers|\"1.5\""},
        {{"--vary=rounds=1,2", NULL}, "--vary|\"rounds\"|workers"},
        {{"--vary=param.=1,2", NULL}, "--vary|\"param.\""},
        {{"--vary=mode", NULL}, "--vary|\"mode\"|KEY=VALUE"},
        {{"--vary==a,b", NULL}, "--vary|KEY=VALUE"},
        {{"--vary=mode=", NULL}, "--vary|\"mode=\""},
        {{"--vary=a=1,2,3,4,5", "--vary=b=1,2,3,4,5", "--vary=c=1,2,3", NULL}, "--vary c|64"},
        {{"--reference=proces", NULL}, "--reference|\"proces\"|thread|did you mean \"process\""},
        {{"--rounds=0", NULL}, "--rounds|\"0\"|10 to 1000"},
        {{"--rounds=9", NULL}, "--rounds|\"9\"|10 to 1000"},
        {{"--rounds=1001", NULL}, "--rounds|10 to 1000"},
        {{"--rounds=10", "--precision=1%", NULL}, "--rounds|--precision|contradict"},
        {{"--precision=0", NULL}, "--precision|\"0\"|0.1% to 50%"},
        {{"--precision=60%", NULL}, "--precision|\"60%\"|0.1% to 50%"},
        {{"--precision=0.05%", NULL}, "--precision|0.1% to 50%"},
        {{"--precision=1", NULL}, "--precision|\"1\""},
        {{"--precision=1%%", NULL}, "--precision"},
        {{"--precision=1% ", NULL}, "--precision"},
        {{"--precision=1.0.0%", NULL}, "--precision"},
        {{"--precision=nan", NULL}, "--precision|\"nan\""},
        {{"--precision=-1%", NULL}, "--precision|\"-1%\""},
        {{"--precision=%", NULL}, "--precision"},
        {{"--precision=0.01 ", NULL}, "--precision"},
        {{"--seed=4294967296", NULL}, "--seed|4294967295"},
        {{"--detach", "--report=x.html", NULL}, "--report|--detach|contradict"},
        {{"--detach", "--export-csv=x", NULL}, "--export-csv|--detach|contradict"},
        {{"--count=5", "--duration=1s", NULL}, "--count|--duration|contradict"},
};

START_TEST(mistakes_are_named)
{
        AUTO_FREE char *error = NULL, *says = strdup(bad[_i].says);
        AUTO_JSON json_t *fields = fields_of(bad[_i].argv, &error);

        ck_assert_ptr_null(fields);
        ck_assert_ptr_nonnull(error);
        for (char *part = strtok(says, "|"); part; part = strtok(NULL, "|"))
                ck_assert_msg(strstr(error, part) != NULL, "\"%s\" does not say \"%s\"", error, part);
}
END_TEST

/* 64 are allowed, and all of them differ. */
START_TEST(as_many_variants_as_are_allowed)
{
        static const char *const argv[] = {"--vary=a=1,2,3,4", "--vary=b=1,2,3,4", "--workers=1,2,3,4", NULL};
        AUTO_FREE char *error = NULL;
        AUTO_JSON json_t *fields = fields_of(argv, &error), *names = json_object();
        json_t *variant;
        size_t i;

        json_array_foreach(json_object_get(fields, "variants"), i, variant)
                json_object_set_new(names, json_string_value(json_object_get(variant, "name")), json_true());
        ck_assert_uint_eq(json_object_size(names), VARY_VARIANTS_MAX);
}
END_TEST

/* ── output ── */

static json_t *
variant(json_t *compare, size_t i)
{
        return json_array_get(json_object_get(compare, "variants"), i);
}

static void
set(json_t *object, const char *changes)
{
        AUTO_JSON json_t *c = json_loads(changes, 0, NULL);

        ck_assert_ptr_nonnull(c);
        json_object_update_recursive(object, c);
}

static char *
print(const json_t *compare, bool explain)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        compare_result_print(f, compare, explain);
        fclose(f);
        return text;
}

static char *
print_brief(const json_t *compare)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        compare_result_print_brief(f, compare);
        fclose(f);
        return text;
}

/* A bare root may have no /dev/pts. */
static bool
are_there_terminals(void)
{
        int controller, terminal;

        if (openpty(&controller, &terminal, NULL, NULL, NULL) < 0)
                return false;
        close(controller);
        close(terminal);
        return true;
}

/* What stands on a terminal that is so wide; it fits what a terminal holds back. */
static char *
print_on_terminal(const json_t *compare, unsigned short columns)
{
        struct winsize size = {.ws_row = 40, .ws_col = columns};
        struct termios raw;
        char *text = calloc(1, 4096);
        int controller, terminal;
        ssize_t n;
        FILE *f;

        cfmakeraw(memset(&raw, 0, sizeof(raw)));
        ck_assert_int_eq(openpty(&controller, &terminal, NULL, &raw, &size), 0);
        f = fdopen(terminal, "w");
        compare_result_print(f, compare, false);
        fflush(f);
        ck_assert_int_eq(fcntl(controller, F_SETFL, O_NONBLOCK), 0);
        for (size_t at = 0; (n = read(controller, text + at, 4095 - at)) > 0;)
                at += (size_t)n;
        fclose(f);
        close(controller);
        return text;
}

static void
use_locale(const char *name)
{
        setenv("LC_ALL", name, 1);
        text_init();
        ck_assert_int_eq(text_is_utf8(), strcmp(name, "C") != 0);
}

#define TITLE_ASCII "calc(n=999) x 1000 - 2 workers - 11 rounds, interleaved - seed 7341\n"
#define NOTE_ASCII  "  process: 2 outliers: rounds 3, 11; counted like all others\n"

START_TEST(a_comparison_in_ascii)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = print(compare, false);

        ck_assert_str_eq(
                text, TITLE_ASCII
                "  MODE       MEDIAN 95 % INTERVAL SPEED-UP CORES WHY\n"
                "  sequential 752 ms   751 ... 754     1.00  1.00 one worker\n"
                "  process    381 ms   380 ... 385     1.97  1.98 both cores busy, nothing shared\n"
                "  thread     380 ms   379 ... 382     1.98  1.98 as process: C threads share no lock here\n"
                "  gil        779 ms   774 ... 784     0.97  1.00 while one worker ran the other waited for the "
                "interpreter lock 99 % of the time\n" NOTE_ASCII);
}
END_TEST

START_TEST(a_comparison_on_a_wide_terminal)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL, *ascii = NULL;

        use_locale("C.UTF-8");
        text = print_on_terminal(compare, 120);
        ck_assert_str_eq(
                text,
                "calc(n=999) × 1000 · 2 workers · 11 rounds, interleaved · seed 7341\n"
                "  MODE       MEDIAN 95 % INTERVAL TIME       SPEED-UP CORES WHY\n"
                "  sequential 752 ms     751 … 754 █████████▋     1.00  1.00 one worker\n"
                "  process    381 ms     380 … 385 ████▉          1.97  1.98 both cores busy, nothing shared\n"
                "  thread     380 ms     379 … 382 ████▉          1.98  1.98 as process: C threads share no lock here\n"
                "  gil        779 ms     774 … 784 ██████████     0.97  1.00 while one worker ran the other waited for "
                "the interpreter\n"
                "                                                            lock 99 % of the time\n"
                "  process: 2 outliers: rounds 3, 11; counted like all others\n");
        use_locale("C");
        ascii = print_on_terminal(compare, 120);
        assert_says(ascii, "779 ms   774 ... 784 ##########     0.97");
        assert_says(ascii, "381 ms   380 ... 385 #####          1.97");
}
END_TEST

START_TEST(a_comparison_on_a_narrow_terminal)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL;

        use_locale("C.UTF-8");
        text = print_on_terminal(compare, 80);
        ck_assert_str_eq(text, "calc(n=999) × 1000 · 2 workers · 11 rounds, interleaved · seed 7341\n"
                               "  MODE       MEDIAN 95 % INTERVAL SPEED-UP CORES WHY\n"
                               "  sequential 752 ms     751 … 754     1.00  1.00 one worker\n"
                               "  process    381 ms     380 … 385     1.97  1.98 both cores busy, nothing shared\n"
                               "  thread     380 ms     379 … 382     1.98  1.98 as process: C threads share no\n"
                               "                                                 lock here\n"
                               "  gil        779 ms     774 … 784     0.97  1.00 while one worker ran the other\n"
                               "                                                 waited for the interpreter lock\n"
                               "                                                 99 % of the time\n"
                               "  process: 2 outliers: rounds 3, 11; counted like all others\n");
        use_locale("C");
}
END_TEST

START_TEST(a_comparison_in_brief)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = print_brief(compare);

        ck_assert_str_eq(text, "sequential - 752 ms (751 ... 754) - reference\n"
                               "process - 381 ms (380 ... 385) - 1.97 x sequential\n"
                               "thread - 380 ms (379 ... 382) - 1.98 x sequential\n"
                               "gil - 779 ms (774 ... 784) - 0.97 x sequential\n");
}
END_TEST

START_TEST(what_was_cut_short_says_so)
{
        static const struct {
                const char *changes, *begin, *brief;
        } rows[] = {
                {"{\"state\":\"cancelled\",\"partial\":true,\"rounds\":4,\"reason\":\"by its caller\"}",
                 "cancelled: 4 of 11 rounds were measured (by its caller)\ncalc(n=999) x 1000 - 2 workers - 4 rounds,",
                 "cancelled: 4 of 11 rounds were measured (by its caller)\nsequential - "},
                {"{\"state\":\"cancelled\",\"partial\":true,\"rounds\":4,\"rounds_asked\":null}",
                 "cancelled: 4 rounds were measured\ncalc", "cancelled: 4 rounds"},
                {"{\"state\":\"failed\",\"reason\":\"3 tasks failed\"}", "failed: 3 tasks failed\ncalc",
                 "failed: 3 tasks failed\nsequential"},
                {"{\"partial\":true,\"rounds\":1}", "partial: 1 of 11 rounds were measured\n", "partial: 1"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                AUTO_JSON json_t *compare = compare_fixture();
                AUTO_FREE char *text = NULL, *brief = NULL;

                set(compare, rows[i].changes);
                text = print(compare, false);
                brief = print_brief(compare);
                assert_begins(text, rows[i].begin);
                assert_begins(brief, rows[i].brief);
        }
}
END_TEST

START_TEST(too_few_rounds_make_no_verdict)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL, *whole = print(compare, false);

        assert_silent(whole, "no verdict");
        set(compare, "{\"rounds\":1}");
        set(variant(compare, 1), "{\"verdict\":\"none\",\"median_interval\":null,\"speed_up_interval\":null}");
        set(variant(compare, 2), "{\"median_s\":null,\"speed_up\":null,\"median_interval\":null}");
        text = print(compare, false);
        assert_says(text, "  fewer than 10 rounds: no verdict\n");
        assert_says(text, "  process    381 ms             -     1.97  1.98 ");
        assert_says(text, "  thread          -             -        -  1.98 ");
}
END_TEST

START_TEST(what_is_unclear_is_marked)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL, *brief = NULL;

        set(variant(compare, 3), "{\"verdict\":\"unclear\",\"speed_up\":1.004}");
        text = print(compare, false);
        brief = print_brief(compare);
        assert_says(text, "   ~1.00  1.00 ");
        assert_says(text, "  ~ its interval contains 1: neither is called faster\n");
        assert_says(brief, " - ~1.00 x sequential\n");
}
END_TEST

START_TEST(notes_are_told)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL;

        set(compare, "{\"precision\":0.01,\"precision_reached\":false,\"resumed\":2,\"rounds\":1000}");
        set(variant(compare, 0), "{\"outliers\":[6],\"failed\":3,\"wrong\":2,\"repeated\":1,\"restarts\":4}");
        text = print(compare, false);
        assert_says(text, "  precision +-1 % not reached after 1000 rounds\n");
        assert_says(text, "  sequential: 1 outlier: round 7; counted like all others\n");
        assert_says(text, "  sequential: 3 of 11 000 tasks failed (2 with a wrong result)\n");
        assert_says(text, "  sequential: 1 round measured again, because a daemon was killed within\n");
        assert_says(text, "  sequential: 4 restarts of workers within the rounds\n");
        assert_says(text, "  the daemon was restarted within the job (resumed 2 times)\n");
        set(compare, "{\"precision_reached\":true}");
        free(text);
        text = print(compare, false);
        assert_says(text, "  precision +-1 % reached after 1000 rounds\n");
        ck_assert_int_eq(compare_result_failed(compare), 3);
}
END_TEST

/* Two variants of the fixture, called A and B. */
static json_t *
aa_fixture(const char *trusted)
{
        json_t *compare = compare_fixture();

        set(compare, "{\"aa\":true,\"reference\":\"A\"}");
        set(compare, trusted);
        json_array_remove(json_object_get(compare, "variants"), 3);
        json_array_remove(json_object_get(compare, "variants"), 0);
        set(variant(compare, 0), "{\"name\":\"A\",\"mode\":\"process\"}");
        set(variant(compare, 1),
            "{\"name\":\"B\",\"mode\":\"process\",\"speed_up\":1.0023,\"speed_up_interval\":{\"low\":"
            "0.9971,\"high\":1.0081},\"verdict\":\"unclear\"}");
        return compare;
}

START_TEST(a_comparison_with_itself)
{
        AUTO_JSON json_t *good_machine = aa_fixture("{\"trusted\":true}"), *noisy = aa_fixture("{\"trusted\":false}"),
                         *few = aa_fixture("{\"trusted\":null}"), *empty = aa_fixture("{\"trusted\":null}");
        AUTO_FREE char *text = print(good_machine, false), *brief = print_brief(good_machine),
                       *bad_text = print(noisy, false), *few_text = print(few, false), *noisy_text = NULL,
                       *empty_text = NULL, *none_text = NULL;

        assert_begins(text,
                      "calc(n=999) x 1000 - process - 2 workers - 11 rounds, interleaved - seed 7341\n  VARIANT ");
        assert_says(text, "\n  this machine can be trusted now: A/A ratio 1.002, 95 % 0.997 ... 1.008\n");
        ck_assert_str_eq(brief, "this machine can be trusted now: A/A ratio 1.002, 95 % 0.997 ... 1.008\n");
        ck_assert_ptr_null(strstr(text, "noisy"));
        set(json_object_get(json_array_get(json_object_get(good_machine, "variants"), 1), "speed_up_interval"),
            "{\"low\":0.81,\"high\":1.15}");
        noisy_text = print(good_machine, false);
        assert_says(noisy_text, "  this machine is noisy now: only differences beyond +-19 % can be told: A/A ratio");
        assert_says(bad_text, "  this machine cannot be trusted now: A/A ratio");
        assert_says(few_text, "  too few rounds to tell whether this machine can be trusted: A/A ratio");
        set(json_array_get(json_object_get(empty, "variants"), 1), "{\"speed_up\":null,\"speed_up_interval\":null}");
        empty_text = print(empty, false);
        assert_says(empty_text, "  a round had no task: it cannot be told whether this machine can be trusted\n");
        set(empty, "{\"rounds\":1}");
        none_text = print(empty, false);
        assert_says(none_text, "  too few rounds to tell whether this machine can be trusted\n");
}
END_TEST

START_TEST(different_counts_are_compared_per_task)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL;

        set(variant(compare, 1), "{\"count\":2000,\"s_per_task\":0.0001905}");
        text = print(compare, false);
        assert_begins(text, "calc(n=999) - 2 workers - ");
        assert_says(text, " PER TASK 95 % INTERVAL ");
        assert_says(text, "  sequential   752 us   751 ... 754 ");
        assert_says(text, "  process      190 us   190 ... 192 ");
}
END_TEST

/* All rounds are as long: only how many tasks were done in them differs. */
START_TEST(runs_by_duration_are_compared_per_task)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL;

        for (size_t i = 0; i < 4; i++) {
                json_t *v = variant(compare, i), *times = json_array(), *tasks = json_array();

                for (int k = 0; k < FIXTURE_ROUNDS; k++) {
                        json_array_append_new(times, json_real(0.2));
                        json_array_append_new(tasks, json_integer(i == 0 ? 400 : 800));
                }
                set(v, i == 0 ? "{\"count\":null,\"duration_s\":0.2,\"s_per_task\":0.0005}"
                              : "{\"count\":null,\"duration_s\":0.2,\"s_per_task\":0.00025}");
                json_object_set_new(v, "times_s", times);
                json_object_set_new(v, "tasks", tasks);
        }
        text = print(compare, false);
        assert_begins(text, "calc(n=999) for 200 ms - 2 workers - 11 rounds");
        assert_says(text, "  sequential   500 us   500 ... 500 ");
        assert_says(text, "  gil          250 us   250 ... 250 ");
        free(text);
        text = print(compare, true);
        assert_says(text, "  per round  mean 250 us +- 0 ns - min 250 us - max 250 us, each divided by its tasks - ");
}
END_TEST

/* A round that ends before its first task does: nothing can be divided. */
START_TEST(rounds_without_a_task_are_not_compared)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL, *brief = NULL;

        for (size_t i = 0; i < 4; i++)
                set(variant(compare, i), "{\"count\":null,\"duration_s\":0.03}");
        set(variant(compare, 3), "{\"s_per_task\":null,\"speed_up\":null,\"speed_up_interval\":null,\"verdict\":"
                                 "\"none\",\"why\":\"no task\"}");
        json_array_set_new(json_object_get(variant(compare, 3), "tasks"), 2, json_integer(0));
        text = print(compare, true);
        brief = print_brief(compare);
        assert_says(text, "  gil               -             -        -  1.00 no task\n");
        assert_says(brief, "\ngil - - per task (-) - -\n");
        assert_says(text, "verdict none\n  per round  20 ms steal in all\n");
}
END_TEST

/* ── the command ── */

static const struct {
        const char *argv[ARGS_MAX];
        const char *command;
} typed[] = {
        {{NULL}, "concctl compare --seed 7"},
        {{"--seed=5", NULL}, "concctl compare --seed=5"},
        {{"--cpus", "0-1", "--chunk=7", "--warmup=0", "--timeout", "2s", NULL},
         "concctl compare --cpus 0-1 --chunk=7 --warmup=0 --timeout 2s --seed 7"},
        {{"--report", "a b", "--trace=x", "--json", "--modes=gil,thread", NULL},
         "concctl compare --modes=gil,thread --seed 7"},
        {{"--export-json=-", "--export-csv", "--aa", "--export-markdown", "m", "--aa", NULL},
         "concctl compare --aa --seed 7"},
        {{"--quiet", "--explain", "--socket", "/s", "--detach", "--id=00112233445566778899aabbccddeeff", "--", NULL},
         "concctl compare --seed 7"},
        {{"--reference", "--json", "--param=how=it's $x", "--workers", "4,2", NULL},
         "concctl compare --reference --json '--param=how=it'\\''s $x' --workers 4,2 --seed 7"},
};

START_TEST(the_command_is_as_it_was_typed)
{
        AUTO_FREE char *error = NULL, *command = NULL;
        struct args args;

        ck_assert_int_eq(args_parse(command_find("compare"), count_args(typed[_i].argv), typed[_i].argv, &args, &error),
                         0);
        command = compare_command(&args, 7);
        ck_assert_str_eq(command, typed[_i].command);
        args_deinit(&args);
}
END_TEST

START_TEST(the_first_column_is_what_was_varied)
{
        static const struct {
                const char *names[2], *heading, *cell;
        } rows[] = {
                {{"workers=1", "workers=12"}, "  WORKERS ", "\n  12 "},
                {{"ns=1", "ns=2"}, "  NS ", "\n  1 "},
                {{"spawn=pool chunk=1", "spawn=pool chunk=2"}, "  VARIANT ", "\n  spawn=pool chunk=1 "},
                {{"process", "process workers=2"}, "  VARIANT ", "\n  process workers=2 "},
                {{"process", "thread"}, "  MODE ", "\n  thread "},
                {{"calc", "calc"}, "  WORKLOAD ", "\n  calc "},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                AUTO_JSON json_t *compare = compare_fixture();
                AUTO_FREE char *text = NULL;

                json_array_remove(json_object_get(compare, "variants"), 3);
                json_array_remove(json_object_get(compare, "variants"), 0);
                for (size_t k = 0; k < 2; k++)
                        json_object_set_new(variant(compare, k), "name", json_string(rows[i].names[k]));
                text = print(compare, false);
                assert_says(text, rows[i].heading);
                assert_says(text, rows[i].cell);
        }
}
END_TEST

START_TEST(titles_tell_what_all_have_in_common)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *same = NULL, *differing = NULL, *several = NULL;

        for (size_t i = 0; i < 4; i++) {
                json_object_clear(json_object_get(variant(compare, i), "params"));
                set(variant(compare, i), "{\"mode\":\"gil\",\"spawn\":\"per-task\",\"libc\":\"native\",\"workers\":3,"
                                         "\"params\":{\"ns\":\"5\",\"how\":\"a\"}}");
        }
        same = print(compare, false);
        assert_begins(same, "calc(ns=5, how=a) x 1000 - gil per task - 3 workers - libc native - 11 rounds, ");
        set(variant(compare, 2), "{\"workers\":4,\"params\":{\"ns\":\"6\"}}");
        differing = print(compare, false);
        assert_begins(differing, "calc x 1000 - gil per task - libc native - 11 rounds, ");
        set(variant(compare, 2), "{\"workload\":\"spin\"}");
        several = print(compare, false);
        assert_begins(several, "several workloads x 1000 - ");
}
END_TEST

START_TEST(scaling_is_a_table_of_its_own)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL, *peak = NULL, *no_peak = NULL, *fitted = NULL, *all_serial = NULL;
        json_t *points;

        set(compare,
            "{\"scaling\":[{\"name\":\"process\",\"points\":["
            "{\"workers\":1,\"tasks_per_s\":1330.4,\"speed_up\":1.0,\"speed_up_interval\":null,\"fitted\":1.0},"
            "{\"workers\":8,\"tasks_per_s\":8640.0,\"speed_up\":6.494,\"speed_up_interval\":{\"low\":6.41,"
            "\"high\":6.57},\"fitted\":6.5}],\"serial\":0.031,\"sigma\":0.029,\"kappa\":0.0001,\"peak\":98.4,"
            "\"rms_relative\":0.012,\"limit\":\"work is done one after another in 3 % of the time\"}]}");
        text = print(compare, false);
        assert_silent(text, "serial fraction");
        assert_silent(text, "peak");
        assert_says(text, NOTE_ASCII "\nScaling of process\n"
                                     "  WORKERS TASKS/S SPEED-UP 95 % INTERVAL FITTED\n"
                                     "        1   1 330     1.00             -      -\n"
                                     "        8   8 640     6.49 6.41 ... 6.57      -\n"
                                     "  two points only: no fit\n"
                                     "  limit: work is done one after another in 3 % of the time\n");
        points = json_object_get(json_array_get(json_object_get(compare, "scaling"), 0), "points");
        json_array_append(points, json_array_get(points, 1));
        peak = print(compare, false);
        assert_says(peak, "  serial fraction 3.1 % (Amdahl) - contention 2.9 %, coherence 0.01 % (USL) - peak at 98.4 "
                          "workers\n");
        assert_says(peak, "        8   8 640     6.49 6.41 ... 6.57   6.50\n");
        set(json_array_get(json_object_get(compare, "scaling"), 0), "{\"rms_relative\":0.012,\"kappa\":0.0}");
        no_peak = print(compare, false);
        assert_says(no_peak, "coherence 0 % (USL)\n");
        /* More points than parameters. */
        json_array_append(points, json_array_get(points, 1));
        fitted = print(compare, false);
        assert_says(fitted, "coherence 0 % (USL) - the fit is off by 1.2 %\n");
        set(json_array_get(json_object_get(compare, "scaling"), 0), "{\"serial\":1.0}");
        all_serial = print(compare, false);
        assert_says(all_serial, "serial fraction 100 % (Amdahl)");
}
END_TEST

START_TEST(the_evidence_is_explained)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = print(compare, true), *without = print(compare, false);

        assert_silent(without, "QUEUED");
        assert_says(text,
                    "\n\ngil - rule \"interpreter-lock\" - verdict slower\n"
                    "  speed-up   0.965 over sequential, 95 % 0.958 ... 0.972\n"
                    "  per round  mean 780 ms +- 6.34 ms - min 770 ms - max 790 ms - 20 ms steal in all\n"
                    "  per task   p50 754 us - p90 776 us - p99 5.78 ms - max 5.83 ms\n"
                    "  evidence   of 11 rounds - chunk 7 - checksum 0x1fc6a0b9c84ec9c8\n"
                    "  WORKER    TASKS   USER  SYSTEM  QUEUED BLOCKED   LOCK TAKEN  VOL INVOL MINOR MAJOR RESTARTS\n"
                    "  #0 thread  5500 4.28 s 8.58 ms 11.3 ms    0 ns 4.24 s   860 1716    31    12     0        0\n");
        assert_says(text, "\n\nqueued: runnable, but not running - ");
        assert_says(text, "\nmachine\n"
                          "  CPU        Intel(R) Xeon(R) CPU @ 2.80GHz - 2 of 2 online usable - governor performance - "
                          "virtual machine\n"
                          "  MHz        2801 before, 2798 after\n"
                          "  load       0.21 before, 1.82 after - 90 ms steal\n"
                          "  system     Linux 6.1.0-18-amd64 - glibc 2.36 - gcc 12.2.0\n"
                          "  method     clock CLOCK_MONOTONIC - start barrier spin - parked thread yes\n"
                          "  job        1 round of warm-up - 27.7 s in all\n");
        set(compare, "{\"mhz_before\":null,\"environment\":{\"mhz\":null,\"quota_cpus\":1.5}}");
        set(variant(compare, 0), "{\"libc\":\"native\"}");
        set(variant(compare, 3), "{\"latency_ns\":{\"max\":null,\"max_sampled\":5,\"every\":64}}");
        free(text);
        text = print(compare, true);
        assert_says(text, " - quota 1.5 - ");
        assert_says(text, "  MHz        unknown\n");
        assert_says(text, "parked thread where libc is threaded\n");
        assert_says(text, "max 5 ns of one task in 64\n");
}
END_TEST

START_TEST(a_result_without_fields_is_harmless)
{
        static const char *const shapes[] = {"{}", "{\"variants\":[{},{}],\"scaling\":[{}],\"aa\":true}",
                                             "{\"variants\":[{\"median_s\":-1},{\"count\":null,\"times_s\":[1]}]}"};

        for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
                AUTO_JSON json_t *compare = json_loads(shapes[i], 0, NULL);
                AUTO_FREE char *text = print(compare, true), *brief = print_brief(compare);

                assert_says(text, "interleaved");
                assert_silent(brief, "interleaved");
        }
}
END_TEST

START_TEST(scales_tell_an_interval_from_a_point)
{
        static const struct {
                double seconds, low, high;
                const char *unit;
                int decimals;
        } rows[] = {
                {0.752, 0.748, 0.757, "ms", 0},
                {0.752, 0.7518, 0.7523, "ms", 1},
                {0.0752, 0.07, 0.08, "ms", 1},
                {0.00752, 0.007, 0.008, "ms", 2},
                {1.234, 1.2, 1.3, "s", 2},
                {5, 4.999, 5.001, "s", 3},
                {5, 4.9999999, 5.0000001, "s", 3},
                {7.5e-5, 7e-5, 8e-5, "µs", 1},
                {1.5e-8, 1e-8, 2e-8, "ns", 1},
                {999, 990, 1010, "s", 0},
                {1200, 1100, 1300, "min", 1},
                {72000, 70000, 74000, "h", 1},
                {0.752, 0, 0, "ms", 0},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct compare_scale s = compare_scale_of(rows[i].seconds, rows[i].low, rows[i].high);

                ck_assert_msg(strcmp(s.unit, rows[i].unit) == 0 && s.decimals == rows[i].decimals, "%g s: %s, %d",
                              rows[i].seconds, s.unit, s.decimals);
        }
}
END_TEST

START_TEST(bars_are_as_long_as_their_part)
{
        static const struct {
                double part;
                const char *utf8, *ascii;
        } rows[] = {
                {0, "", ""},          {-1, "", ""},      {0.0001, "▏", "#"},        {0.25, "█", "#"},
                {0.28125, "█▏", "#"}, {0.5, "██", "##"}, {0.96875, "███▉", "####"}, {1, "████", "####"},
                {17, "████", "####"},
        };
        char buf[BAR_SIZE(4)];

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                ck_assert_str_eq(bar_format(buf, rows[i].part, 4, true), rows[i].utf8);
                ck_assert_str_eq(bar_format(buf, rows[i].part, 4, false), rows[i].ascii);
        }
        ck_assert_str_eq(bar_format(buf, NAN, 4, true), "");
}
END_TEST

static TCase *
make_output(void)
{
        TCase *tc = tcase_create("output");

        tcase_add_test(tc, a_comparison_in_ascii);
        if (are_there_terminals()) {
                tcase_add_test(tc, a_comparison_on_a_wide_terminal);
                tcase_add_test(tc, a_comparison_on_a_narrow_terminal);
        } else
                fputs("skipped: what is seen on a terminal; there is none to be had here\n", stderr);
        tcase_add_test(tc, a_comparison_in_brief);
        tcase_add_test(tc, what_was_cut_short_says_so);
        tcase_add_test(tc, too_few_rounds_make_no_verdict);
        tcase_add_test(tc, what_is_unclear_is_marked);
        tcase_add_test(tc, notes_are_told);
        tcase_add_test(tc, a_comparison_with_itself);
        tcase_add_test(tc, different_counts_are_compared_per_task);
        tcase_add_test(tc, runs_by_duration_are_compared_per_task);
        tcase_add_test(tc, rounds_without_a_task_are_not_compared);
        tcase_add_test(tc, the_first_column_is_what_was_varied);
        tcase_add_test(tc, titles_tell_what_all_have_in_common);
        tcase_add_test(tc, scaling_is_a_table_of_its_own);
        tcase_add_test(tc, the_evidence_is_explained);
        tcase_add_test(tc, a_result_without_fields_is_harmless);
        tcase_add_test(tc, scales_tell_an_interval_from_a_point);
        tcase_add_test(tc, bars_are_as_long_as_their_part);
        return tc;
}

int
main(void)
{
        Suite *suite = suite_create("ctl_compare");
        TCase *options = tcase_create("options");

        tcase_add_loop_test(options, options_become_variants, 0, ARRAY_SIZE(good));
        tcase_add_loop_test(options, mistakes_are_named, 0, ARRAY_SIZE(bad));
        tcase_add_loop_test(options, the_command_is_as_it_was_typed, 0, ARRAY_SIZE(typed));
        tcase_add_test(options, as_many_variants_as_are_allowed);
        suite_add_tcase(suite, options);
        suite_add_tcase(suite, make_output());
        return run_suite(suite);
}
