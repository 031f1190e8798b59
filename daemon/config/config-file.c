/* SPDX-License-Identifier: MIT */
/*
 * Loading a file; the only user of inih.
 *
 * inih calls us back for each key, in fixed buffers of its own: a longer line it would cut in silence, an indented one
 * it would take for the continuation of the value above, an empty section it would not mention. So
 * it reads through read_line(), which refuses the first, removes the indent, and looks at section lines itself; it
 * also counts, so that a value's error has a line number. Values go into a copy of the configuration, which takes
 * the place of the caller's when all of the file was right.
 */
#include "config/config-key.h"
#include "config/config-private.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <string.h>

/* Where a value comes from: "path:line: ", or "path: " without a line. */
struct origin {
        const char *path;
        unsigned line;
};

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

/* Puts the origin before the text, which stays the caller's and is NULL when memory is out. */
static void
loader_fail_text(struct loader *l, int error, const char *text)
{
        char *message;
        int r;

        l->error = error;
        l->message = NULL;
        if (!text)
                return;
        if (l->at.line == 0)
                r = asprintf(&message, "%s: %s", l->at.path, text);
        else
                r = asprintf(&message, "%s:%u: %s", l->at.path, l->at.line, text);
        if (r >= 0)
                l->message = config_one_line(message);
}

static void loader_fail(struct loader *l, int error, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void
loader_fail(struct loader *l, int error, const char *fmt, ...)
{
        AUTO_FREE char *text = NULL;
        va_list ap;

        va_start(ap, fmt);
        int r = vasprintf(&text, fmt, ap);
        va_end(ap);
        if (r < 0)
                text = NULL;
        loader_fail_text(l, error, text);
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
        if (config_section_exists(line + 1, (size_t)(end - line - 1)))
                return;

        AUTO_FREE char *section = strndup(line + 1, (size_t)(end - line - 1));

        if (!section)
                loader_fail(l, -ENOMEM, "out of memory");
        else
                loader_fail(l, -EINVAL, "unknown section [%s]; the nearest is [%s]", section,
                            config_section_nearest(section));
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
        AUTO_FREE char *full_name = NULL, *message = NULL;
        const struct config_key *key;
        int r;

        if (*section == '\0') {
                loader_fail(l, -EINVAL, "%s stands before the first [section]; the nearest key is %s", name,
                            config_key_nearest(name));
                return 0;
        }
        if (asprintf(&full_name, "%s.%s", section, name) < 0) {
                full_name = NULL;
                loader_fail(l, -ENOMEM, "out of memory");
                return 0;
        }
        key = config_key_find(full_name);
        if (!key) {
                loader_fail(l, -EINVAL, "unknown key %s; the nearest is %s", full_name, config_key_nearest(full_name));
                return 0;
        }
        if (l->lines[key - config_keys] > 0) {
                loader_fail(l, -EINVAL, "%s is given twice, first in line %u", full_name, l->lines[key - config_keys]);
                return 0;
        }
        l->lines[key - config_keys] = l->at.line;
        r = config_set_key(&l->c, key, value, &message);
        if (r < 0)
                loader_fail_text(l, r, message);
        return r == 0;
}

/* Keys that limit each other. An error's line is the lesser key's, or the greater's when only that was set. */
static void
check_orders(struct loader *l)
{
        const struct config_key *lesser, *greater;
        AUTO_FREE char *message = NULL;
        int r = config_check_orders(&l->c, &lesser, &greater, &message);

        if (r == 0)
                return;
        l->at.line = l->lines[lesser - config_keys];
        if (l->at.line == 0)
                l->at.line = l->lines[greater - config_keys];
        loader_fail_text(l, r, message);
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
                check_orders(l);
}

int
config_load(struct config *c, const char *path, char **ret_message)
{
        struct loader l = {.at = {path, 0}};
        int r = config_copy(&l.c, c);

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
