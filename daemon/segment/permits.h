/* SPDX-License-Identifier: MIT */
/*
 * Permits over a named semaphore that survive SIGKILL of their holders: a token in the semaphore and an owner cell in
 * the segment. See permits.c for the protocol and why it holds.
 */
#ifndef CONCD_PERMITS_H
#define CONCD_PERMITS_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>

#define PERMITS_MAX 64

enum permit_state {
        PERMIT_IDLE,
        PERMIT_ACQUIRING,
        PERMIT_HELD,
        PERMIT_RELEASING,
        PERMIT_RECOVERING,
};

/* Lies in the segment. */
struct permits {
        uint32_t n;                         /* fixed while anybody uses it */
        _Atomic uint32_t cell[PERMITS_MAX]; /* the truth: 0 or slot + 1 */
        _Atomic uint64_t relseq;            /* raised after every freeing of a cell */
        _Atomic uint64_t rescues;           /* permits found by the scan after a wait timed out */
};

/* n permits, all free. The semaphore's value must be n. Only while nobody uses it. */
void permits_init(struct permits *p, uint32_t n);

/* Blocks until `slot` holds a permit; returns its cell. `state` is the slot's; one permit at a time and slot.
 * Never fails: EINTR is waited through. */
uint32_t permits_acquire(struct permits *p, sem_t *sem, uint32_t slot, _Atomic uint32_t *state);

/* As permits_acquire(), but gives up when CLOCK_MONOTONIC comes to `until_ns`: -ETIMEDOUT, and the slot is idle and
 * holds nothing. 0: the cell is in *ret_cell. Takes what is to be had without looking at the clock, so with an
 * `until_ns` of 0 it never waits. */
int permits_acquire_until(struct permits *p, sem_t *sem, uint32_t slot, _Atomic uint32_t *state, uint64_t until_ns,
                          uint32_t *ret_cell);

/* Gives the permit in `cell` back. Does not block. */
void permits_release(struct permits *p, sem_t *sem, uint32_t cell, _Atomic uint32_t *state);

/*
 * Frees what a dead slot held. Only after its process was reaped, one recovery at a time, and before the slot is
 * handed out again. `repair` (may be NULL) puts the guarded data right; it must be idempotent and is called
 * whenever the slot was not idle, before the permit becomes available. Does not block. Returns the number of
 * cells freed.
 */
uint32_t permits_recover(struct permits *p, sem_t *sem, uint32_t slot, _Atomic uint32_t *state,
                         void (*repair)(void *arg), void *arg);

#endif
