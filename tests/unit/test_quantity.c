/* SPDX-License-Identifier: MIT */
#include "shared/base.h"
#include "shared/quantity.h"

#include "run_suite.h"

#include <check.h>
#include <inttypes.h>
#include <locale.h>
#include <string.h>

#define UNTOUCHED UINT64_C(0xdeadbeefdeadbeef)
#define BAD QUANTITY_E_SYNTAX
#define FAR QUANTITY_E_RANGE

static const struct {
        const char *given;
        int result;
        uint64_t value;
} counts[] = {
        {"0", 0, 0},
        {"1", 0, 1},
        {"1000", 0, 1000},
        {"0010", 0, 10},
        {"1e6", 0, 1000000},
        {"1E6", 0, 1000000},
        {"1e0", 0, 1},
        {"1e00000000000000003", 0, 1000},
        {"0e999999999999", 0, 0},
        {"1.5e3", 0, 1500},
        {"1.50000000000000000000000000000000000000000000000k", 0, 1500},
        {"2.0", 0, 2},
        {"10M", 0, 10000000},
        {"1k", 0, 1000},
        {"1.5k", 0, 1500},
        {"0.001k", 0, 1},
        {"3G", 0, 3000000000},
        {"2T", 0, 2000000000000},
        {"1e15", 0, COUNT_MAX},
        {"1000T", 0, COUNT_MAX},
        {"999999999999999", 0, COUNT_MAX - 1},
        {"0.000000000000001e15", 0, 1},
        {"1000000000000001", FAR, 0}, /* a double would still tell them apart; ×10 would not */
        {"1000.000000000001T", FAR, 0},
        {"1e16", FAR, 0},
        {"1e99999999999999999999", FAR, 0},
        {"18446744073709551615", FAR, 0},
        {"18446744073709551616", FAR, 0}, /* 2^64 would wrap to 0 */
        {"18446744073709551617", FAR, 0},
        {"340282366920938463463374607431768211457", FAR, 0}, /* 2^128 + 1 */
        {"99999999999999999999999999999999999999999999999999999999999999", FAR, 0},
        {"", BAD, 0},
        {"-1", BAD, 0},
        {"+1", BAD, 0},
        {"-0", BAD, 0},
        {" 1", BAD, 0},
        {"1 ", BAD, 0},
        {"1 000", BAD, 0},
        {"1,000", BAD, 0},
        {"1_000", BAD, 0},
        {"1\n", BAD, 0},
        {"1.5", BAD, 0},
        {"1.00000000000000000000000000000000000001e8", BAD, 0}, /* more digits than are kept */
        {"99999999999999999999999999999999999999999999999999.5", BAD, 0},
        {"0.1", BAD, 0},
        {"1.2345k", BAD, 0},
        {"1.5e0", BAD, 0},
        {"1e3x", BAD, 0},
        {"1e", BAD, 0},
        {"1e+3", BAD, 0},
        {"1e-3", BAD, 0},
        {"1e1.5", BAD, 0},
        {"1e3k", BAD, 0},
        {"1kk", BAD, 0},
        {"1K", BAD, 0},
        {"1m", BAD, 0},
        {"1Ti", BAD, 0},
        {"k", BAD, 0},
        {"e3", BAD, 0},
        {".", BAD, 0},
        {".5k", BAD, 0},
        {"5.", BAD, 0},
        {"5.k", BAD, 0},
        {"1.2.3", BAD, 0},
        {"0x10", BAD, 0},
        {"NaN", BAD, 0},
        {"nan", BAD, 0},
        {"inf", BAD, 0},
        {"infinity", BAD, 0},
        {"1s", BAD, 0},
        {"ten", BAD, 0},
        {"\u0661", BAD, 0}, /* an Arabic digit one */
};

START_TEST(count_is_read_exactly_or_refused)
{
        uint64_t value = UNTOUCHED;
        int r = quantity_parse_count(counts[_i].given, 0, COUNT_MAX, &value);

        ck_assert_msg(r == counts[_i].result, "\"%s\": result %d", counts[_i].given, r);
        ck_assert_msg(value == (r == 0 ? counts[_i].value : UNTOUCHED), "\"%s\": value %" PRIu64, counts[_i].given,
                      value);
}
END_TEST

START_TEST(count_range_includes_both_ends)
{
        uint64_t value = UNTOUCHED;

        ck_assert_int_eq(quantity_parse_count("9", 10, 20, &value), FAR);
        ck_assert_int_eq(quantity_parse_count("21", 10, 20, &value), FAR);
        ck_assert_uint_eq(value, UNTOUCHED);
        ck_assert_int_eq(quantity_parse_count("10", 10, 20, &value), 0);
        ck_assert_uint_eq(value, 10);
        ck_assert_int_eq(quantity_parse_count("20", 10, 20, &value), 0);
        ck_assert_uint_eq(value, 20);
        ck_assert_int_eq(quantity_parse_count("18446744073709551615", 0, UINT64_MAX, &value), 0);
        ck_assert_uint_eq(value, UINT64_MAX);
        ck_assert_int_eq(quantity_parse_count("18446744073709551616", 0, UINT64_MAX, &value), FAR);
        ck_assert_int_eq(quantity_parse_count("18446744073709551616000", 0, UINT64_MAX, &value), FAR);
        ck_assert_int_eq(quantity_parse_count(NULL, 0, 1, &value), BAD);
}
END_TEST

static const struct {
        const char *given;
        int result;
        int64_t value;
} ints[] = {
        {"0", 0, 0},
        {"-0", 0, 0},
        {"+7", 0, 7},
        {"-7", 0, -7},
        {"007", 0, 7},
        {"9223372036854775807", 0, INT64_MAX},
        {"-9223372036854775808", 0, INT64_MIN},
        {"9223372036854775808", FAR, 0},
        {"-9223372036854775809", FAR, 0},
        {"18446744073709551616", FAR, 0},
        {"-99999999999999999999999999999999999999999999999999", FAR, 0},
        {"", BAD, 0},
        {"-", BAD, 0},
        {"+", BAD, 0},
        {"--1", BAD, 0},
        {"+-1", BAD, 0},
        {" 1", BAD, 0},
        {"1 ", BAD, 0},
        {"1.0", BAD, 0},
        {"1e3", BAD, 0},
        {"1k", BAD, 0},
        {"0x1", BAD, 0},
        {"NaN", BAD, 0},
};

START_TEST(int_is_read_exactly_or_refused)
{
        int64_t value = 4711;
        int r = quantity_parse_int(ints[_i].given, INT64_MIN, INT64_MAX, &value);

        ck_assert_msg(r == ints[_i].result, "\"%s\": result %d", ints[_i].given, r);
        ck_assert_msg(value == (r == 0 ? ints[_i].value : 4711), "\"%s\": value %" PRId64, ints[_i].given, value);
}
END_TEST

START_TEST(int_range_includes_both_ends)
{
        static const int expected[] = {FAR, 0, 0, 0, FAR};
        int64_t value;

        for (int n = -2; n <= 2; n++) {
                char given[8];

                snprintf(given, sizeof(given), "%d", n);
                ck_assert_int_eq(quantity_parse_int(given, -1, 1, &value), expected[n + 2]);
        }
        ck_assert_int_eq(quantity_parse_int(NULL, -1, 1, &value), BAD);
}
END_TEST

static const struct {
        const char *given;
        int result;
        uint64_t ns;
} durations[] = {
        {"0", 0, 0},
        {"0s", 0, 0},
        {"0.0ms", 0, 0},
        {"1ns", 0, 1},
        {"1us", 0, 1000},
        {"1\u00b5s", 0, 1000},
        {"1\u03bcs", 0, 1000},
        {"1.5us", 0, 1500},
        {"200ms", 0, 200000000},
        {"5s", 0, 5000000000},
        {"0.5s", 0, 500000000},
        {"0.000000001s", 0, 1},
        {"0.381s", 0, 381000000},
        {"1min", 0, 60000000000},
        {"0.05min", 0, 3000000000},
        {"0.00000000005min", 0, 3},
        {"1.5h", 0, 5400000000000},
        {"0.001h", 0, 3600000000},
        {"18446744073709551615ns", 0, UINT64_MAX},
        {"5124095h", 0, UINT64_C(18446742000000000000)},
        {"18446744073709551616ns", FAR, 0},
        {"18446744073.709551616s", FAR, 0},
        {"5124096h", FAR, 0},
        {"99999999999999999999999999999999999999999h", FAR, 0},
        {"5", BAD, 0}, /* without a unit */
        {"0.0", BAD, 0},
        {"00", BAD, 0},
        {"1.5", BAD, 0},
        {"1000", BAD, 0},
        {"", BAD, 0},
        {"s", BAD, 0},
        {"-1s", BAD, 0},
        {"+1s", BAD, 0},
        {"1 s", BAD, 0},
        {" 1s", BAD, 0},
        {"1s ", BAD, 0},
        {"1S", BAD, 0},
        {"1m", BAD, 0}, /* minute or milli? */
        {"1sec", BAD, 0},
        {"1d", BAD, 0},
        {"1e3ms", BAD, 0},
        {"1ks", BAD, 0},
        {".5s", BAD, 0},
        {"5.s", BAD, 0},
        {"1,5s", BAD, 0},
        {"1h30min", BAD, 0},
        {"1.5ns", BAD, 0}, /* no half nanoseconds */
        {"0.0000000001s", BAD, 0},
        {"0.000000000005min", BAD, 0},
        {"1\u00b5", BAD, 0},
        {"nans", BAD, 0},
        {"NaN", BAD, 0},
        {"infs", BAD, 0},
};

START_TEST(duration_is_read_exactly_or_refused)
{
        uint64_t ns = UNTOUCHED;
        int r = quantity_parse_duration(durations[_i].given, 0, UINT64_MAX, &ns);

        ck_assert_msg(r == durations[_i].result, "\"%s\": result %d", durations[_i].given, r);
        ck_assert_msg(ns == (r == 0 ? durations[_i].ns : UNTOUCHED), "\"%s\": %" PRIu64 " ns", durations[_i].given, ns);
}
END_TEST

START_TEST(duration_range_includes_both_ends)
{
        uint64_t ns = UNTOUCHED;

        ck_assert_int_eq(quantity_parse_duration("0", 1, 10, &ns), FAR);
        ck_assert_int_eq(quantity_parse_duration("999us", NS_PER_MS, NS_PER_S, &ns), FAR);
        ck_assert_int_eq(quantity_parse_duration("1000000001ns", NS_PER_MS, NS_PER_S, &ns), FAR);
        ck_assert_uint_eq(ns, UNTOUCHED);
        ck_assert_int_eq(quantity_parse_duration("1ms", NS_PER_MS, NS_PER_S, &ns), 0);
        ck_assert_uint_eq(ns, NS_PER_MS);
        ck_assert_int_eq(quantity_parse_duration("1s", NS_PER_MS, NS_PER_S, &ns), 0);
        ck_assert_uint_eq(ns, NS_PER_S);
        ck_assert_int_eq(quantity_parse_duration(NULL, 0, 1, &ns), BAD);
}
END_TEST

static const struct {
        uint64_t n;
        const char *text;
} grouped[] = {
        {0, "0"},
        {7, "7"},
        {999, "999"},
        {1000, "1 000"},
        {2625, "2 625"},
        {10000, "10 000"},
        {100000, "100 000"},
        {999999, "999 999"},
        {1000000, "1 000 000"},
        {1234567, "1 234 567"},
        {UINT64_MAX, "18 446 744 073 709 551 615"},
};

START_TEST(grouped_has_blanks_from_1000_on)
{
        char buf[QUANTITY_TEXT_MAX];

        ck_assert_ptr_eq(quantity_format_grouped(buf, sizeof(buf), grouped[_i].n), buf);
        ck_assert_str_eq(buf, grouped[_i].text);
}
END_TEST

static const struct {
        double ns;
        const char *text;
} formatted[] = {
        {0, "0 ns"},
        {0.25, "0.25 ns"},
        {1, "1 ns"},
        {2.5, "2.5 ns"},
        {18.04, "18 ns"},
        {90, "90 ns"},
        {999, "999 ns"},
        {999.4, "999 ns"},
        {999.6, "1 \u00b5s"},
        {1000, "1 \u00b5s"},
        {1050, "1.05 \u00b5s"},
        {9994, "9.99 \u00b5s"},
        {9996, "10 \u00b5s"},
        {12345, "12.3 \u00b5s"},
        {99949, "99.9 \u00b5s"},
        {99951, "100 \u00b5s"},
        {752e3, "752 \u00b5s"},
        {999499, "999 \u00b5s"},
        {999500, "1 ms"},
        {1.1e6, "1.1 ms"},
        {381e6, "381 ms"},
        {1e9, "1 s"},
        {1.5e9, "1.5 s"},
        {90e9, "90 s"},
        {999e9, "999 s"},
        {1000e9, "16.7 min"},
        {3600e9, "60 min"},
        {60000e9, "16.7 h"},
        {8760 * 3600e9, "8760 h"},
        {-1500, "-1.5 \u00b5s"},
        {1e30, "-"},
        {__builtin_inf(), "-"},
        {-__builtin_inf(), "-"},
        {__builtin_nan(""), "-"},
};

START_TEST(duration_is_written_with_three_digits)
{
        char buf[QUANTITY_TEXT_MAX];

        ck_assert_ptr_eq(quantity_format_duration(buf, sizeof(buf), formatted[_i].ns), buf);
        ck_assert_str_eq(buf, formatted[_i].text);
}
END_TEST

static const struct {
        uint64_t ns;
        const char *text;
} exact[] = {
        {0, "0"},
        {1, "1ns"},
        {1500, "1500ns"},
        {1000, "1us"},
        {1500000, "1500us"},
        {200000000, "200ms"},
        {5000000000, "5s"},
        {60000000000, "1min"},
        {90000000000, "90s"},
        {900000000000, "15min"},
        {86400000000000, "24h"},
        {UINT64_MAX, "18446744073709551615ns"},
};

START_TEST(exact_duration_has_its_text_and_is_read_back)
{
        char buf[QUANTITY_TEXT_MAX];
        uint64_t ns = UNTOUCHED;

        ck_assert_ptr_eq(quantity_format_duration_exact(buf, sizeof(buf), exact[_i].ns), buf);
        ck_assert_str_eq(buf, exact[_i].text);
        ck_assert_int_eq(quantity_parse_duration(buf, 0, UINT64_MAX, &ns), 0);
        ck_assert_uint_eq(ns, exact[_i].ns);
}
END_TEST

START_TEST(any_exact_duration_is_read_back)
{
        uint64_t ns = 1, back;

        for (unsigned i = 0; i < 20000; i++) {
                char buf[QUANTITY_TEXT_MAX];
                uint64_t wanted = (ns >> (i % 64)) * (i % 3 == 0 ? 1000 : 1);

                quantity_format_duration_exact(buf, sizeof(buf), wanted);
                ck_assert_msg(quantity_parse_duration(buf, 0, UINT64_MAX, &back) == 0 && back == wanted, "%s", buf);
                ns = ns * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        }
}
END_TEST

static const struct {
        uint64_t bytes;
        const char *text;
} sizes[] = {
        {0, "0 B"},
        {512, "512 B"},
        {1023, "1023 B"},
        {1024, "1 KiB"},
        {1536, "1.5 KiB"},
        {1258291, "1.2 MiB"},
        {1024 * 1023, "1023 KiB"},
        {1024 * 1024 - 1, "1 MiB"},
        {1024 * 1024, "1 MiB"},
        {UINT64_C(1) << 30, "1 GiB"},
        {UINT64_C(5) << 40, "5 TiB"},
        {UINT64_MAX, "16 EiB"},
};

START_TEST(bytes_have_binary_units)
{
        char buf[QUANTITY_TEXT_MAX];

        ck_assert_ptr_eq(quantity_format_bytes(buf, sizeof(buf), sizes[_i].bytes), buf);
        ck_assert_str_eq(buf, sizes[_i].text);
}
END_TEST

/* Whatever the buffer's size, nothing is written behind it and there is a NUL. */
START_TEST(text_is_cut_to_the_buffer)
{
        for (size_t size = 1; size < QUANTITY_TEXT_MAX; size++) {
                char buf[QUANTITY_TEXT_MAX + 1];

                memset(buf, '#', sizeof(buf));
                quantity_format_grouped(buf, size, UINT64_MAX);
                ck_assert_uint_eq(strlen(buf), MIN(size - 1, strlen("18 446 744 073 709 551 615")));
                ck_assert_int_eq(buf[size], '#');

                memset(buf, '#', sizeof(buf));
                quantity_format_duration(buf, size, -1.25e6);
                ck_assert_uint_eq(strlen(buf), MIN(size - 1, strlen("-1.25 ms")));
                ck_assert_int_eq(buf[size], '#');

                memset(buf, '#', sizeof(buf));
                quantity_format_duration_exact(buf, size, UINT64_MAX);
                ck_assert_uint_eq(strlen(buf), MIN(size - 1, strlen("18446744073709551615ns")));
                ck_assert_int_eq(buf[size], '#');

                memset(buf, '#', sizeof(buf));
                quantity_format_bytes(buf, size, 1023);
                ck_assert_uint_eq(strlen(buf), MIN(size - 1, strlen("1023 B")));
                ck_assert_int_eq(buf[size], '#');
        }
}
END_TEST

/* With a decimal comma, where such a locale is installed; else in the C locale only. */
START_TEST(locale_does_not_matter)
{
        static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "de_AT.UTF-8", "fr_FR.UTF-8", "nl_NL.UTF-8"};
        char buf[QUANTITY_TEXT_MAX];
        uint64_t value;

        for (size_t i = 0; i < ARRAY_SIZE(names) && !setlocale(LC_ALL, names[i]); i++)
                ;
        ck_assert_str_eq(quantity_format_duration(buf, sizeof(buf), 1.5e6), "1.5 ms");
        ck_assert_str_eq(quantity_format_bytes(buf, sizeof(buf), 1536), "1.5 KiB");
        ck_assert_int_eq(quantity_parse_count("1.5k", 0, COUNT_MAX, &value), 0);
        ck_assert_int_eq(quantity_parse_count("1,5k", 0, COUNT_MAX, &value), BAD);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("quantity");
        TCase *c = tcase_create("parse");

        tcase_add_loop_test(c, count_is_read_exactly_or_refused, 0, ARRAY_SIZE(counts));
        tcase_add_test(c, count_range_includes_both_ends);
        tcase_add_loop_test(c, int_is_read_exactly_or_refused, 0, ARRAY_SIZE(ints));
        tcase_add_test(c, int_range_includes_both_ends);
        tcase_add_loop_test(c, duration_is_read_exactly_or_refused, 0, ARRAY_SIZE(durations));
        tcase_add_test(c, duration_range_includes_both_ends);
        suite_add_tcase(suite, c);

        c = tcase_create("format");
        tcase_add_loop_test(c, grouped_has_blanks_from_1000_on, 0, ARRAY_SIZE(grouped));
        tcase_add_loop_test(c, duration_is_written_with_three_digits, 0, ARRAY_SIZE(formatted));
        tcase_add_loop_test(c, exact_duration_has_its_text_and_is_read_back, 0, ARRAY_SIZE(exact));
        tcase_add_test(c, any_exact_duration_is_read_back);
        tcase_add_loop_test(c, bytes_have_binary_units, 0, ARRAY_SIZE(sizes));
        tcase_add_test(c, text_is_cut_to_the_buffer);
        tcase_add_test(c, locale_does_not_matter);
        suite_add_tcase(suite, c);

        return run_suite(suite);
}
