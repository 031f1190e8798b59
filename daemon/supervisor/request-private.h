/* SPDX-License-Identifier: MIT */
/* What the requests of all methods are read with; only for request.c, request-race.c and request-compare.c. */
#ifndef CONCD_REQUEST_PRIVATE_H
#define CONCD_REQUEST_PRIVATE_H

#include "supervisor/request.h"

/* Always -EINVAL, or -ENOMEM. Consumes `given` and `allowed`. */
int request_refuse(struct bad_value *bad, const char *field, char *given, char *allowed);

/* Malloc'ed; NULL when out of memory. */
char *request_text(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* "a, b" and "c" make "a, b, c". Consumes `all`; NULL when out of memory. */
char *request_append_name(char *all, const char *name);

/* The names of a table, which ends with NULL. */
char *request_join_names(const char *(*name)(size_t i));

/* Looks `field` up in a table of names; absent leaves *ret. */
int request_parse_name(json_t *p, const char *field, const char *(*name)(size_t i), uint32_t *ret,
                       struct bad_value *bad);

bool request_has(json_t *p, const char *field);

/* An integral number; the IDL check has let nothing else through. */
int64_t request_integer_of(json_t *value);

/* An integer in min..max; absent leaves *ret. */
int request_parse_integer(json_t *p, const char *field, uint64_t min, uint64_t max, uint64_t *ret,
                          struct bad_value *bad);

/* The field `deadline_ns`, in ns; absent leaves *ret. */
int request_parse_deadline(json_t *p, const struct request_limits *limits, uint64_t *ret, struct bad_value *bad);

/* The field `cpus`; absent means all that the daemon has. */
int request_parse_cpus(json_t *p, const struct request_limits *limits, struct variant *v, struct bad_value *bad);

#endif
