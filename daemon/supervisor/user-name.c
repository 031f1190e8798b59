/* SPDX-License-Identifier: MIT */
#include "supervisor/user-name.h"

#include "config/user-database.h"
#include "shared/base.h"

#include <errno.h>
#include <string.h>

/* The oldest gives way. */
static struct known {
        char *name; /* owned; NULL: the place is free */
        uid_t uid;
} known[USER_NAMES_MAX];
static size_t next_place;

static char *
number_text(uid_t uid)
{
        char *number;

        return asprintf(&number, "%u", (unsigned)uid) < 0 ? NULL : number;
}

char *
user_name(uid_t uid)
{
        struct known *place;
        char *name = NULL;
        int r;

        for (size_t i = 0; i < USER_NAMES_MAX; i++) {
                if (known[i].name && known[i].uid == uid)
                        return strdup(known[i].name);
        }
        r = user_database_name(uid, &name);
        if (r != 0)
                name = number_text(uid);
        /* Whether there is such a user is not known after another error. */
        if (!name || (r != 0 && r != -ENOENT))
                return name;
        place = &known[next_place];
        next_place = (next_place + 1) % USER_NAMES_MAX;
        free(place->name);
        *place = (struct known){.uid = uid, .name = name};
        return strdup(name);
}

void
user_names_forget(void)
{
        for (size_t i = 0; i < USER_NAMES_MAX; i++)
                free(TAKE(known[i].name));
        next_place = 0;
}
