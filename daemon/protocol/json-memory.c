/* SPDX-License-Identifier: MIT */
#include "protocol/json-memory.h"

#include "shared/base.h"

static bool failed;

static void *
allocate(size_t size)
{
        void *p = malloc(size);

        if (!p)
                failed = true;
        return p;
}

void
json_memory_watch(void)
{
        json_set_alloc_funcs(allocate, free);
}

bool
json_memory_failed(void)
{
        bool was = failed;

        failed = false;
        return was;
}
