/* SPDX-License-Identifier: MIT */
#include "shared/log.h"

#include "shared/controls.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const struct {
        const char *name;
        const char *tag;
        int priority; /* of syslog(3), as the journal reads it */
} levels[] = {
        [LOG_LEVEL_ALERT] = {"alert", "ALERT", 1},       [LOG_LEVEL_ERROR] = {"error", "ERROR", 3},
        [LOG_LEVEL_WARNING] = {"warning", "WARNING", 4}, [LOG_LEVEL_INFO] = {"info", "INFO", 6},
        [LOG_LEVEL_DEBUG] = {"debug", "DEBUG", 7},
};
_Static_assert(ARRAY_SIZE(levels) == LOG_LEVELS, "one row for each level");

/* Written by log_init() while nobody logs; only the level changes later, and it guards no other data. */
static const char *log_program;
static bool log_to_journal;
static log_sink *log_events;
static int log_level = LOG_LEVEL_INFO;

/* JOURNAL_STREAM is "<device>:<inode>" of the stream that systemd connected; see systemd.exec(5). */
static bool
stderr_is_journal(void)
{
        const char *stream = getenv("JOURNAL_STREAM");
        struct stat st;
        char own[64];

        if (!stream || fstat(STDERR_FILENO, &st) < 0)
                return false;
        snprintf(own, sizeof(own), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
        return strcmp(stream, own) == 0;
}

void
log_init(const char *program, enum log_level level)
{
        log_program = program;
        log_to_journal = stderr_is_journal();
        log_set_level(level);
}

void
log_set_level(enum log_level level)
{
        __atomic_store_n(&log_level, (int)level, __ATOMIC_RELAXED);
}

void
log_set_sink(log_sink *sink)
{
        log_events = sink;
}

bool
log_is_to_journal(void)
{
        return log_to_journal;
}

const char *
log_level_name(enum log_level level)
{
        assert((unsigned)level < LOG_LEVELS);
        return levels[level].name;
}

/* By hand, because gmtime_r(3) takes a lock that another thread may have held at the time of a fork. The calendar
 * is counted from 1 March 0000 in eras of 400 years (146 097 days), so that the leap day is a year's last. */
static size_t
format_time(char *buf, size_t size)
{
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);

        unsigned s = (unsigned)(now.tv_sec % 86400);
        unsigned days = (unsigned)(now.tv_sec / 86400) + 719468;
        unsigned era = days / 146097, day = days % 146097;
        unsigned year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
        unsigned yday = day - (365 * year + year / 4 - year / 100);
        unsigned m = (5 * yday + 2) / 153;
        unsigned month = m < 10 ? m + 3 : m - 9;

        return (size_t)snprintf(buf, size, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", year + era * 400 + (month <= 2),
                                month, yday - (153 * m + 2) / 5 + 1, s / 3600, s / 60 % 60, s % 60,
                                (unsigned)(now.tv_nsec / (long)NS_PER_MS));
}

/* What stands before the message; at most half of the line. */
static size_t
format_prefix(char *line, size_t size, enum log_level level)
{
        size_t n = 0;

        if (log_to_journal)
                n = (size_t)snprintf(line, size, "<%d>", levels[level].priority);
        else {
                n = format_time(line, size);
                n += (size_t)snprintf(line + n, size - n, " %s ", levels[level].tag);
        }
        if (log_program)
                n += (size_t)snprintf(line + n, size - n, "%s: ", log_program);
        return MIN(n, size - 1);
}

static void
write_whole(const char *line, size_t len)
{
        while (len > 0) {
                ssize_t n = write(STDERR_FILENO, line, len);

                if (n < 0 && errno != EINTR)
                        return;
                if (n > 0) {
                        line += n;
                        len -= (size_t)n;
                }
        }
}

static bool
is_wanted(enum log_level level)
{
        return (int)level <= __atomic_load_n(&log_level, __ATOMIC_RELAXED);
}

/* The message as it goes out; returns its length. */
static size_t format_message(char *buf, size_t room, const char *fmt, va_list ap) PRINTF_LIKE(3, 0);

static size_t
format_message(char *buf, size_t room, const char *fmt, va_list ap)
{
        int n = vsnprintf(buf, room, fmt, ap);
        size_t end = n < 0 ? 0 : MIN((size_t)n, room - 1);

        if (n > 0 && (size_t)n >= room)
                memcpy(buf + end - 3, "...", 3);
        controls_replace(buf, end, ' ');
        buf[end] = 0;
        return end;
}

static void write_line(enum log_level level, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

static void
write_line(enum log_level level, const char *fmt, va_list ap)
{
        char line[LOG_LINE_MAX + 1];
        int saved_errno = errno;
        size_t end = format_prefix(line, LOG_LINE_MAX / 2, level);

        errno = saved_errno;
        end += format_message(line + end, LOG_LINE_MAX - end, fmt, ap);
        line[end++] = '\n';
        write_whole(line, end);
        errno = saved_errno;
}

void
log_write(enum log_level level, const char *fmt, ...)
{
        va_list ap;

        if (!is_wanted(level))
                return;
        va_start(ap, fmt);
        write_line(level, fmt, ap);
        va_end(ap);
}

static bool give_to_sink(enum log_level level, const struct log_field *fields, const char *fmt, va_list ap)
        PRINTF_LIKE(3, 0);

static bool
give_to_sink(enum log_level level, const struct log_field *fields, const char *fmt, va_list ap)
{
        char message[LOG_LINE_MAX];

        if (!log_events)
                return false;
        format_message(message, sizeof(message), fmt, ap);
        return log_events(levels[level].priority, message, fields);
}

void
log_event(enum log_level level, const struct log_field *fields, const char *fmt, ...)
{
        int saved_errno = errno;
        va_list ap;
        bool taken;

        if (!is_wanted(level))
                return;
        va_start(ap, fmt);
        taken = give_to_sink(level, fields, fmt, ap);
        va_end(ap);
        errno = saved_errno;
        if (taken)
                return;
        va_start(ap, fmt);
        write_line(level, fmt, ap);
        va_end(ap);
}
