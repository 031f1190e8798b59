/* SPDX-License-Identifier: MIT */
/* The methods of org.concd: one handler each, gathered in the table at the end. */
#include "shared/log.h"
#include "supervisor/record.h"
#include "supervisor/request.h"
#include "supervisor/status.h"
#include "supervisor/supervisor.h"
#include "worker/mode.h"
#include "workloads/workloads.h"

#include <errno.h>
#include <string.h>

/* ── watchers ── */

static json_t *
job_reply(struct supervisor *s, const struct job *job)
{
        bool ended = job_has_ended(job);

        return json_pack("{s:s, s:s, s:s?, s:o, s:O?}", "id", job->id, "state", job_state_name(job->state), "reason",
                         job->reason, "progress", ended ? json_null() : runner_progress(s, job), "result", job->result);
}

static void
watcher_free(struct watcher *w)
{
        TAILQ_REMOVE(&w->job->watchers, w, entry);
        free(w);
}

static void
watcher_answer(struct supervisor *s, struct watcher *w)
{
        struct job *job = w->job;
        struct call *call = w->call;
        enum watcher_kind kind = w->kind;

        watcher_free(w);
        if (kind == WATCHER_CANCEL) {
                call_reply(call, json_pack("{s:s, s:s}", "id", job->id, "state", job_state_name(job->state)));
                return;
        }
        job->fetched = true;
        /* A queued job that never ran because the daemon leaves is an error to its caller. */
        if (s->leaving && job->started_ns == 0)
                call_error(call, "ShuttingDown", NULL);
        else
                call_reply(call, job_reply(s, job));
}

void
methods_answer_watchers(struct supervisor *s, struct job *job)
{
        struct watcher *w;

        while ((w = TAILQ_FIRST(&job->watchers)))
                watcher_answer(s, w);
}

void
methods_send_progress(struct supervisor *s, struct job *job)
{
        struct watcher *w;

        TAILQ_FOREACH(w, &job->watchers, entry)
        {
                if (w->kind != WATCHER_CANCEL && call_wants_more(w->call))
                        call_progress(w->call, job_reply(s, job));
        }
}

static void
cancel_job(struct supervisor *s, struct job *job, const char *reason)
{
        if (job->state == JOB_RUNNING) {
                runner_stop(s, JOB_CANCELLED, reason);
                return;
        }
        job->state = JOB_CANCELLED;
        job->reason = strdup(reason);
        supervisor_end_job(s, job);
        supervisor_consider_idle(s);
}

static bool
has_callers(const struct job *job)
{
        struct watcher *w;

        TAILQ_FOREACH(w, &job->watchers, entry)
        {
                if (w->kind == WATCHER_CALLER)
                        return true;
        }
        return false;
}

static void
on_gone(void *arg, struct call *call)
{
        struct watcher *w = arg;
        struct supervisor *s = w->supervisor;
        struct job *job = w->job;
        bool caller = w->kind == WATCHER_CALLER;

        watcher_free(w);
        if (caller && !job->detached && !job_has_ended(job) && !has_callers(job)) {
                log_info("the client of job %s vanished", job->id);
                cancel_job(s, job, "its client vanished");
        }
        supervisor_consider_orphan(s);
}

/* Lets the call wait for the job, or answers at once when the job has ended. */
static void
watch(struct supervisor *s, struct job *job, struct call *call, enum watcher_kind kind)
{
        struct watcher *w = calloc(1, sizeof(*w));

        if (!w) {
                call_error(call, "Internal", json_pack("{s:s}", "what", "out of memory"));
                return;
        }
        *w = (struct watcher){.supervisor = s, .job = job, .call = call, .kind = kind};
        TAILQ_INSERT_TAIL(&job->watchers, w, entry);
        if (kind == WATCHER_CALLER)
                job->orphaned = false;
        supervisor_consider_orphan(s);
        if (job_has_ended(job)) {
                watcher_answer(s, w);
                return;
        }
        call_on_gone(call, on_gone, w);
        if (kind != WATCHER_CANCEL && call_wants_more(call))
                call_progress(call, job_reply(s, job));
}

/* ── who may what ── */

/* The owner of a job, the daemon's own user and root may see its result and cancel it. */
static bool
may_touch(const struct supervisor *s, const struct peer *peer, const struct job *job)
{
        return peer->uid == job->uid || peer->uid == 0 || peer->uid == s->instance.uid;
}

/* Finds the job that a call names; when that fails the call is answered and NULL returned. */
static struct job *
find_job(struct supervisor *s, struct call *call, json_t *p)
{
        const char *id = json_string_value(json_object_get(p, "id"));
        struct job *job;

        if (!request_id_is_valid(id)) {
                call_bad_value(call, "id", "32 hexadecimal digits, lower case", "%s", id);
                return NULL;
        }
        job = queue_find(&s->queue, id);
        if (!job) {
                call_error(call, "NoSuchJob", json_pack("{s:s}", "id", id));
                return NULL;
        }
        if (!may_touch(s, call_peer(call), job)) {
                call_error(call, "NotPermitted", json_pack("{s:s}", "what", "a job of another user"));
                return NULL;
        }
        return job;
}

/* ── Run ── */

static bool
has_room(struct supervisor *s, struct call *call)
{
        uid_t uid = call_peer(call)->uid;

        if (s->queue.n_waiting >= s->config.queue_limit) {
                call_error(call, "Busy",
                           json_pack("{s:s, s:I}", "what", "the queue", "limit", (json_int_t)s->config.queue_limit));
                return false;
        }
        if (queue_length_of(&s->queue, uid) >= s->config.queue_per_user) {
                call_error(call, "Busy",
                           json_pack("{s:s, s:I}", "what", "your part of the queue", "limit",
                                     (json_int_t)s->config.queue_per_user));
                return false;
        }
        return true;
}

int
supervisor_make_plan(const struct supervisor *s, const char *method, json_t *parameters, struct plan *ret,
                     struct bad_value *bad)
{
        const struct request_limits limits = {
                .max_workers = s->setup.segment.header->max_workers,
                .ledger_chunks = s->setup.segment.header->ledger_chunks,
                .max_at_once = s->config.max_at_once,
                .deadline_ns = s->config.deadline_ns,
                .cpus = s->cpus,
                .quota_cpus = s->quota_cpus,
        };
        struct variant variant;
        uint64_t deadline_ns;
        int r;

        if (strcmp(method, "Run") != 0)
                return -EOPNOTSUPP; /* of another version's record */
        r = request_parse_run(parameters, &limits, &variant, &deadline_ns, bad);
        return r == 0 ? plan_init_single(ret, &variant, deadline_ns) : r;
}

/* The plan of a call; when there is none the call is answered and false returned. */
static bool
make_plan(struct supervisor *s, struct call *call, json_t *p, struct plan *ret)
{
        struct bad_value bad = {0};
        int r = supervisor_make_plan(s, "Run", p, ret, &bad);

        if (r == -EINVAL)
                call_bad_value(call, bad.field, bad.allowed, "%s", bad.given);
        else if (r < 0)
                call_error(call, "Internal", json_pack("{s:s}", "what", "out of memory"));
        bad_value_deinit(&bad);
        return r == 0;
}

static void
submit(struct supervisor *s, struct call *call, json_t *p, const char *id)
{
        bool detach = json_is_true(json_object_get(p, "detach"));
        AUTO_JSON json_t *request = NULL;
        struct job *job = NULL;
        struct plan plan;

        if (!has_room(s, call) || !make_plan(s, call, p, &plan))
                return;
        request = request_of_variant(p, &plan.variants[0], plan.deadline_ns);
        if (request)
                job = job_new(id, call_peer(call)->uid, "Run", request, &plan);
        if (!job) {
                plan_deinit(&plan);
                call_error(call, "Internal", json_pack("{s:s}", "what", "out of memory"));
                return;
        }
        job->detached = detach;
        queue_add(&s->queue, job);
        record_journal(s->setup.segment.record, job);
        supervisor_consider_idle(s);
        log_info("job %s of %s queued: %s", job->id, job->user, job->summary);
        if (!detach)
                watch(s, job, call, WATCHER_CALLER);
        supervisor_start_next(s);
        if (detach)
                call_reply(call, job_reply(s, job));
}

static void
handle_run(void *userdata, struct call *call, json_t *p)
{
        struct supervisor *s = userdata;
        const char *id = json_string_value(json_object_get(p, "id"));
        struct job *job = NULL;

        if (id && !request_id_is_valid(id)) {
                call_bad_value(call, "id", "32 hexadecimal digits, lower case", "%s", id);
                return;
        }
        if (id)
                job = queue_find(&s->queue, id);
        if (!job) {
                submit(s, call, p, id);
                return;
        }
        /* A known id: nothing is started twice. */
        if (!may_touch(s, call_peer(call), job)) {
                call_error(call, "NotPermitted", json_pack("{s:s}", "what", "a job of another user"));
        } else if (json_is_true(json_object_get(p, "detach"))) {
                job->detached = true;
                job->orphaned = false;
                supervisor_consider_orphan(s);
                call_reply(call, job_reply(s, job));
        } else {
                watch(s, job, call, WATCHER_CALLER);
        }
}

static void
handle_wait(void *userdata, struct call *call, json_t *p)
{
        struct supervisor *s = userdata;
        struct job *job = find_job(s, call, p);

        if (job)
                watch(s, job, call, WATCHER_WAIT);
}

static void
handle_cancel(void *userdata, struct call *call, json_t *p)
{
        struct supervisor *s = userdata;
        struct job *job = find_job(s, call, p);

        if (!job)
                return;
        watch(s, job, call, WATCHER_CANCEL);
        if (!job_has_ended(job))
                cancel_job(s, job, "cancelled on request");
}

/* ── the others ── */

static void
handle_jobs(void *userdata, struct call *call, json_t *p)
{
        call_reply(call, json_pack("{s:o}", "jobs", status_jobs(userdata)));
}

static void
handle_status(void *userdata, struct call *call, json_t *p)
{
        call_reply(call, status_describe(userdata));
}

static void
handle_stop(void *userdata, struct call *call, json_t *p)
{
        struct supervisor *s = userdata;
        const struct peer *peer = call_peer(call);

        if (peer->uid != 0 && peer->uid != s->instance.uid) {
                call_error(call, "NotPermitted", json_pack("{s:s}", "what", "stopping the daemon of another user"));
                return;
        }
        log_info("asked to stop by pid %d of uid %u", peer->pid, (unsigned)peer->uid);
        call_reply(call, json_pack("{s:i}", "pid", (int)getpid()));
        supervisor_leave(s);
}

/* ── Describe ── */

static json_t *
describe_param(const struct concd_param *p)
{
        bool is_enum = p->type == CONCD_PARAM_ENUM;
        json_t *choices = is_enum ? json_array() : json_null();
        char def[64];

        for (size_t i = 0; is_enum && p->choices[i]; i++)
                json_array_append_new(choices, json_string(p->choices[i]));
        return json_pack("{s:s, s:s, s:s, s:s?, s:s, s:o, s:o, s:o}", "name", p->name, "summary", p->summary, "type",
                         is_enum ? "enum" : "int", "unit", p->unit, "default",
                         workload_param_format(p, p->def, def, sizeof(def)), "min",
                         is_enum ? json_null() : json_integer(p->min), "max",
                         is_enum ? json_null() : json_integer(p->max), "choices", choices);
}

/* Appends an entry, if it is asked for. */
static void
describe_entry(json_t *entries, json_t *p, const char *kind, const char *name, const char *summary, const char *unit,
               bool is_default, json_t *params)
{
        const char *want_kind = json_string_value(json_object_get(p, "kind"));
        const char *want_name = json_string_value(json_object_get(p, "name"));

        if ((want_kind && strcmp(want_kind, kind) != 0) || (want_name && strcmp(want_name, name) != 0)) {
                json_decref(params);
                return;
        }
        json_array_append_new(entries,
                              json_pack("{s:s, s:s, s:s, s:s?, s:b, s:o}", "kind", kind, "name", name, "summary",
                                        summary, "unit", unit, "default", is_default, "params", params));
}

static json_t *
describe_all(json_t *p)
{
        json_t *entries = json_array();

        for (size_t i = 0; workloads[i]; i++) {
                const struct concd_workload *w = workloads[i];
                json_t *params = json_array();

                for (uint32_t k = 0; k < w->n_params; k++)
                        json_array_append_new(params, describe_param(&w->params[k]));
                describe_entry(entries, p, "workload", w->name, w->summary, w->unit, i == 0, params);
        }
        for (int i = 0; i < MODES; i++)
                describe_entry(entries, p, "mode", modes[i].name, modes[i].summary, NULL, i == MODE_DEFAULT,
                               json_array());
        for (int i = 0; i < SPAWNS; i++)
                describe_entry(entries, p, "spawn", spawns[i].name, spawns[i].summary, NULL, i == SPAWN_POOL,
                               json_array());
        return entries;
}

/* "calc, nop, …": the names that a Describe could have meant. */
static char *
names_of(json_t *entries, const char *key)
{
        AUTO_JSON json_t *seen = json_object();
        char *all = NULL;
        json_t *entry;
        size_t i, size;
        FILE *f = open_memstream(&all, &size);

        json_array_foreach(entries, i, entry)
        {
                const char *name = json_string_value(json_object_get(entry, key));

                if (f && !json_object_get(seen, name)) {
                        fprintf(f, "%s%s", json_object_size(seen) ? ", " : "", name);
                        json_object_set_new(seen, name, json_true());
                }
        }
        if (f)
                fclose(f);
        return all;
}

static void
handle_describe(void *userdata, struct call *call, json_t *p)
{
        const char *kind = json_string_value(json_object_get(p, "kind"));
        AUTO_JSON json_t *everything = describe_all(NULL);
        AUTO_JSON json_t *of_kind = json_pack("{s:s?}", "kind", kind);
        AUTO_JSON json_t *candidates = describe_all(of_kind);
        json_t *entries = describe_all(p);
        bool bad_kind = json_array_size(candidates) == 0;
        AUTO_FREE char *allowed = bad_kind ? names_of(everything, "kind") : names_of(candidates, "name");
        const char *name = json_string_value(json_object_get(p, "name"));

        if (json_array_size(entries) > 0) {
                call_reply(call, json_pack("{s:o}", "entries", entries));
                return;
        }
        json_decref(entries);
        call_bad_value(call, bad_kind ? "kind" : "name", allowed ? allowed : "", "%s", bad_kind ? kind : name);
}

/* clang-format off */
const struct service_method supervisor_methods[] = {
        {"Describe", handle_describe, NULL},
        {"Run", handle_run, request_allowed},
        {"Wait", handle_wait, NULL},
        {"Jobs", handle_jobs, NULL},
        {"Cancel", handle_cancel, NULL},
        {"Status", handle_status, NULL},
        {"Stop", handle_stop, NULL},
        {NULL, NULL, NULL},
};
/* clang-format on */
