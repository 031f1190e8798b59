/* SPDX-License-Identifier: MIT */
/*
 * What a worker did when, for a picture: spans of one run that is traced. A traced run is not measured: its times serve
 * for the picture only. One area for each seat, written by the worker that holds the seat; the supervisor reads it when
 * nobody is on the seat any more, and empties it before a run. No pointers inside; all zeros is an empty one.
 *
 * Spans stand in the order in which the first parts of them ended. Those of different kinds lie within each other: a
 * task's TRACE_RUN span holds all waits of that task, which take precedence in a picture; a wait that lies in none
 * was between two tasks. Under the interpreter lock what is left of the TRACE_RUN spans of two seats never overlaps,
 * unless a task blocks: its mark comes after the lock is free.
 *
 * Joining. A TRACE_RUN span is joined to the last one of its kind when the gap between them is less than join_ns,
 * whatever waits lie in between, because these have spans of their own. A wait is joined to the last one of its kind
 * under the same condition, but one of join_ns or longer always stands alone: so what a thread did for a moment between
 * two long waits is not swallowed, and a convoy is seen as the alternation that it is. A run of W ns leaves at most
 * 5 * W / join_ns + 3 spans on a seat: between two waits of a kind that are not joined lies a gap, or a long wait,
 * of at least join_ns, and all these are disjoint.
 *
 * What is not seen: a task that was given up or did not end; with all tasks at once, the waits (the spans of the tasks
 * overlap there and are joined into one, on seat 0). A task in a process of its own, one at a time, notes its waits
 * itself, while the worker waits for it.
 */
#ifndef CONCD_TRACE_H
#define CONCD_TRACE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Of each seat. */
#define TRACE_SPANS_MAX 1024

enum trace_kind {
        TRACE_RUN,     /* executing tasks; under the interpreter lock, waits for it lie within and take precedence */
        TRACE_LOCK,    /* waiting for the interpreter lock */
        TRACE_BLOCKED, /* between blocking marks */
        TRACE_KINDS,
};

struct trace_span {
        uint64_t from_ns, to_ns; /* CLOCK_MONOTONIC */
        uint64_t task;           /* index of the first task in it; of a wait between tasks, of the one before */
        uint32_t tasks;          /* how many spans were joined in it; of TRACE_RUN one is one task */
        uint32_t kind;           /* enum trace_kind */
};

struct trace {
        uint32_t n;
        uint32_t dropped;           /* spans for which there was no room */
        uint32_t last[TRACE_KINDS]; /* index + 1 of the last span of each kind; nothing when it does not fit to it */
        struct trace_span span[TRACE_SPANS_MAX];
};

/* Who notes, and what about; private to the thread. */
struct tracer {
        struct trace *trace; /* NULL: nothing is noted */
        uint64_t join_ns;
        uint64_t task; /* the present one */
};

/* Adds a span, or makes the last one of its kind longer (see above; 0 joins nothing). Nothing fails: what does not fit
 * is counted. Called by the seat's holder only. Killed at any point, the area is in order: the span is there or not;
 * only the number of tasks of one that was being joined may lack one. */
void trace_add(struct trace *t, enum trace_kind kind, uint64_t task, uint64_t from_ns, uint64_t to_ns,
               uint64_t join_ns);

/* The same for the present task. Only when there is an area. */
void tracer_note(const struct tracer *t, enum trace_kind kind, uint64_t from_ns, uint64_t to_ns);

/* Empties it. Supervisor, while nobody is on the seat. */
static inline void
trace_reset(struct trace *t)
{
        memset(t, 0, offsetof(struct trace, span));
}

#endif
