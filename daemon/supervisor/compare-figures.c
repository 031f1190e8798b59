/* SPDX-License-Identifier: MIT */
#include "supervisor/compare-figures.h"

#include "shared/clock.h"
#include "supervisor/cpus.h"
#include "supervisor/environment.h"
#include "supervisor/fields.h"
#include "supervisor/why.h"
#include "worker/mode.h"
#include "workloads/workloads.h"

#include <string.h>

/* What the result is put together from. */
struct source {
        const struct segment *s;
        const struct plan *plan;
        const struct comparison *c;
        const struct result_context *context;
        uint32_t rounds;   /* complete ones */
        double *x, *y, *z; /* room for the values of one variant each: time per task of the reference, of the variant,
                                * and its wall times */
        struct why_input *why; /* one a variant */
};

static bool
is_enough(const struct source *src)
{
        return src->rounds >= COMPARE_ROUNDS_MIN;
}

static json_t *
interval_to_json(const struct interval *i, double unit)
{
        json_t *o = json_object();

        put_real(o, "low", i->low * unit);
        put_real(o, "high", i->high * unit);
        return o;
}

static json_t *
real_or_null(double value, bool is_known)
{
        return is_known ? json_real(value) : json_null();
}

/* ── one variant ── */

/* Sums over rounds of a variant. */
static struct compare_record
sum_of(const struct source *src, uint32_t v, uint32_t first, uint32_t n)
{
        struct compare_record sum = {0};

        for (uint32_t i = first; i < first + n; i++) {
                const struct compare_record *r = comparison_record(src->s, src->plan, v, i);

                sum.wall_ns += r->wall_ns;
                sum.done += r->done;
                sum.failed += r->failed;
                sum.wrong += r->wrong;
                sum.acc += r->acc;
                sum.user_ns += r->user_ns;
                sum.system_ns += r->system_ns;
                sum.restarts += r->restarts;
                sum.reexecuted += r->reexecuted;
                sum.steal_ns += r->steal_ns;
                sum.repeated += r->repeated;
        }
        return sum;
}

static void
put_what(const struct source *src, json_t *o, uint32_t v)
{
        const struct variant *variant = &src->plan->variants[v];

        put_string(o, "name", src->plan->comparison.names[v]);
        put_string(o, "workload", workloads[variant->workload]->name);
        put_json(o, "params", figures_params_to_json(variant));
        put_string(o, "mode", modes[variant->mode].name);
        put_string(o, "spawn", spawns[variant->spawn == SPAWN_POOL ? SPAWN_POOL : SPAWN_PER_TASK].name);
        put_string(o, "libc", variant->libc_native ? "native" : "threaded");
        put_integer(o, "workers", variant->spawn == SPAWN_AT_ONCE ? 0 : variant->workers);
        put_json(o, "cpus", cpus_to_json(&variant->cpus));
        put_integer_or_null(o, "count", variant->count);
        put_json(o, "duration_s", real_or_null((double)variant->duration_ns / (double)NS_PER_S, variant->duration_ns));
        put_integer(o, "chunk", src->c->evidence[v].chunk);
}

static void
put_rounds(const struct source *src, json_t *o, uint32_t v, uint32_t n)
{
        json_t *times = json_array(), *user = json_array(), *system = json_array(), *tasks = json_array(),
               *failed = json_array(), *order = json_array();

        for (uint32_t i = 0; i < n; i++) {
                const struct compare_record *r = comparison_record(src->s, src->plan, v, i);

                json_array_append_new(times, json_real((double)r->wall_ns / (double)NS_PER_S));
                json_array_append_new(user, json_real((double)r->user_ns / (double)NS_PER_S));
                json_array_append_new(system, json_real((double)r->system_ns / (double)NS_PER_S));
                json_array_append_new(tasks, json_integer((json_int_t)r->done));
                json_array_append_new(failed, json_integer((json_int_t)r->failed));
                json_array_append_new(order, json_integer(r->order));
        }
        put_integer(o, "rounds", n);
        put_json(o, "times_s", times);
        put_json(o, "user_s", user);
        put_json(o, "system_s", system);
        put_json(o, "tasks", tasks);
        put_json(o, "failed_tasks", failed);
        put_json(o, "order", order);
}

/* Of the wall times, which stand in src->z; the outliers are those of the times per task, in src->y. */
static void
put_location(const struct source *src, json_t *o, uint32_t v, uint32_t n)
{
        struct interval range, fences;
        json_t *outliers = json_array();
        const double *z = src->z;

        statistics_fences(src->y, n, &fences);
        for (uint32_t i = 0; i < n; i++) {
                if (src->y[i] < fences.low || src->y[i] > fences.high)
                        json_array_append_new(outliers, json_integer(i));
        }
        put_json(o, "outliers", outliers);
        put_json(o, "median_s", real_or_null(statistics_median(z, n), n > 0));
        put_json(o, "median_interval",
                 n >= 2 && statistics_median_interval(z, n, src->plan->comparison.seed + v, &range) == 0
                         ? interval_to_json(&range, 1)
                         : json_null());
        put_json(o, "mean_s", real_or_null(statistics_mean(z, n), n > 0));
        put_json(o, "stddev_s", real_or_null(statistics_stddev(z, n), n >= 2));
        put_json(o, "min_s", real_or_null(statistics_quantile(z, n, 0), n > 0));
        put_json(o, "max_s", real_or_null(statistics_quantile(z, n, 1), n > 0));
}

/* Is there a time per task, of it and of the reference? */
static bool
is_compared(const struct why_input *w)
{
        return w->speed_up > 0;
}

static const char *
verdict_of(const struct source *src, const struct why_input *w)
{
        if (!is_enough(src) || !is_compared(w) || why_is_too_short(w))
                return "none";
        if (w->is_reference)
                return "reference";
        if (w->range.low > 1)
                return "faster";
        return w->range.high < 1 ? "slower" : "unclear";
}

static void
put_verdict(const struct source *src, json_t *o, uint32_t v)
{
        const struct why_input *w = &src->why[v];
        bool has_range = !w->is_reference && is_compared(w) && w->range.low > 0;
        struct why why;

        put_json(o, "s_per_task", real_or_null(w->s_per_task, w->s_per_task > 0));
        put_json(o, "speed_up", real_or_null(w->speed_up, is_compared(w)));
        put_json(o, "speed_up_interval", has_range ? interval_to_json(&w->range, 1) : json_null());
        put_string(o, "verdict", verdict_of(src, w));
        why_explain(src->why, src->plan->n_variants, v, is_enough(src), &why);
        put_string(o, "rule", why.rule);
        put_string(o, "why", why.text);
}

static void
put_counts(json_t *o, const struct compare_record *sum)
{
        char checksum[24];

        snprintf(checksum, sizeof(checksum), "0x%016llx", (unsigned long long)sum->acc);
        put_real(o, "tasks_per_s", sum->wall_ns ? (double)sum->done * (double)NS_PER_S / (double)sum->wall_ns : 0);
        put_real(o, "cores_busy", sum->wall_ns ? (double)(sum->user_ns + sum->system_ns) / (double)sum->wall_ns : 0);
        put_integer(o, "done", sum->done);
        put_integer(o, "verified", sum->done - sum->failed);
        put_integer(o, "failed", sum->failed);
        put_integer(o, "wrong", sum->wrong);
        put_string(o, "checksum", checksum);
        put_integer(o, "restarts", sum->restarts);
        put_integer(o, "reexecuted", sum->reexecuted);
        put_integer(o, "repeated", sum->repeated);
        put_seconds(o, "steal_s", sum->steal_ns);
}

static json_t *
bins_to_json(const struct histogram *h)
{
        json_t *array = json_array();

        for (unsigned i = 0; h->samples > 0 && i < HISTOGRAM_BUCKETS; i++) {
                json_t *o;

                if (h->buckets[i] == 0)
                        continue;
                o = json_object();
                put_integer(o, "from_ns", histogram_bucket_floor(i));
                put_integer(o, "to_ns", i + 1 < HISTOGRAM_BUCKETS ? histogram_bucket_floor(i + 1) : h->max + 1);
                put_integer(o, "count", h->buckets[i]);
                json_array_append_new(array, o);
        }
        return array;
}

static json_t *
spans_to_json(const struct compare_evidence *e)
{
        static const char *const kinds[TRACE_KINDS] = {
                [TRACE_RUN] = "run", [TRACE_LOCK] = "lock", [TRACE_BLOCKED] = "blocked"};
        json_t *array = json_array();

        for (uint32_t i = 0; i < e->n_spans; i++) {
                const struct trace_span *span = &e->spans[i].span;
                json_t *o = json_object();

                put_integer(o, "worker", e->spans[i].worker);
                put_string(o, "kind", kinds[span->kind < TRACE_KINDS ? span->kind : TRACE_RUN]);
                put_integer(o, "from_ns", span->from_ns);
                put_integer(o, "to_ns", span->to_ns);
                put_integer(o, "task", span->task);
                put_integer(o, "tasks", span->tasks);
                json_array_append_new(array, o);
        }
        return array;
}

static void
put_evidence(const struct source *src, json_t *o, uint32_t v)
{
        const struct compare_evidence *e = &src->c->evidence[v];

        put_integer(o, "evidence_rounds", e->rounds);
        put_json(o, "workers_detail",
                 figures_workers_to_json(e->workers, e->rounds > 0 ? src->plan->variants[v].workers : 0));
        put_json(o, "latency_ns", figures_latency_to_json(&e->totals, src->c->clock_overhead_ns));
        put_json(o, "latency_bins", bins_to_json(&e->totals.latency));
        put_json(o, "spans", spans_to_json(e));
        put_integer(o, "spans_dropped", e->spans_dropped);
}

static json_t *
variant_to_json(const struct source *src, uint32_t v)
{
        const struct compare_record sum = sum_of(src, v, 0, src->rounds);
        uint32_t n = src->rounds;
        json_t *o = json_object();

        comparison_times(src->s, src->plan, v, n, src->y);
        for (uint32_t i = 0; i < n; i++)
                src->z[i] = (double)comparison_record(src->s, src->plan, v, i)->wall_ns / (double)NS_PER_S;
        put_what(src, o, v);
        put_rounds(src, o, v, n);
        put_location(src, o, v, n);
        put_verdict(src, o, v);
        put_counts(o, &sum);
        put_evidence(src, o, v);
        return o;
}

/* ── evidence for the reasons ── */

/* The time per task, and its ratio to the reference's; 0 where there is none. */
static void
compare_to_reference(const struct source *src, uint32_t v, struct why_input *w)
{
        const struct plan *plan = src->plan;
        bool has_reference = comparison_times(src->s, plan, plan->comparison.reference, src->rounds, src->x);

        if (src->rounds == 0 || !comparison_times(src->s, plan, v, src->rounds, src->y))
                return;
        w->s_per_task = statistics_median(src->y, src->rounds);
        if (!has_reference)
                return;
        w->speed_up = w->is_reference ? 1 : statistics_median(src->x, src->rounds) / w->s_per_task;
        w->range = (struct interval){w->is_reference, w->is_reference};
        if (!w->is_reference && src->rounds >= 2 &&
            statistics_ratio_interval(src->x, src->y, src->rounds, plan->comparison.seed + v, &w->range) < 0)
                w->range = (struct interval){0, 0};
}

static void
gather(const struct source *src, uint32_t v)
{
        const struct variant *variant = &src->plan->variants[v];
        const struct compare_evidence *e = &src->c->evidence[v];
        /* The evidence is of the last rounds, those that this daemon measured. */
        const struct compare_record sum = sum_of(src, v, src->rounds - e->rounds, e->rounds),
                                    all = sum_of(src, v, 0, src->rounds);
        double cpus = CPU_COUNT(&variant->cpus), quota = src->context->quota_cpus;

        src->why[v] = (struct why_input){
                .workload = variant->workload,
                .mode = variant->mode,
                .spawn = variant->spawn,
                .workers = variant->workers,
                .cpus = quota > 0 ? MIN(cpus, quota) : cpus,
                .affinity = variant->cpus,
                .count = variant->count,
                .duration_ns = variant->duration_ns,
                .timeout_ns = variant->timeout_ns,
                .chunk_asked = variant->chunk,
                .is_libc_native = variant->libc_native,
                .chunk = e->chunk,
                .rounds = src->rounds,
                .evidence_rounds = e->rounds,
                .tasks = e->tasks,
                .wall_ns = e->wall_ns,
                .evidence = e->totals.evidence,
                .lock_wait_ns = e->totals.lock_wait_ns,
                .lock_switches = e->totals.lock_switches,
                .blocked_ns = e->totals.blocked_ns,
                .done = all.done,
                .failed = all.failed,
                .restarts = all.restarts,
                .steal_ns = sum.steal_ns,
                .task_p50_ns = histogram_quantile(&e->totals.latency, 0.5),
                .is_reference = v == src->plan->comparison.reference,
        };
        memcpy(src->why[v].params, variant->params, sizeof(variant->params));
        compare_to_reference(src, v, &src->why[v]);
}

/* ── scaling ── */

/* Do two variants differ in the number of workers only? */
static bool
is_same_but_workers(const struct variant *a, const struct variant *b)
{
        return a->workload == b->workload && a->mode == b->mode && a->spawn == b->spawn &&
               a->libc_native == b->libc_native && a->count == b->count && a->duration_ns == b->duration_ns &&
               a->chunk == b->chunk && a->timeout_ns == b->timeout_ns && CPU_EQUAL(&a->cpus, &b->cpus) &&
               memcmp(a->params, b->params, sizeof(a->params)) == 0;
}

/* The variants that differ from `first` in the number of workers only, in the order of these; each number once. Returns
 * how many. */
static uint32_t
group_of(const struct source *src, uint32_t first, uint32_t member[COMPARE_VARIANTS_MAX])
{
        const struct variant *variants = src->plan->variants;
        uint32_t n = 0;

        for (uint32_t v = 0; v < src->plan->n_variants; v++) {
                uint32_t at = n;

                if (variants[v].spawn == SPAWN_AT_ONCE || !is_same_but_workers(&variants[first], &variants[v]))
                        continue;
                while (at > 0 && variants[member[at - 1]].workers > variants[v].workers)
                        at--;
                if (at > 0 && variants[member[at - 1]].workers == variants[v].workers)
                        continue;
                memmove(&member[at + 1], &member[at], (n - at) * sizeof(*member));
                member[at] = v;
                n++;
        }
        return n;
}

/* Throughput by the USL, in units of the first point's. */
static double
predicted(const struct scaling_fit *fit, double n)
{
        return fit->gain * n / (1 + fit->sigma * (n - 1) + fit->kappa * n * (n - 1));
}

static json_t *
point_to_json(const struct source *src, const struct scaling_fit *fit, uint32_t v, uint32_t base)
{
        const struct plan *plan = src->plan;
        json_t *o = json_object();
        struct interval range;

        comparison_times(src->s, plan, base, src->rounds, src->x);
        comparison_times(src->s, plan, v, src->rounds, src->y);
        put_integer(o, "workers", plan->variants[v].workers);
        put_real(o, "tasks_per_s", 1 / src->why[v].s_per_task);
        put_real(o, "speed_up", src->why[base].s_per_task / src->why[v].s_per_task);
        put_json(o, "speed_up_interval",
                 v != base && src->rounds >= 2 &&
                                 statistics_ratio_interval(src->x, src->y, src->rounds, plan->comparison.seed + v,
                                                           &range) == 0
                         ? interval_to_json(&range, 1)
                         : json_null());
        put_real(o, "fitted", predicted(fit, plan->variants[v].workers));
        return o;
}

/* "process workers=4" is in the group "process". */
static json_t *
group_name(const struct source *src, uint32_t v)
{
        const char *name = src->plan->comparison.names[v], *at = strstr(name, "workers=");
        const char *end = at ? at + strcspn(at, " ") : NULL;
        size_t before = at ? (size_t)(at - name) : 0;

        if (!at)
                return json_string(modes[src->plan->variants[v].mode].name);
        while (*end == ' ')
                end++;
        while (!*end && before > 0 && name[before - 1] == ' ')
                before--;
        if (before == 0 && !*end)
                return json_string(modes[src->plan->variants[v].mode].name);
        return json_sprintf("%.*s%s", (int)before, name, end);
}

static json_t *
group_to_json(const struct source *src, const uint32_t *member, uint32_t n)
{
        json_t *o, *points = json_array();
        struct why_input why[COMPARE_VARIANTS_MAX];
        double throughput[COMPARE_VARIANTS_MAX];
        unsigned workers[COMPARE_VARIANTS_MAX];
        struct scaling_fit fit;
        char limit[WHY_TEXT_MAX];

        for (uint32_t i = 0; i < n; i++) {
                why[i] = src->why[member[i]];
                if (why[i].s_per_task <= 0) {
                        json_decref(points);
                        return NULL;
                }
                workers[i] = why[i].workers;
                throughput[i] = 1 / why[i].s_per_task;
        }
        if (scaling_fit(workers, throughput, n, &fit) < 0) {
                json_decref(points);
                return NULL;
        }
        for (uint32_t i = 0; i < n; i++)
                json_array_append_new(points, point_to_json(src, &fit, member[i], member[0]));
        why_limit(&fit, why, n, limit);
        o = json_object();
        put_json(o, "name", group_name(src, member[0]));
        put_json(o, "points", points);
        put_real(o, "serial", fit.serial);
        put_real(o, "sigma", fit.sigma);
        put_real(o, "kappa", fit.kappa);
        put_json(o, "peak", real_or_null(fit.peak, fit.peak > 0));
        put_real(o, "rms_relative", fit.rms_relative);
        put_string(o, "limit", limit);
        return o;
}

static json_t *
scaling_to_json(const struct source *src)
{
        json_t *array = json_array();
        bool is_grouped[COMPARE_VARIANTS_MAX] = {false};

        for (uint32_t v = 0; src->rounds > 0 && !src->plan->comparison.is_aa && v < src->plan->n_variants; v++) {
                uint32_t member[COMPARE_VARIANTS_MAX], n;
                json_t *group;

                if (is_grouped[v])
                        continue;
                n = group_of(src, v, member);
                for (uint32_t i = v; i < src->plan->n_variants; i++)
                        is_grouped[i] =
                                is_grouped[i] || is_same_but_workers(&src->plan->variants[v], &src->plan->variants[i]);
                group = n >= 2 ? group_to_json(src, member, n) : NULL;
                if (group)
                        json_array_append_new(array, group);
        }
        return array;
}

/* ── all of it ── */

static void
put_asked(const struct source *src, json_t *o)
{
        const struct comparison_spec *spec = &src->plan->comparison;
        bool is_precise = spec->precision > 0 && comparison_is_precise(src->s, src->plan);
        const struct interval *aa = &src->why[1].range;
        bool is_judged = spec->is_aa && is_enough(src) && aa->low > 0;

        put_bool(o, "partial", !is_precise && src->rounds < spec->rounds);
        put_integer(o, "rounds", src->rounds);
        put_json(o, "rounds_asked", spec->precision > 0 ? json_null() : json_integer(spec->rounds));
        put_integer(o, "warmup_rounds", spec->is_rehearsed);
        put_integer(o, "seed", spec->seed);
        put_json(o, "precision", real_or_null(spec->precision, spec->precision > 0));
        put_json(o, "precision_reached", spec->precision > 0 ? json_boolean(is_precise) : json_null());
        put_string(o, "reference", spec->names[spec->reference]);
        put_bool(o, "aa", spec->is_aa);
        put_json(o, "trusted", is_judged ? json_boolean(aa->low <= 1 && aa->high >= 1) : json_null());
}

static json_t *
put_together(const struct source *src, uint64_t wall_ns)
{
        const struct plan *plan = src->plan;
        json_t *o = json_object(), *variants = json_array();
        uint64_t steal_ns = 0;

        for (uint32_t v = 0; v < plan->n_variants; v++) {
                json_array_append_new(variants, variant_to_json(src, v));
                steal_ns += sum_of(src, v, 0, src->rounds).steal_ns;
        }
        put_string(o, "id", src->context->id);
        put_string(o, "state", src->context->state);
        put_string(o, "reason", src->context->reason);
        put_asked(src, o);
        put_json(o, "variants", variants);
        put_json(o, "scaling", scaling_to_json(src));
        put_integer(o, "resumed", src->context->resumed);
        put_seconds(o, "wall_s", wall_ns);
        put_real(o, "load_before", src->c->load_before);
        put_json(o, "mhz_before", real_or_null(src->c->mhz_before, src->c->mhz_before > 0));
        put_json(o, "environment",
                 environment_describe(&plan->variants[plan->comparison.reference].cpus, src->context->quota_cpus,
                                      !plan->variants[plan->comparison.reference].libc_native,
                                      (double)steal_ns / (double)NS_PER_S));
        return o;
}

json_t *
compare_figures_to_result(const struct segment *s, const struct plan *plan, const struct comparison *c,
                          uint64_t wall_ns, const struct result_context *context)
{
        size_t n = comparison_rounds(s, plan) + 1;
        AUTO_FREE double *values = calloc(3 * n, sizeof(*values));
        AUTO_FREE struct why_input *why = calloc(plan->n_variants, sizeof(*why));
        struct source src = {
                .s = s,
                .plan = plan,
                .c = c,
                .context = context,
                .rounds = (uint32_t)n - 1,
                .x = values,
                .y = values + n,
                .z = values + 2 * n,
                .why = why,
        };

        if (!values || !why)
                return NULL;
        for (uint32_t v = 0; v < plan->n_variants; v++)
                gather(&src, v);
        return put_together(&src, wall_ns);
}
