/* SPDX-License-Identifier: MIT */
#include "ctl/race-result.h"

#include "ctl/field.h"
#include "ctl/table.h"
#include "ctl/text.h"
#include "shared/quantity.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define ACTORS_LISTED   8
#define ACTORS_PER_LINE 4

static const struct table_column columns[] = {
        {"OUTCOME"},  {"TRIALS", .is_right = true},    {"SHARE", .is_right = true},
        {"EXPECTED"}, {"MEANING", .is_wrapped = true}, {NULL},
};

static void
put_label(FILE *f, const char *label)
{
        text_printf(f, "  %-9s ", label);
}

/* ── title ── */

char *
race_result_scenario(const json_t *race)
{
        const json_t *params = json_object_get(race, "params");
        const char *target = field_text(params, "target"), *key, *separator = "(";
        char *text = NULL;
        json_t *value;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        fputs(field_text(race, "scenario"), f);
        /* A target is one to each side. */
        if (*target)
                fprintf(f, " ±%s", target);
        json_object_foreach((json_t *)params, key, value)
        {
                if (strcmp(key, "target") == 0)
                        continue;
                fprintf(f, "%s%s=%s", separator, key, json_string_value(value) ? json_string_value(value) : "?");
                separator = ", ";
        }
        if (*separator == ',')
                fputc(')', f);
        if (fclose(f) != 0) {
                free(text);
                return NULL;
        }
        return text;
}

char *
race_result_guard(const json_t *race, char *buf, size_t size)
{
        const char *guard = field_text(race, "guard");
        char permits[64];

        if (strcmp(guard, "none") == 0)
                snprintf(buf, size, "no guard");
        else if (field_int(race, "permits") == 1 && !strstr(guard, "semaphore"))
                snprintf(buf, size, "%s", guard);
        else
                snprintf(buf, size, "%s, %s", guard,
                         text_plural(permits, sizeof(permits), field_int(race, "permits"), "permit"));
        return buf;
}

char *
race_result_actors(const json_t *race, char *buf, size_t size)
{
        const char *mode = field_text(race, "mode");
        int64_t n = field_int(race, "actors");
        size_t len = strlen(mode);
        char count[48];

        snprintf(buf, size, "%s %s%s", text_count(count, sizeof(count), n), mode,
                 n == 1                            ? ""
                 : len > 0 && mode[len - 1] == 's' ? "es"
                                                   : "s");
        return buf;
}

static void
put_amount(FILE *f, const json_t *race)
{
        bool is_by_count = field_is_set(race, "trials");
        char trials[64], time[48];

        text_printf(f, "%s",
                    text_plural(trials, sizeof(trials), field_int(race, is_by_count ? "trials" : "done"), "trial"));
        if (!is_by_count)
                text_printf(f, " in %s",
                            quantity_format_duration(time, sizeof(time),
                                                     field_real(race, "duration_s") * (double)NS_PER_S));
}

/* "counter ±1000 · 2 processes · semaphore, 2 permits · 1000 trials" */
static void
put_title(FILE *f, const json_t *race)
{
        AUTO_FREE char *scenario = race_result_scenario(race);
        char actors[128], guard[128];

        text_printf(f, "%s · %s · %s · ", scenario ? scenario : field_text(race, "scenario"),
                    race_result_actors(race, actors, sizeof(actors)), race_result_guard(race, guard, sizeof(guard)));
        put_amount(f, race);
}

/* What makes a race visible; the numbers stand below. */
static void
put_title_settings(FILE *f, const json_t *race)
{
        const json_t *s = json_object_get(race, "settings");

        text_printf(f, " · %s", strcmp(field_text(s, "barrier"), "none") == 0 ? "no start barrier" : "start barrier");
        if (field_bool(s, "pinned"))
                text_printf(f, ", pinned");
        if (field_int(s, "widen_ns") > 0)
                text_printf(f, ", widened");
}

/* Who had hoped for a whole race must not overlook that this is none, or that it showed what must not be. */
static void
put_verdict(FILE *f, const json_t *race)
{
        const char *state = field_text(race, "state"), *reason = field_text(race, "reason");
        char done[48], trials[48];

        if (strcmp(state, "done") == 0)
                return;
        if (*reason && field_is_set(race, "trials") && field_int(race, "done") == field_int(race, "trials")) {
                text_printf(f, "%s: %s\n", state, reason);
                return;
        }
        text_printf(f, "%s: %s", state, text_count(done, sizeof(done), field_int(race, "done")));
        if (field_is_set(race, "trials"))
                text_printf(f, " of %s", text_count(trials, sizeof(trials), field_int(race, "trials")));
        text_printf(f, " trials were done%s%s%s\n", *reason ? " (" : "", reason, *reason ? ")" : "");
}

/* ── outcomes ── */

/* A share that is not all never reads 100 %, and one that is something never 0 %. */
static char *
format_share(char *buf, size_t size, int64_t n, int64_t all)
{
        double share = all > 0 ? 100.0 * (double)n / (double)all : 0;

        if (n == 0 || n == all)
                snprintf(buf, size, "%s", n == 0 ? "0 %" : "100 %");
        else if (share < 0.05)
                snprintf(buf, size, "< 0.1 %%");
        else if (share >= 99.95)
                snprintf(buf, size, "> 99.9 %%");
        else
                snprintf(buf, size, "%.1f %%", share);
        return buf;
}

static int
add_outcome(struct table *table, const char *name, int64_t n, int64_t all, const char *expected, const char *meaning)
{
        char trials[48], share[32];

        return table_add(table, (const char *const[]){name, text_count(trials, sizeof(trials), n),
                                                      format_share(share, sizeof(share), n, all), expected, meaning});
}

static int
put_outcomes(FILE *f, const json_t *race)
{
        AUTO_TABLE struct table *table = table_new(columns);
        int64_t all = field_int(race, "done"), unknown = field_int(race, "unknown");
        json_t *outcome;
        size_t i;
        int r;

        if (!table)
                return -ENOMEM;
        json_array_foreach(json_object_get(race, "outcomes"), i, outcome)
        {
                r = add_outcome(table, field_text(outcome, "name"), field_int(outcome, "count"), all,
                                field_text(outcome, "expected"), field_text(outcome, "meaning"));
                if (r < 0)
                        return r;
        }
        if (unknown > 0) {
                r = add_outcome(table, "unknown", unknown, all, "forbidden", "no outcome that the scenario knows");
                if (r < 0)
                        return r;
        }
        return table_print(table, "  ", f);
}

static void
put_observation(FILE *f, const json_t *race)
{
        const json_t *o = json_object_get(race, "observation");

        text_printf(f, "Observation %s %s %lld %lld", field_text(race, "scenario"), field_text(o, "verdict"),
                    (long long)field_int(o, "positive"), (long long)field_int(o, "negative"));
}

/* ── figures ── */

static void
put_guard(FILE *f, const json_t *race)
{
        char a[48];

        put_label(f, "guard");
        if (!field_bool(json_object_get(race, "settings"), "measured"))
                text_printf(f, "holders and hand-offs were not measured · ");
        else if (!field_is_set(race, "wait_ns"))
                text_printf(f, "nothing was held · ");
        else
                text_printf(f, "holders max %lld · hand-offs %s · ", (long long)field_int(race, "max_holders"),
                            text_count(a, sizeof(a), field_int(race, "handoffs")));
        text_printf(f, "Jain %.3f · ", field_real(race, "jain"));
        text_printf(f, "permits %s leaked, ", text_count(a, sizeof(a), field_int(race, "permits_leaked")));
        text_printf(f, "%s recovered", text_count(a, sizeof(a), field_int(race, "permits_recovered")));
        if (field_int(race, "kills") > 0)
                text_printf(f, " · %s killed", text_plural(a, sizeof(a), field_int(race, "kills"), "holder"));
        text_printf(f, "\n");
}

static void
put_wait(FILE *f, const json_t *race)
{
        static const struct {
                const char *key, *name;
        } quantiles[] = {{"p50", "p50"}, {"p90", "p90"}, {"p99", "p99"}, {"p99_9", "p99.9"}, {"max", "max"}};
        const json_t *wait = json_object_get(race, "wait_ns");
        char a[48];

        if (!json_is_object(wait) || field_int(wait, "samples") == 0)
                return;
        put_label(f, "wait");
        for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++)
                text_printf(f, "%s%s %s", i > 0 ? "   " : "", quantiles[i].name,
                            quantity_format_duration(a, sizeof(a), field_real(wait, quantiles[i].key)));
        text_printf(f, "\n");
}

static void
put_lost(FILE *f, const json_t *race)
{
        char lost[48], steps[48];

        put_label(f, "lost");
        text_printf(f, "%s of %s\n", text_plural(lost, sizeof(lost), field_int(race, "lost_updates"), "update"),
                    text_plural(steps, sizeof(steps), field_int(race, "steps"), "step"));
}

static void
put_actor_list(FILE *f, const json_t *actors)
{
        char a[48], item[96];
        json_t *actor;
        size_t i;

        json_array_foreach(actors, i, actor)
        {
                if (i > 0 && i % ACTORS_PER_LINE == 0) {
                        text_printf(f, "\n");
                        put_label(f, "");
                }
                snprintf(item, sizeof(item), "#%lld %s", (long long)field_int(actor, "actor"),
                         text_plural(a, sizeof(a), field_int(actor, "steps"), "step"));
                text_printf(f, "%s%s", i % ACTORS_PER_LINE > 0 ? "   " : "", item);
        }
}

static void
put_actors(FILE *f, const json_t *race)
{
        const json_t *actors = json_object_get(race, "actors_detail");
        int64_t least = INT64_MAX, most = 0;
        char a[48], b[48];
        json_t *actor;
        size_t i;

        json_array_foreach(actors, i, actor)
        {
                least = MIN(least, field_int(actor, "steps"));
                most = MAX(most, field_int(actor, "steps"));
        }
        put_label(f, "actors");
        if (json_array_size(actors) <= ACTORS_LISTED)
                put_actor_list(f, actors);
        else
                text_printf(f, "%zu with %s to %s steps each", json_array_size(actors), text_count(a, sizeof(a), least),
                            text_count(b, sizeof(b), most));
        text_printf(f, "\n");
}

static void
put_rate(FILE *f, const json_t *race)
{
        double rate = field_real(race, "trials_per_s");
        char a[48], b[48], c[48];

        if (rate < 100)
                snprintf(a, sizeof(a), "%.3g", rate);
        else
                text_count(a, sizeof(a), llround(rate));
        put_label(f, "rate");
        text_printf(f, "%s trials/s   %s per step   %s in all\n", a,
                    quantity_format_duration(b, sizeof(b), field_real(race, "ns_per_step")),
                    quantity_format_duration(c, sizeof(c), field_real(race, "wall_s") * (double)NS_PER_S));
}

/* ── settings and notes ── */

static void
put_cpus(FILE *f, const json_t *s)
{
        const json_t *cpus = json_object_get(s, "cpus");
        json_t *cpu;
        size_t i;

        text_printf(f, field_bool(s, "pinned") ? " · one CPU each, of " : " · not pinned, CPUs ");
        json_array_foreach(cpus, i, cpu) text_printf(f, "%s%lld", i > 0 ? "," : "", (long long)json_integer_value(cpu));
}

static void
put_settings(FILE *f, const json_t *race)
{
        const json_t *s = json_object_get(race, "settings");
        char a[48];

        put_label(f, "settings");
        text_printf(f, "barrier %s", field_text(s, "barrier"));
        if (strcmp(field_text(s, "barrier"), field_text(s, "barrier_asked")) != 0)
                text_printf(f, " instead of %s", field_text(s, "barrier_asked"));
        put_cpus(f, s);
        if (field_int(s, "widen_ns") > 0)
                text_printf(f, " · window widened by %s",
                            quantity_format_duration(a, sizeof(a), field_real(s, "widen_ns")));
        if (*field_text(s, "hold"))
                text_printf(f, " · guard held per %s", field_text(s, "hold"));
        if (field_int(s, "batch") > 1)
                text_printf(f, " · batches of %s", text_count(a, sizeof(a), field_int(s, "batch")));
        text_printf(f, " · trials end after %s\n",
                    quantity_format_duration(a, sizeof(a), field_real(s, "trial_timeout_ns")));
}

static void
put_notes(FILE *f, const json_t *race)
{
        json_t *note;
        char a[64];
        size_t i;

        json_array_foreach(json_object_get(json_object_get(race, "settings"), "notes"), i, note)
        {
                put_label(f, "note");
                text_printf(f, "%s\n", json_string_value(note) ? json_string_value(note) : "?");
        }
        if (field_int(race, "dropped") > 0) {
                put_label(f, "note");
                text_printf(f, "%s not counted: an actor was killed from outside\n",
                            text_plural(a, sizeof(a), field_int(race, "dropped"), "trial"));
        }
        if (field_int(race, "restarts") > field_int(race, "kills")) {
                put_label(f, "note");
                text_printf(f, "%s within the race\n",
                            text_plural(a, sizeof(a), field_int(race, "restarts"), "restart"));
        }
}

/* ── hint ── */

/* The row of an outcome in what Describe says. */
static const json_t *
described(const json_t *scenario, const char *name)
{
        json_t *outcome;
        size_t i;

        json_array_foreach(json_object_get(scenario, "outcomes"), i, outcome)
        {
                if (strcmp(field_text(outcome, "name"), name) == 0)
                        return outcome;
        }
        return NULL;
}

static bool
names_guard(const json_t *guards, const char *guard)
{
        json_t *name;
        size_t i;

        json_array_foreach(guards, i, name)
        {
                if (json_is_string(name) && strcmp(json_string_value(name), guard) == 0)
                        return true;
        }
        return false;
}

/* The most frequent outcome that a guard would forbid, and this race did not; NULL: none. */
static const json_t *
find_avoidable(const json_t *race, const json_t *scenario)
{
        const json_t *best = NULL;
        json_t *outcome;
        size_t i;

        json_array_foreach(json_object_get(race, "outcomes"), i, outcome)
        {
                const json_t *guards =
                        json_object_get(described(scenario, field_text(outcome, "name")), "forbidden_by");

                if (json_array_size(guards) > 0 && strcmp(field_text(outcome, "expected"), "forbidden") != 0 &&
                    field_int(outcome, "count") > (best ? field_int(best, "count") : 0))
                        best = outcome;
        }
        return best;
}

static void
put_hint(FILE *f, const json_t *race, const json_t *scenario)
{
        const json_t *outcome = find_avoidable(race, scenario), *guards, *first;
        const char *guard = field_text(race, "guard"), *name;

        if (!outcome)
                return;
        name = field_text(outcome, "name");
        guards = json_object_get(described(scenario, name), "forbidden_by");
        first = json_array_get(guards, 0);
        if (field_int(race, "permits") > 1 && names_guard(guards, guard))
                text_printf(f, "With 1 permit \"%s\" is forbidden: try %s%s%s--permits 1.\n", name,
                            strcmp(guard, "semaphore") == 0 ? "" : "--guard=",
                            strcmp(guard, "semaphore") == 0 ? "" : guard, strcmp(guard, "semaphore") == 0 ? "" : " ");
        else if (json_is_string(first))
                text_printf(f, "Under some guards \"%s\" is forbidden: try --guard=%s.\n", name,
                            json_string_value(first));
}

void
race_result_print(FILE *f, const json_t *race, const json_t *scenario)
{
        put_verdict(f, race);
        put_title(f, race);
        put_title_settings(f, race);
        text_printf(f, "\n");
        if (put_outcomes(f, race) < 0)
                text_printf(f, "out of memory\n");
        text_printf(f, "  ");
        put_observation(f, race);
        text_printf(f, "\n");
        put_guard(f, race);
        put_wait(f, race);
        put_lost(f, race);
        put_actors(f, race);
        put_rate(f, race);
        put_settings(f, race);
        put_notes(f, race);
        put_hint(f, race, scenario);
}

void
race_result_print_brief(FILE *f, const json_t *race)
{
        const char *state = field_text(race, "state");

        if (strcmp(state, "done") != 0)
                text_printf(f, "%s: ", state);
        put_title(f, race);
        text_printf(f, " · ");
        put_observation(f, race);
        text_printf(f, "\n");
}
