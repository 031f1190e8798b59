/* SPDX-License-Identifier: MIT */
/* What the parts of a report's page share, and the parts; report_write() puts them together. */
#ifndef CONCCTL_REPORT_PART_H
#define CONCCTL_REPORT_PART_H

#include "shared/base.h"

#include <stdbool.h>

/* Every picture is so many units wide, of which the plot takes those between left and right. */
#define PICTURE_WIDTH 800
#define PICTURE_LEFT  44
#define PICTURE_RIGHT 780

struct report {
        FILE *f;
        const json_t *compare;
        const json_t *variants;
        bool is_per_task; /* what is shown is the time per task, and not that of a round */
};

/* ── texts ── */

/* A section with a heading; to be ended by report_end(). The format is a sentence below the heading, or "". */
void report_section(const struct report *r, const char *id, const char *title, const char *fmt, ...) PRINTF_LIKE(4, 5);
void report_end(const struct report *r);

/* A heading within a section: the name of a variant. */
void report_part_heading(const struct report *r, const char *name);

/* A paragraph. */
void report_note(const struct report *r, const char *class, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* One cell of a table, and the head of its row. */
void report_cell(const struct report *r, const char *class, const char *fmt, ...) PRINTF_LIKE(3, 4);
void report_head(const struct report *r, const char *class, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Begins a table that can be scrolled, with its caption and the names of its columns (ended by NULL; those that begin
 * with a blank are of numbers), up to the first row. */
void report_table(const struct report *r, const char *caption, const char *const *columns);
void report_table_end(const struct report *r);

/* A duration of so many seconds, or "–" when it is none. Returns buf. */
char *report_seconds(char *buf, size_t size, double s);
/* For axes: of nanoseconds. */
char *report_axis_ns(char *buf, size_t size, double ns);
char *report_axis_seconds(char *buf, size_t size, double s);

/* A ratio with as many digits as an interval of this width deserves (0: not known). Returns buf. */
char *report_ratio(char *buf, size_t size, double ratio, double width);

/* "calc(kernel=pow) × 1000". Malloc'ed; NULL without memory. */
char *report_work(const json_t *variant);

/* ── figures ── */

/* Is this field the same in all variants? */
bool report_is_common(const json_t *variants, const char *key);

/* The measured value of round i of a variant in seconds, per task if the report is; NaN when there is none. */
double report_value(const struct report *r, const json_t *variant, size_t i);
size_t report_rounds(const json_t *variant);
bool report_is_outlier(const json_t *variant, size_t i);

/* ── parts, in the order of the page ── */

void report_put_verdict(const struct report *r);
int report_put_rounds(const struct report *r);   /* box plots; 0 or -ENOMEM */
int report_put_timeline(const struct report *r); /* 0 or -ENOMEM */
void report_put_latency(const struct report *r);
void report_put_scaling(const struct report *r);
void report_put_evidence(const struct report *r);
void report_put_environment(const struct report *r);
void report_put_order(const struct report *r);
void report_put_method(const struct report *r);
void report_put_command(const struct report *r);

#endif
