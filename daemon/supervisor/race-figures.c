/* SPDX-License-Identifier: MIT */
#include "supervisor/race-figures.h"

#include "scenarios/scenario.h"
#include "supervisor/environment.h"
#include "supervisor/fields.h"
#include "supervisor/request-race.h"
#include "worker/mode.h"
#include "workloads/workloads.h"

#include <inttypes.h>

static const struct scenario *
scenario_of(const struct race *race)
{
        return scenarios[race->spec.scenario];
}

static enum outcome_class
class_of(const struct race *race, uint32_t outcome)
{
        const struct scenario *s = scenario_of(race);

        return outcome_expected(&s->outcomes[outcome], scenario_effect(s, &race->spec));
}

/* ── the counts ── */

void
race_figures_tally(const struct race *race, struct race_tally *ret)
{
        uint64_t at;

        do {
                at = atomic_load_explicit(&race->tally_at, memory_order_acquire);
                *ret = race->tally[at & 1];
                atomic_thread_fence(memory_order_acquire);
        } while (atomic_load_explicit(&race->tally_at, memory_order_relaxed) != at);
}

static uint64_t
forbidden(const struct race *race, const struct race_tally *tally)
{
        uint64_t n = 0;

        for (uint32_t i = 0; i < scenario_of(race)->n_outcomes; i++) {
                if (class_of(race, i) == OUTCOME_FORBIDDEN)
                        n += tally->count[i];
        }
        return n;
}

uint64_t
race_figures_failed(const struct race *race, const struct race_tally *tally)
{
        return forbidden(race, tally) + tally->unknown;
}

static void
print_forbidden(FILE *out, const struct race *race, const struct race_tally *tally)
{
        const char *separator = ": ";

        fprintf(out, "%" PRIu64 " of %" PRIu64 " trials came to a forbidden outcome", forbidden(race, tally),
                tally->trials);
        for (uint32_t i = 0; i < scenario_of(race)->n_outcomes; i++) {
                if (tally->count[i] == 0 || class_of(race, i) != OUTCOME_FORBIDDEN)
                        continue;
                fprintf(out, "%s%s", separator, scenario_of(race)->outcomes[i].name);
                separator = ", ";
        }
}

char *
race_figures_fault(const struct race *race, const struct race_tally *tally)
{
        char *reason = NULL;
        size_t size;
        FILE *out;

        if (race_figures_failed(race, tally) == 0)
                return NULL;
        out = open_memstream(&reason, &size);
        if (!out)
                return NULL;
        if (forbidden(race, tally) > 0)
                print_forbidden(out, race, tally);
        if (tally->unknown > 0)
                fprintf(out, "%s%" PRIu64 " of %" PRIu64 " trials came to an outcome that is not known",
                        forbidden(race, tally) > 0 ? "; " : "", tally->unknown, tally->trials);
        fclose(out);
        return reason;
}

static json_t *
outcomes_to_json(const struct race *race, const struct race_tally *tally)
{
        static const char *const classes[] = {
                [OUTCOME_ACCEPTABLE] = "acceptable",
                [OUTCOME_INTERESTING] = "interesting",
                [OUTCOME_FORBIDDEN] = "forbidden",
        };
        json_t *array = json_array();

        for (uint32_t i = 0; i < scenario_of(race)->n_outcomes; i++) {
                const struct outcome *outcome = &scenario_of(race)->outcomes[i];
                json_t *o = json_object();

                put_string(o, "name", outcome->name);
                put_integer(o, "count", tally->count[i]);
                put_string(o, "expected", classes[class_of(race, i)]);
                put_string(o, "meaning", outcome->meaning);
                json_array_append_new(array, o);
        }
        return array;
}

static json_t *
observation_to_json(const struct race *race, const struct race_tally *tally)
{
        uint64_t positive = 0, negative = 0;
        json_t *o = json_object();

        for (uint32_t i = 0; i < scenario_of(race)->n_outcomes; i++)
                *(scenario_of(race)->outcomes[i].is_witness ? &positive : &negative) += tally->count[i];
        put_string(o, "verdict", positive == 0 ? "Never" : negative == 0 ? "Always" : "Sometimes");
        put_integer(o, "positive", positive);
        put_integer(o, "negative", negative);
        return o;
}

static void
put_counts(json_t *o, const struct race *race, const struct race_tally *tally)
{
        put_integer(o, "done", tally->trials);
        put_integer(o, "unknown", tally->unknown);
        put_integer(o, "dropped", race->dropped);
        put_json(o, "outcomes", outcomes_to_json(race, tally));
        put_json(o, "observation", observation_to_json(race, tally));
        put_integer(o, "lost_updates", tally->lost);
        put_integer(o, "permits_leaked", tally->leaked);
        put_integer(o, "permits_recovered", tally->recovered);
        put_integer(o, "kills", tally->kills);
}

/* ── the actors ── */

/* Jain's index of fairness (Jain, Chiu, Hawe 1984): 1 when all did the same, 1/n when one did everything. */
static double
jain(const struct race_actor *actors, uint32_t n)
{
        double sum = 0, squares = 0;

        for (uint32_t i = 0; i < n; i++) {
                double x = (double)actors[i].steps;

                sum += x;
                squares += x * x;
        }
        return squares > 0 ? sum * sum / ((double)n * squares) : 1;
}

/* NULL JSON when nobody asked for a guard, or nobody looked at the clock. */
static json_t *
wait_to_json(const struct race_actor *actors, uint32_t n)
{
        struct histogram all = {0};
        json_t *o;

        for (uint32_t i = 0; i < n; i++)
                histogram_merge(&all, &actors[i].wait);
        if (all.samples == 0)
                return json_null();
        o = json_object();
        put_integer(o, "p50", histogram_quantile(&all, 0.5));
        put_integer(o, "p90", histogram_quantile(&all, 0.9));
        put_integer(o, "p99", histogram_quantile(&all, 0.99));
        put_integer(o, "p99_9", histogram_quantile(&all, 0.999));
        put_integer(o, "max", all.max);
        put_integer(o, "samples", all.samples);
        return o;
}

static json_t *
actors_to_json(const struct race_actor *actors, const struct figures *f)
{
        json_t *array = json_array();

        for (uint32_t i = 0; i < f->n_workers; i++) {
                const struct worker_figures *w = &f->workers[i];
                const struct race_actor *a = &actors[i];
                json_t *o = json_object();

                put_integer(o, "actor", i);
                put_integer(o, "slot", w->slot);
                put_string(o, "kind", w->kind == WORKER_PROCESS ? "process" : "thread");
                put_integer(o, "pid", (uint64_t)w->pid);
                put_integer(o, "tid", (uint64_t)w->tid);
                put_integer(o, "steps", a->steps);
                put_integer(o, "acquires", a->acquires);
                put_integer(o, "contended", a->contended);
                put_integer(o, "timeouts", a->timeouts);
                put_integer(o, "handoffs", a->handoffs);
                json_array_append_new(array, o);
        }
        return array;
}

static void
put_actors(json_t *o, const struct segment *s, const struct figures *f)
{
        const struct race_actor *actors = s->race_actors;
        uint64_t steps = 0, most = 0, handoffs = 0;

        for (uint32_t i = 0; i < f->n_workers; i++) {
                steps += actors[i].steps;
                most = MAX(most, actors[i].steps);
                handoffs += actors[i].handoffs;
        }
        put_integer(o, "max_holders", (uint64_t)atomic_load(&s->race->holders_max));
        put_integer(o, "handoffs", handoffs);
        put_real(o, "jain", jain(actors, f->n_workers));
        put_json(o, "wait_ns", wait_to_json(actors, f->n_workers));
        put_integer(o, "steps", steps);
        put_real(o, "ns_per_step", most ? (double)f->wall_ns / (double)most : 0);
        put_json(o, "actors_detail", actors_to_json(actors, f));
}

/* ── the picture ── */

struct spans {
        json_t *array;
        uint64_t zero_ns;
        uint32_t actor, trial, left;
        uint64_t since[3]; /* what has begun, by kind; 0: not */
};

enum span_kind { SPAN_TRIAL, SPAN_WAIT, SPAN_HOLD };

static void
end_span(struct spans *x, enum span_kind kind, uint64_t at_ns)
{
        static const char *const names[] = {[SPAN_TRIAL] = "trial", [SPAN_WAIT] = "wait", [SPAN_HOLD] = "hold"};
        json_t *o;

        if (x->since[kind] == 0 || x->left == 0 || at_ns < x->since[kind])
                return;
        o = json_object();
        put_integer(o, "actor", x->actor);
        put_string(o, "kind", names[kind]);
        put_integer(o, "trial", x->trial);
        put_integer(o, "from_ns", x->since[kind] - x->zero_ns);
        put_integer(o, "to_ns", at_ns - x->zero_ns);
        json_array_append_new(x->array, o);
        x->since[kind] = 0;
        x->left--;
}

/* What was not ended by an event of its own ends with its trial; what a killed actor began ends nowhere. */
static void
add_event(struct spans *x, const struct race_event *event)
{
        switch (event->kind) {
        case RACE_EVENT_BEGIN:
                x->since[SPAN_WAIT] = x->since[SPAN_HOLD] = 0;
                x->since[SPAN_TRIAL] = event->at_ns;
                x->trial = event->trial;
                break;
        case RACE_EVENT_WAIT:
                x->since[SPAN_WAIT] = event->at_ns;
                break;
        case RACE_EVENT_HOLD:
                end_span(x, SPAN_WAIT, event->at_ns);
                x->since[SPAN_HOLD] = event->at_ns;
                break;
        case RACE_EVENT_END:
        case RACE_EVENT_RELEASE:
                end_span(x, SPAN_WAIT, event->at_ns);
                end_span(x, SPAN_HOLD, event->at_ns);
                if (event->kind == RACE_EVENT_END)
                        end_span(x, SPAN_TRIAL, event->at_ns);
                break;
        }
}

static uint32_t
events_of(const struct race_actor *a)
{
        return MIN(a->n_events, RACE_EVENTS_MAX);
}

static json_t *
spans_to_json(const struct race_actor *actors, uint32_t n)
{
        struct spans x = {.array = json_array(), .zero_ns = UINT64_MAX};

        for (uint32_t i = 0; i < n; i++) {
                for (uint32_t k = 0; k < events_of(&actors[i]); k++)
                        x.zero_ns = MIN(x.zero_ns, actors[i].event[k].at_ns);
        }
        for (x.actor = 0; x.actor < n; x.actor++) {
                x.since[SPAN_TRIAL] = x.since[SPAN_WAIT] = x.since[SPAN_HOLD] = 0;
                x.left = RACE_SPANS_MAX / n;
                for (uint32_t k = 0; k < events_of(&actors[x.actor]); k++)
                        add_event(&x, &actors[x.actor].event[k]);
        }
        return x.array;
}

/* ── how it was asked for ── */

static json_t *
params_to_json(const struct race_spec *spec)
{
        const struct scenario *s = scenarios[spec->scenario];
        json_t *object = json_object();

        for (uint32_t i = 0; i < s->n_params; i++) {
                struct concd_param p = race_param(&s->params[i]);
                char buf[64];

                put_string(object, p.name, workload_param_format(&p, spec->params[i], buf, sizeof(buf)));
        }
        return object;
}

static void
put_variant(json_t *o, const struct variant *v)
{
        const struct race_spec *spec = &v->race;

        put_string(o, "scenario", scenarios[spec->scenario]->name);
        put_json(o, "params", params_to_json(spec));
        put_string(o, "mode", modes[v->mode].name);
        put_string(o, "guard", guards[spec->guard]->name);
        put_integer(o, "permits", spec->permits);
        put_integer(o, "actors", spec->actors);
        put_integer_or_null(o, "trials", spec->trials);
        if (v->duration_ns)
                put_seconds(o, "duration_s", v->duration_ns);
        else
                put_json(o, "duration_s", json_null());
}

static json_t *
notes_to_json(uint32_t notes)
{
        static const struct {
                enum race_note note;
                const char *text;
        } rows[] = {
                {RACE_NOTE_CROWDED, "there are more actors than CPUs: the barrier was made one that sleeps"},
                {RACE_NOTE_NO_TIMEBASE, "this machine has no time-stamp counter that goes on steadily: the barrier was "
                                        "made spin"},
                {RACE_NOTE_SKEW, "the time-stamp counters of the CPUs differ: the barrier was made spin"},
                {RACE_NOTE_NOT_PINNED, "an actor could not be kept on its CPU"},
        };
        json_t *array = json_array();

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                if (notes & rows[i].note)
                        json_array_append_new(array, json_string(rows[i].text));
        }
        return array;
}

static json_t *
cpus_to_json(const cpu_set_t *cpus)
{
        json_t *array = json_array();

        for (int i = 0; i < CPU_SETSIZE; i++) {
                if (CPU_ISSET(i, cpus))
                        json_array_append_new(array, json_integer(i));
        }
        return array;
}

static json_t *
settings_to_json(const struct race *race, const struct variant *v)
{
        const struct race_spec *spec = &v->race;
        bool has_hold = scenarios[spec->scenario]->flags & SCENARIO_HAS_HOLD;
        bool fits = spec->actors <= (uint32_t)CPU_COUNT(&v->cpus);
        uint32_t notes = atomic_load(&race->notes);
        json_t *o = json_object();

        put_string(o, "barrier", race_barriers[MIN(race->barrier_made, RACE_BARRIERS - 1)].name);
        put_string(o, "barrier_asked", race_barriers[spec->barrier].name);
        put_bool(o, "pinned", spec->pin && fits && !(notes & RACE_NOTE_NOT_PINNED));
        put_integer(o, "widen_ns", spec->widen_ns);
        put_string(o, "hold", has_hold ? race_holds[spec->hold].name : NULL);
        put_integer(o, "batch", spec->batch);
        put_integer(o, "trial_timeout_ns", spec->trial_ns);
        put_bool(o, "measured", spec->measure);
        put_json(o, "cpus", cpus_to_json(&v->cpus));
        put_json(o, "notes", notes_to_json(notes));
        return o;
}

json_t *
race_figures_to_result(const struct segment *s, const struct figures *f, const struct variant *v,
                       const struct result_context *context)
{
        double wall = (double)f->wall_ns / (double)NS_PER_S;
        json_t *o = json_object();
        struct race_tally tally;

        race_figures_tally(s->race, &tally);
        put_string(o, "id", context->id);
        put_string(o, "state", context->state);
        put_string(o, "reason", context->reason);
        put_variant(o, v);
        put_counts(o, s->race, &tally);
        put_actors(o, s, f);
        put_real(o, "wall_s", wall);
        put_real(o, "trials_per_s", wall > 0 ? (double)tally.trials / wall : 0);
        put_json(o, "settings", settings_to_json(s->race, v));
        put_json(o, "spans", v->race.timeline ? spans_to_json(s->race_actors, f->n_workers) : json_array());
        put_integer(o, "restarts", f->restarts);
        put_json(o, "environment",
                 environment_describe(&v->cpus, context->quota_cpus, !v->libc_native, f->steal_s));
        return o;
}
