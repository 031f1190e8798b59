/* SPDX-License-Identifier: MIT */
/* The result of a run, as people read it. Pure but for the stream that it is written to. */
#ifndef CONCCTL_RESULT_H
#define CONCCTL_RESULT_H

#include "shared/base.h"

#include <stdbool.h>

/* Writes a RunResult: title, wall time, time per task, results, workers, failures; when it did not end as it should,
 * that comes first. With `brief` it is one line. */
void result_print(FILE *f, const json_t *result, bool brief);

#endif
