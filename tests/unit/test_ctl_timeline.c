/* SPDX-License-Identifier: MIT */
/* The picture of a race: well-formed, nothing outside of it, and it says what the spans say. */
#include "ctl/timeline.h"

#include "run_suite.h"

#include <check.h>
#include <stdbool.h>
#include <string.h>

#define NAMES_MAX    16
#define NAME_LONGEST 32

/* One span of an actor in a trial, in microseconds. */
static void
add(json_t *race, int actor, const char *kind, int trial, int from_us, int to_us)
{
        json_array_append_new(json_object_get(race, "spans"),
                              json_pack("{s:i, s:s, s:i, s:I, s:I}", "actor", actor, "kind", kind, "trial", trial,
                                        "from_ns", (json_int_t)from_us * 1000, "to_ns", (json_int_t)to_us * 1000));
}

static json_t *
race_of(const char *scenario, const char *guard, int permits, int actors)
{
        return json_pack("{s:s, s:{s:s}, s:s, s:s, s:i, s:i, s:i, s:{s:s, s:i, s:i}, s:[]}", "scenario", scenario,
                         "params", "target", "1000", "mode", "process", "guard", guard, "permits", permits, "actors",
                         actors, "done", 1000, "observation", "verdict", "Never", "positive", 0, "negative", 1000,
                         "spans");
}

/* One after the other: actor 1 waits until actor 0 lets go. */
static void
add_exclusive_trial(json_t *race, int trial, int at)
{
        add(race, 0, "trial", trial, at, at + 100);
        add(race, 1, "trial", trial, at + 1, at + 201);
        add(race, 0, "hold", trial, at + 2, at + 100);
        add(race, 1, "wait", trial, at + 2, at + 101);
        add(race, 1, "hold", trial, at + 101, at + 200);
}

/* Both at once, for the whole of it. */
static void
add_shared_trial(json_t *race, int trial, int at)
{
        add(race, 0, "trial", trial, at, at + 200);
        add(race, 1, "trial", trial, at, at + 200);
        add(race, 0, "hold", trial, at + 2, at + 199);
        add(race, 1, "hold", trial, at + 3, at + 200);
}

static char *
draw(const json_t *race)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        timeline_write(f, race);
        fclose(f);
        return text;
}

static int
count(const char *text, const char *part)
{
        int n = 0;

        for (const char *p = text; (p = strstr(p, part)) != NULL; p += strlen(part))
                n++;
        return n;
}

/* Every element is closed by its own name, every attribute stands between quotes, and there is no bare & or < . */
static void
assert_well_formed(const char *text)
{
        char open[NAMES_MAX][NAME_LONGEST];
        int depth = 0;

        for (const char *p = text; *p != '\0'; p++) {
                if (*p == '&') {
                        ck_assert_msg(strncmp(p, "&lt;", 4) == 0 || strncmp(p, "&gt;", 4) == 0 ||
                                              strncmp(p, "&amp;", 5) == 0 || strncmp(p, "&quot;", 6) == 0 ||
                                              strncmp(p, "&#39;", 5) == 0,
                                      "a bare & at: %.30s", p);
                        continue;
                }
                if (*p != '<')
                        continue;
                const char *name = p + 1 + (p[1] == '/'), *end = p + 1;
                size_t len = strcspn(name, " />\n?");
                bool in_quotes = false;

                for (; *end != '\0' && (in_quotes || *end != '>'); end++) {
                        in_quotes ^= *end == '"';
                        ck_assert_msg(*end != '<', "a bare < at: %.30s", end);
                }
                ck_assert_msg(*end == '>' && len < NAME_LONGEST, "no end: %.30s", p);
                if (p[1] == '/') {
                        ck_assert_msg(depth > 0 && strncmp(open[depth - 1], name, len) == 0 &&
                                              open[depth - 1][len] == '\0',
                                      "closed, but not open: %.30s", p);
                        depth--;
                } else if (end[-1] != '/' && p[1] != '?') {
                        ck_assert_int_lt(depth, NAMES_MAX);
                        memcpy(open[depth], name, len);
                        open[depth++][len] = '\0';
                }
                p = end;
        }
        ck_assert_int_eq(depth, 0);
}

static double
attribute(const char *element, const char *name)
{
        char key[16];
        const char *at;

        snprintf(key, sizeof(key), " %s=\"", name);
        at = strstr(element, key);
        return at && at < strchr(element, '>') ? strtod(at + strlen(key), NULL) : 0;
}

/* As wide as the text can be in the widest of the fonts; what is centred or ends at x is short. */
static double
text_width(const char *element)
{
        const char *begin = strchr(element, '>') + 1, *class = strstr(element, "class=\"");
        double columns = 0;

        if (strncmp(element, "<text ", 6) != 0 || !class || strncmp(class, "class=\"title", 12) == 0 ||
            memmem(class, (size_t)(begin - class), "middle", 6) || memmem(class, (size_t)(begin - class), "end", 3))
                return 0;
        for (const char *p = begin; *p != '<'; p++)
                columns += ((unsigned char)*p & 0xc0) != 0x80;
        return columns * 9.2;
}

/* Every rectangle and every text begins and ends in the view box. */
static void
assert_inside(const char *text)
{
        double width = 0, height = 0;
        int n = 0;

        ck_assert_int_eq(sscanf(strstr(text, "viewBox="), "viewBox=\"0 0 %lf %lf\"", &width, &height), 2);
        ck_assert(width == TIMELINE_WIDTH && height > 0);
        for (const char *p = text; (p = strchr(p, '<')) != NULL; p++) {
                if (strncmp(p, "<rect ", 6) != 0 && strncmp(p, "<text ", 6) != 0)
                        continue;
                ck_assert_msg(attribute(p, "x") >= 0 && attribute(p, "y") >= 0 &&
                                      attribute(p, "x") + attribute(p, "width") + text_width(p) <= width + 0.01 &&
                                      attribute(p, "y") + attribute(p, "height") <= height + 0.01,
                              "outside: %.90s", p);
                n++;
        }
        ck_assert_int_gt(n, 8);
}

static void
assert_says(const char *text, const char *part)
{
        ck_assert_msg(strstr(text, part) != NULL, "\"%s\" is not in: %.300s …", part, text);
}

START_TEST(one_permit_is_one_at_a_time)
{
        AUTO_JSON json_t *race = race_of("counter", "semaphore", 1, 2);
        AUTO_FREE char *text = NULL;

        for (int i = 0; i < 3; i++)
                add_exclusive_trial(race, i, i * 250);
        text = draw(race);
        assert_well_formed(text);
        assert_inside(text);
        assert_says(text, "counter ±1000 · 2 processes · semaphore, 1 permit<");
        assert_says(text, "the first 3 of 1000 trials");
        assert_says(text, "One at a time");
        ck_assert_int_eq(count(text, "class=\"hold\""), 6 + 1); /* and one in the legend */
        ck_assert_int_eq(count(text, "class=\"wait\""), 3 + 1);
        ck_assert_int_eq(count(text, "class=\"both\""), 0 + 1);
        ck_assert_int_eq(count(text, ">trial "), 3);
        assert_says(text, ">actor 0<");
        assert_says(text, ">actor 1<");
        assert_says(text, "prefers-color-scheme: dark");
}
END_TEST

START_TEST(two_permits_are_both_at_once)
{
        AUTO_JSON json_t *race = race_of("counter", "semaphore", 2, 2);
        AUTO_FREE char *text = NULL;

        for (int i = 0; i < 3; i++)
                add_shared_trial(race, i, i * 250);
        text = draw(race);
        assert_well_formed(text);
        assert_inside(text);
        ck_assert_int_eq(count(text, "class=\"both\""), 3 + 1);
        assert_says(text, "both hold a permit");
        /* 196 of the 198 us in which any holds */
        assert_says(text,
                    "Up to 2 at once: with semaphore, 2 permits several actors are inside together (red, 99.0 % of the "
                    "time)");
        assert_says(text, "class=\"alarm\"");
}
END_TEST

START_TEST(readers_that_share_are_no_alarm)
{
        AUTO_JSON json_t *race = race_of("readers-writers", "rwlock", 1, 2);
        AUTO_FREE char *text = NULL;

        add_shared_trial(race, 0, 0);
        text = draw(race);
        assert_says(text, "both hold it<");
        assert_says(text, "Up to 2 at once: with rwlock several actors are inside together (red, 99.0 % of the time).");
        ck_assert_ptr_null(strstr(text, "class=\"alarm\""));
}
END_TEST

START_TEST(a_hand_over_is_no_overlap)
{
        AUTO_JSON json_t *race = race_of("counter", "mutex", 1, 2);
        AUTO_FREE char *text = NULL;

        add(race, 0, "trial", 0, 0, 20);
        add(race, 1, "hold", 0, 10, 20);
        add(race, 0, "hold", 0, 0, 10);
        text = draw(race);
        ck_assert_int_eq(count(text, "class=\"both\""), 0 + 1);
        assert_says(text, "One at a time");
}
END_TEST

START_TEST(a_long_trial_ends_the_picture)
{
        AUTO_JSON json_t *race = race_of("counter", "semaphore", 2, 2);
        AUTO_FREE char *text = NULL;

        add_shared_trial(race, 0, 0);
        add_shared_trial(race, 1, 250);
        add(race, 0, "trial", 2, 500, 100500);
        add(race, 0, "hold", 2, 501, 100500);
        add_shared_trial(race, 3, 100600);
        text = draw(race);
        assert_inside(text);
        assert_says(text, "the first 2 of 1000 trials");
        ck_assert_int_eq(count(text, "class=\"hold\""), 4 + 1);
        assert_says(text, ">450 µs<");
}
END_TEST

/* With a guard for each step, what can be noted is full before the first trial ends. */
START_TEST(a_trial_that_has_no_end_shows_its_beginning)
{
        AUTO_JSON json_t *race = race_of("counter", "semaphore", 1, 2);
        AUTO_FREE char *text = NULL;

        for (int i = 0; i < 100; i++) {
                add(race, 0, "hold", 0, i * 4, i * 4 + 2);
                add(race, 1, "wait", 0, i * 4 + 1, i * 4 + 2);
                add(race, 1, "hold", 0, i * 4 + 2, i * 4 + 3);
        }
        text = draw(race);
        assert_well_formed(text);
        assert_inside(text);
        assert_says(text, "the beginning of the first of 1000 trials");
        assert_says(text, "One at a time");
        /* 40 holds of actor 0 and what the other one did until then */
        assert_says(text, ">140 µs<");
        ck_assert_ptr_null(strstr(text, ">160 µs<"));
        ck_assert_int_le(count(text, "class=\"hold\""), 82 + 1);
}
END_TEST

START_TEST(names_are_escaped)
{
        AUTO_JSON json_t *race = race_of("<a & \"b\">\x01", "semaphore", 1, 2);
        AUTO_FREE char *text = NULL;

        add_exclusive_trial(race, 0, 0);
        text = draw(race);
        assert_well_formed(text);
        assert_says(text, "&lt;a &amp; &quot;b&quot;&gt;");
        ck_assert_ptr_null(strchr(text, '\x01'));
}
END_TEST

START_TEST(nothing_to_see_is_a_picture_too)
{
        AUTO_JSON json_t *race = race_of("counter", "none", 1, 2), *empty = json_object();
        AUTO_FREE char *no_spans = draw(race), *no_fields = draw(empty), *no_guard = NULL;

        assert_well_formed(no_spans);
        assert_inside(no_spans);
        assert_says(no_spans, "No trial was noted");
        assert_well_formed(no_fields);
        add_shared_trial(race, 0, 0);
        no_guard = draw(race);
        assert_says(no_guard, "Up to 2 at once: with no guard");
}
END_TEST

/* Whatever comes from the daemon: actors that there are not, times before and behind the picture, none at all. */
START_TEST(odd_spans_stay_inside)
{
        AUTO_JSON json_t *race = race_of("counter", "semaphore", 2, 2);
        AUTO_FREE char *text = NULL;

        add(race, 0, "trial", 7, 100, 200);
        add(race, 1, "trial", 8, 100, 250);
        add(race, 9, "hold", 7, 100, 200);
        add(race, -1, "hold", 7, 100, 200);
        add(race, 0, "hold", 7, -50, 100000);
        add(race, 1, "wait", 7, 200, 150);
        add(race, 1, "hold", 7, 250, 250);
        text = draw(race);
        assert_well_formed(text);
        assert_inside(text);
        /* What begins where the plot ends is drawn before it. */
        ck_assert_ptr_null(strstr(text, " x=\"1180.00\""));
}
END_TEST

START_TEST(many_actors_have_a_lane_each)
{
        AUTO_JSON json_t *race = race_of("counter", "semaphore", 1, 12);
        AUTO_FREE char *text = NULL;

        for (int i = 0; i < 12; i++) {
                add(race, i, "trial", 0, 0, 120);
                add(race, i, "hold", 0, i * 10, i * 10 + 10);
        }
        text = draw(race);
        assert_inside(text);
        assert_says(text, ">actor 11<");
        ck_assert_int_eq(count(text, "class=\"both\""), 0 + 1);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("ctl_timeline");
        TCase *tc = tcase_create("timeline");

        tcase_add_test(tc, one_permit_is_one_at_a_time);
        tcase_add_test(tc, two_permits_are_both_at_once);
        tcase_add_test(tc, readers_that_share_are_no_alarm);
        tcase_add_test(tc, a_hand_over_is_no_overlap);
        tcase_add_test(tc, a_long_trial_ends_the_picture);
        tcase_add_test(tc, a_trial_that_has_no_end_shows_its_beginning);
        tcase_add_test(tc, names_are_escaped);
        tcase_add_test(tc, nothing_to_see_is_a_picture_too);
        tcase_add_test(tc, odd_spans_stay_inside);
        tcase_add_test(tc, many_actors_have_a_lane_each);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
