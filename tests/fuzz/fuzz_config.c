/* SPDX-License-Identifier: MIT */
/* The configuration file, and --set: a message of one line for what is wrong, and what is right can be loaded again. */
#include "config/config.h"
#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
        return 0;
}

static void
must_be_one_line(char *message)
{
        MUST(message && *message && !strchr(message, '\n'));
        free(message);
}

static void
load(const uint8_t *data, size_t size)
{
        int fd = memfd_create("conf", MFD_CLOEXEC);
        struct config config, before;
        char path[32], *message = NULL;

        MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        MUST(config_init(&config) == 0 && config_init(&before) == 0);
        if (config_load(&config, path, &message) < 0) {
                must_be_one_line(message);
                /* Nothing is half applied. */
                MUST(config.max_workers == before.max_workers && strcmp(config.socket, before.socket) == 0 &&
                     config.deadline_ns == before.deadline_ns && config.log_level == before.log_level);
        } else {
                MUST(config.threads <= config.max_workers && config.processes <= config.max_workers);
                MUST(config_check(&config, &message) == 0);
        }
        config_deinit(&config);
        config_deinit(&before);
        close(fd);
}

/* "key=value", as after --set. */
static void
set(const uint8_t *data, size_t size)
{
        char *text = fuzz_text(data, size), *value = strchr(text, '='), *message = NULL;
        struct config config;

        MUST(config_init(&config) == 0);
        if (value) {
                *value++ = 0;
                if (config_set(&config, text, value, &message) < 0)
                        must_be_one_line(message);
        }
        config_deinit(&config);
        free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        load(data, size);
        set(data, size);
        return 0;
}
