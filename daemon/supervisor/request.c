/* SPDX-License-Identifier: MIT */
#include "supervisor/request.h"

#include "segment/ledger.h"
#include "shared/quantity.h"
#include "supervisor/cpus.h"
#include "supervisor/fields.h"
#include "supervisor/request-private.h"
#include "worker/mode.h"
#include "workloads/workloads.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define COUNT_DEFAULT 1000

void
bad_value_deinit(struct bad_value *bad)
{
        free(bad->field);
        free(bad->given);
        free(bad->allowed);
}

int
request_refuse(struct bad_value *bad, const char *field, char *given, char *allowed)
{
        bad->field = strdup(field);
        bad->given = given;
        bad->allowed = allowed;
        bad->is_denial = false;
        return bad->field && given && allowed ? -EINVAL : -ENOMEM;
}

char *
request_text(const char *fmt, ...)
{
        va_list args;
        char *s = NULL;

        va_start(args, fmt);
        if (vasprintf(&s, fmt, args) < 0)
                s = NULL;
        va_end(args);
        return s;
}

char *
request_append_name(char *all, const char *name)
{
        char *longer = all ? request_text("%s%s%s", all, *all ? ", " : "", name) : NULL;

        free(all);
        return longer;
}

char *
request_join_names(const char *(*name)(size_t i))
{
        char *all = strdup("");

        for (size_t i = 0; name(i); i++)
                all = request_append_name(all, name(i));
        return all;
}

static const char *
name_of_workload(size_t i)
{
        return workloads[i] ? workloads[i]->name : NULL;
}

static const char *
name_of_mode(size_t i)
{
        return i < MODES ? modes[i].name : NULL;
}

static const char *
name_of_spawn(size_t i)
{
        return i < SPAWNS ? spawns[i].name : NULL;
}

int
request_parse_name(json_t *p, const char *field, const char *(*name)(size_t i), uint32_t *ret, struct bad_value *bad)
{
        const char *given = json_string_value(json_object_get(p, field));

        if (!given)
                return 0;
        for (size_t i = 0; name(i); i++) {
                if (strcmp(name(i), given) == 0) {
                        *ret = (uint32_t)i;
                        return 0;
                }
        }
        return request_refuse(bad, field, strdup(given), request_join_names(name));
}

int64_t
request_integer_of(json_t *value)
{
        return json_is_real(value) ? (int64_t)json_real_value(value) : (int64_t)json_integer_value(value);
}

bool
request_has(json_t *p, const char *field)
{
        json_t *value = json_object_get(p, field);

        return value && !json_is_null(value);
}

int
request_parse_integer(json_t *p, const char *field, uint64_t min, uint64_t max, uint64_t *ret, struct bad_value *bad)
{
        int64_t value;

        if (!request_has(p, field))
                return 0;
        value = request_integer_of(json_object_get(p, field));
        if (value < 0 || (uint64_t)value < min || (uint64_t)value > max)
                return request_refuse(
                        bad, field, request_text("%lld", (long long)value),
                        min == max ? request_text("%llu", (unsigned long long)min)
                                   : request_text("%llu to %llu", (unsigned long long)min, (unsigned long long)max));
        *ret = (uint64_t)value;
        return 0;
}

int
request_parse_deadline(json_t *p, const struct request_limits *limits, uint64_t *ret, struct bad_value *bad)
{
        uint64_t max = limits->deadline_max_ns, deadline_ns = *ret;
        int r = request_parse_integer(p, "deadline_ns", DURATION_MIN_NS, DURATION_MAX_NS, &deadline_ns, bad);

        if (r == 0 && max > 0 && request_has(p, "deadline_ns") && deadline_ns > max) {
                r = request_refuse(bad, "deadline_ns", request_text("%llu", (unsigned long long)deadline_ns),
                                   request_text("at most %llu, which is jobs.deadline; more only for who administers",
                                                (unsigned long long)max));
                bad->is_denial = true;
        }
        if (r == 0)
                *ret = deadline_ns;
        return r;
}

static char *
param_names(const struct concd_workload *w)
{
        char *all;

        if (w->n_params == 0)
                return request_text("nothing: %s has no parameters", w->name);
        all = strdup("");
        for (uint32_t i = 0; i < w->n_params; i++)
                all = request_append_name(all, w->params[i].name);
        return all;
}

static int
parse_param(const struct concd_workload *w, const char *name, json_t *value, int64_t *params, struct bad_value *bad)
{
        AUTO_FREE char *field = request_text("params.%s", name);
        int i = workload_param_index(w, name);
        char *allowed = NULL;
        int r;

        if (!field)
                return -ENOMEM;
        if (i < 0)
                return request_refuse(bad, "params", strdup(name), param_names(w));
        r = workload_param_parse(&w->params[i], json_string_value(value), &params[i], &allowed);
        if (r == 0)
                return 0;
        return r == -ENOMEM ? r : request_refuse(bad, field, strdup(json_string_value(value)), allowed);
}

static int
parse_workload(json_t *p, struct variant *v, struct bad_value *bad)
{
        const struct concd_workload *w;
        const char *name;
        json_t *value;
        int r = request_parse_name(p, "workload", name_of_workload, &v->workload, bad);

        if (r < 0)
                return r;
        w = workloads[v->workload];
        workload_params_default(w, v->params);
        json_object_foreach(json_object_get(p, "params"), name, value)
        {
                r = parse_param(w, name, value, v->params, bad);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int
parse_mode(json_t *p, struct variant *v, struct bad_value *bad)
{
        uint32_t spawn = SPAWN_POOL;
        int r = request_parse_name(p, "mode", name_of_mode, &v->mode, bad);

        if (r == 0)
                r = request_parse_name(p, "spawn", name_of_spawn, &spawn, bad);
        if (r < 0)
                return r;
        if (spawn == SPAWN_PER_TASK && !modes[v->mode].per_task)
                return request_refuse(bad, "spawn", strdup(spawns[spawn].name),
                                      request_text("pool (mode %s has no other)", modes[v->mode].name));
        v->spawn = spawn;
        return 0;
}

static const char *const libcs[] = {"threaded", "native"};

static const char *
name_of_libc(size_t i)
{
        return i < ARRAY_SIZE(libcs) ? libcs[i] : NULL;
}

static int
parse_libc(json_t *p, const struct request_limits *limits, struct variant *v, struct bad_value *bad)
{
        uint32_t libc = limits->libc_native;
        int r = request_parse_name(p, "libc", name_of_libc, &libc, bad);

        v->libc_native = libc == 1;
        return r;
}

int
request_parse_cpus(json_t *p, const struct request_limits *limits, struct variant *v, struct bad_value *bad)
{
        json_t *list = json_object_get(p, "cpus"), *value;
        char allowed[CPUS_TEXT_MAX];
        size_t i;

        v->cpus = limits->cpus;
        if (!json_is_array(list))
                return 0;
        CPU_ZERO(&v->cpus);
        cpus_format(allowed, sizeof(allowed), &limits->cpus);
        json_array_foreach(list, i, value)
        {
                int64_t cpu = request_integer_of(value);

                if (cpu < 0 || cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &limits->cpus))
                        return request_refuse(bad, "cpus", request_text("%lld", (long long)cpu), strdup(allowed));
                CPU_SET(cpu, &v->cpus);
        }
        if (CPU_COUNT(&v->cpus) == 0)
                return request_refuse(bad, "cpus", strdup("an empty list"), strdup(allowed));
        return 0;
}

static int
parse_workers(json_t *p, const struct request_limits *limits, struct variant *v, struct bad_value *bad)
{
        bool single = modes[v->mode].single;
        uint64_t workers = single ? 1 : MIN(cpus_usable(&v->cpus, limits->quota_cpus), limits->max_workers);
        uint64_t min = v->spawn == SPAWN_PER_TASK ? 0 : 1;
        int r = request_parse_integer(p, "workers", min, single ? 1 : limits->max_workers, &workers, bad);

        if (r < 0)
                return r;
        if (workers == 0) {
                v->spawn = SPAWN_AT_ONCE;
                workers = 1;
        }
        v->workers = (uint32_t)workers;
        return 0;
}

static int
parse_amount(json_t *p, const struct request_limits *limits, struct variant *v, struct bad_value *bad)
{
        uint64_t max = v->spawn == SPAWN_AT_ONCE ? limits->max_at_once : COUNT_MAX;
        int r;

        if (request_has(p, "count") && request_has(p, "duration_ns"))
                return request_refuse(
                        bad, "duration_ns",
                        request_text("%lld", (long long)request_integer_of(json_object_get(p, "duration_ns"))),
                        strdup("nothing, when count is given: a run ends by the one or by the other"));
        if (v->spawn == SPAWN_AT_ONCE && request_has(p, "duration_ns"))
                return request_refuse(
                        bad, "duration_ns",
                        request_text("%lld", (long long)request_integer_of(json_object_get(p, "duration_ns"))),
                        strdup("nothing, when all tasks are started at once: such a run ends by count"));
        r = request_parse_integer(p, "duration_ns", DURATION_MIN_NS, DURATION_MAX_NS, &v->duration_ns, bad);
        if (r < 0 || v->duration_ns)
                return r;
        v->count = MIN(COUNT_DEFAULT, max);
        r = request_parse_integer(p, "count", 1, max, &v->count, bad);
        if (r == -EINVAL && v->spawn == SPAWN_AT_ONCE) {
                free(bad->allowed);
                bad->allowed = request_text("1 to %llu, when all tasks are started at once", (unsigned long long)max);
        }
        return r;
}

/* More tasks than the ledger's lines can count. */
static int
refuse_amount(const struct request_limits *limits, const char *field, uint64_t given, struct bad_value *bad)
{
        return request_refuse(bad, field, request_text("%llu", (unsigned long long)given),
                              request_text("at most %llu with a ledger of %u lines",
                                           (unsigned long long)LEDGER_PROGRESS_MAX * limits->ledger_chunks,
                                           limits->ledger_chunks));
}

static int
parse_chunk(json_t *p, const struct request_limits *limits, struct variant *v, struct bad_value *bad)
{
        struct ledger_geometry geometry;
        uint64_t lines = 0, least;
        int r;

        if (request_has(p, "chunk") && (v->duration_ns || v->spawn == SPAWN_AT_ONCE))
                return request_refuse(bad, "chunk",
                                      request_text("%lld", (long long)request_integer_of(json_object_get(p, "chunk"))),
                                      strdup(v->duration_ns ? "nothing in a run by duration, which has no chunks"
                                                            : "nothing, when all tasks are started at once"));
        r = request_parse_integer(p, "chunk", 1, LEDGER_PROGRESS_MAX, &v->chunk, bad);
        if (r < 0)
                return r;
        r = variant_geometry(v, false, limits->ledger_chunks, &geometry, &lines);
        least = v->count / limits->ledger_chunks + (v->count % limits->ledger_chunks != 0);
        if (r == LEDGER_E_LINES && least <= LEDGER_PROGRESS_MAX)
                return request_refuse(
                        bad, "chunk", request_text("%llu", (unsigned long long)v->chunk),
                        request_text("%llu or more for %llu tasks: this would need %llu ledger lines, there are %u",
                                     (unsigned long long)least, (unsigned long long)v->count, (unsigned long long)lines,
                                     limits->ledger_chunks));
        return r == 0 ? 0 : refuse_amount(limits, "count", v->count, bad);
}

static int
parse_rest(json_t *p, const struct request_limits *limits, struct variant *v, uint64_t *deadline_ns,
           struct bad_value *bad)
{
        uint64_t warmup_max = v->spawn == SPAWN_AT_ONCE ? limits->max_at_once : COUNT_MAX;
        struct ledger_geometry geometry;
        int r = request_parse_integer(p, "warmup", 0, warmup_max, &v->warmup, bad);

        if (r == 0 && v->spawn == SPAWN_AT_ONCE && request_has(p, "timeout_ns"))
                return request_refuse(
                        bad, "timeout_ns",
                        request_text("%lld", (long long)request_integer_of(json_object_get(p, "timeout_ns"))),
                        strdup("nothing, when all tasks are started at once and share the CPUs: a deadline can "
                               "bound the job"));

        if (r == 0 && v->warmup > 0 && variant_geometry(v, true, limits->ledger_chunks, &geometry, NULL) != 0)
                r = refuse_amount(limits, "warmup", v->warmup, bad);
        if (r == 0)
                r = request_parse_integer(p, "timeout_ns", DURATION_MIN_NS, DURATION_MAX_NS, &v->timeout_ns, bad);
        if (r == 0)
                r = request_parse_deadline(p, limits, deadline_ns, bad);
        return r;
}

int
request_parse_run(json_t *parameters, const struct request_limits *limits, struct variant *ret,
                  uint64_t *ret_deadline_ns, struct bad_value *bad)
{
        struct variant v = {.mode = MODE_DEFAULT};
        uint64_t deadline_ns = limits->deadline_ns;
        int r = parse_workload(parameters, &v, bad);

        if (r == 0)
                r = parse_mode(parameters, &v, bad);
        if (r == 0)
                r = parse_libc(parameters, limits, &v, bad);
        if (r == 0)
                r = request_parse_cpus(parameters, limits, &v, bad);
        if (r == 0)
                r = parse_workers(parameters, limits, &v, bad);
        if (r == 0)
                r = parse_amount(parameters, limits, &v, bad);
        if (r == 0)
                r = parse_chunk(parameters, limits, &v, bad);
        if (r == 0)
                r = parse_rest(parameters, limits, &v, &deadline_ns, bad);
        if (r < 0)
                return r;
        *ret = v;
        *ret_deadline_ns = deadline_ns;
        return 0;
}

json_t *
request_of_variant(json_t *parameters, const struct variant *v, uint64_t deadline_ns)
{
        json_t *o = json_copy(parameters), *cpus = json_array();

        if (!o || !cpus) {
                json_decref(o);
                json_decref(cpus);
                return NULL;
        }
        for (int i = 0; i < CPU_SETSIZE; i++) {
                if (CPU_ISSET(i, &v->cpus))
                        json_array_append_new(cpus, json_integer(i));
        }
        put_json(o, "cpus", cpus);
        put_integer(o, v->is_race ? "actors" : "workers", v->spawn == SPAWN_AT_ONCE ? 0 : v->workers);
        put_integer_or_null(o, v->is_race ? "trials" : "count", v->count);
        if (!v->is_race)
                put_string(o, "libc", libcs[v->libc_native]);
        put_integer_or_null(o, "deadline_ns", deadline_ns);
        return o;
}

const char *
request_allowed(const char *field)
{
        static const struct {
                const char *field, *allowed;
        } rows[] = {
                {"count", "a whole number from 1 to 1000000000000000"},
                {"trials", "a whole number from 1 to 1000000000000"},
                {"rounds", "a whole number from 10 to 1000"},
                {"seed", "a whole number from 0 to 4294967295"},
                {"precision", "a number from 0.001 to 0.5"},
                {"permits", "a whole number from 1 on"},
                {"actors", "a whole number from 1 to max_workers"},
                {"widen_ns", "a whole number from 0 to 1000000"},
                {"trial_timeout_ns", "a whole number from 1000000 to 10000000000"},
                {"workers", "a whole number from 0 to max_workers"},
                {"chunk", "a whole number from 1 to 1099511627775"},
                {"warmup", "a whole number from 0 to 1000000000000000"},
                {"duration_ns", "a whole number from 1000000 to 3600000000000000"},
                {"timeout_ns", "a whole number from 1000000 to 3600000000000000"},
                {"deadline_ns", "a whole number from 1000000 to 3600000000000000"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                if (strcmp(rows[i].field, field) == 0)
                        return rows[i].allowed;
        }
        return NULL;
}

bool
request_id_is_valid(const char *id)
{
        return strlen(id) == 32 && strspn(id, "0123456789abcdef") == 32;
}
