/* SPDX-License-Identifier: MIT */
/*
 * The texts are those of the OpenMetrics specification 1.0 and of Prometheus' exposition format 0.0.4. They differ in
 * three things: OpenMetrics names the family without the ending that its type gives to the samples (`concd_jobs`, whose
 * sample is `concd_jobs_total`), knows units and the type info, and ends with a line of its own.
 */
#include "supervisor/metrics.h"

#include "shared/clock.h"
#include "supervisor/status.h"
#include "supervisor/supervisor.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <time.h>

#define LABELS_MAX       2
#define SECONDS_TEXT_MAX 32

enum metric_type { TYPE_COUNTER, TYPE_GAUGE, TYPE_HISTOGRAM, TYPE_INFO };

struct page;

struct metric {
        const char *name; /* of the family, without the ending that the type gives to its samples */
        enum metric_type type;
        const char *unit; /* the name ends with it; or NULL */
        const char *help; /* no quotes, no backslash, no line feed */
        const char *labels[LABELS_MAX];
        void (*write)(const struct page *p);
};

/* A text that is being written, and where in it. */
struct page {
        FILE *f;
        struct supervisor *s;
        enum metrics_format format;
        const struct metric *metric;
};

static const struct {
        const char *name;
        const char *suffix;     /* of the samples */
        const char *plain_name; /* in the older format, where the family bears the samples' name */
} types[] = {
        [TYPE_COUNTER] = {"counter", "_total", "counter"},
        [TYPE_GAUGE] = {"gauge", "", "gauge"},
        [TYPE_HISTOGRAM] = {"histogram", "", "histogram"},
        [TYPE_INFO] = {"info", "_info", "gauge"},
};

static const char *const methods[METRICS_METHODS] = {
        [METRICS_RUN] = "Run", [METRICS_RACE] = "Race", [METRICS_COMPARE] = "Compare"};

static const char *const outcomes[METRICS_OUTCOMES] = {
        [METRICS_VERIFIED] = "verified", [METRICS_FAILED] = "failed", [METRICS_WRONG] = "wrong"};

static const char *const trial_outcomes[] = {
        [OUTCOME_ACCEPTABLE] = "acceptable",
        [OUTCOME_INTERESTING] = "interesting",
        [OUTCOME_FORBIDDEN] = "forbidden",
        [OUTCOME_FORBIDDEN + 1] = "unknown",
};

/* ── counting ── */

void
metrics_init(struct metrics *m)
{
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        *m = (struct metrics){.started = (double)now.tv_sec + (double)now.tv_nsec * 1e-9};
}

void
metrics_note_job(struct metrics *m, const struct job *job)
{
        for (int i = 0; i < METRICS_METHODS; i++) {
                if (strcmp(job->method, methods[i]) == 0)
                        m->jobs[i][job->state]++;
        }
}

static void
note_race(struct metrics *m, const struct race *race)
{
        const struct scenario *scenario = scenarios[race->spec.scenario];
        uint32_t effect = scenario_effect(scenario, &race->spec);
        const struct race_tally *tally = race_tally(race);

        for (uint32_t i = 0; i < scenario->n_outcomes; i++)
                m->trials[outcome_expected(&scenario->outcomes[i], effect)] += tally->count[i];
        m->trials[OUTCOME_FORBIDDEN + 1] += tally->unknown;
        m->race_permits += tally->recovered;
}

void
metrics_note_run(struct metrics *m, const struct segment *segment, const struct figures *f)
{
        const struct run_spec *spec = &segment->run->spec;
        uint64_t *tasks = m->tasks[spec->mode];

        if (spec->is_race) {
                note_race(m, segment->race);
                return;
        }
        tasks[METRICS_VERIFIED] += f->sum.done - f->sum.failed;
        tasks[METRICS_FAILED] += f->sum.failed - f->sum.wrong;
        tasks[METRICS_WRONG] += f->sum.wrong;
        m->reexecuted += f->reexecuted;
        metrics_latency_add(&m->latency[spec->mode], &f->totals.latency);
}

uint64_t
metrics_bound_ns(unsigned i)
{
        static const unsigned steps[] = {1, 2, 5};
        uint64_t decade = NS_PER_US;

        for (unsigned k = 0; k < i / ARRAY_SIZE(steps); k++)
                decade *= 10;
        return decade * steps[i % ARRAY_SIZE(steps)];
}

void
metrics_latency_add(struct metrics_latency *l, const struct histogram *h)
{
        unsigned bound = 0;

        l->sum_ns += h->sum;
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
                uint64_t largest = i + 1 < HISTOGRAM_BUCKETS ? histogram_bucket_floor(i + 1) - 1 : UINT64_MAX;

                while (bound < METRICS_BOUNDS && metrics_bound_ns(bound) < largest)
                        bound++;
                l->bucket[bound] += h->buckets[i];
        }
}

/* ── writing ── */

void
metrics_write_escaped(FILE *f, const char *value)
{
        for (; *value; value++) {
                if (*value == '\n')
                        fputs("\\n", f);
                else if (*value == '"' || *value == '\\')
                        fprintf(f, "\\%c", *value);
                else
                        fputc(*value, f);
        }
}

/* One sample: the family's name with this ending, its labels with these values, then a further one if `key`. */
static void
put_sample(const struct page *p, const char *suffix, const char *const labels[LABELS_MAX], const char *key,
           const char *key_value, const char *value)
{
        const char *separator = "{";

        fprintf(p->f, "%s%s", p->metric->name, suffix);
        for (int i = 0; i < LABELS_MAX && p->metric->labels[i]; i++) {
                fprintf(p->f, "%s%s=\"", separator, p->metric->labels[i]);
                metrics_write_escaped(p->f, labels[i]);
                fputc('"', p->f);
                separator = ",";
        }
        if (key)
                fprintf(p->f, "%s%s=\"%s\"", separator, key, key_value);
        fprintf(p->f, "%s %s\n", key || p->metric->labels[0] ? "}" : "", value);
}

/* A whole number; the values of the labels are in the order of the metric's. */
static void
put(const struct page *p, const char *first, const char *second, uint64_t value)
{
        char text[24];

        snprintf(text, sizeof(text), "%" PRIu64, value);
        put_sample(p, types[p->metric->type].suffix, (const char *const[]){first, second}, NULL, NULL, text);
}

/* Nanoseconds as seconds, exactly. */
static const char *
format_seconds(char buf[SECONDS_TEXT_MAX], uint64_t ns)
{
        snprintf(buf, SECONDS_TEXT_MAX, "%" PRIu64 ".%09" PRIu64, ns / NS_PER_S, ns % NS_PER_S);
        return buf;
}

/* A bucket's bound in seconds, in the form that the specification recommends: as %g, but with a point in any case. */
static const char *
format_bound(char buf[SECONDS_TEXT_MAX], unsigned i)
{
        snprintf(buf, SECONDS_TEXT_MAX, "%g", (double)metrics_bound_ns(i) / (double)NS_PER_S);
        if (!buf[strcspn(buf, ".e")])
                strcat(buf, ".0");
        return buf;
}

/* ── what each metric is ── */

static void
write_build(const struct page *p)
{
        put(p, CONCD_VERSION, NULL, 1);
}

static void
write_start_time(const struct page *p)
{
        char text[SECONDS_TEXT_MAX];

        snprintf(text, sizeof(text), "%.3f", p->s->metrics.started);
        put_sample(p, "", NULL, NULL, NULL, text);
}

static void
write_adopted(const struct page *p)
{
        put(p, NULL, NULL, p->s->adopted);
}

static void
write_jobs(const struct page *p)
{
        for (int i = 0; i < METRICS_METHODS; i++) {
                for (int state = JOB_DONE; state <= JOB_LOST; state++)
                        put(p, methods[i], job_state_name((enum job_state)state), p->s->metrics.jobs[i][state]);
        }
}

static void
write_jobs_queued(const struct page *p)
{
        put(p, NULL, NULL, p->s->queue.n_waiting);
}

static void
write_jobs_running(const struct page *p)
{
        put(p, NULL, NULL, p->s->queue.running != NULL);
}

static void
write_queue_limit(const struct page *p)
{
        put(p, NULL, NULL, p->s->config.queue_limit);
}

static void
write_tasks(const struct page *p)
{
        for (int i = 0; i < MODES; i++) {
                for (int outcome = 0; outcome < METRICS_OUTCOMES; outcome++)
                        put(p, modes[i].name, outcomes[outcome], p->s->metrics.tasks[i][outcome]);
        }
}

/* Cumulative, as the format has it: each bucket counts all that is not above its bound. */
static void
write_latency(const struct page *p)
{
        char text[SECONDS_TEXT_MAX], bound[SECONDS_TEXT_MAX];

        for (int mode = 0; mode < MODES; mode++) {
                const struct metrics_latency *l = &p->s->metrics.latency[mode];
                const char *const labels[LABELS_MAX] = {modes[mode].name};
                uint64_t n = 0;

                for (unsigned i = 0; i <= METRICS_BOUNDS; i++) {
                        n += l->bucket[i];
                        snprintf(text, sizeof(text), "%" PRIu64, n);
                        put_sample(p, "_bucket", labels, "le", i < METRICS_BOUNDS ? format_bound(bound, i) : "+Inf",
                                   text);
                }
                put_sample(p, "_count", labels, NULL, NULL, text);
                put_sample(p, "_sum", labels, NULL, NULL, format_seconds(text, l->sum_ns));
        }
}

static void
write_trials(const struct page *p)
{
        for (size_t i = 0; i < ARRAY_SIZE(trial_outcomes); i++)
                put(p, trial_outcomes[i], NULL, p->s->metrics.trials[i]);
}

static void
write_restarts(const struct page *p)
{
        put(p, NULL, NULL, p->s->children.deaths);
}

static void
write_reexecuted(const struct page *p)
{
        put(p, NULL, NULL, p->s->metrics.reexecuted);
}

static void
write_permits(const struct page *p)
{
        put(p, "run", NULL, p->s->metrics.run_permits);
        put(p, "race", NULL, p->s->metrics.race_permits);
}

static void
write_workers(const struct page *p)
{
        const struct segment *segment = &p->s->setup.segment;
        uint64_t n[WORKER_THREAD_HOST + 1][SLOT_DEAD + 1] = {};

        for (uint32_t i = 0; i < segment->header->n_slots; i++) {
                uint32_t kind = atomic_load(&segment->slots[i].kind), state = atomic_load(&segment->slots[i].state);

                if (kind <= WORKER_THREAD_HOST && state <= SLOT_DEAD)
                        n[kind][state]++;
        }
        for (int kind = WORKER_PROCESS; kind <= WORKER_THREAD_HOST; kind++) {
                for (int state = SLOT_STARTING; state <= SLOT_DEAD; state++)
                        put(p, status_kind_name((enum worker_kind)kind), status_state_name((enum slot_state)state),
                            n[kind][state]);
        }
}

static void
write_connections(const struct page *p)
{
        put(p, NULL, NULL, service_clients(p->s->service));
}

static void
write_accepted(const struct page *p)
{
        put(p, NULL, NULL, service_counts(p->s->service)->accepted);
}

static void
write_refused(const struct page *p)
{
        put(p, NULL, NULL, service_counts(p->s->service)->refused);
}

static void
write_calls(const struct page *p)
{
        const struct service_counts *counts = service_counts(p->s->service);

        for (size_t i = 0; i < counts->n_calls; i++)
                put(p, counts->calls[i].name, NULL, counts->calls[i].n);
}

static void
write_errors(const struct page *p)
{
        const struct service_counts *counts = service_counts(p->s->service);

        for (size_t i = 0; i < counts->n_errors; i++)
                put(p, counts->errors[i].name, NULL, counts->errors[i].n);
}

static void
write_memory(const struct page *p)
{
        uint64_t bytes;

        if (status_memory(p->s, &bytes))
                put(p, NULL, NULL, bytes);
}

static uint64_t
to_ns(struct timeval t)
{
        return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_usec * NS_PER_US;
}

static void
write_cpu(const struct page *p)
{
        char text[SECONDS_TEXT_MAX];
        struct rusage usage = {};

        getrusage(RUSAGE_SELF, &usage);
        put_sample(p, types[TYPE_COUNTER].suffix, NULL, NULL, NULL,
                   format_seconds(text, to_ns(usage.ru_utime) + to_ns(usage.ru_stime)));
}

static const struct metric metrics[] = {
        {"concd_build", TYPE_INFO, NULL, "Version of the daemon.", {"version"}, write_build},
        {"concd_start_time_seconds",
         TYPE_GAUGE,
         "seconds",
         "When the daemon started, in seconds since the epoch.",
         {},
         write_start_time},
        {"concd_adopted",
         TYPE_GAUGE,
         NULL,
         "1 if the daemon took over the shared memory of a killed one, else 0.",
         {},
         write_adopted},
        {"concd_daemon_cpu_seconds",
         TYPE_COUNTER,
         "seconds",
         "CPU time that the supervising process took itself, without its workers.",
         {},
         write_cpu},
        {"concd_memory_bytes",
         TYPE_GAUGE,
         "bytes",
         "Memory of the daemon and its workers, what they share counted once (PSS); at most 10 s old, or from before "
         "the present job.",
         {},
         write_memory},
        {"concd_jobs",
         TYPE_COUNTER,
         NULL,
         "Jobs that ended, by the method that made them and by how they ended.",
         {"method", "state"},
         write_jobs},
        {"concd_jobs_queued", TYPE_GAUGE, NULL, "Jobs that wait.", {}, write_jobs_queued},
        {"concd_jobs_running", TYPE_GAUGE, NULL, "Jobs that run: 0 or 1.", {}, write_jobs_running},
        {"concd_queue_limit", TYPE_GAUGE, NULL, "Jobs that may wait, of all users together.", {}, write_queue_limit},
        {"concd_tasks",
         TYPE_COUNTER,
         NULL,
         "Tasks of runs that closed, without warm-ups: result verified, wrong, or failed in another way.",
         {"mode", "outcome"},
         write_tasks},
        {"concd_task_duration_seconds",
         TYPE_HISTOGRAM,
         "seconds",
         "How long the timed tasks of runs that closed took; of tasks too short to be timed each, a sample.",
         {"mode"},
         write_latency},
        {"concd_reexecuted_tasks",
         TYPE_COUNTER,
         NULL,
         "Tasks executed again because their worker died before they were committed.",
         {},
         write_reexecuted},
        {"concd_race_trials",
         TYPE_COUNTER,
         NULL,
         "Trials of races that closed, by the class of their outcome.",
         {"outcome"},
         write_trials},
        {"concd_permits_recovered",
         TYPE_COUNTER,
         NULL,
         "Permits taken back from dead holders: of the guard that runs have, or of a race.",
         {"of"},
         write_permits},
        {"concd_workers",
         TYPE_GAUGE,
         NULL,
         "Workers, by what they are and what they do.",
         {"kind", "state"},
         write_workers},
        {"concd_worker_restarts",
         TYPE_COUNTER,
         NULL,
         "Worker processes and thread hosts that died without having been told to leave.",
         {},
         write_restarts},
        {"concd_connections", TYPE_GAUGE, NULL, "Connections to the control socket.", {}, write_connections},
        {"concd_connections_accepted",
         TYPE_COUNTER,
         NULL,
         "Connections to the control socket that were served.",
         {},
         write_accepted},
        {"concd_connections_refused",
         TYPE_COUNTER,
         NULL,
         "Connections sent away because of a limit on connections.",
         {},
         write_refused},
        {"concd_calls",
         TYPE_COUNTER,
         NULL,
         "Calls of methods that exist, whatever came of them.",
         {"method"},
         write_calls},
        {"concd_errors", TYPE_COUNTER, NULL, "Calls that ended with an error.", {"error"}, write_errors},
};

static void
write_metric(struct page *p, const struct metric *m)
{
        bool open = p->format == METRICS_OPENMETRICS;
        const char *suffix = open ? "" : types[m->type].suffix;

        p->metric = m;
        fprintf(p->f, "# HELP %s%s %s\n", m->name, suffix, m->help);
        fprintf(p->f, "# TYPE %s%s %s\n", m->name, suffix, open ? types[m->type].name : types[m->type].plain_name);
        if (open && m->unit)
                fprintf(p->f, "# UNIT %s %s\n", m->name, m->unit);
        m->write(p);
}

char *
metrics_text(struct supervisor *s, enum metrics_format format, size_t *ret_len)
{
        char *text = NULL;
        FILE *f = open_memstream(&text, ret_len);
        struct page page = {.f = f, .s = s, .format = format};
        bool failed;

        if (!f)
                return NULL;
        for (size_t i = 0; i < ARRAY_SIZE(metrics); i++)
                write_metric(&page, &metrics[i]);
        if (format == METRICS_OPENMETRICS)
                fputs("# EOF\n", f);
        failed = ferror(f);
        if (fclose(f) == 0 && !failed)
                return text;
        free(text);
        return NULL;
}

/* ── which form ── */

/* The parameter `name` of a media range, as in "text/plain; q=0.5"; "" when it has none, or one too long. */
static void
get_parameter(const char *range, const char *end, const char *name, char ret[16])
{
        size_t len = strlen(name);

        *ret = '\0';
        while ((range = memchr(range, ';', (size_t)(end - range)))) {
                range++;
                range += strspn(range, " \t");
                if (strncasecmp(range, name, len) == 0 && range[len] == '=') {
                        size_t n = strcspn(range + len + 1, " \t;,");

                        snprintf(ret, 16, "%.*s", (int)(n < 16 ? n : 0), range + len + 1);
                        return;
                }
                range = MIN(range, end);
        }
}

/* How much a range is wanted: its q, from 0 to 1. */
static double
weight_of(const char *range, const char *end)
{
        char q[16];

        get_parameter(range, end, "q", q);
        return *q ? strtod(q, NULL) : 1;
}

/* Is it this type, in a version that we have? One that names no version takes any. */
static bool
is_type(const char *range, const char *end, const char *type, const char *have)
{
        size_t len = strcspn(range, " \t;,");
        char version[16];

        if (len != strlen(type) || strncasecmp(range, type, len) != 0)
                return false;
        get_parameter(range, end, "version", version);
        return !*version || strcmp(version, have) == 0;
}

enum metrics_format
metrics_negotiate(const char *accept)
{
        double open = 0, plain = 0;

        while (accept && *(accept += strspn(accept, " \t,"))) {
                const char *end = accept + strcspn(accept, ",");

                if (is_type(accept, end, "application/openmetrics-text", "1.0.0"))
                        open = MAX(open, weight_of(accept, end));
                else if (is_type(accept, end, "text/plain", "0.0.4"))
                        plain = MAX(plain, weight_of(accept, end));
                accept = end;
        }
        return open > 0 && open >= plain ? METRICS_OPENMETRICS : METRICS_PROMETHEUS;
}

const char *
metrics_content_type(enum metrics_format format)
{
        return format == METRICS_OPENMETRICS ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                             : "text/plain; version=0.0.4; charset=utf-8";
}
