/* SPDX-License-Identifier: MIT */
#include "supervisor/headline.h"

#include "shared/clock.h"
#include "supervisor/notify.h"
#include "supervisor/supervisor.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

/* Appends; what does not fit is cut. */
static void add(char buf[HEADLINE_MAX], const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
add(char buf[HEADLINE_MAX], const char *fmt, ...)
{
        size_t length = strlen(buf);
        va_list args;

        va_start(args, fmt);
        vsnprintf(buf + length, HEADLINE_MAX - length, fmt, args);
        va_end(args);
}

static uint64_t
number(json_t *progress, const char *key)
{
        json_int_t value = json_integer_value(json_object_get(progress, key));

        return value > 0 ? (uint64_t)value : 0;
}

static void
add_progress(char buf[HEADLINE_MAX], json_t *progress)
{
        uint64_t done = number(progress, "done"), total = number(progress, "total");
        uint64_t rounds = number(progress, "rounds");

        if (json_is_true(json_object_get(progress, "warming_up")))
                add(buf, ", warming up");
        else if (rounds > 1)
                add(buf, ", round %" PRIu64 " of %" PRIu64, number(progress, "round"), rounds);
        if (total > 0)
                add(buf, ", %u %%, %" PRIu64 " of %" PRIu64, (unsigned)((double)MIN(done, total) * 100 / (double)total),
                    done, total);
        else
                add(buf, ", %" PRIu64 " done", done);
}

void
headline_format(char buf[HEADLINE_MAX], const struct headline *h)
{
        const char *s = h->waiting == 1 ? "" : "s";

        *buf = 0;
        if (h->running) {
                add(buf, "Running %s of %s", h->running->summary, h->running->user);
                add_progress(buf, h->progress);
        } else {
                add(buf, "Idle, %" PRIu64 " job%s so far", h->jobs_ended, h->jobs_ended == 1 ? "" : "s");
        }
        if (h->waiting > 0)
                add(buf, "; %u job%s wait%s", h->waiting, s, h->waiting == 1 ? "s" : "");
        if (h->config_refused)
                add(buf, "; the configuration file is wrong, what was read before holds");
}

void
headline_tell(struct supervisor *s)
{
        const struct job *job = s->queue.running;
        AUTO_JSON json_t *progress = job ? runner_progress(s, job) : NULL;
        const struct headline h = {
                .running = job,
                .progress = progress,
                .waiting = s->queue.n_waiting,
                .jobs_ended = s->queue.jobs_ended,
                .config_refused = s->config_refused,
        };
        char buf[HEADLINE_MAX];

        headline_format(buf, &h);
        notify_status("%s", buf);
        s->headline_ns = clock_now_ns();
}

void
headline_tell_progress(struct supervisor *s)
{
        if (s->queue.running && clock_now_ns() - s->headline_ns >= HEADLINE_EVERY_NS)
                headline_tell(s);
}
