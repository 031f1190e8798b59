/* SPDX-License-Identifier: MIT */
/* The result of a race, as people read it. Pure but for the stream that it is written to. */
#ifndef CONCCTL_RACE_RESULT_H
#define CONCCTL_RACE_RESULT_H

#include "shared/base.h"

#include <stdbool.h>

/* Writes a RaceResult: title, outcomes, observation, what happened at the guard, actors, rate, settings; when it did
 * not end as it should, that comes first. `scenario`: its Entry as Describe has it, for the hint at the end, or NULL.
 */
void race_result_print(FILE *f, const json_t *race, const json_t *scenario);

/* The same in one line: title and observation. */
void race_result_print_brief(FILE *f, const json_t *race);

/* "counter ±1000", "bank-transfer(accounts=4)": the scenario with its parameters. UTF-8; malloc'ed, NULL without
 * memory. */
char *race_result_scenario(const json_t *race);

/* "semaphore, 2 permits", "no guard". Returns buf. */
char *race_result_guard(const json_t *race, char *buf, size_t size);

/* "process" becomes "processes". Returns buf. */
char *race_result_actors(const json_t *race, char *buf, size_t size);

#endif
