/* SPDX-License-Identifier: MIT */
#include "supervisor/figures.h"

#include "shared/clock.h"
#include "supervisor/environment.h"
#include "worker/mode.h"
#include "worker/worker.h"
#include "workloads/workloads.h"

#include <errno.h>
#include <string.h>

static double
seconds(uint64_t ns)
{
        return (double)ns / (double)NS_PER_S;
}

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

int
figures_collect(const struct segment *s, struct figures **ret)
{
        const struct run *run = s->run;
        uint64_t start = atomic_load(&run->start_ns), end = start;
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
                if (start)
                        end = MAX(end, atomic_load(&seat->commit_ns));
                f->restarts += seat->restarts;
                f->cpu_complete = f->cpu_complete && !seat->cpu_lost;
        }
        ledger_sum(s->ledger, &run->spec.geometry, &f->sum);
        f->wall_ns = end - start;
        f->chunk = run->spec.geometry.count == UINT64_MAX ? 0 : run->spec.geometry.chunk[0];
        f->chunks = run->spec.geometry.n_lines;
        f->restarts += atomic_load(&run->task_deaths);
        f->reexecuted = atomic_load(&run->reexecuted);
        f->clock_overhead_ns = run->spec.clock_overhead_ns;
        f->totals = run->totals;
        for (uint32_t i = 0; i < MIN(atomic_load(&run->n_failures), FAILURES_MAX); i++) {
                if (atomic_load_explicit(&run->failures[i].written, memory_order_acquire))
                        f->failures[f->n_failures++] = run->failures[i];
        }
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

static json_t *
latency_to_json(const struct figures *f)
{
        const struct histogram *h = &f->totals.latency;
        uint64_t every = MAX(f->totals.sample_every, 1);
        json_t *max = json_integer((json_int_t)h->max);

        if (h->samples == 0) {
                json_decref(max);
                return json_null();
        }
        return json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:s, s:I, s:I, s:I}", "p50",
                         (json_int_t)histogram_quantile(h, 0.5), "p90", (json_int_t)histogram_quantile(h, 0.9), "p99",
                         (json_int_t)histogram_quantile(h, 0.99), "p99_9", (json_int_t)histogram_quantile(h, 0.999),
                         "max", every == 1 ? max : json_null(), "max_sampled", every == 1 ? json_null() : max, "method",
                         every == 1 ? "each" : "sampled", "every", (json_int_t)every, "samples", (json_int_t)h->samples,
                         "overhead_ns", (json_int_t)f->clock_overhead_ns);
}

static json_t *
workers_to_json(const struct figures *f)
{
        json_t *array = json_array();

        for (uint32_t i = 0; i < f->n_workers; i++) {
                const struct worker_figures *w = &f->workers[i];
                const struct evidence *e = &w->evidence;

                json_array_append_new(
                        array,
                        json_pack("{s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:f, s:I, s:f}",
                                  "worker", (json_int_t)i, "slot", (json_int_t)w->slot, "kind",
                                  w->kind == WORKER_PROCESS ? "process" : "thread", "pid", (json_int_t)w->pid, "tid",
                                  (json_int_t)w->tid, "tasks", (json_int_t)w->tasks, "restarts", (json_int_t)w->restarts,
                                  "user_s", seconds(e->user_ns), "system_s", seconds(e->system_ns), "run_queue_wait_s",
                                  seconds(e->run_queue_wait_ns), "voluntary_switches", (json_int_t)e->voluntary,
                                  "involuntary_switches", (json_int_t)e->involuntary, "minor_faults",
                                  (json_int_t)e->minor_faults, "major_faults", (json_int_t)e->major_faults,
                                  "lock_wait_s", seconds(w->lock_wait_ns), "lock_switches",
                                  (json_int_t)w->lock_switches, "blocked_s", seconds(w->blocked_ns)));
        }
        return array;
}

static json_t *
failures_to_json(const struct figures *f)
{
        static const char *const reasons[] = {
                [FAILURE_ERROR] = "error",   [FAILURE_WRONG] = "wrong",     [FAILURE_SIGNAL] = "signal",
                [FAILURE_EXIT] = "exit",     [FAILURE_TIMEOUT] = "timeout",
        };
        json_t *array = json_array();

        for (uint32_t i = 0; i < f->n_failures; i++) {
                const struct failure *x = &f->failures[i];

                json_array_append_new(array, json_pack("{s:I, s:s, s:I, s:I}", "index", (json_int_t)x->task, "reason",
                                                       reasons[x->reason], "value", (json_int_t)x->value, "worker",
                                                       (json_int_t)x->seat));
        }
        return array;
}

static json_t *
params_to_json(const struct variant *v)
{
        const struct concd_workload *w = workloads[v->workload];
        json_t *object = json_object();
        char buf[64];

        for (uint32_t i = 0; i < w->n_params; i++)
                json_object_set_new(object, w->params[i].name,
                                    json_string(workload_param_format(&w->params[i], v->params[i], buf, sizeof(buf))));
        return object;
}

static json_t *
integer_or_null(uint64_t n)
{
        return n ? json_integer((json_int_t)n) : json_null();
}

static json_t *
timing_to_json(const struct figures *f)
{
        double wall = seconds(f->wall_ns), user = 0, system = 0;

        for (uint32_t i = 0; i < f->n_workers; i++) {
                user += seconds(f->workers[i].evidence.user_ns);
                system += seconds(f->workers[i].evidence.system_ns);
        }
        return json_pack("{s:f, s:f, s:f, s:b, s:f, s:f}", "wall_s", wall, "user_s", user, "system_s", system,
                         "cpu_complete", f->cpu_complete, "tasks_per_s", wall > 0 ? (double)f->sum.done / wall : 0.0,
                         "cores_busy", wall > 0 ? (user + system) / wall : 0.0);
}

json_t *
figures_to_result(const struct figures *f, const struct variant *v, const struct result_context *context)
{
        const struct ledger_sum *sum = &f->sum;
        char checksum[24];
        json_t *result, *timing = timing_to_json(f);

        snprintf(checksum, sizeof(checksum), "0x%016llx", (unsigned long long)sum->acc);
        result = json_pack("{s:s, s:s, s:s?, s:s, s:o, s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:I, s:o}", "id", context->id,
                           "state", context->state, "reason", context->reason, "workload", workloads[v->workload]->name,
                           "params", params_to_json(v), "mode", modes[v->mode].name, "spawn",
                           spawns[v->spawn == SPAWN_POOL ? SPAWN_POOL : SPAWN_PER_TASK].name, "workers",
                           (json_int_t)(v->spawn == SPAWN_AT_ONCE ? 0 : v->workers), "chunk", (json_int_t)f->chunk,
                           "chunks", (json_int_t)f->chunks, "count", integer_or_null(v->count), "duration_s",
                           v->duration_ns ? json_real(seconds(v->duration_ns)) : json_null(), "warmup",
                           (json_int_t)v->warmup, "timeout_ns", integer_or_null(v->timeout_ns));
        if (!result || json_object_update_new(result, timing) < 0 ||
            json_object_update_new(
                    result, json_pack("{s:I, s:I, s:I, s:I, s:s, s:o, s:o, s:o, s:I, s:I, s:i, s:b, s:o}", "done",
                                      (json_int_t)sum->done, "verified", (json_int_t)(sum->done - sum->failed), "failed",
                                      (json_int_t)sum->failed, "wrong", (json_int_t)sum->wrong, "checksum", checksum,
                                      "latency_ns", latency_to_json(f), "workers_detail", workers_to_json(f), "failures",
                                      failures_to_json(f), "restarts", (json_int_t)f->restarts, "reexecuted",
                                      (json_int_t)f->reexecuted, "resumed", 0, "timing_valid", 1, "environment",
                                      environment_describe(&v->cpus, context->quota_cpus, context->parked_thread,
                                                           f->steal_s))) < 0) {
                json_decref(result);
                return NULL;
        }
        return result;
}
