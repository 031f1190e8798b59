/* SPDX-License-Identifier: MIT */
#include "supervisor/job.h"

#include "shared/clock.h"
#include "supervisor/fields.h"
#include "supervisor/user-name.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static const char *const state_names[] = {
        [JOB_QUEUED] = "queued",       [JOB_RUNNING] = "running",         [JOB_DONE] = "done", [JOB_FAILED] = "failed",
        [JOB_CANCELLED] = "cancelled", [JOB_INTERRUPTED] = "interrupted", [JOB_LOST] = "lost",
};

const char *
job_state_name(enum job_state state)
{
        return state_names[state];
}

static void
draw_id(char id[JOB_ID_SIZE])
{
        unsigned char bytes[16];

        if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
                abort(); /* cannot happen for 16 bytes once the kernel is up */
        for (int i = 0; i < 16; i++)
                snprintf(id + 2 * i, 3, "%02x", bytes[i]);
}

struct job *
job_new(const char *id, uid_t uid, const char *method, json_t *request, struct plan *plan)
{
        struct job *job = calloc(1, sizeof(*job));
        struct timespec now;

        if (!job)
                return NULL;
        TAILQ_INIT(&job->watchers);
        if (id)
                snprintf(job->id, sizeof(job->id), "%s", id);
        else
                draw_id(job->id);
        clock_gettime(CLOCK_REALTIME, &now);
        job->submitted = (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
        job->uid = uid;
        job->method = strdup(method);
        job->user = user_name(uid);
        job->summary = plan_summary(plan);
        job->request = json_incref(request);
        if (!job->method || !job->user || !job->summary) {
                job_free(job);
                return NULL;
        }
        job->plan = *plan;
        memset(plan, 0, sizeof(*plan));
        return job;
}

json_t *
job_to_json(const struct job *job)
{
        json_t *o = json_object();

        put_string(o, "id", job->id);
        put_integer(o, "uid", job->uid);
        put_string(o, "method", job->method);
        put_string(o, "summary", job->summary);
        put_real(o, "submitted", job->submitted);
        put_bool(o, "detached", job->detached);
        put_string(o, "state", job_state_name(job->state));
        put_string(o, "reason", job->reason);
        put_json(o, "request", job_has_ended(job) ? json_null() : json_incref(job->request));
        put_json(o, "result", job->result ? json_incref(job->result) : json_null());
        return o;
}

static int
find_state(const char *name)
{
        for (int i = 0; i <= JOB_LOST; i++) {
                if (strcmp(state_names[i], name) == 0)
                        return i;
        }
        return -1;
}

int
job_from_json(json_t *json, struct job **ret)
{
        const char *id, *method, *summary, *state;
        json_t *reason, *request, *result;
        struct job *job = calloc(1, sizeof(*job));
        json_int_t uid;
        int detached;

        if (!job)
                return -ENOMEM;
        TAILQ_INIT(&job->watchers);
        if (json_unpack(json, "{s:s, s:I, s:s, s:s, s:f, s:b, s:s, s:o, s:o, s:o}", "id", &id, "uid", &uid, "method",
                        &method, "summary", &summary, "submitted", &job->submitted, "detached", &detached, "state",
                        &state, "reason", &reason, "request", &request, "result", &result) < 0 ||
            strlen(id) >= sizeof(job->id) || find_state(state) < 0) {
                job_free(job);
                return -EBADMSG;
        }
        strcpy(job->id, id);
        job->uid = (uid_t)uid;
        job->user = user_name(job->uid);
        job->method = strdup(method);
        job->summary = strdup(summary);
        job->detached = detached;
        job->state = (enum job_state)find_state(state);
        job->reason = json_is_string(reason) ? strdup(json_string_value(reason)) : NULL;
        job->request = json_is_null(request) ? NULL : json_incref(request);
        job->result = json_is_null(result) ? NULL : json_incref(result);
        if (!job->user || !job->method || !job->summary || (json_is_string(reason) && !job->reason)) {
                job_free(job);
                return -ENOMEM;
        }
        *ret = job;
        return 0;
}

void
job_free(struct job *job)
{
        if (!job)
                return;
        free(job->method);
        free(job->user);
        free(job->summary);
        free(job->reason);
        json_decref(job->request);
        json_decref(job->result);
        plan_deinit(&job->plan);
        free(job);
}
