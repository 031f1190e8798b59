/* SPDX-License-Identifier: MIT */
/* The names that only Race knows, and which of all names go together. */
#ifndef CONCD_REQUEST_RACE_H
#define CONCD_REQUEST_RACE_H

#include "concd/workload.h"
#include "scenarios/scenario.h"

#include <stdbool.h>

struct race_choice {
        const char *name;
        const char *summary;
};

extern const struct race_choice race_barriers[RACE_BARRIERS];
extern const struct race_choice race_holds[RACE_HOLDS];

/* How a scenario's trials are started when nobody says how. */
enum race_barrier race_barrier_default(const struct scenario *s);

/* Can the scenario be raced under this guard at all, and in this mode (index into modes[])? */
bool race_guard_serves(const struct scenario *s, const struct guard *g);
bool race_guard_serves_in(const struct scenario *s, const struct guard *g, uint32_t mode);

/* A scenario's parameter in the form that workload_param_parse() and its like take. */
struct concd_param race_param(const struct scenario_param *p);

#endif
