/* SPDX-License-Identifier: MIT */
#include "supervisor/compare-run.h"

#include "shared/statistics.h"
#include "supervisor/environment.h"
#include "worker/evidence.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What is finer cannot be seen in a picture, and would not fit into a trace: see trace.h. */
#define PICTURE_COLUMNS 400

/* After a look at n rounds the next one is due at n + n / LOOK_EVERY: looking takes a bounded share of the time. */
#define LOOK_EVERY 10

struct comparison *
comparison_new(const struct plan *plan)
{
        struct comparison *c = calloc(1, sizeof(*c));

        if (!c)
                return NULL;
        c->n_variants = plan->n_variants;
        c->next_look = COMPARE_ROUNDS_MIN;
        c->evidence = calloc(plan->n_variants, sizeof(*c->evidence));
        c->pending = calloc(plan->n_variants, sizeof(struct figures *));
        for (uint32_t i = 0; c->evidence && i < plan->n_variants; i++) {
                c->evidence[i].workers = calloc(plan->variants[i].workers, sizeof(*c->evidence[i].workers));
                if (!c->evidence[i].workers) {
                        comparison_free(c);
                        return NULL;
                }
        }
        if (!c->evidence || !c->pending) {
                comparison_free(c);
                return NULL;
        }
        if (getloadavg(&c->load_before, 1) != 1)
                c->load_before = 0;
        c->mhz_before = environment_mhz();
        return c;
}

void
comparison_free(struct comparison *c)
{
        if (!c)
                return;
        for (uint32_t i = 0; c->evidence && i < c->n_variants; i++) {
                free(c->evidence[i].workers);
                free(c->evidence[i].spans);
        }
        for (uint32_t i = 0; c->pending && i < c->n_variants; i++)
                figures_free(c->pending[i]);
        free(c->evidence);
        free(c->pending);
        free(c);
}

void
comparison_begin(const struct segment *s)
{
        s->compare->taken = s->compare->repeating = 0;
}

uint32_t
comparison_rounds(const struct segment *s, const struct plan *plan)
{
        return s->compare->taken / plan->n_variants;
}

uint32_t
comparison_rounds_of(const struct segment *s, const struct plan *plan, uint32_t v)
{
        uint32_t rounds = comparison_rounds(s, plan), complete = rounds * plan->n_variants;

        /* And its turn in the round under way. */
        for (uint32_t i = complete; i < s->compare->taken; i++)
                rounds += plan->steps[plan->first_measured + i].variant == v;
        return rounds;
}

bool
comparison_times(const struct segment *s, const struct plan *plan, uint32_t v, uint32_t n, double *ret)
{
        bool is_known = true;

        for (uint32_t i = 0; i < n; i++) {
                const struct compare_record *record = comparison_record(s, plan, v, i);

                ret[i] = (double)MAX(record->wall_ns, 1) / (double)NS_PER_S / (double)MAX(record->done, 1);
                is_known = is_known && record->done > 0;
        }
        return is_known;
}

/* ── what a step yielded ── */

static void
add_worker(struct worker_figures *to, const struct worker_figures *from)
{
        to->slot = from->slot;
        to->kind = from->kind;
        to->pid = from->pid;
        to->tid = from->tid;
        to->restarts += from->restarts;
        to->tasks += from->tasks;
        to->lock_wait_ns += from->lock_wait_ns;
        to->lock_switches += from->lock_switches;
        to->blocked_ns += from->blocked_ns;
        evidence_add(&to->evidence, &from->evidence);
}

static void
add_evidence(struct compare_evidence *e, const struct figures *f)
{
        for (uint32_t i = 0; i < f->n_workers; i++)
                add_worker(&e->workers[i], &f->workers[i]);
        e->rounds++;
        e->chunk = f->chunk;
        e->wall_ns += f->wall_ns;
        e->tasks += f->sum.done;
        e->totals.sample_every = MAX(e->totals.sample_every, f->totals.sample_every);
        e->totals.lock_wait_ns += f->totals.lock_wait_ns;
        e->totals.lock_switches += f->totals.lock_switches;
        e->totals.blocked_ns += f->totals.blocked_ns;
        evidence_add(&e->totals.evidence, &f->totals.evidence);
        histogram_merge(&e->totals.latency, &f->totals.latency);
}

/* The round is complete: so is its evidence, as far as this supervisor saw it. */
static void
fold_round(struct comparison *c)
{
        for (uint32_t i = 0; i < c->n_variants; i++) {
                if (c->pending[i])
                        add_evidence(&c->evidence[i], c->pending[i]);
                figures_free(c->pending[i]);
                c->pending[i] = NULL;
        }
}

static void
write_record(const struct segment *s, const struct plan *plan, const struct step *step, const struct figures *f)
{
        struct compare_record *record = comparison_record(s, plan, step->variant, step->round);

        *record = (struct compare_record){
                .wall_ns = f->wall_ns,
                .done = f->sum.done,
                .failed = f->sum.failed,
                .wrong = f->sum.wrong,
                .acc = f->sum.acc,
                .restarts = f->restarts,
                .reexecuted = f->reexecuted,
                .steal_ns = f->steal_s > 0 ? (uint64_t)(f->steal_s * (double)NS_PER_S) : 0,
                .order = step->order,
                .repeated = s->compare->repeating,
        };
        for (uint32_t i = 0; i < f->n_workers; i++) {
                record->user_ns += f->workers[i].evidence.user_ns;
                record->system_ns += f->workers[i].evidence.system_ns;
        }
}

/* Spans of all workers, as many of each as there is room for. */
static int
take_spans(struct compare_evidence *e, const struct segment *s, uint32_t n_variants)
{
        uint32_t most = MIN(COMPARE_SPANS_MAX, COMPARE_SPANS_OF_ALL / n_variants);
        uint32_t seats = s->run->spec.seats, room = MAX(most / seats, 1);
        uint64_t start = atomic_load(&s->run->start_ns);

        free(e->spans);
        e->n_spans = e->spans_dropped = 0;
        e->spans = calloc((size_t)room * seats, sizeof(*e->spans));
        if (!e->spans)
                return -ENOMEM;
        for (uint32_t i = 0; i < seats; i++) {
                const struct trace *t = &s->traces[i];
                uint32_t n = MIN(t->n, TRACE_SPANS_MAX), kept = MIN(n, room);

                for (uint32_t k = 0; k < kept; k++) {
                        struct compare_span *to = &e->spans[e->n_spans++];

                        *to = (struct compare_span){.worker = i, .span = t->span[k]};
                        to->span.from_ns -= MIN(start, to->span.from_ns);
                        to->span.to_ns -= MIN(start, to->span.to_ns);
                }
                e->spans_dropped += t->dropped + n - kept;
        }
        return 0;
}

int
comparison_take(struct comparison *c, const struct segment *s, const struct plan *plan, uint32_t step,
                struct figures *f)
{
        const struct step *done = &plan->steps[step];

        if (done->kind == STEP_TRACED) {
                figures_free(f);
                return take_spans(&c->evidence[done->variant], s, plan->n_variants);
        }
        c->clock_overhead_ns = f->clock_overhead_ns;
        write_record(s, plan, done, f);
        s->compare->taken = step - plan->first_measured + 1;
        s->compare->repeating = 0;
        figures_free(c->pending[done->variant]);
        c->pending[done->variant] = f;
        if (s->compare->taken % plan->n_variants == 0)
                fold_round(c);
        return 0;
}

/* ── which comes next ── */

static bool
is_narrow(const struct interval *i, double value, double precision)
{
        return i->high - value <= precision * value && value - i->low <= precision * value;
}

/* Is the ratio of every variant to the reference known that well? Never by significance: an interval that is narrow
 * enough ends the measuring whatever it contains. */
bool
comparison_is_precise(const struct segment *s, const struct plan *plan)
{
        uint32_t rounds = comparison_rounds(s, plan);
        const struct comparison_spec *spec = &plan->comparison;
        AUTO_FREE double *x = calloc(rounds, sizeof(*x)), *y = calloc(rounds, sizeof(*y));

        if (!x || !y || rounds < COMPARE_ROUNDS_MIN)
                return false;
        if (!comparison_times(s, plan, spec->reference, rounds, x))
                return false;
        for (uint32_t v = 0; v < plan->n_variants; v++) {
                struct interval range;

                if (v == spec->reference)
                        continue;
                if (!comparison_times(s, plan, v, rounds, y) ||
                    statistics_ratio_interval(x, y, rounds, spec->seed + v, &range) < 0 ||
                    !is_narrow(&range, statistics_median(x, rounds) / statistics_median(y, rounds), spec->precision))
                        return false;
        }
        return true;
}

uint32_t
comparison_next(struct comparison *c, const struct segment *s, const struct plan *plan, uint32_t step)
{
        uint32_t next = step + 1, rounds = comparison_rounds(s, plan);
        bool is_end_of_round =
                plan->steps[step].kind == STEP_MEASURED && (next - plan->first_measured) % plan->n_variants == 0;

        if (plan->comparison.precision == 0 || !is_end_of_round || rounds < c->next_look)
                return next;
        c->next_look = rounds + MAX(rounds / LOOK_EVERY, 1);
        return comparison_is_precise(s, plan) ? plan->first_traced : next;
}

uint64_t
comparison_join_ns(const struct segment *s, const struct plan *plan, uint32_t v)
{
        uint32_t rounds = comparison_rounds_of(s, plan, v);

        return rounds > 0 ? comparison_record(s, plan, v, rounds - 1)->wall_ns / PICTURE_COLUMNS : 0;
}

bool
comparison_is_sound(const struct segment *s, const struct plan *plan)
{
        return s->compare->taken <= plan->first_traced - plan->first_measured;
}

uint64_t
comparison_failed(const struct segment *s, const struct plan *plan, uint64_t *ret_done)
{
        uint64_t failed = 0;

        *ret_done = 0;
        for (uint32_t v = 0; v < plan->n_variants; v++) {
                for (uint32_t i = 0; i < comparison_rounds_of(s, plan, v); i++) {
                        failed += comparison_record(s, plan, v, i)->failed;
                        *ret_done += comparison_record(s, plan, v, i)->done;
                }
        }
        return failed;
}
