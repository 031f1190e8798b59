/* SPDX-License-Identifier: MIT */
/*
 * Exactly-once accounting under SIGKILL.
 *
 * A run's tasks are divided into chunks, one cache line each. The line's word says who owns the chunk, how often
 * its present task has killed its worker, and how many of its tasks are done. All sums exist twice; those that
 * belong to progress p stand at index p & 1. A worker that finished task p writes the sums for p + 1 beside those
 * for p, which nobody can see yet, and then stores the word with progress p + 1 and release order: the commit.
 * Killed before it, the task counts for nothing and is executed again; killed after it, it counts once. Sums that
 * rarely change are made equal in both places (ledger_level()), so that a task that did not fail need not write
 * them. No counter exists beside the lines, so there is nothing that could count twice: done is the sum of all
 * progress.
 *
 * Claiming is one CAS from "no owner" to oneself (acquire, so that the sums of the owner before are seen); giving
 * back and recovering are stores of "no owner" (release). The last commit of a chunk clears the owner in the same
 * store.
 *
 * Contention: one shared cursor costs 32-55 ns a claim when it is fought over. So each worker sweeps its own
 * stripe of the lines and only then steals from the others'. Stripes are cut within each tier of chunk sizes, the
 * small chunks coming last, so that all workers reach the small ones together.
 */
#include "segment/ledger.h"

#include <string.h>

/* With c tasks a chunk in the first tier the default geometry needs 1.75 n / c lines: 7/8 of the tasks in chunks
 * of c, 3/32 in chunks of c/4, 1/32 in chunks of c/16. */
static const struct {
        uint64_t numerator, denominator, divisor;
} tapering[LEDGER_TIERS] = {
        {28, 32, 1},
        {3, 32, 4},
        {1, 32, 16},
};

static uint64_t
div_up(uint64_t a, uint64_t b)
{
        return a / b + (a % b != 0);
}

static void
add_tier(struct ledger_geometry *g, uint64_t *lines, uint64_t first_task, uint64_t tasks, uint64_t chunk)
{
        uint32_t t = g->n_tiers;

        if (tasks == 0)
                return;
        g->chunk[t] = chunk;
        g->first_task[t] = first_task;
        g->first_line[t] = (uint32_t)*lines;
        g->n_tiers++;
        *lines += div_up(tasks, chunk);
}

static int
geometry_finish(struct ledger_geometry *g, uint64_t lines, uint32_t max_lines, uint64_t *ret_lines)
{
        if (ret_lines)
                *ret_lines = lines;
        if (lines > max_lines)
                return LEDGER_E_LINES;
        g->n_lines = (uint32_t)lines;
        g->first_line[g->n_tiers] = (uint32_t)lines;
        g->first_task[g->n_tiers] = g->count;
        return g->chunk[0] > LEDGER_PROGRESS_MAX ? LEDGER_E_LONG : LEDGER_OK;
}

static uint64_t
tapered(struct ledger_geometry *g, uint64_t count, uint64_t chunk)
{
        uint64_t lines = 0, task = 0;

        for (int t = 0; t < LEDGER_TIERS; t++) {
                uint64_t c = MAX(chunk / tapering[t].divisor, 1);
                /* Whole chunks in every tier but the last, which takes what is left. */
                uint64_t want = count / tapering[t].denominator * tapering[t].numerator / c * c;
                uint64_t tasks = t == LEDGER_TIERS - 1 ? count - task : want;

                add_tier(g, &lines, task, tasks, c);
                task += tasks;
        }
        return lines;
}

int
ledger_geometry_init(struct ledger_geometry *g, uint64_t count, uint64_t chunk, uint32_t max_lines, uint64_t *ret_lines)
{
        uint64_t lines = 0, c;

        memset(g, 0, sizeof(*g));
        g->count = count;
        if (chunk == 0 && count > max_lines) {
                /* Rounding up in each tier can need a line or two more than there are: then in steps of less than
                 * 1 %, so that it does not take for ever with 10^13 tasks a line. */
                c = div_up(count, max_lines) * 7 / 4;
                for (;; c += c / 128 + 1) {
                        memset(g, 0, sizeof(*g));
                        g->count = count;
                        lines = tapered(g, count, c);
                        if (lines <= max_lines)
                                break;
                }
        }
        /* Few tasks, a size that was asked for, or tapering would make the first chunks longer than a line can
         * count. */
        if (g->n_tiers == 0 || g->chunk[0] > LEDGER_PROGRESS_MAX) {
                memset(g, 0, sizeof(*g));
                g->count = count;
                lines = 0;
                add_tier(g, &lines, 0, count, chunk ? chunk : div_up(count, max_lines));
        }
        return geometry_finish(g, lines, max_lines, ret_lines);
}

void
ledger_geometry_init_endless(struct ledger_geometry *g, uint32_t seats)
{
        memset(g, 0, sizeof(*g));
        g->count = UINT64_MAX;
        g->n_lines = seats;
        g->n_tiers = 1;
        g->chunk[0] = LEDGER_PROGRESS_MAX;
        g->first_line[1] = seats;
        g->first_task[1] = UINT64_MAX;
}

static uint32_t
line_tier(const struct ledger_geometry *g, uint32_t line)
{
        uint32_t t = 0;

        while (t + 1 < g->n_tiers && line >= g->first_line[t + 1])
                t++;
        return t;
}

uint64_t
ledger_line_base(const struct ledger_geometry *g, uint32_t line)
{
        uint32_t t = line_tier(g, line);

        return g->first_task[t] + (uint64_t)(line - g->first_line[t]) * g->chunk[t];
}

uint64_t
ledger_line_size(const struct ledger_geometry *g, uint32_t line)
{
        uint32_t t = line_tier(g, line);

        return MIN(g->chunk[t], g->first_task[t + 1] - ledger_line_base(g, line));
}

void
ledger_reset(struct ledger_line *lines, const struct ledger_geometry *g)
{
        memset(lines, 0, g->n_lines * sizeof(*lines));
}

void
ledger_sweep_init(struct ledger_sweep *s, const struct ledger_geometry *g, uint32_t seat, uint32_t seats)
{
        *s = (struct ledger_sweep){.geometry = g, .seat = seat, .seats = seats};
}

bool
ledger_sweep_next(struct ledger_sweep *s, uint32_t *ret_line, bool *ret_own)
{
        const struct ledger_geometry *g = s->geometry;
        uint32_t first, length, begin, end;

        while (s->tier < g->n_tiers && s->step == g->first_line[s->tier + 1] - g->first_line[s->tier]) {
                s->tier++;
                s->step = 0;
        }
        if (s->tier == g->n_tiers)
                return false;
        first = g->first_line[s->tier];
        length = g->first_line[s->tier + 1] - first;
        begin = (uint32_t)((uint64_t)length * s->seat / s->seats);
        end = (uint32_t)((uint64_t)length * (s->seat + 1) / s->seats);
        *ret_own = s->step < end - begin;
        *ret_line = first + (begin + s->step++) % length;
        return true;
}

bool
ledger_claim(struct ledger_line *line, uint64_t size, uint32_t owner)
{
        uint64_t word = atomic_load_explicit(&line->word, memory_order_relaxed);

        if (ledger_owner(word) != 0 || ledger_progress(word) >= size)
                return false;
        return atomic_compare_exchange_strong_explicit(&line->word, &word,
                                                       ledger_pack(owner, ledger_attempts(word), ledger_progress(word)),
                                                       memory_order_acquire, memory_order_relaxed);
}

void
ledger_release(struct ledger_line *line)
{
        uint64_t word = atomic_load_explicit(&line->word, memory_order_relaxed);

        if (ledger_owner(word) != 0)
                atomic_store_explicit(&line->word, ledger_pack(0, ledger_attempts(word), ledger_progress(word)),
                                      memory_order_release);
}

/* One line at one instant: what was read is right when the word did not move meanwhile. */
static void
read_line(const struct ledger_line *line, struct ledger_sum *ret)
{
        uint64_t word = atomic_load_explicit(&line->word, memory_order_acquire), again;

        for (;;) {
                uint64_t p = ledger_progress(word);

                *ret = (struct ledger_sum){
                        .done = p,
                        .acc = __atomic_load_n(&line->acc[p & 1], __ATOMIC_ACQUIRE),
                        .failed = __atomic_load_n(&line->failed[p & 1], __ATOMIC_ACQUIRE),
                        .wrong = __atomic_load_n(&line->wrong[p & 1], __ATOMIC_ACQUIRE),
                };
                again = atomic_load_explicit(&line->word, memory_order_relaxed);
                /* The sums of p are overwritten only while p + 1 is being worked on. */
                if (ledger_progress(again) == p)
                        return;
                word = again;
        }
}

void
ledger_sum(const struct ledger_line *lines, const struct ledger_geometry *g, struct ledger_sum *ret)
{
        struct ledger_sum sum = {0}, one;

        for (uint32_t i = 0; i < g->n_lines; i++) {
                read_line(&lines[i], &one);
                sum.done += one.done;
                sum.acc += one.acc;
                sum.failed += one.failed;
                sum.wrong += one.wrong;
        }
        *ret = sum;
}

struct ledger_recovery
ledger_recover(struct ledger_line *lines, const struct ledger_geometry *g, const uint8_t *verdict,
               void (*given_up)(void *arg, uint32_t slot, uint64_t task), void *arg)
{
        struct ledger_recovery r = {0};
        struct ledger_sum sum;

        for (uint32_t i = 0; i < g->n_lines; i++) {
                struct ledger_line *line = &lines[i];
                uint64_t word = atomic_load_explicit(&line->word, memory_order_acquire);
                uint32_t owner = ledger_owner(word), attempts = ledger_attempts(word);
                uint8_t v = owner ? verdict[owner - 1] : LEDGER_ALIVE;

                if (v == LEDGER_ALIVE)
                        continue;
                r.freed++;
                if (v == LEDGER_CHARGE && ++attempts >= LEDGER_ATTEMPTS_MAX)
                        v = LEDGER_GIVE_UP;
                if (v != LEDGER_GIVE_UP) {
                        atomic_store_explicit(&line->word, ledger_pack(0, attempts, ledger_progress(word)),
                                              memory_order_release);
                        continue;
                }
                if (given_up)
                        given_up(arg, owner - 1, ledger_line_base(g, i) + ledger_progress(word));
                ledger_open(line, &sum);
                sum.failed++;
                ledger_commit(line, 0, ledger_line_size(g, i), &sum);
                r.given_up++;
        }
        return r;
}
