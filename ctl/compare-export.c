/* SPDX-License-Identifier: MIT */
#include "ctl/compare-export.h"

#include "ctl/compare-result.h"
#include "ctl/compare-variant.h"
#include "ctl/field.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* Enough to tell nanoseconds in days, and none of the digits that only binary fractions have. */
#define REAL_DIGITS 15

static const json_t *
variants_of(const json_t *compare)
{
        return json_object_get(compare, "variants");
}

/* NULL when there are none. */
static json_t *
mean_of(const json_t *values)
{
        double sum = 0;
        json_t *value;
        size_t i;

        json_array_foreach(values, i, value) sum += json_number_value(value);
        return i > 0 ? json_real(sum / (double)i) : json_null();
}

static json_t *
exit_codes_of(const json_t *variant)
{
        const json_t *failed = json_object_get(variant, "failed_tasks");
        size_t n = json_array_size(json_object_get(variant, "times_s"));
        json_t *codes = json_array();

        for (size_t i = 0; i < n; i++)
                json_array_append_new(codes, json_integer(json_integer_value(json_array_get(failed, i)) > 0));
        return codes;
}

/* Rounds of a fixed duration all took as long: what tells then is the time per task. */
static bool
is_by_duration(const json_t *compare)
{
        json_t *variant;
        size_t i;

        json_array_foreach(variants_of(compare), i, variant)
        {
                if (field_is_set(variant, "duration_s"))
                        return true;
        }
        return false;
}

static json_t *
each_per_task(const json_t *variant, const char *field)
{
        const json_t *tasks = json_object_get(variant, "tasks");
        json_t *all = json_array(), *value;
        size_t i;

        json_array_foreach(json_object_get(variant, field), i, value)
        {
                double done = json_number_value(json_array_get(tasks, i));

                json_array_append_new(all, done > 0 ? json_real(json_number_value(value) / done) : json_null());
        }
        return all;
}

static json_t *
known_or_null(double value)
{
        return isfinite(value) ? json_real(value) : json_null();
}

/* The variant with times per task in place of those per round. */
static json_t *
per_task(const json_t *compare, const json_t *variant)
{
        static const char *const series[] = {"times_s", "user_s", "system_s"};
        const struct compare_times t = compare_variant_times(compare, variant);
        json_t *copy = json_copy((json_t *)variant);

        for (size_t i = 0; i < ARRAY_SIZE(series); i++)
                json_object_set_new(copy, series[i], each_per_task(variant, series[i]));
        json_object_set_new(copy, "mean_s", known_or_null(t.mean));
        json_object_set_new(copy, "stddev_s", known_or_null(t.stddev));
        json_object_set_new(copy, "median_s", known_or_null(t.median));
        json_object_set_new(copy, "min_s", known_or_null(t.min));
        json_object_set_new(copy, "max_s", known_or_null(t.max));
        return copy;
}

static json_t *
result_of(const json_t *compare, const json_t *variant)
{
        AUTO_JSON json_t *v = is_by_duration(compare) ? per_task(compare, variant) : json_incref((json_t *)variant);
        bool has_spread = json_array_size(json_object_get(v, "times_s")) >= 2;

        return json_pack("{s:s, s:O?, s:o?, s:O?, s:o, s:o, s:O?, s:O?, s:O?, s:o, s:o}", "command",
                         field_text(v, "name"), "mean", json_object_get(v, "mean_s"), "stddev",
                         has_spread ? json_incref(json_object_get(v, "stddev_s")) : json_null(), "median",
                         json_object_get(v, "median_s"), "user", mean_of(json_object_get(v, "user_s")), "system",
                         mean_of(json_object_get(v, "system_s")), "min", json_object_get(v, "min_s"), "max",
                         json_object_get(v, "max_s"), "times", json_object_get(v, "times_s"), "exit_codes",
                         exit_codes_of(v), "parameters", compare_variant_parameters(compare, v));
}

/* ── JSON ── */

int
compare_export_json(FILE *f, const json_t *compare)
{
        AUTO_JSON json_t *all = json_pack("{s:[]}", "results");
        json_t *results = json_object_get(all, "results"), *variant, *result;
        size_t i;

        if (!results)
                return -ENOMEM;
        json_array_foreach(variants_of(compare), i, variant)
        {
                result = result_of(compare, variant);
                if (!result || json_array_append_new(results, result) < 0)
                        return -ENOMEM;
        }
        json_dumpf(all, f, JSON_INDENT(2) | JSON_REAL_PRECISION(REAL_DIGITS));
        fputc('\n', f);
        return 0;
}

/* ── CSV ── */

/* RFC 4180, 2.5 to 2.7: what has a comma, a quote or a line break is quoted, quotes within are doubled. */
static void
put_field(FILE *f, const char *text)
{
        if (!strpbrk(text, ",\"\r\n")) {
                fputs(text, f);
                return;
        }
        fputc('"', f);
        for (; *text != '\0'; text++) {
                if (*text == '"')
                        fputc('"', f);
                fputc(*text, f);
        }
        fputc('"', f);
}

/* Nothing for what is not a number. */
static void
put_number(FILE *f, const json_t *value)
{
        if (json_is_number(value))
                fprintf(f, ",%.*g", REAL_DIGITS, json_number_value(value));
        else
                fputc(',', f);
}

static void
put_csv_heading(FILE *f, const json_t *parameters)
{
        const char *key;
        json_t *value;

        fputs("command,mean,stddev,median,user,system,min,max", f);
        json_object_foreach((json_t *)parameters, key, value)
        {
                AUTO_FREE char *name = NULL;

                if (asprintf(&name, "parameter_%s", key) < 0)
                        name = NULL;
                fputc(',', f);
                put_field(f, name ? name : "");
        }
        fputs(",speed_up,speed_up_low,speed_up_high\n", f);
}

static void
put_csv_row(FILE *f, const json_t *variant, const json_t *result)
{
        static const char *const columns[] = {"mean", "stddev", "median", "user", "system", "min", "max"};
        const json_t *range = json_object_get(variant, "speed_up_interval");
        const char *key;
        json_t *value;

        put_field(f, field_text(result, "command"));
        for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
                put_number(f, json_object_get(result, columns[i]));
        json_object_foreach(json_object_get(result, "parameters"), key, value)
        {
                fputc(',', f);
                put_field(f, json_string_value(value));
        }
        put_number(f, json_object_get(variant, "speed_up"));
        put_number(f, json_object_get(range, "low"));
        put_number(f, json_object_get(range, "high"));
        fputc('\n', f);
}

int
compare_export_csv(FILE *f, const json_t *compare)
{
        json_t *variant;
        size_t i;

        json_array_foreach(variants_of(compare), i, variant)
        {
                AUTO_JSON json_t *result = result_of(compare, variant);

                if (!result)
                        return -ENOMEM;
                if (i == 0)
                        put_csv_heading(f, json_object_get(result, "parameters"));
                put_csv_row(f, variant, result);
        }
        return 0;
}

/* ── Markdown ── */

/* In a cell a bar would end it, a line break the row, and the rest would be markup. */
static void
put_markdown(FILE *f, const char *text)
{
        for (; *text != '\0'; text++) {
                if (strchr("|\\`*_<[&~", *text))
                        fputc('\\', f);
                fputc(*text == '\n' || *text == '\r' ? ' ' : *text, f);
        }
}

static void
put_cell(FILE *f, const struct compare_scale *s, double seconds)
{
        if (isfinite(seconds))
                fprintf(f, "%.*f", s->decimals, seconds * s->per_s);
}

static void
put_range(FILE *f, struct interval range, double factor, int decimals)
{
        if (isfinite(range.low))
                fprintf(f, "%.*f … %.*f", decimals, range.low * factor, decimals, range.high * factor);
}

static void
put_times(FILE *f, const struct compare_scale *s, const struct compare_times *t, double relative)
{
        put_cell(f, s, t->mean);
        if (isfinite(t->stddev)) {
                fputs(" ± ", f);
                put_cell(f, s, t->stddev);
        }
        fputs(" | ", f);
        put_cell(f, s, t->min);
        fputs(" | ", f);
        put_cell(f, s, t->max);
        fputs(" | ", f);
        if (isfinite(relative) && relative > 0)
                fprintf(f, "%.2f", relative);
        fputs(" | ", f);
        put_cell(f, s, t->median);
        fputs(" | ", f);
        put_range(f, t->interval, s->per_s, s->decimals);
        fputs(" | ", f);
}

static void
put_markdown_row(FILE *f, const struct compare_scale *s, const json_t *v, const struct compare_times *t, double fastest)
{
        const json_t *range = json_object_get(v, "speed_up_interval");

        fputs("| ", f);
        put_markdown(f, field_text(v, "name"));
        fputs(" | ", f);
        put_times(f, s, t, fastest > 0 ? field_real(v, "s_per_task") / fastest : 0);
        if (field_is_set(v, "speed_up"))
                fprintf(f, "%.3f", field_real(v, "speed_up"));
        fputs(" | ", f);
        if (json_is_object(range))
                put_range(f, (struct interval){field_real(range, "low"), field_real(range, "high")}, 1, 3);
        fputs(" | ", f);
        put_markdown(f, field_text(v, "why"));
        fputs(" |\n", f);
}

static void
put_markdown_heading(FILE *f, const char *unit, bool is_per_task)
{
        static const char *const columns[] = {"Mean", "Min", "Max", NULL, "Median", "95 % interval"};

        fputs("| Command |", f);
        for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
                if (columns[i])
                        fprintf(f, " %s%s [%s] |", columns[i], is_per_task ? " per task" : "", unit);
                else
                        fputs(" Relative |", f);
        }
        fputs(" Speed-up | 95 % interval | Why |\n|:---|---:|---:|---:|---:|---:|---:|---:|---:|:---|\n", f);
}

int
compare_export_markdown(FILE *f, const json_t *compare)
{
        size_t n = json_array_size(variants_of(compare)), i;
        AUTO_FREE struct compare_times *times = calloc(n + 1, sizeof(*times));
        double fastest = NAN, least = NAN, per_task;
        struct compare_scale s;
        json_t *variant;

        if (!times)
                return -ENOMEM;
        json_array_foreach(variants_of(compare), i, variant)
        {
                times[i] = compare_variant_times(compare, variant);
                per_task = field_real(variant, "s_per_task");
                fastest = per_task > 0 ? fmin(fastest, per_task) : fastest;
                least = fmin(least, times[i].min);
        }
        /* One unit for all, one digit more than the smallest needs. */
        s = compare_scale_of(isfinite(least) ? least : 0, 0, 0);
        s.decimals++;
        put_markdown_heading(f, s.unit, compare_variant_is_per_task(compare));
        json_array_foreach(variants_of(compare), i, variant) put_markdown_row(f, &s, variant, &times[i], fastest);
        return 0;
}
