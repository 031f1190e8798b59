/* SPDX-License-Identifier: MIT */
/* What the kernel accounts for the calling thread: CPU times, run-queue wait, context switches, faults. Thread safe. */
#ifndef CONCD_EVIDENCE_H
#define CONCD_EVIDENCE_H

#include "segment/layout.h"

#include <stdbool.h>
#include <sys/resource.h>

/* Opens /proc/thread-self/schedstat of the calling thread; -1 where there is none. */
int evidence_open(void);

/* Reads it all. fd is from evidence_open() by the same thread, or -1: then the run-queue wait is 0. With `children`
 * the reaped children's shares are added. */
void evidence_read(struct evidence *e, int fd, bool children);

/* Of the whole calling process and the children it has reaped, as wait4(2) will tell of it one day. */
void evidence_read_process(struct evidence *e);

void evidence_from_rusage(struct evidence *e, const struct rusage *usage);

/* to += now - base; a member that went backwards counts as 0. */
void evidence_add_since(struct evidence *to, const struct evidence *now, const struct evidence *base);
void evidence_add(struct evidence *to, const struct evidence *from);

#endif
