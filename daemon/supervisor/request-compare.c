/* SPDX-License-Identifier: MIT */
/*
 * A variant of a comparison is read as a call of Run: the parameters of Compare that Run has, too, with those of the
 * variant laid over them. So there is one place that knows what a run may be.
 */
#include "shared/controls.h"
#include "supervisor/fields.h"
#include "supervisor/request-private.h"
#include "worker/mode.h"

#include <errno.h>
#include <string.h>

#define SEED_MAX         UINT32_MAX
#define PRECISION_MIN    0.001
#define PRECISION_MAX    0.5
#define VARIANT_NAME_MAX 100 /* bytes of a variant's name */

/* What Compare and Run have in common; the first ones a variant may say otherwise. */
static const char *const own_fields[] = {"workload", "params",      "mode",  "spawn",      "libc", "workers",
                                         "count",    "duration_ns", "chunk", "timeout_ns", "cpus"};
static const char *const common_fields[] = {"warmup", "deadline_ns"};

static void
copy_field(json_t *to, json_t *from, const char *field)
{
        if (request_has(from, field))
                json_object_set(to, field, json_object_get(from, field));
}

/* Of two that exclude each other, the variant's own one counts. */
static void
drop_excluded(json_t *merged, json_t *own, const char *field, const char *other)
{
        if (request_has(own, field) && !request_has(own, other))
                json_object_del(merged, other);
}

/* A comparison of all modes must not need two sets of options: what the base says of workers is for modes that have
 * them. */
static void
drop_unfit(json_t *merged, json_t *own)
{
        const char *mode = json_string_value(json_object_get(merged, "mode"));

        for (uint32_t i = 0; mode && i < MODES; i++) {
                if (strcmp(modes[i].name, mode) == 0 && modes[i].single && !request_has(own, "workers"))
                        json_object_del(merged, "workers");
        }
}

static void
merge_params(json_t *merged, json_t *base, json_t *own)
{
        json_t *params;

        if (!request_has(own, "params") && !request_has(own, "workload"))
                return;
        params = request_has(base, "params") && !request_has(own, "workload")
                         ? json_copy(json_object_get(base, "params"))
                         : json_object();
        if (request_has(own, "params"))
                json_object_update(params, json_object_get(own, "params"));
        put_json(merged, "params", params);
}

/* The parameters of Run that a variant makes; NULL when out of memory. */
static json_t *
merge(json_t *base, json_t *own)
{
        json_t *merged = json_object();

        for (size_t i = 0; i < ARRAY_SIZE(common_fields); i++)
                copy_field(merged, base, common_fields[i]);
        for (size_t i = 0; i < ARRAY_SIZE(own_fields); i++) {
                copy_field(merged, base, own_fields[i]);
                copy_field(merged, own, own_fields[i]);
        }
        drop_excluded(merged, own, "count", "duration_ns");
        drop_excluded(merged, own, "duration_ns", "count");
        drop_unfit(merged, own);
        merge_params(merged, base, own);
        return merged;
}

/* ── names ── */

/* "key=value"; of a mode and a workload the value says it all. */
static char *
append_field(char *name, const char *field, json_t *value)
{
        AUTO_FREE char *text = json_is_string(value) ? strdup(json_string_value(value))
                                                     : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        bool is_plain = strcmp(field, "mode") == 0 || strcmp(field, "workload") == 0;
        char *longer = NULL;

        if (name && text)
                longer = request_text("%s%s%s%s%s", name, *name ? " " : "", is_plain ? "" : field, is_plain ? "" : "=",
                                      text);
        free(name);
        return longer;
}

/* What the variant says otherwise than the base. Malloc'ed; NULL when out of memory. */
static char *
name_of(json_t *own)
{
        char *name = request_has(own, "name") ? strdup(json_string_value(json_object_get(own, "name"))) : strdup("");
        const char *param;
        json_t *value;

        if (!name || *name)
                return name;
        for (size_t i = 0; i < ARRAY_SIZE(own_fields); i++) {
                if (request_has(own, own_fields[i]) && strcmp(own_fields[i], "params") != 0)
                        name = append_field(name, own_fields[i], json_object_get(own, own_fields[i]));
        }
        json_object_foreach(json_object_get(own, "params"), param, value)
        {
                name = append_field(name, param, value);
        }
        return name;
}

static int
check_name(char *const *names, uint32_t i, struct bad_value *bad)
{
        const char *name = names[i];

        if (!*name)
                return request_refuse(bad, "variants", strdup("a variant that says nothing and has no name"),
                                      strdup("variants that differ, or have names"));
        if (controls_in(name) || strlen(name) > VARIANT_NAME_MAX)
                return request_refuse(bad, "variants", strdup(name),
                                      request_text("names of at most %d bytes, in one line, without control characters",
                                                   VARIANT_NAME_MAX));
        for (uint32_t k = 0; k < i; k++) {
                if (strcmp(names[k], name) == 0)
                        return request_refuse(bad, "variants", request_text("two of the name \"%s\"", name),
                                              strdup("variants of different names"));
        }
        return 0;
}

/* ── variants ── */

struct reading {
        json_t *base;
        const struct request_limits *limits;
        struct plan plan; /* as far as it is known */
        struct comparison_spec spec;
        struct bad_value *bad;
};

/* Says which variant is meant, where a value is one of several. */
static void
say_where(struct bad_value *bad, const char *name)
{
        char *longer = request_text("%s (in variant \"%s\")", bad->allowed, name);

        if (!longer)
                return;
        free(bad->allowed);
        bad->allowed = longer;
}

static int
read_variant(struct reading *r, json_t *own, const char *name, struct variant *ret)
{
        AUTO_JSON json_t *merged = merge(r->base, own);
        bool has_own = false;
        int result;

        if (!merged)
                return -ENOMEM;
        result = request_parse_run(merged, r->limits, ret, &r->plan.deadline_ns, r->bad);
        for (size_t i = 0; result == -EINVAL && i < ARRAY_SIZE(own_fields); i++)
                has_own = has_own || (request_has(own, own_fields[i]) &&
                                      strncmp(r->bad->field, own_fields[i], strlen(own_fields[i])) == 0);
        if (has_own)
                say_where(r->bad, name);
        return result;
}

static int
refuse_number(struct reading *r, size_t n)
{
        if (r->spec.is_aa)
                return request_refuse(r->bad, "variants", request_text("%zu", n),
                                      strdup("at most 1, when a variant is compared with itself (aa)"));
        return request_refuse(r->bad, "variants", request_text("%zu", n),
                              request_text("2 to %d: a comparison needs something to compare", COMPARE_VARIANTS_MAX));
}

static int
read_variants(struct reading *r)
{
        json_t *list = json_object_get(r->base, "variants");
        AUTO_JSON json_t *empty = json_object();
        size_t n = json_is_array(list) ? json_array_size(list) : 0;
        int result = 0;

        if (!empty)
                return -ENOMEM;
        if (r->spec.is_aa ? n > 1 : n < 2 || n > COMPARE_VARIANTS_MAX)
                return refuse_number(r, n);
        r->plan.n_variants = r->spec.is_aa ? 2 : (uint32_t)n;
        r->plan.variants = calloc(r->plan.n_variants, sizeof(*r->plan.variants));
        r->spec.names = calloc(r->plan.n_variants, sizeof(*r->spec.names));
        if (!r->plan.variants || !r->spec.names)
                return -ENOMEM;
        for (uint32_t i = 0; result == 0 && i < r->plan.n_variants; i++) {
                json_t *own = n == 0 ? empty : json_array_get(list, r->spec.is_aa ? 0 : i);

                r->spec.names[i] = r->spec.is_aa ? request_text("%c", 'A' + (int)i) : name_of(own);
                if (!r->spec.names[i])
                        return -ENOMEM;
                result = check_name(r->spec.names, i, r->bad);
                if (result == 0)
                        result = read_variant(r, own, r->spec.names[i], &r->plan.variants[i]);
        }
        return result;
}

/* ── the rest ── */

static int
read_rounds(struct reading *r)
{
        uint64_t most = MIN(COMPARE_ROUNDS_MAX, COMPARE_RECORDS_MAX / r->plan.n_variants);
        uint64_t rounds = COMPARE_ROUNDS_DEFAULT;
        json_t *precision = json_object_get(r->base, "precision");

        if (!request_has(r->base, "precision")) {
                int result = request_parse_integer(r->base, "rounds", COMPARE_ROUNDS_MIN, most, &rounds, r->bad);

                r->spec.rounds = (uint32_t)rounds;
                return result;
        }
        if (request_has(r->base, "rounds"))
                return request_refuse(r->bad, "precision", request_text("%g", json_number_value(precision)),
                                      strdup("nothing, when rounds is given: it ends by the one or by the other"));
        r->spec.precision = json_number_value(precision);
        r->spec.rounds = (uint32_t)most;
        if (r->spec.precision >= PRECISION_MIN && r->spec.precision <= PRECISION_MAX)
                return 0;
        return request_refuse(r->bad, "precision", request_text("%g", r->spec.precision),
                              request_text("%g to %g", PRECISION_MIN, PRECISION_MAX));
}

static int
read_reference(struct reading *r)
{
        const char *name = json_string_value(json_object_get(r->base, "reference"));
        char *all = NULL;

        if (!name)
                return 0;
        for (uint32_t i = 0; i < r->plan.n_variants; i++) {
                if (strcmp(r->spec.names[i], name) == 0) {
                        r->spec.reference = i;
                        return 0;
                }
        }
        all = strdup("");
        for (uint32_t i = 0; i < r->plan.n_variants; i++)
                all = request_append_name(all, r->spec.names[i]);
        return request_refuse(r->bad, "reference", strdup(name), all);
}

static int
read_all(struct reading *r)
{
        int result;

        r->spec.is_aa = json_is_true(json_object_get(r->base, "aa"));
        r->spec.timeline = json_is_true(json_object_get(r->base, "timeline"));
        r->spec.is_rehearsed = !request_has(r->base, "warmup");
        r->spec.seed = r->limits->seed;
        result = read_variants(r);
        if (result == 0)
                result = read_rounds(r);
        if (result == 0)
                result = read_reference(r);
        if (result == 0)
                result = request_parse_integer(r->base, "seed", 0, SEED_MAX, &r->spec.seed, r->bad);
        return result;
}

int
request_parse_compare(json_t *parameters, const struct request_limits *limits, struct plan *ret, struct bad_value *bad)
{
        struct reading r = {.base = parameters, .limits = limits, .plan.deadline_ns = limits->deadline_ns, .bad = bad};
        int result = read_all(&r);

        if (result == 0)
                result = plan_init_comparison(ret, r.plan.variants, r.plan.n_variants, &r.spec, r.plan.deadline_ns);
        if (result == 0)
                return 0;
        r.plan.comparison = r.spec;
        plan_deinit(&r.plan);
        return result;
}

/* A variant that makes the same again on any later day. */
static json_t *
variant_to_request(json_t *base, json_t *own, const struct variant *v, const char *name)
{
        AUTO_JSON json_t *merged = merge(base, own);
        AUTO_JSON json_t *full = merged ? request_of_variant(merged, v, 0) : NULL;
        json_t *o = json_object();

        for (size_t i = 0; full && i < ARRAY_SIZE(own_fields); i++)
                copy_field(o, full, own_fields[i]);
        put_string(o, "name", name);
        return o;
}

json_t *
request_of_comparison(json_t *parameters, const struct plan *plan)
{
        json_t *o = json_copy(parameters), *list = json_array(), *given = json_object_get(parameters, "variants");
        const struct comparison_spec *spec = &plan->comparison;
        AUTO_JSON json_t *empty = json_object();

        for (uint32_t i = 0; i < (spec->is_aa ? 1 : plan->n_variants); i++) {
                json_t *own = json_array_get(given, i);

                json_array_append_new(
                        list, variant_to_request(parameters, own ? own : empty, &plan->variants[i], spec->names[i]));
        }
        put_json(o, "variants", list);
        put_integer(o, "seed", spec->seed);
        put_integer_or_null(o, "deadline_ns", plan->deadline_ns);
        return o;
}
