/* SPDX-License-Identifier: MIT */
/* Ending daemons, and replacing a private one of another version. */
#ifndef CONCCTL_UPGRADE_H
#define CONCCTL_UPGRADE_H

#include "ctl/client.h"

/* Asks the private daemon for its version. When it is another than concctl's, and no job runs or waits there, the
 * daemon is stopped and one of this version started in its place; else that is only said. 0, or an exit code, having
 * said what is wrong. */
int upgrade_private(struct client *client);

/* Waits until the process that `pid` was when a daemon said so has gone: at most timeout_ms. 0, or -ETIMEDOUT. */
int upgrade_wait_gone(int64_t pid, int timeout_ms);

#endif
