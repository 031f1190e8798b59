/* SPDX-License-Identifier: MIT */
/* Bars of a chart in a terminal. */
#ifndef CONCCTL_BAR_H
#define CONCCTL_BAR_H

#include "shared/base.h"

#include <stdbool.h>

/* Room for a bar of this many columns, with its NUL. */
#define BAR_SIZE(columns) (3 * (size_t)(columns) + 1)

/* A bar for `part` (0 to 1) of so many columns: in eighths of one by block elements, or in whole ones by '#'.
 * What is above 0 is never shorter than the shortest one. No blanks behind it. Returns buf, which has room for
 * BAR_SIZE(columns). Pure. */
char *bar_format(char *buf, double part, int columns, bool is_utf8);

/* How wide the terminal behind the stream is; 0: there is none, or it does not tell. */
int bar_terminal_columns(FILE *f);

#endif
