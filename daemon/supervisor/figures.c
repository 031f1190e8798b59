/* SPDX-License-Identifier: MIT */
#include "supervisor/figures.h"

#include "shared/clock.h"
#include "supervisor/environment.h"
#include "supervisor/fields.h"
#include "worker/mode.h"
#include "worker/worker.h"
#include "workloads/workloads.h"

#include <errno.h>
#include <string.h>

static void
collect_worker(const struct seat *seat, const struct mode *mode, struct worker_figures *w)
{
        *w = (struct worker_figures){
                .slot = seat->slot,
                .restarts = seat->restarts,
                .kind = mode->kind,
                .pid = seat->pid,
                .tid = seat->tid,
                .tasks = atomic_load(&seat->tasks),
                .lock_wait_ns = seat->lock_wait_ns,
                .lock_switches = seat->lock_switches,
                .blocked_ns = seat->blocked_ns,
                .evidence = seat->evidence,
        };
}

/* A run by count that is complete ends at its last commit. In any other the tasks that came to nothing took time,
 * too: it ends when the last worker stopped to work. */
static uint64_t
wall_ns(const struct segment *s, bool complete)
{
        uint64_t start = atomic_load(&s->run->start_ns), end = start;

        for (uint32_t i = 0; start && i < s->run->spec.seats; i++) {
                const struct seat *seat = &s->seats[i];

                end = MAX(end, complete ? atomic_load(&seat->commit_ns) : atomic_load(&seat->left_ns));
        }
        return end - start;
}

/* Who is killed between the note and the commit leaves the note; the task is then executed, and perhaps noted,
 * again. */
static void
collect_failures(const struct run *run, struct figures *f)
{
        uint32_t n = MIN(atomic_load(&run->n_failures), FAILURES_MAX), k;

        for (uint32_t i = 0; i < n; i++) {
                if (!atomic_load_explicit(&run->failures[i].written, memory_order_acquire))
                        continue;
                for (k = 0; k < f->n_failures && f->failures[k].task != run->failures[i].task;)
                        k++;
                f->failures[k] = run->failures[i];
                f->n_failures += k == f->n_failures;
        }
}

int
figures_collect(const struct segment *s, struct figures **ret)
{
        const struct run *run = s->run;
        struct figures *f = calloc(1, sizeof(*f));

        if (!f)
                return -ENOMEM;
        f->n_workers = run->spec.seats;
        f->workers = calloc(f->n_workers, sizeof(*f->workers));
        if (!f->workers) {
                free(f);
                return -ENOMEM;
        }
        f->cpu_complete = true;
        for (uint32_t i = 0; i < f->n_workers; i++) {
                const struct seat *seat = &s->seats[i];

                collect_worker(seat, &modes[run->spec.mode], &f->workers[i]);
                f->restarts += seat->restarts;
                f->cpu_complete = f->cpu_complete && !seat->cpu_lost;
        }
        ledger_sum(s->ledger, &run->spec.geometry, &f->sum);
        f->wall_ns = wall_ns(s, f->sum.done == run->spec.geometry.count);
        f->chunk = run->spec.geometry.count == UINT64_MAX ? 0 : run->spec.geometry.chunk[0];
        f->chunks = run->spec.geometry.n_lines;
        f->restarts += atomic_load(&run->task_deaths);
        f->reexecuted = atomic_load(&run->reexecuted);
        f->resumed = run->resumed;
        f->clock_overhead_ns = run->spec.clock_overhead_ns;
        f->totals = run->totals;
        collect_failures(run, f);
        *ret = f;
        return 0;
}

void
figures_free(struct figures *f)
{
        if (!f)
                return;
        free(f->workers);
        free(f);
}

void
figures_glance(const struct segment *s, struct ledger_sum *ret_sum, uint64_t *ret_elapsed_ns)
{
        uint64_t start = atomic_load(&s->run->start_ns);

        ledger_sum(s->ledger, &s->run->spec.geometry, ret_sum);
        *ret_elapsed_ns = start ? clock_now_ns() - start : 0;
}

json_t *
figures_latency_to_json(const struct totals *totals, uint64_t clock_overhead_ns)
{
        const struct histogram *h = &totals->latency;
        uint64_t every = MAX(totals->sample_every, 1);
        json_t *o;

        if (h->samples == 0)
                return json_null();
        o = json_object();
        put_integer(o, "p50", histogram_quantile(h, 0.5));
        put_integer(o, "p90", histogram_quantile(h, 0.9));
        put_integer(o, "p99", histogram_quantile(h, 0.99));
        put_integer(o, "p99_9", histogram_quantile(h, 0.999));
        put_json(o, "max", every == 1 ? json_integer((json_int_t)h->max) : json_null());
        put_json(o, "max_sampled", every == 1 ? json_null() : json_integer((json_int_t)h->max));
        put_string(o, "method", every == 1 ? "each" : "sampled");
        put_integer(o, "every", every);
        put_integer(o, "samples", h->samples);
        put_integer(o, "overhead_ns", clock_overhead_ns);
        return o;
}

static json_t *
worker_to_json(const struct worker_figures *w, uint32_t seat)
{
        const struct evidence *e = &w->evidence;
        json_t *o = json_object();

        put_integer(o, "worker", seat);
        put_integer(o, "slot", w->slot);
        put_string(o, "kind", w->kind == WORKER_PROCESS ? "process" : "thread");
        put_integer(o, "pid", (uint64_t)w->pid);
        put_integer(o, "tid", (uint64_t)w->tid);
        put_integer(o, "tasks", w->tasks);
        put_integer(o, "restarts", w->restarts);
        put_seconds(o, "user_s", e->user_ns);
        put_seconds(o, "system_s", e->system_ns);
        put_seconds(o, "run_queue_wait_s", e->run_queue_wait_ns);
        put_integer(o, "voluntary_switches", e->voluntary);
        put_integer(o, "involuntary_switches", e->involuntary);
        put_integer(o, "minor_faults", e->minor_faults);
        put_integer(o, "major_faults", e->major_faults);
        put_seconds(o, "lock_wait_s", w->lock_wait_ns);
        put_integer(o, "lock_switches", w->lock_switches);
        put_seconds(o, "blocked_s", w->blocked_ns);
        return o;
}

json_t *
figures_workers_to_json(const struct worker_figures *workers, uint32_t n)
{
        json_t *array = json_array();

        for (uint32_t i = 0; i < n; i++)
                json_array_append_new(array, worker_to_json(&workers[i], i));
        return array;
}

static json_t *
failures_to_json(const struct figures *f)
{
        static const char *const reasons[] = {
                [FAILURE_ERROR] = "error", [FAILURE_WRONG] = "wrong",     [FAILURE_SIGNAL] = "signal",
                [FAILURE_EXIT] = "exit",   [FAILURE_TIMEOUT] = "timeout",
        };
        json_t *array = json_array();

        for (uint32_t i = 0; i < f->n_failures; i++) {
                const struct failure *x = &f->failures[i];
                json_t *o = json_object();

                put_integer(o, "index", x->task);
                put_string(o, "reason", reasons[x->reason]);
                put_json(o, "value", json_integer(x->value));
                put_integer(o, "worker", x->seat);
                json_array_append_new(array, o);
        }
        return array;
}

json_t *
figures_params_to_json(const struct variant *v)
{
        const struct concd_workload *w = workloads[v->workload];
        json_t *object = json_object();
        char buf[64];

        for (uint32_t i = 0; i < w->n_params; i++)
                put_string(object, w->params[i].name,
                           workload_param_format(&w->params[i], v->params[i], buf, sizeof(buf)));
        return object;
}

/* What was asked for. */
static void
put_variant(json_t *o, const struct figures *f, const struct variant *v)
{
        put_string(o, "workload", workloads[v->workload]->name);
        put_json(o, "params", figures_params_to_json(v));
        put_string(o, "mode", modes[v->mode].name);
        put_string(o, "spawn", spawns[v->spawn == SPAWN_POOL ? SPAWN_POOL : SPAWN_PER_TASK].name);
        put_string(o, "libc", v->libc_native ? "native" : "threaded");
        put_integer(o, "workers", v->spawn == SPAWN_AT_ONCE ? 0 : v->workers);
        put_integer(o, "chunk", f->chunk);
        put_integer(o, "chunks", f->chunks);
        put_integer_or_null(o, "count", v->count);
        if (v->duration_ns)
                put_seconds(o, "duration_s", v->duration_ns);
        else
                put_json(o, "duration_s", json_null());
        put_integer(o, "warmup", v->warmup);
        put_integer_or_null(o, "timeout_ns", v->timeout_ns);
}

static void
put_counts(json_t *o, const struct figures *f)
{
        const struct ledger_sum *sum = &f->sum;
        char checksum[24];

        snprintf(checksum, sizeof(checksum), "0x%016llx", (unsigned long long)sum->acc);
        put_integer(o, "done", sum->done);
        put_integer(o, "verified", sum->done - sum->failed);
        put_integer(o, "failed", sum->failed);
        put_integer(o, "wrong", sum->wrong);
        put_string(o, "checksum", checksum);
        put_json(o, "failures", failures_to_json(f));
        put_integer(o, "restarts", f->restarts);
        put_integer(o, "reexecuted", f->reexecuted);
}

static void
put_timing(json_t *o, const struct figures *f)
{
        double wall = (double)f->wall_ns / (double)NS_PER_S;
        uint64_t user = 0, system = 0;

        for (uint32_t i = 0; i < f->n_workers; i++) {
                user += f->workers[i].evidence.user_ns;
                system += f->workers[i].evidence.system_ns;
        }
        put_real(o, "wall_s", wall);
        put_seconds(o, "user_s", user);
        put_seconds(o, "system_s", system);
        put_bool(o, "cpu_complete", f->cpu_complete);
        put_real(o, "tasks_per_s", wall > 0 ? (double)f->sum.done / wall : 0);
        put_real(o, "cores_busy", f->wall_ns ? (double)(user + system) / (double)f->wall_ns : 0);
        put_json(o, "latency_ns", figures_latency_to_json(&f->totals, f->clock_overhead_ns));
        put_json(o, "workers_detail", figures_workers_to_json(f->workers, f->n_workers));
        put_bool(o, "timing_valid", f->resumed == 0);
}

json_t *
figures_to_result(const struct figures *f, const struct variant *v, const struct result_context *context)
{
        json_t *o = json_object();

        put_string(o, "id", context->id);
        put_string(o, "state", context->state);
        put_string(o, "reason", context->reason);
        put_variant(o, f, v);
        put_counts(o, f);
        put_integer(o, "resumed", context->resumed);
        put_timing(o, f);
        put_json(o, "environment",
                 environment_describe(&v->cpus, context->quota_cpus, !v->libc_native, f->steal_s));
        return o;
}
