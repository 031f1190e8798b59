/* SPDX-License-Identifier: MIT */
#include "ctl/table.h"

#include "ctl/text.h"

#include <errno.h>
#include <libsmartcols.h>
#include <string.h>

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
        for (const struct table_column *c = columns; c->name; c++)
                if (!scols_table_new_column(t->scols, c->name, 0,
                                            (c->is_right ? SCOLS_FL_RIGHT : 0) | (c->is_wrapped ? SCOLS_FL_WRAP : 0))) {
                        table_free(t);
                        return NULL;
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

                r = text ? scols_line_refer_data(line, i, text) : -ENOMEM;
        }
        return r;
}

int
table_print(const struct table *table, const char *indent, FILE *f)
{
        AUTO_FREE char *text = NULL;
        int r = scols_print_table_to_string(table->scols, &text);

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
