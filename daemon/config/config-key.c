/* SPDX-License-Identifier: MIT */
/* What the rows of CONFIG_KEYS say, and the one place that knows where in a struct config each value lies. */
#include "config/config-key.h"

#include "shared/log.h"
#include "shared/quantity.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

const struct config_key config_keys[N_KEYS] = {
#define X(section, key, member, type, min, max, def, reload, help)                                                     \
        {#section,     #key, #section "." #key, offsetof(struct config, member), KEY_##type, min, max, def,            \
         KEY_##reload, help},
        CONFIG_KEYS(X)
#undef X
};

static const char instance_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

/* ── keys ── */

const struct config_key *
config_key_find(const char *full_name)
{
        for (size_t i = 0; i < N_KEYS; i++)
                if (strcmp(config_keys[i].full_name, full_name) == 0)
                        return &config_keys[i];
        return NULL;
}

const struct config_key *
config_key_at(size_t offset)
{
        const struct config_key *key = config_keys;

        while (key->offset != offset)
                key++;
        return key;
}

bool
config_section_exists(const char *section, size_t len)
{
        for (size_t i = 0; i < N_KEYS; i++)
                if (strlen(config_keys[i].section) == len && strncmp(config_keys[i].section, section, len) == 0)
                        return true;
        return false;
}

static bool
key_is(const struct config_key *key, size_t offset)
{
        return key->offset == offset;
}

static bool
names_socket(const struct config_key *key)
{
        return key_is(key, offsetof(struct config, socket)) || key_is(key, offsetof(struct config, metrics_socket));
}

static void *
key_member(const struct config_key *key, struct config *c)
{
        return (char *)c + key->offset;
}

static const void *
key_member_const(const struct config_key *key, const struct config *c)
{
        return (const char *)c + key->offset;
}

uint64_t
config_key_number(const struct config_key *key, const struct config *c)
{
        return *(const uint64_t *)key_member_const(key, c);
}

char *
config_key_range(const struct config_key *key, char buf[RANGE_TEXT_MAX])
{
        char min[QUANTITY_TEXT_MAX], max[QUANTITY_TEXT_MAX];
        size_t n = 0;

        switch (key->type) {
        case KEY_COUNT:
                snprintf(buf, RANGE_TEXT_MAX, "%" PRIu64 " to %" PRIu64, key->min, key->max);
                break;
        case KEY_DURATION:
                snprintf(buf, RANGE_TEXT_MAX, "%s to %s", quantity_format_duration_exact(min, sizeof(min), key->min),
                         quantity_format_duration_exact(max, sizeof(max), key->max));
                break;
        case KEY_MODE:
                snprintf(buf, RANGE_TEXT_MAX, "%04" PRIo64 " to %04" PRIo64 ", octal", key->min, key->max);
                break;
        case KEY_BOOL:
                snprintf(buf, RANGE_TEXT_MAX, "yes or no");
                break;
        case KEY_LEVEL:
                for (int level = 0; level < LOG_LEVELS; level++)
                        n += (size_t)snprintf(buf + n, RANGE_TEXT_MAX - n, "%s%s",
                                              level == 0                ? ""
                                              : level == LOG_LEVELS - 1 ? " or "
                                                                        : ", ",
                                              log_level_name((enum log_level)level));
                break;
        case KEY_STRING:
                snprintf(buf, RANGE_TEXT_MAX, "%s%" PRIu64 " to %" PRIu64 " %s",
                         names_socket(key) ? "an absolute path of " : "", key->min, key->max,
                         key_is(key, offsetof(struct config, instance)) ? "letters, digits, '-', '_'" : "bytes");
                break;
        case KEY_USERS:
        case KEY_GROUPS:
                snprintf(buf, RANGE_TEXT_MAX, "%" PRIu64 " to %" PRIu64 " %s, by name or number, with commas", key->min,
                         key->max, key->type == KEY_USERS ? "users" : "groups");
                break;
        }
        return buf;
}

/* ── values ── */

static bool
parse_mode(const struct config_key *key, const char *given, uint64_t *ret)
{
        uint64_t mode = 0;

        if (!*given || given[strspn(given, "01234567")] != '\0')
                return false;
        for (const char *c = given; *c; c++)
                mode = MIN(mode * 8 + (uint64_t)(*c - '0'), key->max + 1);
        if (mode < key->min || mode > key->max)
                return false;
        *ret = mode;
        return true;
}

static bool
parse_bool(const char *given, bool *ret)
{
        bool is_yes = strcmp(given, "yes") == 0;

        if (!is_yes && strcmp(given, "no") != 0)
                return false;
        *ret = is_yes;
        return true;
}

static bool
parse_level(const char *given, int *ret)
{
        for (int level = 0; level < LOG_LEVELS; level++)
                if (strcmp(given, log_level_name((enum log_level)level)) == 0) {
                        *ret = level;
                        return true;
                }
        return false;
}

static bool
text_is_valid(const struct config_key *key, const char *given)
{
        size_t len = strlen(given);

        if (len < key->min || len > key->max)
                return false;
        if (key_is(key, offsetof(struct config, instance)))
                return strspn(given, instance_characters) == len;
        if (names_socket(key))
                return len == 0 || given[0] == '/';
        return true;
}

int
config_value_parse(const struct config_key *key, const char *given, union config_value *ret, char **ret_why)
{
        bool is_valid = false;

        switch (key->type) {
        case KEY_COUNT:
                is_valid = quantity_parse_count(given, key->min, key->max, &ret->number) == QUANTITY_OK;
                break;
        case KEY_DURATION:
                is_valid = quantity_parse_duration(given, key->min, key->max, &ret->number) == QUANTITY_OK;
                break;
        case KEY_MODE:
                is_valid = parse_mode(key, given, &ret->number);
                break;
        case KEY_BOOL:
                is_valid = parse_bool(given, &ret->flag);
                break;
        case KEY_LEVEL:
                is_valid = parse_level(given, &ret->level);
                break;
        case KEY_STRING:
                is_valid = text_is_valid(key, given);
                if (is_valid && !(ret->text = strdup(given)))
                        return -ENOMEM;
                break;
        case KEY_USERS:
                return id_list_parse(given, ID_USER, key->max, &ret->ids, ret_why);
        case KEY_GROUPS:
                return id_list_parse(given, ID_GROUP, key->max, &ret->ids, ret_why);
        }
        return is_valid ? 0 : -EINVAL;
}

void
config_value_store(const struct config_key *key, struct config *c, const union config_value *value)
{
        void *member = key_member(key, c);

        switch (key->type) {
        case KEY_COUNT:
        case KEY_DURATION:
        case KEY_MODE:
                *(uint64_t *)member = value->number;
                break;
        case KEY_BOOL:
                *(bool *)member = value->flag;
                break;
        case KEY_LEVEL:
                *(int *)member = value->level;
                break;
        case KEY_STRING:
                free(*(char **)member);
                *(char **)member = value->text;
                break;
        case KEY_USERS:
        case KEY_GROUPS:
                free(((struct id_list *)member)->ids);
                *(struct id_list *)member = value->ids;
                break;
        }
}

int
config_value_copy(const struct config_key *key, const struct config *c, union config_value *ret)
{
        const void *member = key_member_const(key, c);

        switch (key->type) {
        case KEY_COUNT:
        case KEY_DURATION:
        case KEY_MODE:
                ret->number = *(const uint64_t *)member;
                break;
        case KEY_BOOL:
                ret->flag = *(const bool *)member;
                break;
        case KEY_LEVEL:
                ret->level = *(const int *)member;
                break;
        case KEY_STRING:
                ret->text = strdup(*(char *const *)member);
                if (!ret->text)
                        return -ENOMEM;
                break;
        case KEY_USERS:
        case KEY_GROUPS:
                return id_list_copy(member, &ret->ids);
        }
        return 0;
}

void
config_value_free(const struct config_key *key, struct config *c)
{
        if (key->type == KEY_STRING)
                free(*(char **)key_member(key, c));
        else if (key->type == KEY_USERS || key->type == KEY_GROUPS)
                free(((struct id_list *)key_member(key, c))->ids);
}

bool
config_value_differs(const struct config_key *key, const struct config *a, const struct config *b)
{
        switch (key->type) {
        case KEY_COUNT:
        case KEY_DURATION:
        case KEY_MODE:
                return config_key_number(key, a) != config_key_number(key, b);
        case KEY_BOOL:
                return *(const bool *)key_member_const(key, a) != *(const bool *)key_member_const(key, b);
        case KEY_LEVEL:
                return *(const int *)key_member_const(key, a) != *(const int *)key_member_const(key, b);
        case KEY_STRING:
                return strcmp(*(char *const *)key_member_const(key, a), *(char *const *)key_member_const(key, b)) != 0;
        case KEY_USERS:
        case KEY_GROUPS:
                return !id_list_equals(key_member_const(key, a), key_member_const(key, b));
        }
        return false;
}

/* ── nearest names ── */

/* How many characters must be put in, left out or replaced to make b of a (Levenshtein); names are short. */
static unsigned
edit_distance(const char *a, const char *b)
{
        unsigned row[64];
        size_t len = MIN(strlen(b), ARRAY_SIZE(row) - 1);

        for (size_t j = 0; j <= len; j++)
                row[j] = (unsigned)j;
        for (unsigned i = 1; a[i - 1]; i++) {
                unsigned diagonal = row[0];

                row[0] = i;
                for (size_t j = 1; j <= len; j++) {
                        unsigned replaced = diagonal + (a[i - 1] != b[j - 1]);

                        diagonal = row[j];
                        row[j] = MIN(replaced, MIN(row[j], row[j - 1]) + 1);
                }
        }
        return row[len];
}

const char *
config_key_nearest(const char *given)
{
        const char *best = config_keys[0].full_name;

        for (size_t i = 1; i < N_KEYS; i++)
                if (edit_distance(given, config_keys[i].full_name) < edit_distance(given, best))
                        best = config_keys[i].full_name;
        return best;
}

const char *
config_section_nearest(const char *given)
{
        const char *best = config_keys[0].section;

        for (size_t i = 1; i < N_KEYS; i++)
                if (edit_distance(given, config_keys[i].section) < edit_distance(given, best))
                        best = config_keys[i].section;
        return best;
}
