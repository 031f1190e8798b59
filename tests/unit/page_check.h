/* SPDX-License-Identifier: MIT */
/* What holds of every page and picture that concctl writes: it is well-formed, and no number is none. */
#ifndef CONCD_TEST_PAGE_CHECK_H
#define CONCD_TEST_PAGE_CHECK_H

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_DEPTH_MAX 32
#define PAGE_NAME_MAX  32

/* How often the part is in the text. */
static inline int
page_count(const char *text, const char *part)
{
        int n = 0;

        for (const char *p = text; (p = strstr(p, part)) != NULL; p += strlen(part))
                n++;
        return n;
}

static inline void
page_assert_entity(const char *p)
{
        static const char *const known[] = {"&lt;", "&gt;", "&amp;", "&quot;", "&#39;"};

        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
                if (strncmp(p, known[i], strlen(known[i])) == 0)
                        return;
        ck_abort_msg("a bare & at: %.30s", p);
}

/* The end of the tag at p, at its '>'. All attributes stand between double quotes. */
static inline const char *
page_tag_end(const char *p)
{
        const char *end = p + 1;

        for (bool in_quotes = false; *end != '\0' && (in_quotes || *end != '>'); end++) {
                in_quotes ^= *end == '"';
                ck_assert_msg(*end != '<', "a bare < at: %.30s", end);
                if (*end == '&')
                        page_assert_entity(end);
        }
        ck_assert_msg(*end == '>', "no end: %.30s", p);
        return end;
}

/* Every element is closed by its own name, and there is no bare & or <. What <style> holds must not look like
 * markup. */
static inline void
page_assert_well_formed(const char *text)
{
        char open[PAGE_DEPTH_MAX][PAGE_NAME_MAX];
        int depth = 0;

        for (const char *p = text; *p != '\0'; p++) {
                ck_assert_msg((unsigned char)*p >= ' ' || *p == '\n', "a control character at: %.30s", p);
                if (*p == '&')
                        page_assert_entity(p);
                if (*p != '<')
                        continue;
                const char *name = p + 1 + (p[1] == '/'), *end = page_tag_end(p);
                size_t len = strcspn(name, " />\n");

                ck_assert_uint_lt(len, PAGE_NAME_MAX);
                if (p[1] == '/') {
                        ck_assert_msg(depth > 0 && strncmp(open[depth - 1], name, len) == 0 &&
                                              open[depth - 1][len] == '\0',
                                      "closed, but not open: %.30s", p);
                        depth--;
                } else if (end[-1] != '/' && p[1] != '!') {
                        ck_assert_int_lt(depth, PAGE_DEPTH_MAX);
                        memcpy(open[depth], name, len);
                        open[depth++][len] = '\0';
                }
                p = end;
        }
        ck_assert_int_eq(depth, 0);
}

/* Whatever printf() makes of what is no number. */
static inline void
page_assert_finite(const char *text)
{
        static const char *const bad[] = {"nan", "-nan", "inf", "-inf"};

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                const char *p = text;

                while ((p = strstr(p, bad[i])) != NULL) {
                        /* As a word of its own, so that "finance" is none. */
                        bool is_word = strchr(" \">MLHVhv …(", p[-1]) && strchr(" \"<,.%×hvHVLMz…)", p[strlen(bad[i])]);

                        ck_assert_msg(!is_word, "not a number: %.60s", p - 20);
                        p += strlen(bad[i]);
                }
        }
}

#endif
