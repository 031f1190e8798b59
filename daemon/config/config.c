/* SPDX-License-Identifier: MIT */
/* Configurations as a whole: made, set, checked against themselves, reloaded, printed. Files: config-file.c. */
#include "config/config-key.h"
#include "config/config-private.h"
#include "shared/controls.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

/* Pairs of COUNT keys of which the first may not exceed the second. */
static const struct {
        size_t lesser, greater; /* offsets */
} key_orders[] = {
        {offsetof(struct config, processes), offsetof(struct config, max_workers)},
        {offsetof(struct config, threads), offsetof(struct config, max_workers)},
};

/* ── whole configurations ── */

/* Fills in one value after the other with `get`; on failure *ret is untouched. */
static int
config_build(struct config *ret,
             int (*get)(const struct config_key *key, const void *arg, union config_value *ret_value), const void *arg)
{
        struct config c = {};

        for (size_t i = 0; i < N_KEYS; i++) {
                union config_value value;
                int r = get(&config_keys[i], arg, &value);

                if (r < 0) {
                        config_deinit(&c);
                        return r;
                }
                config_value_store(&config_keys[i], &c, &value);
        }
        *ret = c;
        return 0;
}

static int
get_default(const struct config_key *key, const void *arg, union config_value *ret)
{
        AUTO_FREE char *why = NULL;
        int r = config_value_parse(key, key->def, ret, &why);

        assert(r == 0 || r == -ENOMEM);
        return r;
}

static int
get_copy(const struct config_key *key, const void *arg, union config_value *ret)
{
        return config_value_copy(key, arg, ret);
}

int
config_copy(struct config *ret, const struct config *c)
{
        return config_build(ret, get_copy, c);
}

int
config_init(struct config *c)
{
        return config_build(c, get_default, NULL);
}

void
config_deinit(struct config *c)
{
        for (size_t i = 0; i < N_KEYS; i++)
                config_value_free(&config_keys[i], c);
}

/* ── setting ── */

char *
config_one_line(char *message)
{
        controls_replace(message, strlen(message), '?');
        return message;
}

static char *message_new(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* NULL when memory is out. */
static char *
message_new(const char *fmt, ...)
{
        char *message;
        va_list ap;

        va_start(ap, fmt);
        int r = vasprintf(&message, fmt, ap);
        va_end(ap);
        return r < 0 ? NULL : config_one_line(message);
}

int
config_set_key(struct config *c, const struct config_key *key, const char *given, char **ret_message)
{
        AUTO_FREE char *why = NULL;
        char range[RANGE_TEXT_MAX];
        union config_value value;
        int r = config_value_parse(key, given, &value, &why);

        if (r == 0)
                config_value_store(key, c, &value);
        else if (r == -EINVAL)
                *ret_message = message_new("%s: given \"%s\", allowed %s%s%s", key->full_name, given,
                                           config_key_range(key, range), why ? "; " : "", why ? why : "");
        else
                *ret_message = r == -EAGAIN ? message_new("%s: %s", key->full_name, why) : NULL;
        return r;
}

int
config_check_orders(const struct config *c, const struct config_key **ret_lesser, const struct config_key **ret_greater,
                    char **ret_message)
{
        for (size_t i = 0; i < ARRAY_SIZE(key_orders); i++) {
                const struct config_key *lesser = config_key_at(key_orders[i].lesser);
                const struct config_key *greater = config_key_at(key_orders[i].greater);
                uint64_t given = config_key_number(lesser, c), limit = config_key_number(greater, c);

                if (given <= limit)
                        continue;
                *ret_lesser = lesser;
                *ret_greater = greater;
                *ret_message = message_new("%s: given \"%" PRIu64 "\", allowed %" PRIu64 " to %" PRIu64 ", which is %s",
                                           lesser->full_name, given, lesser->min, limit, greater->full_name);
                return -EINVAL;
        }
        return 0;
}

int
config_set(struct config *c, const char *name, const char *value, char **ret_message)
{
        const struct config_key *key = config_key_find(name);
        char *message = NULL;
        struct config next;
        int r;

        if (!key) {
                *ret_message = message_new("unknown key %s; the nearest is %s", name, config_key_nearest(name));
                return -EINVAL;
        }
        r = config_copy(&next, c);
        if (r < 0) {
                *ret_message = NULL;
                return r;
        }
        r = config_set_key(&next, key, value, &message);
        if (r < 0) {
                config_deinit(&next);
                *ret_message = message;
                return r;
        }
        config_deinit(c);
        *c = next;
        return 0;
}

int
config_check(const struct config *c, char **ret_message)
{
        const struct config_key *lesser, *greater;

        return config_check_orders(c, &lesser, &greater, ret_message);
}

/* ── reloading and printing ── */

/* "a, b, c" or, of nothing, NULL. */
static int
list_ignored(const struct config *c, const struct config *from, char **ret)
{
        AUTO_FREE char *list = NULL;
        size_t size = 0;
        FILE *f = NULL;

        for (size_t i = 0; i < N_KEYS; i++) {
                if (config_keys[i].reload != KEY_RESTART || !config_value_differs(&config_keys[i], c, from))
                        continue;
                if (!f && !(f = open_memstream(&list, &size)))
                        return -ENOMEM;
                fprintf(f, "%s%s", ftell(f) > 0 ? ", " : "", config_keys[i].full_name);
        }
        if (f && fclose(f) != 0)
                return -ENOMEM;
        *ret = TAKE(list);
        return 0;
}

int
config_reload(struct config *c, const struct config *from, char **ret_ignored)
{
        AUTO_FREE char *ignored = NULL;
        struct config next;
        int r = list_ignored(c, from, &ignored);

        if (r < 0)
                return r;
        r = config_copy(&next, c);
        for (size_t i = 0; r == 0 && i < N_KEYS; i++) {
                union config_value value;

                if (config_keys[i].reload != KEY_LIVE)
                        continue;
                r = config_value_copy(&config_keys[i], from, &value);
                if (r == 0)
                        config_value_store(&config_keys[i], &next, &value);
                else
                        config_deinit(&next);
        }
        if (r < 0)
                return r;
        config_deinit(c);
        *c = next;
        *ret_ignored = TAKE(ignored);
        return 0;
}

/* Writes the words as comment lines of at most 100 columns. */
static void
print_comment(FILE *f, const char *text)
{
        size_t column = 0;

        while (*text) {
                size_t len = strcspn(text, " ");

                if (column == 0 || column + 1 + len > 100)
                        column = (size_t)fprintf(f, "%s#", column > 0 ? "\n" : "");
                column += (size_t)fprintf(f, " %.*s", (int)len, text);
                text += len + strspn(text + len, " ");
        }
        fputc('\n', f);
}

int
config_print(FILE *f)
{
        const char *section = "";

        errno = 0;
        fprintf(f, "# The configuration of concd, with the defaults. Durations need a unit: ns, us, ms, s, min, h.\n"
                   "# Counts may be written as 1000, 1e6 or 10M. SIGHUP reads this file again.\n");
        for (size_t i = 0; i < N_KEYS; i++) {
                const struct config_key *key = &config_keys[i];
                char range[RANGE_TEXT_MAX];

                if (strcmp(section, key->section) != 0)
                        fprintf(f, "\n[%s]\n", key->section);
                section = key->section;
                fputc('\n', f);
                print_comment(f, key->help);
                fprintf(f, "# Allowed: %s. Default: %s. %s\n%s =%s%s\n", config_key_range(key, range),
                        *key->def ? key->def : "empty",
                        key->reload == KEY_LIVE ? "SIGHUP applies it." : "Needs a restart.", key->name,
                        *key->def ? " " : "", key->def);
        }
        if (fflush(f) != 0 || ferror(f))
                return errno > 0 ? -errno : -EIO;
        return 0;
}
