/* SPDX-License-Identifier: MIT */
/*
 * How people write and read numbers: counts (1000, 1e6, 10M) and durations (5s, 200ms, 1.5us).
 * All functions are pure and thread safe.
 */
#ifndef CONCD_QUANTITY_H
#define CONCD_QUANTITY_H

#include <stddef.h>
#include <stdint.h>

/* The most tasks a run can have: 10^15. */
#define COUNT_MAX UINT64_C(1000000000000000)

/* Results of parsing; positive, so that they cannot be taken for an errno. */
enum quantity_error {
        QUANTITY_OK = 0,
        QUANTITY_E_SYNTAX, /* not a number of this kind, or without the unit it needs */
        QUANTITY_E_RANGE,  /* a number, but outside min..max */
};

/* A whole number: decimal digits, an exponent that leaves it whole (1e6, 1.5e3), or a factor k M G T
 * (decimal; 1.5k is 1500). No sign, no blanks. On failure *ret is untouched. */
int quantity_parse_count(const char *s, uint64_t min, uint64_t max, uint64_t *ret);

/* A whole number that may be negative; digits only, with an optional sign. */
int quantity_parse_int(const char *s, int64_t min, int64_t max, int64_t *ret);

/* A duration in nanoseconds: a decimal number with one of ns, us, µs, ms, s, min, h. A plain 0 is allowed. */
int quantity_parse_duration(const char *s, uint64_t min_ns, uint64_t max_ns, uint64_t *ret_ns);

/* Formatting into a caller's buffer; each returns buf. "2 625" (U+2009-free: a plain blank every three
 * digits, from five digits on also four: 1000 stays 1000, 2 625 as in tables is by `grouped`). */
char *quantity_format_grouped(char *buf, size_t size, uint64_t n);

/* A duration with three significant digits and a fitting unit: "752 µs", "1.1 ms", "0.381 s". */
char *quantity_format_duration(char *buf, size_t size, double ns);

/* A duration that quantity_parse_duration reads back unchanged: "5s", "200ms", "1500us". */
char *quantity_format_duration_exact(char *buf, size_t size, uint64_t ns);

/* Bytes with a binary unit: "1.2 MiB". */
char *quantity_format_bytes(char *buf, size_t size, uint64_t bytes);

#endif
