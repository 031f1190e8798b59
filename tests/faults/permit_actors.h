/* SPDX-License-Identifier: MIT */
/*
 * Permits, and processes that acquire and release them on command: what a test of the permits plays with. Nothing here
 * waits for a time: an order is either carried out, or whoever has it is asleep for good, and that can be told.
 *
 * The wait limit of permits.c is set so high in these tests (see mutate) that nobody is ever rescued by it.
 */
#ifndef CONCD_TEST_PERMIT_ACTORS_H
#define CONCD_TEST_PERMIT_ACTORS_H

#include "segment/permits.h"
#include "step.h"

#include <stdbool.h>

#define ACTORS 4 /* slots 0 to 3 */

enum order { ORDER_ACQUIRE, ORDER_RELEASE, ORDER_CYCLES };

struct actor {
        sem_t go;
        pid_t pid;
        _Atomic uint32_t ordered, carried_out; /* orders */
        enum order order;
        unsigned cycles;
        bool holds;
        uint32_t cell;
};

/* Shared by all. */
struct stage {
        struct permits permits;
        sem_t sem;
        _Atomic uint32_t state[ACTORS];
        struct actor actor[ACTORS];
};

extern struct stage *stage;

/* Once for each test: the actors are there, idle. And at its end: no child is left. */
void stage_open(void);
void stage_close(void);

/* Permits and semaphore as new. Nobody may be at them. */
void stage_set(uint32_t n);

/* Gives an actor an order; it must be idle. */
void order(uint32_t actor, enum order what);
void order_cycles(uint32_t actor, unsigned n);

/* Returns when every actor, and `free` (may be NULL) that was let go, has done what it had to or is asleep. */
void settle(struct stepped *free);

/* Has the actor carried its last order out? */
bool idle(uint32_t actor);

/* Acquires at once, or fails. */
void expect_permit(uint32_t actor);

/* How the semaphore stands. */
int stage_tokens(void);
uint32_t stage_free_cells(void);

/* How often a slot stands in the cells. */
uint32_t stage_cells_of(uint32_t slot);

/*
 * The invariants at an instant when all are settled, nobody is dead and not recovered, and nobody is stopped: a token
 * for every free cell, no sleeper beside a free cell, and who holds has the cell that names it. Fails the test.
 */
#define CHECK_SETTLED() stage_check_settled(case_name())
void stage_check_settled(const char *when);

/*
 * The end of every case, when all are settled: the holders release, then all n permits can be had at the same time,
 * and no more than n; afterwards everything is as it was at the beginning, and nobody was rescued.
 */
void stage_check_end(void);

/* What is being tried, for messages. */
void case_begin(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
const char *case_name(void);
unsigned cases_begun(void);

#endif
