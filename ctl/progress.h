/* SPDX-License-Identifier: MIT */
/* The progress line: what it says (pure), and the terminal that it stands on. */
#ifndef CONCCTL_PROGRESS_H
#define CONCCTL_PROGRESS_H

#include "shared/base.h"

#include <stdbool.h>

/* The line for a Progress object, at most `columns` wide, in UTF-8 whose ASCII form is as wide. duration_s > 0: the
 * length of a run by duration. Malloc'ed; NULL without memory. Pure. */
char *progress_format(const json_t *progress, double duration_s, int columns, bool color);

/* Is there a terminal to show progress on? */
bool progress_is_possible(void);

/* Draws the line on stderr, at most ten times a second. It takes itself away before every message. */
void progress_show(const json_t *progress, double duration_s);
void progress_clear(void);

#endif
