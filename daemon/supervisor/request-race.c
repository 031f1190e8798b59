/* SPDX-License-Identifier: MIT */
#include "supervisor/request-race.h"

#include "shared/quantity.h"
#include "supervisor/request-private.h"
#include "worker/mode.h"
#include "workloads/workloads.h"

#include <errno.h>
#include <string.h>

#define TRIALS_DEFAULT    1000
#define TRIALS_MAX        UINT64_C(1000000000000)
#define WIDEN_DEFAULT_NS  200
#define WIDEN_MAX_NS      NS_PER_MS
#define TRIAL_MIN_NS      NS_PER_MS
#define TRIAL_MAX_NS      (10 * NS_PER_S)
#define TRIAL_DEFAULT_NS  (100 * NS_PER_MS)
#define GUARD_FOR_PERMITS "semaphore"

const struct race_choice race_barriers[RACE_BARRIERS] = {
        [RACE_BARRIER_SPIN] = {"spin", "all actors spin until everybody stands at the same trial"},
        [RACE_BARRIER_PTHREAD] = {"pthread", "pthread_barrier_wait(3), which sleeps: for more actors than CPUs"},
        [RACE_BARRIER_TIMEBASE] = {"timebase", "each trial starts at its instant of the time-stamp counter; the actors "
                                               "meet once a batch"},
        [RACE_BARRIER_NONE] = {"none", "whoever comes first begins"},
};

const struct race_choice race_holds[RACE_HOLDS] = {
        [RACE_HOLD_LOOP] = {"loop", "the guard is held over all of an actor's steps"},
        [RACE_HOLD_STEP] = {"step", "the guard is taken for each step"},
};

enum race_barrier
race_barrier_default(const struct scenario *s)
{
        return s->flags & SCENARIO_SMALL ? RACE_BARRIER_TIMEBASE : RACE_BARRIER_SPIN;
}

bool
race_guard_serves(const struct scenario *s, const struct guard *g)
{
        const char *why = NULL;

        if ((s->flags & SCENARIO_PROCESS_ONLY) && (g->flags & GUARD_THREADS_ONLY))
                return false;
        return !s->accepts || s->accepts(g, &why);
}

bool
race_guard_serves_in(const struct scenario *s, const struct guard *g, uint32_t mode)
{
        return race_guard_serves(s, g) && (modes[mode].kind == WORKER_THREAD || !(g->flags & GUARD_THREADS_ONLY));
}

struct concd_param
race_param(const struct scenario_param *p)
{
        return (struct concd_param){
                .name = p->name,
                .summary = p->summary,
                .type = CONCD_PARAM_INT,
                .unit = p->unit,
                .min = p->min,
                .max = p->max,
                .def = p->def,
        };
}

/* ── names ── */

static const char *
name_of_scenario(size_t i)
{
        return scenarios[i] ? scenarios[i]->name : NULL;
}

static const char *
name_of_guard(size_t i)
{
        return guards[i] ? guards[i]->name : NULL;
}

static const char *
name_of_barrier(size_t i)
{
        return i < RACE_BARRIERS ? race_barriers[i].name : NULL;
}

static const char *
name_of_hold(size_t i)
{
        return i < RACE_HOLDS ? race_holds[i].name : NULL;
}

/* Those in which several workers are at work at once. */
static bool
mode_can_race(uint32_t i)
{
        return !modes[i].single && !modes[i].gil;
}

static const char *
name_of_mode(size_t i)
{
        for (uint32_t mode = 0; mode < MODES; mode++) {
                if (mode_can_race(mode) && i-- == 0)
                        return modes[mode].name;
        }
        return NULL;
}

/* ── scenario and mode ── */

static char *
param_names(const struct scenario *s)
{
        char *all;

        if (s->n_params == 0)
                return request_text("nothing: %s has no parameters", s->name);
        all = strdup("");
        for (uint32_t i = 0; i < s->n_params; i++)
                all = request_append_name(all, s->params[i].name);
        return all;
}

static int
parse_param(const struct scenario *s, const char *name, json_t *value, int64_t *params, struct bad_value *bad)
{
        AUTO_FREE char *field = request_text("params.%s", name);
        char *allowed = NULL;
        struct concd_param p;
        uint32_t i = 0;
        int r;

        if (!field)
                return -ENOMEM;
        while (i < s->n_params && strcmp(s->params[i].name, name) != 0)
                i++;
        if (i == s->n_params)
                return request_refuse(bad, "params", strdup(name), param_names(s));
        p = race_param(&s->params[i]);
        r = workload_param_parse(&p, json_string_value(value), &params[i], &allowed);
        if (r == 0)
                return 0;
        return r == -ENOMEM ? r : request_refuse(bad, field, strdup(json_string_value(value)), allowed);
}

static int
parse_scenario(json_t *p, struct race_spec *spec, struct bad_value *bad)
{
        const struct scenario *s;
        const char *name;
        json_t *value;
        int r = request_parse_name(p, "scenario", name_of_scenario, &spec->scenario, bad);

        if (r < 0)
                return r;
        s = scenarios[spec->scenario];
        for (uint32_t i = 0; i < s->n_params; i++)
                spec->params[i] = s->params[i].def;
        json_object_foreach(json_object_get(p, "params"), name, value)
        {
                r = parse_param(s, name, value, spec->params, bad);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int
parse_mode(json_t *p, struct variant *v, struct bad_value *bad)
{
        const struct scenario *s = scenarios[v->race.scenario];
        uint32_t i = UINT32_MAX;
        int r = request_parse_name(p, "mode", name_of_mode, &i, bad);

        if (r < 0)
                return r;
        v->mode = i == UINT32_MAX ? MODE_DEFAULT : (uint32_t)mode_by_name(name_of_mode(i));
        if ((s->flags & SCENARIO_PROCESS_ONLY) && modes[v->mode].kind != WORKER_PROCESS)
                return request_refuse(bad, "mode", strdup(modes[v->mode].name),
                                      request_text("process (scenario %s has no other)", s->name));
        return 0;
}

/* ── the guard ── */

/* The guards that serve the variant; only the counted ones, if asked so. */
static char *
guard_names(const struct variant *v, bool counted)
{
        char *all = strdup("");

        for (size_t i = 0; guards[i]; i++) {
                if (race_guard_serves_in(scenarios[v->race.scenario], guards[i], v->mode) &&
                    (!counted || guard_permits_max(guards[i]) > 1))
                        all = request_append_name(all, guards[i]->name);
        }
        return all;
}

/* With the guards that there are instead. */
static int
refuse_guard(const struct variant *v, char *given, struct bad_value *bad)
{
        AUTO_FREE char *names = guard_names(v, false);

        return request_refuse(bad, "guard", given,
                              names ? request_text("%s (scenario %s, mode %s)", names,
                                                   scenarios[v->race.scenario]->name, modes[v->mode].name)
                                    : NULL);
}

/* Of a guard that takes only one, or none. */
static int
refuse_permits(const struct variant *v, int64_t permits, struct bad_value *bad)
{
        AUTO_FREE char *names = guard_names(v, true);
        const struct guard *g = guards[v->race.guard];
        const char *guard = g->name;

        if (!names)
                return -ENOMEM;
        if (!(g->flags & (GUARD_EXCLUDES | GUARD_LIMITS)))
                return request_refuse(bad, "permits", request_text("%lld", (long long)permits),
                                      request_text("nothing with guard %s, which keeps nobody waiting", guard));
        return request_refuse(bad, "permits", request_text("%lld", (long long)permits),
                              *names ? request_text("1 with guard %s; more with %s", guard, names)
                                     : request_text("1 with guard %s", guard));
}

static int
parse_permits(json_t *p, struct variant *v, struct bad_value *bad)
{
        const struct scenario *s = scenarios[v->race.scenario];
        uint64_t max = guard_permits_max(guards[v->race.guard]), permits = 1;
        int r;

        if (max == 1) {
                bool takes_one = guards[v->race.guard]->flags & (GUARD_EXCLUDES | GUARD_LIMITS);
                int64_t given = request_has(p, "permits") ? request_integer_of(json_object_get(p, "permits")) : 1;

                v->race.permits = 1;
                return !request_has(p, "permits") || (takes_one && given == 1) ? 0 : refuse_permits(v, given, bad);
        }
        if (s->permits_def > 0)
                permits = s->permits_def;
        r = request_parse_integer(p, "permits", 1, max, &permits, bad);
        v->race.permits = (uint32_t)permits;
        return r;
}

/* Permits without a guard are those of the semaphore. */
static int
parse_guard(json_t *p, struct variant *v, struct bad_value *bad)
{
        const struct scenario *s = scenarios[v->race.scenario];
        bool counts_alone = !request_has(p, "guard") && request_has(p, "permits");
        const struct guard *g;
        int r;

        v->race.guard = (uint32_t)guard_by_name(counts_alone ? GUARD_FOR_PERMITS : s->guard_def);
        r = request_parse_name(p, "guard", name_of_guard, &v->race.guard, bad);
        if (r < 0)
                return r;
        g = guards[v->race.guard];
        if (race_guard_serves_in(s, g, v->mode))
                return parse_permits(p, v, bad);
        if (!counts_alone)
                return refuse_guard(v, strdup(g->name), bad);
        return request_refuse(bad, "permits",
                              request_text("%lld", (long long)request_integer_of(json_object_get(p, "permits"))),
                              request_text("nothing: scenario %s cannot be raced under %s", s->name, g->name));
}

/* ── how many, and how ── */

static int
parse_actors(json_t *p, const struct request_limits *limits, struct variant *v, struct bad_value *bad)
{
        const struct scenario *s = scenarios[v->race.scenario];
        uint64_t max = MIN(s->actors_max, limits->max_workers), actors = MIN(s->actors_def, max);
        int r;

        if (max < s->actors_min)
                return request_refuse(bad, "actors", request_text("%u", s->actors_def),
                                      request_text("%u or more with scenario %s, but the daemon's max_workers is %u",
                                                   s->actors_min, s->name, limits->max_workers));
        r = request_parse_integer(p, "actors", s->actors_min, max, &actors, bad);
        v->race.actors = v->workers = (uint32_t)actors;
        return r;
}

static int
parse_amount(json_t *p, struct variant *v, struct bad_value *bad)
{
        int r;

        if (request_has(p, "trials") && request_has(p, "duration_ns"))
                return request_refuse(
                        bad, "duration_ns",
                        request_text("%lld", (long long)request_integer_of(json_object_get(p, "duration_ns"))),
                        strdup("nothing, when trials is given: a race ends by the one or by the other"));
        r = request_parse_integer(p, "duration_ns", DURATION_MIN_NS, DURATION_MAX_NS, &v->duration_ns, bad);
        if (r < 0 || v->duration_ns)
                return r;
        v->count = TRIALS_DEFAULT;
        r = request_parse_integer(p, "trials", 1, TRIALS_MAX, &v->count, bad);
        v->race.trials = v->count;
        return r;
}

static int
parse_widen(json_t *p, struct race_spec *spec, struct bad_value *bad)
{
        const struct scenario *s = scenarios[spec->scenario];
        bool small = s->flags & SCENARIO_SMALL;
        int r;

        spec->widen_ns = small ? 0 : WIDEN_DEFAULT_NS;
        r = request_parse_integer(p, "widen_ns", 0, WIDEN_MAX_NS, &spec->widen_ns, bad);
        if (r == 0 && small && spec->widen_ns > 0)
                r = request_refuse(bad, "widen_ns", request_text("%llu", (unsigned long long)spec->widen_ns),
                                   request_text("0: scenario %s has no window to be widened", s->name));
        return r;
}

static int
parse_hold(json_t *p, struct race_spec *spec, struct bad_value *bad)
{
        const struct scenario *s = scenarios[spec->scenario];

        if (request_has(p, "hold") && !(s->flags & SCENARIO_HAS_HOLD))
                return request_refuse(bad, "hold", strdup(json_string_value(json_object_get(p, "hold"))),
                                      request_text("nothing: scenario %s knows one way only", s->name));
        return request_parse_name(p, "hold", name_of_hold, &spec->hold, bad);
}

static uint32_t
flag_of(json_t *p, const char *field, bool by_default)
{
        return request_has(p, field) ? json_is_true(json_object_get(p, field)) : by_default;
}

static int
parse_ways(json_t *p, struct race_spec *spec, struct bad_value *bad)
{
        int r;

        spec->barrier = race_barrier_default(scenarios[spec->scenario]);
        spec->trial_ns = TRIAL_DEFAULT_NS;
        spec->pin = flag_of(p, "pin", true);
        spec->measure = flag_of(p, "measure", true);
        spec->timeline = flag_of(p, "timeline", false);
        r = request_parse_name(p, "barrier", name_of_barrier, &spec->barrier, bad);
        if (r == 0)
                r = parse_widen(p, spec, bad);
        if (r == 0)
                r = parse_hold(p, spec, bad);
        if (r == 0)
                r = request_parse_integer(p, "trial_timeout_ns", TRIAL_MIN_NS, TRIAL_MAX_NS, &spec->trial_ns, bad);
        return r;
}

/* As many trials as fit into the arena, when a trial takes no longer than a meeting of all actors. */
static uint32_t
batch_of(const struct scenario *s)
{
        size_t state = (MAX(s->state_bytes, 1) + RACE_LINE - 1) / RACE_LINE * RACE_LINE;

        if (!(s->flags & SCENARIO_SMALL) || (s->flags & SCENARIO_ONE_OF_A_KIND))
                return 1;
        return (uint32_t)MIN(RACE_BATCH_MAX, RACE_ARENA_BYTES / state);
}

int
request_parse_race(json_t *parameters, const struct request_limits *limits, struct variant *ret,
                   uint64_t *ret_deadline_ns, struct bad_value *bad)
{
        struct variant v = {.is_race = true, .spawn = SPAWN_POOL, .libc_native = limits->libc_native};
        uint64_t deadline_ns = limits->deadline_ns;
        int r = parse_scenario(parameters, &v.race, bad);

        if (r == 0)
                r = parse_mode(parameters, &v, bad);
        if (r == 0)
                r = parse_guard(parameters, &v, bad);
        if (r == 0)
                r = parse_actors(parameters, limits, &v, bad);
        if (r == 0)
                r = request_parse_cpus(parameters, limits, &v, bad);
        if (r == 0)
                r = parse_amount(parameters, &v, bad);
        if (r == 0)
                r = parse_ways(parameters, &v.race, bad);
        if (r == 0)
                r = request_parse_deadline(parameters, limits, &deadline_ns, bad);
        if (r < 0)
                return r;
        v.race.batch = batch_of(scenarios[v.race.scenario]);
        *ret = v;
        *ret_deadline_ns = deadline_ns;
        return 0;
}
