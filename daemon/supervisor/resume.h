/* SPDX-License-Identifier: MIT */
/*
 * Taking over what a killed supervisor left: its queue, its results, and the job that it was running.
 */
#ifndef CONCD_RESUME_H
#define CONCD_RESUME_H

#include "segment/segment.h"
#include "supervisor/plan.h"

#include <stdbool.h>

struct supervisor;

#define RESUME_REASON_MAX 160

/*
 * Reads the record of an adopted segment: ended jobs get their results back, queued ones end lost, and the running one
 * becomes the queue's running job again, its run recovered. A job that cannot go on, because anything of it is not
 * as it must be, ends lost; nothing is guessed. Before any child is forked. 0 or -ENOMEM.
 */
int resume_jobs(struct supervisor *s);

/* Lets the job go on that resume_jobs() found, if there is one. Once the pool is there. */
void resume_go_on(struct supervisor *s);

/* Is what the segment holds of an open run possible for this variant? Every figure that anything is found or counted
 * by is looked at. If not, false and the reason in words. */
bool resume_run_is_sound(const struct segment *segment, const struct variant *v, bool warmup,
                         char reason[RESUME_REASON_MAX]);

#endif
