/* SPDX-License-Identifier: MIT */
/*
 * No new privileges (prctl(2), PR_SET_NO_NEW_PRIVS): no execve(2) of a worker, or of what it forks, gives it more than
 * it has, be it by a set-user-ID bit or by file capabilities. A service manager may have said so before; for a daemon
 * that was started by hand nobody else does it.
 *
 * The limits are such that no workload's speed depends on them, and that they mean the same for a process of one worker
 * and for one of 256 threads. So there is none on memory (one address space for each worker is not the same as one for
 * all, and malloc(3) changes its ways near the limit) and none on descriptors (the thread host needs them for all its
 * threads): both are for the service's unit and cgroup. There is none on processes, since RLIMIT_NPROC counts all that
 * the user has, those of other daemons, too; and none on the size of files, since the log may be one.
 *
 * The limit of core files is 0: what crashes here is a workload, often on purpose, and a core holds the shared segment
 * and with it other people's results. Handlers behind a pipe (core_pattern(5)) are told the limit and heed it.
 */
#include "worker/limits.h"

#include "shared/log.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static const struct {
        __rlimit_resource_t resource;
        const char *name;
} nothing_of[] = {
        {RLIMIT_CORE, "core files"},
        {RLIMIT_MEMLOCK, "locked memory"},
        {RLIMIT_MSGQUEUE, "POSIX message queues"},
        {RLIMIT_NICE, "nice values below that of the daemon"},
        {RLIMIT_RTPRIO, "real-time priorities"},
};

int
limits_apply(bool core_files)
{
        const struct rlimit none = {0, 0};

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
                int r = -errno;

                log_error("cannot give up new privileges in a worker: %s", strerror(-r));
                return r;
        }
        for (size_t i = 0; i < ARRAY_SIZE(nothing_of); i++) {
                if (core_files && nothing_of[i].resource == RLIMIT_CORE)
                        continue;
                if (setrlimit(nothing_of[i].resource, &none) < 0) {
                        int r = -errno;

                        log_error("cannot limit %s in a worker: %s", nothing_of[i].name, strerror(-r));
                        return r;
                }
        }
        return 0;
}
