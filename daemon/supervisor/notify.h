/* SPDX-License-Identifier: MIT */
/* What the service manager is told (sd_notify). Does nothing where there is none. */
#ifndef CONCD_NOTIFY_H
#define CONCD_NOTIFY_H

#include "shared/base.h"

#include <stdint.h>

void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);
void notify_watchdog(void);
void notify_status(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* How often notify_watchdog() is expected, or 0. */
uint64_t notify_watchdog_interval_ns(void);

#endif
