/* SPDX-License-Identifier: MIT */
/* What a worker's process may never do, whatever it executes. */
#ifndef CONCD_LIMITS_H
#define CONCD_LIMITS_H

#include "shared/base.h"

#include <stdbool.h>

/* Takes the means to gain privileges from the calling process, and sets its resource limits; for ever, and for all its
 * children. The same for process workers and the thread host, so that neither pays what the other does not. To be
 * called first after the fork, with one thread. core_files: leave the limit of core files as it is. 0 or -errno,
 * logged. */
int limits_apply(bool core_files);

#endif
