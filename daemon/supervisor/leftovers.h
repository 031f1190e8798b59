/* SPDX-License-Identifier: MIT */
/* What a daemon leaves that was killed and will have no successor. */
#ifndef CONCD_LEFTOVERS_H
#define CONCD_LEFTOVERS_H

#include "config/config.h"

/* Positive results. */
enum leftovers_error {
        LEFTOVERS_E_IN_USE = 1, /* a daemon or its children live, or somebody else has the name: nothing was touched */
};

/* Removes the segment, the semaphores and the dead sockets of this configuration's instance. It takes over what is left
 * as a daemon does, with both locks, so nothing of a living one is touched. Blocks up to 5 s for children that end.
 * 0, a positive result, or -errno, logged. */
int leftovers_remove(const struct config *config);

#endif
