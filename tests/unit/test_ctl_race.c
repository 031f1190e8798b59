/* SPDX-License-Identifier: MIT */
/* The result of a race, and a matrix of them, as people see them. */
#include "ctl/race-matrix.h"
#include "ctl/race-result.h"
#include "ctl/text.h"

#include "run_suite.h"
#include "text_check.h"

#include <check.h>
#include <locale.h>
#include <string.h>

static const char a_race[] =
        "{\"state\":\"done\",\"reason\":null,\"scenario\":\"counter\",\"params\":{\"target\":\"1000\"},"
        "\"mode\":\"process\",\"guard\":\"semaphore\",\"permits\":2,\"actors\":2,\"trials\":1000,\"duration_s\":null,"
        "\"done\":1000,\"unknown\":0,\"dropped\":0,\"outcomes\":["
        "{\"name\":\"lost updates\",\"count\":870,\"expected\":\"interesting\",\"meaning\":\"steps were overwritten\"},"
        "{\"name\":\"exact\",\"count\":130,\"expected\":\"acceptable\",\"meaning\":\"every step counted\"},"
        "{\"name\":\"no progress\",\"count\":0,\"expected\":\"interesting\",\"meaning\":\"the fight did not end\"}],"
        "\"observation\":{\"verdict\":\"Sometimes\",\"positive\":870,\"negative\":130},"
        "\"lost_updates\":10412,\"max_holders\":2,\"handoffs\":31204,\"jain\":0.99812,"
        "\"wait_ns\":{\"p50\":90,\"p90\":400,\"p99\":1400,\"p99_9\":5000,\"max\":123456,\"samples\":2000},"
        "\"permits_leaked\":0,\"permits_recovered\":0,\"kills\":0,\"steps\":1234567,\"ns_per_step\":85.2,"
        "\"wall_s\":0.81,\"trials_per_s\":1234.5,"
        "\"actors_detail\":[{\"actor\":0,\"steps\":617283},{\"actor\":1,\"steps\":617284}],"
        "\"settings\":{\"barrier\":\"spin\",\"barrier_asked\":\"spin\",\"pinned\":true,\"widen_ns\":200,"
        "\"hold\":\"loop\",\"batch\":1,\"trial_timeout_ns\":100000000,\"measured\":true,\"cpus\":[0,1],\"notes\":[]},"
        "\"spans\":[],\"restarts\":0}";

static const char the_scenario[] = "{\"kind\":\"scenario\",\"name\":\"counter\",\"outcomes\":["
                                   "{\"name\":\"lost updates\",\"forbidden_by\":[\"mutex\",\"semaphore\"]},"
                                   "{\"name\":\"exact\",\"forbidden_by\":[]},"
                                   "{\"name\":\"no progress\",\"forbidden_by\":[\"mutex\",\"semaphore\"]}]}";

/* The race above with some fields changed; of an object, only the members that are named. The caller owns it. */
static json_t *
race(const char *changes)
{
        json_t *r = json_loads(a_race, 0, NULL);
        AUTO_JSON json_t *c = json_loads(changes, 0, NULL);

        ck_assert_ptr_nonnull(c);
        json_object_update_recursive(r, c);
        return r;
}

/* What is printed; malloc'ed. */
static char *
print(const char *changes, const char *scenario)
{
        AUTO_JSON json_t *r = race(changes), *s = scenario ? json_loads(scenario, 0, NULL) : NULL;
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        race_result_print(f, r, s);
        fclose(f);
        return text;
}

static char *
print_brief(const char *changes)
{
        AUTO_JSON json_t *r = race(changes);
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        race_result_print_brief(f, r);
        fclose(f);
        return text;
}

/* Not a letter else: no colours, no signs that an ASCII terminal cannot show. */
START_TEST(a_race_in_ascii)
{
        AUTO_FREE char *text = print("{}", the_scenario);

        ck_assert_str_eq(text,
                         "counter +-1000 - 2 processes - semaphore, 2 permits - 1000 trials - start barrier, pinned, "
                         "widened\n"
                         "  OUTCOME      TRIALS  SHARE EXPECTED    MEANING\n"
                         "  lost updates    870 87.0 % interesting steps were overwritten\n"
                         "  exact           130 13.0 % acceptable  every step counted\n"
                         "  no progress       0    0 % interesting the fight did not end\n"
                         "  Observation counter Sometimes 870 130\n"
                         "  guard     holders max 2 - hand-offs 31 204 - Jain 0.998 - permits 0 leaked, 0 recovered\n"
                         "  wait      p50 90 ns   p90 400 ns   p99 1.4 us   p99.9 5 us   max 123 us\n"
                         "  lost      10 412 updates of 1 234 567 steps\n"
                         "  actors    #0 617 283 steps   #1 617 284 steps\n"
                         "  rate      1235 trials/s   85.2 ns per step   810 ms in all\n"
                         "  settings  barrier spin - one CPU each, of 0,1 - window widened by 200 ns - guard held per "
                         "loop - trials end after 100 ms\n"
                         "With 1 permit \"lost updates\" is forbidden: try --permits 1.\n");
}
END_TEST

START_TEST(a_race_in_utf8)
{
        AUTO_FREE char *text = NULL, *brief = NULL;

        if (!setlocale(LC_ALL, "C.UTF-8"))
                ck_abort_msg("no locale C.UTF-8");
        setenv("LC_ALL", "C.UTF-8", 1);
        text_init();
        text = print("{}", NULL);
        brief = print_brief("{}");
        assert_begins(text, "counter ±1000 · 2 processes · semaphore, 2 permits · 1000 trials · start barrier, pinned, "
                            "widened\n");
        assert_says(text, "p99 1.4 µs");
        ck_assert_str_eq(brief,
                         "counter ±1000 · 2 processes · semaphore, 2 permits · 1000 trials · Observation counter "
                         "Sometimes 870 130\n");
        assert_silent(text, "\033");
        setenv("LC_ALL", "C", 1);
        text_init();
}
END_TEST

START_TEST(other_titles)
{
        static const struct {
                const char *changes, *title;
        } rows[] = {
                {"{\"mode\":\"thread\",\"actors\":3}", "counter +-1000 - 3 threads - "},
                {"{\"actors\":1}", "counter +-1000 - 1 process - "},
                {"{\"guard\":\"none\",\"permits\":1}", "counter +-1000 - 2 processes - no guard - 1000 trials"},
                {"{\"guard\":\"mutex\",\"permits\":1}", "counter +-1000 - 2 processes - mutex - 1000 trials"},
                {"{\"permits\":1}", "counter +-1000 - 2 processes - semaphore, 1 permit - 1000 trials"},
                {"{\"trials\":null,\"duration_s\":0.5,\"done\":12345}",
                 "counter +-1000 - 2 processes - semaphore, 2 permits - 12 345 trials in 500 ms - start"},
                {"{\"scenario\":\"bank\",\"params\":{\"accounts\":\"4\",\"target\":null,\"sum\":\"9\"}}",
                 "bank(accounts=4, sum=9) - 2 processes"},
                {"{\"settings\":{\"barrier\":\"none\",\"pinned\":false,\"widen_ns\":0}}",
                 "counter +-1000 - 2 processes - semaphore, 2 permits - 1000 trials - no start barrier\n"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                AUTO_FREE char *text = print(rows[i].changes, NULL);

                assert_begins(text, rows[i].title);
        }
}
END_TEST

START_TEST(an_unknown_outcome_has_a_row_and_comes_first)
{
        AUTO_FREE char *text =
                print("{\"state\":\"failed\",\"reason\":\"3 of 1000 trials came to an outcome that is not "
                      "known\",\"unknown\":3}",
                      NULL);
        AUTO_FREE char *brief = print_brief("{\"state\":\"failed\",\"unknown\":3}");

        assert_begins(text, "failed: 3 of 1000 trials came to an outcome that is not known\ncounter ");
        assert_says(text, "  unknown           3  0.3 % forbidden   no outcome that the scenario knows\n");
        assert_begins(brief, "failed: counter ");
}
END_TEST

START_TEST(what_was_cut_short_says_so)
{
        AUTO_FREE char *text = print("{\"state\":\"cancelled\",\"reason\":\"by its caller\",\"done\":312}", NULL);
        AUTO_FREE char *timed =
                print("{\"state\":\"cancelled\",\"trials\":null,\"duration_s\":5.0,\"done\":312}", NULL);

        assert_begins(text, "cancelled: 312 of 1000 trials were done (by its caller)\n");
        assert_begins(timed, "cancelled: 312 trials were done\n");
}
END_TEST

/* Neither is a rare outcome rounded away, nor does an almost certain one look certain. */
START_TEST(shares_do_not_lie)
{
        AUTO_FREE char *text =
                print("{\"done\":10000000,\"trials\":10000000,\"outcomes\":["
                      "{\"name\":\"rare\",\"count\":1,\"expected\":\"interesting\",\"meaning\":\"m\"},"
                      "{\"name\":\"rest\",\"count\":9999999,\"expected\":\"acceptable\",\"meaning\":\"m\"},"
                      "{\"name\":\"none\",\"count\":0,\"expected\":\"acceptable\",\"meaning\":\"m\"}]}",
                      NULL);
        AUTO_FREE char *all = print("{\"outcomes\":[{\"name\":\"all\",\"count\":1000}]}", NULL);

        assert_says(text, "< 0.1 %");
        assert_says(text, "> 99.9 %");
        assert_says(text, " 0 %");
        assert_silent(text, "100 %");
        assert_says(all, "100 %");
}
END_TEST

START_TEST(what_was_not_measured_is_not_shown)
{
        AUTO_FREE char *text = print("{\"wait_ns\":null,\"settings\":{\"measured\":false}}", NULL);

        assert_says(text, "holders and hand-offs were not measured");
        assert_silent(text, "p50");
        assert_silent(text, "holders max");
}
END_TEST

START_TEST(without_a_guard_nothing_is_held)
{
        AUTO_FREE char *text = print("{\"wait_ns\":null,\"guard\":\"none\"}", NULL);

        assert_says(text, "  guard     nothing was held - Jain");
        assert_silent(text, "p50");
        assert_silent(text, "holders max");
}
END_TEST

START_TEST(settings_and_notes_are_told)
{
        AUTO_FREE char *text =
                print("{\"kills\":5,\"permits_leaked\":2,\"permits_recovered\":3,\"dropped\":1,\"restarts\":6,"
                      "\"settings\":{\"barrier\":\"pthread\",\"barrier_asked\":\"spin\",\"pinned\":false,"
                      "\"widen_ns\":0,\"hold\":null,\"batch\":1024,\"notes\":[\"first\",\"second\"]}}",
                      NULL);

        assert_says(text, "permits 2 leaked, 3 recovered - 5 holders killed\n");
        assert_says(text, "barrier pthread instead of spin - not pinned, CPUs 0,1 - batches of 1024 - trials end");
        assert_says(text, "  note      first\n  note      second\n");
        assert_says(text, "  note      1 trial not counted: an actor was killed from outside\n");
        assert_says(text, "  note      6 restarts within the race\n");
        assert_silent(text, "widened");
        assert_silent(text, "guard held");
}
END_TEST

START_TEST(many_actors_are_summarised)
{
        AUTO_JSON json_t *many = json_object(), *actors = json_array();
        AUTO_FREE char *changes = NULL, *text = NULL;

        for (int i = 0; i < 9; i++)
                json_array_append_new(actors, json_pack("{s:i, s:i}", "actor", i, "steps", 100 + i));
        json_object_set(many, "actors_detail", actors);
        changes = json_dumps(many, 0);
        text = print(changes, NULL);
        assert_says(text, "  actors    9 with 100 to 108 steps each\n");
}
END_TEST

START_TEST(hints_come_from_what_the_daemon_says)
{
        static const struct {
                const char *changes, *hint; /* NULL: none */
        } rows[] = {
                {"{}", "With 1 permit \"lost updates\" is forbidden: try --permits 1.\n"},
                {"{\"guard\":\"raw-semaphore\"}",
                 "Under some guards \"lost updates\" is forbidden: try --guard=mutex.\n"},
                {"{\"guard\":\"none\",\"permits\":1}",
                 "Under some guards \"lost updates\" is forbidden: try --guard=mutex.\n"},
                {"{\"outcomes\":[{\"name\":\"exact\",\"count\":1000,\"expected\":\"acceptable\"}]}", NULL},
                {"{\"outcomes\":[{\"name\":\"lost updates\",\"count\":1000,\"expected\":\"forbidden\"}]}", NULL},
                {"{\"outcomes\":[{\"name\":\"lost updates\",\"count\":0,\"expected\":\"interesting\"}]}", NULL},
        };
        AUTO_FREE char *blind = print("{}", NULL);

        assert_silent(blind, "try --");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                AUTO_FREE char *text = print(rows[i].changes, the_scenario);

                if (rows[i].hint)
                        assert_says(text, rows[i].hint);
                else
                        assert_silent(text, "try --");
        }
}
END_TEST

START_TEST(a_race_without_fields_is_harmless)
{
        AUTO_JSON json_t *r = json_object();
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        race_result_print(f, r, r);
        race_result_print_brief(f, r);
        fclose(f);
        assert_says(text, "Observation");
        free(text);
}
END_TEST

/* ── matrix ── */

static void
add_cell(json_t *cells, const char *guard, const char *mode, const char *changes, const char *why)
{
        json_array_append_new(cells, json_pack("{s:s, s:s, s:o?, s:s?}", "guard", guard, "mode", mode, "race",
                                               changes ? race(changes) : NULL, "why", why));
}

START_TEST(a_matrix)
{
        static const char exact[] = "{\"lost_updates\":0,\"handoffs\":1000,\"outcomes\":["
                                    "{\"name\":\"lost updates\",\"count\":0,\"expected\":\"forbidden\"},"
                                    "{\"name\":\"exact\",\"count\":1000,\"expected\":\"acceptable\"}]}";
        static const char broken[] = "{\"outcomes\":["
                                     "{\"name\":\"exact\",\"count\":999,\"expected\":\"acceptable\"},"
                                     "{\"name\":\"lost updates\",\"count\":1,\"expected\":\"forbidden\"}]}";
        AUTO_JSON json_t *cells = json_array();
        AUTO_FREE char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        add_cell(cells, "none", "process", "{}", NULL);
        add_cell(cells, "mutex", "process", exact, NULL);
        add_cell(cells, "mutex", "thread", broken, NULL);
        add_cell(cells, "gil", "process", NULL, "allowed none, mutex");
        add_cell(cells, "gil", "thread", exact, NULL);
        add_cell(cells, "rwlock", "process", NULL, "allowed none, mutex");
        add_cell(cells, "rwlock", "thread", NULL, "allowed none, gil");
        ck_assert_int_eq(race_matrix_print(f, cells), 0);
        fclose(f);
        ck_assert_str_eq(text, "  GUARD MODE    OUTCOME               SHARE   LOST ns/STEP  JAIN HAND-OFFS\n"
                               "  none  process lost updates           87 % 10 412    85.2 0.998    31 204\n"
                               "  mutex process exact                 100 %      0    85.2 0.998      1000\n"
                               "  mutex thread  lost updates (failed)   0 % 10 412    85.2 0.998    31 204\n"
                               "  gil   process -                         -      -       -     -         -\n"
                               "  gil   thread  exact                 100 %      0    85.2 0.998      1000\n"
                               "- gil in process, rwlock in process: allowed none, mutex\n"
                               "- rwlock in thread: allowed none, gil\n");
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("ctl_race");
        TCase *tc = tcase_create("race");

        tcase_add_test(tc, a_race_in_ascii);
        tcase_add_test(tc, a_race_in_utf8);
        tcase_add_test(tc, other_titles);
        tcase_add_test(tc, an_unknown_outcome_has_a_row_and_comes_first);
        tcase_add_test(tc, what_was_cut_short_says_so);
        tcase_add_test(tc, shares_do_not_lie);
        tcase_add_test(tc, what_was_not_measured_is_not_shown);
        tcase_add_test(tc, without_a_guard_nothing_is_held);
        tcase_add_test(tc, settings_and_notes_are_told);
        tcase_add_test(tc, many_actors_are_summarised);
        tcase_add_test(tc, hints_come_from_what_the_daemon_says);
        tcase_add_test(tc, a_race_without_fields_is_harmless);
        tcase_add_test(tc, a_matrix);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
