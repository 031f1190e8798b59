/* SPDX-License-Identifier: MIT */
/* Text within HTML, SVG and XML: what could be taken for markup is escaped. Errors stay in the stream's state. */
#ifndef CONCCTL_MARKUP_H
#define CONCCTL_MARKUP_H

#include "shared/base.h"

/* Writes UTF-8 so that it is text, in an element as well as between double or single quotes. Controls
 * (shared/controls.h) and the two code points that XML forbids, are left out; a tab or newline becomes a blank. */
void markup_put(FILE *f, const char *text);

/* The same of a formatted text, all of it. */
void markup_printf(FILE *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
void markup_vprintf(FILE *f, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

#endif
