/* SPDX-License-Identifier: MIT */
#include "worker/mode.h"

#include <string.h>

const struct mode modes[MODES] = {
        {"sequential", "one process worker, one task after another", WORKER_PROCESS, .single = true},
        {"process", "the process pool: pre-forked workers that share nothing but the segment", WORKER_PROCESS,
         .per_task = true},
        {"thread", "the thread pool: threads of one process, the thread host", WORKER_THREAD, .per_task = true},
        {"gil", "the thread pool under an emulated CPython interpreter lock: one thread runs at a time", WORKER_THREAD,
         .gil = true},
};

const struct spawn spawns[SPAWNS] = {
        [SPAWN_POOL] = {"pool", "the warm workers of the pool execute the tasks themselves"},
        [SPAWN_PER_TASK] = {"per-task", "a fresh process or thread for each task; with --workers=0 all at once"},
};

int
mode_by_name(const char *name)
{
        for (int i = 0; i < MODES; i++) {
                if (strcmp(modes[i].name, name) == 0)
                        return i;
        }
        return -1;
}

int
spawn_by_name(const char *name)
{
        for (int i = 0; i < SPAWNS; i++) {
                if (strcmp(spawns[i].name, name) == 0)
                        return i;
        }
        return -1;
}
