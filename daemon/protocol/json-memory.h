/* SPDX-License-Identifier: MIT */
/*
 * JSON when memory is short. One thread only.
 *
 * Building: a value that could not be allocated is only missing from the object that it was put into. So failures are
 * counted where they happen, and whoever has built something asks.
 *
 * Reading: jansson 2.14 loses characters, or ends the process by an assertion, when an allocation fails within a
 * string. So while something is read there is a reserve; whoever has read something asks whether it was touched, and
 * if so throws away what he has read.
 */
#ifndef CONCD_JSON_MEMORY_H
#define CONCD_JSON_MEMORY_H

#include <stdbool.h>

/* From now on. Before any JSON is made; replaces jansson's allocation functions. 0 or -ENOMEM. */
int json_memory_watch(void);

/* Has an allocation of jansson's failed since this was asked last? */
bool json_memory_failed(void);

/* Something is being read. The second returns whether memory was short: then all that was read must be freed before the
 * next time. */
void json_memory_begin_reading(void);
bool json_memory_end_reading(void);

#endif
