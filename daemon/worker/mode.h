/* SPDX-License-Identifier: MIT */
/* The concurrency models: one row each. Everything that differs between modes is said here. */
#ifndef CONCD_MODE_H
#define CONCD_MODE_H

#include "segment/layout.h"

#include <stdbool.h>

struct mode {
        const char *name;
        const char *summary;
        enum worker_kind kind; /* which pool executes it */
        bool single;           /* exactly one worker */
        bool gil;              /* under the emulated interpreter lock */
        bool per_task;         /* can be had with --spawn=per-task */
};

struct spawn {
        const char *name;
        const char *summary;
};

#define MODES 4
extern const struct mode modes[MODES];
#define MODE_DEFAULT 1 /* process */

/* The ways that a request can name; SPAWN_AT_ONCE is per-task with 0 workers. */
#define SPAWNS 2
extern const struct spawn spawns[SPAWNS];

/* Index of the row, or -1. */
int mode_by_name(const char *name);
int spawn_by_name(const char *name);

#endif
