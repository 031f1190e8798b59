/* SPDX-License-Identifier: MIT */
#include "options.h"
#include "shared/log.h"
#include "supervisor/leftovers.h"
#include "supervisor/settings.h"
#include "supervisor/supervisor.h"

#include <errno.h>
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

/* Only a wrong configuration stays wrong whenever it is read again. */
static int
settings_status(int r)
{
        if (r == -ENOMEM)
                log_error("out of memory");
        return r == SETTINGS_E_INVALID ? EX_CONFIG : EX_SOFTWARE;
}

static int
check_config(const struct settings_options *options)
{
        AUTO_FREE char *path = NULL;
        struct config config;
        int r = settings_load(options, &config, &path);

        if (r != 0)
                return settings_status(r);
        config_deinit(&config);
        printf("%s: correct\n", path ? path : "defaults");
        return EX_OK;
}

static int
clean_up(const struct settings_options *options)
{
        AUTO_FREE char *path = NULL;
        struct config config;
        int r = settings_load(options, &config, &path);

        if (r != 0)
                return settings_status(r);
        r = leftovers_remove(&config);
        config_deinit(&config);
        return r == 0 ? EX_OK : r > 0 ? EX_TEMPFAIL : EX_SOFTWARE;
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
        else if (options.action == OPTIONS_CLEAN_UP)
                status = clean_up(&options.settings);
        else if (options.action == OPTIONS_ERROR)
                status = EX_USAGE;
        options_deinit(&options);
        return status;
}
