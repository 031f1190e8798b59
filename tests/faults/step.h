/* SPDX-License-Identifier: MIT */
/*
 * A child that is executed instruction by instruction, to be killed or left standing between any two of them. A sweep
 * plays one case for each instruction of `body`, and forks a child for each:
 *
 *     FOR_EVERY_INSTRUCTION(sweep) {
 *             stepped_start(&p, prepare, body, arg);   stands before the first instruction of body
 *             stepped_go(&p, &sweep);                  has executed sweep.k of them, or sleeps, or has ended
 *             stepped_kill(&p); or stepped_let_go(&p) ... stepped_end(&p);
 *     }
 *
 * A single step costs up to 30 microseconds in a virtual machine. So a sweep remembers where the child of the case
 * before stood, and the next one runs there by itself and is stepped only from there.
 *
 * No child outlives the process that started it. One thread.
 */
#ifndef CONCD_TEST_STEP_H
#define CONCD_TEST_STEP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum step {
        STEP_STANDS,
        STEP_ASLEEP, /* in a system call; the step goes on */
        STEP_ENDED,  /* body has returned */
};

struct stepped {
        pid_t pid;
        _Atomic uint32_t *ended; /* shared with the child: body has returned */
        bool pending;            /* a step was begun and has not ended */
        bool let_go;
};

/* Does the kernel let this process trace its children? */
bool step_permitted(void);

/* Forks it; `prepare` (may be NULL) runs before, unstepped, and must not block. Aborts when the kernel refuses. */
void stepped_start(struct stepped *p, void (*prepare)(void *arg), void (*body)(void *arg), void *arg);

struct sweep {
        unsigned k;    /* instructions of this case */
        enum step now; /* how the case's steps ended; the sweep ends when it is not STEP_STANDS */
        /* where the instructions are, as far as they were stepped through, and how often each was met before */
        struct sweep_step {
                uintptr_t at;
                unsigned before;
        } * step;
        unsigned n, size;
};

void sweep_end(struct sweep *s);

/* Under a sanitizer, whose instructions are many, only some of them. */
unsigned sweep_stride(void);

#define FOR_EVERY_INSTRUCTION(s)                                                                                       \
        for (__attribute__((cleanup(sweep_end))) struct sweep s = {0}; s.now == STEP_STANDS; s.k += sweep_stride())

/* Executes the next s->k instructions, or goes on with the one that it slept in. Always from the same place in one
 * sweep. */
enum step stepped_go(struct stepped *p, struct sweep *s);

/* Lets it run into its next system call and sleep there; STEP_STANDS behind that call if it does not. */
enum step stepped_go_to_sleep(struct stepped *p);

/* Kills it where it stands or sleeps, and reaps it. */
void stepped_kill(struct stepped *p);

/* Lets it run freely. */
void stepped_let_go(struct stepped *p);

/* Has body returned? */
bool stepped_has_ended(const struct stepped *p);

/* Awaits the end of one that was let go. Whether it ended well. */
bool stepped_end(struct stepped *p);

/* Forks a child that dies with this process, and does not return from body. */
pid_t step_fork(void (*body)(void *arg), void *arg);

/*
 * Are all of them asleep in the kernel, at one and the same instant? Then, if nobody else is there to wake them, they
 * stay so. Each is looked at twice, and has not run in between. At most 16.
 */
bool step_all_asleep(const pid_t *pids, unsigned n);

#endif
