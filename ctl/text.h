/* SPDX-License-Identifier: MIT */
/*
 * Text for people. All of concctl writes UTF-8; here it becomes what the locale can show: in a locale that is not
 * UTF-8 the few signs that concctl uses get an ASCII form (× is x, µ is u). Results on stdout are also checked here.
 */
#ifndef CONCCTL_TEXT_H
#define CONCCTL_TEXT_H

#include "shared/base.h"

#include <stdbool.h>

/* Takes the locale from the environment; to be called once, first. */
void text_init(void);
bool text_is_utf8(void);

/* A copy in ASCII. Malloc'ed; NULL without memory. Pure. */
char *text_to_ascii(const char *utf8);

/* A copy as the locale can show it. Malloc'ed; NULL without memory. */
char *text_for_locale(const char *utf8);

/* How many columns the text takes: its characters (all that concctl uses are one column wide). Pure. */
size_t text_columns(const char *utf8);

/* Writes, translated for the locale. No control (shared/controls.h) of what the daemon sent gets through, but line
 * feeds: each of its bytes becomes '?'. Errors stay in the stream's state: see text_finish(). */
void text_printf(FILE *f, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Writes bytes as they are, and a newline. */
void text_put_raw(FILE *f, const char *bytes, size_t len);

/* Ends stdout. 0 when everything was written, else -errno of what went wrong. */
int text_finish(void);

/* "1000", "12 345": groups of three from five digits on. Returns buf. Pure. */
char *text_count(char *buf, size_t size, int64_t n);

/* "1 task", "2 tasks". Returns buf. Pure. */
char *text_plural(char *buf, size_t size, int64_t n, const char *one);

#endif
