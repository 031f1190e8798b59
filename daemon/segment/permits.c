/* SPDX-License-Identifier: MIT */
/*
 * A POSIX semaphore has no owner and no undo: a holder that is killed takes its permit with it, and nobody can
 * tell. Here every permit is two things: a token in the named semaphore, which is what waiters sleep on, and a
 * cell in the segment that names its owner. The cells are the truth; the tokens are how one waits for them.
 *
 *     acquire: state=ACQUIRING; take a token; then claim a free cell → HELD.
 *     release: state=RELEASING; free the cell; relseq++; post; state=IDLE.
 *     recover: (the process was reaped) state=RECOVERING; repair; free the dead one's cells; relseq++; post for each
 *              of them, and once more unless it surely needed none; drop the surplus; state=IDLE.
 *
 * Let T be the semaphore's value, A those alive with a token and no cell yet, P those alive that freed a cell and
 * have not posted, D the dead in ACQUIRING, RELEASING or RECOVERING who are not recovered yet, F the free cells.
 * Then T + A + P + D >= F always: whoever is entitled to a cell finds a token sooner or later. The windows in
 * which one cannot know whether the dead one had a token (between wait and cell) or had posted (between cell and
 * post) get one post too many rather than too few. That cannot grant too much, because it is the cell that
 * grants.
 *
 * A token without a free cell may be dropped only when relseq did not move during the scan: then every cell that
 * was freed behind the scan's back has its post still to come. RECOVERING makes a recovery that is itself killed
 * post too often, never too seldom. The surplus is clipped before state=IDLE, and clipping gives back when it
 * took too much: clipping later, or two at once, can lose the last token.
 *
 * A waiter may give up, since it then has no token and stands in none of T, A, P and D: it takes nothing with it. Two
 * things must hold for that. A wake-up must not be lost in a waiter that leaves: the kernel says "timed out" only to
 * who was not woken, and whoever was woken looks at the value again before it looks at the time. And a token that it
 * took must have ended as a cell or have been dropped by the rule above; it gives up only in wait_token(), where it has
 * none. Killed on its way out it still says ACQUIRING and gets the post of those who may have had a token. It does not
 * look for a cell without a token unless it waited for the whole limit, as all do: else each such look could pass by a
 * release that is about to post, and leave a token too many.
 *
 * Orders: freeing a cell is a release and comes before relseq++ (acq_rel), which comes before the post; relseq is
 * loaded with acquire; the cell's CAS is acq_rel, acquire when it fails; the state is stored with release. No
 * seq_cst fence is needed; each of these weakened alone loses a token.
 */
#include "segment/permits.h"

#include "shared/base.h"
#include "shared/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <time.h>

/* The longest sleep before the cells are looked at again: a worker that is stopped between token and cell holds
 * others up no longer than this. */
#define WAIT_LIMIT_S 1

void
permits_init(struct permits *p, uint32_t n)
{
        p->n = n;
        for (uint32_t i = 0; i < PERMITS_MAX; i++)
                atomic_store_explicit(&p->cell[i], 0, memory_order_relaxed);
        atomic_store_explicit(&p->relseq, 0, memory_order_relaxed);
        atomic_store_explicit(&p->rescues, 0, memory_order_relaxed);
}

/* Claims a free cell for `slot`, beginning at its own place so that neighbours do not collide. */
static bool
claim_cell(struct permits *p, uint32_t slot, uint32_t *ret_cell)
{
        for (uint32_t i = 0; i < p->n; i++) {
                uint32_t c = (slot + i) % p->n, free = 0;

                if (atomic_compare_exchange_strong_explicit(&p->cell[c], &free, slot + 1, memory_order_acq_rel,
                                                            memory_order_acquire)) {
                        *ret_cell = c;
                        return true;
                }
        }
        return false;
}

/* Takes a token: 0; -EAGAIN when the wait limit passed without one, -ETIMEDOUT when `until_ns` came before that. */
static int
wait_token(sem_t *sem, uint64_t until_ns)
{
        uint64_t now, end;
        struct timespec ts;

        if (sem_trywait(sem) == 0)
                return 0;
        now = clock_now_ns();
        if (now >= until_ns)
                return -ETIMEDOUT;
        end = MIN(until_ns, now + WAIT_LIMIT_S * NS_PER_S);
        ts = (struct timespec){.tv_sec = (time_t)(end / NS_PER_S), .tv_nsec = (long)(end % NS_PER_S)};
        for (;;) {
                if (sem_clockwait(sem, CLOCK_MONOTONIC, &ts) == 0)
                        return 0;
                if (errno != EINTR)
                        return end == until_ns ? -ETIMEDOUT : -EAGAIN;
        }
}

int
permits_acquire_until(struct permits *p, sem_t *sem, uint32_t slot, _Atomic uint32_t *state, uint64_t until_ns,
                      uint32_t *ret_cell)
{
        uint32_t cell;
        uint64_t seen;
        int r;

        atomic_store_explicit(state, PERMIT_ACQUIRING, memory_order_release);
        for (;;) {
                r = wait_token(sem, until_ns);
                if (r == -ETIMEDOUT) {
                        atomic_store_explicit(state, PERMIT_IDLE, memory_order_release);
                        return r;
                }
                if (r < 0) {
                        if (!claim_cell(p, slot, &cell))
                                continue;
                        atomic_fetch_add_explicit(&p->rescues, 1, memory_order_relaxed);
                        break;
                }
                do {
                        seen = atomic_load_explicit(&p->relseq, memory_order_acquire);
                        if (claim_cell(p, slot, &cell))
                                goto held;
                } while (atomic_load_explicit(&p->relseq, memory_order_acquire) != seen);
                /* The token was surplus: drop it. */
        }
held:
        atomic_store_explicit(state, PERMIT_HELD, memory_order_release);
        *ret_cell = cell;
        return 0;
}

uint32_t
permits_acquire(struct permits *p, sem_t *sem, uint32_t slot, _Atomic uint32_t *state)
{
        uint32_t cell;

        while (permits_acquire_until(p, sem, slot, state, UINT64_MAX, &cell) < 0)
                ;
        return cell;
}

void
permits_release(struct permits *p, sem_t *sem, uint32_t cell, _Atomic uint32_t *state)
{
        atomic_store_explicit(state, PERMIT_RELEASING, memory_order_release);
        atomic_store_explicit(&p->cell[cell], 0, memory_order_release);
        atomic_fetch_add_explicit(&p->relseq, 1, memory_order_acq_rel);
        sem_post(sem);
        atomic_store_explicit(state, PERMIT_IDLE, memory_order_release);
}

/* Takes tokens off while there are more than n; gives one back when somebody else was faster. */
static void
clip_surplus(struct permits *p, sem_t *sem)
{
        int value;

        while (sem_getvalue(sem, &value) == 0 && value > (int)p->n && sem_trywait(sem) == 0) {
                if (sem_getvalue(sem, &value) == 0 && value < (int)p->n) {
                        sem_post(sem);
                        break;
                }
        }
}

uint32_t
permits_recover(struct permits *p, sem_t *sem, uint32_t slot, _Atomic uint32_t *state, void (*repair)(void *arg),
                void *arg)
{
        uint32_t was = atomic_load_explicit(state, memory_order_acquire), freed = 0;

        if (was == PERMIT_IDLE)
                return 0;
        atomic_store_explicit(state, PERMIT_RECOVERING, memory_order_release);
        if (repair)
                repair(arg);
        for (uint32_t c = 0; c < p->n; c++) {
                uint32_t dead = slot + 1;

                if (atomic_compare_exchange_strong_explicit(&p->cell[c], &dead, 0, memory_order_acq_rel,
                                                            memory_order_acquire))
                        freed++;
        }
        atomic_fetch_add_explicit(&p->relseq, 1, memory_order_acq_rel);
        for (uint32_t i = 0; i < freed + (was != PERMIT_HELD); i++)
                sem_post(sem);
        clip_surplus(p, sem);
        atomic_store_explicit(state, PERMIT_IDLE, memory_order_release);
        return freed;
}
