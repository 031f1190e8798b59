/* SPDX-License-Identifier: MIT */
/* The picture of a race's first trials: who held the guard, who waited for it. Pure but for the stream. */
#ifndef CONCCTL_TIMELINE_H
#define CONCCTL_TIMELINE_H

#include "shared/base.h"

/* The picture's size in units of its own; it is TIMELINE_WIDTH wide whatever it shows. */
#define TIMELINE_WIDTH 1200

/* Writes a RaceResult that has spans as one SVG 1.1 file that needs nothing else, for light and dark screens. Errors
 * stay in the stream's state. */
void timeline_write(FILE *f, const json_t *race);

#endif
