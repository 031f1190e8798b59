/* SPDX-License-Identifier: MIT */
/*
 * Starting the caller's private daemon, when none answers.
 *
 * Several concctl may do so at once. Each starts a daemon; the daemons settle by their lock who stays, and the others
 * exit with AUTOSTART_ALREADY_RUNNING. Whoever started one that lost just goes on trying to connect. When the lock
 * was held by a daemon that is on its way out, nobody comes to listen: then the start is tried again.
 */
#ifndef CONCCTL_AUTOSTART_H
#define CONCCTL_AUTOSTART_H

#include "shared/base.h"

/* The daemon's exit code for "another one holds the lock". */
#define AUTOSTART_ALREADY_RUNNING 75

/* Connects to the private daemon at `socket`, whose folder (checked by place_private_dir) is `dir`, starting one if
 * need be. Takes at most 5 s. 0, or an exit code, having said what is wrong. */
int autostart_connect(const char *dir, const char *socket, int *ret_fd);

#endif
