/* SPDX-License-Identifier: MIT */
/*
 * Messages to stderr, one line each, at or above a level. When stderr is the journal's (JOURNAL_STREAM names it; an
 * inherited JOURNAL_STREAM that means another descriptor does not count) each line begins with the "<N>" that the
 * journal reads, else with the time in UTC and the level: "2026-01-31T12:00:00.123Z ERROR concd: …". A line goes
 * out in one write(2), so lines of several processes do not mix. Line feeds and other controls (controls.h)
 * within a message become blanks; a line longer than LOG_LINE_MAX is cut and ends with "...".
 *
 * Thread safe once log_init() returned, and usable in a child forked from a process with several threads (it takes no
 * lock and allocates nothing); not async-signal safe. errno is kept, and %m prints it. Nothing is returned: a
 * message that cannot be written is lost.
 *
 * A failure is logged once, where it arises.
 */
#ifndef CONCD_LOG_H
#define CONCD_LOG_H

#include "base.h"

#include <stdbool.h>

#define LOG_LINE_MAX 2048 /* bytes, with the line feed */

/* In order of falling weight. */
enum log_level { LOG_LEVEL_ALERT, LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

#define LOG_LEVELS 5

/* `program` is put before every message and must stay valid. Looks at stderr: call it again when stderr was replaced,
 * but never while another thread logs. Without it there is no program name and the level is info. */
void log_init(const char *program, enum log_level level);

/* Messages of lesser weight than `level` are dropped from now on. At any time, from any thread. */
void log_set_level(enum log_level level);

/* "alert", "error", "warning", "info" or "debug": a static text. */
const char *log_level_name(enum log_level level);

/* Is stderr the journal's? */
bool log_is_to_journal(void);

void log_write(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* What programs read of an event: a name of A-Z, 0-9 and '_' that begins with a letter, and its value. */
struct log_field {
        const char *name, *value;
};

/* Takes an event with its fields, which end with one whose name is NULL; `priority` is that of syslog(3). The message
 * has no line feed. False: it could not be taken. */
typedef bool log_sink(int priority, const char *message, const struct log_field *fields);

/* From now on events go to `sink`; NULL, as at first: to stderr, without their fields. */
void log_set_sink(log_sink *sink);

/* An event: a message for people that has fields for programs. Without a sink, or when that cannot take it, as
 * log_write(). In the process's first thread only, and not in a child. */
void log_event(enum log_level level, const struct log_field *fields, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* alert: a broken invariant, something that a test must never see. */
#define log_alert(...)   log_write(LOG_LEVEL_ALERT, __VA_ARGS__)
#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
