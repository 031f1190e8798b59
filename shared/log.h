/* SPDX-License-Identifier: MIT */
/*
 * Messages to stderr, one line each, at or above a level. Under systemd (JOURNAL_STREAM set) each line begins
 * with the "<N>" that the journal reads, else with time and level. A line goes out in one write(2), so lines of
 * several processes do not mix. Thread safe once log_init() returned; not async-signal safe.
 *
 * A failure is logged once, where it arises.
 */
#ifndef CONCD_LOG_H
#define CONCD_LOG_H

#include "base.h"

enum log_level { LOG_LEVEL_ALERT, LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* `program` is put before every message and must stay valid. */
void log_init(const char *program, enum log_level level);
void log_set_level(enum log_level level);

void log_write(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* alert: a broken invariant, something that a test must never see. */
#define log_alert(...) log_write(LOG_LEVEL_ALERT, __VA_ARGS__)
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
