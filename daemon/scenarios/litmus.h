/* SPDX-License-Identifier: MIT */
/*
 * Op programs: a race as a table of operations, one small program for each actor. The litmus shapes are such programs
 * (litmus.c); scenarios.c interprets them.
 */
#ifndef CONCD_LITMUS_H
#define CONCD_LITMUS_H

#include "scenarios/actor.h"

#include <stdalign.h>
#include <stdint.h>

enum op_kind { OP_END, OP_LOAD, OP_STORE, OP_RMW, OP_FENCE };

/* One operation over locations and registers: LOAD register ← location, STORE location ← value, RMW register ← location
 * and location ← location + value in one instruction. */
struct op {
        enum op_kind kind;
        uint8_t location, reg;
        uint64_t value;
};

#define OPS_MAX       8 /* of a program, with its OP_END */
#define LOCATIONS_MAX 4
#define REGISTERS_MAX 4
#define PROGRAMS_MAX  4

/* What every register holds before a trial: no load of a shape returns it, so an actor that never came to run its
 * program is not taken for one that read a 0. */
#define REGISTER_UNSET UINT64_MAX

/* The state of a litmus trial: each location on a line of its own, the registers of each actor on another. */
struct litmus_state {
        struct {
                alignas(RACE_LINE) uint64_t value;
        } location[LOCATIONS_MAX];
        struct {
                alignas(RACE_LINE) uint64_t value[REGISTERS_MAX];
        } registers[PROGRAMS_MAX];
};

/* How a trial's end is recognised: each term names a register of an actor or the last value of a location. */
struct litmus_term {
        int8_t actor; /* -1: a location */
        uint8_t index;
        uint64_t value;
};

#define TERMS_MAX 4
struct litmus {
        const struct op (*programs)[OPS_MAX]; /* one for each actor */
        uint32_t n_programs, n_locations;
        struct litmus_term witness[TERMS_MAX]; /* all of them: the weak outcome */
        uint32_t n_terms;

        /* The same programs as machine code, made from the same rows; without a guard this is what runs. NULL: they are
         * interpreted. */
        void (*const *code)(struct actor *a, struct litmus_state *s);
};

#endif
