/* SPDX-License-Identifier: MIT */
#include "supervisor/leftovers.h"

#include "segment/segment.h"
#include "segment/semaphores.h"
#include "supervisor/instance.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

/* A socket file of ours on which nobody listens: replaced, as a daemon does, then removed. */
static void
remove_dead_socket(const char *path)
{
        bool bound = false;
        struct stat st;
        int fd;

        if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
                return;
        fd = instance_bind_socket(path, 0600, &bound);
        if (bound)
                instance_remove_socket(path);
        if (fd >= 0)
                close(fd);
}

int
leftovers_remove(const struct config *config)
{
        char reason[SEGMENT_REASON_MAX];
        struct instance instance;
        struct segment segment = {0};
        int r = instance_init(&instance, config->instance, config->socket);

        if (r == 0) {
                r = segment_adopt(&segment, instance.uid, instance.name, (uint32_t)config->max_workers,
                                  (uint32_t)config->ledger_chunks, reason);
                segment_unmap(&segment);
                if (r == -ENOENT)
                        r = 0;
                else if (r >= 0)
                        r = segment_remove(instance.uid, instance.name);
                if (r == 0) {
                        semaphores_remove_stale(instance.uid, instance.name);
                        remove_dead_socket(config->socket);
                        remove_dead_socket(config->metrics_socket);
                }
        }
        instance_deinit(&instance);
        return r > 0 || r == -EBUSY ? LEFTOVERS_E_IN_USE : r;
}
