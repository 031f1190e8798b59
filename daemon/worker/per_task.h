/* SPDX-License-Identifier: MIT */
/* spawn=per-task: a pool worker starts one process or thread for each task, awaits it and commits for it. */
#ifndef CONCD_PER_TASK_H
#define CONCD_PER_TASK_H

#include "worker/worker.h"

/* Sets w->execute for the present run. 0 or -errno; then nothing is to be ended. */
int per_task_begin(struct worker *w);
void per_task_end(struct worker *w);

#endif
