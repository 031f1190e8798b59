/* SPDX-License-Identifier: MIT */
#include "ctl/field.h"

#include <string.h>

static json_t *
get(const json_t *object, const char *key)
{
        json_t *value = json_object_get(object, key);

        return json_is_null(value) ? NULL : value;
}

bool
field_is_set(const json_t *object, const char *key)
{
        return get(object, key) != NULL;
}

const char *
field_text(const json_t *object, const char *key)
{
        const char *text = json_string_value(get(object, key));

        return text ? text : "";
}

int64_t
field_int(const json_t *object, const char *key)
{
        return json_integer_value(get(object, key));
}

double
field_real(const json_t *object, const char *key)
{
        return json_number_value(get(object, key));
}

bool
field_bool(const json_t *object, const char *key)
{
        return json_is_true(get(object, key));
}

static const char *
skip_blanks(const char *p, const char *end)
{
        while (p < end && strchr(" \t\r\n", *p) && *p != '\0')
                p++;
        return p;
}

/* p is at the opening quote; returns the place behind the closing one. */
static const char *
skip_string(const char *p, const char *end)
{
        for (p++; p < end && *p != '"'; p++)
                if (*p == '\\' && p + 1 < end)
                        p++;
        return p < end ? p + 1 : end;
}

static const char *
skip_value(const char *p, const char *end)
{
        int depth = 0;

        while (p < end) {
                if (*p == '"') {
                        p = skip_string(p, end);
                } else if (*p == '{' || *p == '[') {
                        depth++;
                        p++;
                } else if (depth == 0 && strchr(",]} \t\r\n", *p)) {
                        return p;
                } else {
                        depth -= *p == '}' || *p == ']';
                        p++;
                }
                if (depth == 0 && p > end - 1)
                        return end;
                if (depth == 0 && (p[-1] == '}' || p[-1] == ']' || p[-1] == '"'))
                        return p;
        }
        return end;
}

/* Narrows [*p, *end) from an object to the value of its member. */
static bool
find_member(const char **p, const char **end, const char *key)
{
        const char *at = skip_blanks(*p, *end), *start, *name;
        size_t key_len = strlen(key);

        if (at >= *end || *at++ != '{')
                return false;
        for (;;) {
                at = skip_blanks(at, *end);
                if (at < *end && *at == ',')
                        at = skip_blanks(at + 1, *end);
                if (at >= *end || *at != '"')
                        return false;
                name = at + 1;
                at = skip_string(at, *end);
                start = skip_blanks(at, *end);
                if (start >= *end || *start != ':')
                        return false;
                start = skip_blanks(start + 1, *end);
                if ((size_t)(at - name) == key_len + 1 && strncmp(name, key, key_len) == 0) {
                        *p = start;
                        *end = skip_value(start, *end);
                        return true;
                }
                at = skip_value(start, *end);
        }
}

bool
field_slice(const char *msg, size_t len, const char *const *path, const char **ret, size_t *ret_len)
{
        const char *p = msg, *end = msg + len;

        for (; *path; path++)
                if (!find_member(&p, &end, *path))
                        return false;
        if (end - p == 4 && strncmp(p, "null", 4) == 0)
                return false;
        *ret = p;
        *ret_len = (size_t)(end - p);
        return true;
}
