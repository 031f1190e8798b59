/* SPDX-License-Identifier: MIT */
#include "ctl/message.h"

#include "ctl/text.h"

#include <stdarg.h>

static void (*before_message)(void);

void
message_set_hook(void (*before)(void))
{
        before_message = before;
}

static void __attribute__((format(printf, 1, 0))) print_line(const char *fmt, va_list ap)
{
        AUTO_FREE char *text = NULL;

        if (before_message)
                before_message();
        if (vasprintf(&text, fmt, ap) < 0)
                text = NULL;
        text_printf(stderr, "concctl: %s\n", text ? text : "out of memory");
}

void
message_print(const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        print_line(fmt, ap);
        va_end(ap);
}

int
message_fail(int code, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        print_line(fmt, ap);
        va_end(ap);
        return code;
}
