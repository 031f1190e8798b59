/* SPDX-License-Identifier: MIT */
/* What a race yielded, read from its memory, and its form in the protocol. */
#ifndef CONCD_RACE_FIGURES_H
#define CONCD_RACE_FIGURES_H

#include "segment/segment.h"
#include "supervisor/figures.h"

#include <stdbool.h>

#define RACE_SPANS_MAX 4000

/* The counts as they stand; all of one instant, also while the race goes on. */
void race_figures_tally(const struct race *race, struct race_tally *ret);

/* Trials of them that came to a forbidden or an unknown outcome. */
uint64_t race_figures_failed(const struct race *race, const struct race_tally *tally);

/* Why these counts fail their race, in words, malloc'ed; NULL when they do not. */
char *race_figures_fault(const struct race *race, const struct race_tally *tally);

/* RaceResult of the IDL. Nobody may be on a seat any more; `f` is what figures_collect() made of the seats. NULL when
 * out of memory. */
json_t *race_figures_to_result(const struct segment *s, const struct figures *f, const struct variant *v,
                               const struct result_context *context);

#endif
