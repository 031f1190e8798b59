/* SPDX-License-Identifier: MIT */
/*
 * Life of a worker:
 *
 *     sleep at the gate → take a seat in the open run → prepare → wait at the start barrier
 *                       → task loop → merge → seat done
 *
 * A post at the gate is only a hint: who wakes looks at run.current and takes a seat by CAS, or goes back to
 * sleep. The supervisor posts again while seats are empty, so a hint that a killed worker took with it costs
 * time, never the run.
 *
 * Barrier: a worker that is prepared marks its seat READY; whoever then sees all seats READY stamps the start by a
 * CAS and opens it. Sleepers look again every 100 ms, so that the death of the last arriver between its
 * mark and its look does not leave everybody waiting.
 */
#include "worker/worker.h"

#include "shared/clock.h"
#include "shared/log.h"
#include "worker/evidence.h"
#include "worker/mode.h"
#include "worker/per_task.h"
#include "worker/race.h"
#include "worker/task_loop.h"
#include "worker/totals.h"
#include "workloads/workloads.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>

#define BARRIER_SPIN_NS    (20 * NS_PER_US)
#define BARRIER_RECHECK_NS (100 * NS_PER_MS)
#define GATE_SPIN_NS       (50 * NS_PER_US)

enum barrier { BARRIER_CLOSED, BARRIER_OPEN };

struct worker *
worker_of(struct concd_ctx *ctx)
{
        return (struct worker *)((char *)ctx - offsetof(struct worker, ctx));
}

void
worker_ring(const struct worker_setup *setup)
{
        uint64_t one = 1;
        ssize_t n = write(setup->doorbell, &one, sizeof(one));

        (void)n; /* full means that it rings already */
}

uint64_t
worker_clock_overhead_ns(void)
{
        uint64_t best = UINT64_MAX;

        for (int i = 0; i < 1000; i++) {
                uint64_t begin = clock_now_ns(), took = clock_now_ns() - begin;

                best = MIN(best, took);
        }
        return best;
}

/* ── what tasks reach through their context ── */

static int
checkpoint(struct concd_ctx *ctx, uint32_t bits)
{
        struct worker *w = worker_of(ctx);

        if (bits & ATTENTION_CANCEL)
                return CONCD_CANCELLED;
        if ((bits & GIL_DROP_BIT) && w->under_gil)
                gil_checkpoint(&w->gil);
        return 0;
}

static void
block_begin(struct concd_ctx *ctx)
{
        struct worker *w = worker_of(ctx);

        if (w->under_gil)
                gil_release(&w->gil);
        atomic_store_explicit(&w->seat->in_block, 1, memory_order_relaxed);
        w->block_began = clock_now_ns();
}

static void
block_end(struct concd_ctx *ctx)
{
        struct worker *w = worker_of(ctx);
        uint64_t now = clock_now_ns();

        w->blocked_ns += now - w->block_began;
        if (UNLIKELY(w->tracer.trace))
                tracer_note(&w->tracer, TRACE_BLOCKED, w->block_began, now);
        atomic_store_explicit(&w->seat->in_block, 0, memory_order_relaxed);
        if (w->under_gil)
                gil_acquire(&w->gil);
}

static const struct concd_ops ops = {
        .struct_size = sizeof(struct concd_ops),
        .checkpoint = checkpoint,
        .block_begin = block_begin,
        .block_end = block_end,
};

/* ── the gate ── */

/* The semaphores were replaced by a new generation: goes over to it. */
static void
follow_generation(struct worker *w)
{
        const struct segment_header *h = w->setup->segment.header;
        uint64_t generation;

        while ((generation = atomic_load_explicit(&h->generation, memory_order_acquire)) != w->semaphores.generation) {
                struct semaphores fresh;
                int r = semaphores_open(&fresh, h->uid, h->instance, generation);

                if (r == -ENOENT) {
                        usleep(1000); /* replaced again meanwhile */
                        continue;
                }
                if (r < 0) {
                        log_error("worker in slot %u cannot open the semaphores of generation %llu: %s", w->slot_index,
                                  (unsigned long long)generation, strerror(-r));
                        usleep(10000);
                        continue;
                }
                /* What came over the fork is shared by all threads of the process and stays. */
                if (w->own_semaphores)
                        semaphores_close(&w->semaphores);
                w->semaphores = fresh;
                w->own_semaphores = true;
        }
}

/*
 * A process worker with a parked thread does not sit down in a run that calls those without, and the other way round.
 * It was told to retire before the run was opened, but may have looked for that before. What is read here is of the run
 * at whose seats the CAS then aims: while one of these is empty, spec does not change.
 */
static bool
is_of_right_flavour(const struct worker *w)
{
        const struct run_spec *spec = &w->setup->segment.run->spec;
        bool native = __atomic_load_n(&spec->libc_native, __ATOMIC_RELAXED);

        return w->kind != WORKER_PROCESS || native != w->setup->parked_thread;
}

/* Takes an empty seat of the open run, if this kind of worker is called. */
static bool
take_seat(struct worker *w)
{
        const struct segment *s = &w->setup->segment;
        uint64_t current = atomic_load_explicit(&s->run->current, memory_order_acquire), run = current_run(current);

        if (current != current_pack(run, w->kind, true) || !is_of_right_flavour(w))
                return false;
        /* spec is complete once the run is open, and does not change while an empty seat of its number exists. */
        for (uint32_t i = 0; i < s->header->max_workers; i++) {
                uint64_t empty = seat_pack(run, SEAT_EMPTY, 0);

                if (atomic_load_explicit(&s->seats[i].word, memory_order_relaxed) != empty)
                        continue;
                if (!atomic_compare_exchange_strong_explicit(&s->seats[i].word, &empty,
                                                             seat_pack(run, SEAT_TAKEN, w->slot_index + 1),
                                                             memory_order_acq_rel, memory_order_relaxed))
                        continue;
                w->run = run;
                w->seat_index = i;
                w->seat = &s->seats[i];
                return true;
        }
        return false;
}

/* Spins for a moment after a run, because the next one of a plan comes soon; then sleeps. `seen` is run.current from
 * before the last look for a seat. */
static void
sleep_at_gate(struct worker *w, uint64_t seen, uint64_t awake_since)
{
        const struct run *run = w->setup->segment.run;

        while (clock_now_ns() - awake_since < GATE_SPIN_NS) {
                worker_relax();
                if (atomic_load_explicit(&run->current, memory_order_relaxed) != seen)
                        return;
        }
        sem_wait(semaphores_gate(&w->semaphores, w->kind));
}

/* ── one run ── */

static bool
all_ready(const struct worker *w)
{
        for (uint32_t i = 0; i < w->spec->seats; i++) {
                if (seat_state(atomic_load(&w->setup->segment.seats[i].word)) < SEAT_READY)
                        return false;
        }
        return true;
}

/* Whoever sees all seats ready does all of it, so nobody waits for one who was killed half way; the first stamp
 * counts. */
static void
open_barrier(const struct worker_setup *setup)
{
        struct run *run = setup->segment.run;
        uint64_t unset = 0;

        atomic_compare_exchange_strong(&run->start_ns, &unset, clock_now_ns());
        if (atomic_exchange(&run->go, BARRIER_OPEN) == BARRIER_OPEN)
                return;
        worker_ring(setup);
        syscall(SYS_futex, &run->go, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* False when the run was stopped before it began. */
static bool
wait_at_barrier(struct worker *w)
{
        const struct timespec recheck = {.tv_nsec = BARRIER_RECHECK_NS};
        struct run *run = w->setup->segment.run;
        uint64_t arrived = clock_now_ns();
        uint32_t go;

        while ((go = atomic_load_explicit(&run->go, memory_order_acquire)) != BARRIER_OPEN) {
                if (__atomic_load_n(&run->attention, __ATOMIC_RELAXED) & ATTENTION_STOP)
                        return false;
                if (all_ready(w))
                        open_barrier(w->setup);
                else if (clock_now_ns() - arrived < BARRIER_SPIN_NS)
                        worker_relax();
                else
                        syscall(SYS_futex, &run->go, FUTEX_WAIT, go, &recheck, NULL, 0);
        }
        return true;
}

static int
move_to_cpus(struct worker *w)
{
        if (w->cpus_set && CPU_EQUAL(&w->cpus, &w->spec->cpus))
                return 0;
        if (sched_setaffinity(0, sizeof(w->spec->cpus), &w->spec->cpus) < 0) {
                int r = -errno;

                log_error("worker in slot %u cannot move to its CPUs: %s", w->slot_index, strerror(-r));
                return r;
        }
        w->cpus = w->spec->cpus;
        w->cpus_set = true;
        return 0;
}

static void
begin_trace(struct worker *w)
{
        w->tracer = (struct tracer){0};
        if (!w->spec->traced)
                return;
        w->tracer.trace = &w->setup->segment.traces[w->seat_index];
        w->tracer.join_ns = w->spec->trace_join_ns;
        w->gil.tracer = &w->tracer;
}

static int
begin_run(struct worker *w)
{
        struct run *run = w->setup->segment.run;
        const struct mode *mode;
        int r;

        w->spec = &run->spec;
        mode = &modes[w->spec->mode];
        w->workload = workloads[w->spec->workload];
        w->race = NULL;
        w->under_gil = mode->gil;
        w->gil = (struct gil_thread){.gil = gil_of(run), .attention = &run->attention, .id = w->seat_index};
        w->ctx = (struct concd_ctx){
                .struct_size = sizeof(w->ctx),
                .worker = w->seat_index,
                .params = w->spec->params,
                .attention = &run->attention,
                .ops = &ops,
        };
        begin_trace(w);
        w->seat->slot = w->slot_index;
        w->seat->pid = atomic_load_explicit(&w->slot->pid, memory_order_relaxed);
        w->seat->tid = atomic_load_explicit(&w->slot->tid, memory_order_relaxed);
        w->execute = w->workload->run;
        r = move_to_cpus(w);
        if (w->spec->is_race)
                return r < 0 ? r : race_begin(w);
        if (r == 0 && w->spec->spawn == SPAWN_PER_TASK)
                r = per_task_begin(w);
        if (r == 0 && w->workload->prepare)
                r = w->workload->prepare(&w->ctx);
        w->prepared = r == 0;
        return r;
}

static void
end_run(struct worker *w)
{
        if (w->prepared && w->workload->cleanup)
                w->workload->cleanup(&w->ctx);
        w->prepared = false;
        race_end(w);
        if (w->spec->spawn == SPAWN_PER_TASK)
                per_task_end(w);
        w->seat->lock_wait_ns += w->gil.wait_ns;
        w->seat->lock_switches += w->gil.switches;
        w->seat->blocked_ns += w->blocked_ns;
        w->blocked_ns = 0;
}

/* Where the accounts stand now: what is used from here on belongs to the present seat. */
static void
take_base(struct worker *w, const struct evidence *now)
{
        w->slot->base = *now;
        if (w->kind == WORKER_PROCESS)
                evidence_read_process(&w->slot->base_process);
}

static void
measured_part(struct worker *w)
{
        bool children = w->spec->spawn != SPAWN_POOL && w->kind == WORKER_PROCESS;
        struct evidence now;

        evidence_read(&now, w->schedstat, children);
        take_base(w, &now);
        if (w->under_gil)
                gil_acquire(&w->gil);
        if (w->spec->is_race)
                race_run(w);
        else
                task_loop_run(w);
        if (w->under_gil)
                gil_release(&w->gil);
        evidence_read(&now, w->schedstat, children);
        atomic_store_explicit(&w->seat->left_ns, clock_now_ns(), memory_order_relaxed);
        evidence_add_since(&w->seat->evidence, &now, &w->slot->base);
        take_base(w, &now);
}

static void
merge(struct worker *w)
{
        struct segment s = w->setup->segment;
        sem_t *guard = w->semaphores.sem[SEMAPHORE_GUARD];
        uint32_t cell = permits_acquire(&s.run->guard, guard, w->slot_index, &w->slot->permit_state);

        totals_merge(&s, w->seat_index);
        permits_release(&s.run->guard, guard, cell, &w->slot->permit_state);
}

void
worker_report_error(struct worker *w, int error)
{
        struct run *run = w->setup->segment.run;
        int32_t none = 0;

        atomic_compare_exchange_strong(&run->prepare_error, &none, error);
        __atomic_fetch_or(&run->attention, ATTENTION_STOP, __ATOMIC_RELAXED);
}

static void
serve(struct worker *w)
{
        uint32_t owner = w->slot_index + 1;
        int r;

        /* The run may have been opened after a change of generation that was not seen yet. */
        follow_generation(w);
        w->seat->tasks_before = atomic_load(&w->seat->tasks);
        atomic_store_explicit(&w->slot->state, SLOT_RUNNING, memory_order_release);
        r = begin_run(w);
        if (r < 0)
                worker_report_error(w, r);
        atomic_store(&w->seat->word, seat_pack(w->run, SEAT_READY, owner));
        if (r == 0 && wait_at_barrier(w))
                measured_part(w);
        end_run(w);
        merge(w);
        atomic_fetch_add_explicit(&w->slot->tasks, atomic_load(&w->seat->tasks) - w->seat->tasks_before,
                                  memory_order_relaxed);
        atomic_store_explicit(&w->slot->state, SLOT_IDLE, memory_order_release);
        atomic_store_explicit(&w->seat->word, seat_pack(w->run, SEAT_DONE, owner), memory_order_release);
        worker_ring(w->setup);
}

void
worker_main(const struct worker_setup *setup, const struct semaphores *semaphores, uint32_t slot)
{
        struct worker w = {
                .setup = setup,
                .semaphores = *semaphores,
                .slot_index = slot,
                .slot = &setup->segment.slots[slot],
                .kind = atomic_load(&setup->segment.slots[slot].kind),
                .schedstat = evidence_open(),
        };
        uint64_t awake_since = 0;

        atomic_store_explicit(&w.slot->state, SLOT_IDLE, memory_order_release);
        while (!atomic_load_explicit(&w.slot->retire, memory_order_acquire)) {
                uint64_t seen = atomic_load_explicit(&setup->segment.run->current, memory_order_relaxed);

                follow_generation(&w);
                if (take_seat(&w)) {
                        serve(&w);
                        awake_since = clock_now_ns();
                        continue;
                }
                sleep_at_gate(&w, seen, awake_since);
        }
        atomic_store_explicit(&w.slot->state, SLOT_RETIRING, memory_order_release);
        if (w.schedstat >= 0)
                close(w.schedstat);
}
