/* SPDX-License-Identifier: MIT */
/* The line that `systemctl status` shows: what the daemon is doing, and how far it has got. */
#ifndef CONCD_HEADLINE_H
#define CONCD_HEADLINE_H

#include "supervisor/job.h"

#define HEADLINE_EVERY_NS NS_PER_S /* progress is told at most so often */
#define HEADLINE_MAX      400

/* What there is to be said. */
struct headline {
        const struct job *running; /* NULL: none */
        json_t *progress;          /* the running job's, as the protocol has it; borrowed */
        unsigned waiting;
        uint64_t jobs_ended;
        bool config_refused; /* the last reload was */
};

/* Writes it to `buf`. A percentage is there when the end is known, never 100 before all is done. */
void headline_format(char buf[HEADLINE_MAX], const struct headline *h);

/* Tells the service manager at once: something has changed. */
void headline_tell(struct supervisor *s);

/* The same for progress: not more often than HEADLINE_EVERY_NS. */
void headline_tell_progress(struct supervisor *s);

#endif
