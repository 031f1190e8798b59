/* SPDX-License-Identifier: MIT */
#include "supervisor/notify.h"

#include "build-config.h"
#include "shared/clock.h"

#include <stdarg.h>

#if HAVE_SYSTEMD
#include <systemd/sd-daemon.h>

static void
tell(const char *state)
{
        sd_notify(0, state);
}

uint64_t
notify_watchdog_interval_ns(void)
{
        uint64_t us = 0;

        return sd_watchdog_enabled(0, &us) > 0 ? us * NS_PER_US / 2 : 0;
}
#else
static void
tell(const char *state)
{
        (void)state;
}

uint64_t
notify_watchdog_interval_ns(void)
{
        return 0;
}
#endif

void
notify_ready(void)
{
        tell("READY=1");
}

void
notify_reloading(void)
{
        char buf[96];

        snprintf(buf, sizeof(buf), "RELOADING=1\nMONOTONIC_USEC=%llu",
                 (unsigned long long)(clock_now_ns() / NS_PER_US));
        tell(buf);
}

void
notify_stopping(void)
{
        tell("STOPPING=1");
}

void
notify_watchdog(void)
{
        tell("WATCHDOG=1");
}

void
notify_status(const char *fmt, ...)
{
        char buf[512] = "STATUS=";
        va_list args;

        va_start(args, fmt);
        vsnprintf(buf + 7, sizeof(buf) - 7, fmt, args);
        va_end(args);
        tell(buf);
}
