/* SPDX-License-Identifier: MIT */
#include "ctl/compare-result.h"

#include "ctl/bar.h"
#include "ctl/compare-evidence.h"
#include "ctl/compare-variant.h"
#include "ctl/field.h"
#include "ctl/table.h"
#include "ctl/text.h"
#include "shared/quantity.h"

#include <math.h>
#include <string.h>

#define NOTHING     "—"
#define BAR         10 /* columns */
#define BAR_LEAST   90 /* columns of a terminal that has room for one */
#define BAR_HEAD    "TIME"
#define DIGITS      3
#define ROUNDS_ALL  10 /* fewer make no verdict */
#define SHARE_LEAST 1e-5

#define FITTED_PARAMETERS 3 /* of the Universal Scalability Law, with the throughput of one worker */

/* The variants, and how the times of all of them are shown. */
struct view {
        FILE *f;
        const json_t *compare, *variants;
        bool is_per_task; /* else per round */
        bool has_bars;
        double longest; /* of what the bars show */
};

struct compare_scale
compare_scale_of(double seconds, double low, double high)
{
        static const struct {
                double from_s;
                const char *unit;
                double per_s;
        } units[] = {
                {60000, "h", 1 / 3600.0}, {1000, "min", 1 / 60.0}, {1, "s", 1}, {1e-3, "ms", 1e3}, {1e-6, "µs", 1e6},
        };
        struct compare_scale s = {"ns", 1e9, 0};
        double width, value;

        for (size_t i = ARRAY_SIZE(units); i > 0; i--) {
                if (seconds < units[i - 1].from_s)
                        break;
                s.unit = units[i - 1].unit;
                s.per_s = units[i - 1].per_s;
        }
        value = seconds * s.per_s;
        width = (high - low) * s.per_s;
        while (s.decimals < DIGITS - 1 && value * pow(10, s.decimals) < 100)
                s.decimals++;
        while (s.decimals < DIGITS && width > 0 && pow(10, -s.decimals) > width / 2)
                s.decimals++;
        return s;
}

/* ── the title ── */

static void
put_workload(FILE *f, const json_t *compare)
{
        const json_t *v = json_array_get(json_object_get(compare, "variants"), 0);
        const char *key, *separator = "(";
        char a[64];
        json_t *value;

        if (compare_variant_differs(compare, "workload")) {
                text_printf(f, "several workloads");
        } else {
                text_printf(f, "%s", field_text(v, "workload"));
                json_object_foreach(json_object_get(v, "params"), key, value)
                {
                        if (compare_variant_differs(compare, "params"))
                                break;
                        text_printf(f, "%s%s=%s", separator, key,
                                    json_string_value(value) ? json_string_value(value) : "?");
                        separator = ", ";
                }
                text_printf(f, "%s", *separator == ',' ? ")" : "");
        }
        if (compare_variant_differs(compare, "count") || compare_variant_differs(compare, "duration_s"))
                return;
        if (field_is_set(v, "count"))
                text_printf(f, " × %s", text_count(a, sizeof(a), field_int(v, "count")));
        else
                text_printf(f, " for %s",
                            quantity_format_duration(a, sizeof(a), field_real(v, "duration_s") * (double)NS_PER_S));
}

/* "calc × 1000 · 2 workers · 11 rounds, interleaved · seed 7341" */
static void
put_title(FILE *f, const json_t *compare)
{
        const json_t *v = json_array_get(json_object_get(compare, "variants"), 0);
        int64_t workers = compare_variant_workers(compare);
        char a[64];

        put_workload(f, compare);
        if (!compare_variant_differs(compare, "mode"))
                text_printf(f, " · %s", field_text(v, "mode"));
        if (!compare_variant_differs(compare, "spawn") && strcmp(field_text(v, "spawn"), "per-task") == 0)
                text_printf(f, " per task");
        if (workers > 0)
                text_printf(f, " · %s", text_plural(a, sizeof(a), workers, "worker"));
        if (!compare_variant_differs(compare, "libc") && strcmp(field_text(v, "libc"), "native") == 0)
                text_printf(f, " · libc native");
        text_printf(f, " · %s, interleaved · seed %lld",
                    text_plural(a, sizeof(a), field_int(compare, "rounds"), "round"),
                    (long long)field_int(compare, "seed"));
}

/* Who had hoped for a whole result must not overlook that this is none. */
static void
put_verdict(FILE *f, const json_t *compare)
{
        const char *state = field_text(compare, "state"), *reason = field_text(compare, "reason");
        bool is_done = strcmp(state, "done") == 0;
        char a[64];

        if (is_done && !field_bool(compare, "partial"))
                return;
        text_printf(f, "%s", is_done ? "partial" : state);
        if (field_bool(compare, "partial")) {
                text_printf(f, ": %s", text_count(a, sizeof(a), field_int(compare, "rounds")));
                if (field_is_set(compare, "rounds_asked"))
                        text_printf(f, " of %s", text_count(a, sizeof(a), field_int(compare, "rounds_asked")));
                text_printf(f, " rounds were measured");
        }
        if (*reason)
                text_printf(f, field_bool(compare, "partial") ? " (%s)" : ": %s", reason);
        text_printf(f, "\n");
}

/* ── the table ── */

static void
format_time(const struct compare_times *t, char *time, char *interval, size_t size)
{
        bool has_interval = isfinite(t->interval.low);
        struct compare_scale s;

        snprintf(time, size, NOTHING);
        snprintf(interval, size, NOTHING);
        if (!(t->median > 0))
                return;
        s = compare_scale_of(t->median, has_interval ? t->interval.low : 0, has_interval ? t->interval.high : 0);
        snprintf(time, size, "%.*f %s", s.decimals, t->median * s.per_s, s.unit);
        if (has_interval)
                snprintf(interval, size, "%.*f … %.*f", s.decimals, t->interval.low * s.per_s, s.decimals,
                         t->interval.high * s.per_s);
}

/* What is not clear is marked: "~1.01". */
static void
format_speed_up(const json_t *variant, char *buf, size_t size)
{
        double speed_up = field_real(variant, "speed_up");

        if (!field_is_set(variant, "speed_up"))
                snprintf(buf, size, NOTHING);
        else
                snprintf(buf, size, "%s%.*f", strcmp(field_text(variant, "verdict"), "unclear") == 0 ? "~" : "",
                         speed_up < 0.1 ? 4 : 2, speed_up);
}

static int
add_variant(const struct view *view, struct table *table, const json_t *v, size_t skip)
{
        char time[64], interval[64], speed_up[32], cores[32], bar[BAR_SIZE(BAR)];
        const char *cells[8], *name = field_text(v, "name");
        const struct compare_times times = compare_variant_times(view->compare, v);
        size_t n = 0;

        format_time(&times, time, interval, sizeof(time));
        format_speed_up(v, speed_up, sizeof(speed_up));
        snprintf(cores, sizeof(cores), "%.2f", field_real(v, "cores_busy"));
        bar_format(bar, view->longest > 0 ? times.median / view->longest : 0, BAR, text_is_utf8());
        cells[n++] = strlen(name) >= skip ? name + skip : name;
        cells[n++] = time;
        cells[n++] = interval;
        if (view->has_bars)
                cells[n++] = bar;
        cells[n++] = speed_up;
        cells[n++] = cores;
        cells[n] = field_text(v, "why");
        return table_add(table, cells);
}

static void
put_table(const struct view *view)
{
        char heading[64];
        size_t skip, i, n = 0;
        json_t *variant;
        struct table_column columns[9] = {{compare_variant_heading(view->compare, heading, sizeof(heading), &skip)}};
        AUTO_TABLE struct table *table = NULL;
        int r = 0;

        columns[++n] = (struct table_column){view->is_per_task ? "PER TASK" : "MEDIAN", .is_right = true};
        columns[++n] = (struct table_column){"95 % INTERVAL", .is_right = true};
        if (view->has_bars)
                columns[++n] = (struct table_column){BAR_HEAD};
        columns[++n] = (struct table_column){"SPEED-UP", .is_right = true};
        columns[++n] = (struct table_column){"CORES", .is_right = true};
        columns[++n] = (struct table_column){"WHY", .is_wrapped = true};
        table = table_new(columns);
        json_array_foreach(view->variants, i, variant)
        {
                if (table && r == 0)
                        r = add_variant(view, table, variant, skip);
        }
        if (!table || r < 0 || table_print(table, "  ", view->f) < 0)
                text_printf(view->f, "out of memory\n");
}

/* ── scaling ── */

static const struct table_column scaling_columns[] = {
        {"WORKERS", .is_right = true},       {"TASKS/S", .is_right = true}, {"SPEED-UP", .is_right = true},
        {"95 % INTERVAL", .is_right = true}, {"FITTED", .is_right = true},  {NULL},
};

static int
add_point(struct table *table, const json_t *point, bool is_fitted)
{
        const json_t *range = json_object_get(point, "speed_up_interval");
        char workers[32], rate[48], speed_up[32], interval[64] = NOTHING, fitted[32] = NOTHING;

        snprintf(workers, sizeof(workers), "%lld", (long long)field_int(point, "workers"));
        quantity_format_grouped(rate, sizeof(rate), (uint64_t)llround(MAX(field_real(point, "tasks_per_s"), 0.0)));
        snprintf(speed_up, sizeof(speed_up), "%.2f", field_real(point, "speed_up"));
        if (json_is_object(range))
                snprintf(interval, sizeof(interval), "%.2f … %.2f", field_real(range, "low"),
                         field_real(range, "high"));
        if (is_fitted)
                snprintf(fitted, sizeof(fitted), "%.2f", field_real(point, "fitted"));
        return table_add(table, (const char *const[]){workers, rate, speed_up, interval, fitted});
}

/* "3.1 %"; next to nothing is "0 %". Returns buf. */
static char *
percent(char *buf, size_t size, double share)
{
        snprintf(buf, size, "%.*g %%", share < 0.1 ? 2 : 3, share < SHARE_LEAST ? 0 : 100 * share);
        return buf;
}

static void
put_fit(FILE *f, const json_t *scaling)
{
        size_t n = json_array_size(json_object_get(scaling, "points"));
        char a[32], b[32], c[32];

        if (n == 0)
                return;
        if (!compare_variant_is_fitted(scaling)) {
                text_printf(f, "  %s only: no fit\n", n == 2 ? "two points" : "one point");
                return;
        }
        text_printf(f, "  serial fraction %s (Amdahl) · contention %s, coherence %s (USL)",
                    percent(a, sizeof(a), field_real(scaling, "serial")),
                    percent(b, sizeof(b), field_real(scaling, "sigma")),
                    percent(c, sizeof(c), field_real(scaling, "kappa")));
        if (field_is_set(scaling, "peak") && field_real(scaling, "kappa") > 0)
                text_printf(f, " · peak at %.3g workers", field_real(scaling, "peak"));
        /* Three parameters go through three points. */
        if (n > FITTED_PARAMETERS)
                text_printf(f, " · the fit is off by %s", percent(a, sizeof(a), field_real(scaling, "rms_relative")));
        text_printf(f, "\n");
}

static void
put_scaling(FILE *f, const json_t *scaling)
{
        AUTO_TABLE struct table *table = table_new(scaling_columns);
        json_t *point;
        int r = 0;
        size_t i;

        text_printf(f, "\nScaling%s%s\n", *field_text(scaling, "name") ? " of " : "", field_text(scaling, "name"));
        json_array_foreach(json_object_get(scaling, "points"), i, point)
        {
                if (table && r == 0)
                        r = add_point(table, point, compare_variant_is_fitted(scaling));
        }
        if (!table || r < 0 || table_print(table, "  ", f) < 0)
                text_printf(f, "out of memory\n");
        put_fit(f, scaling);
        if (*field_text(scaling, "limit"))
                text_printf(f, "  limit: %s\n", field_text(scaling, "limit"));
}

/* ── what to know about it ── */

static void
put_outliers(FILE *f, const json_t *v)
{
        const json_t *outliers = json_object_get(v, "outliers");
        const char *separator = " ";
        char a[64];
        json_t *round;
        size_t i;

        if (json_array_size(outliers) == 0)
                return;
        text_printf(f, "  %s: %s: round%s", field_text(v, "name"),
                    text_plural(a, sizeof(a), (int64_t)json_array_size(outliers), "outlier"),
                    json_array_size(outliers) == 1 ? "" : "s");
        json_array_foreach(outliers, i, round)
        {
                text_printf(f, "%s%lld", separator, (long long)json_integer_value(round) + 1);
                separator = ", ";
        }
        text_printf(f, "; counted like all others\n");
}

static void
put_notes_of_variant(FILE *f, const json_t *v)
{
        const char *name = field_text(v, "name");
        char a[64], b[48];

        put_outliers(f, v);
        if (field_int(v, "failed") > 0) {
                text_printf(f, "  %s: %s of %s failed", name, text_count(b, sizeof(b), field_int(v, "failed")),
                            text_plural(a, sizeof(a), field_int(v, "done"), "task"));
                if (field_int(v, "wrong") > 0)
                        text_printf(f, " (%s with a wrong result)", text_count(a, sizeof(a), field_int(v, "wrong")));
                text_printf(f, "\n");
        }
        if (field_int(v, "repeated") > 0)
                text_printf(f, "  %s: %s measured again, because a daemon was killed within\n", name,
                            text_plural(a, sizeof(a), field_int(v, "repeated"), "round"));
        if (field_int(v, "restarts") > 0)
                text_printf(f, "  %s: %s of workers within the rounds\n", name,
                            text_plural(a, sizeof(a), field_int(v, "restarts"), "restart"));
}

static void
put_precision(FILE *f, const json_t *compare)
{
        char a[64];

        if (!field_is_set(compare, "precision"))
                return;
        text_printf(f, "  precision ±%.3g %% %s after %s\n", 100 * field_real(compare, "precision"),
                    field_bool(compare, "precision_reached") ? "reached" : "not reached",
                    text_plural(a, sizeof(a), field_int(compare, "rounds"), "round"));
}

static void
put_trust(FILE *f, const json_t *compare, const char *indent)
{
        const json_t *copy = compare_variant_copy(compare), *range = json_object_get(copy, "speed_up_interval");
        double reach;

        switch (compare_variant_trust(compare, &reach)) {
        case TRUST_NOT_ASKED:
                return;
        case TRUST_TOO_FEW_ROUNDS:
                text_printf(f, "%stoo few rounds to tell whether this machine can be trusted", indent);
                break;
        case TRUST_NO_RATIO:
                text_printf(f, "%sa round had no task: it cannot be told whether this machine can be trusted", indent);
                break;
        case TRUST_NOISY:
                text_printf(f, "%sthis machine is noisy now: only differences beyond ±%.2g %% can be told", indent,
                            100 * reach);
                break;
        case TRUST_GOOD:
        case TRUST_BAD:
                text_printf(f, "%sthis machine %s be trusted now", indent,
                            field_bool(compare, "trusted") ? "can" : "cannot");
        }
        if (json_is_object(range))
                text_printf(f, ": A/A ratio %.3f, 95 %% %.3f … %.3f", field_real(copy, "speed_up"),
                            field_real(range, "low"), field_real(range, "high"));
        text_printf(f, "\n");
}

static void
put_notes(FILE *f, const json_t *compare)
{
        bool is_unclear = false;
        json_t *variant;
        char a[64];
        size_t i;

        put_trust(f, compare, "  ");
        put_precision(f, compare);
        json_array_foreach(json_object_get(compare, "variants"), i, variant)
        {
                put_notes_of_variant(f, variant);
                is_unclear = is_unclear || strcmp(field_text(variant, "verdict"), "unclear") == 0;
        }
        if (is_unclear)
                text_printf(f, "  ~ its interval contains 1: neither is called faster\n");
        if (field_int(compare, "rounds") < ROUNDS_ALL)
                text_printf(f, "  fewer than %d rounds: no verdict\n", ROUNDS_ALL);
        if (field_int(compare, "resumed") > 0)
                text_printf(f, "  the daemon was restarted within the job (resumed %s)\n",
                            text_plural(a, sizeof(a), field_int(compare, "resumed"), "time"));
}

static struct view
view_of(FILE *f, const json_t *compare)
{
        struct view view = {
                .f = f,
                .compare = compare,
                .variants = json_object_get(compare, "variants"),
                .is_per_task = compare_variant_is_per_task(compare),
                .has_bars = bar_terminal_columns(f) >= BAR_LEAST,
        };
        json_t *variant;
        size_t i;

        json_array_foreach(view.variants, i, variant)
        {
                view.longest = fmax(view.longest, compare_variant_times(compare, variant).median);
        }
        return view;
}

void
compare_result_print(FILE *f, const json_t *compare, bool explain)
{
        const struct view view = view_of(f, compare);
        json_t *scaling;
        size_t i;

        put_verdict(f, compare);
        put_title(f, compare);
        text_printf(f, "\n");
        put_table(&view);
        put_notes(f, compare);
        json_array_foreach(json_object_get(compare, "scaling"), i, scaling) put_scaling(f, scaling);
        if (explain)
                compare_evidence_print(f, compare);
}

static void
put_brief(const struct view *view, const json_t *v)
{
        bool is_reference = strcmp(field_text(v, "name"), field_text(view->compare, "reference")) == 0;
        const struct compare_times times = compare_variant_times(view->compare, v);
        char time[64], interval[64], speed_up[32];

        format_time(&times, time, interval, sizeof(time));
        format_speed_up(v, speed_up, sizeof(speed_up));
        text_printf(view->f, "%s · %s%s (%s)", field_text(v, "name"), time, view->is_per_task ? " per task" : "",
                    interval);
        if (is_reference)
                text_printf(view->f, " · reference\n");
        else if (!field_is_set(v, "speed_up"))
                text_printf(view->f, " · " NOTHING "\n");
        else
                text_printf(view->f, " · %s × %s\n", speed_up, field_text(view->compare, "reference"));
}

void
compare_result_print_brief(FILE *f, const json_t *compare)
{
        const struct view view = view_of(f, compare);
        json_t *variant;
        size_t i;

        put_verdict(f, compare);
        if (field_bool(compare, "aa")) {
                put_trust(f, compare, "");
                return;
        }
        json_array_foreach(view.variants, i, variant) put_brief(&view, variant);
}

int64_t
compare_result_failed(const json_t *compare)
{
        int64_t failed = 0;
        json_t *variant;
        size_t i;

        json_array_foreach(json_object_get(compare, "variants"), i, variant) failed += field_int(variant, "failed");
        return failed;
}
