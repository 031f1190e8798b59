/* SPDX-License-Identifier: MIT */
#ifndef CONCCTL_COMPARE_COMMAND_H
#define CONCCTL_COMPARE_COMMAND_H

#include "ctl/args.h"

/* The command line that measures the same again, quoted for a shell: as it was typed, without what only says where the
 * result goes (files, --json, --quiet, --explain, --socket, --id, --detach), and with the seed of the result when none
 * was given. Malloc'ed; NULL without memory. Pure. */
char *compare_command(const struct args *args, int64_t seed);

#endif
