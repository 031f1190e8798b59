/* SPDX-License-Identifier: MIT */
/* What concctl says to the person: one line to stderr, beginning with "concctl: ". Results go to stdout (text.h). */
#ifndef CONCCTL_MESSAGE_H
#define CONCCTL_MESSAGE_H

#include "shared/base.h"

/* Everything in UTF-8; written as the locale can show it. Clears the progress bar first, if one stands there. */
void message_print(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Says it and returns `code`, so that a caller can say why it gives up in one line. */
int message_fail(int code, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Called before each message; the progress bar takes itself away here. NULL: nothing to do. */
void message_set_hook(void (*before)(void));

#endif
