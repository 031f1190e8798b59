/* SPDX-License-Identifier: MIT */
#include "supervisor/environment.h"

#include "supervisor/cpus.h"

#include <gnu/libc-version.h>
#include <string.h>
#include <sys/utsname.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZER "address"
#elif defined(__SANITIZE_THREAD__)
#define SANITIZER "thread"
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZER "address"
#elif __has_feature(thread_sanitizer)
#define SANITIZER "thread"
#endif
#endif

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

/* The value of the first line "key ... : value" of /proc/cpuinfo; "" when there is none. */
static void
read_cpuinfo(const char *key, char *buf, size_t size)
{
        AUTO_FCLOSE FILE *f = fopen("/proc/cpuinfo", "re");
        AUTO_FREE char *line = NULL;
        size_t line_size = 0;

        buf[0] = 0;
        while (f && getline(&line, &line_size, f) > 0) {
                char *colon = strchr(line, ':');

                if (!colon || strncmp(line, key, strlen(key)) != 0)
                        continue;
                snprintf(buf, size, "%s", colon + 1 + (colon[1] == ' '));
                buf[strcspn(buf, "\n")] = 0;
                return;
        }
}

static bool
read_word(const char *path, char *buf, size_t size)
{
        AUTO_FCLOSE FILE *f = fopen(path, "re");

        if (!f || !fgets(buf, (int)size, f))
                return false;
        buf[strcspn(buf, "\n")] = 0;
        return true;
}

double
environment_steal_s(void)
{
        AUTO_FCLOSE FILE *f = fopen("/proc/stat", "re");
        unsigned long long steal = 0;

        if (!f || fscanf(f, "cpu %*u %*u %*u %*u %*u %*u %*u %llu", &steal) != 1)
                return 0;
        return (double)steal / (double)sysconf(_SC_CLK_TCK);
}

static json_t *
governor(void)
{
        char buf[64];

        if (!read_word("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", buf, sizeof(buf)))
                return json_null();
        return json_string(buf);
}

static json_t *
sanitizer(void)
{
#ifdef SANITIZER
        return json_string(SANITIZER);
#else
        return json_null();
#endif
}

json_t *
environment_describe(const cpu_set_t *cpus, double quota_cpus, bool parked_thread, double steal_s)
{
        char cpu[128], flags[8192], libc[64];
        struct utsname uts;
        double load = 0;

        uname(&uts);
        read_cpuinfo("model name", cpu, sizeof(cpu));
        read_cpuinfo("flags", flags, sizeof(flags));
        snprintf(libc, sizeof(libc), "glibc %s", gnu_get_libc_version());
        if (getloadavg(&load, 1) != 1)
                load = 0;
        return json_pack("{s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:b, s:s, s:s, s:s, s:f, s:f, s:b, s:s, s:o}",
                         "concd", CONCD_VERSION, "kernel", uts.release, "machine", uts.machine, "cpu", cpu,
                         "cpus_online", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "cpus", cpus_to_json(cpus),
                         "quota_cpus", quota_cpus > 0 ? json_real(quota_cpus) : json_null(), "governor", governor(),
                         "hypervisor", strstr(flags, " hypervisor") != NULL, "libc", libc, "compiler", COMPILER, "clock",
                         "CLOCK_MONOTONIC", "load_1min", load, "steal_s", steal_s, "parked_thread", parked_thread,
                         "start_barrier", "spin-futex", "sanitizer", sanitizer());
}
