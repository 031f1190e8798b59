/* SPDX-License-Identifier: MIT */
/* Nothing is held: it is the actor that makes each step one instruction when it sees this guard (GUARD_ATOMIC). */
#include "guards/builtin.h"

const struct guard guard_atomic = {
        .name = "atomic",
        .summary = "no lock: each single step is one atomic instruction",
        .flags = GUARD_ATOMIC,
        .death = GUARD_DEATH_HARMLESS,
        .death_note = "nothing is held, so nothing is lost; a step was made or was not",
        .init = nothing_init,
        .try_acquire = nothing_try_acquire,
        .acquire = nothing_acquire,
        .release = nothing_release,
};
