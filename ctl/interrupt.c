/* SPDX-License-Identifier: MIT */
#include "ctl/interrupt.h"

#include "ctl/exit_code.h"
#include "shared/base.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>

static volatile sig_atomic_t was_caught;
static int pipe_read_fd = -1, pipe_write_fd = -1;
static bool has_terminal;

static void
on_signal(int sig)
{
        static const char clear_line[] = "\r\033[K";
        int saved = errno;

        if (was_caught) {
                if (has_terminal && write(STDERR_FILENO, clear_line, sizeof(clear_line) - 1) < 0)
                        errno = 0; /* nothing can be done about it: the program ends */
                _exit(CTL_EXIT_INTERRUPTED);
        }
        was_caught = 1;
        if (write(pipe_write_fd, "", 1) < 0)
                _exit(CTL_EXIT_INTERRUPTED);
        errno = saved;
}

int
interrupt_catch(int *ret_fd)
{
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
        int fds[2];

        if (pipe_read_fd >= 0) {
                *ret_fd = pipe_read_fd;
                return 0;
        }
        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
                return -errno;
        pipe_read_fd = fds[0];
        pipe_write_fd = fds[1];
        has_terminal = isatty(STDERR_FILENO);
        sigemptyset(&action.sa_mask);
        sigaddset(&action.sa_mask, SIGINT);
        sigaddset(&action.sa_mask, SIGTERM);
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        *ret_fd = pipe_read_fd;
        return 0;
}
