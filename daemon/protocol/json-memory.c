/* SPDX-License-Identifier: MIT */
#include "protocol/json-memory.h"

#include "shared/base.h"

#include <errno.h>
#include <sys/mman.h>

/* More than a request of the greatest length allowed needs, unless it was made to need more. Untouched pages cost
 * nothing. */
#define RESERVE_BYTES (UINT64_C(64) << 20)
#define ALIGN         16

static char *reserve;
static size_t used, living; /* bytes given out of it; blocks that were not freed yet */
static bool failed, reading, touched;

static void *
allocate(size_t size)
{
        void *p = malloc(size);

        if (p)
                return p;
        size = (size + ALIGN - 1) / ALIGN * ALIGN;
        if (!reading || size > RESERVE_BYTES - used) {
                failed = true;
                return NULL;
        }
        touched = true;
        p = reserve + used;
        used += size;
        living++;
        return p;
}

static void
release(void *p)
{
        if ((char *)p < reserve || (char *)p >= reserve + RESERVE_BYTES)
                free(p);
        else if (--living == 0)
                used = 0;
}

int
json_memory_watch(void)
{
        if (!reserve) {
                char *p = mmap(NULL, RESERVE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                               -1, 0);

                if (p == MAP_FAILED)
                        return -ENOMEM;
                reserve = p;
        }
        json_set_alloc_funcs(allocate, release);
        return 0;
}

bool
json_memory_failed(void)
{
        bool was = failed;

        failed = false;
        return was;
}

void
json_memory_begin_reading(void)
{
        reading = true;
        touched = false;
}

bool
json_memory_end_reading(void)
{
        reading = false;
        return touched;
}
