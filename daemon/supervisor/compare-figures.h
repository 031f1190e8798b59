/* SPDX-License-Identifier: MIT */
/* From the rounds of a comparison to CompareResult of the IDL. */
#ifndef CONCD_COMPARE_FIGURES_H
#define CONCD_COMPARE_FIGURES_H

#include "supervisor/compare-run.h"

/* NULL when out of memory. Takes some milliseconds of CPU: two
 * bootstraps a variant. */
json_t *compare_figures_to_result(const struct segment *s, const struct plan *plan, const struct comparison *c,
                                  uint64_t wall_ns, const struct result_context *context);

#endif
