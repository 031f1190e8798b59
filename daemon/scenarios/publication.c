/* SPDX-License-Identifier: MIT */
/*
 * Actor 0 makes an object and publishes it; the others wait until they see it, and use it. The bug is the classic
 * one: it is published too early, before both of its fields are written. (Writing them first and the flag afterwards,
 * but without a release, is wrong as well, yet an x86 never shows it: see the litmus shape mp.)
 */
#include "scenarios/builtin.h"

#define ACTORS_MAX         64
#define LOOKS_BEFORE_YIELD 256

#define FIRST  UINT64_C(0x600d)
#define SECOND UINT64_C(0xda7a)

enum { COMPLETE, HALF_BUILT, NOT_SEEN };

struct publication_state {
        alignas(RACE_LINE) uint64_t is_published;
        alignas(RACE_LINE) uint64_t first;
        alignas(RACE_LINE) uint64_t second;
        struct {
                alignas(RACE_LINE) uint64_t has_seen;
                uint64_t first, second;
        } reader[ACTORS_MAX];
};

static const struct outcome publication_outcomes[] = {
        [COMPLETE] = {.name = "complete", .meaning = "whoever saw the object found both its fields"},
        [HALF_BUILT] = {.name = "half built",
                        .meaning = "a reader saw the object before its fields were written",
                        .expected = OUTCOME_INTERESTING,
                        .forbidden_by = GUARD_EXCLUDES,
                        .is_witness = true},
        [NOT_SEEN] = {.name = "not seen", .meaning = "the trial's time was over before anybody saw the object"},
};

static void
publication_write(struct actor *a, struct publication_state *s)
{
        if (!actor_goes_on(a) || !actor_acquire(a))
                return;
        actor_store_release(a, &s->is_published, 1);
        actor_widen(a);
        actor_store(a, &s->first, FIRST);
        actor_widen(a);
        actor_store(a, &s->second, SECOND);
        actor_release(a);
}

/* Looks once: false when there is something to wait for still. */
static bool
publication_look(struct actor *a, struct publication_state *s)
{
        bool seen;

        if (!actor_acquire_shared(a))
                return true;
        seen = actor_load_acquire(a, &s->is_published) != 0;
        if (seen) {
                s->reader[a->id].first = actor_load(a, &s->first);
                s->reader[a->id].second = actor_load(a, &s->second);
                s->reader[a->id].has_seen = 1;
        }
        actor_release(a);
        return seen;
}

static void
publication_read(struct actor *a, struct publication_state *s)
{
        for (uint32_t looks = 1; actor_goes_on(a) && !publication_look(a, s); looks++)
                if (looks % LOOKS_BEFORE_YIELD == 0)
                        actor_yield(a);
}

static void
publication_act(struct actor *a, void *state)
{
        if (a->id == 0)
                publication_write(a, state);
        else
                publication_read(a, state);
}

static int
publication_classify(const void *state, struct trial_end *end)
{
        const struct publication_state *s = state;
        uint32_t complete = 0, half = 0;

        for (uint32_t i = 1; i < end->spec->actors; i++) {
                bool whole = s->reader[i].first == FIRST && s->reader[i].second == SECOND;

                complete += s->reader[i].has_seen && whole;
                half += s->reader[i].has_seen && !whole;
        }
        if (complete + half < end->spec->actors - 1 && !end->was_cut)
                return -1;
        if (half > 0)
                return HALF_BUILT;
        return complete > 0 ? COMPLETE : NOT_SEEN;
}

const struct scenario scenario_publication = {
        .name = "publication",
        .summary = "one publishes an object before it is whole, the others wait for it and use it",
        .actors_min = 2,
        .actors_max = ACTORS_MAX,
        .actors_def = 2,
        .permits_def = 1,
        .guard_def = "none",
        .outcomes = publication_outcomes,
        .n_outcomes = ARRAY_SIZE(publication_outcomes),
        .state_bytes = sizeof(struct publication_state),
        .act = publication_act,
        .classify = publication_classify,
};
