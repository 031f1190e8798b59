/* SPDX-License-Identifier: MIT */
/*
 * driver TARGET-NAME MUTATIONS DICTIONARY SEED...: a fuzz target without libFuzzer. Runs every seed as it is, and then
 * a fixed number of mutations that are the same in every run, so that what was once found stays found on every
 * compiler.
 */
#include "fuzz.h"

#include "shared/random.h"

#include <string.h>

#define INPUT_MAX 65536
#define WORDS_MAX 256

static struct {
        unsigned char *bytes;
        size_t size;
} seeds[1024], words[WORDS_MAX];
static size_t n_seeds, n_words;
static uint64_t state = 88172645463325252u;

static uint64_t
next(uint64_t below)
{
        return random_next(&state) % below;
}

static void
read_seed(const char *path)
{
        FILE *f = fopen(path, "rb");

        if (!f || n_seeds == sizeof(seeds) / sizeof(seeds[0])) {
                fprintf(stderr, "cannot read %s\n", path);
                exit(70);
        }
        seeds[n_seeds].bytes = malloc(INPUT_MAX);
        seeds[n_seeds].size = fread(seeds[n_seeds].bytes, 1, INPUT_MAX, f);
        n_seeds++;
        fclose(f);
}

/* Lines of the form "text", with \" \\ and \xNN, as libFuzzer reads them. */
static void
read_words(const char *path)
{
        char line[512];
        FILE *f = fopen(path, "r");

        while (f && fgets(line, sizeof(line), f) && n_words < WORDS_MAX) {
                char *from = strchr(line, '"'), *end = strrchr(line, '"');
                unsigned char *to;
                unsigned byte;

                if (line[0] == '#' || !from || end == from)
                        continue;
                to = words[n_words].bytes = malloc(sizeof(line));
                for (from++; from < end; from++) {
                        if (from[0] == '\\' && from[1] == 'x' && sscanf(from + 2, "%2x", &byte) == 1) {
                                *to++ = (unsigned char)byte;
                                from += 3;
                        } else {
                                from += from[0] == '\\';
                                *to++ = (unsigned char)*from;
                        }
                }
                words[n_words].size = (size_t)(to - words[n_words].bytes);
                n_words++;
        }
        if (f)
                fclose(f);
}

/* Replaces `drop` bytes at `at` by others. */
static size_t
splice(unsigned char *bytes, size_t size, size_t at, size_t drop, const unsigned char *put, size_t n)
{
        drop = drop < size - at ? drop : size - at;
        if (size - drop + n > INPUT_MAX)
                return size;
        memmove(bytes + at + n, bytes + at + drop, size - at - drop);
        memcpy(bytes + at, put, n);
        return size - drop + n;
}

static size_t
mutate(unsigned char *bytes, size_t size)
{
        size_t at = next(size + 1), other = next(n_seeds), begin;
        unsigned char one = (unsigned char)next(256);

        switch (next(7)) {
        case 0: /* flip a bit */
                if (at < size)
                        bytes[at] ^= (unsigned char)(1 << next(8));
                return size;
        case 1: /* another byte */
                return splice(bytes, size, at, 1, &one, 1);
        case 2: /* cut */
                return splice(bytes, size, at, next(16) + 1, bytes, 0);
        case 3: /* cut off */
                return at;
        case 4: /* a word */
                if (n_words > 0) {
                        size_t w = next(n_words);

                        return splice(bytes, size, at, next(2) * words[w].size, words[w].bytes, words[w].size);
                }
                return splice(bytes, size, at, 0, &one, 1);
        case 5: /* a part of another seed */
                begin = next(seeds[other].size + 1);
                return splice(bytes, size, at, next(32), seeds[other].bytes + begin,
                              next(seeds[other].size - begin + 1));
        default: /* a byte more */
                return splice(bytes, size, at, 0, &one, 1);
        }
}

int
main(int argc, char **argv)
{
        static unsigned char bytes[INPUT_MAX];
        long mutations = argc > 4 ? atol(argv[2]) : 0;

        if (argc < 5)
                return 64;
        LLVMFuzzerInitialize(&argc, &argv);
        read_words(argv[3]);
        for (int i = 4; i < argc; i++)
                read_seed(argv[i]);
        for (size_t i = 0; i < n_seeds; i++)
                LLVMFuzzerTestOneInput(seeds[i].bytes, seeds[i].size);
        printf("ok 1 - %s: %zu seeds\n", argv[1], n_seeds);
        fflush(stdout);
        for (long i = 0; i < mutations; i++) {
                size_t seed = next(n_seeds), size = seeds[seed].size;

                memcpy(bytes, seeds[seed].bytes, size);
                for (uint64_t n = 1 + next(4); n > 0; n--)
                        size = mutate(bytes, size);
                LLVMFuzzerTestOneInput(bytes, size);
        }
        printf("ok 2 - %s: %ld mutations\n1..2\n", argv[1], mutations);
        return 0;
}
