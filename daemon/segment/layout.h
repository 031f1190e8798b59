/* SPDX-License-Identifier: MIT */
/*
 * What lies in the shared-memory segment, and how it lies there.
 *
 *     header │ run (the current run: spec, start barrier, lock, totals) │ record │ slots[] │ seats[] │ ledger[] │
 *     race │ race_actors[] │ traces[] │ compare
 *
 * The supervisor creates it before any worker exists and the workers inherit the mapping over fork, but nobody
 * relies on that: the segment holds offsets and indices, never pointers, so that a later supervisor can map it
 * elsewhere. Who writes what:
 *
 *   header     the supervisor; `generation` is read by workers that open semaphores
 *   run.spec   the supervisor, only while no run is open; workers read it while they hold a seat
 *   slot       its worker, but for `kind`, `retire` and everything in it while no such worker lives (supervisor)
 *   seat       the worker that holds it; the supervisor when it is free (`word` by CAS from both)
 *   ledger     the owner of a line; the supervisor once the owner was reaped
 *   trace      the worker on the seat of the same number; the supervisor while nobody is on it
 *   compare    the supervisor
 *
 * A run becomes current by one store to run.current, after all else in it is complete. A worker takes a seat by a CAS
 * whose expected value contains the run's number, so whoever comes late for an old run cannot sit down in a new one.
 */
#ifndef CONCD_LAYOUT_H
#define CONCD_LAYOUT_H

#include "concd/workload.h"
#include "segment/compare.h"
#include "segment/journal.h"
#include "segment/permits.h"
#include "segment/race.h"
#include "segment/trace.h"
#include "shared/histogram.h"

#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#define CACHE_LINE 64

#define SEGMENT_MAGIC          UINT64_C(0x0064636e6f63600a)
#define SEGMENT_LAYOUT_VERSION 4

struct segment_header {
        uint64_t magic;
        uint32_t layout_version;
        uint32_t uid;
        uint64_t layout_hash; /* of all sizes and offsets: layout_hash() */
        uint64_t size;        /* bytes of the whole segment */
        char boot_id[40];     /* /proc/sys/kernel/random/boot_id */
        char instance[36];
        uint32_t max_workers;
        uint32_t n_slots; /* 1 thread host + max_workers processes + max_workers threads */
        uint32_t ledger_chunks;
        uint64_t off_run, off_record, off_slots, off_seats, off_ledger, off_race, off_race_actors, off_traces,
                off_compare;
        uint64_t checksum; /* of all before it, which never changes */
        /* The supervisor's pid and when it started: is this segment still in use? */
        _Atomic int32_t supervisor;
        _Atomic uint64_t supervisor_start;
        _Atomic uint64_t generation; /* of the semaphores; release, pairs with acquire in worker.c */
        _Atomic uint32_t ready;      /* written last */
};

enum worker_kind {
        WORKER_NONE,
        WORKER_PROCESS,
        WORKER_THREAD,
        WORKER_THREAD_HOST,
};

enum slot_state {
        SLOT_FREE,
        SLOT_STARTING, /* set by the supervisor, before the fork or the request to the thread host */
        SLOT_IDLE,
        SLOT_RUNNING,
        SLOT_RETIRING,
        SLOT_DEAD, /* reaped, not yet recovered; or a thread that could not be created */
};

/* Why a worker died, told by itself in its last moment (fatal.c) or by the supervisor before it kills it. */
enum blame {
        BLAME_NONE,
        BLAME_SIGNAL,
        BLAME_EXIT,
        BLAME_TIMEOUT,
};

/* What the kernel accounts for a worker; all times in nanoseconds. */
struct evidence {
        uint64_t user_ns, system_ns, run_queue_wait_ns;
        uint64_t voluntary, involuntary, minor_faults, major_faults;
};

struct slot {
        alignas(CACHE_LINE) _Atomic uint32_t kind;
        _Atomic uint32_t state;
        _Atomic int32_t pid, tid;
        _Atomic uint64_t start_time;   /* of the process, in clock ticks since boot: tells a reused pid */
        _Atomic uint32_t retire;       /* set by the supervisor: leave as soon as you are idle */
        _Atomic uint32_t blame;        /* enum blame; relaxed, read after the reaping */
        _Atomic int32_t blame_value;   /* signal, exit code */
        _Atomic uint64_t blame_task;   /* task + 1, where it is not the one at the line's progress */
        _Atomic uint32_t late_claim;   /* BLAME_TIMEOUT: the seat's claim and its line's word when the time was up; */
        _Atomic uint64_t late_word;    /* who commits before the kill comes was late, and is done. Supervisor */
        _Atomic uint32_t permit_state; /* enum permit_state, of the guard */
        _Atomic uint64_t tasks;        /* in this worker's life, up to its last finished run */
        struct evidence base;          /* when it began its present seat */
        struct evidence base_process;  /* and that of its whole process, with the children it has reaped */
};

/* seat.word: run number : 40 | enum seat_state : 8 | slot + 1 : 16 */
enum seat_state {
        SEAT_EMPTY,
        SEAT_TAKEN,
        SEAT_READY, /* prepared, waits at or has passed the start barrier */
        SEAT_DONE,
};

struct seat {
        alignas(CACHE_LINE) _Atomic uint64_t word;
        /* The present claim, so that a death leaves exact task counts: see claim_begin() in task_loop.c. */
        _Atomic uint32_t claim;          /* line + 1; 0 is none */
        _Atomic uint64_t claim_progress; /* of that line when it was claimed */
        _Atomic uint64_t tasks;
        _Atomic uint64_t tasks_next;
        _Atomic uint64_t commit_ns; /* CLOCK_MONOTONIC of the last commit */
        _Atomic uint64_t left_ns;   /* and of the moment its holder stopped to work, or died */
        uint32_t merged;            /* is it in run.totals? guarded by the semaphore `guard` */
        uint32_t restarts;          /* supervisor */
        uint32_t slot;              /* who held it last */
        int32_t pid, tid;
        uint32_t cpu_lost;          /* a worker died and its CPU times could not be read */
        _Atomic uint32_t in_flight; /* all at once: tasks started and not committed */
        uint64_t tasks_before;      /* of `tasks`, those of holders before this one */
        _Atomic uint32_t in_block;  /* between blocking marks: not waiting for the interpreter lock */
        uint32_t sample_every;      /* one task in so many was timed */
        uint64_t lock_wait_ns, lock_switches, blocked_ns;
        struct evidence evidence;
        struct histogram latency;
};

enum run_spawn {
        SPAWN_POOL,
        SPAWN_PER_TASK,
        SPAWN_AT_ONCE, /* per task, all of them at once */
};

/* Which tasks are in which chunk; a pure function of count and chunk (ledger.c). */
#define LEDGER_TIERS 3
struct ledger_geometry {
        uint64_t count; /* all tasks; UINT64_MAX when without end */
        uint32_t n_lines, n_tiers;
        uint64_t chunk[LEDGER_TIERS]; /* tasks of a line in the tier */
        uint32_t first_line[LEDGER_TIERS + 1];
        uint64_t first_task[LEDGER_TIERS + 1];
};

/* One variant, as the workers need to know it. */
struct run_spec {
        uint32_t is_race;  /* then struct race says what is done, and workload, params and geometry say nothing */
        uint32_t workload; /* index into workloads[] */
        uint32_t mode;     /* index into modes[] */
        uint32_t spawn;
        uint32_t seats;
        int64_t params[CONCD_PARAMS_MAX];
        struct ledger_geometry geometry;
        cpu_set_t cpus;
        uint64_t clock_overhead_ns;
        uint32_t libc_native;   /* process workers without a parked thread are called */
        uint32_t traced;        /* what is done is noted in traces[], and every task is timed */
        uint64_t trace_join_ns; /* spans that are closer are joined: see trace_add() */
};

/* run.attention, the word that tasks look at. */
#define ATTENTION_FINISH UINT32_C(1) /* begin no further task */
#define ATTENTION_CANCEL UINT32_C(2) /* and give the present one up at its next checkpoint */
#define ATTENTION_STOP   (ATTENTION_FINISH | ATTENTION_CANCEL)
#define ATTENTION_GIL    UINT32_C(4) /* hand the interpreter lock over (guards/gil.c) */

/* Room for the state of the run's lock, whatever guard that is; the layers above know its type. */
#define LOCK_AREA_BYTES 512

/* run.current: run number << 8 | enum worker_kind that is called << 1 | open */
#define CURRENT_OPEN UINT64_C(1)

/* Sums over all seats that are marked `merged`; guarded by the semaphore `guard` (totals.c). */
struct totals {
        uint32_t dirty; /* add all up again from the seats */
        uint32_t sample_every;
        uint64_t lock_wait_ns, lock_switches, blocked_ns;
        struct evidence evidence;
        struct histogram latency;
};

enum failure_reason {
        FAILURE_ERROR,
        FAILURE_WRONG,
        FAILURE_SIGNAL,
        FAILURE_EXIT,
        FAILURE_TIMEOUT,
};

struct failure {
        uint64_t task;
        uint32_t reason;
        int32_t value;
        uint32_t seat;
        _Atomic uint32_t written;
};

/* The first failures of a run; more are only counted. */
#define FAILURES_MAX 32

/* Tasks of an all-at-once run that killed the thread host: there a death cannot be charged to a line's progress. */
#define POISON_MAX 64
struct poison {
        uint64_t task;
        uint32_t attempts;
        uint32_t reason;
        int32_t value;
};

struct run {
        _Atomic uint64_t current;
        alignas(CACHE_LINE) uint32_t attention;  /* __atomic; shared with guards/gil.c and the workload ABI */
        alignas(CACHE_LINE) _Atomic uint32_t go; /* start barrier: 0 closed, 1 open; futex */
        _Atomic uint64_t start_ns;               /* CLOCK_MONOTONIC of its opening */
        _Atomic int32_t prepare_error;           /* negative errno of a prepare() that failed */
        _Atomic uint32_t task_deaths;            /* children of per-task spawn that were killed from outside */
        _Atomic uint64_t kills;                  /* workers that were killed from outside */
        _Atomic uint64_t reexecuted;
        uint32_t resumed; /* how often a later supervisor went on with it */
        _Atomic uint32_t n_failures;
        struct failure failures[FAILURES_MAX];
        uint32_t n_poison; /* supervisor, while the thread host is down */
        struct poison poison[POISON_MAX];
        struct run_spec spec;
        struct permits guard;
        alignas(CACHE_LINE) unsigned char lock_area[LOCK_AREA_BYTES];
        struct totals totals;
};

/*
 * What a later supervisor needs to know of the jobs. The running one has a place of its own, so that nothing can
 * push it out; the journal has one text for each job that was queued and one more for each that ended. Texts are JSON
 * (job_describe() in job.c).
 */
#define RECORD_JOB_MAX (256 * 1024)
struct record_running {
        _Atomic uint32_t
                present;     /* a job is running: written after all else, cleared after its end is in the journal */
        _Atomic uint64_t at; /* number of its present run << 24 | step of its plan that this run is; see record.h */
        uint32_t resumed;    /* by how many supervisors it was taken over */
        uint32_t stop_state; /* enum job_state: how it is being ended early; 0 it is not */
        char stop_reason[160];
        uint64_t started_ns; /* CLOCK_MONOTONIC */
        uint64_t length;     /* of the text */
        uint64_t checksum;   /* of the text */
        char text[RECORD_JOB_MAX];
};

struct record {
        struct record_running running;
        struct journal journal;
};

/*
 * One chunk of tasks. word = owner : 16 | attempts : 8 | progress : 40; owner is slot + 1, 0 is nobody. All
 * sums are double-buffered: those of progress p stand at [p & 1]. See ledger.c.
 */
struct ledger_line {
        alignas(CACHE_LINE) _Atomic uint64_t word;
        uint64_t acc[2];    /* sum of the results modulo 2^64 */
        uint64_t failed[2]; /* tasks that failed, for whatever reason */
        uint64_t wrong[2];  /* of these: whose result did not verify */
};

_Static_assert(sizeof(struct ledger_line) == CACHE_LINE, "a ledger line is a cache line");

#endif
