/* SPDX-License-Identifier: MIT */
/* Where daemons listen, and whether what stands there can be trusted. */
#ifndef CONCCTL_PLACE_H
#define CONCCTL_PLACE_H

#include "shared/base.h"

#include <stdbool.h>

#define PLACE_SYSTEM_SOCKET "/run/concd/concd.sock"

/* Bytes of the longest path that fits into a socket address, without its NUL. */
#define PLACE_PATH_MAX 107

/* Positive results. */
enum place_error {
        PLACE_OK = 0,
        PLACE_E_FOREIGN, /* the socket, or who listens on it, belongs to neither root nor the caller */
        PLACE_E_LONG,    /* the path does not fit into a socket address */
};

/* The folder of the caller's private daemon: $XDG_RUNTIME_DIR/concd when that variable names a folder of the caller's,
 * else concd-<uid> under $TMPDIR or /tmp. It must be a real folder of the caller's that nobody else can enter;
 * with `create` one that is missing is made. 0 and a malloc'ed path; -ENOENT when it is not there; else an exit
 * code, having said what is wrong. */
int place_private_dir(bool create, char **ret);

/* Connects, blocking for at most 5 s. Refuses what is not a socket (-ENOTSOCK), and a socket or a peer of somebody
 * else (PLACE_E_FOREIGN; the system's daemon may also run as the owner of the folder that root made for it).
 * 0, a positive result, or -errno. */
int place_connect(const char *path, int *ret_fd);

/* What a result of place_connect means, in words. */
const char *place_error_text(int error);

#endif
