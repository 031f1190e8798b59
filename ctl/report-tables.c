/* SPDX-License-Identifier: MIT */
/* The lower part of a report: the evidence, the environment, all rounds in their order, how to read it, and how to
 * repeat it. */
#include "ctl/compare-variant.h"
#include "ctl/field.h"
#include "ctl/markup.h"
#include "ctl/report-part.h"
#include "ctl/text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define WORKERS_MOST 64   /* of a variant */
#define CELLS_MOST   8192 /* of the rounds */

/* ── evidence ── */

static void
put_count(const struct report *r, const json_t *object, const char *key)
{
        char text[64];

        report_cell(r, "num", "%s", text_count(text, sizeof(text), field_int(object, key)));
}

static void
put_duration(const struct report *r, const json_t *object, const char *key)
{
        char text[64];

        report_cell(r, "num", "%s", report_seconds(text, sizeof(text), field_real(object, key)));
}

static void
put_worker(const struct report *r, const json_t *w)
{
        fputs("<tr>", r->f);
        report_head(r, "", "#%" PRId64 " %s", field_int(w, "worker"), field_text(w, "kind"));
        put_count(r, w, "tasks");
        put_duration(r, w, "user_s");
        put_duration(r, w, "system_s");
        put_duration(r, w, "run_queue_wait_s");
        put_duration(r, w, "lock_wait_s");
        put_count(r, w, "lock_switches");
        put_duration(r, w, "blocked_s");
        put_count(r, w, "voluntary_switches");
        put_count(r, w, "involuntary_switches");
        put_count(r, w, "minor_faults");
        put_count(r, w, "major_faults");
        fputs("</tr>\n", r->f);
}

static void
put_variant_evidence(const struct report *r, const json_t *v)
{
        const json_t *workers = json_object_get(v, "workers_detail");
        AUTO_FREE char *work = report_work(v);
        char rounds[64], verified[64], done[64], steal[64];
        size_t n = MIN(json_array_size(workers), WORKERS_MOST);

        fputs("<tr><th scope=\"rowgroup\" colspan=\"12\"><div class=\"group\">", r->f);
        markup_printf(r->f, "%s · %s, mode %s, spawn %s, libc %s · sums over %s · %s of %s tasks verified",
                      field_text(v, "name"), work ? work : "", field_text(v, "mode"), field_text(v, "spawn"),
                      field_text(v, "libc"),
                      text_plural(rounds, sizeof(rounds), field_int(v, "evidence_rounds"), "round"),
                      text_count(verified, sizeof(verified), field_int(v, "verified")),
                      text_count(done, sizeof(done), field_int(v, "done")));
        markup_printf(r->f, " · steal %s", report_seconds(steal, sizeof(steal), field_real(v, "steal_s")));
        if (field_int(v, "restarts") > 0)
                markup_printf(r->f, " · %" PRId64 " restarts", field_int(v, "restarts"));
        if (field_int(v, "repeated") > 0)
                markup_printf(r->f, " · %" PRId64 " repeated", field_int(v, "repeated"));
        fputs("</div></th></tr>\n", r->f);
        for (size_t i = 0; i < n; i++)
                put_worker(r, json_array_get(workers, i));
        if (json_array_size(workers) > n)
                fprintf(r->f, "<tr><td colspan=\"12\">and %zu more workers</td></tr>\n", json_array_size(workers) - n);
}

void
report_put_evidence(const struct report *r)
{
        static const char *const columns[] = {
                "Worker",   " Tasks",     " User",        " System",       " Run queue",    " Lock wait", " Lock taken",
                " Blocked", " Voluntary", " Involuntary", " Minor faults", " Major faults", NULL};
        json_t *variant;
        size_t i;

        report_section(r, "evidence", "Evidence",
                       "What the kernel and the workers counted; the reasons above are drawn from it. Run queue: ready "
                       "to run, "
                       "but without a CPU. Voluntary and involuntary: context switches.");
        report_table(r, "Evidence by variant and worker", columns);
        json_array_foreach(r->variants, i, variant) put_variant_evidence(r, variant);
        report_table_end(r);
        report_end(r);
}

/* ── environment ── */

static void put_fact(const struct report *r, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void
put_fact(const struct report *r, const char *name, const char *fmt, ...)
{
        va_list ap;

        fputs("<tr>", r->f);
        report_head(r, "", "%s", name);
        fputs("<td class=\"wide\">", r->f);
        va_start(ap, fmt);
        markup_vprintf(r->f, fmt, ap);
        va_end(ap);
        fputs("</td></tr>\n", r->f);
}

static void
put_text_fact(const struct report *r, const char *name, const json_t *environment, const char *key)
{
        put_fact(r, name, "%s", field_is_set(environment, key) ? field_text(environment, key) : "not known");
}

/* "0-3,6": the CPUs of a list that is sorted. */
static void
put_cpus(const struct report *r, const json_t *cpus)
{
        size_t n = json_array_size(cpus);

        fputs("<tr>", r->f);
        report_head(r, "", "CPUs for the workers");
        fputs("<td class=\"wide\">", r->f);
        for (size_t i = 0, last; i < n; i = last + 1) {
                json_int_t from = json_integer_value(json_array_get(cpus, i));

                for (last = i; last + 1 < n; last++)
                        if (json_integer_value(json_array_get(cpus, last + 1)) != from + (json_int_t)(last + 1 - i))
                                break;
                fprintf(r->f, "%s%" JSON_INTEGER_FORMAT, i > 0 ? "," : "", from);
                if (last > i)
                        fprintf(r->f, "-%" JSON_INTEGER_FORMAT, from + (json_int_t)(last - i));
        }
        fputs("</td></tr>\n", r->f);
}

static void
put_machine(const struct report *r, const json_t *e)
{
        char text[64];

        put_text_fact(r, "CPU", e, "cpu");
        put_fact(r, "CPUs online", "%" PRId64, field_int(e, "cpus_online"));
        put_cpus(r, json_object_get(e, "cpus"));
        if (field_is_set(e, "quota_cpus"))
                put_fact(r, "CPU quota of the cgroup", "%.3g CPUs", field_real(e, "quota_cpus"));
        else
                put_fact(r, "CPU quota of the cgroup", "none");
        put_text_fact(r, "Frequency governor", e, "governor");
        if (field_is_set(r->compare, "mhz_before") && field_is_set(e, "mhz"))
                put_fact(r, "Clock, before and after", "%.0f MHz, %.0f MHz", field_real(r->compare, "mhz_before"),
                         field_real(e, "mhz"));
        else
                put_fact(r, "Clock, before and after", "not known");
        put_fact(r, "Load (1 min), before and after", "%.2f, %.2f", field_real(r->compare, "load_before"),
                 field_real(e, "load_1min"));
        put_fact(r, "Time stolen by the hypervisor", "%s",
                 report_seconds(text, sizeof(text), field_real(e, "steal_s")));
        put_fact(r, "Virtual machine", "%s", field_bool(e, "hypervisor") ? "yes" : "no");
}

void
report_put_environment(const struct report *r)
{
        static const char *const columns[] = {"What", "Value", NULL};
        const json_t *e = json_object_get(r->compare, "environment");
        const char *idle = compare_variant_idle_thread(r->compare);

        report_section(r, "environment", "Environment", "Where these figures come from.");
        report_table(r, "Machine, system and programs", columns);
        put_machine(r, e);
        put_text_fact(r, "Kernel", e, "kernel");
        put_text_fact(r, "Architecture", e, "machine");
        put_text_fact(r, "C library", e, "libc");
        put_text_fact(r, "Compiler", e, "compiler");
        put_text_fact(r, "concd", e, "concd");
        put_text_fact(r, "Clock source", e, "clock");
        put_text_fact(r, "Start barrier", e, "start_barrier");
        put_fact(r, "Idle thread in every process worker", "%s%s", idle,
                 strcmp(idle, "yes") == 0 ? ", so that libc does the same work in all modes" : "");
        report_table_end(r);
        report_end(r);
}

/* ── rounds in order ── */

static void
put_round(const struct report *r, size_t round)
{
        json_t *v;
        char text[64];
        size_t i;

        fputs("<tr>", r->f);
        report_head(r, "", "%zu", round + 1);
        json_array_foreach(r->variants, i, v)
        {
                json_int_t place = json_integer_value(json_array_get(json_object_get(v, "order"), round));
                double value = report_value(r, v, round);
                bool is_outlier = report_is_outlier(v, round);

                if (!isfinite(value))
                        report_cell(r, "num", "–");
                else
                        report_cell(r, is_outlier ? "num out" : "num", "%s%s · %" JSON_INTEGER_FORMAT,
                                    is_outlier ? "outlier " : "", report_seconds(text, sizeof(text), value), place + 1);
        }
        fputs("</tr>\n", r->f);
}

static void
put_order_table(const struct report *r, size_t rounds)
{
        size_t n = json_array_size(r->variants), shown = MIN(rounds, MAX(CELLS_MOST / MAX(n, 1), 1));
        const char **columns = calloc(n + 2, sizeof(*columns));

        if (!columns)
                return;
        columns[0] = "Round";
        for (size_t i = 0; i < n; i++)
                columns[i + 1] = field_text(json_array_get(r->variants, i), "name");
        report_table(r, "Time · place of the variant in its round", columns);
        for (size_t round = 0; round < shown; round++)
                put_round(r, round);
        report_table_end(r);
        if (rounds > shown)
                report_note(r, "soft", "The first %zu of %zu rounds; the pictures show all of them.", shown, rounds);
        free(columns);
}

void
report_put_order(const struct report *r)
{
        json_t *variant;
        size_t i, rounds = 0;

        json_array_foreach(r->variants, i, variant) rounds = MAX(rounds, report_rounds(variant));
        fputs("<details id=\"order\"><summary>All rounds, in order</summary>\n", r->f);
        if (rounds == 0)
                report_note(r, "soft", "No round was measured.");
        else
                put_order_table(r, rounds);
        fputs("</details>\n", r->f);
}

/* ── how to read it ── */

/* What the variants have in common, as far as they do. */
static void
put_equalities(const struct report *r)
{
        static const struct {
                const char *field, *text;
        } rows[] = {{"chunk", "the same chunks"},
                    {"cpus", "the same CPUs"},
                    {"libc", "the same paths through the C library"}};

        fputs("<li>All variants have the same start barrier", r->f);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (report_is_common(r->variants, rows[i].field))
                        fprintf(r->f, ", %s", rows[i].text);
        fputs(".</li>\n", r->f);
}

void
report_put_method(const struct report *r)
{
        bool is_rehearsed = field_int(r->compare, "warmup_rounds") > 0;

        fprintf(r->f,
                "<details id=\"method\"><summary>How to read this page</summary>\n<ol>\n"
                "<li>In every round each variant runs once, in an order that a seed shuffles, so that whatever changes "
                "on the machine meets all of them alike%s.</li>\n",
                is_rehearsed ? "; a first round only warms up and is discarded" : "");
        put_equalities(r);
        fputs("<li>The speed-up is the median time per task of the reference divided by that of the variant, and its "
              "95 % interval comes from resampling the rounds (bootstrap).</li>\n"
              "<li>A variant is called faster or slower only if that interval does not contain 1, and only after at "
              "least 10 rounds; outliers are marked and never dropped.</li>\n"
              "<li>The reason is drawn by fixed rules from what the kernel and the workers counted, which is all "
              "listed under Evidence.</li>\n</ol>\n</details>\n",
              r->f);
}
