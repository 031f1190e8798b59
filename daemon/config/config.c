/* SPDX-License-Identifier: MIT */
/*
 * inih calls us back for each key, in fixed buffers of its own: a longer line it would cut in silence, an indented one
 * it would take for the continuation of the value above, an empty section it would not mention. So
 * it reads through read_line(), which refuses the first, removes the indent, and looks at section lines itself; it
 * also counts, so that a value's error has a line number. Values go into a copy of the configuration, which takes
 * the place of the caller's when all of the file was right.
 */
#include "config/config.h"

#include "shared/log.h"
#include "shared/quantity.h"

#include <assert.h>
#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

enum key_type { KEY_COUNT, KEY_DURATION, KEY_MODE, KEY_BOOL, KEY_LEVEL, KEY_STRING };
enum key_reload { KEY_LIVE, KEY_RESTART };

struct key {
        const char *section, *name, *full_name;
        size_t offset; /* of the member in struct config */
        enum key_type type;
        uint64_t min, max;
        const char *def;
        enum key_reload reload;
        const char *help;
};

static const struct key keys[] = {
#define X(section, key, member, type, min, max, def, reload, help)                                              \
        {#section, #key,          #section "." #key, offsetof(struct config, member), KEY_##type, min, max,     \
         def,      KEY_##reload,  help},
        CONFIG_KEYS(X)
#undef X
};
#define N_KEYS ARRAY_SIZE(keys)

/* Pairs of COUNT keys of which the first may not exceed the second. */
static const struct {
        size_t lesser, greater; /* offsets */
} key_orders[] = {
        {offsetof(struct config, processes), offsetof(struct config, max_workers)},
        {offsetof(struct config, threads), offsetof(struct config, max_workers)},
};

static const char instance_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

union value {
        uint64_t number; /* COUNT, DURATION, MODE */
        bool flag;
        int level;
        char *text; /* owned */
};

/* Room for the longest of the texts that describe what a key allows. */
#define RANGE_TEXT_MAX 128

/* ── keys ── */

static const struct key *
key_find(const char *full_name)
{
        for (size_t i = 0; i < N_KEYS; i++)
                if (strcmp(keys[i].full_name, full_name) == 0)
                        return &keys[i];
        return NULL;
}

/* Every member of struct config has its key. */
static const struct key *
key_at(size_t offset)
{
        const struct key *key = keys;

        while (key->offset != offset)
                key++;
        return key;
}

static bool
section_exists(const char *section, size_t len)
{
        for (size_t i = 0; i < N_KEYS; i++)
                if (strlen(keys[i].section) == len && strncmp(keys[i].section, section, len) == 0)
                        return true;
        return false;
}

static bool
key_is(const struct key *key, size_t offset)
{
        return key->offset == offset;
}

static void *
key_member(const struct key *key, struct config *c)
{
        return (char *)c + key->offset;
}

static const void *
key_member_const(const struct key *key, const struct config *c)
{
        return (const char *)c + key->offset;
}

static uint64_t
key_number(const struct key *key, const struct config *c)
{
        return *(const uint64_t *)key_member_const(key, c);
}

static char *
key_range(const struct key *key, char buf[RANGE_TEXT_MAX])
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
                         key_is(key, offsetof(struct config, socket)) ? "an absolute path of " : "", key->min, key->max,
                         key_is(key, offsetof(struct config, instance)) ? "letters, digits, '-', '_'" : "bytes");
                break;
        }
        return buf;
}

/* ── values ── */

static bool
parse_mode(const struct key *key, const char *given, uint64_t *ret)
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
text_is_valid(const struct key *key, const char *given)
{
        size_t len = strlen(given);

        if (len < key->min || len > key->max)
                return false;
        if (key_is(key, offsetof(struct config, instance)))
                return strspn(given, instance_characters) == len;
        if (key_is(key, offsetof(struct config, socket)))
                return given[0] == '/';
        return true;
}

/* 0, -EINVAL or -ENOMEM. A STRING's text is a new one. */
static int
value_parse(const struct key *key, const char *given, union value *ret)
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
        }
        return is_valid ? 0 : -EINVAL;
}

/* Gives the value to the configuration. */
static void
value_store(const struct key *key, struct config *c, const union value *value)
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
        }
}

/* Copies a value out of the configuration. 0 or -ENOMEM. */
static int
value_copy(const struct key *key, const struct config *c, union value *ret)
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
        }
        return 0;
}

static bool
value_differs(const struct key *key, const struct config *a, const struct config *b)
{
        switch (key->type) {
        case KEY_COUNT:
        case KEY_DURATION:
        case KEY_MODE:
                return key_number(key, a) != key_number(key, b);
        case KEY_BOOL:
                return *(const bool *)key_member_const(key, a) != *(const bool *)key_member_const(key, b);
        case KEY_LEVEL:
                return *(const int *)key_member_const(key, a) != *(const int *)key_member_const(key, b);
        case KEY_STRING:
                return strcmp(*(char *const *)key_member_const(key, a), *(char *const *)key_member_const(key, b)) != 0;
        }
        return false;
}

/* ── whole configurations ── */

/* Fills in one value after the other with `get`; on failure *ret is untouched. */
static int
config_build(struct config *ret, int (*get)(const struct key *key, const void *arg, union value *ret_value),
             const void *arg)
{
        struct config c = {};

        for (size_t i = 0; i < N_KEYS; i++) {
                union value value;
                int r = get(&keys[i], arg, &value);

                if (r < 0) {
                        config_deinit(&c);
                        return r;
                }
                value_store(&keys[i], &c, &value);
        }
        *ret = c;
        return 0;
}

static int
get_default(const struct key *key, const void *arg, union value *ret)
{
        int r = value_parse(key, key->def, ret);

        assert(r != -EINVAL);
        return r;
}

static int
get_copy(const struct key *key, const void *arg, union value *ret)
{
        return value_copy(key, arg, ret);
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
                if (keys[i].type == KEY_STRING)
                        free(*(char **)key_member(&keys[i], c));
}

/* ── messages ── */

/* Where a value comes from: "path:line: ", or nothing for --set. */
struct origin {
        const char *path;
        unsigned line;
};

static char *message_new(const struct origin *at, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* NULL when memory is out. */
static char *
message_new(const struct origin *at, const char *fmt, ...)
{
        AUTO_FREE char *text = NULL;
        char *message;
        va_list ap;

        va_start(ap, fmt);
        int r = vasprintf(&text, fmt, ap);
        va_end(ap);
        if (r < 0) {
                text = NULL;
                return NULL;
        }
        if (!at->path)
                return TAKE(text);
        if (at->line == 0)
                r = asprintf(&message, "%s: %s", at->path, text);
        else
                r = asprintf(&message, "%s:%u: %s", at->path, at->line, text);
        return r < 0 ? NULL : message;
}

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

/* The name among the keys' that is nearest to what was given. */
static const char *
nearest_key(const char *given)
{
        const char *best = keys[0].full_name;

        for (size_t i = 1; i < N_KEYS; i++)
                if (edit_distance(given, keys[i].full_name) < edit_distance(given, best))
                        best = keys[i].full_name;
        return best;
}

static const char *
nearest_section(const char *given)
{
        const char *best = keys[0].section;

        for (size_t i = 1; i < N_KEYS; i++)
                if (edit_distance(given, keys[i].section) < edit_distance(given, best))
                        best = keys[i].section;
        return best;
}

/* ── setting ── */

/* 0, -EINVAL or -ENOMEM, then with *ret_message; c is touched on success only. */
static int
set_key(struct config *c, const struct key *key, const char *given, const struct origin *at, char **ret_message)
{
        char range[RANGE_TEXT_MAX];
        union value value;
        int r = value_parse(key, given, &value);

        if (r == 0)
                value_store(key, c, &value);
        else
                *ret_message = r == -EINVAL ? message_new(at, "%s: given \"%s\", allowed %s", key->full_name, given,
                                                          key_range(key, range))
                                            : NULL;
        return r;
}

/* lines[i], when given, is where keys[i] was set, 0 for nowhere. */
static int
check_orders(const struct config *c, const char *path, const unsigned *lines, char **ret_message)
{
        for (size_t i = 0; i < ARRAY_SIZE(key_orders); i++) {
                const struct key *lesser = key_at(key_orders[i].lesser), *greater = key_at(key_orders[i].greater);
                uint64_t given = key_number(lesser, c), limit = key_number(greater, c);
                struct origin at = {path, 0};

                if (given <= limit)
                        continue;
                if (lines)
                        at.line = lines[lesser - keys] > 0 ? lines[lesser - keys] : lines[greater - keys];
                *ret_message = message_new(&at, "%s: given \"%" PRIu64 "\", allowed %" PRIu64 " to %" PRIu64
                                           ", which is %s", lesser->full_name, given, lesser->min, limit,
                                           greater->full_name);
                return -EINVAL;
        }
        return 0;
}

int
config_set(struct config *c, const char *name, const char *value, char **ret_message)
{
        const struct key *key = key_find(name);
        const struct origin at = {};
        char *message = NULL;
        struct config next;
        int r;

        if (!key) {
                *ret_message = message_new(&at, "unknown key %s; the nearest is %s", name, nearest_key(name));
                return -EINVAL;
        }
        r = config_build(&next, get_copy, c);
        if (r < 0) {
                *ret_message = NULL;
                return r;
        }
        r = set_key(&next, key, value, &at, &message);
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
        return check_orders(c, NULL, NULL, ret_message);
}

/* ── loading ── */

struct loader {
        FILE *file;
        struct config c;
        struct origin at;       /* the line that was read last */
        unsigned lines[N_KEYS]; /* where each key was set; 0: not yet */
        char *text;             /* the line; getline(3)'s */
        size_t text_size;
        int error;     /* the first one; ends the reading */
        char *message; /* that belongs to it */
};

static void loader_fail(struct loader *l, int error, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void
loader_fail(struct loader *l, int error, const char *fmt, ...)
{
        AUTO_FREE char *text = NULL;
        va_list ap;

        l->error = error;
        va_start(ap, fmt);
        int r = vasprintf(&text, fmt, ap);
        va_end(ap);
        if (r < 0)
                text = NULL;
        l->message = text ? message_new(&l->at, "%s", text) : NULL;
}

/* A line that begins with '['. One without ']' is left to inih, which refuses it. */
static void
check_section_line(struct loader *l, const char *line)
{
        const char *end = strchr(line, ']');
        const char *rest = end ? end + 1 + strspn(end + 1, " \t\r") : NULL;

        if (!end)
                return;
        if (*rest && *rest != ';' && *rest != '#') {
                loader_fail(l, -EINVAL, "\"%s\" behind a section's name; a key needs a line of its own", rest);
                return;
        }
        if (section_exists(line + 1, (size_t)(end - line - 1)))
                return;

        AUTO_FREE char *section = strndup(line + 1, (size_t)(end - line - 1));

        if (!section)
                loader_fail(l, -ENOMEM, "out of memory");
        else
                loader_fail(l, -EINVAL, "unknown section [%s]; the nearest is [%s]", section, nearest_section(section));
}

/* The next line without its end, or NULL at the end of the file and on errors. */
static const char *
next_line(struct loader *l)
{
        ssize_t n;
        char *line;

        errno = 0;
        n = getline(&l->text, &l->text_size, l->file);
        if (n < 0) {
                if (!feof(l->file)) {
                        l->at.line = 0;
                        loader_fail(l, errno > 0 ? -errno : -EIO, "%s", strerror(errno > 0 ? errno : EIO));
                }
                return NULL;
        }
        l->at.line++;
        if (strlen(l->text) != (size_t)n) {
                loader_fail(l, -EINVAL, "a NUL character");
                return NULL;
        }
        line = l->text;
        while (n > 0 && strchr("\r\n", line[n - 1]))
                line[--n] = '\0';
        if (l->at.line == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0)
                line += 3;
        return line + strspn(line, " \t");
}

/* inih's way to read: as fgets(3). A comment may be of any length, and is not shown to inih. */
static char *
read_line(char *buf, int size, void *stream)
{
        struct loader *l = stream;
        const char *line = l->error == 0 ? next_line(l) : NULL;

        if (!line)
                return NULL;
        if (*line == '#' || *line == ';')
                line = "";
        if (*line == '[')
                check_section_line(l, line);
        if (l->error == 0 && strlen(line) >= (size_t)size)
                loader_fail(l, -EINVAL, "longer than %d bytes", size - 1);
        if (l->error != 0)
                return NULL;
        return strcpy(buf, line);
}

/* inih's handler: 1 to go on. */
static int
take_value(void *userdata, const char *section, const char *name, const char *value)
{
        struct loader *l = userdata;
        AUTO_FREE char *full_name = NULL;
        const struct key *key;

        if (*section == '\0') {
                loader_fail(l, -EINVAL, "%s stands before the first [section]; the nearest key is %s", name,
                            nearest_key(name));
                return 0;
        }
        if (asprintf(&full_name, "%s.%s", section, name) < 0) {
                full_name = NULL;
                loader_fail(l, -ENOMEM, "out of memory");
                return 0;
        }
        key = key_find(full_name);
        if (!key) {
                loader_fail(l, -EINVAL, "unknown key %s; the nearest is %s", full_name, nearest_key(full_name));
                return 0;
        }
        if (l->lines[key - keys] > 0) {
                loader_fail(l, -EINVAL, "%s is given twice, first in line %u", full_name, l->lines[key - keys]);
                return 0;
        }
        l->lines[key - keys] = l->at.line;
        l->error = set_key(&l->c, key, value, &l->at, &l->message);
        return l->error == 0;
}

static void
loader_run(struct loader *l)
{
        int line;

        l->file = fopen(l->at.path, "re");
        if (!l->file) {
                loader_fail(l, -errno, "%s", strerror(errno));
                return;
        }
        line = ini_parse_stream(read_line, l, take_value, l);
        fclose(l->file);
        free(l->text);
        if (line > 0 && (l->error == 0 || (unsigned)line < l->at.line)) {
                free(l->message);
                l->at.line = (unsigned)line;
                loader_fail(l, -EINVAL, "neither [section] nor key = value");
        } else if (line < 0 && l->error == 0)
                loader_fail(l, -ENOMEM, "out of memory");
        if (l->error == 0)
                l->error = check_orders(&l->c, l->at.path, l->lines, &l->message);
}

int
config_load(struct config *c, const char *path, char **ret_message)
{
        struct loader l = {.at = {path, 0}};
        int r = config_build(&l.c, get_copy, c);

        if (r < 0) {
                *ret_message = NULL;
                return r;
        }
        loader_run(&l);
        if (l.error < 0) {
                config_deinit(&l.c);
                *ret_message = l.message;
                return l.error;
        }
        config_deinit(c);
        *c = l.c;
        return 0;
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
                if (keys[i].reload != KEY_RESTART || !value_differs(&keys[i], c, from))
                        continue;
                if (!f && !(f = open_memstream(&list, &size)))
                        return -ENOMEM;
                fprintf(f, "%s%s", ftell(f) > 0 ? ", " : "", keys[i].full_name);
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
        r = config_build(&next, get_copy, c);
        for (size_t i = 0; r == 0 && i < N_KEYS; i++) {
                union value value;

                if (keys[i].reload != KEY_LIVE)
                        continue;
                r = value_copy(&keys[i], from, &value);
                if (r == 0)
                        value_store(&keys[i], &next, &value);
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
                const struct key *key = &keys[i];
                char range[RANGE_TEXT_MAX];

                if (strcmp(section, key->section) != 0)
                        fprintf(f, "\n[%s]\n", key->section);
                section = key->section;
                fputc('\n', f);
                print_comment(f, key->help);
                fprintf(f, "# Allowed: %s. Default: %s. %s\n%s = %s\n", key_range(key, range), key->def,
                        key->reload == KEY_LIVE ? "SIGHUP applies it." : "Needs a restart.", key->name, key->def);
        }
        if (fflush(f) != 0 || ferror(f))
                return errno > 0 ? -errno : -EIO;
        return 0;
}
