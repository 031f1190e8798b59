/* SPDX-License-Identifier: MIT */
/* The method Describe: everything that the daemon knows by name, from the tables that know it. */
#ifndef CONCD_DESCRIBE_H
#define CONCD_DESCRIBE_H

#include "protocol/service.h"

/* Answers a call; `userdata` is not used. */
void describe_handle(void *userdata, struct call *call, json_t *p);

#endif
