/* SPDX-License-Identifier: MIT */
/* SIGINT and SIGTERM while a job is followed: the first is told to the loop, the second ends the program at once. */
#ifndef CONCCTL_INTERRUPT_H
#define CONCCTL_INTERRUPT_H

/* Installs the handlers. From now on the first signal makes *ret_fd readable, and it stays so. May be called again for
 * the next job: the descriptor is the same. 0 or -errno. */
int interrupt_catch(int *ret_fd);

#endif
