/* SPDX-License-Identifier: MIT */
/*
 * All wait for one event: an item is there. All wake, one can have it, and the others woke in vain; that is the herd,
 * and what is counted as an actor's steps. What breaks without a guard is that the woken look whether the item is
 * still there and then take it. The last one that comes back from an event brings the next item.
 */
#include "scenarios/builtin.h"

#define ACTORS_MAX         64
#define LOOKS_BEFORE_YIELD 256

enum { PARAM_EVENTS };
enum { ONE_TOOK_IT, TAKEN_MORE, OUT_OF_TIME };

struct thundering_herd_state {
        alignas(RACE_LINE) uint64_t event; /* number of the present one, from 1 on; release / acquire */
        alignas(RACE_LINE) uint64_t item;  /* 1: it is there */
        alignas(RACE_LINE) uint64_t back;  /* how many came back from the present event */
        struct {
                alignas(RACE_LINE) uint64_t taken;
                uint64_t events; /* that it woke for */
        } done[ACTORS_MAX];
};

static const struct scenario_param thundering_herd_params[] = {
        [PARAM_EVENTS] = {.name = "events",
                          .summary = "how often an item comes",
                          .unit = "events",
                          .min = 1,
                          .max = 1000000,
                          .def = 20},
};

static const struct outcome thundering_herd_outcomes[] = {
        [ONE_TOOK_IT] = {.name = "one took it", .meaning = "each item was taken by one, the others woke in vain"},
        [TAKEN_MORE] = {.name = "taken more than once",
                        .meaning = "two that woke found the item there, and both took it",
                        .expected = OUTCOME_INTERESTING,
                        .forbidden_by = GUARD_EXCLUDES | GUARD_ATOMIC,
                        .is_witness = true},
        [OUT_OF_TIME] = {.name = "out of time",
                         .meaning = "the trial's time was over before all items had come; none was taken twice"},
};

static void
thundering_herd_reset(void *state, const struct race_spec *spec, uint64_t random)
{
        *(struct thundering_herd_state *)state = (struct thundering_herd_state){.event = 1, .item = 1};
}

/* False when the trial is over. */
static bool
await_event(struct actor *a, struct thundering_herd_state *s, uint64_t event)
{
        for (uint32_t looks = 1; actor_load_acquire(a, &s->event) < event; looks++) {
                if (!actor_goes_on(a))
                        return false;
                if (looks % LOOKS_BEFORE_YIELD == 0)
                        actor_yield(a);
        }
        return actor_goes_on(a);
}

/* Did it get the item? */
static bool
take(struct actor *a, struct thundering_herd_state *s)
{
        if (a->atomic_steps)
                return actor_swap_if(a, &s->item, 1, 0);
        if (!actor_load(a, &s->item))
                return false;
        actor_widen(a);
        actor_store(a, &s->item, 0);
        return true;
}

static void
come_back(struct actor *a, struct thundering_herd_state *s, uint64_t event)
{
        if (actor_add(a, &s->back, 1) + 1 < a->actors)
                return;
        actor_store(a, &s->back, 0);
        actor_store(a, &s->item, 1);
        actor_store_release(a, &s->event, event + 1);
}

static void
thundering_herd_act(struct actor *a, void *state)
{
        struct thundering_herd_state *s = state;
        uint64_t events = (uint64_t)a->params[PARAM_EVENTS], taken = 0, woken = 0;

        while (woken < events && await_event(a, s, woken + 1) && actor_acquire(a)) {
                taken += take(a, s);
                actor_release(a);
                woken++;
                come_back(a, s, woken);
        }
        s->done[a->id].taken = taken;
        s->done[a->id].events = woken;
        a->steps = woken - taken;
}

static int
thundering_herd_classify(const void *state, struct trial_end *end)
{
        const struct thundering_herd_state *s = state;
        uint64_t taken = 0, begun = 0, ended = UINT64_MAX;

        for (uint32_t i = 0; i < end->spec->actors; i++) {
                taken += s->done[i].taken;
                begun = MAX(begun, s->done[i].events);
                ended = MIN(ended, s->done[i].events);
        }
        if (taken < begun || (ended < (uint64_t)end->spec->params[PARAM_EVENTS] && !end->was_cut))
                return -1;
        if (taken > begun)
                return TAKEN_MORE;
        return end->was_cut && ended < (uint64_t)end->spec->params[PARAM_EVENTS] ? OUT_OF_TIME : ONE_TOOK_IT;
}

const struct scenario scenario_thundering_herd = {
        .name = "thundering-herd",
        .summary = "all wait for one item and wake together; steps are those that woke in vain",
        .actors_min = 2,
        .actors_max = ACTORS_MAX,
        .actors_def = 2,
        .params = thundering_herd_params,
        .n_params = ARRAY_SIZE(thundering_herd_params),
        .permits_def = 1,
        .guard_def = "none",
        .outcomes = thundering_herd_outcomes,
        .n_outcomes = ARRAY_SIZE(thundering_herd_outcomes),
        .state_bytes = sizeof(struct thundering_herd_state),
        .reset = thundering_herd_reset,
        .act = thundering_herd_act,
        .classify = thundering_herd_classify,
};
