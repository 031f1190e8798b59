/* SPDX-License-Identifier: MIT */
/*
 * A ring of bytes. head and tail count bytes for ever; a place in the ring is a count modulo its size, and entries run
 * over its end. Making room moves the tail first; then the bytes are written, which nobody can see yet; then the head
 * moves: one store, and the entry is there.
 */
#include "segment/journal.h"

#include "shared/base.h"

#include <errno.h>
#include <string.h>

#define ENTRY_ALIGN 16

struct entry {
        uint64_t length; /* of the text */
        uint64_t checksum;
};

uint64_t
checksum_add(uint64_t hash, const void *bytes, size_t size)
{
        const unsigned char *p = bytes;

        for (size_t i = 0; i < size; i++)
                hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
        return hash;
}

static uint64_t
entry_size(uint64_t length)
{
        return (sizeof(struct entry) + length + ENTRY_ALIGN - 1) / ENTRY_ALIGN * ENTRY_ALIGN;
}

static void
put(struct journal *j, uint64_t at, const void *from, size_t size)
{
        size_t place = at % JOURNAL_BYTES, first = MIN(size, JOURNAL_BYTES - place);

        memcpy(j->bytes + place, from, first);
        memcpy(j->bytes, (const char *)from + first, size - first);
}

static void
get(const struct journal *j, uint64_t at, void *to, size_t size)
{
        size_t place = at % JOURNAL_BYTES, first = MIN(size, JOURNAL_BYTES - place);

        memcpy(to, j->bytes + place, first);
        memcpy((char *)to + first, j->bytes, size - first);
}

int
journal_append(struct journal *j, const char *text, size_t length)
{
        uint64_t head = atomic_load_explicit(&j->head, memory_order_relaxed);
        uint64_t tail = atomic_load_explicit(&j->tail, memory_order_relaxed);
        struct entry entry = {.length = length}, oldest;

        if (length > JOURNAL_BYTES || entry_size(length) > JOURNAL_BYTES)
                return -EMSGSIZE;
        entry.checksum = checksum_add(CHECKSUM_INIT, text, length);
        while (head + entry_size(length) - tail > JOURNAL_BYTES) {
                get(j, tail, &oldest, sizeof(oldest));
                tail += entry_size(oldest.length);
        }
        atomic_store_explicit(&j->tail, tail, memory_order_release);
        put(j, head, &entry, sizeof(entry));
        put(j, head + sizeof(entry), text, length);
        atomic_store_explicit(&j->head, head + entry_size(length), memory_order_release);
        return 0;
}

char *
journal_next(const struct journal *j, uint64_t *position)
{
        uint64_t head = atomic_load_explicit(&j->head, memory_order_acquire);
        uint64_t at = MAX(*position, atomic_load_explicit(&j->tail, memory_order_acquire));
        struct entry entry;
        char *text;

        if (at >= head)
                return NULL;
        get(j, at, &entry, sizeof(entry));
        text = malloc(entry.length + 1);
        if (!text)
                return NULL;
        get(j, at + sizeof(entry), text, entry.length);
        text[entry.length] = 0;
        *position = at + entry_size(entry.length);
        return text;
}

/* The sum over a text that may run over the end. */
static uint64_t
checksum_at(const struct journal *j, uint64_t at, size_t size)
{
        size_t place = at % JOURNAL_BYTES, first = MIN(size, JOURNAL_BYTES - place);

        return checksum_add(checksum_add(CHECKSUM_INIT, j->bytes + place, first), j->bytes, size - first);
}

int
journal_check(struct journal *j)
{
        uint64_t head = atomic_load(&j->head), at = atomic_load(&j->tail);
        struct entry entry = {0};

        while (at < head && head - at <= JOURNAL_BYTES && at % ENTRY_ALIGN == 0 && head % ENTRY_ALIGN == 0) {
                get(j, at, &entry, sizeof(entry));
                if (entry.length > JOURNAL_BYTES || entry_size(entry.length) > head - at ||
                    checksum_at(j, at + sizeof(entry), entry.length) != entry.checksum)
                        break;
                at += entry_size(entry.length);
        }
        if (at == head)
                return 0;
        atomic_store(&j->tail, 0);
        atomic_store(&j->head, 0);
        return -EBADMSG;
}
