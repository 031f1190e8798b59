/* SPDX-License-Identifier: MIT */
/*
 * How people write and read numbers: counts (1000, 1e6, 10M) and durations (5s, 200ms, 1.5us).
 *
 * All functions are pure, thread safe, allocate nothing and do not depend on the locale: the decimal point is a point.
 * Parsing returns an enum quantity_error and leaves *ret untouched unless that is QUANTITY_OK; both ends of a range
 * are included, and NULL is no number. Formatting writes into the caller's buffer, cuts off what does not fit
 * (QUANTITY_TEXT_MAX always fits), always ends with a NUL (size > 0) and returns buf.
 */
#ifndef CONCD_QUANTITY_H
#define CONCD_QUANTITY_H

#include <stddef.h>
#include <stdint.h>

/* The most tasks a run can have: 10^15. */
#define COUNT_MAX UINT64_C(1000000000000000)

/* The durations that a request can name, in nanoseconds: 1 ms to 1000 h. */
#define DURATION_MIN_NS UINT64_C(1000000)
#define DURATION_MAX_NS UINT64_C(3600000000000000)

/* Room for every text that the formatting functions write, with its NUL. */
#define QUANTITY_TEXT_MAX 32

/* Results of parsing; positive, so that they cannot be taken for an errno. */
enum quantity_error {
        QUANTITY_OK = 0,
        QUANTITY_E_SYNTAX, /* not a number of this kind, or without the unit it needs */
        QUANTITY_E_RANGE,  /* a number, but outside min..max */
};

/* A whole number: decimal digits, an exponent that leaves it whole (1e6, 1.5e3), or a factor k M G T
 * (decimal; 1.5k is 1500); not both. No sign (neither in the exponent), no blanks, digits on both sides of a point.
 * What is not whole, as 1.5, is QUANTITY_E_SYNTAX. */
int quantity_parse_count(const char *s, uint64_t min, uint64_t max, uint64_t *ret);

/* A whole number that may be negative; digits only, with an optional sign. */
int quantity_parse_int(const char *s, int64_t min, int64_t max, int64_t *ret);

/* A duration in nanoseconds: a decimal number with one of ns, us, µs, ms, s, min, h. A plain 0 is allowed. No sign,
 * no exponent, no blanks. What is not a whole number of nanoseconds, as 1.5ns, is QUANTITY_E_SYNTAX. */
int quantity_parse_duration(const char *s, uint64_t min_ns, uint64_t max_ns, uint64_t *ret_ns);

/* Groups of three digits with a plain space between them, from 1000 on: "999", "1 000", "2 625", "1 234 567". */
char *quantity_format_grouped(char *buf, size_t size, uint64_t n);

/* A duration in nanoseconds for people, in the largest unit of ns, µs, ms, s, min (from 1000 s on), h (from 1000 min
 * on) that leaves 1 or more; three significant digits, without zeros at the end of a fraction: "752 µs", "1.1 ms",
 * "381 ms", "5 s". Negative ones have a "-". What is not finite, or 10^27 and more, is "-". */
char *quantity_format_duration(char *buf, size_t size, double ns);

/* A duration that quantity_parse_duration() reads back unchanged, in the largest unit that leaves it whole: "5s",
 * "200ms", "1500us", "24h"; zero is "0". */
char *quantity_format_duration_exact(char *buf, size_t size, uint64_t ns);

/* Bytes with a binary unit, digits as in quantity_format_duration(): "512 B", "1.2 MiB", "1 GiB"; from 1000 to 1023
 * units four digits ("1023 KiB"). */
char *quantity_format_bytes(char *buf, size_t size, uint64_t bytes);

#endif
