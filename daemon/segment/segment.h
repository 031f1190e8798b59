/* SPDX-License-Identifier: MIT */
/* The life of the shared-memory segment /concd.<uid>.<instance>: create, find one's way in it, take it away. */
#ifndef CONCD_SEGMENT_H
#define CONCD_SEGMENT_H

#include "segment/layout.h"
#include "shared/base.h"

#include <stdbool.h>

#define SEGMENT_NAME_MAX   96
#define SEGMENT_REASON_MAX 160

struct segment {
        char name[SEGMENT_NAME_MAX]; /* as in shm_open(3) */
        struct segment_header *header;
        struct run *run;
        struct record *record;
        struct slot *slots;
        struct seat *seats;
        struct ledger_line *ledger;
        struct race *race;
        struct race_actor *race_actors; /* of seat i: [i] */
        struct trace *traces;           /* one a seat */
        struct compare *compare;
};

/* Slot numbers: the thread host, then the processes, then the threads. */
#define SLOT_THREAD_HOST 0u
static inline uint32_t
segment_process_slot(const struct segment *s, uint32_t i)
{
        (void)s;
        return 1 + i;
}

static inline uint32_t
segment_thread_slot(const struct segment *s, uint32_t i)
{
        return 1 + s->header->max_workers + i;
}

void segment_name(char buf[SEGMENT_NAME_MAX], uid_t uid, const char *instance);

/* Creates it, mode 0600, all its memory reserved (a full /dev/shm is -ENOSPC here and never a SIGBUS later), all
 * slots free. 0 or -errno, logged; -EEXIST when the name is taken: nothing was changed then. */
int segment_create(struct segment *s, uid_t uid, const char *instance, uint32_t max_workers, uint32_t ledger_chunks);

/* Unmaps; the name stays. */
void segment_unmap(struct segment *s);

/* Takes the name away. */
void segment_unlink(const struct segment *s);

/* Positive results of segment_adopt(). */
enum segment_error {
        SEGMENT_OK = 0,
        SEGMENT_E_UNFIT, /* there is one, and it cannot be used */
};

/*
 * Takes over the segment that a dead daemon of this instance left. Only with both locks of the instance in hand. It
 * is ours from then on; what is in it is as it was left, and nothing of it but the header has been checked. 0;
 * SEGMENT_E_UNFIT with the reason in words; -ENOENT when there is none; -EBUSY when its supervisor still lives; or
 * another -errno.
 */
int segment_adopt(struct segment *s, uid_t uid, const char *instance, uint32_t max_workers, uint32_t ledger_chunks,
                  char reason[SEGMENT_REASON_MAX]);

/* Is this the beginning of a segment of ours, made since the machine was started, whose file has `size` bytes? Reads
 * nothing behind the header. If not, false and the reason in words. */
bool segment_check(const struct segment_header *h, uint64_t size, uid_t uid, const char *instance,
                   char reason[SEGMENT_REASON_MAX]);

/* Takes the name of a segment that cannot be used away, whatever it is. 0, or -errno, logged. */
int segment_remove(uid_t uid, const char *instance);

/* Calls fn for every process that the slots of a stale segment name: slot, pid and start time. */
int segment_stale_processes(uid_t uid, const char *instance, void (*fn)(void *arg, pid_t pid, uint64_t start_time),
                            void *arg);

#endif
