/* SPDX-License-Identifier: MIT */
/* Where a slot can have died with regard to its permit: what it had told, and what was true. */
#ifndef CONCD_TEST_PERMIT_DEATHS_H
#define CONCD_TEST_PERMIT_DEATHS_H

#include "segment/permits.h"

#include <stdbool.h>

static const struct permit_death {
        const char *where;
        enum permit_state state;
        bool token; /* the semaphore lacks one for it */
        bool cell;
} permit_deaths[] = {
        {"waiting", PERMIT_ACQUIRING, false, false},
        {"with a token", PERMIT_ACQUIRING, true, false},
        {"with a cell, not told yet", PERMIT_ACQUIRING, true, true},
        {"holding", PERMIT_HELD, true, true},
        {"releasing", PERMIT_RELEASING, true, true},
        {"cell free, not posted", PERMIT_RELEASING, true, false},
        {"posted, not told yet", PERMIT_RELEASING, false, false},
        {"recovery killed before freeing", PERMIT_RECOVERING, true, true},
        {"recovery killed before posting", PERMIT_RECOVERING, true, false},
        {"recovery killed before its end", PERMIT_RECOVERING, false, false},
};

/* Makes slot `slot` have died so. There must be a token and a free cell where it takes them. */
static inline void
permit_die(const struct permit_death *death, struct permits *p, sem_t *sem, uint32_t slot, _Atomic uint32_t *state)
{
        uint32_t cell = 0;

        if (death->token)
                sem_trywait(sem);
        if (death->cell) {
                while (atomic_load(&p->cell[cell]) != 0)
                        cell++;
                atomic_store(&p->cell[cell], slot + 1);
        }
        atomic_store(state, death->state);
}

#endif
