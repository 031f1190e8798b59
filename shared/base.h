/* SPDX-License-Identifier: MIT */
/* Small things that every file needs: local ownership through cleanup attributes, and a few macros. */
#ifndef CONCD_BASE_H
#define CONCD_BASE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_SIZE(a)          (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)              ((a) < (b) ? (a) : (b))
#define MAX(a, b)              ((a) > (b) ? (a) : (b))
#define LIKELY(x)              __builtin_expect(!!(x), 1)
#define UNLIKELY(x)            __builtin_expect(!!(x), 0)
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

static inline void
cleanup_free(void *p)
{
        free(*(void **)p);
}

static inline void
cleanup_close(int *fd)
{
        if (*fd >= 0)
                close(*fd);
}

static inline void
cleanup_fclose(FILE **f)
{
        if (*f)
                fclose(*f);
}

static inline void
cleanup_json(json_t **j)
{
        json_decref(*j);
}

/* The variable owns its value until the end of its scope. */
#define AUTO_FREE   __attribute__((cleanup(cleanup_free)))
#define AUTO_CLOSE  __attribute__((cleanup(cleanup_close)))
#define AUTO_FCLOSE __attribute__((cleanup(cleanup_fclose)))
#define AUTO_JSON   __attribute__((cleanup(cleanup_json)))

/* Gives ownership away: returns the pointer and leaves NULL behind. */
#define TAKE(p)                                                                                                        \
        ({                                                                                                             \
                __auto_type p_ = (p);                                                                                  \
                (p) = NULL;                                                                                            \
                p_;                                                                                                    \
        })

#endif
