/* SPDX-License-Identifier: MIT */
/* A comparison as one page of HTML, for people who were not there. Pure but for the stream. */
#ifndef CONCCTL_REPORT_H
#define CONCCTL_REPORT_H

#include "shared/base.h"

/* Writes a CompareResult as one HTML 5 file that needs nothing else: no script, no network; for light and dark screens,
 * narrow and wide ones, and paper. It is well-formed XML, too. What was not measured is left out or said to be missing.
 * 0 or -ENOMEM; errors of the stream stay in its state. */
int report_write(FILE *f, const json_t *compare);

#endif
