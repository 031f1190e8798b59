/* SPDX-License-Identifier: MIT */
#include "ctl/table.h"

#include "ctl/text.h"
#include "shared/controls.h"

#include <errno.h>
#include <libsmartcols.h>
#include <string.h>
#include <sys/ioctl.h>

#define WRAPPED_LEAST ((size_t)20)

struct table {
        const struct table_column *columns;
        struct libscols_table *scols;
};

struct table *
table_new(const struct table_column *columns)
{
        struct table *t = calloc(1, sizeof(*t));

        if (!t)
                return NULL;
        t->columns = columns;
        t->scols = scols_new_table();
        if (!t->scols) {
                table_free(t);
                return NULL;
        }
        /* It would cut words in two: lines are broken here, at blanks. */
        scols_table_set_termforce(t->scols, SCOLS_TERMFORCE_NEVER);
        for (const struct table_column *c = columns; c->name; c++) {
                struct libscols_column *column = scols_table_new_column(
                        t->scols, c->name, 0, (c->is_right ? SCOLS_FL_RIGHT : 0) | (c->is_wrapped ? SCOLS_FL_WRAP : 0));

                if (!column) {
                        table_free(t);
                        return NULL;
                }
                if (c->is_wrapped) {
                        scols_column_set_safechars(column, "\n");
                        scols_column_set_wrapfunc(column, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL);
                }
        }
        return t;
}

void
table_free(struct table *table)
{
        if (!table)
                return;
        scols_unref_table(table->scols);
        free(table);
}

int
table_add(struct table *table, const char *const *cells)
{
        struct libscols_line *line = scols_table_new_line(table->scols, NULL);
        int r = 0;

        if (!line)
                return -ENOMEM;
        for (size_t i = 0; table->columns[i].name && r == 0; i++) {
                char *text = text_for_locale(cells[i]);

                if (text)
                        controls_replace(text, strlen(text), '?');
                r = text ? scols_line_refer_data(line, i, text) : -ENOMEM;
        }
        return r;
}

static char *
cell_text(const struct table *table, size_t line, size_t column)
{
        struct libscols_line *l = scols_table_get_line(table->scols, line);
        struct libscols_cell *cell = l ? scols_line_get_cell(l, column) : NULL;

        return cell ? (char *)scols_cell_get_data(cell) : NULL;
}

static size_t
column_width(const struct table *table, size_t column)
{
        size_t width = text_columns(table->columns[column].name), n_lines = scols_table_get_nlines(table->scols);

        for (size_t i = 0; i < n_lines; i++) {
                const char *text = cell_text(table, i, column);

                width = MAX(width, text ? text_columns(text) : 0);
        }
        return width;
}

void
table_break_lines(char *text, size_t width)
{
        char *line = text, *blank = NULL;

        for (char *p = text; *p != '\0'; p++) {
                char end = p[1];

                if (*p == ' ')
                        blank = p;
                p[1] = '\0';
                if (blank && blank != p && text_columns(line) > width) {
                        *blank = '\n';
                        line = blank + 1;
                        blank = NULL;
                }
                p[1] = end;
        }
}

/* Makes the wrapped column as narrow as the terminal asks, but never so narrow that it cannot be read. */
static void
fit_to_terminal(const struct table *table, const char *indent, FILE *f)
{
        struct winsize size;
        size_t used = strlen(indent), wrapped = SIZE_MAX, n_lines = scols_table_get_nlines(table->scols), room;

        if (!isatty(fileno(f)) || ioctl(fileno(f), TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
                return;
        for (size_t i = 0; table->columns[i].name; i++)
                if (table->columns[i].is_wrapped)
                        wrapped = i;
                else
                        used += column_width(table, i) + 1;
        if (wrapped == SIZE_MAX)
                return;
        room = size.ws_col > used + WRAPPED_LEAST ? size.ws_col - used : WRAPPED_LEAST;
        for (size_t i = 0; i < n_lines; i++)
                if (cell_text(table, i, wrapped))
                        table_break_lines(cell_text(table, i, wrapped), room);
}

int
table_print(const struct table *table, const char *indent, FILE *f)
{
        AUTO_FREE char *text = NULL;
        int r;

        fit_to_terminal(table, indent, f);
        r = scols_print_table_to_string(table->scols, &text);
        if (r < 0)
                return r;
        for (char *line = text, *next; line && *line != '\0'; line = next) {
                size_t len = strcspn(line, "\n");

                next = line + len + (line[len] == '\n');
                while (len > 0 && line[len - 1] == ' ')
                        len--;
                fprintf(f, "%s%.*s\n", indent, (int)len, line);
        }
        return 0;
}
