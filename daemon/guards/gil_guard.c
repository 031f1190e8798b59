/* SPDX-License-Identifier: MIT */
/*
 * The interpreter lock (gil.c) as a guard. Its holder hands it over at a checkpoint when another has asked for it; to
 * take it back there it waits without a limit of its own, because it has to return as a holder. Whoever has it then is
 * an actor of the same trial, which lets go at its own checkpoint or, at the latest, at the trial's end.
 */
#include "guards/builtin.h"

static int
gil_guard_init(struct race_guard *shared)
{
        return gil_init(GUARD_AREA(shared, struct gil), GIL_SWITCH_INTERVAL_NS);
}

static int
gil_guard_attach(struct guard_user *u)
{
        u->gil = (struct gil_thread){.gil = GUARD_AREA(u->shared, struct gil), .attention = u->attention, .id = u->id};
        return 0;
}

static void
gil_guard_detach(struct guard_user *u)
{
        u->gil = (struct gil_thread){0};
}

static bool
gil_guard_try_acquire(struct guard_user *u)
{
        return gil_acquire_until(&u->gil, 0) == 0;
}

static int
gil_guard_acquire(struct guard_user *u)
{
        return gil_acquire_until(&u->gil, u->deadline_ns);
}

static void
gil_guard_release(struct guard_user *u)
{
        gil_release(&u->gil);
}

static bool
gil_guard_is_wanted(const struct guard_user *u)
{
        return gil_drop_is_asked(&u->gil);
}

static void
gil_guard_checkpoint(struct guard_user *u)
{
        gil_checkpoint(&u->gil);
}

const struct guard guard_gil = {
        .name = "gil",
        .summary = "the interpreter lock of CPython, emulated: handed over on request, every 5 ms",
        .flags = GUARD_EXCLUDES | GUARD_LIMITS | GUARD_THREADS_ONLY,
        .death = GUARD_DEATH_LOSES,
        .death_note = "a kill takes the whole process, and with it all who could wait",
        .init = gil_guard_init,
        .attach = gil_guard_attach,
        .detach = gil_guard_detach,
        .try_acquire = gil_guard_try_acquire,
        .acquire = gil_guard_acquire,
        .release = gil_guard_release,
        .is_wanted = gil_guard_is_wanted,
        .checkpoint = gil_guard_checkpoint,
};
