/* SPDX-License-Identifier: MIT */
/*
 * Did the building of some JSON run out of memory? A value that could not be allocated is only missing from the object
 * that it was put into. So the failures are counted where they happen, and whoever has built something asks.
 */
#ifndef CONCD_JSON_MEMORY_H
#define CONCD_JSON_MEMORY_H

#include <stdbool.h>

/* Counts from now on. Before any JSON is made; replaces jansson's allocation functions. */
void json_memory_watch(void);

/* Has an allocation of jansson's failed since this was asked last? One thread only. */
bool json_memory_failed(void);

#endif
