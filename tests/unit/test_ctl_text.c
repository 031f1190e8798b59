/* SPDX-License-Identifier: MIT */
/* What concctl reads and writes: suggestions, exit codes, CPU lists, text for the locale, fields of replies, job
 * ids. */
#include "ctl/cpulist.h"
#include "ctl/exit_code.h"
#include "ctl/field.h"
#include "ctl/job_id.h"
#include "ctl/suggest.h"
#include "ctl/table.h"
#include "ctl/text.h"

#include "run_suite.h"

#include <check.h>
#include <string.h>

START_TEST(distances)
{
        static const struct {
                const char *a, *b;
                unsigned distance;
        } rows[] = {
                {"", "", 0},         {"", "abc", 3},           {"run", "run", 0},
                {"rnu", "run", 1},   {"proces", "process", 1}, {"kitten", "sitting", 3},
                {"abcd", "badc", 2}, {"ca", "abc", 3},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                size_t a = strlen(rows[i].a), b = strlen(rows[i].b);

                ck_assert_uint_eq(suggest_distance(rows[i].a, a, rows[i].b, b), rows[i].distance);
                ck_assert_uint_eq(suggest_distance(rows[i].b, b, rows[i].a, a), rows[i].distance);
        }
        ck_assert_uint_eq(suggest_distance(rows[0].a, 0, "", SUGGEST_WORD_MAX + 1), SUGGEST_WORD_MAX + 1);
}
END_TEST

START_TEST(suggestions)
{
        static const struct {
                const char *given, *allowed, *best; /* NULL: none */
        } rows[] = {
                {"proces", "sequential, process, thread, gil", "process"},
                {"proc", "sequential, process, thread, gil", "process"},
                {"thraed", "sequential, process, thread, gil", "thread"},
                {"gli", "sequential,process,thread,gil", "gil"},
                {"xyz", "sequential, process, thread, gil", NULL},
                {"a", "b, c", NULL},
                {"5", "1 to 10", NULL},
                {"", "a, b", NULL},
                {"gil", "gil, gill", NULL},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct suggestion s;

                suggestion_init(&s, rows[i].given);
                suggestion_offer_list(&s, rows[i].allowed);
                if (rows[i].best)
                        ck_assert_pstr_eq(suggestion_get(&s), rows[i].best);
                else
                        ck_assert_msg(!suggestion_get(&s), "\"%s\": %s", rows[i].given, suggestion_get(&s));
        }
}
END_TEST

START_TEST(bad_values_are_one_line)
{
        AUTO_FREE char *close = suggest_bad_value("--mode", "proces", "process, thread");
        AUTO_FREE char *far = suggest_bad_value("--chunk", "9", "1 to 5");

        ck_assert_str_eq(close, "--mode: given \"proces\", allowed process, thread; did you mean \"process\"?");
        ck_assert_str_eq(far, "--chunk: given \"9\", allowed 1 to 5");
}
END_TEST

START_TEST(exit_codes_of_errors_and_states)
{
        ck_assert_int_eq(exit_code_of_error("org.concd.BadValue"), 64);
        ck_assert_int_eq(exit_code_of_error("org.concd.Busy"), 75);
        ck_assert_int_eq(exit_code_of_error("org.concd.NotPermitted"), 77);
        ck_assert_int_eq(exit_code_of_error("org.concd.NoSuchJob"), 64);
        ck_assert_int_eq(exit_code_of_error("org.concd.ShuttingDown"), 69);
        ck_assert_int_eq(exit_code_of_error("org.concd.Internal"), 70);
        ck_assert_int_eq(exit_code_of_error("org.example.Unheard"), 70);
        ck_assert_int_eq(exit_code_of_state("done", 0), 0);
        ck_assert_int_eq(exit_code_of_state("done", 1), 1);
        ck_assert_int_eq(exit_code_of_state("failed", 0), 1);
        ck_assert_int_eq(exit_code_of_state("cancelled", 0), 130);
        ck_assert_int_eq(exit_code_of_state("interrupted", 5), 130);
        ck_assert_int_eq(exit_code_of_state("lost", 0), 70);
        ck_assert_int_eq(exit_code_of_state("queued", 0), 0);
}
END_TEST

START_TEST(cpu_lists)
{
        static const struct {
                const char *text, *json; /* NULL: refused */
        } rows[] = {
                {"0", "[0]"},           {"0,2-5", "[0,2,3,4,5]"},
                {"5,1,1-2", "[1,2,5]"}, {"8191", "[8191]"},
                {"3-3", "[3]"},         {"", NULL},
                {"8192", NULL},         {"0,", NULL},
                {",0", NULL},           {"2-1", NULL},
                {"1-", NULL},           {"-1", NULL},
                {"1 2", NULL},          {"a", NULL},
                {"0--2", NULL},         {"99999999999999999999", NULL},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                AUTO_JSON json_t *list = NULL;
                AUTO_FREE char *json = NULL;

                ck_assert_int_eq(cpulist_parse(rows[i].text, &list), rows[i].json ? CPULIST_OK : CPULIST_E_SYNTAX);
                json = list ? json_dumps(list, JSON_COMPACT) : NULL;
                ck_assert_pstr_eq(json, rows[i].json);
        }
}
END_TEST

START_TEST(own_affinity_is_a_list)
{
        AUTO_JSON json_t *list = NULL;

        ck_assert_int_eq(cpulist_from_affinity(&list), 0);
        ck_assert_uint_ge(json_array_size(list), 1);
        ck_assert(json_is_integer(json_array_get(list, 0)));
}
END_TEST

START_TEST(ascii_forms)
{
        static const struct {
                const char *utf8, *ascii;
                size_t columns;
        } rows[] = {
                {"calc × 1000 · pool", "calc x 1000 - pool", 18},
                {"752 µs", "752 us", 6},
                {"…", "...", 1},
                {"█░", "#.", 2},
                {"ä€", "??", 2},
                {"", "", 0},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                AUTO_FREE char *ascii = text_to_ascii(rows[i].utf8);

                ck_assert_str_eq(ascii, rows[i].ascii);
                ck_assert_uint_eq(text_columns(rows[i].utf8), rows[i].columns);
        }
}
END_TEST

START_TEST(counts)
{
        char buf[48];

        ck_assert_str_eq(text_count(buf, sizeof(buf), 0), "0");
        ck_assert_str_eq(text_count(buf, sizeof(buf), 9999), "9999");
        ck_assert_str_eq(text_count(buf, sizeof(buf), 12345), "12 345");
        ck_assert_str_eq(text_plural(buf, sizeof(buf), 1, "task"), "1 task");
        ck_assert_str_eq(text_plural(buf, sizeof(buf), 0, "task"), "0 tasks");
}
END_TEST

START_TEST(lines_break_at_blanks)
{
        char text[] = "one two three fourteen-hundred x", long_word[] = "indivisible";

        table_break_lines(text, 9);
        ck_assert_str_eq(text, "one two\nthree\nfourteen-hundred\nx");
        table_break_lines(long_word, 3);
        ck_assert_str_eq(long_word, "indivisible");
}
END_TEST

START_TEST(missing_fields_read_as_nothing)
{
        AUTO_JSON json_t *o = json_pack("{s:n, s:i, s:s, s:f, s:b}", "null", "i", 5, "s", "x", "f", 1.5, "b", 1);

        ck_assert(!field_is_set(o, "null") && !field_is_set(o, "none") && field_is_set(o, "i"));
        ck_assert_str_eq(field_text(o, "none"), "");
        ck_assert_str_eq(field_text(o, "i"), "");
        ck_assert_str_eq(field_text(o, "s"), "x");
        ck_assert_int_eq(field_int(o, "i"), 5);
        ck_assert_int_eq(field_int(o, "s"), 0);
        ck_assert_double_eq(field_real(o, "f"), 1.5);
        ck_assert_double_eq(field_real(o, "i"), 5);
        ck_assert(field_bool(o, "b") && !field_bool(o, "i"));
        ck_assert_str_eq(field_text(NULL, "s"), "");
}
END_TEST

START_TEST(slices_are_verbatim)
{
        static const struct {
                const char *msg, *slice; /* NULL: not there */
        } rows[] = {
                {"{\"parameters\":{\"result\":{\"a\":0.10, \"b\":[1,{}]}}}", "{\"a\":0.10, \"b\":[1,{}]}"},
                {" { \"error\" : null , \"parameters\" : { \"x\":\"}\\\"{\" , \"result\" : 1e3 } } ", "1e3"},
                {"{\"parameters\":{\"result\":\"a\\\\\"}}", "\"a\\\\\""},
                {"{\"parameters\":{\"resul\":1,\"results\":2,\"result\":[]}}", "[]"},
                {"{\"parameters\":{\"a\":{\"result\":1}}}", NULL},
                {"{\"parameters\":{\"result\":null}}", NULL},
                {"{\"parameters\":{}}", NULL},
                {"{\"parameters\":[\"result\"]}", NULL},
                {"{}", NULL},
        };
        const char *path[] = {"parameters", "result", NULL};

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *slice = NULL;
                AUTO_FREE char *copy = NULL;
                size_t len = 0;

                ck_assert_msg(field_slice(rows[i].msg, strlen(rows[i].msg), path, &slice, &len) ==
                                      (rows[i].slice != NULL),
                              "%s", rows[i].msg);
                copy = slice ? strndup(slice, len) : NULL;
                ck_assert_pstr_eq(copy, rows[i].slice);
        }
}
END_TEST

START_TEST(job_ids)
{
        AUTO_JSON json_t *jobs = json_pack("[{s:s},{s:s},{s:s}]", "id", "aa00", "id", "aa11", "id", "bb22");
        char a[JOB_ID_DIGITS + 1], b[JOB_ID_DIGITS + 1];
        const char *id = NULL;

        ck_assert_int_eq(job_id_make(a), 0);
        ck_assert_int_eq(job_id_make(b), 0);
        ck_assert_uint_eq(strspn(a, "0123456789abcdef"), JOB_ID_DIGITS);
        ck_assert_str_ne(a, b);
        ck_assert_int_eq(job_id_find(jobs, "b", &id), 0);
        ck_assert_str_eq(id, "bb22");
        ck_assert_int_eq(job_id_find(jobs, "aa0", &id), 0);
        ck_assert_str_eq(id, "aa00");
        id = NULL;
        ck_assert_int_eq(job_id_find(jobs, "aa", &id), CTL_EXIT_USAGE);
        ck_assert_int_eq(job_id_find(jobs, "cc", &id), CTL_EXIT_USAGE);
        ck_assert_int_eq(job_id_find(jobs, "", &id), CTL_EXIT_USAGE);
        ck_assert_int_eq(job_id_find(jobs, "B", &id), CTL_EXIT_USAGE);
        ck_assert_ptr_null(id);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("ctl_text");
        TCase *tc = tcase_create("text");

        tcase_add_test(tc, distances);
        tcase_add_test(tc, suggestions);
        tcase_add_test(tc, bad_values_are_one_line);
        tcase_add_test(tc, exit_codes_of_errors_and_states);
        tcase_add_test(tc, cpu_lists);
        tcase_add_test(tc, own_affinity_is_a_list);
        tcase_add_test(tc, ascii_forms);
        tcase_add_test(tc, counts);
        tcase_add_test(tc, lines_break_at_blanks);
        tcase_add_test(tc, missing_fields_read_as_nothing);
        tcase_add_test(tc, slices_are_verbatim);
        tcase_add_test(tc, job_ids);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
