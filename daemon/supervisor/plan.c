/* SPDX-License-Identifier: MIT */
#include "supervisor/plan.h"

#include "scenarios/scenario.h"
#include "segment/ledger.h"
#include "shared/quantity.h"
#include "shared/random.h"
#include "worker/mode.h"
#include "workloads/workloads.h"

#include <errno.h>
#include <string.h>

int
plan_init_single(struct plan *plan, const struct variant *variant, uint64_t deadline_ns)
{
        *plan = (struct plan){.n_variants = 1, .rounds = 1, .deadline_ns = deadline_ns};
        plan->variants = malloc(sizeof(*plan->variants));
        plan->steps = calloc(2, sizeof(*plan->steps));
        if (!plan->variants || !plan->steps) {
                plan_deinit(plan);
                return -ENOMEM;
        }
        plan->variants[0] = *variant;
        if (variant->warmup > 0)
                plan->steps[plan->n_steps++] = (struct step){.kind = STEP_WARMUP};
        plan->steps[plan->n_steps++] = (struct step){.kind = STEP_MEASURED};
        return 0;
}

/* All variants once, shuffled (Fisher and Yates). */
static void
add_round(struct plan *plan, enum step_kind kind, uint32_t round, uint64_t *random)
{
        struct step *first = &plan->steps[plan->n_steps];

        for (uint32_t i = 0; i < plan->n_variants; i++)
                first[i] = (struct step){.variant = i, .round = round, .kind = kind};
        for (uint32_t i = plan->n_variants - 1; i > 0; i--) {
                uint32_t k = (uint32_t)(random_next(random) % (i + 1));
                struct step other = first[k];

                first[k] = first[i];
                first[i] = other;
        }
        for (uint32_t i = 0; i < plan->n_variants; i++)
                first[i].order = i;
        plan->n_steps += plan->n_variants;
}

static void
add_warmup(struct plan *plan, uint64_t *random)
{
        if (plan->comparison.is_rehearsed) {
                add_round(plan, STEP_REHEARSAL, 0, random);
                return;
        }
        for (uint32_t i = 0; i < plan->n_variants; i++) {
                if (plan->variants[i].warmup > 0)
                        plan->steps[plan->n_steps++] = (struct step){.variant = i, .order = i, .kind = STEP_WARMUP};
        }
}

int
plan_init_comparison(struct plan *plan, struct variant *variants, uint32_t n_variants,
                     const struct comparison_spec *spec, uint64_t deadline_ns)
{
        uint64_t random = spec->seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
        struct step *steps = calloc((size_t)n_variants * (spec->rounds + 2), sizeof(*steps));

        if (!steps)
                return -ENOMEM;
        *plan = (struct plan){
                .n_variants = n_variants,
                .rounds = spec->rounds,
                .deadline_ns = deadline_ns,
                .is_comparison = true,
                .comparison = *spec,
                .steps = steps,
                .variants = variants,
        };
        add_warmup(plan, &random);
        plan->first_measured = plan->n_steps;
        for (uint32_t i = 0; i < spec->rounds; i++)
                add_round(plan, STEP_MEASURED, i, &random);
        plan->first_traced = plan->n_steps;
        for (uint32_t i = 0; spec->timeline && i < n_variants; i++)
                plan->steps[plan->n_steps++] =
                        (struct step){.variant = i, .round = spec->rounds - 1, .order = i, .kind = STEP_TRACED};
        return 0;
}

void
plan_deinit(struct plan *plan)
{
        for (uint32_t i = 0; plan->comparison.names && i < plan->n_variants; i++)
                free(plan->comparison.names[i]);
        free(plan->comparison.names);
        free(plan->variants);
        free(plan->steps);
        memset(plan, 0, sizeof(*plan));
}

enum worker_kind
variant_kind(const struct variant *v)
{
        return modes[v->mode].kind;
}

int
variant_geometry(const struct variant *v, bool warmup, uint32_t ledger_chunks, struct ledger_geometry *ret,
                 uint64_t *ret_lines)
{
        uint64_t count = warmup ? v->warmup : v->count;

        if (count == 0 || v->is_race) {
                ledger_geometry_init_endless(ret, v->workers);
                return 0;
        }
        if (v->spawn == SPAWN_AT_ONCE)
                return ledger_geometry_init(ret, count, count, ledger_chunks, ret_lines);
        return ledger_geometry_init(ret, count, warmup ? 0 : v->chunk, ledger_chunks, ret_lines);
}

static char *
race_summary(const struct variant *v, const char *amount)
{
        const struct guard *g = guards[v->race.guard];
        uint32_t permits = v->race.permits;
        char counted[32] = "";
        char *s = NULL;

        if (g->flags & GUARD_COUNTED)
                snprintf(counted, sizeof(counted), ", %u permit%s", permits, permits == 1 ? "" : "s");
        if (asprintf(&s, "%s %s · %s · %s%s · %u actor%s", scenarios[v->race.scenario]->name, amount,
                     modes[v->mode].name, g->name, counted, v->workers, v->workers == 1 ? "" : "s") < 0)
                return NULL;
        return s;
}

char *
variant_summary(const struct variant *v)
{
        char amount[64];
        char *s = NULL;

        if (v->count)
                snprintf(amount, sizeof(amount), "× %llu", (unsigned long long)v->count);
        else {
                char buf[48];

                snprintf(amount, sizeof(amount), "for %s",
                         quantity_format_duration_exact(buf, sizeof(buf), v->duration_ns));
        }
        if (v->is_race)
                return race_summary(v, amount);
        if (v->spawn == SPAWN_AT_ONCE) {
                if (asprintf(&s, "%s %s · %s, all at once", workloads[v->workload]->name, amount, modes[v->mode].name) <
                    0)
                        return NULL;
                return s;
        }
        if (asprintf(&s, "%s %s · %s%s · %u worker%s", workloads[v->workload]->name, amount, modes[v->mode].name,
                     v->spawn == SPAWN_POOL ? "" : ", one per task", v->workers, v->workers == 1 ? "" : "s") < 0)
                return NULL;
        return s;
}

#define SUMMARY_NAMES_MAX 120 /* bytes */

/* The names of its variants, as many as fit into a line. */
static char *
comparison_summary(const struct plan *plan)
{
        const struct comparison_spec *c = &plan->comparison;
        char names[SUMMARY_NAMES_MAX] = "", *s = NULL;
        size_t n = 0;
        uint32_t i;

        for (i = 0; i < plan->n_variants && n + strlen(c->names[i]) + 3 < sizeof(names); i++)
                n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", i > 0 ? ", " : "", c->names[i]);
        if (asprintf(&s, "%s compared: %s%s · %s%u rounds", workloads[plan->variants[0].workload]->name, names,
                     i < plan->n_variants ? ", …" : "", c->precision > 0 ? "at most " : "", plan->rounds) < 0)
                return NULL;
        return s;
}

char *
plan_summary(const struct plan *plan)
{
        return plan->is_comparison ? comparison_summary(plan) : variant_summary(&plan->variants[0]);
}
