/* SPDX-License-Identifier: MIT */
#include "config/id-list.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static int fail(int error, char **ret_why, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The error, with its reason; without memory for that, -ENOMEM. */
static int
fail(int error, char **ret_why, const char *fmt, ...)
{
        va_list args;
        int n;

        va_start(args, fmt);
        n = vasprintf(ret_why, fmt, args);
        va_end(args);
        if (n >= 0)
                return error;
        *ret_why = NULL;
        return -ENOMEM;
}

static const char *
kind_name(enum id_kind kind)
{
        return kind == ID_USER ? "user" : "group";
}

static int
find_name(const char *name, enum id_kind kind, uint32_t *ret, char **ret_why)
{
        int r = user_database_id(name, kind, ret);

        if (r == 0 || r == -ENOMEM)
                return r;
        if (r == -ENOENT)
                return fail(-EINVAL, ret_why, "there is no %s \"%s\"", kind_name(kind), name);
        return fail(-EAGAIN, ret_why, "cannot look up the %s \"%s\": %s", kind_name(kind), name, strerror(-r));
}

/* What consists of digits is a number; the highest one means "none" to the kernel. */
static int
parse_entry(const char *text, enum id_kind kind, uint32_t *ret, char **ret_why)
{
        uint64_t number = 0;

        if (!*text)
                return fail(-EINVAL, ret_why, "an entry is empty");
        if (text[strspn(text, "0123456789")] != '\0')
                return find_name(text, kind, ret, ret_why);
        for (const char *c = text; *c; c++)
                number = MIN(number * 10 + (uint64_t)(*c - '0'), UINT64_C(1) << 32);
        if (number >= UINT32_MAX)
                return fail(-EINVAL, ret_why, "no %s can have the number %s", kind_name(kind), text);
        *ret = (uint32_t)number;
        return 0;
}

/* The text without the blanks around it; cuts it. */
static char *
strip(char *text)
{
        size_t len;

        text += strspn(text, " \t");
        len = strlen(text);
        while (len > 0 && strchr(" \t", text[len - 1]))
                text[--len] = '\0';
        return text;
}

int
id_list_parse(const char *text, enum id_kind kind, uint64_t max, struct id_list *ret, char **ret_why)
{
        AUTO_FREE char *copy = strdup(text);
        AUTO_FREE uint32_t *ids = NULL;
        size_t n = 0, commas = 0;
        char *rest = copy;
        int r = 0;

        if (!copy)
                return -ENOMEM;
        if (!*strip(copy)) {
                *ret = (struct id_list){0};
                return 0;
        }
        for (const char *c = copy; *c; c++)
                commas += *c == ',';
        if (commas >= max)
                return fail(-EINVAL, ret_why, "there are %zu", commas + 1);
        ids = calloc(commas + 1, sizeof(*ids));
        if (!ids)
                return -ENOMEM;
        while (r == 0 && rest)
                r = parse_entry(strip(strsep(&rest, ",")), kind, &ids[n++], ret_why);
        if (r < 0)
                return r;
        *ret = (struct id_list){TAKE(ids), n};
        return 0;
}

int
id_list_copy(const struct id_list *list, struct id_list *ret)
{
        struct id_list copy = {.n = list->n};

        if (list->n > 0) {
                copy.ids = calloc(list->n, sizeof(*copy.ids));
                if (!copy.ids)
                        return -ENOMEM;
                memcpy(copy.ids, list->ids, list->n * sizeof(*copy.ids));
        }
        *ret = copy;
        return 0;
}

bool
id_list_equals(const struct id_list *a, const struct id_list *b)
{
        return a->n == b->n && (a->n == 0 || memcmp(a->ids, b->ids, a->n * sizeof(*a->ids)) == 0);
}

bool
id_list_contains(const struct id_list *list, uint32_t id)
{
        for (size_t i = 0; i < list->n; i++) {
                if (list->ids[i] == id)
                        return true;
        }
        return false;
}
