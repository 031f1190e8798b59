/* SPDX-License-Identifier: MIT */
#include "ctl/suggest.h"

#include "shared/base.h"

#include <string.h>

unsigned
suggest_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
        unsigned char rows[3][SUGGEST_WORD_MAX + 2];

        if (a_len > SUGGEST_WORD_MAX || b_len > SUGGEST_WORD_MAX)
                return SUGGEST_WORD_MAX + 1;
        for (size_t j = 0; j <= b_len; j++)
                rows[0][j] = (unsigned char)j;
        for (size_t i = 1; i <= a_len; i++) {
                unsigned char *row = rows[i % 3];
                const unsigned char *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];

                row[0] = (unsigned char)i;
                for (size_t j = 1; j <= b_len; j++) {
                        unsigned best = above[j - 1] + (a[i - 1] != b[j - 1]);

                        best = MIN(best, above[j] + 1u);
                        best = MIN(best, row[j - 1] + 1u);
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                best = MIN(best, above2[j - 2] + 1u);
                        row[j] = (unsigned char)best;
                }
        }
        return rows[a_len % 3][b_len];
}

/* One slip in a short word, more in a long one. */
static unsigned
distance_limit(size_t len)
{
        return len <= 4 ? 1 : len <= 8 ? 2 : 3;
}

void
suggestion_init(struct suggestion *s, const char *given)
{
        s->given = given;
        s->distance = distance_limit(strlen(given)) + 1;
        s->best[0] = '\0';
}

void
suggestion_offer(struct suggestion *s, const char *word, size_t len)
{
        size_t given_len = strlen(s->given);
        unsigned distance = suggest_distance(s->given, given_len, word, len);

        if (len > SUGGEST_WORD_MAX)
                return;
        /* An abbreviation is meant, however much is left out; but a real slip is the better guess. */
        if (given_len >= 2 && given_len < len && strncmp(s->given, word, given_len) == 0)
                distance = MIN(distance, distance_limit(given_len));
        if (distance >= s->distance || distance >= MAX(given_len, 1u))
                return;
        s->distance = distance;
        memcpy(s->best, word, len);
        s->best[len] = '\0';
}

void
suggestion_offer_list(struct suggestion *s, const char *comma_list)
{
        for (const char *p = comma_list; *p != '\0';) {
                size_t len;

                p += strspn(p, ", ");
                len = strcspn(p, ",");
                while (len > 0 && p[len - 1] == ' ')
                        len--;
                if (len > 0 && memchr(p, ' ', len) == NULL)
                        suggestion_offer(s, p, len);
                p += strcspn(p, ",");
        }
}

const char *
suggestion_get(const struct suggestion *s)
{
        return s->best[0] == '\0' || s->distance == 0 ? NULL : s->best;
}

char *
suggest_bad_value(const char *what, const char *given, const char *allowed)
{
        struct suggestion s;
        const char *word;
        char *line;
        int n;

        suggestion_init(&s, given);
        suggestion_offer_list(&s, allowed);
        word = suggestion_get(&s);
        if (word)
                n = asprintf(&line, "%s: given \"%s\", allowed %s; did you mean \"%s\"?", what, given, allowed, word);
        else
                n = asprintf(&line, "%s: given \"%s\", allowed %s", what, given, allowed);
        return n < 0 ? NULL : line;
}
