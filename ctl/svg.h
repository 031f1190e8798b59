/* SPDX-License-Identifier: MIT */
/*
 * What pictures within a page are drawn with: elements of SVG 1.1, and axes. Coordinates are units of the picture's
 * own. All texts are escaped. Pure but for the stream; its errors stay in its state.
 */
#ifndef CONCCTL_SVG_H
#define CONCCTL_SVG_H

#include "shared/base.h"

#include <stdbool.h>

#define AXIS_TICKS_MAX 32

/* The format is the picture's text for those who do not see it. The picture is as wide as there is room. */
void svg_begin(FILE *f, double width, double height, const char *fmt, ...) PRINTF_LIKE(4, 5);
void svg_end(FILE *f);

void svg_text(FILE *f, double x, double y, const char *class, const char *fmt, ...) PRINTF_LIKE(5, 6);
void svg_line(FILE *f, double x1, double y1, double x2, double y2, const char *class);

/* The format is its tool tip. */
void svg_rect(FILE *f, double x, double y, double width, double height, const char *class, const char *fmt, ...)
        PRINTF_LIKE(7, 8);

/* A tool tip for the element that is open. */
void svg_title(FILE *f, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Values from low to high lie from one end to the other. low < high; with is_log both are above 0. */
struct axis {
        double low, high;
        double from, to;
        bool is_log;
};

/* Where a value lies; at an end when it is beyond it or not a number. */
double axis_at(const struct axis *axis, double value);

/* The values to be marked: multiples of 1, 2 or 5 times a power of ten, or with is_log powers of ten. Returns how many,
 * about `about` and at most AXIS_TICKS_MAX. */
size_t axis_ticks(const struct axis *axis, int about, double ret[static AXIS_TICKS_MAX]);

/* How a value is written below its mark. Returns buf. */
typedef char *axis_format(char *buf, size_t size, double value);

/* Draws a horizontal axis with marks and texts, and faint lines up to y_top. Every second text is of the class "minor",
 * for which a narrow screen has no room. */
void axis_draw(FILE *f, const struct axis *axis, double y, double y_top, axis_format *format);

#endif
