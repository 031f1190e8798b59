/* SPDX-License-Identifier: MIT */
/*
 * A CompareResult as the daemon sends it: calc in four modes, 11 rounds, two workers, with spans and bins, no
 * scaling. What follows from the times (median, mean, …) is computed from them; the intervals are given. Process has
 * two outliers.
 */
#ifndef CONCD_TEST_COMPARE_FIXTURE_H
#define CONCD_TEST_COMPARE_FIXTURE_H

#include "shared/base.h"

#include <math.h>
#include <stdbool.h>

#define FIXTURE_ROUNDS 11
#define FIXTURE_TASKS  1000
#define FIXTURE_SLICES 156 /* of 5 ms: how often the interpreter lock changes hands in a round */

struct fixture_variant {
        const char *mode, *verdict, *rule, *why;
        int workers, place;
        double ms[FIXTURE_ROUNDS];
        double low_ms, high_ms; /* of the median */
        double low, high;       /* of the speed-up */
        double task_us;         /* p50 */
};

static const struct fixture_variant fixture_variants[] = {
        {"sequential",
         "reference",
         "one-worker",
         "one worker",
         1,
         0,
         {752.1, 749.8, 753.4, 751.0, 757.2, 748.3, 752.9, 751.7, 754.0, 750.6, 756.1},
         750.6,
         754.0,
         1,
         1,
         751},
        {"process",
         "faster",
         "parallel",
         "both cores busy, nothing shared",
         2,
         1,
         {381.2, 379.4, 412.6, 380.3, 383.9, 378.2, 381.0, 380.7, 384.8, 379.9, 395.7},
         379.9,
         384.8,
         1.953,
         1.98,
         753},
        {"thread",
         "faster",
         "as-process",
         "as process: C threads share no lock here",
         2,
         2,
         {380.1, 378.9, 381.7, 379.5, 383.6, 377.4, 380.4, 379.8, 382.2, 378.6, 380.9},
         378.9,
         381.7,
         1.968,
         1.987,
         752},
        {"gil",
         "slower",
         "interpreter-lock",
         "while one worker ran the other waited for the interpreter lock 99 % of the time",
         2,
         3,
         {779.3, 771.4, 784.2, 776.8, 790.5, 770.1, 778.0, 781.6, 786.9, 774.2, 782.4},
         774.2,
         784.2,
         0.958,
         0.972,
         754},
};

static inline int
fixture_compare_real(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

static inline void
fixture_add_times(json_t *v, const struct fixture_variant *row)
{
        json_t *times = json_array(), *user = json_array(), *system = json_array(), *tasks = json_array();
        json_t *failed = json_array(), *order = json_array(), *outliers = json_array();
        double sorted[FIXTURE_ROUNDS], low, high, sum = 0, squares = 0, s, cores = row->workers == 1 ? 1 : 1.98;

        for (int i = 0; i < FIXTURE_ROUNDS; i++) {
                sorted[i] = s = row->ms[i] / 1e3;
                sum += s;
                json_array_append_new(times, json_real(s));
                json_array_append_new(user, json_real(s * (row->place == 3 ? 1 : cores) * 0.998));
                json_array_append_new(system, json_real(s * 0.001));
                json_array_append_new(tasks, json_integer(FIXTURE_TASKS));
                json_array_append_new(failed, json_integer(0));
                json_array_append_new(order, json_integer((row->place + i * 3) % 4));
        }
        for (int i = 0; i < FIXTURE_ROUNDS; i++)
                squares += (sorted[i] - sum / FIXTURE_ROUNDS) * (sorted[i] - sum / FIXTURE_ROUNDS);
        qsort(sorted, FIXTURE_ROUNDS, sizeof(*sorted), fixture_compare_real);
        low = (sorted[2] + sorted[3]) / 2;
        high = (sorted[7] + sorted[8]) / 2;
        for (int i = 0; i < FIXTURE_ROUNDS; i++)
                if (row->ms[i] / 1e3 > high + 1.5 * (high - low) || row->ms[i] / 1e3 < low - 1.5 * (high - low))
                        json_array_append_new(outliers, json_integer(i));
        json_object_update_new(v, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:f, s:f, s:f, s:f, s:f}",
                                            "times_s", times, "user_s", user, "system_s", system, "tasks", tasks,
                                            "failed_tasks", failed, "order", order, "outliers", outliers, "median_s",
                                            sorted[5], "mean_s", sum / FIXTURE_ROUNDS, "stddev_s",
                                            sqrt(squares / (FIXTURE_ROUNDS - 1)), "min_s", sorted[0], "max_s",
                                            sorted[10], "s_per_task", sorted[5] / FIXTURE_TASKS));
        json_object_update_new(
                v, json_pack("{s:f, s:f}", "tasks_per_s", FIXTURE_TASKS / sorted[5], "speed_up", 0.7521 / sorted[5]));
}

static inline json_t *
fixture_workers(const struct fixture_variant *row)
{
        json_t *all = json_array();
        double sum = 0;

        for (int i = 0; i < FIXTURE_ROUNDS; i++)
                sum += row->ms[i] / 1e3;
        for (int w = 0; w < row->workers; w++) {
                bool gil = row->place == 3, threads = row->place >= 2;
                double cpu = gil ? sum / 2 : sum * 0.99;

                json_array_append_new(
                        all,
                        json_pack("{s:i, s:i, s:s, s:i, s:i, s:i, s:i, s:f, s:f, s:f, s:i, s:i, s:i, s:i, s:f, s:i, "
                                  "s:f}",
                                  "worker", w, "slot", w + 1, "kind", threads ? "thread" : "process", "pid",
                                  threads ? 4100 : 4000 + w, "tid", (threads ? 4101 : 4000) + w, "tasks",
                                  FIXTURE_ROUNDS * FIXTURE_TASKS / row->workers, "restarts", 0, "user_s", cpu * 0.998,
                                  "system_s", cpu * 0.002, "run_queue_wait_s", 0.0113 + 0.002 * w, "voluntary_switches",
                                  gil ? 1716 : 22, "involuntary_switches", 31 + 4 * w, "minor_faults", 12 + w,
                                  "major_faults", 0, "lock_wait_s", gil ? sum * 0.495 : 0, "lock_switches",
                                  gil ? 860 : 0, "blocked_s", 0.0));
        }
        return all;
}

static inline void
fixture_add_latency(json_t *v, const struct fixture_variant *row)
{
        static const int shape[] = {3, 40, 310, 1480, 3900, 2820, 1460, 640, 220, 81, 32, 11, 3};
        int slow = row->place == 3 ? 860 : 0, p50 = (int)(row->task_us * 1000);
        json_t *bins = json_array();

        for (size_t i = 0; i < ARRAY_SIZE(shape); i++)
                json_array_append_new(bins, json_pack("{s:i, s:i, s:i}", "from_ns", 718848 + 8192 * (int)i, "to_ns",
                                                      718848 + 8192 * ((int)i + 1), "count",
                                                      i == 4 ? shape[i] - slow : shape[i]));
        if (slow > 0)
                json_array_append_new(
                        bins, json_pack("{s:i, s:i, s:i}", "from_ns", 5767168, "to_ns", 5832704, "count", slow));
        json_object_set_new(v, "latency_bins", bins);
        json_object_set_new(v, "latency_ns",
                            json_pack("{s:i, s:i, s:i, s:i, s:i, s:n, s:s, s:i, s:i, s:i}", "p50", p50, "p90",
                                      p50 + 22000, "p99", slow ? 5780000 : p50 + 61000, "p99_9",
                                      slow ? 5822000 : p50 + 74000, "max", slow ? 5830000 : 824100, "max_sampled",
                                      "method", "each", "every", 1, "samples", FIXTURE_ROUNDS * FIXTURE_TASKS,
                                      "overhead_ns", 21));
}

static inline void
fixture_add_span(json_t *spans, int worker, const char *kind, double from_ms, double to_ms, int task, int tasks)
{
        json_array_append_new(spans, json_pack("{s:i, s:s, s:I, s:I, s:i, s:i}", "worker", worker, "kind", kind,
                                               "from_ns", (json_int_t)(from_ms * 1e6), "to_ns",
                                               (json_int_t)(to_ms * 1e6), "task", task, "tasks", tasks));
}

/* Runs in 16 chunks, with a gap of 0.1 ms between them; the gil takes turns every 5 ms. */
static inline json_t *
fixture_spans(const struct fixture_variant *row)
{
        int chunks = 16, per_chunk = FIXTURE_TASKS / row->workers / chunks;
        double length = row->ms[0] / chunks;
        json_t *spans = json_array();

        for (int w = 0; w < row->workers; w++)
                for (int c = 0; c < chunks; c++)
                        fixture_add_span(spans, w, "run", c * length, (c + 1) * length - 0.1,
                                         (w * chunks + c) * per_chunk, per_chunk);
        for (int i = 0; row->place == 3 && i < FIXTURE_SLICES - 1; i++)
                fixture_add_span(spans, (i + 1) % 2, "lock", i * 5.0, i * 5.0 + 5, i * 6, 1);
        return spans;
}

static inline json_t *
fixture_variant(const struct fixture_variant *row)
{
        json_t *v = json_pack("{s:s, s:s, s:{s:s}, s:s, s:s, s:s, s:i, s:[i,i], s:i, s:n, s:i, s:i}", "name", row->mode,
                              "workload", "calc", "params", "n", "999", "mode", row->mode, "spawn", "pool", "libc",
                              "threaded", "workers", row->workers, "cpus", 0, 1, "count", FIXTURE_TASKS, "duration_s",
                              "chunk", 7, "rounds", FIXTURE_ROUNDS);

        fixture_add_times(v, row);
        fixture_add_latency(v, row);
        json_object_update_new(v,
                               json_pack("{s:{s:f, s:f}, s:{s:f, s:f}, s:s, s:s, s:s, s:f}", "median_interval", "low",
                                         row->low_ms / 1e3, "high", row->high_ms / 1e3, "speed_up_interval", "low",
                                         row->low, "high", row->high, "verdict", row->verdict, "rule", row->rule, "why",
                                         row->why, "cores_busy", row->place == 0 || row->place == 3 ? 1.0 : 1.98));
        json_object_update_new(v, json_pack("{s:i, s:i, s:i, s:i, s:s, s:i, s:i, s:i, s:f, s:i}", "done", 11000,
                                            "verified", 11000, "failed", 0, "wrong", 0, "checksum",
                                            "0x1fc6a0b9c84ec9c8", "restarts", 0, "reexecuted", 0, "repeated", 0,
                                            "steal_s", 0.02, "evidence_rounds", FIXTURE_ROUNDS));
        json_object_set_new(v, "workers_detail", fixture_workers(row));
        json_object_set_new(v, "spans", fixture_spans(row));
        json_object_set_new(v, "spans_dropped", json_integer(0));
        return v;
}

static inline json_t *
fixture_environment(void)
{
        return json_pack(
                "{s:s, s:s, s:s, s:s, s:i, s:[i,i], s:n, s:s, s:b, s:s, s:s, s:s, s:f, s:f, s:b, s:s, s:f, s:n}",
                "concd", "0.1.0", "kernel", "Linux 6.1.0-18-amd64", "machine", "x86_64", "cpu",
                "Intel(R) Xeon(R) CPU @ 2.80GHz", "cpus_online", 2, "cpus", 0, 1, "quota_cpus", "governor",
                "performance", "hypervisor", 1, "libc", "glibc 2.36", "compiler", "gcc 12.2.0", "clock",
                "CLOCK_MONOTONIC", "load_1min", 1.82, "steal_s", 0.09, "parked_thread", 1, "start_barrier", "spin",
                "mhz", 2798.4, "sanitizer");
}

/* The caller owns it. */
static inline json_t *
compare_fixture(void)
{
        json_t *variants = json_array(), *r;

        for (size_t i = 0; i < ARRAY_SIZE(fixture_variants); i++)
                json_array_append_new(variants, fixture_variant(&fixture_variants[i]));
        r = json_pack("{s:s, s:s, s:n, s:b, s:i, s:i, s:i, s:i, s:n, s:n, s:s, s:b, s:n, s:o, s:[]}", "id",
                      "00112233445566778899aabbccddeeff", "state", "done", "reason", "partial", 0, "rounds",
                      FIXTURE_ROUNDS, "rounds_asked", FIXTURE_ROUNDS, "warmup_rounds", 1, "seed", 7341, "precision",
                      "precision_reached", "reference", "sequential", "aa", 0, "trusted", "variants", variants,
                      "scaling");
        json_object_update_new(r, json_pack("{s:i, s:f, s:f, s:f, s:o}", "resumed", 0, "wall_s", 27.66, "load_before",
                                            0.21, "mhz_before", 2801.2, "environment", fixture_environment()));
        return r;
}

#endif
