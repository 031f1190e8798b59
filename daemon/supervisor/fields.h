/* SPDX-License-Identifier: MIT */
/*
 * Building the objects of the protocol, one field a line. When memory is out a field is missing, which the service's
 * check against the IDL then reports.
 */
#ifndef CONCD_FIELDS_H
#define CONCD_FIELDS_H

#include "shared/base.h"

#include <stdbool.h>

static inline void
put_integer(json_t *object, const char *key, uint64_t value)
{
        json_object_set_new(object, key, json_integer((json_int_t)value));
}

/* 0 is null. */
static inline void
put_integer_or_null(json_t *object, const char *key, uint64_t value)
{
        json_object_set_new(object, key, value ? json_integer((json_int_t)value) : json_null());
}

static inline void
put_real(json_t *object, const char *key, double value)
{
        json_object_set_new(object, key, json_real(value));
}

/* Nanoseconds as seconds. */
static inline void
put_seconds(json_t *object, const char *key, uint64_t ns)
{
        put_real(object, key, (double)ns / (double)NS_PER_S);
}

static inline void
put_bool(json_t *object, const char *key, bool value)
{
        json_object_set_new(object, key, json_boolean(value));
}

/* NULL is null. */
static inline void
put_string(json_t *object, const char *key, const char *value)
{
        json_object_set_new(object, key, value ? json_string(value) : json_null());
}

/* Consumes the value. */
static inline void
put_json(json_t *object, const char *key, json_t *value)
{
        json_object_set_new(object, key, value);
}

#endif
