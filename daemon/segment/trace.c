/* SPDX-License-Identifier: MIT */
#include "segment/trace.h"

#include "shared/base.h"

#include <stdbool.h>

/* The last span of that kind; NULL when there is none. A writer that was killed may have left an older one there. */
static struct trace_span *
last_of(struct trace *t, uint32_t n, enum trace_kind kind)
{
        uint32_t last = t->last[kind];

        return last > 0 && last <= n && t->span[last - 1].kind == kind ? &t->span[last - 1] : NULL;
}

static bool
stands_alone(const struct trace_span *s, uint64_t join_ns)
{
        return s->kind != TRACE_RUN && s->tasks == 1 && s->to_ns - s->from_ns >= join_ns;
}

static bool
belong_together(const struct trace_span *last, const struct trace_span *next, uint64_t join_ns)
{
        uint64_t gap = next->from_ns > last->to_ns ? next->from_ns - last->to_ns : 0;

        return gap < join_ns && !stands_alone(last, join_ns) && !stands_alone(next, join_ns);
}

void
trace_add(struct trace *t, enum trace_kind kind, uint64_t task, uint64_t from_ns, uint64_t to_ns, uint64_t join_ns)
{
        const struct trace_span next = {.from_ns = from_ns, .to_ns = to_ns, .task = task, .tasks = 1, .kind = kind};
        uint32_t n = MIN(t->n, TRACE_SPANS_MAX);
        struct trace_span *last = last_of(t, n, kind);

        if (last && belong_together(last, &next, join_ns)) {
                last->to_ns = MAX(last->to_ns, to_ns);
                last->tasks++;
                return;
        }
        if (n == TRACE_SPANS_MAX) {
                t->dropped++;
                return;
        }
        t->span[n] = next;
        /* Counted when it is whole, wherever the writer is killed. */
        __atomic_store_n(&t->n, n + 1, __ATOMIC_RELEASE);
        t->last[kind] = n + 1;
}

void
tracer_note(const struct tracer *t, enum trace_kind kind, uint64_t from_ns, uint64_t to_ns)
{
        trace_add(t->trace, kind, t->task, from_ns, to_ns, t->join_ns);
}
