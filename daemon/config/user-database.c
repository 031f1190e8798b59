/* SPDX-License-Identifier: MIT */
#include "config/user-database.h"

#include "shared/base.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

/* The databases' functions want a buffer and say ERANGE when it is too short; a group of many members needs much. */
#define BUFFER_MIN 4096
#define BUFFER_MAX (1024 * 1024)

/* What a function means by `error` that found nothing: getpwnam(3) has several ways to say that there is nothing. */
static int
not_found(int error)
{
        switch (error) {
        case 0:
        case ENOENT:
        case ESRCH:
        case EBADF:
        case EPERM:
                return -ENOENT;
        default:
                return -error;
        }
}

/* One look-up with this buffer: of a name, or of a number. 0 or as not_found(). */
typedef int (*look_up_fn)(const void *key, char *buf, size_t size, void *ret);

static int
user_by_name(const void *key, char *buf, size_t size, void *ret)
{
        struct passwd entry, *found = NULL;
        int r = getpwnam_r(key, &entry, buf, size, &found);

        if (!found)
                return not_found(r);
        *(uint32_t *)ret = found->pw_uid;
        return 0;
}

static int
group_by_name(const void *key, char *buf, size_t size, void *ret)
{
        struct group entry, *found = NULL;
        int r = getgrnam_r(key, &entry, buf, size, &found);

        if (!found)
                return not_found(r);
        *(uint32_t *)ret = found->gr_gid;
        return 0;
}

static int
user_by_number(const void *key, char *buf, size_t size, void *ret)
{
        struct passwd entry, *found = NULL;
        int r = getpwuid_r(*(const uid_t *)key, &entry, buf, size, &found);
        char *name;

        if (!found)
                return not_found(r);
        name = strdup(found->pw_name);
        if (!name)
                return -ENOMEM;
        *(char **)ret = name;
        return 0;
}

/* With buffers that grow until the entry fits. */
static int
look_up(look_up_fn fn, const void *key, void *ret)
{
        int r = -ERANGE;

        for (size_t size = BUFFER_MIN; r == -ERANGE && size <= BUFFER_MAX; size *= 4) {
                AUTO_FREE char *buf = malloc(size);

                r = buf ? fn(key, buf, size, ret) : -ENOMEM;
        }
        return r;
}

int
user_database_id(const char *name, enum id_kind kind, uint32_t *ret)
{
        return look_up(kind == ID_USER ? user_by_name : group_by_name, name, ret);
}

int
user_database_name(uid_t uid, char **ret)
{
        return look_up(user_by_number, &uid, ret);
}
