/* SPDX-License-Identifier: MIT */
#include "ctl/compare-evidence.h"

#include "ctl/compare-variant.h"
#include "ctl/field.h"
#include "ctl/table.h"
#include "ctl/text.h"
#include "shared/quantity.h"

#include <math.h>
#include <string.h>

static const struct table_column columns[] = {
        {"WORKER"},
        {"TASKS", .is_right = true},
        {"USER", .is_right = true},
        {"SYSTEM", .is_right = true},
        {"QUEUED", .is_right = true},
        {"BLOCKED", .is_right = true},
        {"LOCK", .is_right = true},
        {"TAKEN", .is_right = true},
        {"VOL", .is_right = true},
        {"INVOL", .is_right = true},
        {"MINOR", .is_right = true},
        {"MAJOR", .is_right = true},
        {"RESTARTS", .is_right = true},
        {NULL},
};

/* The fields of a worker in the order of the columns behind its name. */
static const struct {
        const char *field;
        bool is_time;
} figures[] = {
        {"tasks"},
        {"user_s", true},
        {"system_s", true},
        {"run_queue_wait_s", true},
        {"blocked_s", true},
        {"lock_wait_s", true},
        {"lock_switches"},
        {"voluntary_switches"},
        {"involuntary_switches"},
        {"minor_faults"},
        {"major_faults"},
        {"restarts"},
};

static char *
duration(char *buf, size_t size, double seconds)
{
        return quantity_format_duration(buf, size, seconds * (double)NS_PER_S);
}

static int
add_worker(struct table *table, const json_t *w)
{
        const char *cells[ARRAY_SIZE(figures) + 1];
        char texts[ARRAY_SIZE(figures)][48], name[64];

        snprintf(name, sizeof(name), "#%lld %.40s", (long long)field_int(w, "worker"), field_text(w, "kind"));
        cells[0] = name;
        for (size_t i = 0; i < ARRAY_SIZE(figures); i++) {
                cells[i + 1] = texts[i];
                if (figures[i].is_time)
                        duration(texts[i], sizeof(texts[i]), field_real(w, figures[i].field));
                else
                        text_count(texts[i], sizeof(texts[i]), field_int(w, figures[i].field));
        }
        return table_add(table, cells);
}

static void
put_workers(FILE *f, const json_t *workers)
{
        AUTO_TABLE struct table *table = table_new(columns);
        json_t *worker;
        size_t i;
        int r = 0;

        json_array_foreach(workers, i, worker)
        {
                if (table && r == 0)
                        r = add_worker(table, worker);
        }
        if (!table || r < 0 || table_print(table, "  ", f) < 0)
                text_printf(f, "out of memory\n");
}

static void
put_times(FILE *f, const json_t *compare, const json_t *v)
{
        const struct compare_times t = compare_variant_times(compare, v);
        char a[48], b[48], c[48];

        text_printf(f, "  per round  ");
        if (isfinite(t.mean)) {
                text_printf(f, "mean %s", duration(a, sizeof(a), t.mean));
                if (isfinite(t.stddev))
                        text_printf(f, " ± %s", duration(a, sizeof(a), t.stddev));
                text_printf(f, " · min %s · max %s", duration(a, sizeof(a), t.min), duration(b, sizeof(b), t.max));
                text_printf(f, "%s · ", compare_variant_is_per_task(compare) ? ", each divided by its tasks" : "");
        }
        text_printf(f, "%s steal in all\n", duration(c, sizeof(c), field_real(v, "steal_s")));
}

static void
put_latency(FILE *f, const json_t *v)
{
        static const char *const quantiles[] = {"p50", "p90", "p99"};
        const json_t *l = json_object_get(v, "latency_ns");
        bool is_exact = field_is_set(l, "max");
        char a[48];

        if (!json_is_object(l) || field_int(l, "samples") == 0)
                return;
        text_printf(f, "  per task  ");
        for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++)
                text_printf(f, " %s %s ·", quantiles[i],
                            quantity_format_duration(a, sizeof(a), field_real(l, quantiles[i])));
        text_printf(f, " max %s",
                    quantity_format_duration(a, sizeof(a), field_real(l, is_exact ? "max" : "max_sampled")));
        if (!is_exact)
                text_printf(f, " of one task in %s", text_count(a, sizeof(a), field_int(l, "every")));
        text_printf(f, "\n");
}

static void
put_variant(FILE *f, const json_t *compare, const json_t *v)
{
        const json_t *range = json_object_get(v, "speed_up_interval");
        char a[64];

        text_printf(f, "\n%s · rule \"%s\" · verdict %s\n", field_text(v, "name"), field_text(v, "rule"),
                    field_text(v, "verdict"));
        if (json_is_object(range) && strcmp(field_text(v, "name"), field_text(compare, "reference")) != 0)
                text_printf(f, "  speed-up   %.3f over %s, 95 %% %.3f … %.3f\n", field_real(v, "speed_up"),
                            field_text(compare, "reference"), field_real(range, "low"), field_real(range, "high"));
        put_times(f, compare, v);
        put_latency(f, v);
        text_printf(f, "  evidence   of %s · chunk %lld · checksum %s\n",
                    text_plural(a, sizeof(a), field_int(v, "evidence_rounds"), "round"),
                    (long long)field_int(v, "chunk"), field_text(v, "checksum"));
        put_workers(f, json_object_get(v, "workers_detail"));
}

static void
put_cpus(FILE *f, const json_t *environment)
{
        char a[48];

        text_printf(f, "  CPU        %s · %s of %lld online usable", field_text(environment, "cpu"),
                    text_count(a, sizeof(a), (int64_t)json_array_size(json_object_get(environment, "cpus"))),
                    (long long)field_int(environment, "cpus_online"));
        if (field_is_set(environment, "quota_cpus"))
                text_printf(f, " · quota %.3g", field_real(environment, "quota_cpus"));
        if (*field_text(environment, "governor"))
                text_printf(f, " · governor %s", field_text(environment, "governor"));
        if (field_bool(environment, "hypervisor"))
                text_printf(f, " · virtual machine");
        text_printf(f, "\n");
}

static void
put_clock(FILE *f, const json_t *compare, const char *before, const json_t *environment)
{
        if (field_is_set(compare, before))
                text_printf(f, "%.0f", field_real(compare, before));
        else
                text_printf(f, "unknown");
        if (field_is_set(environment, "mhz"))
                text_printf(f, " before, %.0f after", field_real(environment, "mhz"));
}

static void
put_machine(FILE *f, const json_t *compare)
{
        const json_t *e = json_object_get(compare, "environment");
        char a[48];

        text_printf(f, "\nmachine\n");
        put_cpus(f, e);
        text_printf(f, "  MHz        ");
        put_clock(f, compare, "mhz_before", e);
        text_printf(f, "\n  load       %.2f before, %.2f after · %s steal\n", field_real(compare, "load_before"),
                    field_real(e, "load_1min"), duration(a, sizeof(a), field_real(e, "steal_s")));
        text_printf(f, "  system     %s · %s · %s\n", field_text(e, "kernel"), field_text(e, "libc"),
                    field_text(e, "compiler"));
        text_printf(
                f,
                "  method     clock %s · start barrier %s · parked thread %s\n  job        %s of warm-up · %s in all\n",
                field_text(e, "clock"), field_text(e, "start_barrier"), compare_variant_idle_thread(compare),
                text_plural(a, sizeof(a), field_int(compare, "warmup_rounds"), "round"),
                duration((char[48]){0}, 48, field_real(compare, "wall_s")));
}

void
compare_evidence_print(FILE *f, const json_t *compare)
{
        json_t *variant;
        size_t i;

        json_array_foreach(json_object_get(compare, "variants"), i, variant) put_variant(f, compare, variant);
        text_printf(f, "\nqueued: runnable, but not running · lock: waiting for the interpreter lock\n"
                       "taken: how often that lock was taken over · vol, invol: context switches\n"
                       "minor, major: page faults\n");
        put_machine(f, compare);
}
