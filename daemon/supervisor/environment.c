/* SPDX-License-Identifier: MIT */
#include "supervisor/environment.h"

#include "supervisor/cpus.h"
#include "supervisor/fields.h"

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
environment_steal_s(const cpu_set_t *cpus)
{
        AUTO_FCLOSE FILE *f = fopen("/proc/stat", "re");
        AUTO_FREE char *line = NULL;
        unsigned long long steal, sum = 0;
        size_t size = 0;
        int cpu;

        /* The lines of the CPUs come first. */
        while (f && getline(&line, &size, f) > 0 && strncmp(line, "cpu", 3) == 0) {
                if (sscanf(line, "cpu%d %*u %*u %*u %*u %*u %*u %*u %llu", &cpu, &steal) == 2 && cpu >= 0 &&
                    cpu < CPU_SETSIZE && CPU_ISSET(cpu, cpus))
                        sum += steal;
        }
        return (double)sum / (double)sysconf(_SC_CLK_TCK);
}

/* What cpufreq tells, or else the lines "cpu MHz" of /proc/cpuinfo. */
static double
read_frequencies(double *ret_sum)
{
        double n = 0, mhz;
        char path[96], buf[32];

        *ret_sum = 0;
        for (long i = 0; i < sysconf(_SC_NPROCESSORS_CONF); i++) {
                snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%ld/cpufreq/scaling_cur_freq", i);
                if (!read_word(path, buf, sizeof(buf)))
                        continue;
                *ret_sum += strtod(buf, NULL) / 1000;
                n++;
        }
        if (n == 0) {
                AUTO_FCLOSE FILE *f = fopen("/proc/cpuinfo", "re");
                AUTO_FREE char *line = NULL;
                size_t size = 0;

                while (f && getline(&line, &size, f) > 0) {
                        if (sscanf(line, "cpu MHz : %lf", &mhz) != 1)
                                continue;
                        *ret_sum += mhz;
                        n++;
                }
        }
        return n;
}

double
environment_mhz(void)
{
        double sum, n = read_frequencies(&sum);

        return n > 0 ? sum / n : 0;
}

static const char *
sanitizer(void)
{
#ifdef SANITIZER
        return SANITIZER;
#else
        return NULL;
#endif
}

static void
put_machine(json_t *o)
{
        char cpu[128], flags[8192], governor[64];
        struct utsname uts;
        bool governed = read_word("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", governor, sizeof(governor));

        uname(&uts);
        read_cpuinfo("model name", cpu, sizeof(cpu));
        read_cpuinfo("flags", flags, sizeof(flags));
        put_string(o, "kernel", uts.release);
        put_string(o, "machine", uts.machine);
        put_string(o, "cpu", cpu);
        put_integer(o, "cpus_online", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
        put_string(o, "governor", governed ? governor : NULL);
        put_bool(o, "hypervisor", strstr(flags, " hypervisor") != NULL);
}

json_t *
environment_describe(const cpu_set_t *cpus, double quota_cpus, bool parked_thread, double steal_s)
{
        json_t *o = json_object();
        double load = 0, mhz = environment_mhz();
        char libc[64];

        snprintf(libc, sizeof(libc), "glibc %s", gnu_get_libc_version());
        if (getloadavg(&load, 1) != 1)
                load = 0;
        put_string(o, "concd", CONCD_VERSION);
        put_machine(o);
        put_json(o, "cpus", cpus_to_json(cpus));
        put_json(o, "quota_cpus", quota_cpus > 0 ? json_real(quota_cpus) : json_null());
        put_string(o, "libc", libc);
        put_string(o, "compiler", COMPILER);
        put_string(o, "clock", "CLOCK_MONOTONIC");
        put_real(o, "load_1min", load);
        put_real(o, "steal_s", steal_s);
        put_bool(o, "parked_thread", parked_thread);
        put_string(o, "start_barrier", "spin-futex");
        put_json(o, "mhz", mhz > 0 ? json_real(mhz) : json_null());
        put_string(o, "sanitizer", sanitizer());
        return o;
}
