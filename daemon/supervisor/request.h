/* SPDX-License-Identifier: MIT */
/* From the parameters of a call to a checked variant or plan: of Run in request.c, of Race in request-race.c, of
 * Compare in request-compare.c. */
#ifndef CONCD_REQUEST_H
#define CONCD_REQUEST_H

#include "supervisor/plan.h"

/* A value that cannot be accepted; texts are malloc'ed. */
struct bad_value {
        char *field, *given, *allowed;
        bool is_denial; /* of who administers it would be accepted */
};

void bad_value_deinit(struct bad_value *bad);

/* What bounds a request. */
struct request_limits {
        uint32_t max_workers, ledger_chunks;
        uint64_t max_at_once;
        uint64_t deadline_ns;     /* for jobs that name none */
        uint64_t deadline_max_ns; /* the longest that a job may name; 0 is no limit but that of the type */
        cpu_set_t cpus;           /* where the daemon may run */
        double quota_cpus;        /* 0 is none */
        bool libc_native;         /* for jobs that do not say */
        uint64_t seed;            /* of a comparison that names none */
};

/* Checks `parameters` (which fit the IDL) and fills in the defaults. 0; -EINVAL with *bad set; or -ENOMEM. */
int request_parse_run(json_t *parameters, const struct request_limits *limits, struct variant *ret,
                      uint64_t *ret_deadline_ns, struct bad_value *bad);

/* The same for a call of Race. */
int request_parse_race(json_t *parameters, const struct request_limits *limits, struct variant *ret,
                       uint64_t *ret_deadline_ns, struct bad_value *bad);

/* The whole plan of a call of Compare; *ret is the caller's. */
int request_parse_compare(json_t *parameters, const struct request_limits *limits, struct plan *ret,
                          struct bad_value *bad);

/* The parameters of Run or Race that make the same variant again on any later day: what was left to the daemon's choice
 * is filled in. A new object, NULL when out of memory. */
json_t *request_of_variant(json_t *parameters, const struct variant *v, uint64_t deadline_ns);

/* The same of a comparison. */
json_t *request_of_comparison(json_t *parameters, const struct plan *plan);

/* What a field of Run, Race or Compare allows, for values that are not even of its type; NULL where the type says it
 * all. */
const char *request_allowed(const char *field);

/* 32 lower-case hexadecimal digits? */
bool request_id_is_valid(const char *id);

#endif
