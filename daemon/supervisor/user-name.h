/* SPDX-License-Identifier: MIT */
/*
 * Names of users. The user database may be a server's, and a look-up in it can take seconds, in which the loop stands
 * still: so a user is looked up once, and what came of it, also that there is no such user, is kept until the
 * configuration is read again (SIGHUP), or until USER_NAMES_MAX others were asked for. Only when the database could not
 * be asked, the next call asks again. For the process's first thread only.
 */
#ifndef CONCD_USER_NAME_H
#define CONCD_USER_NAME_H

#include <sys/types.h>

#define USER_NAMES_MAX 256

/* The user's name, or the number when there is none or nobody knows; malloc'ed, NULL when out of memory. The first time
 * it may block, as any look at the user database. */
char *user_name(uid_t uid);

/* The next time everybody is looked up anew. */
void user_names_forget(void);

#endif
