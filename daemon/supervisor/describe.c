/* SPDX-License-Identifier: MIT */
#include "supervisor/describe.h"

#include "scenarios/scenario.h"
#include "supervisor/fields.h"
#include "supervisor/request-race.h"
#include "worker/mode.h"
#include "workloads/workloads.h"

#include <string.h>

static json_t *
describe_param(const struct concd_param *p)
{
        bool is_enum = p->type == CONCD_PARAM_ENUM;
        json_t *choices = is_enum ? json_array() : json_null();
        char def[64];

        for (size_t i = 0; is_enum && p->choices[i]; i++)
                json_array_append_new(choices, json_string(p->choices[i]));
        return json_pack("{s:s, s:s, s:s, s:s?, s:s, s:o, s:o, s:o}", "name", p->name, "summary", p->summary, "type",
                         is_enum ? "enum" : "int", "unit", p->unit, "default",
                         workload_param_format(p, p->def, def, sizeof(def)), "min",
                         is_enum ? json_null() : json_integer(p->min), "max",
                         is_enum ? json_null() : json_integer(p->max), "choices", choices);
}

/* What an entry says beside its name; what a kind does not have is left out. Owns its JSON. */
struct details {
        const char *unit, *note;
        bool is_default;
        json_t *params, *outcomes, *guards;
};

/* Appends an entry. */
static void
add_entry(json_t *entries, const char *kind, const char *name, const char *summary, const struct details *d)
{
        json_t *o = json_object();

        put_string(o, "kind", kind);
        put_string(o, "name", name);
        put_string(o, "summary", summary);
        put_string(o, "unit", d->unit);
        put_bool(o, "default", d->is_default);
        put_json(o, "params", d->params ? d->params : json_array());
        put_json(o, "outcomes", d->outcomes ? d->outcomes : json_array());
        put_json(o, "guards", d->guards ? d->guards : json_array());
        put_string(o, "note", d->note);
        json_array_append_new(entries, o);
}

/* Is this entry asked for? */
static bool
wants(json_t *p, const char *kind, const char *name)
{
        const char *want_kind = json_string_value(json_object_get(p, "kind"));
        const char *want_name = json_string_value(json_object_get(p, "name"));

        return (!want_kind || strcmp(want_kind, kind) == 0) && (!want_name || strcmp(want_name, name) == 0);
}

/* ── one kind after the other ── */

static void
describe_workloads(json_t *entries, json_t *p)
{
        for (size_t i = 0; workloads[i]; i++) {
                const struct concd_workload *w = workloads[i];
                struct details d = {.unit = w->unit, .is_default = i == 0};

                if (!wants(p, "workload", w->name))
                        continue;
                d.params = json_array();
                for (uint32_t k = 0; k < w->n_params; k++)
                        json_array_append_new(d.params, describe_param(&w->params[k]));
                add_entry(entries, "workload", w->name, w->summary, &d);
        }
}

/* What the guard does in a race that leaves everything else at its default. */
static uint32_t
default_effect(const struct scenario *s, size_t guard)
{
        struct race_spec spec = {.guard = (uint32_t)guard, .permits = 1, .actors = s->actors_def};

        for (uint32_t i = 0; i < s->n_params; i++)
                spec.params[i] = s->params[i].def;
        return scenario_effect(s, &spec);
}

/* Those that the scenario can be raced under; with an outcome, under which it is forbidden. */
static json_t *
guard_names(const struct scenario *s, const struct outcome *outcome)
{
        json_t *names = json_array();

        for (size_t i = 0; guards[i]; i++) {
                if (race_guard_serves(s, guards[i]) &&
                    (!outcome || outcome_expected(outcome, default_effect(s, i)) == OUTCOME_FORBIDDEN))
                        json_array_append_new(names, json_string(guards[i]->name));
        }
        return names;
}

static json_t *
describe_outcomes(const struct scenario *s)
{
        static const char *const classes[] = {
                [OUTCOME_ACCEPTABLE] = "acceptable",
                [OUTCOME_INTERESTING] = "interesting",
                [OUTCOME_FORBIDDEN] = "forbidden",
        };
        json_t *outcomes = json_array();

        for (uint32_t i = 0; i < s->n_outcomes; i++) {
                const struct outcome *outcome = &s->outcomes[i];

                json_array_append_new(outcomes,
                                      json_pack("{s:s, s:s, s:s, s:b, s:o}", "name", outcome->name, "expected",
                                                classes[outcome->expected], "meaning", outcome->meaning, "witness",
                                                outcome->is_witness, "forbidden_by", guard_names(s, outcome)));
        }
        return outcomes;
}

static void
describe_scenarios(json_t *entries, json_t *p)
{
        for (size_t i = 0; scenarios[i]; i++) {
                const struct scenario *s = scenarios[i];
                struct details d = {.is_default = i == 0};

                if (!wants(p, "scenario", s->name))
                        continue;
                d.params = json_array();
                for (uint32_t k = 0; k < s->n_params; k++) {
                        struct concd_param param = race_param(&s->params[k]);

                        json_array_append_new(d.params, describe_param(&param));
                }
                d.outcomes = describe_outcomes(s);
                d.guards = guard_names(s, NULL);
                add_entry(entries, "scenario", s->name, s->summary, &d);
        }
}

static void
describe_guards(json_t *entries, json_t *p)
{
        for (size_t i = 0; guards[i]; i++) {
                const struct guard *g = guards[i];
                const struct details d = {.note = g->death_note,
                                          .is_default = strcmp(g->name, scenarios[0]->guard_def) == 0};

                if (wants(p, "guard", g->name))
                        add_entry(entries, "guard", g->name, g->summary, &d);
        }
}

/* The names that have nothing to them but what they are. */
static void
describe_plain(json_t *entries, json_t *p, const char *kind, const char *name, const char *summary, bool is_default)
{
        const struct details d = {.is_default = is_default};

        if (wants(p, kind, name))
                add_entry(entries, kind, name, summary, &d);
}

static json_t *
describe_all(json_t *p)
{
        json_t *entries = json_array();

        describe_workloads(entries, p);
        for (int i = 0; i < MODES; i++)
                describe_plain(entries, p, "mode", modes[i].name, modes[i].summary, i == MODE_DEFAULT);
        for (int i = 0; i < SPAWNS; i++)
                describe_plain(entries, p, "spawn", spawns[i].name, spawns[i].summary, i == SPAWN_POOL);
        describe_scenarios(entries, p);
        describe_guards(entries, p);
        for (int i = 0; i < RACE_BARRIERS; i++)
                describe_plain(entries, p, "barrier", race_barriers[i].name, race_barriers[i].summary,
                               i == (int)race_barrier_default(scenarios[0]));
        return entries;
}

/* "calc, nop, …": the names that a Describe could have meant. */
static char *
names_of(json_t *entries, const char *key)
{
        AUTO_JSON json_t *seen = json_object();
        char *all = NULL;
        json_t *entry;
        size_t i, size;
        FILE *f = open_memstream(&all, &size);

        json_array_foreach(entries, i, entry)
        {
                const char *name = json_string_value(json_object_get(entry, key));

                if (f && !json_object_get(seen, name)) {
                        fprintf(f, "%s%s", json_object_size(seen) ? ", " : "", name);
                        json_object_set_new(seen, name, json_true());
                }
        }
        if (f)
                fclose(f);
        return all;
}

/* Nothing is called so: with a kind that there is, its names would do. */
static void
refuse(struct call *call, const char *kind, const char *name)
{
        AUTO_JSON json_t *of_kind = json_pack("{s:s?}", "kind", kind);
        AUTO_JSON json_t *candidates = describe_all(of_kind);
        bool bad_kind = json_array_size(candidates) == 0;
        AUTO_JSON json_t *everything = bad_kind ? describe_all(NULL) : NULL;
        AUTO_FREE char *allowed = bad_kind ? names_of(everything, "kind") : names_of(candidates, "name");

        call_bad_value(call, bad_kind ? "kind" : "name", allowed ? allowed : "", "%s", bad_kind ? kind : name);
}

void
describe_handle(void *userdata, struct call *call, json_t *p)
{
        AUTO_JSON json_t *entries = describe_all(p);

        if (json_array_size(entries) > 0)
                call_reply(call, json_pack("{s:O}", "entries", entries));
        else
                refuse(call, json_string_value(json_object_get(p, "kind")),
                       json_string_value(json_object_get(p, "name")));
}
