/* SPDX-License-Identifier: MIT */
/* Preloaded into the daemon: every SIGKILL that it sends takes a tenth of a second, as on a machine on which it lost
 * its CPU between the decision and the deed. */
#include <dlfcn.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define DELAY_US 100000

int
pidfd_send_signal(int fd, int signal_number, siginfo_t *info, unsigned flags)
{
        static __typeof__(pidfd_send_signal) *next;

        if (!next)
                next = (__typeof__(next))dlsym(RTLD_NEXT, "pidfd_send_signal");
        if (signal_number == SIGKILL)
                usleep(DELAY_US);
        return next(fd, signal_number, info, flags);
}
