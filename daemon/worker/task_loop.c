/* SPDX-License-Identifier: MIT */
/*
 * The inner loop is what a comparison measures beside the tasks, so it is short: look at the attention word,
 * execute, verify, commit. A task is timed only when the sampler's countdown says so.
 *
 * Sampling: reading the clock twice costs some 40 ns, which would be the work for a short task. The first tasks
 * of a worker are all timed; if the clock would then take more than 1 % of their time, only one in `every` is, at
 * random distances (so that no period of the workload is hit or missed). What the probe found, which are the
 * coldest tasks, is thrown away as soon as there are as many samples. In a traced run, which is not measured, every
 * task is timed.
 */
#include "worker/task_loop.h"

#include "shared/clock.h"
#include "shared/random.h"
#include "worker/at_once.h"

#include <errno.h>
#include <limits.h>

#define EVERY_MAX    65536
#define WRONG        INT_MIN /* the outcome of a task whose result did not verify */
#define TIMING_READS 3       /* what timing a task costs in readings of the clock: two, and the record */

void
sampler_init(struct sampler *s, uint64_t overhead_ns, uint64_t seed)
{
        *s = (struct sampler){
                .countdown = 1,
                .every = 1,
                .fresh = true,
                .overhead_ns = overhead_ns,
                .random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1,
        };
}

static int
by_length(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

/* After the probe: how many tasks go by for one that is timed, so that timing costs at most 1 %. By the median of the
 * probe: a single task during which somebody else had the CPU would make the mean a thousand times too long. */
static uint64_t
choose_every(struct sampler *s)
{
        uint64_t usual, every = 1;

        qsort(s->probe_ns, s->probes, sizeof(s->probe_ns[0]), by_length);
        usual = MAX(s->probe_ns[s->probes / 2], 1);
        while (every < EVERY_MAX && every * usual < 100 * TIMING_READS * s->overhead_ns)
                every *= 2;
        return every;
}

void
sampler_record(struct sampler *s, struct seat *seat, uint64_t ns)
{
        ns = ns > s->overhead_ns ? ns - s->overhead_ns : 0;
        if (s->probes < SAMPLER_PROBES) {
                s->probe_ns[s->probes] = ns;
                if (++s->probes == SAMPLER_PROBES)
                        s->every = choose_every(s);
        } else if (s->every > 1 && s->fresh && s->sampled < SAMPLER_PROBES && ++s->sampled == SAMPLER_PROBES) {
                histogram_reset(&seat->latency);
        }
        /* After the reset: a run that ends here still has a sample. */
        histogram_add(&seat->latency, ns);
        seat->sample_every = (uint32_t)s->every;
        s->countdown = s->every == 1 ? 1 : 1 + random_next(&s->random) % (2 * s->every - 1);
}

void
task_loop_note_failure(struct run *run, uint32_t seat, uint64_t task, enum failure_reason reason, int value)
{
        uint32_t i = atomic_load_explicit(&run->n_failures, memory_order_relaxed);

        /* Saturating, so that 10^15 failures do not wrap it. */
        do {
                if (i == FAILURES_MAX)
                        return;
        } while (!atomic_compare_exchange_weak(&run->n_failures, &i, i + 1));
        run->failures[i].task = task;
        run->failures[i].reason = reason;
        run->failures[i].value = value;
        run->failures[i].seat = seat;
        atomic_store_explicit(&run->failures[i].written, 1, memory_order_release);
}

static __attribute__((noinline, cold)) void
note_task_failure(struct worker *w, uint64_t index, int rc)
{
        struct run *run = w->setup->segment.run;

        if (rc == CONCD_CHILD_DIED)
                task_loop_note_failure(run, w->seat_index, index, w->failure_reason, w->failure_value);
        else if (rc != 0)
                task_loop_note_failure(run, w->seat_index, index, FAILURE_ERROR, -rc);
        else
                task_loop_note_failure(run, w->seat_index, index, FAILURE_WRONG, 0);
}

static inline void
count_failure(struct worker *w, uint64_t index, int rc, struct ledger_sum *sum)
{
        sum->failed++;
        sum->wrong += rc == 0;
        note_task_failure(w, index, rc);
}

void
task_loop_commit(struct worker *w, uint64_t owner, uint64_t size, uint64_t index, int rc, uint64_t result,
                 struct ledger_sum *sum)
{
        if (rc == 0 && w->workload->verify(&w->ctx, index, result) == 0)
                sum->acc += result;
        else
                count_failure(w, index, rc, sum);
        ledger_commit(w->line, owner, size, sum);
}

/* The seat's task count must come out exact wherever the worker is killed: while a claim stands, its line tells
 * the rest; the two stores around its removal leave either the claim or the new count to be found. */
static void
claim_begin(struct seat *seat, uint32_t line, uint64_t progress)
{
        atomic_store_explicit(&seat->claim_progress, progress, memory_order_relaxed);
        atomic_store_explicit(&seat->claim, line + 1, memory_order_release);
}

static void
claim_end(struct seat *seat, uint64_t progress)
{
        uint64_t tasks = atomic_load_explicit(&seat->tasks, memory_order_relaxed) + progress -
                         atomic_load_explicit(&seat->claim_progress, memory_order_relaxed);

        atomic_store_explicit(&seat->tasks_next, tasks, memory_order_release);
        atomic_store_explicit(&seat->claim, 0, memory_order_release);
        atomic_store_explicit(&seat->tasks, tasks, memory_order_release);
}

void
task_loop_settle(struct seat *seat, const struct ledger_line *lines, uint32_t n_lines)
{
        uint32_t claim = atomic_load_explicit(&seat->claim, memory_order_acquire);

        if (claim == 0 || claim > n_lines) {
                atomic_store(&seat->tasks, MAX(atomic_load(&seat->tasks), atomic_load(&seat->tasks_next)));
                return;
        }
        claim_end(seat, ledger_progress(atomic_load_explicit(&lines[claim - 1].word, memory_order_acquire)));
}

/* Something wants attention between two tasks: stop (true), or hand the interpreter lock over. */
static __attribute__((noinline)) bool
attend(struct worker *w, uint32_t bits)
{
        if (bits & ATTENTION_STOP)
                return true;
        if ((bits & GIL_DROP_BIT) && w->under_gil)
                gil_checkpoint(&w->gil);
        return false;
}

static __attribute__((noinline, cold)) int
traced(struct worker *w, uint64_t index, uint64_t *ret_result)
{
        uint64_t begin, end;
        int rc;

        w->tracer.task = index;
        begin = clock_now_ns();
        rc = w->execute(&w->ctx, index, ret_result);
        end = clock_now_ns();
        if (rc == CONCD_CANCELLED)
                return rc;
        sampler_record(&w->sampler, w->seat, end - begin);
        tracer_note(&w->tracer, TRACE_RUN, begin, end);
        return rc;
}

static inline int
timed(struct worker *w, uint64_t index, uint64_t *ret_result)
{
        uint64_t begin;
        int rc;

        if (UNLIKELY(w->tracer.trace))
                return traced(w, index, ret_result);
        begin = clock_now_ns();
        rc = w->execute(&w->ctx, index, ret_result);

        /* A task that was given up is none. */
        if (rc != CONCD_CANCELLED)
                sampler_record(&w->sampler, w->seat, clock_now_ns() - begin);
        return rc;
}

/*
 * The tasks from sum->done up to `plain`, which are neither timed nor the line's last one. Ends before it when
 * something wants attention, or when a task is not as usual: then its outcome is returned and nothing of it is
 * committed, else 0. A function of its own, so that its few values have the registers for themselves. The line is
 * level.
 */
static __attribute__((noinline)) int
execute_plain(struct worker *w, uint64_t base, uint64_t plain, uint64_t owner, struct ledger_sum *sum)
{
        int (*const execute)(struct concd_ctx *, uint64_t, uint64_t *) = w->execute;
        int (*const verify)(struct concd_ctx *, uint64_t, uint64_t) = w->workload->verify;
        struct concd_ctx *const ctx = &w->ctx;
        struct ledger_line *const line = w->line;
        struct ledger_sum now = *sum;
        int rc = 0;

        while (now.done < plain && __atomic_load_n(ctx->attention, __ATOMIC_RELAXED) == 0) {
                uint64_t result = 0;

                rc = execute(ctx, base + now.done, &result);
                if (UNLIKELY(rc != 0))
                        break;
                if (UNLIKELY(verify(ctx, base + now.done, result) != 0)) {
                        rc = WRONG;
                        break;
                }
                now.acc += result;
                ledger_commit_success(line, owner, &now);
        }
        *sum = now;
        return rc;
}

/* One task, timed or not; nothing is committed. */
static int
execute_one(struct worker *w, uint64_t index, bool is_timed, uint64_t *ret_result)
{
        int rc = is_timed ? timed(w, index, ret_result) : w->execute(&w->ctx, index, ret_result);

        return rc == 0 && w->workload->verify(&w->ctx, index, *ret_result) != 0 ? WRONG : rc;
}

/* Executes the rest of the claimed line. False when told to stop before its end. */
static bool
execute_line(struct worker *w, uint64_t base, uint64_t size)
{
        struct ledger_sum sum;
        const uint64_t owner = ledger_open(w->line, &sum);
        uint64_t timed_at = sum.done + w->sampler.countdown - 1;

        while (sum.done < size) {
                uint64_t result = 0;
                uint32_t bits;
                int rc;

                ledger_level(w->line, &sum);
                rc = execute_plain(w, base, MIN(size - 1, timed_at), owner, &sum);
                if (rc == 0) {
                        bits = __atomic_load_n(w->ctx.attention, __ATOMIC_RELAXED);
                        if (UNLIKELY(bits != 0) && attend(w, bits))
                                break;
                        rc = execute_one(w, base + sum.done, sum.done == timed_at, &result);
                        if (sum.done == timed_at)
                                timed_at += w->sampler.countdown;
                }
                if (rc == CONCD_CANCELLED)
                        break;
                if (rc == 0)
                        sum.acc += result;
                else
                        count_failure(w, base + sum.done, rc == WRONG ? 0 : rc, &sum);
                ledger_commit(w->line, owner, size, &sum);
        }
        w->sampler.countdown = timed_at + 1 - sum.done;
        return sum.done == size;
}

/* One claimed line from claim_begin() to its end or release. */
static bool
serve_line(struct worker *w, uint32_t line)
{
        const struct ledger_geometry *g = &w->spec->geometry;
        uint64_t base = ledger_line_base(g, line), size = ledger_line_size(g, line);
        bool complete;

        w->line = &w->setup->segment.ledger[line];
        if (!ledger_claim(w->line, size, w->slot_index + 1))
                return true;
        claim_begin(w->seat, line, ledger_progress(atomic_load_explicit(&w->line->word, memory_order_relaxed)));
        complete = w->spec->spawn == SPAWN_AT_ONCE ? at_once_execute(w, base, size) : execute_line(w, base, size);
        /* The run ends at its last commit, whichever line that is in. */
        atomic_store_explicit(&w->seat->commit_ns, clock_now_ns(), memory_order_relaxed);
        claim_end(w->seat, ledger_progress(atomic_load_explicit(&w->line->word, memory_order_relaxed)));
        if (!complete)
                ledger_release(w->line);
        w->line = NULL;
        return complete;
}

void
task_loop_run(struct worker *w)
{
        const struct ledger_geometry *g = &w->spec->geometry;
        struct ledger_sweep sweep;
        uint32_t line;
        bool own, goes_on = true;

        sampler_init(&w->sampler, w->spec->clock_overhead_ns, w->seat_index + 1);
        /* What a killed holder of the seat found stays. */
        w->sampler.fresh = w->seat->latency.samples == 0;
        /* Every task is timed, as if the probe had found that to be right. */
        if (w->tracer.trace)
                w->sampler.probes = SAMPLER_PROBES;
        ledger_sweep_init(&sweep, g, w->seat_index, w->spec->seats);
        while (goes_on && ledger_sweep_next(&sweep, &line, &own)) {
                uint64_t word = atomic_load_explicit(&w->setup->segment.ledger[line].word, memory_order_relaxed);

                if (ledger_owner(word) == 0 && ledger_progress(word) < ledger_line_size(g, line))
                        goes_on = serve_line(w, line);
        }
}
