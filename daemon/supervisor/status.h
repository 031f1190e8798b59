/* SPDX-License-Identifier: MIT */
/* What Status and Jobs say. */
#ifndef CONCD_STATUS_H
#define CONCD_STATUS_H

#include "segment/layout.h"
#include "shared/base.h"

#include <stdbool.h>

struct supervisor;

/* What the daemon and its children take of memory, as last looked at. All 0 at first. */
struct status_memory {
        bool known;
        uint64_t bytes;
        uint64_t tried_ns; /* when it was last looked at, with success or without (CLOCK_MONOTONIC); 0: never */
};

/* The reply of Status, with the memory as status_memory() tells it. NULL when out of memory. */
json_t *status_describe(struct supervisor *s);

/* All jobs: the running one, those that wait in the order of execution, the ended ones, youngest first. */
json_t *status_jobs(struct supervisor *s);

/* The names of the protocol for what a worker is and does. */
const char *status_kind_name(enum worker_kind kind);
const char *status_state_name(enum slot_state state);

/* Bytes that the daemon and its children take of memory, what they share counted once (PSS). Reading it walks the page
 * tables of every child under the lock that its page faults need, so it is done at most every 10 s, then for some ms,
 * and never while a job runs, which gets the figure from before. False when the kernel did not tell, or nobody asked
 * before the job. */
bool status_memory(struct supervisor *s, uint64_t *ret);

#endif
