/* SPDX-License-Identifier: MIT */
/* Tables for people, by libsmartcols: as wide as their contents, or on a terminal as it allows. */
#ifndef CONCCTL_TABLE_H
#define CONCCTL_TABLE_H

#include "shared/base.h"

#include <stdbool.h>

struct table_column {
        const char *name; /* NULL ends a list of columns */
        bool is_right;    /* numbers */
        bool is_wrapped;  /* the one that gives way when the terminal is narrow */
};

struct table;

/* NULL without memory. `columns` must stay valid. */
struct table *table_new(const struct table_column *columns);
void table_free(struct table *table);

/* Adds one row; as many texts as there are columns, in UTF-8, of which every byte of a control
 * (shared/controls.h) becomes '?'. 0 or -errno. */
int table_add(struct table *table, const char *const *cells);

/* Writes it once, each line behind `indent`; on a terminal as wide as that. 0 or -errno. */
int table_print(const struct table *table, const char *indent, FILE *f);

/* Turns blanks into newlines so that no line is wider than `width`, as far as there are blanks. Pure. */
void table_break_lines(char *text, size_t width);

static inline void
table_cleanup(struct table **table)
{
        table_free(*table);
}
#define AUTO_TABLE __attribute__((cleanup(table_cleanup)))

#endif
