/* SPDX-License-Identifier: MIT */
#include "options.h"

#include "shared/log.h"

#include <getopt.h>

enum {
        OPT_CONFIG = 256,
        OPT_SET,
        OPT_INSTANCE,
        OPT_SOCKET,
        OPT_PRIVATE,
        OPT_CHECK,
        OPT_PRINT,
        OPT_CLEAN_UP,
        OPT_VERSION,
        OPT_HELP
};

static const struct {
        struct option option;
        const char *value, *help;
} rows[] = {
        {{"config", required_argument, NULL, OPT_CONFIG}, "FILE", "read this configuration file"},
        {{"set", required_argument, NULL, OPT_SET}, "KEY=VALUE", "set section.key, over the file; repeatable"},
        {{"instance", required_argument, NULL, OPT_INSTANCE}, "NAME", "as --set daemon.instance=NAME"},
        {{"socket", required_argument, NULL, OPT_SOCKET}, "PATH", "as --set daemon.socket=PATH"},
        {{"private", no_argument, NULL, OPT_PRIVATE},
         NULL,
         "serve one user: no default file, leave after 60 s of idleness"},
        {{"check-config", no_argument, NULL, OPT_CHECK}, NULL, "check the configuration and leave"},
        {{"print-config", no_argument, NULL, OPT_PRINT}, NULL, "print the default configuration file"},
        {{"clean-up", no_argument, NULL, OPT_CLEAN_UP}, NULL, "remove what a killed daemon left and leave"},
        {{"version", no_argument, NULL, OPT_VERSION}, NULL, "print the version"},
        {{"help", no_argument, NULL, OPT_HELP}, NULL, "print this"},
};

static void
print_help(void)
{
        puts("Usage: concd [OPTION]...\n"
             "The daemon of the concd concurrency laboratory; concctl(1) talks to it. Runs in the foreground.\n");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char left[40];

                snprintf(left, sizeof(left), "--%s%s%s", rows[i].option.name, rows[i].value ? "=" : "",
                         rows[i].value ? rows[i].value : "");
                printf("  %-22s %s\n", left, rows[i].help);
        }
        puts("\nExit status: 0 left on request, 64 usage, 70 failure, 75 already running, 78 configuration.");
}

static enum options_action
apply(struct options *o, int option, size_t *n_settings)
{
        switch (option) {
        case OPT_CONFIG:
                o->settings.config_path = optarg;
                return OPTIONS_RUN;
        case OPT_SET:
                o->settings.settings[(*n_settings)++] = optarg;
                return OPTIONS_RUN;
        case OPT_INSTANCE:
                o->settings.instance = optarg;
                return OPTIONS_RUN;
        case OPT_SOCKET:
                o->settings.socket = optarg;
                return OPTIONS_RUN;
        case OPT_PRIVATE:
                o->settings.private_daemon = true;
                return OPTIONS_RUN;
        case OPT_CHECK:
                return OPTIONS_CHECK_CONFIG;
        case OPT_PRINT:
                return OPTIONS_PRINT_CONFIG;
        case OPT_CLEAN_UP:
                return OPTIONS_CLEAN_UP;
        case OPT_VERSION:
                puts("concd " CONCD_VERSION);
                return OPTIONS_DONE;
        case OPT_HELP:
                print_help();
                return OPTIONS_DONE;
        default:
                return OPTIONS_ERROR;
        }
}

void
options_parse(int argc, char **argv, struct options *ret)
{
        struct option table[ARRAY_SIZE(rows) + 1] = {0};
        size_t n_settings = 0;
        int option;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                table[i] = rows[i].option;
        *ret = (struct options){.action = OPTIONS_RUN};
        ret->settings.settings = calloc((size_t)argc + 1, sizeof(char *));
        if (!ret->settings.settings) {
                log_error("out of memory");
                ret->action = OPTIONS_ERROR;
                return;
        }
        while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
                enum options_action action = apply(ret, option, &n_settings);

                if (action != OPTIONS_RUN)
                        ret->action = action;
                if (action == OPTIONS_ERROR || action == OPTIONS_DONE)
                        return;
        }
        if (optind < argc) {
                fprintf(stderr, "concd: given \"%s\", allowed options only: see concd --help\n", argv[optind]);
                ret->action = OPTIONS_ERROR;
        } else if (ret->settings.private_daemon && !ret->settings.socket) {
                fprintf(stderr, "concd: --private needs --socket=PATH\n");
                ret->action = OPTIONS_ERROR;
        }
}

void
options_deinit(struct options *o)
{
        free(o->settings.settings);
}
