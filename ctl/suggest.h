/* SPDX-License-Identifier: MIT */
/* "Did you mean …?" for a misspelt word. Pure. */
#ifndef CONCCTL_SUGGEST_H
#define CONCCTL_SUGGEST_H

#include <stddef.h>

/* Longer words are never offered; it bounds the work. */
#define SUGGEST_WORD_MAX 63

struct suggestion {
        const char *given;
        unsigned distance; /* of the best word so far; no better than the limit: there is none */
        char best[SUGGEST_WORD_MAX + 1];
};

/* How many letters must be inserted, deleted, replaced or swapped with their neighbour to make one word of
 * the other. Words longer than SUGGEST_WORD_MAX are SUGGEST_WORD_MAX + 1 apart. */
unsigned suggest_distance(const char *a, size_t a_len, const char *b, size_t b_len);

/* `given` must outlive the suggestion. Offer every word that would have been right; then best is the closest
 * one that is close enough to be meant. */
void suggestion_init(struct suggestion *s, const char *given);
void suggestion_offer(struct suggestion *s, const char *word, size_t len);
void suggestion_offer_list(struct suggestion *s, const char *comma_list);

/* NULL when no word is close, or when a word offered is the given one itself. */
const char *suggestion_get(const struct suggestion *s);

/* One line that names what is wrong: `--mode: given "proces", allowed process, thread; did you mean "process"?`.
 * The suggestion is made when `allowed` is a list of words with one that is close. Malloc'ed; NULL without memory. */
char *suggest_bad_value(const char *what, const char *given, const char *allowed);

#endif
