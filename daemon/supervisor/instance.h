/* SPDX-License-Identifier: MIT */
/*
 * One daemon per instance: its two locks and its socket.
 *
 * Lock A (<dir>/<instance>.lock, F_SETLK) says which supervisor is the one. It is opened once and never again, because
 * closing any descriptor of the file would drop it. Lock B (<dir>/<instance>.herd, an OFD lock) is inherited by all
 * children: it is free when the last of an old herd is gone. Nothing of an old daemon is touched without both.
 */
#ifndef CONCD_INSTANCE_H
#define CONCD_INSTANCE_H

#include "shared/base.h"

#include <stdbool.h>
#include <sys/types.h>

/* The control socket's name among the service manager's descriptors, as the conventions of Varlink have it. */
#define INSTANCE_FD_NAME "varlink"

struct instance {
        uid_t uid;
        char name[36];
        char *socket; /* path; owned */
        int lock, herd;
        int listener;   /* handed over by whoever takes it: set to -1 */
        bool activated; /* the listener came from the service manager, who owns its path */
        bool bound;     /* the socket file is ours, to be removed at the end */
};

/* Positive results. */
enum instance_error {
        INSTANCE_OK = 0,
        INSTANCE_E_RUNNING, /* another daemon has lock A; said so in the log */
        INSTANCE_E_HERD,    /* children of an old daemon do not end */
};

/* Takes both locks beside `socket`. Blocks up to 5 s for an old herd. 0, a positive result, or -errno, logged.
 * instance_deinit() in every case. */
int instance_init(struct instance *i, const char *name, const char *socket);

/* Takes the service manager's socket (the only one it passed, or the one named INSTANCE_FD_NAME; others are closed), or
 * binds its own: a socket on which nobody listens is a dead daemon's and is replaced, anything else is an error. 0 or
 * -errno, logged. */
int instance_listen(struct instance *i, unsigned mode);

/* Binds a Unix stream socket to `path` and listens (non-blocking, close-on-exec), with the care that
 * instance_listen() takes. The descriptor, or -errno, logged. Whatever is returned, when *ret_bound the socket file is
 * the caller's, to be removed with instance_remove_socket(). */
int instance_bind_socket(const char *path, unsigned mode, bool *ret_bound);

/* Removes a socket file of our own; what is not a socket or is somebody else's is left alone. */
void instance_remove_socket(const char *path);

/* Removes the socket (if it is ours) and gives the locks back. */
void instance_deinit(struct instance *i);

/* The private daemon's instance name: one for each socket path. */
void instance_private_name(char *buf, size_t size, const char *socket);

#endif
