/* SPDX-License-Identifier: MIT */
/* Numbers that look random, 1 ns each: xorshift64 (Marsaglia, "Xorshift RNGs", 2003). No secret may depend on them. */
#ifndef CONCD_RANDOM_H
#define CONCD_RANDOM_H

#include <stdint.h>

/* The next one. The state is the caller's; it begins with any number but 0. Not thread safe on one state. */
static inline uint64_t
random_next(uint64_t *state)
{
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

#endif
