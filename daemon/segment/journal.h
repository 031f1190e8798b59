/* SPDX-License-Identifier: MIT */
/*
 * A journal in shared memory: texts, the oldest forgotten when there is no room for a new one. Survives SIGKILL of its
 * writer at any instruction: an entry is there whole or not at all. One writer, and readers only while it is at rest.
 */
#ifndef CONCD_JOURNAL_H
#define CONCD_JOURNAL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define JOURNAL_BYTES (1024 * 1024)

/* Lies in the segment; all zero is an empty one. */
struct journal {
        _Atomic uint64_t head; /* bytes ever written */
        _Atomic uint64_t tail; /* of the oldest entry that is still there */
        unsigned char bytes[JOURNAL_BYTES];
};

/* Appends a text. 0, or -EMSGSIZE when it is longer than the whole journal. */
int journal_append(struct journal *j, const char *text, size_t length);

/* The text at *position (0 begins with the oldest), malloc'ed and ended by a NUL; *position moves on to the next. NULL
 * at the end, and without memory. */
char *journal_next(const struct journal *j, uint64_t *position);

/* Is everything in it whole? If not it is emptied, and -EBADMSG returned. */
int journal_check(struct journal *j);

/* FNV-1a (Fowler, Noll, Vo) over bytes: tells what was torn or flipped from what was written; no defence. `hash` is the
 * sum so far, CHECKSUM_INIT at first. */
#define CHECKSUM_INIT UINT64_C(0xcbf29ce484222325)
uint64_t checksum_add(uint64_t hash, const void *bytes, size_t size);

#endif
