/* SPDX-License-Identifier: MIT */
/*
 * A lock-free stack whose head is a bare index. A pop reads the top and the node below it, and swaps the head from
 * the one to the other if the top is still the same. It can be the same again: in between another actor took it, took
 * the node below, and put the first one back. Then the head is set to a node that is in somebody's hands.
 *
 * Every access is atomic, so the guard `atomic` has nothing to add; an exclusive one makes the pop one piece. Even
 * actors pop one node, slowly, and put it back; odd ones pop two quickly and put the first one back first. There are
 * enough nodes that the stack never runs empty. At the end every node must be in the stack or in one actor's hands,
 * once.
 */
#include "scenarios/builtin.h"

#define ACTORS_MAX 64
#define HAND_MAX   2
#define NODES_MAX  (HAND_MAX * ACTORS_MAX + 1)

enum { PARAM_ROUNDS };
enum { INTACT, CORRUPTED };

struct node {
        alignas(RACE_LINE) uint64_t next; /* 0: the last one */
        uint64_t owners;                  /* actors that have it in their hands */
};

struct hand {
        alignas(RACE_LINE) uint64_t node[HAND_MAX]; /* 0: none */
        uint64_t has_clashed;                       /* it popped a node that somebody had */
};

struct aba_state {
        alignas(RACE_LINE) uint64_t head; /* 0: empty */
        struct node node[NODES_MAX + 1];  /* from 1 on */
        struct hand hand[ACTORS_MAX];
};

static const struct scenario_param aba_params[] = {
        {.name = "rounds",
         .summary = "how often each takes nodes and puts them back",
         .unit = "rounds",
         .min = 1,
         .max = 1000000,
         .def = 100},
};

static const struct outcome aba_outcomes[] = {
        [INTACT] = {.name = "stack intact", .meaning = "every node is in one place"},
        [CORRUPTED] =
                {.name = "corrupted",
                 .meaning = "a swap succeeded because the top was the same again: a node is in two places, or in none",
                 .expected = OUTCOME_INTERESTING,
                 .forbidden_by = GUARD_EXCLUDES,
                 .is_witness = true},
};

static uint32_t
nodes_of(const struct race_spec *spec)
{
        return HAND_MAX * spec->actors + 1;
}

static void
aba_reset(void *state, const struct race_spec *spec, uint64_t random)
{
        struct aba_state *s = state;
        uint32_t n = nodes_of(spec);

        s->head = 1;
        for (uint32_t i = 1; i <= n; i++)
                s->node[i] = (struct node){.next = i < n ? i + 1 : 0};
        for (uint32_t i = 0; i < spec->actors; i++)
                s->hand[i] = (struct hand){0};
}

/* The node, or 0: the trial is over, or the stack is so corrupted that it seems empty. */
static uint64_t
aba_pop(struct actor *a, struct aba_state *s, bool slowly)
{
        while (actor_goes_on(a) && actor_acquire(a)) {
                uint64_t top = actor_load(a, &s->head);
                bool popped = false;

                if (top != 0) {
                        uint64_t next = actor_load(a, &s->node[top].next);

                        if (slowly)
                                actor_widen(a);
                        popped = actor_swap_if(a, &s->head, top, next);
                }
                actor_release(a);
                if (popped || top == 0)
                        return top;
        }
        return 0;
}

static bool
aba_push(struct actor *a, struct aba_state *s, uint64_t node)
{
        while (actor_goes_on(a) && actor_acquire(a)) {
                uint64_t top = actor_load(a, &s->head);
                bool pushed;

                actor_store(a, &s->node[node].next, top);
                pushed = actor_swap_if(a, &s->head, top, node);
                actor_release(a);
                if (pushed)
                        return true;
        }
        return false;
}

/* Takes nodes into its hands and puts them back; false when there is no point in going on. */
static bool
aba_round(struct actor *a, struct aba_state *s, struct hand *hand)
{
        bool is_slow = a->id % 2 == 0;
        uint32_t n = is_slow ? 1 : HAND_MAX;

        for (uint32_t i = 0; i < n; i++) {
                hand->node[i] = aba_pop(a, s, is_slow);
                if (hand->node[i] == 0)
                        return false;
                if (actor_add(a, &s->node[hand->node[i]].owners, 1) != 0) {
                        hand->has_clashed = 1;
                        return false;
                }
        }
        for (uint32_t i = 0; i < n; i++) {
                actor_add(a, &s->node[hand->node[i]].owners, UINT64_MAX);
                if (!aba_push(a, s, hand->node[i]))
                        return false;
                hand->node[i] = 0;
        }
        return true;
}

static void
aba_act(struct actor *a, void *state)
{
        struct aba_state *s = state;
        struct hand hand = {0};

        for (int64_t i = 0; i < a->params[PARAM_ROUNDS] && actor_goes_on(a); i++)
                if (!aba_round(a, s, &hand))
                        break;
        s->hand[a->id] = hand;
}

/* Counts a node that was found; false if it was found before. */
static bool
find(bool found[NODES_MAX + 1], uint64_t node, uint32_t *n_found)
{
        if (found[node])
                return false;
        found[node] = true;
        ++*n_found;
        return true;
}

static int
aba_classify(const void *state, struct trial_end *end)
{
        const struct aba_state *s = state;
        bool found[NODES_MAX + 1] = {false};
        uint32_t n_found = 0;

        for (uint64_t node = s->head; node != 0; node = s->node[node].next)
                if (!find(found, node, &n_found))
                        return CORRUPTED;
        for (uint32_t i = 0; i < end->spec->actors; i++) {
                const struct hand *hand = &s->hand[i];

                if (hand->has_clashed)
                        return CORRUPTED;
                for (uint32_t k = 0; k < HAND_MAX; k++)
                        if (hand->node[k] != 0 && !find(found, hand->node[k], &n_found))
                                return CORRUPTED;
        }
        return n_found == nodes_of(end->spec) ? INTACT : CORRUPTED;
}

const struct scenario scenario_aba = {
        .name = "aba",
        .summary = "a lock-free stack: the top was taken and put back, and the swap does not see it",
        .actors_min = 2,
        .actors_max = ACTORS_MAX,
        .actors_def = 2,
        .params = aba_params,
        .n_params = ARRAY_SIZE(aba_params),
        .permits_def = 1,
        .guard_def = "none",
        .outcomes = aba_outcomes,
        .n_outcomes = ARRAY_SIZE(aba_outcomes),
        .state_bytes = sizeof(struct aba_state),
        .reset = aba_reset,
        .act = aba_act,
        .classify = aba_classify,
};
