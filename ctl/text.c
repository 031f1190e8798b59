/* SPDX-License-Identifier: MIT */
#include "ctl/text.h"

#include "shared/controls.h"
#include "shared/quantity.h"

#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <string.h>

static bool is_utf8;

static const struct {
        const char *utf8, *ascii;
} ascii_forms[] = {
        {"×", "x"}, {"·", "-"}, {"…", "..."}, {"µ", "u"}, {"μ", "u"},
        {"–", "-"}, {"—", "-"}, {"±", "+-"},  {"█", "#"}, {"░", "."},
};

void
text_init(void)
{
        setlocale(LC_ALL, "");
        setlocale(LC_NUMERIC, "C");
        is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

bool
text_is_utf8(void)
{
        return is_utf8;
}

static bool
is_continuation(char c)
{
        return ((unsigned char)c & 0xc0) == 0x80;
}

char *
text_to_ascii(const char *utf8)
{
        /* No form is longer than its sign. */
        char *copy = malloc(strlen(utf8) + 1), *to = copy;

        if (!copy)
                return NULL;
        for (const char *p = utf8; *p != '\0';) {
                const char *form = "?";
                size_t len = 1;

                if ((unsigned char)*p < 0x80) {
                        *to++ = *p++;
                        continue;
                }
                while (is_continuation(p[len]))
                        len++;
                for (size_t i = 0; i < ARRAY_SIZE(ascii_forms); i++)
                        if (strncmp(p, ascii_forms[i].utf8, strlen(ascii_forms[i].utf8)) == 0)
                                form = ascii_forms[i].ascii;
                to = stpcpy(to, form);
                p += len;
        }
        *to = '\0';
        return copy;
}

char *
text_for_locale(const char *utf8)
{
        return is_utf8 ? strdup(utf8) : text_to_ascii(utf8);
}

size_t
text_columns(const char *utf8)
{
        size_t n = 0;

        for (; *utf8 != '\0'; utf8++)
                n += !is_continuation(*utf8);
        return n;
}

/* Line feeds are ours. */
static void
replace_controls(char *text)
{
        for (size_t len; *text != '\0'; text += len + (text[len] == '\n')) {
                len = strcspn(text, "\n");
                controls_replace(text, len, '?');
        }
}

void
text_printf(FILE *f, const char *fmt, ...)
{
        AUTO_FREE char *text = NULL, *shown = NULL;
        va_list ap;

        va_start(ap, fmt);
        if (vasprintf(&text, fmt, ap) < 0)
                text = NULL;
        va_end(ap);
        if (text) {
                replace_controls(text);
                shown = text_for_locale(text);
        }
        fputs(shown ? shown : "out of memory\n", f);
}

void
text_put_raw(FILE *f, const char *bytes, size_t len)
{
        fwrite(bytes, 1, len, f);
        fputc('\n', f);
}

int
text_finish(void)
{
        bool had_error = ferror(stdout);

        errno = 0;
        if (fclose(stdout) != 0 || had_error)
                return errno != 0 ? -errno : -EIO;
        return 0;
}

char *
text_count(char *buf, size_t size, int64_t n)
{
        if (n >= 10000)
                return quantity_format_grouped(buf, size, (uint64_t)n);
        snprintf(buf, size, "%" PRId64, n);
        return buf;
}

char *
text_plural(char *buf, size_t size, int64_t n, const char *one)
{
        char count[40];

        snprintf(buf, size, "%s %s%s", text_count(count, sizeof(count), n), one, n == 1 ? "" : "s");
        return buf;
}
