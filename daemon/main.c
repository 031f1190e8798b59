/* SPDX-License-Identifier: MIT */
#include "options.h"
#include "shared/log.h"
#include "supervisor/settings.h"
#include "supervisor/supervisor.h"

#include <sysexits.h>

static int
run(const struct settings_options *options)
{
        struct supervisor *s = NULL;
        int r = supervisor_new(options, &s);

        if (r == SUPERVISOR_E_CONFIG)
                return EX_CONFIG;
        if (r == SUPERVISOR_E_RUNNING)
                return EX_TEMPFAIL;
        if (r == 0)
                r = supervisor_run(s);
        supervisor_free(s);
        return r == 0 ? EX_OK : EX_SOFTWARE;
}

static int
check_config(const struct settings_options *options)
{
        AUTO_FREE char *path = NULL;
        struct config config;

        if (settings_load(options, &config, &path) != 0)
                return EX_CONFIG;
        config_deinit(&config);
        printf("%s: correct\n", path ? path : "defaults");
        return EX_OK;
}

int
main(int argc, char **argv)
{
        struct options options;
        int status = EX_OK;

        log_init("concd", LOG_LEVEL_INFO);
        options_parse(argc, argv, &options);
        if (options.action == OPTIONS_RUN)
                status = run(&options.settings);
        else if (options.action == OPTIONS_CHECK_CONFIG)
                status = check_config(&options.settings);
        else if (options.action == OPTIONS_PRINT_CONFIG)
                status = config_print(stdout) == 0 ? EX_OK : EX_SOFTWARE;
        else if (options.action == OPTIONS_ERROR)
                status = EX_USAGE;
        options_deinit(&options);
        return status;
}
