/* SPDX-License-Identifier: MIT */
/* concd's command line. */
#ifndef CONCD_OPTIONS_H
#define CONCD_OPTIONS_H

#include "supervisor/settings.h"

enum options_action {
        OPTIONS_RUN,
        OPTIONS_CHECK_CONFIG,
        OPTIONS_PRINT_CONFIG,
        OPTIONS_CLEAN_UP,
        OPTIONS_DONE,  /* all was said: --help, --version */
        OPTIONS_ERROR, /* and it is on stderr */
};

struct options {
        enum options_action action;
        struct settings_options settings;
};

/* Parses argv, which must outlive *ret. */
void options_parse(int argc, char **argv, struct options *ret);
void options_deinit(struct options *o);

#endif
