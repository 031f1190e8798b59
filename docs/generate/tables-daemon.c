/* SPDX-License-Identifier: MIT */
/*
 * Prints the tables of concd as JSON: configuration keys, guards, workloads, modes, spawns, scenarios, barriers. Runs
 * while concd is built, for its manual and completions, and is not installed.
 */
#include "config/config-key.h"
#include "guards/guard.h"
#include "scenarios/scenario.h"
#include "supervisor/request-race.h"
#include "worker/mode.h"
#include "workloads/workloads.h"

static json_t *
all_keys(void)
{
        json_t *all = json_array();
        char range[RANGE_TEXT_MAX];

        for (size_t i = 0; i < N_KEYS; i++) {
                const struct config_key *key = &config_keys[i];

                json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "section", key->section, "name",
                                                     key->name, "range", config_key_range(key, range), "default",
                                                     key->def, "live", key->reload == KEY_LIVE, "help", key->help));
        }
        return all;
}

static json_t *
all_guards(void)
{
        json_t *all = json_array();

        for (size_t i = 0; guards[i]; i++) {
                const struct guard *g = guards[i];

                json_array_append_new(
                        all,
                        json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:b, s:b, s:I}", "name", g->name, "summary",
                                  g->summary, "death", g->death_note, "excludes", (g->flags & GUARD_EXCLUDES) != 0,
                                  "limits", (g->flags & GUARD_LIMITS) != 0, "atomic", (g->flags & GUARD_ATOMIC) != 0,
                                  "shares", (g->flags & GUARD_SHARES) != 0, "named", (g->flags & GUARD_NAMED) != 0,
                                  "threads_only", (g->flags & GUARD_THREADS_ONLY) != 0, "permits_max",
                                  (json_int_t)guard_permits_max(g)));
        }
        return all;
}

static json_t *
describe_param(const struct concd_param *p)
{
        json_t *choices = json_array();
        char def[64];

        for (size_t i = 0; p->type == CONCD_PARAM_ENUM && p->choices[i]; i++)
                json_array_append_new(choices, json_string(p->choices[i]));
        return json_pack("{s:s, s:s, s:s?, s:s, s:I, s:I, s:o}", "name", p->name, "summary", p->summary, "unit",
                         p->unit, "default", workload_param_format(p, p->def, def, sizeof(def)), "min",
                         (json_int_t)p->min, "max", (json_int_t)p->max, "choices", choices);
}

static json_t *
all_workloads(void)
{
        json_t *all = json_array();

        for (size_t i = 0; workloads[i]; i++) {
                const struct concd_workload *w = workloads[i];
                json_t *params = json_array();

                for (uint32_t k = 0; k < w->n_params; k++)
                        json_array_append_new(params, describe_param(&w->params[k]));
                json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:o}", "name", w->name, "summary", w->summary,
                                                     "unit", w->unit, "params", params));
        }
        return all;
}

static json_t *
all_scenarios(void)
{
        json_t *all = json_array();

        for (size_t i = 0; scenarios[i]; i++) {
                const struct scenario *s = scenarios[i];
                json_t *params = json_array();

                for (uint32_t k = 0; k < s->n_params; k++) {
                        struct concd_param p = race_param(&s->params[k]);

                        json_array_append_new(params, describe_param(&p));
                }
                json_array_append_new(
                        all, json_pack("{s:s, s:s, s:o}", "name", s->name, "summary", s->summary, "params", params));
        }
        return all;
}

static json_t *
all_modes(void)
{
        json_t *all = json_array();

        for (int i = 0; i < MODES; i++)
                json_array_append_new(all, json_pack("{s:s, s:s, s:b}", "name", modes[i].name, "summary",
                                                     modes[i].summary, "races", !modes[i].single && !modes[i].gil));
        return all;
}

static json_t *
named(const char *name, const char *summary)
{
        return json_pack("{s:s, s:s}", "name", name, "summary", summary);
}

static json_t *
all_spawns(void)
{
        json_t *all = json_array();

        for (int i = 0; i < SPAWNS; i++)
                json_array_append_new(all, named(spawns[i].name, spawns[i].summary));
        return all;
}

static json_t *
all_choices(const struct race_choice *choices, size_t n)
{
        json_t *all = json_array();

        for (size_t i = 0; i < n; i++)
                json_array_append_new(all, named(choices[i].name, choices[i].summary));
        return all;
}

int
main(void)
{
        AUTO_JSON json_t *tables = json_pack(
                "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "keys", all_keys(), "guards", all_guards(), "workloads",
                all_workloads(), "scenarios", all_scenarios(), "modes", all_modes(), "spawns", all_spawns(), "barriers",
                all_choices(race_barriers, RACE_BARRIERS), "holds", all_choices(race_holds, RACE_HOLDS));

        if (!tables || json_dumpf(tables, stdout, JSON_INDENT(1)) < 0 || fflush(stdout) != 0)
                return 1;
        return 0;
}
