/* SPDX-License-Identifier: MIT */
/* The list of all scenarios, for the table of scenarios.c. */
#ifndef CONCD_SCENARIOS_BUILTIN_H
#define CONCD_SCENARIOS_BUILTIN_H

#include "scenarios/scenario.h"

/* One row each; the first is the default. Every row of the first list has a file of its name beside this one,
 * those of the second are in litmus.c. */
#define BUILTIN_SCENARIOS(X)                                                                                           \
        X(counter)                                                                                                     \
        X(lost_update)                                                                                                 \
        X(check_then_act)                                                                                              \
        X(bank_transfer)                                                                                               \
        X(torn_read)                                                                                                   \
        X(producer_consumer)                                                                                           \
        X(readers_writers)                                                                                             \
        X(dining_philosophers)                                                                                         \
        X(peterson)                                                                                                    \
        X(dekker)                                                                                                      \
        X(aba)                                                                                                         \
        X(publication)                                                                                                 \
        X(barrier_reuse)                                                                                               \
        X(lock_convoy)                                                                                                 \
        X(thundering_herd)                                                                                             \
        X(permit_leak)

#define BUILTIN_LITMUS(X)                                                                                              \
        X(sb)                                                                                                          \
        X(sb_fence)                                                                                                    \
        X(mp)                                                                                                          \
        X(mp_fence)                                                                                                    \
        X(lb)                                                                                                          \
        X(lb_fence)                                                                                                    \
        X(r)                                                                                                           \
        X(r_fence)                                                                                                     \
        X(s)                                                                                                           \
        X(s_fence)                                                                                                     \
        X(two_plus_two_w)                                                                                              \
        X(two_plus_two_w_fence)                                                                                        \
        X(iriw)                                                                                                        \
        X(iriw_fence)

#define BUILTIN_DECLARE(name) extern const struct scenario scenario_##name;
BUILTIN_SCENARIOS(BUILTIN_DECLARE)
BUILTIN_LITMUS(BUILTIN_DECLARE)
#undef BUILTIN_DECLARE

#endif
