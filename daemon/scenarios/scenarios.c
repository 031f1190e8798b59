/* SPDX-License-Identifier: MIT */
#include "scenarios/builtin.h"

#include <string.h>

#define BUILTIN_ROW(name) &scenario_##name,
const struct scenario *const scenarios[] = {BUILTIN_SCENARIOS(BUILTIN_ROW) BUILTIN_LITMUS(BUILTIN_ROW) NULL};
#undef BUILTIN_ROW

int
scenario_by_name(const char *name)
{
        for (int i = 0; scenarios[i]; i++)
                if (strcmp(scenarios[i]->name, name) == 0)
                        return i;
        return -1;
}

uint32_t
scenario_effect(const struct scenario *s, const struct race_spec *spec)
{
        return s->effect ? s->effect(spec) : guard_effect(guards[spec->guard], spec->permits);
}

enum outcome_class
outcome_expected(const struct outcome *o, uint32_t guard_effect)
{
        return o->forbidden_by & guard_effect ? OUTCOME_FORBIDDEN : o->expected;
}

/* ── op programs ── */

/* The registers are kept in the CPU until the end, so that nothing stands between two operations of a program but the
 * choice of the next one. */
static void
interpret(struct actor *a, const struct op *op, struct litmus_state *s)
{
        uint64_t reg[REGISTERS_MAX] = {REGISTER_UNSET, REGISTER_UNSET, REGISTER_UNSET, REGISTER_UNSET};

        for (; op->kind != OP_END; op++) {
                uint64_t *x = &s->location[op->location].value;

                switch (op->kind) {
                case OP_LOAD:
                        reg[op->reg] = actor_load(a, x);
                        break;
                case OP_STORE:
                        actor_store(a, x, op->value);
                        break;
                case OP_RMW:
                        reg[op->reg] = actor_add(a, x, op->value);
                        break;
                case OP_FENCE:
                        actor_fence(a);
                        break;
                case OP_END:
                        break;
                }
                if (a->atomic_steps)
                        actor_fence(a);
        }
        memcpy(s->registers[a->id].value, reg, sizeof(reg));
}

/* Under a guard a program is one critical section; under `atomic` each of its operations is sequentially
 * consistent. Small trials have no deadline of their own, so it is set before the guard is asked for. */
static void
guarded_program(const struct litmus *l, struct actor *a, struct litmus_state *s)
{
        a->user.deadline_ns = clock_now_ns() + a->race->spec.trial_ns;
        if (!actor_acquire(a))
                return;
        interpret(a, l->programs[a->id], s);
        actor_release(a);
}

static inline void
run_program(const struct litmus *l, struct actor *a, struct litmus_state *s)
{
        if (UNLIKELY(a->guard->flags & (GUARD_EXCLUDES | GUARD_LIMITS | GUARD_ATOMIC)))
                guarded_program(l, a, s);
        else if (LIKELY(l->code))
                l->code[a->id](a, s);
        else
                interpret(a, l->programs[a->id], s);
}

static int
litmus_classify(const struct litmus *l, const struct litmus_state *s)
{
        for (uint32_t i = 0; i < l->n_terms; i++) {
                const struct litmus_term *t = &l->witness[i];
                uint64_t value = t->actor < 0 ? s->location[t->index].value : s->registers[t->actor].value[t->index];

                if (value != t->value)
                        return 1;
        }
        return 0;
}

void
scenario_touch(const struct scenario *s, const void *state)
{
        const struct litmus_state *trial = state;

        for (uint32_t i = 0; s->litmus && i < s->litmus->n_locations; i++)
                __builtin_prefetch(&trial->location[i].value);
}

void
scenario_act(const struct scenario *s, struct actor *a, void *state)
{
        if (s->litmus)
                run_program(s->litmus, a, state);
        else
                s->act(a, state);
}

int
scenario_classify(const struct scenario *s, const void *state, struct trial_end *end)
{
        return s->litmus ? litmus_classify(s->litmus, state) : s->classify(state, end);
}
