/* SPDX-License-Identifier: MIT */
/*
 * The variants of a comparison, from the options --modes, --vary and --workers: the cross product of all lists, in
 * the order in which they were given, modes first and --workers last. Values are read by the same rows of option
 * tables as the options of one value. A variant's name is made of what differs: the plain word for mode and
 * workload, KEY=VALUE for the rest. Pure.
 */
#ifndef CONCCTL_VARY_H
#define CONCCTL_VARY_H

#include "ctl/args.h"

/* As the daemon has it. */
#define VARY_VARIANTS_MAX 64

/* The helpers' options, to be named in the table of the command: their texts are taken over as fields of these
 * names. */
#define VARY_FIELD       "vary"
#define VARY_FIELD_MODES "modes"

/* Makes the parameters of Compare out of what args_parse() made of the command line: replaces "vary", "modes" and
 * a list of workers by "variants", and the text of "precision" by a number; checks that there is something to
 * compare. 0, or the exit code with *ret_error a malloc'ed line that names the option, what was given and what is
 * allowed. */
int vary_complete(const struct args *args, char **ret_error);

/* "1%", "0.5 %" or "0.01": a share from 0.1 % to 50 %. 0, or -EINVAL. */
int vary_parse_precision(const char *text, double *ret);

#endif
