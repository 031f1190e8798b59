/* SPDX-License-Identifier: MIT */
/* The page of a comparison: well-formed and escaped whatever the daemon sends, bounded, and it shows what was
 * measured. */
#include "ctl/report.h"

#include "compare_fixture.h"
#include "ctl/svg.h"
#include "page_check.h"
#include "run_suite.h"

#include <check.h>
#include <string.h>

#define EVIL       "<script>alert(\"x\")</script> & 'y'\x01\xc2\x9b\u202e"
#define BYTES_MOST ((size_t)500 * 1024)

static const char *const sections[] = {"verdict",     "rounds", "timeline", "latency", "evidence",
                                       "environment", "order",  "method",   "command"};

static char *
write_page(const json_t *compare)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        ck_assert_int_eq(report_write(f, compare), 0);
        fclose(f);
        ck_assert_uint_eq(strlen(text), size);
        return text;
}

/* What holds of every page. */
static char *
write_good_page(const json_t *compare)
{
        char *text = write_page(compare);
        AUTO_JSON json_t *utf8 = json_string(text);

        page_assert_well_formed(text);
        page_assert_finite(text);
        ck_assert_msg(utf8 != NULL, "not UTF-8");
        ck_assert_ptr_null(strstr(text, "<script"));
        ck_assert_ptr_null(strstr(text, "http:"));
        ck_assert_ptr_null(strstr(text, "https:"));
        for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
                char id[64];

                snprintf(id, sizeof(id), " id=\"%s\"", sections[i]);
                ck_assert_msg(page_count(text, id) == 1, "no section %s", sections[i]);
        }
        return text;
}

static json_t *
variant_of(const json_t *compare, size_t i)
{
        return json_array_get(json_object_get(compare, "variants"), i);
}

static void
assert_says(const char *text, const char *part)
{
        ck_assert_msg(strstr(text, part) != NULL, "it does not say: %s", part);
}

/* The text of a page from one mark up to another. Malloc'ed. */
static char *
part_of(const char *text, const char *from, const char *to)
{
        const char *begin = strstr(text, from), *end = begin ? strstr(begin, to) : NULL;

        ck_assert_msg(begin && end, "no part from %s to %s", from, to);
        return strndup(begin, (size_t)(end - begin));
}

static void
set(json_t *object, const char *key, json_t *value)
{
        json_object_set_new(object, key, value);
}

/* ── a whole one ── */

START_TEST(a_comparison_is_told_from_top_to_bottom)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = write_good_page(compare);
        const char *last = text;

        for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
                char id[64];

                snprintf(id, sizeof(id), " id=\"%s\"", sections[i]);
                ck_assert_msg(strstr(text, id) > last, "%s is at the wrong place", sections[i]);
                last = strstr(text, id);
        }
        ck_assert_int_eq(strncmp(text, "<!DOCTYPE html>\n", 16), 0);
        assert_says(text, "default-src 'none'; style-src 'unsafe-inline'");
        assert_says(text, "prefers-color-scheme:dark");
        assert_says(text, "@media print");
        assert_says(text, "calc(n=999) × 1000 compared");
        assert_says(text, "Faster: 1.97 times the speed of sequential.");
        assert_says(text, "Slower: it takes 1.04 times as long as sequential.");
        assert_says(text, "Why: while one worker ran the other waited for the interpreter lock 99 % of the time.");
        assert_says(text, "seed 7341");
        assert_says(text, "Intel(R) Xeon(R) CPU @ 2.80GHz");
        ck_assert_ptr_null(strstr(text, " id=\"scaling\"")); /* nothing differs in its workers only */
        ck_assert_ptr_null(strstr(text, "class=\"notice"));
        ck_assert_uint_le(strlen(text), BYTES_MOST);
}
END_TEST

START_TEST(every_round_is_a_dot)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = write_good_page(compare), *first = part_of(text, "id=\"rounds\"", "</svg>");

        ck_assert_int_eq(page_count(first, "class=\"box\""), 4);
        ck_assert_int_eq(page_count(first, "class=\"median\""), 4);
        ck_assert_int_eq(page_count(first, "class=\"interval\""), 4);
        ck_assert_int_eq(page_count(first, "class=\"dot\""), 4 * FIXTURE_ROUNDS - 2);
        ck_assert_int_eq(page_count(first, "class=\"outlier\""), 2);
        assert_says(first, "round 3: 413 ms, outside of Tukey&#39;s fences");
}
END_TEST

START_TEST(the_order_is_in_a_table)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = write_good_page(compare), *table = part_of(text, "id=\"order\"", "</table>");

        ck_assert_int_eq(page_count(table, "<tr>"), 1 + FIXTURE_ROUNDS);
        assert_says(table,
                    "<th scope=\"row\">1</th><td class=\"num\">752 ms · 1</td><td class=\"num\">381 ms · 2</td>");
        assert_says(table, "<td class=\"num out\">outlier 413 ms · 4</td>");
}
END_TEST

START_TEST(the_command_repeats_it)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *without = write_good_page(compare), *with = NULL;

        assert_says(without, "--seed 7341");
        json_object_set_new(compare, "command", json_string("concctl compare --param 'a<b' --seed 7341"));
        with = write_good_page(compare);
        assert_says(with, "<code>concctl compare --param &#39;a&lt;b&#39; --seed 7341</code>");
}
END_TEST

/* ── timelines ── */

#define RECTS_MOST 1024

struct rect {
        double from, to;
};

/* The rectangles of the first path of a class behind `at`. */
static int
read_path(const char *at, const char *class, struct rect *ret)
{
        char mark[64];
        const char *p, *end;
        int n = 0;

        snprintf(mark, sizeof(mark), "<path class=\"%s\" d=\"", class);
        p = strstr(at, mark);
        ck_assert_msg(p != NULL, "no path of %s", class);
        p += strlen(mark);
        end = strchr(p, '"');
        for (; p < end; p = strchr(p, 'z') + 1) {
                double x, y, width;

                ck_assert_int_eq(sscanf(p, "M%lf %lfh%lf", &x, &y, &width), 3);
                ck_assert_int_lt(n, RECTS_MOST);
                ck_assert(x >= 0 && width > 0 && x + width <= 800 && y >= 0);
                ret[n++] = (struct rect){x, x + width};
        }
        return n;
}

/* The gil: when one worker runs the other does not. */
START_TEST(the_convoy_is_seen_as_alternation)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = write_good_page(compare);
        const char *picture = strstr(text, "aria-label=\"gil: what each worker did over time\"");
        struct rect a[RECTS_MOST], b[RECTS_MOST];
        int n, m, both = 0;

        ck_assert_ptr_nonnull(picture);
        n = read_path(picture, "k-run", a);
        m = read_path(strstr(picture, ">#1<"), "k-run", b);
        ck_assert_int_ge(n, FIXTURE_SLICES / 2);
        ck_assert_int_ge(m, FIXTURE_SLICES / 2);
        for (int i = 0; i < n; i++)
                for (int k = 0; k < m; k++)
                        both += a[i].from < b[k].to - 0.01 && b[k].from < a[i].to - 0.01;
        /* At the end there is one slice without a lock. */
        ck_assert_int_le(both, 2);
        assert_says(text, "aria-label=\"gil: what each worker did over time, enlarged\"");
        ck_assert_int_eq(page_count(text, "class=\"zoom\""), 1);
}
END_TEST

/* Turns of 100 µs in 800 ms cannot be drawn one by one: bounded, the shares, and the beginning enlarged. */
START_TEST(what_is_too_fine_is_drawn_as_shares)
{
        AUTO_JSON json_t *compare = compare_fixture();
        json_t *spans = json_object_get(variant_of(compare, 3), "spans");
        AUTO_FREE char *text = NULL;
        struct rect rects[RECTS_MOST];

        json_array_clear(spans);
        for (int w = 0; w < 2; w++)
                fixture_add_span(spans, w, "run", 0, 800, 0, 500);
        for (int i = 0; i < 8000; i++)
                fixture_add_span(spans, i % 2, "lock", i * 0.1, i * 0.1 + 0.1, i, 1);
        text = write_good_page(compare);
        assert_says(text, "too short to be drawn one by one");
        ck_assert_int_le(read_path(strstr(text, "aria-label=\"gil: what"), "k-run", rects), 200);
        ck_assert_int_ge(read_path(strstr(text, "over time, enlarged\""), "k-run", rects), 15);
        assert_says(text, "worker 0: waiting for the lock for 50.0 % of the round");
        ck_assert_uint_le(strlen(text), BYTES_MOST);
}
END_TEST

START_TEST(without_spans_it_is_said_why)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *one = NULL, *none = NULL, *partial = NULL;

        json_array_clear(json_object_get(variant_of(compare, 1), "spans"));
        one = write_good_page(compare);
        assert_says(one, "the daemon noted no spans of this variant");
        for (size_t i = 0; i < 4; i++)
                set(variant_of(compare, i), "spans", json_array());
        none = write_good_page(compare);
        assert_says(none, "none were asked for");
        ck_assert_ptr_null(strstr(none, "k-run\" d="));
        set(compare, "partial", json_true());
        partial = write_good_page(compare);
        assert_says(partial, "the comparison ended before");
}
END_TEST

START_TEST(dropped_spans_end_the_rows)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL;

        set(variant_of(compare, 1), "spans_dropped", json_integer(12345));
        text = write_good_page(compare);
        assert_says(text, "There was no room for 12 345 spans more");
}
END_TEST

/* ── latency and scaling ── */

START_TEST(latency_has_its_percentiles)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL, *part = NULL;

        set(variant_of(compare, 0), "latency_ns", json_null());
        set(variant_of(compare, 1), "latency_bins", json_array());
        text = write_good_page(compare);
        part = part_of(text, "id=\"latency\"", "</section>");
        ck_assert_int_eq(page_count(part, "class=\"area\""), 3);
        ck_assert_int_eq(page_count(part, "class=\"percentile\""), 2 * 3);
        assert_says(part, ">p99 5.78 ms<");
        assert_says(part, "No task of this variant was timed.");
}
END_TEST

static json_t *
scaling_of(int points)
{
        json_t *scaling = json_pack("{s:s, s:[], s:f, s:f, s:f, s:f, s:f, s:s}", "name", "thread", "points", "serial",
                                    0.05, "sigma", 0.04, "kappa", 0.002, "peak", 21.9, "rms_relative", 0.01, "limit",
                                    "contention: 4 % of the work");

        for (int i = 0; i < points; i++)
                json_array_append_new(json_object_get(scaling, "points"),
                                      json_pack("{s:i, s:f, s:f, s:{s:f, s:f}, s:f}", "workers", 1 << i, "tasks_per_s",
                                                1000.0 * (i + 1), "speed_up", i + 1.0, "speed_up_interval", "low",
                                                i + 0.9, "high", i + 1.1, "fitted", i + 1.05));
        return scaling;
}

START_TEST(scaling_has_points_and_curves)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL, *part = NULL;

        set(compare, "scaling", json_pack("[o, o, o]", scaling_of(4), scaling_of(1), scaling_of(0)));
        text = write_good_page(compare);
        part = part_of(text, "id=\"scaling\"", "</section>");
        ck_assert_int_eq(page_count(part, "class=\"point\""), 5);
        ck_assert_int_eq(page_count(part, "class=\"bar\""), 5);
        ck_assert_int_eq(page_count(part, "class=\"curve usl\""), 1);
        ck_assert_int_eq(page_count(part, "class=\"curve amdahl\""), 1);
        ck_assert_int_eq(page_count(part, "class=\"curve ideal\""), 2);
        assert_says(part, "No point was measured.");
        assert_says(part, "contention: 4 % of the work");
}
END_TEST

START_TEST(two_points_have_no_fit)
{
        AUTO_JSON json_t *compare = compare_fixture(), *linear = scaling_of(3);
        AUTO_FREE char *text = NULL, *part = NULL, *without = NULL;

        set(compare, "scaling", json_pack("[o]", scaling_of(2)));
        text = write_good_page(compare);
        part = part_of(text, "id=\"scaling\"", "</section>");
        assert_says(part, "Two points only: no fit.");
        ck_assert_int_eq(page_count(part, "class=\"curve usl\""), 0);
        ck_assert_ptr_null(strstr(part, "Serial fraction"));
        ck_assert_ptr_null(strstr(part, "fastest with"));
        ck_assert_ptr_null(strstr(part, "Amdahl"));
        set(linear, "kappa", json_real(0));
        set(compare, "scaling", json_pack("[O]", linear));
        without = write_good_page(compare);
        assert_says(without, "Serial fraction 0.05");
        ck_assert_ptr_null(strstr(without, "fastest with"));
}
END_TEST

/* ── whatever comes ── */

/* Replaces every string by one that looks like markup, but for those that the page decides by. */
static void
poison(json_t *value)
{
        json_t *each;
        const char *key;
        size_t i;
        void *next;

        json_array_foreach(value, i, each)
        {
                if (json_is_string(each))
                        json_string_set(each, EVIL);
                else
                        poison(each);
        }
        json_object_foreach_safe(value, next, key, each)
        {
                if (!json_is_string(each))
                        poison(each);
                else if (strcmp(key, "kind") != 0 || json_object_get(value, "slot"))
                        json_string_set(each, EVIL);
        }
}

START_TEST(every_text_is_escaped)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL;

        set(compare, "scaling", json_pack("[o]", scaling_of(3)));
        set(variant_of(compare, 0), "params", json_pack("{s:s}", EVIL, EVIL));
        set(compare, "reason", json_string("because"));
        set(json_object_get(compare, "environment"), "sanitizer", json_string("address"));
        poison(compare);
        text = write_good_page(compare);
        ck_assert_int_ge(page_count(text, "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; &#39;y&#39;"), 40);
        ck_assert_ptr_null(strstr(text, "\xc2\x9b"));
        ck_assert_ptr_null(strstr(text, "\u202e"));
}
END_TEST

START_TEST(nothing_at_all_is_a_page_too)
{
        AUTO_JSON json_t *empty = json_object(), *compare = compare_fixture();
        AUTO_FREE char *text = write_good_page(empty), *bare = NULL;

        assert_says(text, "There is no variant.");
        for (size_t i = 0; i < 4; i++)
                json_object_clear(variant_of(compare, i));
        bare = write_good_page(compare);
        assert_says(bare, "No round was measured");
}
END_TEST

static void
keep_rounds(json_t *variant, size_t n)
{
        static const char *const keys[] = {"times_s", "user_s", "system_s", "tasks", "order", "outliers"};

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                json_t *array = json_object_get(variant, keys[i]);

                while (json_array_size(array) > n)
                        json_array_remove(array, json_array_size(array) - 1);
        }
}

START_TEST(few_rounds_are_shown_as_they_are)
{
        static const char *const null_keys[] = {"median_s", "median_interval", "mean_s",   "stddev_s",         "min_s",
                                                "max_s",    "s_per_task",      "speed_up", "speed_up_interval"};

        for (size_t n = 0; n < 3; n++) {
                AUTO_JSON json_t *compare = compare_fixture();
                AUTO_FREE char *text = NULL, *part = NULL;

                set(compare, "state", json_string("cancelled"));
                set(compare, "partial", json_true());
                set(compare, "rounds", json_integer((json_int_t)n));
                for (size_t i = 0; i < 4; i++) {
                        json_t *v = variant_of(compare, i);

                        keep_rounds(v, n);
                        set(v, "outliers", json_array());
                        set(v, "verdict", json_string("none"));
                        for (size_t k = 0; k < ARRAY_SIZE(null_keys); k++)
                                set(v, null_keys[k], json_null());
                }
                text = write_good_page(compare);
                part = part_of(text, "id=\"rounds\"", "<table");
                assert_says(text, "This comparison was not completed: cancelled.");
                assert_says(text, "of 11 that were asked for");
                assert_says(text, "No verdict: that needs at least 10 rounds.");
                /* Two pictures, if it can be seen how steady they were. */
                ck_assert_int_eq(page_count(part, "class=\"dot\""), (int)n * 4 * (n > 1 ? 2 : 1));
        }
}
END_TEST

START_TEST(odd_figures_stay_inside)
{
        static const double odd[] = {0, -1, 1e-12, 1e300, 5e-324, 1e9};

        for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
                AUTO_JSON json_t *compare = compare_fixture();
                AUTO_FREE char *text = NULL;
                json_t *v = variant_of(compare, 1), *times = json_object_get(v, "times_s");

                for (size_t k = 0; k < FIXTURE_ROUNDS; k++)
                        json_array_set_new(times, k, json_real(odd[i]));
                set(v, "median_s", json_real(odd[i]));
                set(v, "speed_up", json_real(odd[i]));
                set(v, "tasks_per_s", json_real(odd[i]));
                set(v, "cores_busy", json_real(odd[i] > 1e6 ? 1e6 : odd[i]));
                fixture_add_span(json_object_get(v, "spans"), -1, "run", 0, 1, 0, 1);
                fixture_add_span(json_object_get(v, "spans"), 9, "run", -5, 900, 0, 1);
                fixture_add_span(json_object_get(v, "spans"), 0, "run", 10, 5, 0, 1);
                fixture_add_span(json_object_get(v, "spans"), 0, "strange", 10, 15, 0, 1);
                json_array_append_new(
                        json_object_get(v, "latency_bins"),
                        json_pack("{s:i, s:I, s:i}", "from_ns", 0, "to_ns", (json_int_t)INT64_MAX, "count", 1));
                json_array_append_new(json_object_get(v, "latency_bins"),
                                      json_pack("{s:i, s:i, s:i}", "from_ns", 9, "to_ns", 9, "count", -3));
                text = write_good_page(compare);
                assert_says(text, ">#9<");
        }
}
END_TEST

/* All times of rounds are the same, and say nothing. */
START_TEST(runs_by_duration_are_shown_per_task)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL, *table = NULL, *cards = NULL;

        for (size_t i = 0; i < 4; i++) {
                json_t *v = variant_of(compare, i);

                set(v, "count", json_null());
                set(v, "duration_s", json_real(0.2));
                for (size_t k = 0; k < FIXTURE_ROUNDS; k++) {
                        json_array_set_new(json_object_get(v, "times_s"), k, json_real(0.2));
                        json_array_set_new(json_object_get(v, "tasks"), k, json_integer(i == 0 ? 400 : 800));
                }
        }
        json_array_set_new(json_object_get(variant_of(compare, 1), "tasks"), 0, json_integer(1000));
        text = write_good_page(compare);
        table = part_of(text, "<caption>Times per task in the measured rounds", "</table>");
        cards = part_of(text, "class=\"cards\"", "</ul>");
        assert_says(text, "Time per task in each round");
        assert_says(table, "<th scope=\"row\">sequential</th><td class=\"num\">500 µs</td>");
        assert_says(table, "<th scope=\"row\">process</th><td class=\"num\">250 µs</td>");
        assert_says(table, "<td class=\"num\">200 µs</td><td class=\"num\">250 µs</td>");
        assert_says(cards, "median 500 µs per task");
        ck_assert_ptr_null(strstr(table, "200 ms"));
        ck_assert_ptr_null(strstr(cards, "ms ·"));
        ck_assert_ptr_null(strstr(text, "ends further left was faster"));
}
END_TEST

START_TEST(different_counts_are_shown_per_task)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL;

        set(variant_of(compare, 1), "count", json_integer(2010));
        for (size_t k = 0; k < FIXTURE_ROUNDS; k++)
                json_array_set_new(json_object_get(variant_of(compare, 1), "tasks"), k, json_integer(2010));
        text = write_good_page(compare);
        assert_says(text, "Time per task in each round");
        assert_says(text, "median 752 µs<");
        assert_says(text, "median 752 µs per task");
        assert_says(text, "<th scope=\"row\">process</th><td class=\"num\">190 µs</td><td class=\"num\">189 µs … 191 "
                          "µs</td>");
        ck_assert_ptr_null(strstr(text, "ends further left was faster"));
}
END_TEST

START_TEST(rounds_without_a_task_have_no_verdict)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL, *cards = NULL;
        json_t *v = variant_of(compare, 3);

        for (size_t i = 0; i < 4; i++)
                set(variant_of(compare, i), "count", json_null());
        json_array_set_new(json_object_get(v, "tasks"), 0, json_integer(0));
        set(v, "s_per_task", json_null());
        set(v, "speed_up", json_null());
        set(v, "speed_up_interval", json_null());
        set(v, "verdict", json_string("none"));
        text = write_good_page(compare);
        cards = part_of(text, "<h3>gil</h3>", "</ul>");
        assert_says(cards, "<p class=\"big\">–</p>");
        assert_says(cards, "No verdict: there was a round without a task");
        assert_says(text, "<th scope=\"row\">gil</th><td class=\"num\">–</td><td class=\"num\">–</td>");
}
END_TEST

/* The page says of the machine what the terminal says. */
START_TEST(a_noisy_machine_is_called_so)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *good = NULL, *noisy = NULL, *few = NULL;

        set(compare, "aa", json_true());
        set(compare, "trusted", json_true());
        set(compare, "reference", json_string("sequential"));
        set(variant_of(compare, 1), "speed_up_interval", json_pack("{s:f, s:f}", "low", 0.99, "high", 1.02));
        good = write_good_page(compare);
        assert_says(good, "this machine can be trusted now");
        set(variant_of(compare, 1), "speed_up_interval", json_pack("{s:f, s:f}", "low", 0.81, "high", 1.15));
        noisy = write_good_page(compare);
        assert_says(noisy, "this machine is noisy now: only differences beyond ±19 % can be told");
        ck_assert_ptr_null(strstr(noisy, "can be trusted now"));
        set(compare, "trusted", json_null());
        few = write_good_page(compare);
        assert_says(few, "too few rounds");
}
END_TEST

START_TEST(only_what_is_true_is_said_of_the_method)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *same = write_good_page(compare), *differing = NULL, *native = NULL;

        assert_says(same,
                    "the same start barrier, the same chunks, the same CPUs, the same paths through the C library.");
        assert_says(same, "a first round only warms up");
        assert_says(same, "yes, so that libc does the same work in all modes");
        set(compare, "warmup_rounds", json_integer(0));
        set(variant_of(compare, 1), "libc", json_string("native"));
        set(variant_of(compare, 1), "chunk", json_integer(8));
        json_array_clear(json_object_get(variant_of(compare, 2), "cpus"));
        differing = write_good_page(compare);
        assert_says(differing, "<li>All variants have the same start barrier.</li>");
        ck_assert_ptr_null(strstr(differing, "warms up"));
        ck_assert_ptr_null(strstr(differing, "yes, so that libc"));
        assert_says(differing, "where libc is threaded");
        for (size_t i = 0; i < 4; i++)
                set(variant_of(compare, i), "libc", json_string("native"));
        native = write_good_page(compare);
        ck_assert_ptr_null(strstr(native, "yes, so that libc"));
        assert_says(native, "Idle thread in every process worker</th><td class=\"wide\">no<");
}
END_TEST

START_TEST(what_spoils_it_comes_first)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL, *top = NULL;

        set(compare, "state", json_string("failed"));
        set(compare, "reason", json_string("a worker died"));
        set(compare, "precision", json_real(0.01));
        set(compare, "precision_reached", json_false());
        set(compare, "aa", json_true());
        set(compare, "trusted", json_false());
        set(compare, "resumed", json_integer(1));
        set(variant_of(compare, 2), "failed", json_integer(3));
        set(json_object_get(compare, "environment"), "sanitizer", json_string("address"));
        text = write_good_page(compare);
        top = part_of(text, "<body>", "id=\"verdict\"");
        ck_assert_int_eq(page_count(text, "class=\"notice"), 6);
        assert_says(top, "not completed: failed: a worker died");
        assert_says(top, "±1 %, was not reached within 11 rounds");
        assert_says(top, "cannot be trusted now");
        assert_says(top, "thread: 3 tasks failed");
        assert_says(top, "built with a sanitizer (address)");
        assert_says(top, "followed by another one 1 time;");
}
END_TEST

START_TEST(many_variants_and_rounds_stay_bounded)
{
        AUTO_JSON json_t *compare = compare_fixture(), *model = json_deep_copy(variant_of(compare, 3));
        json_t *variants = json_object_get(compare, "variants");
        AUTO_FREE char *text = NULL;

        for (int i = 0; i < 117; i++) {
                json_array_append_new(json_object_get(model, "times_s"), json_real(0.77 + i * 1e-4));
                json_array_append_new(json_object_get(model, "tasks"), json_integer(FIXTURE_TASKS));
                json_array_append_new(json_object_get(model, "order"), json_integer(i % 64));
        }
        json_array_clear(variants);
        for (int i = 0; i < 64; i++)
                json_array_append_new(variants, json_deep_copy(model));
        text = write_good_page(compare);
        ck_assert_int_eq(page_count(text, "class=\"dots\""), 2 * 64);
        ck_assert_uint_le(strlen(text), 8 * BYTES_MOST);
        ck_assert_ptr_null(strstr(text, "The first "));
}
END_TEST

START_TEST(rounds_that_are_left_out_of_the_table_are_counted)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL;

        for (int i = 0; i < 2500 - FIXTURE_ROUNDS; i++) {
                json_array_append_new(json_object_get(variant_of(compare, 3), "times_s"), json_real(0.77));
                json_array_append_new(json_object_get(variant_of(compare, 3), "tasks"), json_integer(FIXTURE_TASKS));
        }
        text = write_good_page(compare);
        ck_assert_ptr_nonnull(strstr(text, "<th scope=\"row\">2048</th>"));
        ck_assert_ptr_null(strstr(text, "<th scope=\"row\">2049</th>"));
        assert_says(text, "The first 2048 of 2500 rounds; the pictures show all of them.");
}
END_TEST

/* A name is cut to the room that it has; a character is not. */
START_TEST(a_long_name_stays_utf8)
{
        AUTO_JSON json_t *compare = compare_fixture();
        const char *name = "aüüüüüüüüüüüüüüüü"
                           "üüüüüüüüüüüüüüüü";
        AUTO_FREE char *text = NULL;

        ck_assert_uint_eq(strlen(name), 65);
        set(variant_of(compare, 0), "name", json_string(name));
        text = write_good_page(compare);
        ck_assert_ptr_nonnull(strstr(text, "class=\"name\">aü"));
}
END_TEST

/* The letters of pictures grow where these shrink. */
START_TEST(labels_have_room_on_a_narrow_screen)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = write_good_page(compare);
        const char *rule = strstr(text, "@media (max-width:560px){svg text{font-size:"), *label = text;
        double last = 0, size, y;
        int n = 0;

        ck_assert_ptr_nonnull(rule);
        ck_assert_int_eq(sscanf(strstr(rule, "font-size:"), "font-size:%lf", &size), 1);
        ck_assert_ptr_nonnull(strstr(rule, "svg{overflow:visible}"));
        while ((label = strstr(label, "<text x=")) != NULL) {
                const char *content = strchr(label, '>') + 1;

                label++;
                if (strncmp(content, "p50 ", 4) != 0 && strncmp(content, "p90 ", 4) != 0 &&
                    strncmp(content, "p99 ", 4) != 0)
                        continue;
                ck_assert_int_eq(sscanf(strstr(label, "y=\""), "y=\"%lf", &y), 1);
                ck_assert_double_ge(y - (content[1] == '5' ? 0 : last), content[1] == '5' ? 0.8 * size : size);
                last = y;
                n++;
        }
        ck_assert_int_eq(n, 3 * 4);
}
END_TEST

/* ── axes ── */

START_TEST(ticks_are_round_and_inside)
{
        static const double ranges[][2] = {{0, 1},     {0, 0.8},   {380, 413}, {0.3771, 0.3772},
                                           {0, 1e-12}, {0, 1e300}, {-5, 5},    {99.9, 108.3}};

        for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
                struct axis axis = {ranges[i][0], ranges[i][1], 0, 100, false};
                double ticks[AXIS_TICKS_MAX];
                size_t n = axis_ticks(&axis, 8, ticks);

                ck_assert_uint_ge(n, 3);
                ck_assert_uint_le(n, 10);
                for (size_t k = 0; k < n; k++) {
                        ck_assert(ticks[k] >= axis.low - (axis.high - axis.low) * 1e-5);
                        ck_assert(ticks[k] <= axis.high + (axis.high - axis.low) * 1e-5);
                        ck_assert(k == 0 || ticks[k] > ticks[k - 1]);
                }
        }
}
END_TEST

START_TEST(a_logarithmic_axis_has_powers)
{
        struct axis axis = {1, 1e6, 0, 600, true};
        double ticks[AXIS_TICKS_MAX];

        ck_assert_uint_eq(axis_ticks(&axis, 8, ticks), 7);
        ck_assert_double_eq_tol(ticks[3], 1000, 1e-9);
        ck_assert_double_eq_tol(axis_at(&axis, 1000), 300, 1e-9);
        ck_assert_double_eq(axis_at(&axis, 0), 0);
        ck_assert_double_eq(axis_at(&axis, NAN), 0);
        ck_assert_double_eq(axis_at(&axis, 1e9), 600);
        axis.is_log = false;
        ck_assert_double_eq(axis_at(&axis, NAN), 0);
        axis.is_log = true;
        axis = (struct axis){700, 6000, 0, 600, true};
        ck_assert_uint_ge(axis_ticks(&axis, 8, ticks), 5);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("ctl_report");
        TCase *tc = tcase_create("report");

        tcase_set_timeout(tc, 60); /* pages of megabytes are read through */
        tcase_add_test(tc, a_comparison_is_told_from_top_to_bottom);
        tcase_add_test(tc, every_round_is_a_dot);
        tcase_add_test(tc, the_order_is_in_a_table);
        tcase_add_test(tc, the_command_repeats_it);
        tcase_add_test(tc, the_convoy_is_seen_as_alternation);
        tcase_add_test(tc, what_is_too_fine_is_drawn_as_shares);
        tcase_add_test(tc, without_spans_it_is_said_why);
        tcase_add_test(tc, dropped_spans_end_the_rows);
        tcase_add_test(tc, latency_has_its_percentiles);
        tcase_add_test(tc, scaling_has_points_and_curves);
        tcase_add_test(tc, every_text_is_escaped);
        tcase_add_test(tc, nothing_at_all_is_a_page_too);
        tcase_add_test(tc, few_rounds_are_shown_as_they_are);
        tcase_add_test(tc, odd_figures_stay_inside);
        tcase_add_test(tc, two_points_have_no_fit);
        tcase_add_test(tc, runs_by_duration_are_shown_per_task);
        tcase_add_test(tc, different_counts_are_shown_per_task);
        tcase_add_test(tc, rounds_without_a_task_have_no_verdict);
        tcase_add_test(tc, a_noisy_machine_is_called_so);
        tcase_add_test(tc, only_what_is_true_is_said_of_the_method);
        tcase_add_test(tc, what_spoils_it_comes_first);
        tcase_add_test(tc, many_variants_and_rounds_stay_bounded);
        tcase_add_test(tc, rounds_that_are_left_out_of_the_table_are_counted);
        tcase_add_test(tc, a_long_name_stays_utf8);
        tcase_add_test(tc, labels_have_room_on_a_narrow_screen);
        tcase_add_test(tc, ticks_are_round_and_inside);
        tcase_add_test(tc, a_logarithmic_axis_has_powers);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
