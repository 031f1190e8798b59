/* SPDX-License-Identifier: MIT */
#include "supervisor/plan.h"

#include "scenarios/scenario.h"
#include "segment/ledger.h"
#include "shared/quantity.h"
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
                plan->steps[plan->n_steps++] = (struct step){.warmup = true};
        plan->steps[plan->n_steps++] = (struct step){.warmup = false};
        return 0;
}

void
plan_deinit(struct plan *plan)
{
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
