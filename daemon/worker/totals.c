/* SPDX-License-Identifier: MIT */
/*
 * Each seat has its own figures; the totals are their sum over the seats marked `merged`, so they can always be made
 * again from the seats. `dirty` stands while they are being changed: who finds it set adds everything up anew.
 */
#include "worker/totals.h"

#include "worker/evidence.h"

#include <string.h>

void
totals_reset(struct segment *s)
{
        memset(&s->run->totals, 0, sizeof(s->run->totals));
}

static void
add_seat(struct totals *t, const struct seat *seat)
{
        t->sample_every = MAX(t->sample_every, seat->sample_every);
        t->lock_wait_ns += seat->lock_wait_ns;
        t->lock_switches += seat->lock_switches;
        t->blocked_ns += seat->blocked_ns;
        evidence_add(&t->evidence, &seat->evidence);
        histogram_merge(&t->latency, &seat->latency);
}

void
totals_repair(void *segment)
{
        struct segment *s = segment;
        struct totals *t = &s->run->totals;

        memset(t, 0, sizeof(*t));
        t->dirty = 1;
        for (uint32_t i = 0; i < s->run->spec.seats; i++) {
                if (s->seats[i].merged)
                        add_seat(t, &s->seats[i]);
        }
        __atomic_store_n(&t->dirty, 0, __ATOMIC_RELEASE);
}

void
totals_merge(struct segment *s, uint32_t seat)
{
        struct totals *t = &s->run->totals;

        /* A seat that was merged before (it was opened again for what a dead worker left) is in the totals with
         * old figures. */
        if (s->seats[seat].merged || t->dirty) {
                s->seats[seat].merged = 1;
                totals_repair(s);
                return;
        }
        __atomic_store_n(&t->dirty, 1, __ATOMIC_RELEASE);
        add_seat(t, &s->seats[seat]);
        s->seats[seat].merged = 1;
        __atomic_store_n(&t->dirty, 0, __ATOMIC_RELEASE);
}

void
totals_complete(struct segment *s)
{
        for (uint32_t i = 0; i < s->run->spec.seats; i++)
                s->seats[i].merged = 1;
        totals_repair(s);
}
