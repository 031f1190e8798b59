/* SPDX-License-Identifier: MIT */
/*
 * The task ledger: the run's array of chunks, and the truth of what is done. See ledger.c for the protocol.
 */
#ifndef CONCD_LEDGER_H
#define CONCD_LEDGER_H

#include "segment/layout.h"
#include "shared/base.h"

#include <stdbool.h>

#define LEDGER_PROGRESS_MAX ((UINT64_C(1) << 40) - 1)
#define LEDGER_ATTEMPTS_MAX 3 /* deaths of its own that a task may cause before it is given up */

static inline uint64_t
ledger_pack(uint32_t owner, uint32_t attempts, uint64_t progress)
{
        return (uint64_t)owner << 48 | (uint64_t)attempts << 40 | progress;
}

static inline uint32_t
ledger_owner(uint64_t word)
{
        return (uint32_t)(word >> 48);
}

static inline uint32_t
ledger_attempts(uint64_t word)
{
        return (uint32_t)(word >> 40) & 0xff;
}

static inline uint64_t
ledger_progress(uint64_t word)
{
        return word & LEDGER_PROGRESS_MAX;
}

/* Positive results of ledger_geometry_init(). */
enum ledger_error {
        LEDGER_OK = 0,
        LEDGER_E_LINES, /* the chunk size needs more lines than there are */
        LEDGER_E_LONG,  /* a chunk would be longer than 2^40 - 1 tasks */
};

/*
 * Divides `count` tasks. chunk 0 chooses a size and tapers it towards the end, so that the workers finish
 * together; another one is taken as it is, for all chunks. *ret_lines (may be NULL) receives the number of lines
 * needed, also when that is too many.
 */
int ledger_geometry_init(struct ledger_geometry *g, uint64_t count, uint64_t chunk, uint32_t max_lines,
                         uint64_t *ret_lines);

/* One line without end for each seat, for a run by duration. */
void ledger_geometry_init_endless(struct ledger_geometry *g, uint32_t seats);

/* Number of tasks of a line, and the index of its first one. */
uint64_t ledger_line_size(const struct ledger_geometry *g, uint32_t line);
uint64_t ledger_line_base(const struct ledger_geometry *g, uint32_t line);

/* Everything free and nothing done. Only while no run is open. */
void ledger_reset(struct ledger_line *lines, const struct ledger_geometry *g);

/* The order in which one worker looks at the lines: tier by tier, its own stripe first, then the others'. */
struct ledger_sweep {
        const struct ledger_geometry *geometry;
        uint32_t seat, seats;
        uint32_t tier, step;
};

void ledger_sweep_init(struct ledger_sweep *s, const struct ledger_geometry *g, uint32_t seat, uint32_t seats);

/* The next line to try, or false at the end. *ret_own: it is of the worker's own stripe. */
bool ledger_sweep_next(struct ledger_sweep *s, uint32_t *ret_line, bool *ret_own);

/* Takes a line that is free and not complete; false when it is neither. Acquire. */
bool ledger_claim(struct ledger_line *line, uint64_t size, uint32_t owner);

/* Gives an unfinished line back, progress and attempts kept. Release. Only the owner. */
void ledger_release(struct ledger_line *line);

/* What is done of a line, or of all of them. */
struct ledger_sum {
        uint64_t done, acc, failed, wrong;
};

/* Begins to work on a claimed line: what was done of it so far. Returns the owner's part of its word. Only the
 * owner. */
static inline uint64_t
ledger_open(const struct ledger_line *line, struct ledger_sum *ret)
{
        uint64_t word = atomic_load_explicit(&line->word, memory_order_relaxed), p = ledger_progress(word);

        *ret = (struct ledger_sum){
                .done = p,
                .acc = line->acc[p & 1],
                .failed = line->failed[p & 1],
                .wrong = line->wrong[p & 1],
        };
        return ledger_pack(ledger_owner(word), 0, 0);
}

/*
 * Commits the next task of a line: all that counts for it appears with one store. `sum` is what is done of the line
 * without the task in `done` and with it in the other members; done is raised. Only the owner.
 */
static inline void
ledger_commit(struct ledger_line *line, uint64_t owner, uint64_t size, struct ledger_sum *sum)
{
        uint64_t p = ++sum->done;

        /* Release, so that a reader who sees these sees the commit before, too (read_line() in ledger.c). */
        __atomic_store_n(&line->acc[p & 1], sum->acc, __ATOMIC_RELEASE);
        __atomic_store_n(&line->failed[p & 1], sum->failed, __ATOMIC_RELEASE);
        __atomic_store_n(&line->wrong[p & 1], sum->wrong, __ATOMIC_RELEASE);
        atomic_store_explicit(&line->word, p == size ? p : owner | p, memory_order_release);
}

/* Brings both copies of what rarely changes up to date: `sum` is what is committed. Afterwards ledger_commit_success()
 * may be used until the next ledger_commit(). Only the owner. */
static inline void
ledger_level(struct ledger_line *line, const struct ledger_sum *sum)
{
        uint64_t next = (sum->done + 1) & 1;

        __atomic_store_n(&line->failed[next], sum->failed, __ATOMIC_RELEASE);
        __atomic_store_n(&line->wrong[next], sum->wrong, __ATOMIC_RELEASE);
}

/* ledger_commit() of a task that did not fail and is not the line's last one: `failed` and `wrong` stand there
 * already. */
static inline void
ledger_commit_success(struct ledger_line *line, uint64_t owner, struct ledger_sum *sum)
{
        uint64_t p = ++sum->done;

        __atomic_store_n(&line->acc[p & 1], sum->acc, __ATOMIC_RELEASE);
        atomic_store_explicit(&line->word, owner | p, memory_order_release);
}

/* Adds up all lines; while workers run, each line is of one instant, but not all of the same. */
void ledger_sum(const struct ledger_line *lines, const struct ledger_geometry *g, struct ledger_sum *ret);

/* What happens to the task that a dead owner was at. */
enum ledger_verdict {
        LEDGER_ALIVE = 0, /* this owner is not dead */
        LEDGER_FREE,      /* killed from outside: it is executed again */
        LEDGER_CHARGE,    /* died of its own doing: an attempt, and given up at the third */
        LEDGER_GIVE_UP,   /* timed out: given up at once */
};

#define LEDGER_OWNERS (1u << 16) /* that a word can name, whether there are such slots or not */

struct ledger_recovery {
        uint64_t freed;    /* lines that had a dead owner */
        uint64_t given_up; /* tasks counted as failed */
};

/*
 * Frees the lines of all dead owners in one pass. verdict[] has one enum ledger_verdict per slot that may stand in a
 * line: LEDGER_OWNERS of them when the lines cannot be trusted; `given_up` (may
 * be NULL) is called with slot and task index for every task that is. One store a line, so a recovery that is
 * killed can be repeated. Only after the owners were reaped.
 */
struct ledger_recovery ledger_recover(struct ledger_line *lines, const struct ledger_geometry *g,
                                      const uint8_t *verdict, void (*given_up)(void *arg, uint32_t slot, uint64_t task),
                                      void *arg);

#endif
