/* SPDX-License-Identifier: MIT */
/* One scenario under every guard in every mode that can race, one job after the other, as one table. */
#ifndef CONCCTL_RACE_MATRIX_H
#define CONCCTL_RACE_MATRIX_H

#include "ctl/args.h"
#include "ctl/client.h"

/* Races as `args` says and prints the table, or with --json an array of the RaceResults. Ctrl-C cancels the present
 * race and prints what there is. Returns the exit code: that of the worst race. */
int race_matrix(struct client *client, const struct args *args);

/* Writes the table of an array of cells {guard, mode, race, why}: `race` is a RaceResult, or null when the daemon
 * refused it, and then `why` says why. A guard that was refused in every mode has no row. 0 or -errno. */
int race_matrix_print(FILE *f, const json_t *cells);

#endif
