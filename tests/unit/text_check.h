/* SPDX-License-Identifier: MIT */
/* What a text has to say, and what it must not. */
#ifndef CONCD_TEST_TEXT_CHECK_H
#define CONCD_TEST_TEXT_CHECK_H

#include <check.h>
#include <string.h>

static inline void
assert_says(const char *text, const char *part)
{
        ck_assert_msg(strstr(text, part) != NULL, "\"%s\" is not in:\n%s", part, text);
}

static inline void
assert_silent(const char *text, const char *part)
{
        ck_assert_msg(strstr(text, part) == NULL, "\"%s\" is in:\n%s", part, text);
}

static inline void
assert_begins(const char *text, const char *part)
{
        ck_assert_msg(strncmp(text, part, strlen(part)) == 0, "this does not begin with \"%s\":\n%s", part, text);
}

#endif
