/* SPDX-License-Identifier: MIT */
#include "ctl/result.h"

#include "ctl/field.h"
#include "ctl/text.h"
#include "shared/quantity.h"

#include <math.h>
#include <string.h>

#define WORKERS_LISTED   8
#define WORKERS_PER_LINE 4
#define FAILURES_LISTED  10

static char *
duration(char *buf, size_t size, double seconds)
{
        return quantity_format_duration(buf, size, seconds * (double)NS_PER_S);
}

/* Text and blanks up to `columns`, at least three. */
static void
put_padded(FILE *f, const char *text, size_t columns)
{
        size_t used = text_columns(text);

        text_printf(f, "%s%*s", text, used + 3 < columns ? (int)(columns - used) : 3, "");
}

static void
put_label(FILE *f, const char *label)
{
        text_printf(f, "  %-9s ", label);
}

/* Threads know no other libc than their own. */
static bool
is_native_libc(const json_t *r)
{
        const json_t *worker = json_array_get(json_object_get(r, "workers_detail"), 0);

        return strcmp(field_text(r, "libc"), "native") == 0 && strcmp(field_text(worker, "kind"), "process") == 0;
}

/* "spin(ns=500) × 1000 · process pool · 2 workers" */
static void
put_title(FILE *f, const json_t *r)
{
        const char *key, *separator = "(", *spawn = field_text(r, "spawn");
        char a[64];
        json_t *value;

        text_printf(f, "%s", field_text(r, "workload"));
        json_object_foreach(json_object_get(r, "params"), key, value)
        {
                text_printf(f, "%s%s=%s", separator, key, json_string_value(value) ? json_string_value(value) : "?");
                separator = ", ";
        }
        text_printf(f, "%s", *separator == ',' ? ")" : "");
        if (field_is_set(r, "count"))
                text_printf(f, " × %s", text_count(a, sizeof(a), field_int(r, "count")));
        else
                text_printf(f, " for %s", duration(a, sizeof(a), field_real(r, "duration_s")));
        text_printf(f, " · %s", field_text(r, "mode"));
        /* One worker is no pool. */
        if (strcmp(spawn, "per-task") == 0)
                text_printf(f, " per task");
        else if (field_int(r, "workers") != 1)
                text_printf(f, " %s", spawn);
        if (field_int(r, "workers") == 0)
                text_printf(f, " · all at once");
        else
                text_printf(f, " · %s", text_plural(a, sizeof(a), field_int(r, "workers"), "worker"));
        if (is_native_libc(r))
                text_printf(f, " · native libc");
}

/* Who had hoped for a whole result must not overlook that this is none. */
static void
put_verdict(FILE *f, const json_t *r)
{
        const char *state = field_text(r, "state"), *reason = field_text(r, "reason");
        char done[48], count[48];

        if (strcmp(state, "done") == 0)
                return;
        if (*reason && field_is_set(r, "count") && field_int(r, "done") == field_int(r, "count")) {
                text_printf(f, "%s: %s\n", state, reason);
                return;
        }
        text_printf(f, "%s: %s", state, text_count(done, sizeof(done), field_int(r, "done")));
        if (field_is_set(r, "count"))
                text_printf(f, " of %s", text_count(count, sizeof(count), field_int(r, "count")));
        text_printf(f, " tasks were done%s%s%s\n", *reason ? " (" : "", reason, *reason ? ")" : "");
}

static int64_t
usable_cpus(const json_t *r)
{
        const json_t *environment = json_object_get(r, "environment");
        size_t n = json_array_size(json_object_get(environment, "cpus"));

        return n > 0 ? (int64_t)n : field_int(environment, "cpus_online");
}

static void
format_rate(char *buf, size_t size, double per_s)
{
        char n[48];

        if (per_s < 100)
                snprintf(buf, size, "%.3g tasks/s", per_s);
        else
                snprintf(buf, size, "%s tasks/s", quantity_format_grouped(n, sizeof(n), (uint64_t)llround(per_s)));
}

static void
put_wall(FILE *f, const json_t *r)
{
        char wall[48], rate[64], cores[64];

        put_label(f, "wall");
        put_padded(f, duration(wall, sizeof(wall), field_real(r, "wall_s")), 15);
        format_rate(rate, sizeof(rate), field_real(r, "tasks_per_s"));
        put_padded(f, rate, 19);
        text_printf(f, "%.2f of %s busy\n", field_real(r, "cores_busy"),
                    text_plural(cores, sizeof(cores), usable_cpus(r), "core"));
}

static void
put_latency(FILE *f, const json_t *r)
{
        static const char *const quantiles[] = {"p50", "p90", "p99"};
        const json_t *l = json_object_get(r, "latency_ns");
        bool is_exact = field_is_set(l, "max");
        char a[48];

        if (!json_is_object(l) || field_int(l, "samples") == 0)
                return;
        put_label(f, "per task");
        for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++)
                text_printf(f, "%s %s   ", quantiles[i],
                            quantity_format_duration(a, sizeof(a), field_real(l, quantiles[i])));
        text_printf(f, "max %s",
                    quantity_format_duration(a, sizeof(a), field_real(l, is_exact ? "max" : "max_sampled")));
        if (!is_exact)
                text_printf(f, "   (of one task in %s)", text_count(a, sizeof(a), field_int(l, "every")));
        text_printf(f, "\n");
}

static void
put_verified(FILE *f, const json_t *r)
{
        int64_t all = field_int(r, field_is_set(r, "count") ? "count" : "done");
        char a[48], b[48];

        text_printf(f, "%s of %s verified", text_count(a, sizeof(a), field_int(r, "verified")),
                    text_count(b, sizeof(b), all));
        if (field_int(r, "failed") > 0)
                text_printf(f, ", %s failed", text_count(a, sizeof(a), field_int(r, "failed")));
        if (field_int(r, "wrong") > 0)
                text_printf(f, " (%s with a wrong result)", text_count(a, sizeof(a), field_int(r, "wrong")));
}

static void
put_worker_list(FILE *f, const json_t *workers)
{
        size_t i, n = json_array_size(workers);
        json_t *w;
        char a[64], item[96];

        json_array_foreach(workers, i, w)
        {
                if (i > 0 && i % WORKERS_PER_LINE == 0) {
                        text_printf(f, "\n");
                        put_label(f, "");
                }
                snprintf(item, sizeof(item), "#%lld %s", (long long)field_int(w, "worker"),
                         text_plural(a, sizeof(a), field_int(w, "tasks"), "task"));
                if (i + 1 < n)
                        put_padded(f, item, text_columns(item) + 3);
                else
                        text_printf(f, "%s", item);
        }
}

static void
put_worker_summary(FILE *f, const json_t *workers)
{
        int64_t least = INT64_MAX, most = 0;
        size_t i;
        json_t *w;
        char a[48], b[48];

        json_array_foreach(workers, i, w)
        {
                least = MIN(least, field_int(w, "tasks"));
                most = MAX(most, field_int(w, "tasks"));
        }
        text_count(a, sizeof(a), least);
        text_count(b, sizeof(b), most);
        text_printf(f, "%zu with %s%s%s tasks each", json_array_size(workers), a, least < most ? " to " : "",
                    least < most ? b : "");
}

static void
put_workers(FILE *f, const json_t *r)
{
        const json_t *workers = json_object_get(r, "workers_detail");
        char a[64];

        put_label(f, "workers");
        if (json_array_size(workers) > WORKERS_LISTED)
                put_worker_summary(f, workers);
        else if (json_array_size(workers) > 0)
                put_worker_list(f, workers);
        else
                text_printf(f, "none");
        text_printf(f, "       %s\n", text_plural(a, sizeof(a), field_int(r, "restarts"), "restart"));
}

/* Only when there was a lock to wait for. */
static void
put_lock(FILE *f, const json_t *r)
{
        double waited = 0;
        int64_t switches = 0;
        size_t i;
        json_t *w;
        char a[64], b[48];

        json_array_foreach(json_object_get(r, "workers_detail"), i, w)
        {
                waited += field_real(w, "lock_wait_s");
                switches += field_int(w, "lock_switches");
        }
        if (switches == 0)
                return;
        put_label(f, "lock");
        text_printf(f, "taken over %s   waited for %s in all\n", text_plural(a, sizeof(a), switches, "time"),
                    duration(b, sizeof(b), waited));
}

static void
put_notes(FILE *f, const json_t *r)
{
        char a[48];

        if (field_int(r, "reexecuted") > 0) {
                put_label(f, "note");
                text_printf(f, "%s %s cut short by a death and repeated; every task counts once\n",
                            text_plural(a, sizeof(a), field_int(r, "reexecuted"), "execution"),
                            field_int(r, "reexecuted") == 1 ? "was" : "were");
        }
        if (field_int(r, "resumed") > 0) {
                put_label(f, "note");
                text_printf(f, "the daemon was restarted within the run (resumed %lld ×)\n",
                            (long long)field_int(r, "resumed"));
        }
        if (json_is_false(json_object_get(r, "timing_valid"))) {
                put_label(f, "note");
                text_printf(f, "the times are not valid\n");
        }
        if (json_is_false(json_object_get(r, "cpu_complete"))) {
                put_label(f, "note");
                text_printf(f, "a killed worker took its CPU account with it: cores busy is a lower bound\n");
        }
}

static void
put_reason(FILE *f, const json_t *failure)
{
        const char *reason = field_text(failure, "reason"), *name = NULL;
        int value = (int)field_int(failure, "value");

        if (strcmp(reason, "error") == 0) {
                name = strerrorname_np(value < 0 ? -value : value);
                text_printf(f, "returned the error %s", name ? name : "?");
        } else if (strcmp(reason, "signal") == 0) {
                name = sigabbrev_np(value);
                text_printf(f, "killed its worker by SIG%s, each time it was tried", name ? name : "?");
        } else if (strcmp(reason, "exit") == 0) {
                text_printf(f, "ended its worker with exit code %d, each time it was tried", value);
        } else if (strcmp(reason, "wrong") == 0) {
                text_printf(f, "the result is wrong");
        } else if (strcmp(reason, "timeout") == 0) {
                text_printf(f, "timed out");
        } else {
                text_printf(f, "%s", reason);
        }
}

static void
put_failures(FILE *f, const json_t *r)
{
        const json_t *failures = json_object_get(r, "failures");
        int64_t failed = field_int(r, "failed");
        char a[48];
        size_t i;
        json_t *failure;

        json_array_foreach(failures, i, failure)
        {
                if (i >= FAILURES_LISTED)
                        break;
                put_label(f, "failed");
                text_printf(f, "task %s: ", text_count(a, sizeof(a), field_int(failure, "index")));
                put_reason(f, failure);
                text_printf(f, "\n");
        }
        failed -= MIN((int64_t)json_array_size(failures), FAILURES_LISTED);
        if (failed > 0) {
                put_label(f, "failed");
                text_printf(f, "… and %s more\n", text_count(a, sizeof(a), failed));
        }
}

static void
print_brief(FILE *f, const json_t *r)
{
        const char *state = field_text(r, "state");
        char wall[48];

        if (strcmp(state, "done") != 0)
                text_printf(f, "%s: ", state);
        put_title(f, r);
        text_printf(f, " · %s · ", duration(wall, sizeof(wall), field_real(r, "wall_s")));
        put_verified(f, r);
        text_printf(f, "\n");
}

void
result_print(FILE *f, const json_t *result, bool brief)
{
        if (brief) {
                print_brief(f, result);
                return;
        }
        put_verdict(f, result);
        put_title(f, result);
        text_printf(f, "\n");
        put_wall(f, result);
        put_latency(f, result);
        put_label(f, "results");
        put_verified(f, result);
        text_printf(f, "\n");
        put_workers(f, result);
        put_lock(f, result);
        put_failures(f, result);
        put_notes(f, result);
}
