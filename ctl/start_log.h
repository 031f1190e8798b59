/* SPDX-License-Identifier: MIT */
/* The log file of the daemons that concctl starts, and what it says about one start: earlier ones wrote to it too. */
#ifndef CONCCTL_START_LOG_H
#define CONCCTL_START_LOG_H

#include "shared/base.h"

#include <stdbool.h>
#include <sys/types.h>

/* Opens it to be added to; one that grew too large is emptied first. *ret_begin is where the coming start begins in it.
 * A descriptor, or -errno. */
int start_log_open(const char *path, off_t *ret_begin);

/* The first error that stands in it from `begin` on (*ret_is_error), or when none does, the last line that is not
 * empty. Malloc'ed and without its newline; NULL when there is neither, or it cannot be read. */
char *start_log_find(const char *path, off_t begin, bool *ret_is_error);

#endif
