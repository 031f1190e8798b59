/* SPDX-License-Identifier: MIT */
#include "ctl/job_table.h"

#include "ctl/field.h"
#include "ctl/job_id.h"
#include "ctl/table.h"
#include "ctl/text.h"

#include <errno.h>

static const struct table_column columns[] = {
        {"JOB"},
        {"STATE"},
        {"PROGRESS", .is_right = true},
        {"AGE", .is_right = true},
        {"USER"},
        {"WHAT", .is_wrapped = true},
        {NULL},
};

static void
format_age(char *buf, size_t size, double s)
{
        if (s < 0)
                s = 0;
        if (s < 120)
                snprintf(buf, size, "%.0f s", s);
        else if (s < 7200)
                snprintf(buf, size, "%.0f min", s / 60);
        else
                snprintf(buf, size, "%.1f h", s / 3600);
}

static void
format_progress(char *buf, size_t size, const json_t *p)
{
        int64_t total = field_int(p, "total");
        char done[48];

        if (!json_is_object(p))
                snprintf(buf, size, "%s", "");
        else if (field_is_set(p, "position"))
                snprintf(buf, size, "position %lld", (long long)field_int(p, "position"));
        else if (total > 0)
                snprintf(buf, size, "%.0f %%", 100.0 * (double)field_int(p, "done") / (double)total);
        else
                snprintf(buf, size, "%s done", text_count(done, sizeof(done), field_int(p, "done")));
}

int
job_table_print(const json_t *jobs, double now_s, const char *indent, FILE *f)
{
        AUTO_TABLE struct table *table = table_new(columns);
        char id[JOB_ID_DIGITS + 1], progress[64], age[48], what[320];
        size_t i;
        json_t *job;
        int r;

        if (!table)
                return -ENOMEM;
        json_array_foreach(jobs, i, job)
        {
                const char *reason = field_text(job, "reason");

                snprintf(id, sizeof(id), "%.*s", JOB_ID_SHORT, field_text(job, "id"));
                format_progress(progress, sizeof(progress), json_object_get(job, "progress"));
                format_age(age, sizeof(age), now_s - field_real(job, "submitted"));
                snprintf(what, sizeof(what), "%s%s%s%s", field_text(job, "summary"), *reason ? " (" : "", reason,
                         *reason ? ")" : "");
                r = table_add(table, (const char *const[]){id, field_text(job, "state"), progress, age,
                                                           field_text(job, "user"), what});
                if (r < 0)
                        return r;
        }
        return table_print(table, indent, f);
}
