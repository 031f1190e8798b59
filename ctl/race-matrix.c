/* SPDX-License-Identifier: MIT */
#include "ctl/race-matrix.h"

#include "ctl/answer.h"
#include "ctl/exit_code.h"
#include "ctl/field.h"
#include "ctl/follow.h"
#include "ctl/message.h"
#include "ctl/progress.h"
#include "ctl/race-result.h"
#include "ctl/table.h"
#include "ctl/text.h"
#include "shared/clock.h"
#include "shared/quantity.h"

#include <errno.h>
#include <string.h>

/* Small, so that all of them together end within half a minute also where most trials end by their time-out. */
#define MATRIX_TRIALS     200
#define MATRIX_TIMEOUT_NS (20 * NS_PER_MS)
#define NOTHING           "—"

static const char *const modes[] = {"process", "thread"};

struct matrix {
        const struct args *args;
        struct client *client;
        json_t *guards;   /* Describe's entries */
        json_t *cells;    /* as race_matrix_print() wants them */
        FILE *raw;        /* the results as they came */
        size_t n, n_done; /* races */
        uint64_t start_ns;
        const char *guard, *mode; /* of the present race */
        int code;
};

/* ── the table ── */

static const struct table_column columns[] = {
        {"GUARD"},
        {"MODE"},
        {"OUTCOME"},
        {"SHARE", .is_right = true},
        {"LOST", .is_right = true},
        {"ns/STEP", .is_right = true},
        {"JAIN", .is_right = true},
        {"HAND-OFFS", .is_right = true},
        {NULL},
};

/* The most frequent outcome that is not acceptable; if there was none, the most frequent one. */
static const json_t *
find_telling(const json_t *race)
{
        const json_t *bad = NULL, *good = NULL;
        json_t *outcome;
        size_t i;

        json_array_foreach(json_object_get(race, "outcomes"), i, outcome)
        {
                const json_t **best = strcmp(field_text(outcome, "expected"), "acceptable") == 0 ? &good : &bad;

                if (field_int(outcome, "count") > (*best ? field_int(*best, "count") : 0))
                        *best = outcome;
        }
        return bad ? bad : good;
}

static int
add_refused(struct table *table, const json_t *cell)
{
        return table_add(table, (const char *const[]){field_text(cell, "guard"), field_text(cell, "mode"), NOTHING,
                                                      NOTHING, NOTHING, NOTHING, NOTHING, NOTHING});
}

static int
add_race(struct table *table, const json_t *cell, const json_t *race)
{
        const json_t *outcome = find_telling(race);
        char name[128], share[32], lost[48], ns[48], jain[32], handoffs[48];
        int64_t done = field_int(race, "done"), n = field_int(outcome, "count");

        snprintf(name, sizeof(name), "%s%s", outcome ? field_text(outcome, "name") : "nothing known",
                 strcmp(field_text(outcome, "expected"), "forbidden") == 0 || field_int(race, "unknown") > 0
                         ? " (failed)"
                         : "");
        snprintf(share, sizeof(share), "%.0f %%", done > 0 ? 100.0 * (double)n / (double)done : 0);
        snprintf(ns, sizeof(ns), "%.1f", field_real(race, "ns_per_step"));
        snprintf(jain, sizeof(jain), "%.3f", field_real(race, "jain"));
        text_count(lost, sizeof(lost), field_int(race, "lost_updates"));
        text_count(handoffs, sizeof(handoffs), field_int(race, "handoffs"));
        return table_add(table, (const char *const[]){field_text(cell, "guard"), field_text(cell, "mode"), name, share,
                                                      lost, ns, jain, handoffs});
}

/* Why there is nothing in some rows, each reason once: "— gil in process: …". */
static void
put_reasons(FILE *f, const json_t *cells)
{
        AUTO_JSON json_t *said = json_object();
        json_t *cell, *other;
        size_t i, k;

        json_array_foreach(cells, i, cell)
        {
                const char *why = field_text(cell, "why"), *separator = " ";

                if (!*why || json_object_get(said, why))
                        continue;
                json_object_set_new(said, why, json_true());
                text_printf(f, NOTHING);
                json_array_foreach(cells, k, other)
                {
                        if (strcmp(field_text(other, "why"), why) != 0)
                                continue;
                        text_printf(f, "%s%s in %s", separator, field_text(other, "guard"), field_text(other, "mode"));
                        separator = ", ";
                }
                text_printf(f, ": %s\n", why);
        }
}

/* Was it raced under this guard in any mode? */
static bool
was_raced(const json_t *cells, const char *guard)
{
        json_t *cell;
        size_t i;

        json_array_foreach(cells, i, cell)
        {
                if (strcmp(field_text(cell, "guard"), guard) == 0 && json_is_object(json_object_get(cell, "race")))
                        return true;
        }
        return false;
}

int
race_matrix_print(FILE *f, const json_t *cells)
{
        AUTO_TABLE struct table *table = table_new(columns);
        json_t *cell;
        size_t i;
        int r;

        if (!table)
                return -ENOMEM;
        json_array_foreach(cells, i, cell)
        {
                const json_t *race = json_object_get(cell, "race");

                if (!was_raced(cells, field_text(cell, "guard")))
                        continue;
                r = json_is_object(race) ? add_race(table, cell, race) : add_refused(table, cell);
                if (r < 0)
                        return r;
        }
        r = table_print(table, "  ", f);
        if (r == 0)
                put_reasons(f, cells);
        return r;
}

/* ── the races ── */

/* Would another guard, or another mode, be accepted? Then it is a hole in the table, and not the person's mistake. */
static bool
is_hole(const struct varlink_reply *reply)
{
        const char *field = field_text(reply->parameters, "field");

        return reply->error && strcmp(reply->error, "org.concd.BadValue") == 0 &&
               (strcmp(field, "guard") == 0 || strcmp(field, "mode") == 0);
}

static void
add_cell(struct matrix *m, json_t *race, const char *why)
{
        json_array_append_new(m->cells, json_pack("{s:s, s:s, s:O?, s:s?}", "guard", m->guard, "mode", m->mode, "race",
                                                  race, "why", why));
}

static bool
on_end(void *userdata, const struct varlink_reply *reply, const char *raw, size_t len)
{
        static const char *const path[] = {"parameters", "race", NULL};
        struct matrix *m = userdata;
        json_t *race = json_object_get(reply->parameters, "race");
        AUTO_FREE char *why = NULL;
        const char *slice;
        size_t slice_len;

        if (is_hole(reply)) {
                if (asprintf(&why, "allowed %s", field_text(reply->parameters, "allowed")) >= 0)
                        add_cell(m, NULL, why);
                return true;
        }
        if (reply->error || !json_is_object(race))
                return false;
        /* What was cut short compares with nothing. */
        if (strcmp(field_text(race, "state"), "done") != 0 && strcmp(field_text(race, "state"), "failed") != 0)
                return true;
        add_cell(m, race, NULL);
        if (field_slice(raw, len, path, &slice, &slice_len))
                fprintf(m->raw, "%s%.*s", ftell(m->raw) > 0 ? "," : "", (int)slice_len, slice);
        return true;
}

static void
show_progress(const struct matrix *m)
{
        double elapsed = (double)(clock_now_ns() - m->start_ns) / (double)NS_PER_S;
        AUTO_JSON json_t *p = NULL;

        if (!progress_is_possible() || args_has(m->args, "quiet"))
                return;
        p = json_pack("{s:i, s:i, s:f, s:f}", "done", (int)m->n_done, "total", (int)m->n, "elapsed_s", elapsed,
                      "tasks_per_s", elapsed > 0 ? (double)m->n_done / elapsed : 0.0);
        if (p)
                progress_show(p, 0);
}

/* The parameters of one race: what the person said, and what they did not. The caller owns them. */
static json_t *
make_parameters(const struct matrix *m)
{
        json_t *p = json_deep_copy(m->args->fields);

        if (!p)
                return NULL;
        json_object_set_new(p, "guard", json_string(m->guard));
        json_object_set_new(p, "mode", json_string(m->mode));
        if (!json_object_get(p, "trials") && !json_object_get(p, "duration_ns"))
                json_object_set_new(p, "trials", json_integer(MATRIX_TRIALS));
        if (!json_object_get(p, "trial_timeout_ns"))
                json_object_set_new(p, "trial_timeout_ns", json_integer((json_int_t)MATRIX_TIMEOUT_NS));
        return p;
}

/* The exit code. A hole is none of its own. */
static int
race_once(struct matrix *m)
{
        AUTO_JSON json_t *parameters = make_parameters(m);
        struct follow_request request = {.args = m->args,
                                         .method = "org.concd.Race",
                                         .parameters = parameters,
                                         .is_own = true,
                                         .is_part = true,
                                         .on_end = on_end,
                                         .userdata = m};
        size_t before = json_array_size(m->cells);
        int r = parameters ? follow_complete(parameters) : message_fail(CTL_EXIT_INTERNAL, "out of memory");

        if (r != 0)
                return r;
        show_progress(m);
        request.id = field_text(parameters, "id");
        r = follow_job(m->client, &request);
        m->n_done++;
        if (r == CTL_EXIT_USAGE && json_array_size(m->cells) > before)
                return 0;
        return r;
}

/* Races on until something else than a forbidden outcome comes in between. */
static void
race_all(struct matrix *m)
{
        json_t *guard;
        size_t i;
        int r;

        m->n = json_array_size(m->guards) * ARRAY_SIZE(modes);
        json_array_foreach(m->guards, i, guard)
        {
                for (size_t k = 0; k < ARRAY_SIZE(modes); k++) {
                        m->guard = field_text(guard, "name");
                        m->mode = modes[k];
                        r = race_once(m);
                        m->code = MAX(m->code, r);
                        if (r > CTL_EXIT_JOB_FAILED)
                                return;
                }
        }
}

static void
put_title(FILE *f, const json_t *cells)
{
        json_t *cell;
        char count[64];
        size_t i;

        json_array_foreach(cells, i, cell)
        {
                const json_t *race = json_object_get(cell, "race");
                AUTO_FREE char *scenario = json_is_object(race) ? race_result_scenario(race) : NULL;

                if (!scenario)
                        continue;
                text_printf(f, "%s · %s · every guard, in processes and in threads\n", scenario,
                            text_plural(count, sizeof(count), field_int(race, "actors"), "actor"));
                return;
        }
}

static int
print(const struct matrix *m, const char *raw)
{
        progress_clear();
        if (args_has(m->args, "json")) {
                fputc('[', stdout);
                fputs(raw, stdout);
                text_put_raw(stdout, "]", 1);
                return m->code;
        }
        if (json_array_size(m->cells) == 0)
                return m->code;
        put_title(stdout, m->cells);
        return race_matrix_print(stdout, m->cells) < 0 ? message_fail(CTL_EXIT_INTERNAL, "out of memory") : m->code;
}

static int
ask_guards(struct matrix *m)
{
        AUTO_JSON json_t *question = json_pack("{s:s}", "kind", "guard");
        struct varlink_reply reply;
        int r = client_call(m->client, "org.concd.Describe", question, -1, &reply, NULL, NULL);

        if (r != 0)
                return message_fail(r < 0 ? CTL_EXIT_INTERNAL : CTL_EXIT_NO_DAEMON, "%s: %s", m->client->socket,
                                    stream_error_text(r));
        if (reply.error)
                r = answer_report_error(m->args, &reply);
        else
                m->guards = json_incref(json_object_get(reply.parameters, "entries"));
        varlink_reply_deinit(&reply);
        return r;
}

int
race_matrix(struct client *client, const struct args *args)
{
        AUTO_FREE char *raw = NULL;
        AUTO_JSON json_t *cells = json_array();
        struct matrix m = {.args = args, .client = client, .cells = cells, .start_ns = clock_now_ns()};
        size_t size;
        int r = ask_guards(&m);

        if (r != 0)
                return r;
        m.raw = open_memstream(&raw, &size);
        if (!m.raw || !cells) {
                r = message_fail(CTL_EXIT_INTERNAL, "out of memory");
        } else {
                race_all(&m);
                fflush(m.raw);
                r = print(&m, raw);
        }
        if (m.raw)
                fclose(m.raw);
        json_decref(m.guards);
        return r;
}
