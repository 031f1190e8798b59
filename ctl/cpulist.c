/* SPDX-License-Identifier: MIT */
#include "ctl/cpulist.h"

#include <ctype.h>
#include <errno.h>
#include <sched.h>
#include <stdbool.h>

static int
array_from_bits(const bool *bits, json_t **ret)
{
        AUTO_JSON json_t *array = json_array();

        for (int i = 0; i < CPULIST_CPUS; i++)
                if (bits[i] && json_array_append_new(array, json_integer(i)) < 0)
                        return -ENOMEM;
        if (!array)
                return -ENOMEM;
        *ret = TAKE(array);
        return 0;
}

/* Reads digits at *p; false when there are none, or too large a number. */
static bool
take_number(const char **p, int *ret)
{
        int n = 0;

        if (!isdigit((unsigned char)**p))
                return false;
        for (; isdigit((unsigned char)**p); (*p)++) {
                n = n * 10 + (**p - '0');
                if (n >= CPULIST_CPUS)
                        return false;
        }
        *ret = n;
        return true;
}

int
cpulist_parse(const char *s, json_t **ret)
{
        bool bits[CPULIST_CPUS] = {false};

        for (;;) {
                int first, last;

                if (!take_number(&s, &first))
                        return CPULIST_E_SYNTAX;
                last = first;
                if (*s == '-') {
                        s++;
                        if (!take_number(&s, &last) || last < first)
                                return CPULIST_E_SYNTAX;
                }
                for (int i = first; i <= last; i++)
                        bits[i] = true;
                if (*s == '\0')
                        return array_from_bits(bits, ret);
                if (*s++ != ',')
                        return CPULIST_E_SYNTAX;
        }
}

int
cpulist_from_affinity(json_t **ret)
{
        cpu_set_t *set = CPU_ALLOC(CPULIST_CPUS);
        size_t size = CPU_ALLOC_SIZE(CPULIST_CPUS);
        bool bits[CPULIST_CPUS];
        int r;

        if (!set)
                return -ENOMEM;
        if (sched_getaffinity(0, size, set) < 0) {
                r = -errno;
                CPU_FREE(set);
                return r;
        }
        for (int i = 0; i < CPULIST_CPUS; i++)
                bits[i] = CPU_ISSET_S(i, size, set);
        CPU_FREE(set);
        return array_from_bits(bits, ret);
}
