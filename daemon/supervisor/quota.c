/* SPDX-License-Identifier: MIT */
#include "supervisor/quota.h"

static void
add(uint64_t *sum, uint64_t n)
{
        if (__builtin_add_overflow(*sum, n, sum))
                *sum = UINT64_MAX;
}

static void
add_step(struct quota *q, const struct variant *v, enum step_kind kind)
{
        if (kind == STEP_WARMUP) {
                add(&q->tasks, v->warmup);
                return;
        }
        add(&q->tasks, v->count);
        add(&q->duration_ns, v->duration_ns);
}

void
quota_add_plan(struct quota *q, const struct plan *plan)
{
        const struct variant *before = NULL; /* the last one of processes */

        for (uint32_t i = 0; i < plan->n_steps; i++) {
                const struct variant *v = &plan->variants[plan->steps[i].variant];
                enum step_kind kind = plan->steps[i].kind;

                add_step(q, v, kind);
                if (!plan->is_comparison || variant_kind(v) != WORKER_PROCESS)
                        continue;
                /* Workers forked anew: the step is run once more (next_step() of runner.c). */
                if (kind >= STEP_MEASURED && (!before || before->libc_native != v->libc_native))
                        add_step(q, v, kind);
                before = v;
        }
}

void
quota_add_jobs_of(struct quota *q, const struct queue *queue, uid_t uid)
{
        const struct job *job;

        if (queue->running && queue->running->uid == uid)
                quota_add_plan(q, &queue->running->plan);
        TAILQ_FOREACH(job, &queue->waiting, entry)
        {
                if (job->uid == uid)
                        quota_add_plan(q, &job->plan);
        }
}
