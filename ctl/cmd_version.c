/* SPDX-License-Identifier: MIT */
#include "ctl/args.h"
#include "ctl/text.h"

extern const struct command command_version;

static const struct option_spec options[] = {COMMAND_OPTION_END};

static int
version(const struct args *args)
{
        text_printf(stdout, "concctl %s\n", CONCD_VERSION);
        return 0;
}

const struct command command_version = {
        .name = "version",
        .summary = "Print the version of concctl",
        .options = options,
        .exec = version,
};
