/* SPDX-License-Identifier: MIT */
#include "ctl/markup.h"

#include "shared/controls.h"

#include <stdarg.h>
#include <string.h>

static const char *
escape_of(char c)
{
        switch (c) {
        case '<':
                return "&lt;";
        case '>':
                return "&gt;";
        case '&':
                return "&amp;";
        case '"':
                return "&quot;";
        case '\'':
                return "&#39;";
        case '\t':
        case '\n':
        case '\r':
                return " ";
        default:
                return NULL;
        }
}

void
markup_put(FILE *f, const char *text)
{
        size_t length;

        for (size_t len = strlen(text); len > 0; text += length, len -= length) {
                const char *escape = escape_of(*text);
                bool is_control = controls_at(text, len, &length) > 0;

                if (escape)
                        fputs(escape, f);
                else if (!is_control && strncmp(text, "\xef\xbf\xbe", 3) != 0 &&
                         strncmp(text, "\xef\xbf\xbf", 3) != 0) /* U+FFFE, U+FFFF */
                        fwrite(text, 1, length, f);
        }
}

void
markup_vprintf(FILE *f, const char *fmt, va_list ap)
{
        AUTO_FREE char *text = NULL;

        if (vasprintf(&text, fmt, ap) < 0)
                text = NULL;
        markup_put(f, text ? text : "");
}

void
markup_printf(FILE *f, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        markup_vprintf(f, fmt, ap);
        va_end(ap);
}
