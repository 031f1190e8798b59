/* SPDX-License-Identifier: MIT */
/* What a Varlink service has counted since it was made: connections, calls by method, errors by name. All counters only
 * rise. One thread. */
#ifndef CONCD_SERVICE_COUNTS_H
#define CONCD_SERVICE_COUNTS_H

#include "protocol/idl.h"
#include "shared/base.h"

/* `name` is a method or an error of the service's own interface, or with its interface in front of the standard one. */
struct service_count {
        char *name; /* owned */
        uint64_t n;
};

struct service_counts {
        uint64_t accepted, refused;   /* connections; refused are those that a limit sent away */
        struct service_count *calls;  /* calls of methods that exist, whatever came of them */
        struct service_count *errors; /* calls that ended with this error */
        size_t n_calls, n_errors;
};

/* One counter for each method and error that the two declare. 0 or -ENOMEM; service_counts_deinit() in every case. */
int service_counts_init(struct service_counts *c, const struct idl *own, const struct idl *standard);
void service_counts_deinit(struct service_counts *c);

/* `name` as in struct service_count; one that is not declared is not counted. */
void service_counts_call(struct service_counts *c, const char *name);
void service_counts_error(struct service_counts *c, const char *name);

#endif
