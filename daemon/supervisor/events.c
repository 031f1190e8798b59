/* SPDX-License-Identifier: MIT */
#include "supervisor/events.h"

#include "build-config.h"
#include "shared/log.h"

#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>

#if HAVE_SYSTEMD
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#endif

#define FIELDS_MAX  12 /* with the one that ends them */
#define NUMBERS_MAX 4
#define NUMBER_SIZE 24

/* A number is never given to another event, and an event keeps its own: people search by them. */
static const struct {
        const char *name, *id;
        enum log_level level;
} events[] = {
        [EVENT_JOB_QUEUED] = {"job-queued", "7ab12ae1537d481faa752bf4e732014c", LOG_LEVEL_INFO},
        [EVENT_JOB_STARTED] = {"job-started", "ee24a95bf1014f1fa7c4616cbb2ea64b", LOG_LEVEL_INFO},
        [EVENT_JOB_ENDED] = {"job-ended", "dd924df60c3e404d985a919b521c5953", LOG_LEVEL_INFO},
        [EVENT_JOB_RECOVERED] = {"job-recovered", "7ce80613e2ed4f3faef8b34b986e5c60", LOG_LEVEL_WARNING},
        [EVENT_JOB_LOST] = {"job-lost", "d54cf3a8ebb04449aef8819d0591f7dc", LOG_LEVEL_WARNING},
        [EVENT_WORKER_ENDED] = {"worker-ended", "53ca1d591f4b4908b91329057004eabd", LOG_LEVEL_INFO},
        [EVENT_DENIED] = {"denied", "a7e7ba7018c14ca0835a5f7d8e4ae7ab", LOG_LEVEL_WARNING},
        [EVENT_RELOADED] = {"reloaded", "9f461cb5f2b941db946a3c45b48a5293", LOG_LEVEL_INFO},
        [EVENT_RELOAD_REFUSED] = {"reload-refused", "a56d10b357fc43f3adc9cc86b580d581", LOG_LEVEL_ERROR},
};

struct field_list {
        struct log_field fields[FIELDS_MAX];
        char numbers[NUMBERS_MAX][NUMBER_SIZE];
        size_t n, n_numbers;
};

/* A field without a value is left out. */
static void
add(struct field_list *list, const char *name, const char *value)
{
        if (value && list->n < FIELDS_MAX - 1)
                list->fields[list->n++] = (struct log_field){name, value};
}

static void
add_number(struct field_list *list, const char *name, long long value)
{
        char *text = list->numbers[list->n_numbers];

        if (list->n_numbers == NUMBERS_MAX)
                return;
        list->n_numbers++;
        snprintf(text, NUMBER_SIZE, "%lld", value);
        add(list, name, text);
}

static struct field_list
begin(enum event_kind kind)
{
        struct field_list list = {0};

        add(&list, "MESSAGE_ID", events[kind].id);
        add(&list, "CONCD_EVENT", events[kind].name);
        return list;
}

static void end(enum event_kind kind, const struct field_list *list, const char *fmt, va_list args) PRINTF_LIKE(3, 0);

static void
end(enum event_kind kind, const struct field_list *list, const char *fmt, va_list args)
{
        char message[LOG_LINE_MAX];

        vsnprintf(message, sizeof(message), fmt, args);
        log_event(events[kind].level, list->fields, "%s", message);
}

void
event_of_job(enum event_kind kind, const struct job *job, const char *fmt, ...)
{
        struct field_list list = begin(kind);
        va_list args;

        add(&list, "CONCD_JOB", job->id);
        add_number(&list, "CONCD_UID", job->uid);
        add(&list, "CONCD_USER", job->user);
        add(&list, "CONCD_METHOD", job->method);
        add(&list, "CONCD_STATE", job_state_name(job->state));
        add(&list, "CONCD_REASON", job->reason);
        va_start(args, fmt);
        end(kind, &list, fmt, args);
        va_end(args);
}

void
event_of_worker(uint32_t slot, pid_t pid, int status, const struct job *job, const char *fmt, ...)
{
        struct field_list list = begin(EVENT_WORKER_ENDED);
        va_list args;

        add(&list, "CONCD_JOB", job ? job->id : NULL);
        add_number(&list, "CONCD_SLOT", slot);
        add_number(&list, "CONCD_WORKER_PID", pid);
        if (WIFSIGNALED(status))
                add_number(&list, "CONCD_SIGNAL", WTERMSIG(status));
        else
                add_number(&list, "CONCD_STATUS", WEXITSTATUS(status));
        va_start(args, fmt);
        end(EVENT_WORKER_ENDED, &list, fmt, args);
        va_end(args);
}

void
event_of_denial(const struct peer *peer, const char *method, const char *object, const char *why, const char *fmt, ...)
{
        struct field_list list = begin(EVENT_DENIED);
        va_list args;

        add(&list, "CONCD_JOB", object);
        add_number(&list, "CONCD_UID", peer->uid);
        add_number(&list, "CONCD_CLIENT_PID", peer->pid);
        add(&list, "CONCD_METHOD", method);
        add(&list, "CONCD_REASON", why);
        va_start(args, fmt);
        end(EVENT_DENIED, &list, fmt, args);
        va_end(args);
}

void
event_of_daemon(enum event_kind kind, const char *fmt, ...)
{
        struct field_list list = begin(kind);
        va_list args;

        va_start(args, fmt);
        end(kind, &list, fmt, args);
        va_end(args);
}

#if HAVE_SYSTEMD
/* The journal wants each field as one text, "NAME=value". */
static bool
to_journal(int priority, const char *message, const struct log_field *fields)
{
        struct iovec parts[FIELDS_MAX + 2];
        char *texts[FIELDS_MAX + 2];
        size_t n = 0, made;
        bool sent;

        if (asprintf(&texts[n], "MESSAGE=%s", message) >= 0)
                n++;
        if (n == 1 && asprintf(&texts[n], "PRIORITY=%d", priority) >= 0)
                n++;
        for (made = 2; n == made && fields->name && made < ARRAY_SIZE(texts); fields++, made++) {
                if (asprintf(&texts[n], "%s=%s", fields->name, fields->value) >= 0)
                        n++;
        }
        for (size_t i = 0; i < n; i++)
                parts[i] = (struct iovec){.iov_base = texts[i], .iov_len = strlen(texts[i])};
        sent = n == made && sd_journal_sendv(parts, (int)n) >= 0;
        for (size_t i = 0; i < n; i++)
                free(texts[i]);
        return sent;
}
#endif

void
events_init(void)
{
#if HAVE_SYSTEMD
        log_set_sink(log_is_to_journal() ? to_journal : NULL);
#endif
}
