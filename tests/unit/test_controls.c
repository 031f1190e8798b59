/* SPDX-License-Identifier: MIT */
/* Every code point there is, and every text of up to three bytes that begins outside ASCII. */
#include "shared/controls.h"

#include "run_suite.h"

#include <check.h>
#include <string.h>

/* UTF-8, also of what has none; ends with a NUL that does not count. */
static size_t
encode(uint32_t c, char buf[5])
{
        size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};

        memset(buf, 0, 5);
        for (size_t i = n; i > 1; c >>= 6)
                buf[--i] = (char)(0x80 | (c & 0x3f));
        buf[0] = (char)(first[n] | c);
        return n;
}

static bool
is_control(uint32_t c)
{
        return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x61c || c == 0x200e || c == 0x200f || c == 0x2028 ||
               c == 0x2029 || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

START_TEST(every_code_point)
{
        char buf[5];

        for (uint32_t c = 0; c <= 0x10ffff; c++) {
                size_t n = encode(c, buf), length = 0, control;
                bool surrogate = c >= 0xd800 && c <= 0xdfff;

                control = controls_at(buf, n, &length);
                /* Not by ck_assert(), which would take minutes of this. */
                if (length != (surrogate ? 1 : n) ||
                    control != (surrogate       ? 1
                                : is_control(c) ? n
                                                : 0) ||
                    (c > 0 && controls_in(buf) != (surrogate || is_control(c))))
                        ck_abort_msg("U+%04X", c);
                /* Cut, it is none. */
                if (n > 1 && controls_at(buf, n - 1, NULL) != 1)
                        ck_abort_msg("U+%04X, cut", c);
        }
}
END_TEST

static const struct {
        const char *text, *replaced;
} texts[] = {
        {"", ""},
        {"plain", "plain"},
        {"calc × 1000 · process", "calc × 1000 · process"},
        {"a\033[2J\tb\n", "a?[2J?b?"},
        {"a\xc2\x9b"
         "2J",
         "a??2J"},
        {"user\u202etxt.exe", "user???txt.exe"},
        {"\u2066a\u2069\u200e\u061c", "???a????????"},
        {"\xe9t\xe9", "?t?"},              /* ISO 8859-1 */
        {"\xc0\xaf\xe0\x80\x8a", "?????"}, /* longer than need be */
        {"\xf4\x90\x80\x80\xff", "?????"},
        {"\xe2\x80", "??"},
        {"é\xe2", "é?"},
};

START_TEST(what_must_not_be_shown_is_replaced)
{
        AUTO_FREE char *text = strdup(texts[_i].text);

        ck_assert_int_eq(controls_in(text), strcmp(texts[_i].text, texts[_i].replaced) != 0);
        controls_replace(text, strlen(text), '?');
        ck_assert_str_eq(text, texts[_i].replaced);
        ck_assert(!controls_in(text));
}
END_TEST

START_TEST(nothing_is_no_control)
{
        size_t length = 7;

        ck_assert_uint_eq(controls_at("", 0, &length), 0);
        ck_assert_uint_eq(length, 0);
}
END_TEST

/* Whatever bytes there are, the end is found and not passed. */
START_TEST(any_bytes_are_walked_through)
{
        char text[4] = {0};

        for (uint32_t bytes = 0x800000; bytes <= 0xffffff; bytes++) {
                size_t at = 0, length;

                text[0] = (char)(bytes >> 16);
                text[1] = (char)(bytes >> 8);
                text[2] = (char)bytes;
                while (at < 3) {
                        size_t control = controls_at(text + at, 3 - at, &length);

                        if (length == 0 || length > 3 - at || (control != 0 && control != length))
                                ck_abort_msg("%06x", bytes);
                        at += length;
                }
        }
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("controls");
        TCase *tc = tcase_create("controls");

        tcase_set_timeout(tc, 60);
        tcase_add_test(tc, every_code_point);
        tcase_add_loop_test(tc, what_must_not_be_shown_is_replaced, 0, ARRAY_SIZE(texts));
        tcase_add_test(tc, nothing_is_no_control);
        tcase_add_test(tc, any_bytes_are_walked_through);
        suite_add_tcase(suite, tc);

        return run_suite(suite);
}
