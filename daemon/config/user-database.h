/* SPDX-License-Identifier: MIT */
/*
 * Look-ups in the databases of users and groups. They may be a server's: a look-up blocks for as long as that takes. No
 * state of its own; any thread.
 */
#ifndef CONCD_USER_DATABASE_H
#define CONCD_USER_DATABASE_H

#include <stdint.h>
#include <sys/types.h>

enum id_kind { ID_USER, ID_GROUP };

/* The number of a name. 0; -ENOENT when there is no such user or group; or another -errno: nobody knows, since the
 * database could not be asked. */
int user_database_id(const char *name, enum id_kind kind, uint32_t *ret);

/* The name of a user, malloc'ed. Results as user_database_id(). */
int user_database_name(uid_t uid, char **ret);

#endif
