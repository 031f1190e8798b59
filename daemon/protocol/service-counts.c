/* SPDX-License-Identifier: MIT */
#include "protocol/service-counts.h"

#include <errno.h>
#include <string.h>

typedef const char *(*nth_name)(const struct idl *, size_t);

static size_t
count_names(nth_name nth, const struct idl *idl)
{
        size_t n = 0;

        while (nth(idl, n))
                n++;
        return n;
}

/* The own names first, as they are; then the standard's with its interface. */
static int
make_rows(nth_name nth, const struct idl *own, const struct idl *standard, struct service_count **ret, size_t *ret_n)
{
        size_t n_own = count_names(nth, own), n = n_own + count_names(nth, standard);

        *ret = calloc(n, sizeof(**ret));
        if (!*ret)
                return -ENOMEM;
        *ret_n = n;
        for (size_t i = 0; i < n; i++) {
                char **name = &(*ret)[i].name;

                if (i < n_own)
                        *name = strdup(nth(own, i));
                else if (asprintf(name, "%s.%s", idl_interface(standard), nth(standard, i - n_own)) < 0)
                        *name = NULL;
                if (!*name)
                        return -ENOMEM;
        }
        return 0;
}

int
service_counts_init(struct service_counts *c, const struct idl *own, const struct idl *standard)
{
        int r;

        *c = (struct service_counts){};
        r = make_rows(idl_method, own, standard, &c->calls, &c->n_calls);
        return r < 0 ? r : make_rows(idl_error, own, standard, &c->errors, &c->n_errors);
}

static void
free_rows(struct service_count *rows, size_t n)
{
        for (size_t i = 0; i < n; i++)
                free(rows[i].name);
        free(rows);
}

void
service_counts_deinit(struct service_counts *c)
{
        free_rows(c->calls, c->n_calls);
        free_rows(c->errors, c->n_errors);
        *c = (struct service_counts){};
}

static void
count(struct service_count *rows, size_t n, const char *name)
{
        for (size_t i = 0; i < n; i++) {
                if (strcmp(rows[i].name, name) == 0) {
                        rows[i].n++;
                        return;
                }
        }
}

void
service_counts_call(struct service_counts *c, const char *name)
{
        count(c->calls, c->n_calls, name);
}

void
service_counts_error(struct service_counts *c, const char *name)
{
        count(c->errors, c->n_errors, name);
}
