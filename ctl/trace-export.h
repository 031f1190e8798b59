/* SPDX-License-Identifier: MIT */
/* The spans of a comparison as a trace that others can open. Pure but for the stream. */
#ifndef CONCCTL_TRACE_EXPORT_H
#define CONCCTL_TRACE_EXPORT_H

#include "shared/base.h"

/* Spans of all variants together; what is more is left out, the latest of each worker first. */
#define TRACE_SPANS_MAX 100000

/* Writes a CompareResult as one object in Chrome's trace event format, for Perfetto's UI: a process for each
 * variant, in it a thread for each worker, and complete events (ph "X") that are properly nested. ts and dur are
 * microseconds, exact to the nanosecond. otherData tells where it comes from and how many spans are missing. 0 or
 * -ENOMEM; errors of the stream stay in its state. */
int trace_export_write(FILE *f, const json_t *compare);

#endif
