/* SPDX-License-Identifier: MIT */
/* concctl: the client of concd. Finds the subcommand, reads its arguments, runs it, checks that its output is out. */
#include "ctl/args.h"
#include "ctl/exit_code.h"
#include "ctl/help.h"
#include "ctl/message.h"
#include "ctl/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

/* Were 0, 1 or 2 closed, a socket or a file would get that number, and results would go there. */
static void
open_standard_fds(void)
{
        int fd;

        do
                fd = open("/dev/null", O_RDONLY);
        while (fd >= 0 && fd <= STDERR_FILENO);
        if (fd >= 0)
                close(fd);
}

static int
run_command(const struct command *command, int argc, char **argv)
{
        AUTO_FREE char *error = NULL;
        struct args args;
        int r = args_parse(command, argc, (const char *const *)argv, &args, &error);

        if (r != 0)
                return message_fail(r, "%s", error ? error : "out of memory");
        if (args.help)
                help_print_command(stdout, command);
        else
                r = command->exec(&args);
        args_deinit(&args);
        return r;
}

static int
dispatch(int argc, char **argv)
{
        const char *word = argc > 1 ? argv[1] : NULL;
        const struct command *command;

        if (!word) {
                help_print_overview(stderr);
                return CTL_EXIT_USAGE;
        }
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
                word = "help";
        else if (strcmp(word, "--version") == 0)
                word = "version";
        else if (*word == '-')
                return message_fail(CTL_EXIT_USAGE, "option %s before the command: write 'concctl COMMAND %s'", word,
                                    word);
        command = command_find(word);
        return command ? run_command(command, argc - 2, argv + 2) : command_report_unknown(word);
}

int
main(int argc, char **argv)
{
        int code, r;

        open_standard_fds();
        signal(SIGPIPE, SIG_IGN);
        text_init();
        code = dispatch(argc, argv);
        r = text_finish();
        if (r < 0)
                return message_fail(CTL_EXIT_INTERNAL, "cannot write the output: %s", strerror(-r));
        return code;
}
