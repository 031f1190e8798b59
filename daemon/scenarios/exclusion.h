/* SPDX-License-Identifier: MIT */
/*
 * Mutual exclusion between two by loads and stores alone, as it was done before there were atomic instructions: what
 * peterson.c and dekker.c have in common. Both store "I want in" and then load whether the other one does. A processor
 * keeps a store in its buffer for a while and lets the load go before it, and then both find the other one's word
 * still unset: the proof of the algorithm holds only for sequentially consistent memory. A fence after each store
 * mends it.
 */
#ifndef CONCD_EXCLUSION_H
#define CONCD_EXCLUSION_H

#include "scenarios/scenario.h"

#define EXCLUSION_ACTORS   2
#define EXCLUSION_OUTCOMES 2
#define EXCLUSION_PARAMS   2

struct exclusion_state {
        struct {
                alignas(RACE_LINE) uint64_t value;
        } wants[EXCLUSION_ACTORS];
        alignas(RACE_LINE) uint64_t turn;   /* whose it is, when both want in */
        alignas(RACE_LINE) uint64_t inside; /* how many are, counted by atomic instructions */
        struct {
                alignas(RACE_LINE) uint64_t clashes; /* how often it came in and was not alone */
        } seen[EXCLUSION_ACTORS];
};

extern const struct scenario_param exclusion_params[EXCLUSION_PARAMS];
extern const struct outcome exclusion_outcomes[EXCLUSION_OUTCOMES];

/* A store of an entry or of an exit; with a fence behind it if the race has them. */
void exclusion_store(struct actor *a, uint64_t *x, uint64_t value);

/* Once round a loop that waits for the other one; false when the trial is over. */
bool exclusion_wait(struct actor *a);

/* Goes in and out again and again. enter() returns false when the trial is over; then leave() is not owed. */
void exclusion_act(struct actor *a, struct exclusion_state *s,
                   bool (*enter)(struct actor *a, struct exclusion_state *s),
                   void (*leave)(struct actor *a, struct exclusion_state *s));

/* As those of struct scenario. */
uint32_t exclusion_effect(const struct race_spec *spec);
int exclusion_classify(const void *state, struct trial_end *end);

#endif
