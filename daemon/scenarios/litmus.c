/* SPDX-License-Identifier: MIT */
/*
 * The litmus shapes: a few loads and stores whose weak outcome no order of the operations, one after another,
 * explains. Names and programs are those of the literature (Alglave, Maranget, Tautschnig, "Herding cats", 2014).
 *
 * Each program is written once, as a list of LOAD(register, location), STORE(location, value) and FENCE. The list is
 * expanded three times: into the rows of the op program; into straight code that does the same with nothing between
 * the operations, because a switch between a store and the load behind it gives the store buffer time to drain and
 * hides what is looked for; and into the stores that keep the registers once all is done. ORDER holds the compiler to
 * the program's order, so that every reordering that is seen is the hardware's.
 *
 * x86 has store buffers and no other reordering (Sewell, Sarkar, Owens, Zappa Nardelli, Myreen, "x86-TSO", 2010):
 * only a load can overtake a store before it, which sb and r show. Elsewhere every unfenced shape may show its own.
 */
#include "scenarios/builtin.h"

#if defined(__x86_64__) || defined(__i386__)
#define WEAK_UNLESS_TSO OUTCOME_FORBIDDEN
#else
#define WEAK_UNLESS_TSO OUTCOME_INTERESTING
#endif

enum { X, Y };

/* ── the programs ── */

#define SB_0(LOAD, STORE, FENCE) STORE(X, 1) FENCE() LOAD(0, Y)
#define SB_1(LOAD, STORE, FENCE) STORE(Y, 1) FENCE() LOAD(0, X)

#define MP_0(LOAD, STORE, FENCE) STORE(X, 1) FENCE() STORE(Y, 1)
#define MP_1(LOAD, STORE, FENCE) LOAD(0, Y) FENCE() LOAD(1, X)

#define LB_0(LOAD, STORE, FENCE) LOAD(0, X) FENCE() STORE(Y, 1)
#define LB_1(LOAD, STORE, FENCE) LOAD(0, Y) FENCE() STORE(X, 1)

#define R_0(LOAD, STORE, FENCE) STORE(X, 1) FENCE() STORE(Y, 1)
#define R_1(LOAD, STORE, FENCE) STORE(Y, 2) FENCE() LOAD(0, X)

#define S_0(LOAD, STORE, FENCE) STORE(X, 2) FENCE() STORE(Y, 1)
#define S_1(LOAD, STORE, FENCE) LOAD(0, Y) FENCE() STORE(X, 1)

#define W_0(LOAD, STORE, FENCE) STORE(X, 1) FENCE() STORE(Y, 2)
#define W_1(LOAD, STORE, FENCE) STORE(Y, 1) FENCE() STORE(X, 2)

#define IRIW_0(LOAD, STORE, FENCE) STORE(X, 1)
#define IRIW_1(LOAD, STORE, FENCE) STORE(Y, 1)
#define IRIW_2(LOAD, STORE, FENCE) LOAD(0, X) FENCE() LOAD(1, Y)
#define IRIW_3(LOAD, STORE, FENCE) LOAD(0, Y) FENCE() LOAD(1, X)

/* ── what becomes of them ── */

#define ROW_LOAD(r, x)  {.kind = OP_LOAD, .location = (x), .reg = (r)},
#define ROW_STORE(x, v) {.kind = OP_STORE, .location = (x), .value = (v)},
#define ROW_FENCE()     {.kind = OP_FENCE},
#define ROW_NO_FENCE()

#define ORDER __asm__ volatile("" ::: "memory");
#define CODE_LOAD(r, x)                                                                                                \
        reg[r] = actor_load(a, &s->location[x].value);                                                                 \
        ORDER
#define CODE_STORE(x, v)                                                                                               \
        actor_store(a, &s->location[x].value, (v));                                                                    \
        ORDER
#define CODE_FENCE() actor_fence(a);
#define CODE_NO_FENCE()

#define KEEP_LOAD(r, x) s->registers[a->id].value[r] = reg[r];
#define KEEP_STORE(x, v)
#define KEEP_FENCE()

#define ROWS(program, fence) {program(ROW_LOAD, ROW_STORE, ROW_##fence){.kind = OP_END}},

#define CODE(function, program, fence)                                                                                 \
        static void function(struct actor *a, struct litmus_state *s)                                                  \
        {                                                                                                              \
                __attribute__((unused)) uint64_t reg[REGISTERS_MAX];                                                   \
                                                                                                                       \
                program(CODE_LOAD, CODE_STORE, CODE_##fence) program(KEEP_LOAD, KEEP_STORE, KEEP_FENCE)                \
        }

#define TWO_PROGRAMS(id, P, fence)                                                                                     \
        static const struct op id##_programs[][OPS_MAX] = {ROWS(P##_0, fence) ROWS(P##_1, fence)};                     \
        CODE(id##_0, P##_0, fence)                                                                                     \
        CODE(id##_1, P##_1, fence)                                                                                     \
        static void (*const id##_code[])(struct actor *, struct litmus_state *) = {id##_0, id##_1};

#define FOUR_PROGRAMS(id, P, fence)                                                                                    \
        static const struct op id##_programs[][OPS_MAX] = {ROWS(P##_0, fence) ROWS(P##_1, fence) ROWS(P##_2, fence)    \
                                                                   ROWS(P##_3, fence)};                                \
        CODE(id##_0, P##_0, fence)                                                                                     \
        CODE(id##_1, P##_1, fence)                                                                                     \
        CODE(id##_2, P##_2, fence)                                                                                     \
        CODE(id##_3, P##_3, fence)                                                                                     \
        static void (*const id##_code[])(struct actor *, struct litmus_state *) = {id##_0, id##_1, id##_2, id##_3};

TWO_PROGRAMS(sb, SB, NO_FENCE)
TWO_PROGRAMS(sb_fence, SB, FENCE)
TWO_PROGRAMS(mp, MP, NO_FENCE)
TWO_PROGRAMS(mp_fence, MP, FENCE)
TWO_PROGRAMS(lb, LB, NO_FENCE)
TWO_PROGRAMS(lb_fence, LB, FENCE)
TWO_PROGRAMS(r, R, NO_FENCE)
TWO_PROGRAMS(r_fence, R, FENCE)
TWO_PROGRAMS(s, S, NO_FENCE)
TWO_PROGRAMS(s_fence, S, FENCE)
TWO_PROGRAMS(two_plus_two_w, W, NO_FENCE)
TWO_PROGRAMS(two_plus_two_w_fence, W, FENCE)
FOUR_PROGRAMS(iriw, IRIW, NO_FENCE)
FOUR_PROGRAMS(iriw_fence, IRIW, FENCE)

/* ── the scenarios ── */

/* Only the lines that the shape uses: the others would only push trials out of the cache. */
static inline void
litmus_reset(struct litmus_state *s, uint32_t n_locations, uint32_t n_programs)
{
        for (uint32_t i = 0; i < n_locations; i++)
                s->location[i].value = 0;
        for (uint32_t i = 0; i < n_programs; i++)
                for (uint32_t r = 0; r < REGISTERS_MAX; r++)
                        s->registers[i].value[r] = REGISTER_UNSET;
}

#define IN(actor_, register_, value_) {.actor = (actor_), .index = (register_), .value = (value_)},
#define LAST(location_, value_)       {.actor = -1, .index = (location_), .value = (value_)},

/* One shape: its C name, its name, what it asks, the class of its weak outcome and what that means, and the terms
 * by which that is recognised. */
#define SHAPE(id, shown, text, weak, weak_meaning, ...)                                                                \
        static const struct litmus id##_litmus = {                                                                     \
                .programs = id##_programs,                                                                             \
                .n_programs = ARRAY_SIZE(id##_programs),                                                               \
                .n_locations = 2,                                                                                      \
                .witness = {__VA_ARGS__},                                                                              \
                .n_terms = ARRAY_SIZE(((struct litmus_term[]){__VA_ARGS__})),                                          \
                .code = id##_code,                                                                                     \
        };                                                                                                             \
        static const struct outcome id##_outcomes[] = {                                                                \
                {.name = "weak",                                                                                       \
                 .meaning = weak_meaning,                                                                              \
                 .expected = (weak),                                                                                   \
                 .forbidden_by = GUARD_EXCLUDES | GUARD_ATOMIC,                                                        \
                 .is_witness = true},                                                                                  \
                {.name = "sequential", .meaning = "one operation after another, in some order, explains it"},          \
        };                                                                                                             \
        static void id##_reset(void *state, const struct race_spec *spec, uint64_t random)                             \
        {                                                                                                              \
                litmus_reset(state, 2, ARRAY_SIZE(id##_programs));                                                     \
        }                                                                                                              \
        const struct scenario scenario_##id = {                                                                        \
                .name = shown,                                                                                         \
                .summary = text,                                                                                       \
                .flags = SCENARIO_SMALL,                                                                               \
                .actors_min = ARRAY_SIZE(id##_programs),                                                               \
                .actors_max = ARRAY_SIZE(id##_programs),                                                               \
                .actors_def = ARRAY_SIZE(id##_programs),                                                               \
                .permits_def = 1,                                                                                      \
                .guard_def = "none",                                                                                   \
                .outcomes = id##_outcomes,                                                                             \
                .n_outcomes = ARRAY_SIZE(id##_outcomes),                                                               \
                .state_bytes = sizeof(struct litmus_state),                                                            \
                .reset = id##_reset,                                                                                   \
                .litmus = &id##_litmus,                                                                                \
        };

/* A shape and the same with fences, which forbid its weak outcome on every machine. */
#define SHAPES(id, shown, text, weak, weak_meaning, ...)                                                               \
        SHAPE(id, shown, "litmus: " text, weak, weak_meaning, __VA_ARGS__)                                             \
        SHAPE(id##_fence, shown "-fence", "litmus: " text ", with fences", OUTCOME_FORBIDDEN, weak_meaning, __VA_ARGS__)

SHAPES(sb, "sb", "store buffering: each stores one location and then loads the other's", OUTCOME_INTERESTING,
       "both loads missed the other's store: each was done while its own store was still in a buffer",
       IN(0, 0, 0) IN(1, 0, 0))
SHAPES(mp, "mp", "message passing: data, then a flag; the reader looks at the flag, then at the data", WEAK_UNLESS_TSO,
       "the reader saw the flag, but not the data stored before it", IN(1, 0, 1) IN(1, 1, 0))
SHAPES(lb, "lb", "load buffering: each loads one location and then stores the other's", WEAK_UNLESS_TSO,
       "each load saw a store that comes after the other load", IN(0, 0, 1) IN(1, 0, 1))
SHAPES(r, "r", "two stores race with a store and a load", OUTCOME_INTERESTING,
       "the second one's store was the later one, and yet its load missed what was stored before",
       IN(1, 0, 0) LAST(X, 1) LAST(Y, 2))
SHAPES(s, "s", "two stores race with a load and a store", WEAK_UNLESS_TSO,
       "the load saw the second store, and yet the store behind the load came before the first", IN(1, 0, 1) LAST(X, 2))
SHAPES(two_plus_two_w, "2+2w", "two stores each, to the same locations, crosswise", WEAK_UNLESS_TSO,
       "the first store of each came after the second of the other", LAST(X, 1) LAST(Y, 1))
SHAPES(iriw, "iriw", "independent reads of independent writes: two write, two others read both", WEAK_UNLESS_TSO,
       "the two readers saw the two stores in opposite orders", IN(2, 0, 1) IN(2, 1, 0) IN(3, 0, 1) IN(3, 1, 0))
