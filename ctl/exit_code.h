/* SPDX-License-Identifier: MIT */
/* What concctl's exit code says, and which error of the protocol becomes which code. Pure. */
#ifndef CONCCTL_EXIT_CODE_H
#define CONCCTL_EXIT_CODE_H

#include <stdint.h>

/* The values are those of <sysexits.h> where it has one. */
enum ctl_exit {
        CTL_EXIT_DONE = 0,
        CTL_EXIT_JOB_FAILED = 1,
        CTL_EXIT_USAGE = 64,
        CTL_EXIT_NO_DAEMON = 69,
        CTL_EXIT_INTERNAL = 70,
        CTL_EXIT_BUSY = 75,
        CTL_EXIT_NOT_PERMITTED = 77,
        CTL_EXIT_CONFIG = 78,
        CTL_EXIT_INTERRUPTED = 130,
};

struct exit_code_row {
        int code;
        const char *meaning;
};

/* Every code with its meaning, for the help; ended by a NULL meaning. */
extern const struct exit_code_row exit_codes[];

/* The code for a qualified error name; one that is not known is an internal error. */
int exit_code_of_error(const char *error);

/* The code for the state of a job that has ended, and how many of its tasks failed. */
int exit_code_of_state(const char *state, int64_t failed);

#endif
