/* SPDX-License-Identifier: MIT */
/* Spans in order, and the trace that is made of them: it is JSON, properly nested on each track, and bounded. */
#include "ctl/trace-export.h"

#include "compare_fixture.h"
#include "ctl/field.h"
#include "ctl/spans.h"
#include "run_suite.h"
#include "shared/random.h"

#include <check.h>
#include <string.h>

#define DEPTH_MAX 8

static json_t *
write_trace(const json_t *compare)
{
        AUTO_FREE char *text = NULL;
        json_error_t error;
        json_t *trace;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        ck_assert_int_eq(trace_export_write(f, compare), 0);
        fclose(f);
        trace = json_loads(text, JSON_REJECT_DUPLICATES, &error);
        ck_assert_msg(trace != NULL, "%d: %s", error.line, error.text);
        return trace;
}

static json_t *
variant_of(const json_t *compare, size_t i)
{
        return json_array_get(json_object_get(compare, "variants"), i);
}

static bool
is_phase(const json_t *event, const char *phase)
{
        return strcmp(field_text(event, "ph"), phase) == 0;
}

static int64_t
to_ns(double us)
{
        return llround(us * 1000);
}

/* On each track an event that begins within another ends within it, too. Returns how many events there are. */
static int
assert_nested(const json_t *trace)
{
        const json_t *events = json_object_get(trace, "traceEvents");
        int64_t ends[DEPTH_MAX], track = -1;
        json_t *event;
        size_t i;
        int depth = 0, n = 0;

        json_array_foreach(events, i, event)
        {
                int64_t from = to_ns(field_real(event, "ts")), to = from + to_ns(field_real(event, "dur"));

                if (!is_phase(event, "X"))
                        continue;
                if (field_int(event, "tid") != track)
                        depth = 0;
                track = field_int(event, "tid");
                while (depth > 0 && ends[depth - 1] <= from)
                        depth--;
                ck_assert_int_gt(to, from);
                ck_assert_msg(depth == 0 || to <= ends[depth - 1], "event %zu leaves the one around it", i);
                ck_assert_int_lt(depth, DEPTH_MAX);
                ends[depth++] = to;
                n++;
        }
        return n;
}

/* Nanoseconds of all events of a category in a process. */
static int64_t
time_of(const json_t *trace, int pid, const char *category)
{
        json_t *event;
        int64_t sum = 0;
        size_t i;

        json_array_foreach(json_object_get(trace, "traceEvents"), i, event)
        {
                if (is_phase(event, "X") && field_int(event, "pid") == pid &&
                    strcmp(field_text(event, "cat"), category) == 0)
                        sum += to_ns(field_real(event, "dur"));
        }
        return sum;
}

START_TEST(each_worker_is_a_track)
{
        AUTO_JSON json_t *compare = compare_fixture(), *trace = write_trace(compare);
        json_t *event;
        size_t i;
        int processes = 0, threads = 0;

        ck_assert_str_eq(field_text(trace, "displayTimeUnit"), "ns");
        json_array_foreach(json_object_get(trace, "traceEvents"), i, event)
        {
                const char *name = field_text(event, "name"),
                           *given = field_text(json_object_get(event, "args"), "name");

                if (strcmp(name, "process_name") == 0)
                        ck_assert_str_eq(given, fixture_variants[processes++].mode);
                if (strcmp(name, "thread_name") == 0)
                        threads += strncmp(given, "worker ", 7) == 0;
        }
        ck_assert_int_eq(processes, 4);
        ck_assert_int_eq(threads, 1 + 2 + 2 + 2);
        ck_assert_int_gt(assert_nested(trace), 16 * 7 + FIXTURE_SLICES);
        ck_assert_int_eq(field_int(json_object_get(trace, "otherData"), "dropped"), 0);
        ck_assert_int_eq(field_int(json_object_get(trace, "otherData"), "seed"), 7341);
}
END_TEST

/* Times are those of the spans, to the nanosecond, whatever was cut. */
START_TEST(no_time_is_lost)
{
        AUTO_JSON json_t *compare = compare_fixture(), *trace = write_trace(compare);
        int64_t run = 0, lock = 0;
        json_t *span;
        size_t i;

        json_array_foreach(json_object_get(variant_of(compare, 3), "spans"), i, span)
        {
                int64_t ns = field_int(span, "to_ns") - field_int(span, "from_ns");

                if (strcmp(field_text(span, "kind"), "run") == 0)
                        run += ns;
                else
                        lock += ns;
        }
        ck_assert_int_eq(time_of(trace, 4, "run"), run);
        ck_assert_int_eq(time_of(trace, 4, "lock"), lock);
        ck_assert_int_eq(time_of(trace, 3, "lock"), 0);
}
END_TEST

START_TEST(what_overlaps_in_part_is_cut)
{
        AUTO_JSON json_t *compare = compare_fixture(), *trace = NULL;
        json_t *spans = json_object_get(variant_of(compare, 0), "spans");

        json_array_clear(spans);
        fixture_add_span(spans, 0, "run", 0, 10, 0, 1);
        fixture_add_span(spans, 0, "run", 8, 20, 1, 1);
        fixture_add_span(spans, 0, "lock", 5, 25, 1, 1);
        fixture_add_span(spans, 0, "blocked", 24, 30, 1, 1);
        fixture_add_span(spans, 0, "run", 26, 28, 2, 1);
        trace = write_trace(compare);
        assert_nested(trace);
        ck_assert_int_eq(time_of(trace, 1, "run"), 22000000);
        ck_assert_int_eq(time_of(trace, 1, "lock"), 20000000);
        ck_assert_int_eq(time_of(trace, 1, "blocked"), 5000000);
}
END_TEST

/* Anything at all is properly nested, and flattening covers exactly what the spans cover. */
START_TEST(any_spans_can_be_nested)
{
        uint64_t state = 42;

        for (int n = 0; n < 60; n++) {
                AUTO_JSON json_t *compare = compare_fixture(), *trace = NULL;
                json_t *spans = json_object_get(variant_of(compare, 1), "spans");
                bool covered[256] = {false};
                AUTO_SPANS struct spans all = {NULL};
                AUTO_FREE struct span *flat = NULL;
                size_t n_own, n_flat;
                const struct span *own;
                int64_t sum = 0, wanted = 0;

                json_array_clear(spans);
                for (int i = 0; i < n; i++) {
                        static const char *const kinds[] = {"run", "blocked", "lock"};
                        int from = (int)(random_next(&state) % 200), to = from + (int)(random_next(&state) % 50);

                        json_array_append_new(spans, json_pack("{s:i, s:s, s:i, s:i, s:i, s:i}", "worker", 1, "kind",
                                                               kinds[random_next(&state) % 3], "from_ns", from, "to_ns",
                                                               to, "task", i, "tasks", 1));
                        for (int at = from; at < to; at++)
                                covered[at] = true;
                }
                trace = write_trace(compare);
                assert_nested(trace);
                ck_assert_int_eq(spans_init(&all, variant_of(compare, 1)), 0);
                own = spans_of(&all, 1, &n_own);
                flat = spans_flatten(own, n_own, &n_flat);
                for (size_t i = 0; i < n_flat; i++) {
                        ck_assert(i == 0 || flat[i].from_ns >= flat[i - 1].to_ns);
                        sum += flat[i].to_ns - flat[i].from_ns;
                }
                for (size_t at = 0; at < ARRAY_SIZE(covered); at++)
                        wanted += covered[at];
                ck_assert_int_eq(sum, wanted);
        }
}
END_TEST

START_TEST(too_many_are_capped_fairly)
{
        AUTO_JSON json_t *compare = compare_fixture(), *trace = NULL;
        const json_t *other;
        int n;

        for (size_t v = 1; v < 4; v++) {
                json_t *spans = json_object_get(variant_of(compare, v), "spans");

                json_array_clear(spans);
                for (int i = 0; i < 50000; i++)
                        fixture_add_span(spans, i % 2, "run", i, i + 0.5, i, 1);
        }
        json_object_set_new(variant_of(compare, 2), "spans_dropped", json_integer(77));
        trace = write_trace(compare);
        other = json_object_get(trace, "otherData");
        n = assert_nested(trace);
        ck_assert_int_le(n, TRACE_SPANS_MAX);
        ck_assert_int_gt(n, TRACE_SPANS_MAX - 100);
        ck_assert_int_eq(field_int(other, "dropped"), 150000 + 16 - n);
        ck_assert_int_eq(field_int(other, "dropped_by_daemon"), 77);
        /* Each has its share. */
        ck_assert_int_gt(time_of(trace, 4, "run"), 30000LL * 500000);
}
END_TEST

START_TEST(odd_ones_are_left_out)
{
        AUTO_JSON json_t *compare = compare_fixture(), *empty = json_object(), *trace = NULL, *none = NULL;
        json_t *spans = json_object_get(variant_of(compare, 0), "spans");

        json_array_clear(spans);
        fixture_add_span(spans, -1, "run", 0, 1, 0, 1);
        fixture_add_span(spans, 1000000, "run", 0, 1, 0, 1);
        fixture_add_span(spans, 0, "strange", 0, 1, 0, 1);
        fixture_add_span(spans, 0, "run", 2, 1, 0, 1);
        json_array_append_new(spans, json_null());
        json_object_set_new(variant_of(compare, 0), "name", json_string("\"quoted\\ \x01 ×"));
        trace = write_trace(compare);
        ck_assert_int_eq(time_of(trace, 1, "run"), 0);
        none = write_trace(empty);
        ck_assert_uint_eq(json_array_size(json_object_get(none, "traceEvents")), 0);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("ctl_trace");
        TCase *tc = tcase_create("trace");

        tcase_set_timeout(tc, 60); /* hundreds of thousands of events are read through */
        tcase_add_test(tc, each_worker_is_a_track);
        tcase_add_test(tc, no_time_is_lost);
        tcase_add_test(tc, what_overlaps_in_part_is_cut);
        tcase_add_test(tc, any_spans_can_be_nested);
        tcase_add_test(tc, too_many_are_capped_fairly);
        tcase_add_test(tc, odd_ones_are_left_out);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
