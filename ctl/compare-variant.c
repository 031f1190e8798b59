/* SPDX-License-Identifier: MIT */
#include "ctl/compare-variant.h"

#include "ctl/field.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

/* Has one worker, whatever the others have. */
#define MODE_OF_ONE "sequential"

/* In this order; `named`: only when it was varied on purpose, which the variants' names tell. */
static const struct {
        const char *field, *name;
        bool named;
} parameters[] = {
        {"mode", "mode"},         {"workload", "workload"}, {"spawn", "spawn"},
        {"libc", "libc"},         {"count", "count"},       {"duration_s", "duration"},
        {"chunk", "chunk", true}, {"cpus", "cpus", true},   {"workers", "workers"},
};

static const json_t *
variants_of(const json_t *compare)
{
        return json_object_get(compare, "variants");
}

/* The same text for the same value; malloc'ed. */
static char *
value_text(const json_t *value)
{
        const char *text = json_string_value(value);

        return text ? strdup(text) : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
}

static bool
is_of_one(const json_t *variant)
{
        return strcmp(field_text(variant, "mode"), MODE_OF_ONE) == 0;
}

bool
compare_variant_differs(const json_t *compare, const char *field)
{
        const json_t *first = NULL, *value;
        json_t *variant;
        size_t i;

        json_array_foreach(variants_of(compare), i, variant)
        {
                if (strcmp(field, "workers") == 0 && is_of_one(variant))
                        continue;
                value = json_object_get(variant, field);
                if (!first)
                        first = value;
                else if (!json_equal(value, first))
                        return true;
        }
        return false;
}

const char *
compare_variant_idle_thread(const json_t *compare)
{
        if (compare_variant_differs(compare, "libc"))
                return "where libc is threaded";
        return strcmp(field_text(json_array_get(variants_of(compare), 0), "libc"), "threaded") == 0 ? "yes" : "no";
}

int64_t
compare_variant_workers(const json_t *compare)
{
        int64_t workers = 0;
        json_t *variant;
        size_t i;

        if (compare_variant_differs(compare, "workers"))
                return 0;
        json_array_foreach(variants_of(compare), i, variant)
        {
                if (workers == 0 || !is_of_one(variant))
                        workers = field_int(variant, "workers");
        }
        return workers;
}

bool
compare_variant_is_per_task(const json_t *compare)
{
        const json_t *first = json_array_get(variants_of(compare), 0);

        return first && (!field_is_set(first, "count") || compare_variant_differs(compare, "count"));
}

/* ── times ── */

static double
real_or_nan(const json_t *object, const char *field)
{
        return field_is_set(object, field) ? field_real(object, field) : NAN;
}

/* As the daemon has them, in units of so many rounds. */
static struct compare_times
scaled_times(const json_t *variant, double per_s)
{
        const json_t *i = json_object_get(variant, "median_interval");

        return (struct compare_times){
                .median = real_or_nan(variant, "median_s") * per_s,
                .mean = real_or_nan(variant, "mean_s") * per_s,
                .stddev = real_or_nan(variant, "stddev_s") * per_s,
                .min = real_or_nan(variant, "min_s") * per_s,
                .max = real_or_nan(variant, "max_s") * per_s,
                .interval = {real_or_nan(i, "low") * per_s, real_or_nan(i, "high") * per_s},
        };
}

/* The time per task of each round, of which there are *ret_n. Malloc'ed; NULL: there is none, or one without a task. */
static double *
times_per_task(const json_t *variant, size_t *ret_n)
{
        const json_t *times = json_object_get(variant, "times_s"), *tasks = json_object_get(variant, "tasks");
        size_t n = MIN(json_array_size(times), (size_t)STATISTICS_MAX);
        AUTO_FREE double *x = n > 0 ? calloc(n, sizeof(*x)) : NULL;

        for (size_t i = 0; x && i < n; i++) {
                double done = json_number_value(json_array_get(tasks, i));

                if (done <= 0)
                        return NULL;
                x[i] = json_number_value(json_array_get(times, i)) / done;
        }
        *ret_n = n;
        return TAKE(x);
}

struct compare_times
compare_variant_times(const json_t *compare, const json_t *variant)
{
        struct compare_times t = {NAN, NAN, NAN, NAN, NAN, {NAN, NAN}};
        double count = field_real(variant, "count");
        AUTO_FREE double *x = NULL;
        size_t n = 0;

        if (!compare_variant_is_per_task(compare))
                return scaled_times(variant, 1);
        if (count > 0)
                return scaled_times(variant, 1 / count);
        x = times_per_task(variant, &n);
        if (!x)
                return t;
        t.median = statistics_median(x, n);
        t.mean = statistics_mean(x, n);
        t.stddev = n >= 2 ? statistics_stddev(x, n) : NAN;
        t.min = statistics_quantile(x, n, 0);
        t.max = statistics_quantile(x, n, 1);
        if (n >= 2)
                statistics_median_interval(x, n, (uint64_t)field_int(compare, "seed"), &t.interval);
        return t;
}

/* The law has three parameters with the throughput of one worker, and goes through two points whatever they are. */
#define POINTS_FITTED 3

bool
compare_variant_is_fitted(const json_t *scaling)
{
        return json_array_size(json_object_get(scaling, "points")) >= POINTS_FITTED;
}

/* ── names ── */

const json_t *
compare_variant_find(const json_t *compare, const char *name)
{
        json_t *variant;
        size_t i;

        json_array_foreach(variants_of(compare), i, variant)
        {
                if (strcmp(field_text(variant, "name"), name) == 0)
                        return variant;
        }
        return NULL;
}

/* How long "KEY=" is when every name is KEY=value with the same KEY; else 0. */
static size_t
common_key(const json_t *compare)
{
        const char *first = field_text(json_array_get(variants_of(compare), 0), "name");
        size_t len = strcspn(first, "="), i;
        json_t *variant;

        if (first[len] == '\0')
                return 0;
        json_array_foreach(variants_of(compare), i, variant)
        {
                const char *name = field_text(variant, "name");

                if (strncmp(name, first, len + 1) != 0 || strchr(name, ' '))
                        return 0;
        }
        return len + 1;
}

static bool
are_called_as(const json_t *compare, const char *field)
{
        json_t *variant;
        size_t i;

        json_array_foreach(variants_of(compare), i, variant)
        {
                if (strcmp(field_text(variant, "name"), field_text(variant, field)) != 0)
                        return false;
        }
        return true;
}

char *
compare_variant_heading(const json_t *compare, char *buf, size_t size, size_t *ret_skip)
{
        *ret_skip = common_key(compare);
        if (*ret_skip > 0)
                snprintf(buf, size, "%.*s", (int)*ret_skip - 1,
                         field_text(json_array_get(variants_of(compare), 0), "name"));
        else
                snprintf(buf, size, "%s",
                         are_called_as(compare, "mode")       ? "mode"
                         : are_called_as(compare, "workload") ? "workload"
                                                              : "variant");
        for (char *p = buf; *p != '\0'; p++)
                *p = (char)toupper((unsigned char)*p);
        return buf;
}

static bool
is_in_names(const json_t *compare, const char *key)
{
        AUTO_FREE char *wanted = NULL;
        json_t *variant;
        size_t i;

        if (asprintf(&wanted, "%s=", key) < 0) {
                wanted = NULL;
                return false;
        }
        json_array_foreach(variants_of(compare), i, variant)
        {
                if (strstr(field_text(variant, "name"), wanted))
                        return true;
        }
        return false;
}

static bool
param_differs(const json_t *compare, const char *key)
{
        const json_t *first = json_object_get(json_object_get(json_array_get(variants_of(compare), 0), "params"), key);
        json_t *variant;
        size_t i;

        json_array_foreach(variants_of(compare), i, variant)
        {
                const json_t *value = json_object_get(json_object_get(variant, "params"), key);

                if ((value || first) && !json_equal(value, first))
                        return true;
        }
        return false;
}

static void
add_text(json_t *to, const char *name, const json_t *value)
{
        AUTO_FREE char *text = value && !json_is_null(value) ? value_text(value) : strdup("");

        json_object_set_new(to, name, text ? json_string(text) : NULL);
}

/* Over all variants, so that each of them has the same keys. */
static void
add_params(json_t *to, const json_t *compare, const json_t *variant)
{
        const char *key;
        json_t *other, *value;
        size_t i;

        json_array_foreach(variants_of(compare), i, other)
        {
                json_object_foreach(json_object_get(other, "params"), key, value)
                {
                        if (!json_object_get(to, key) && param_differs(compare, key))
                                add_text(to, key, json_object_get(json_object_get(variant, "params"), key));
                }
        }
}

json_t *
compare_variant_parameters(const json_t *compare, const json_t *variant)
{
        json_t *o = json_object();

        for (size_t i = 0; o && i < ARRAY_SIZE(parameters); i++) {
                if (compare_variant_differs(compare, parameters[i].field) &&
                    (!parameters[i].named || is_in_names(compare, parameters[i].name)))
                        add_text(o, parameters[i].name, json_object_get(variant, parameters[i].field));
        }
        add_params(o, compare, variant);
        return o;
}

const json_t *
compare_variant_copy(const json_t *compare)
{
        json_t *variant;
        size_t i;

        json_array_foreach(variants_of(compare), i, variant)
        {
                if (strcmp(field_text(variant, "name"), field_text(compare, "reference")) != 0)
                        return variant;
        }
        return NULL;
}

/* An interval that reaches further than that from 1 says more of the noise than of the machine's honesty. */
#define REACH_MAX 0.05

enum compare_trust
compare_variant_trust(const json_t *compare, double *ret_reach)
{
        const json_t *range = json_object_get(compare_variant_copy(compare), "speed_up_interval");

        *ret_reach = MAX(1 - field_real(range, "low"), field_real(range, "high") - 1);
        if (!field_bool(compare, "aa"))
                return TRUST_NOT_ASKED;
        if (!field_is_set(compare, "trusted"))
                return json_is_object(range) || field_int(compare, "rounds") < 2 ? TRUST_TOO_FEW_ROUNDS
                                                                                 : TRUST_NO_RATIO;
        if (!field_bool(compare, "trusted"))
                return TRUST_BAD;
        return *ret_reach > REACH_MAX ? TRUST_NOISY : TRUST_GOOD;
}
