/* SPDX-License-Identifier: MIT */
/* The methods of org.concd: one handler each, gathered in the table at the end. */
#include "shared/clock.h"
#include "shared/log.h"
#include "supervisor/access.h"
#include "supervisor/describe.h"
#include "supervisor/events.h"
#include "supervisor/fields.h"
#include "supervisor/quota.h"
#include "supervisor/record.h"
#include "supervisor/request.h"
#include "supervisor/status.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* ── watchers ── */

static json_t *
job_reply(struct supervisor *s, const struct job *job)
{
        /* What the reply calls the result of a job that this method made. */
        static const struct {
                const char *method, *member;
        } rows[] = {{"Run", "result"}, {"Race", "race"}, {"Compare", "compare"}};
        json_t *o = json_object();

        put_string(o, "id", job->id);
        put_string(o, "state", job_state_name(job->state));
        put_string(o, "reason", job->reason);
        put_json(o, "progress", job_has_ended(job) ? json_null() : runner_progress(s, job));
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                bool is_it = job->result && strcmp(job->method, rows[i].method) == 0;

                put_json(o, rows[i].member, is_it ? json_incref(job->result) : json_null());
        }
        return o;
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
        job->fetched = job->fetched || call_peer(call)->uid == job->uid;
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

static struct access_rules
rules_of(const struct supervisor *s)
{
        return (struct access_rules){.config = &s->config, .self = s->instance.uid};
}

bool
supervisor_may_administer(const struct supervisor *s, const struct peer *peer)
{
        const struct access_rules rules = rules_of(s);

        return access_may_administer(&rules, peer);
}

/* `what` belongs to "not permitted: ". The object may be NULL. */
static void
deny(struct supervisor *s, struct call *call, const char *method, const char *object, const char *what)
{
        audit_denied(&s->audit, AUDIT_NOT_PERMITTED, call_peer(call), method, object, what);
        call_error(call, "NotPermitted", json_pack("{s:s}", "what", what));
}

/* False when the call must not have to do with the job; then it is answered. */
static bool
may_touch(struct supervisor *s, struct call *call, const char *method, const struct job *job)
{
        const struct access_rules rules = rules_of(s);

        if (access_may_touch(&rules, call_peer(call), job->uid))
                return true;
        deny(s, call, method, job->id, "a job of another user");
        return false;
}

/* Finds the job that a call names; when that fails the call is answered and NULL returned. */
static struct job *
find_job(struct supervisor *s, struct call *call, const char *method, json_t *p)
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
        return may_touch(s, call, method, job) ? job : NULL;
}

/* ── Run and Race ── */

static void
refuse_busy(struct supervisor *s, struct call *call, const char *method, const char *what, uint64_t limit)
{
        AUTO_FREE char *why = NULL;

        if (asprintf(&why, "%s has its limit, %llu", what, (unsigned long long)limit) < 0)
                why = NULL;
        audit_denied(&s->audit, AUDIT_OTHER, call_peer(call), method, NULL, why ? why : what);
        call_error(call, "Busy", json_pack("{s:s, s:I}", "what", what, "limit", (json_int_t)limit));
}

static bool
has_room(struct supervisor *s, struct call *call, const char *method)
{
        uid_t uid = call_peer(call)->uid;

        if (s->queue.n_waiting >= s->config.queue_limit)
                refuse_busy(s, call, method, "the queue", s->config.queue_limit);
        else if (queue_length_of(&s->queue, uid) >= s->config.queue_per_user)
                refuse_busy(s, call, method, "your part of the queue", s->config.queue_per_user);
        else
                return true;
        return false;
}

/* One of the sums that quotas bound. When the job alone is too much it is a bad value: waiting would not help. */
struct quota_check {
        uint64_t limit; /* 0 is none */
        uint64_t of_job, of_all;
        const char *field, *what, *unit, *key;
};

/* False when the call was answered. */
static bool
holds_quota(struct supervisor *s, struct call *call, const char *method, const struct quota_check *q)
{
        char allowed[160], given[64], why[256];

        if (q->limit == 0 || q->of_all <= q->limit)
                return true;
        if (q->of_job <= q->limit) {
                refuse_busy(s, call, method, q->what, q->limit);
                return false;
        }
        snprintf(allowed, sizeof(allowed), "at most %llu %s in all, with warm-up and all rounds (%s)",
                 (unsigned long long)q->limit, q->unit, q->key);
        snprintf(given, sizeof(given), "%llu %s in all", (unsigned long long)q->of_job, q->unit);
        snprintf(why, sizeof(why), "given %s, allowed %s", given, allowed);
        audit_denied(&s->audit, AUDIT_OTHER, call_peer(call), method, NULL, why);
        call_bad_value(call, q->field, allowed, "%s", given);
        return false;
}

/* False when the plan is too much for the user's quotas; then the call is answered. */
static bool
has_quota(struct supervisor *s, struct call *call, const char *method, const struct plan *plan)
{
        const struct variant *v = &plan->variants[0];
        const char *field = v->count == 0 ? "warmup" : v->is_race ? "trials" : "count";
        struct quota job = {0}, all;

        quota_add_plan(&job, plan);
        all = job;
        quota_add_jobs_of(&all, &s->queue, call_peer(call)->uid);

        const struct quota_check checks[] = {
                {s->config.tasks_per_user, job.tasks, all.tasks, field, "the tasks of your jobs", "tasks",
                 "jobs.tasks_per_user"},
                {s->config.duration_per_user_ns, job.duration_ns, all.duration_ns, "duration_ns",
                 "the durations of your jobs in ns", "ns", "jobs.duration_per_user"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
                if (!holds_quota(s, call, method, &checks[i]))
                        return false;
        }
        return true;
}

/* Short enough to be read aloud. */
static uint64_t
draw_seed(void)
{
        uint64_t random;

        if (getrandom(&random, sizeof(random), 0) != sizeof(random))
                random = clock_now_ns();
        return random % 1000000;
}

int
supervisor_make_plan(const struct supervisor *s, const char *method, json_t *parameters, const struct peer *peer,
                     struct plan *ret, struct bad_value *bad)
{
        bool has_max = peer && !supervisor_may_administer(s, peer);
        const struct request_limits limits = {
                .max_workers = s->setup.segment.header->max_workers,
                .ledger_chunks = s->setup.segment.header->ledger_chunks,
                .max_at_once = s->config.max_at_once,
                .deadline_ns = s->config.deadline_ns,
                .deadline_max_ns = has_max ? s->config.deadline_ns : 0,
                .cpus = s->cpus,
                .quota_cpus = s->quota_cpus,
                .libc_native = !s->config.parked_thread,
                .seed = draw_seed(),
        };
        struct variant variant;
        uint64_t deadline_ns;
        int r;

        if (strcmp(method, "Compare") == 0)
                return request_parse_compare(parameters, &limits, ret, bad);
        if (strcmp(method, "Run") == 0)
                r = request_parse_run(parameters, &limits, &variant, &deadline_ns, bad);
        else if (strcmp(method, "Race") == 0)
                r = request_parse_race(parameters, &limits, &variant, &deadline_ns, bad);
        else
                r = -EOPNOTSUPP; /* of another version's record */
        return r == 0 ? plan_init_single(ret, &variant, deadline_ns) : r;
}

/* The plan of a call; when there is none the call is answered and false returned. */
static bool
make_plan(struct supervisor *s, struct call *call, const char *method, json_t *p, struct plan *ret)
{
        struct bad_value bad = {0};
        int r = supervisor_make_plan(s, method, p, call_peer(call), ret, &bad);

        if (r == -EINVAL && bad.is_denial)
                audit_denied(&s->audit, AUDIT_OTHER, call_peer(call), method, NULL, "a deadline beyond jobs.deadline");
        if (r == -EINVAL)
                call_bad_value(call, bad.field, bad.allowed, "%s", bad.given);
        else if (r < 0)
                call_error(call, "Internal", json_pack("{s:s}", "what", "out of memory"));
        bad_value_deinit(&bad);
        return r == 0;
}

/* A job that is in no queue yet. NULL when it cannot or must not be; then the call is answered. */
static struct job *
make_job(struct supervisor *s, struct call *call, const char *method, json_t *p, const char *id)
{
        const struct access_rules rules = rules_of(s);
        AUTO_JSON json_t *request = NULL;
        struct job *job = NULL;
        struct plan plan;

        if (!access_may_submit(&rules, call_peer(call))) {
                deny(s, call, method, NULL, "submitting jobs");
                return NULL;
        }
        if (!has_room(s, call, method) || !make_plan(s, call, method, p, &plan))
                return NULL;
        if (!has_quota(s, call, method, &plan)) {
                plan_deinit(&plan);
                return NULL;
        }
        request = plan.is_comparison ? request_of_comparison(p, &plan)
                                     : request_of_variant(p, &plan.variants[0], plan.deadline_ns);
        if (request)
                job = job_new(id, call_peer(call)->uid, method, request, &plan);
        if (!job) {
                plan_deinit(&plan);
                call_error(call, "Internal", json_pack("{s:s}", "what", "out of memory"));
        }
        return job;
}

static void
submit(struct supervisor *s, struct call *call, const char *method, json_t *p, const char *id)
{
        bool detach = json_is_true(json_object_get(p, "detach"));
        struct job *job = make_job(s, call, method, p, id);

        if (!job)
                return;
        job->detached = detach;
        queue_add(&s->queue, job);
        record_journal(s->setup.segment.record, job);
        supervisor_consider_idle(s);
        event_of_job(EVENT_JOB_QUEUED, job, "job %s of %s queued: %s", job->id, job->user, job->summary);
        if (!detach)
                watch(s, job, call, WATCHER_CALLER);
        supervisor_start_next(s);
        if (detach)
                call_reply(call, job_reply(s, job));
}

/* A call of a method that makes a job. */
static void
handle_job(struct supervisor *s, struct call *call, const char *method, json_t *p)
{
        const char *id = json_string_value(json_object_get(p, "id"));
        struct job *job = NULL;

        if (id && !request_id_is_valid(id)) {
                call_bad_value(call, "id", "32 hexadecimal digits, lower case", "%s", id);
                return;
        }
        if (id)
                job = queue_find(&s->queue, id);
        if (!job) {
                submit(s, call, method, p, id);
                return;
        }
        /* A known id: nothing is started twice. */
        if (!may_touch(s, call, method, job))
                return;
        if (json_is_true(json_object_get(p, "detach"))) {
                job->detached = true;
                job->orphaned = false;
                supervisor_consider_orphan(s);
                call_reply(call, job_reply(s, job));
        } else {
                watch(s, job, call, WATCHER_CALLER);
        }
}

static void
handle_run(void *userdata, struct call *call, json_t *p)
{
        handle_job(userdata, call, "Run", p);
}

static void
handle_race(void *userdata, struct call *call, json_t *p)
{
        handle_job(userdata, call, "Race", p);
}

static void
handle_compare(void *userdata, struct call *call, json_t *p)
{
        handle_job(userdata, call, "Compare", p);
}

static void
handle_wait(void *userdata, struct call *call, json_t *p)
{
        struct supervisor *s = userdata;
        struct job *job = find_job(s, call, "Wait", p);

        if (job)
                watch(s, job, call, WATCHER_WAIT);
}

static void
handle_cancel(void *userdata, struct call *call, json_t *p)
{
        struct supervisor *s = userdata;
        struct job *job = find_job(s, call, "Cancel", p);

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

        if (!supervisor_may_administer(s, peer)) {
                deny(s, call, "Stop", NULL, "stopping the daemon of another user");
                return;
        }
        log_info("asked to stop by pid %d of uid %u", peer->pid, (unsigned)peer->uid);
        call_reply(call, json_pack("{s:i}", "pid", (int)getpid()));
        supervisor_leave(s);
}

/* clang-format off */
const struct service_method supervisor_methods[] = {
        {"Describe", describe_handle, NULL, true},
        {"Run", handle_run, request_allowed},
        {"Race", handle_race, request_allowed},
        {"Compare", handle_compare, request_allowed},
        {"Wait", handle_wait, NULL},
        {"Jobs", handle_jobs, NULL, true},
        {"Cancel", handle_cancel, NULL},
        {"Status", handle_status, NULL, true},
        {"Stop", handle_stop, NULL},
        {NULL, NULL, NULL},
};
/* clang-format on */
