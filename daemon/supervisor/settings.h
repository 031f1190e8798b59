/* SPDX-License-Identifier: MIT */
/* Where the configuration comes from: defaults, those of a private daemon, the file, the command line, in this
 * order. */
#ifndef CONCD_SETTINGS_H
#define CONCD_SETTINGS_H

#include "config/config.h"

#include <stdbool.h>

/* What the command line says. */
struct settings_options {
        const char *config_path; /* NULL: the default file, if there is one */
        const char *instance, *socket;
        bool private_daemon;
        const char **settings; /* "section.key=value", ended by NULL */
};

/* A positive result. */
enum settings_error {
        SETTINGS_E_INVALID = 1, /* said so in the log */
};

/* 0, SETTINGS_E_INVALID, -EAGAIN when the user database could not be asked (said so in the log), or -ENOMEM. On success
 * the caller calls config_deinit(); *ret_path (malloc'ed) is the file that was read, or NULL. */
int settings_load(const struct settings_options *options, struct config *ret, char **ret_path);

#endif
