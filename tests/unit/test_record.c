/* SPDX-License-Identifier: MIT */
/* What of a job goes into the journal. */
#include "supervisor/record.h"

#include "run_suite.h"

#include <check.h>
#include <string.h>
#include <sys/mman.h>

static struct record *record;

static void
setup(void)
{
        record = mmap(NULL, sizeof(*record), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(record, MAP_FAILED);
}

static void
teardown(void)
{
        munmap(record, sizeof(*record));
}

/* An ended comparison of two variants, each with so many spans, bins and workers. */
static struct job *
comparison(int spans, int bins, int workers)
{
        json_t *variants = json_array();
        struct job *job = calloc(1, sizeof(*job));

        TAILQ_INIT(&job->watchers);
        strcpy(job->id, "0123456789abcdef0123456789abcdef");
        job->method = strdup("Compare");
        job->user = strdup("somebody");
        job->summary = strdup("calc compared");
        job->state = JOB_DONE;
        for (int v = 0; v < 2; v++) {
                json_t *o = json_pack("{s:[], s:[], s:[], s:i, s:i, s:i}", "spans", "latency_bins", "workers_detail",
                                      "spans_dropped", 3, "rounds", 11, "evidence_rounds", 11);

                for (int i = 0; i < spans; i++)
                        json_array_append_new(json_object_get(o, "spans"),
                                              json_pack("{s:i, s:i}", "from_ns", i, "to_ns", i));
                for (int i = 0; i < bins; i++)
                        json_array_append_new(json_object_get(o, "latency_bins"), json_pack("{s:i}", "count", i));
                for (int i = 0; i < workers; i++)
                        json_array_append_new(json_object_get(o, "workers_detail"), json_pack("{s:i}", "worker", i));
                json_array_append_new(variants, o);
        }
        job->result = json_pack("{s:o, s:i}", "variants", variants, "rounds", 11);
        return job;
}

/* The second variant of the only entry. */
static json_t *
recorded(void)
{
        uint64_t position = 0;
        AUTO_FREE char *text = journal_next(&record->journal, &position);
        AUTO_JSON json_t *json = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
        json_t *result = json_object_get(json, "result");

        ck_assert_ptr_nonnull(result);
        ck_assert_int_eq(json_integer_value(json_object_get(result, "rounds")), 11);
        return json_incref(json_array_get(json_object_get(result, "variants"), 1));
}

START_TEST(entries_are_short)
{
        static const struct {
                int spans, bins, workers;                /* of the job */
                int spans_left, bins_left, workers_left; /* in the journal */
        } rows[] = {
                {100, 100, 2, 100, 100, 2},  {5000, 100, 2, 0, 100, 2}, {5000, 9000, 2, 0, 0, 2},
                {5000, 9000, 9000, 0, 0, 0}, {10, 10, 9000, 0, 0, 0},
        };
        struct job *job = comparison(rows[_i].spans, rows[_i].bins, rows[_i].workers);
        AUTO_JSON json_t *before = json_deep_copy(job->result), *v = NULL;

        record_journal(record, job);
        v = recorded();
        ck_assert_uint_eq(json_array_size(json_object_get(v, "spans")), (size_t)rows[_i].spans_left);
        ck_assert_uint_eq(json_array_size(json_object_get(v, "latency_bins")), (size_t)rows[_i].bins_left);
        ck_assert_uint_eq(json_array_size(json_object_get(v, "workers_detail")), (size_t)rows[_i].workers_left);
        ck_assert_int_eq(json_integer_value(json_object_get(v, "evidence_rounds")), rows[_i].workers_left > 0 ? 11 : 0);
        ck_assert_int_eq(json_integer_value(json_object_get(v, "spans_dropped")),
                         3 + rows[_i].spans - rows[_i].spans_left);
        ck_assert(json_equal(before, job->result));
        job_free(job);
}
END_TEST

/* Of another job nothing can be left out. */
START_TEST(long_results_of_others_are_kept)
{
        struct job *job = comparison(0, 0, 0);
        AUTO_FREE char *text = NULL, *long_text = calloc(1, 400001);
        uint64_t position = 0;

        memset(long_text, 'x', 400000);
        json_object_set_new(job->result, "variants", json_string(long_text));
        record_journal(record, job);
        text = journal_next(&record->journal, &position);
        ck_assert_ptr_nonnull(text);
        ck_assert_uint_gt(strlen(text), 400000);
        job_free(job);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("record");
        TCase *tc = tcase_create("all");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_loop_test(tc, entries_are_short, 0, 5);
        tcase_add_test(tc, long_results_of_others_are_kept);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
