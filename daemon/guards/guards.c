/* SPDX-License-Identifier: MIT */
#include "guards/builtin.h"

#include <string.h>

#define EFFECTS (GUARD_EXCLUDES | GUARD_LIMITS | GUARD_ATOMIC | GUARD_SHARES)

#define GUARD_ROW(name) &guard_##name,
const struct guard *const guards[] = {BUILTIN_GUARDS(GUARD_ROW) NULL};
#undef GUARD_ROW

int
guard_by_name(const char *name)
{
        for (int i = 0; guards[i]; i++)
                if (strcmp(guards[i]->name, name) == 0)
                        return i;
        return -1;
}

uint32_t
guard_effect(const struct guard *g, uint32_t permits)
{
        uint32_t effect = g->flags & EFFECTS;

        return permits > 1 ? effect & ~GUARD_EXCLUDES : effect;
}

uint32_t
guard_permits_max(const struct guard *g)
{
        return g->flags & GUARD_COUNTED ? PERMITS_MAX : 1;
}
