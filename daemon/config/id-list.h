/* SPDX-License-Identifier: MIT */
/*
 * Lists of users or groups: the values of configuration keys such as access.admin_users. A list is a plain value of its
 * owner: no locks, no globals.
 */
#ifndef CONCD_ID_LIST_H
#define CONCD_ID_LIST_H

#include "config/user-database.h"
#include "shared/base.h"

#include <stdbool.h>
#include <sys/types.h>

struct id_list {
        uint32_t *ids; /* uid_t or gid_t; owned; NULL when there are none */
        size_t n;
};

/* Reads names and numbers with commas in between; blanks around them mean nothing, an empty text is an empty list. A
 * number need not belong to anybody, a name must. Names are looked up here and never again. The user database may be a
 * server's, and then this blocks for as long as that takes, once for each name; on SIGHUP that is inside the event
 * loop, which stands still for up to 4 lists of 64 names.
 *
 * 0; -EINVAL for more than `max` entries, an empty one, an unknown name, a number that no user or group can have;
 * -EAGAIN when the database could not be asked about a name; or -ENOMEM. With -EINVAL and -EAGAIN *ret_why says what is
 * wrong with which entry (malloc'ed); else it stays as it is. The caller frees ret->ids. */
int id_list_parse(const char *text, enum id_kind kind, uint64_t max, struct id_list *ret, char **ret_why);

/* 0 or -ENOMEM. The caller frees ret->ids. */
int id_list_copy(const struct id_list *list, struct id_list *ret);

/* The same numbers in the same order? */
bool id_list_equals(const struct id_list *a, const struct id_list *b);

bool id_list_contains(const struct id_list *list, uint32_t id);

#endif
