/* SPDX-License-Identifier: MIT */
#include "supervisor/cpus.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

/* The first line of <root><path>/<file>; false when there is no such file. */
static bool
read_line(const char *root, const char *path, const char *file, char *buf, size_t size)
{
        char name[PATH_MAX];
        AUTO_FCLOSE FILE *f = NULL;

        if (snprintf(name, sizeof(name), "%s%s/%s", root, path, file) >= (int)sizeof(name))
                return false;
        f = fopen(name, "re");
        return f && fgets(buf, (int)size, f) != NULL;
}

/* The limit of one group, in CPUs; 0 is none. */
static double
limit_v2(const char *root, const char *path)
{
        char buf[64];
        double quota, period;

        if (!read_line(root, path, "cpu.max", buf, sizeof(buf)) || sscanf(buf, "%lf %lf", &quota, &period) != 2 ||
            period <= 0)
                return 0;
        return quota / period;
}

static double
limit_v1(const char *root, const char *path)
{
        char quota[64], period[64];

        if (!read_line(root, path, "cpu.cfs_quota_us", quota, sizeof(quota)) || atof(quota) <= 0 ||
            !read_line(root, path, "cpu.cfs_period_us", period, sizeof(period)) || atof(period) <= 0)
                return 0;
        return atof(quota) / atof(period);
}

/* The smallest limit from `path` up to the root of one hierarchy. */
static double
limit_upwards(double (*limit)(const char *root, const char *path), const char *root, const char *path)
{
        char at[PATH_MAX];
        double least = 0;

        snprintf(at, sizeof(at), "%s", path);
        for (;;) {
                double here = limit(root, strcmp(at, "/") == 0 ? "" : at);
                char *slash = strrchr(at, '/');

                if (here > 0 && (least == 0 || here < least))
                        least = here;
                if (!slash || at[0] == 0 || strcmp(at, "/") == 0)
                        return least;
                *(slash == at ? slash + 1 : slash) = 0;
        }
}

static bool
has_controller(const char *list, const char *name)
{
        size_t n = strlen(name);

        for (const char *p = list; p; p = strchr(p, ',')) {
                p += *p == ',';
                if (strncmp(p, name, n) == 0 && (p[n] == ',' || p[n] == 0))
                        return true;
                if (*p == 0)
                        break;
        }
        return false;
}

/* One line of /proc/self/cgroup: "0::/path" (v2) or "N:controllers:/path" (v1). */
static double
limit_of_line(char *line, const char *root)
{
        char base[PATH_MAX];
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
        double limit, other;

        if (!path)
                return 0;
        *path++ = 0;
        path[strcspn(path, "\n")] = 0;
        controllers++;
        if (*controllers == 0) {
                limit = limit_upwards(limit_v2, root, path);
                snprintf(base, sizeof(base), "%s/unified", root);
                other = limit_upwards(limit_v2, base, path);
        } else if (has_controller(controllers, "cpu")) {
                snprintf(base, sizeof(base), "%s/cpu", root);
                limit = limit_upwards(limit_v1, base, path);
                snprintf(base, sizeof(base), "%s/cpu,cpuacct", root);
                other = limit_upwards(limit_v1, base, path);
        } else {
                return 0;
        }
        return limit == 0 || (other > 0 && other < limit) ? other : limit;
}

double
cpus_quota(const char *proc_cgroup, const char *root)
{
        AUTO_FCLOSE FILE *f = fopen(proc_cgroup, "re");
        AUTO_FREE char *line = NULL;
        size_t size = 0;
        double least = 0;

        while (f && getline(&line, &size, f) > 0) {
                double limit = limit_of_line(line, root);

                if (limit > 0 && (least == 0 || limit < least))
                        least = limit;
        }
        return least;
}

unsigned
cpus_usable(const cpu_set_t *set, double quota)
{
        unsigned n = (unsigned)CPU_COUNT(set);

        if (quota > 0 && quota < n)
                n = (unsigned)quota;
        return MAX(n, 1);
}

char *
cpus_format(char *buf, size_t size, const cpu_set_t *set)
{
        size_t used = 0;

        buf[0] = 0;
        for (int i = 0; i < CPU_SETSIZE; i++) {
                int end = i;

                if (!CPU_ISSET(i, set))
                        continue;
                while (end + 1 < CPU_SETSIZE && CPU_ISSET(end + 1, set))
                        end++;
                used += (size_t)snprintf(buf + used, size - used, end > i ? "%s%d-%d" : "%s%d", used ? "," : "", i,
                                         end);
                if (used >= size)
                        break;
                i = end;
        }
        return buf;
}

json_t *
cpus_to_json(const cpu_set_t *set)
{
        json_t *array = json_array();

        for (int i = 0; i < CPU_SETSIZE; i++) {
                if (CPU_ISSET(i, set))
                        json_array_append_new(array, json_integer(i));
        }
        return array;
}
