/* SPDX-License-Identifier: MIT */
/* What a fuzz target has to offer: libFuzzer calls it, or, where there is none, driver.c. */
#ifndef CONCD_FUZZ_H
#define CONCD_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input as a string of the caller's, up to its first NUL. */
static inline char *
fuzz_text(const uint8_t *data, size_t size)
{
        char *text = malloc(size + 1);

        memcpy(text, data, size);
        text[size] = 0;
        return text;
}

/* A property that must hold for every input. */
#define MUST(condition)                                                                                                \
        do {                                                                                                           \
                if (!(condition)) {                                                                                    \
                        fprintf(stderr, "%s:%d: must be: %s\n", __FILE__, __LINE__, #condition);                       \
                        abort();                                                                                       \
                }                                                                                                      \
        } while (0)

#endif
