/* SPDX-License-Identifier: MIT */
/*
 * A ring with few places: producers put numbered items into it, consumers take them out, and a count says how many
 * there are. Even actors produce, odd ones consume. One producer and one consumer have a place to go on each for
 * itself; what they share is the count, and a change of it that is lost makes one think that there is room, or an
 * item, where there is none. (An indivisible count is enough for these two, and not for three: then two use one
 * place.)
 *
 * At the end each item that was put must have been taken once, or still lie in the ring.
 */
#include "scenarios/builtin.h"

#include <string.h>

#define ACTORS_MAX         64
#define PRODUCERS_MAX      (ACTORS_MAX / 2)
#define PLACES_MAX         64
#define ITEMS_MAX          1000
#define LOOKS_BEFORE_YIELD 256

enum { PARAM_PLACES, PARAM_ITEMS };
enum { EACH_ONCE, LOST_OR_DOUBLED, OUT_OF_TIME };

struct producer_consumer_state {
        alignas(RACE_LINE) uint64_t count; /* signed, modulo 2^64 */
        alignas(RACE_LINE) uint64_t in;    /* the place that the next item goes to */
        alignas(RACE_LINE) uint64_t out;
        alignas(RACE_LINE) uint64_t gone[2];          /* producers, and consumers, that do no more */
        alignas(RACE_LINE) uint64_t ring[PLACES_MAX]; /* item + 1, or 0 */
        struct {
                alignas(RACE_LINE) uint64_t put; /* items, by this producer */
                uint64_t ghosts;                 /* items taken out of places where none had ever been */
        } done[ACTORS_MAX];
        alignas(RACE_LINE) uint64_t taken[PRODUCERS_MAX * ITEMS_MAX]; /* how often each item was */
};

static const struct scenario_param producer_consumer_params[] = {
        [PARAM_PLACES] = {.name = "places",
                          .summary = "how many items the ring has room for",
                          .unit = "places",
                          .min = 1,
                          .max = PLACES_MAX,
                          .def = 4},
        [PARAM_ITEMS] = {.name = "items",
                         .summary = "how many each producer puts",
                         .unit = "items",
                         .min = 1,
                         .max = ITEMS_MAX,
                         .def = 100},
};

static const struct outcome producer_consumer_outcomes[] = {
        [EACH_ONCE] = {.name = "each item once", .meaning = "every item was taken, and only once"},
        [LOST_OR_DOUBLED] = {.name = "items lost or doubled",
                             .meaning = "a place was filled before it was empty, or emptied before it was filled",
                             .expected = OUTCOME_INTERESTING,
                             .forbidden_by = GUARD_EXCLUDES,
                             .is_witness = true},
        [OUT_OF_TIME] = {.name = "out of time",
                         .meaning = "items were left when the trial's time was over, none lost and none doubled"},
};

static bool
is_consumer(uint32_t actor)
{
        return actor % 2 == 1;
}

static uint32_t
producers_of(uint32_t actors)
{
        return (actors + 1) / 2;
}

/* The items of producer 0, then those of producer 2, … */
static uint64_t
first_item(uint32_t producer, const int64_t *params)
{
        return producer / 2 * (uint64_t)params[PARAM_ITEMS];
}

static void
producer_consumer_reset(void *state, const struct race_spec *spec, uint64_t random)
{
        struct producer_consumer_state *s = state;

        memset(s, 0, offsetof(struct producer_consumer_state, taken));
        memset(s->taken, 0, producers_of(spec->actors) * (size_t)spec->params[PARAM_ITEMS] * sizeof(s->taken[0]));
}

/* The others, without whom there is no sense in waiting any longer. */
static bool
others_are_gone(struct actor *a, struct producer_consumer_state *s)
{
        uint32_t producers = producers_of(a->actors);

        return actor_load_acquire(a, &s->gone[!is_consumer(a->id)]) ==
               (is_consumer(a->id) ? producers : a->actors - producers);
}

/* One look at the ring, under the guard. */
enum look { DONE, WAIT, LEAVE };

static enum look
put(struct actor *a, struct producer_consumer_state *s, uint64_t places, uint64_t item)
{
        bool alone = others_are_gone(a, s);
        uint64_t in;

        if ((int64_t)actor_load(a, &s->count) >= (int64_t)places)
                return alone ? LEAVE : WAIT;
        in = actor_load(a, &s->in);
        actor_store(a, &s->ring[in], item + 1);
        actor_store(a, &s->in, (in + 1) % places);
        actor_bump(a, &s->count, 1);
        s->done[a->id].put++;
        return DONE;
}

static enum look
take(struct actor *a, struct producer_consumer_state *s, uint64_t places)
{
        bool alone = others_are_gone(a, s);
        uint64_t out, item;

        if ((int64_t)actor_load(a, &s->count) <= 0)
                return alone ? LEAVE : WAIT;
        out = actor_load(a, &s->out);
        item = actor_load(a, &s->ring[out]);
        actor_store(a, &s->out, (out + 1) % places);
        actor_bump(a, &s->count, UINT64_MAX);
        if (item == 0)
                s->done[a->id].ghosts++;
        else
                actor_add(a, &s->taken[item - 1], 1);
        return DONE;
}

static void
producer_consumer_act(struct actor *a, void *state)
{
        struct producer_consumer_state *s = state;
        uint64_t places = (uint64_t)a->params[PARAM_PLACES], items = (uint64_t)a->params[PARAM_ITEMS];
        uint64_t item = first_item(a->id, a->params), end = item + items;
        enum look look = DONE;

        for (uint32_t looks = 1; look != LEAVE && (is_consumer(a->id) || item < end) && actor_goes_on(a); looks++) {
                if (!actor_acquire(a))
                        break;
                look = is_consumer(a->id) ? take(a, s, places) : put(a, s, places, item);
                actor_release(a);
                item += look == DONE;
                if (look == WAIT && looks % LOOKS_BEFORE_YIELD == 0)
                        actor_yield(a);
        }
        actor_add(a, &s->gone[is_consumer(a->id)], 1);
}

/* How often the item lies in the places that the count says are full. */
static uint64_t
waiting(const struct producer_consumer_state *s, uint64_t places, uint64_t item)
{
        int64_t count = (int64_t)s->count;
        uint64_t n = 0;

        for (int64_t i = 0; i < count && i < (int64_t)places; i++)
                n += s->ring[(s->out + (uint64_t)i) % places] == item + 1;
        return n;
}

/* Items of one producer that are not where they should be. */
static uint64_t
misplaced(const struct producer_consumer_state *s, const struct race_spec *spec, uint32_t producer, uint64_t *lost,
          uint64_t *left)
{
        uint64_t first = first_item(producer, spec->params), items = (uint64_t)spec->params[PARAM_ITEMS], n = 0;

        for (uint64_t i = 0; i < items; i++) {
                uint64_t taken = s->taken[first + i];
                uint64_t there = waiting(s, (uint64_t)spec->params[PARAM_PLACES], first + i);
                bool was_put = i < s->done[producer].put;

                n += taken + there != was_put;
                *lost += was_put && taken + there == 0;
                *left += taken == 0;
        }
        return n;
}

static int
producer_consumer_classify(const void *state, struct trial_end *end)
{
        const struct producer_consumer_state *s = state;
        uint64_t wrong = 0, left = 0;

        for (uint32_t i = 0; i < end->spec->actors; i++) {
                if (is_consumer(i))
                        wrong += s->done[i].ghosts;
                else
                        wrong += misplaced(s, end->spec, i, &end->lost, &left);
        }
        if (wrong > 0)
                return LOST_OR_DOUBLED;
        if (left > 0)
                return end->was_cut ? OUT_OF_TIME : -1;
        return EACH_ONCE;
}

const struct scenario scenario_producer_consumer = {
        .name = "producer-consumer",
        .summary = "a ring with few places: producers put items into it, consumers take them out",
        .actors_min = 2,
        .actors_max = ACTORS_MAX,
        .actors_def = 2,
        .params = producer_consumer_params,
        .n_params = ARRAY_SIZE(producer_consumer_params),
        .permits_def = 1,
        .guard_def = "none",
        .outcomes = producer_consumer_outcomes,
        .n_outcomes = ARRAY_SIZE(producer_consumer_outcomes),
        .state_bytes = sizeof(struct producer_consumer_state),
        .reset = producer_consumer_reset,
        .act = producer_consumer_act,
        .classify = producer_consumer_classify,
};
