/* SPDX-License-Identifier: MIT */
/* No guard at all. */
#include "guards/builtin.h"

int
nothing_init(struct race_guard *shared)
{
        return 0;
}

bool
nothing_try_acquire(struct guard_user *u)
{
        return true;
}

int
nothing_acquire(struct guard_user *u)
{
        return 0;
}

void
nothing_release(struct guard_user *u)
{
}

const struct guard guard_none = {
        .name = "none",
        .summary = "nothing: everybody does as they like",
        .death = GUARD_DEATH_HARMLESS,
        .death_note = "nothing is held, so nothing is lost",
        .init = nothing_init,
        .try_acquire = nothing_try_acquire,
        .acquire = nothing_acquire,
        .release = nothing_release,
};
