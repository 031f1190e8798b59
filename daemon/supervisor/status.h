/* SPDX-License-Identifier: MIT */
/* What Status and Jobs say. */
#ifndef CONCD_STATUS_H
#define CONCD_STATUS_H

#include "shared/base.h"

struct supervisor;

/* The reply of Status: reads /proc for every child, some ms. NULL when out of memory. */
json_t *status_describe(struct supervisor *s);

/* All jobs: the running one, those that wait in the order of execution, the ended ones, youngest first. */
json_t *status_jobs(struct supervisor *s);

#endif
