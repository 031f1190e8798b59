/* SPDX-License-Identifier: MIT */
#include "ctl/answer.h"
#include "ctl/exit_code.h"
#include "ctl/field.h"
#include "ctl/job_table.h"
#include "ctl/message.h"
#include "ctl/table.h"
#include "ctl/text.h"
#include "shared/quantity.h"

#include <errno.h>
#include <time.h>

extern const struct command command_status;

static const struct table_column worker_columns[] = {
        {"SLOT", .is_right = true},
        {"KIND"},
        {"PID", .is_right = true},
        {"TID", .is_right = true},
        {"STATE"},
        {"TASKS", .is_right = true},
        {"JOB"},
        {NULL},
};

static const struct table_column semaphore_columns[] = {
        {"PURPOSE"}, {"VALUE", .is_right = true}, {"MODE"}, {"PATH"}, {NULL},
};

static void
print_daemon(const json_t *p)
{
        const json_t *d = json_object_get(p, "daemon"), *segment = json_object_get(p, "segment");
        const json_t *pss = json_object_get(json_object_get(p, "memory"), "pss_bytes");
        char a[64];

        text_printf(stdout, "concd %s · pid %lld · %s · %s, up %s\n", field_text(d, "version"),
                    (long long)field_int(d, "pid"), field_bool(d, "private") ? "private" : "of the system",
                    field_text(d, "state"),
                    quantity_format_duration(a, sizeof(a), field_real(d, "uptime_s") * (double)NS_PER_S));
        text_printf(stdout, "  instance  %s, generation %lld", field_text(d, "instance"),
                    (long long)field_int(d, "generation"));
        text_printf(stdout, ", %s\n", text_plural(a, sizeof(a), field_int(d, "restarts"), "worker restart"));
        text_printf(stdout, "  socket    %s, %s\n", field_text(d, "socket"),
                    text_plural(a, sizeof(a), field_int(d, "clients"), "client"));
        if (field_is_set(d, "config"))
                text_printf(stdout, "  config    %s\n", field_text(d, "config"));
        text_printf(stdout, "  queue     %lld of %lld", (long long)field_int(d, "queue"),
                    (long long)field_int(d, "queue_limit"));
        text_printf(stdout, ", %s finished\n", text_plural(a, sizeof(a), field_int(d, "jobs_finished"), "job"));
        text_printf(stdout, "  segment   %s, %s, mode %s\n", field_text(segment, "path"),
                    quantity_format_bytes(a, sizeof(a), (uint64_t)field_int(segment, "bytes")),
                    field_text(segment, "mode"));
        if (json_is_integer(pss))
                text_printf(stdout, "  memory    %s, all processes together\n",
                            quantity_format_bytes(a, sizeof(a), (uint64_t)json_integer_value(pss)));
}

static int
print_workers(const json_t *workers)
{
        AUTO_TABLE struct table *table = table_new(worker_columns);
        char slot[24], pid[24], tid[24], tasks[48], job[16];
        size_t i;
        json_t *w;
        int r;

        if (!table)
                return -ENOMEM;
        json_array_foreach(workers, i, w)
        {
                snprintf(slot, sizeof(slot), "%lld", (long long)field_int(w, "slot"));
                snprintf(pid, sizeof(pid), "%lld", (long long)field_int(w, "pid"));
                snprintf(tid, sizeof(tid), "%lld", (long long)field_int(w, "tid"));
                snprintf(job, sizeof(job), "%.12s", field_text(w, "job"));
                text_count(tasks, sizeof(tasks), field_int(w, "tasks"));
                r = table_add(table, (const char *const[]){slot, field_text(w, "kind"), pid, tid,
                                                           field_text(w, "state"), tasks, job});
                if (r < 0)
                        return r;
        }
        text_printf(stdout, "\nWorkers\n");
        return table_print(table, "  ", stdout);
}

static int
print_semaphores(const json_t *semaphores)
{
        AUTO_TABLE struct table *table = table_new(semaphore_columns);
        char value[24];
        size_t i;
        json_t *s;
        int r;

        if (!table)
                return -ENOMEM;
        json_array_foreach(semaphores, i, s)
        {
                snprintf(value, sizeof(value), "%lld", (long long)field_int(s, "value"));
                r = table_add(table, (const char *const[]){field_text(s, "purpose"), value, field_text(s, "mode"),
                                                           field_text(s, "path")});
                if (r < 0)
                        return r;
        }
        text_printf(stdout, "\nSemaphores\n");
        return table_print(table, "  ", stdout);
}

static int
print_jobs(const json_t *jobs)
{
        if (json_array_size(jobs) == 0)
                return 0;
        text_printf(stdout, "\nJobs\n");
        return job_table_print(jobs, (double)time(NULL), "  ", stdout);
}

static int
show_status(const struct args *args)
{
        struct answer a;
        int r = answer_get(args, CLIENT_ONLY_RUNNING, "org.concd.Status", NULL, &a);

        if (r != 0)
                return r;
        if (args_has(args, "json")) {
                answer_put_json(&a.reply, a.raw, a.raw_len, NULL);
        } else {
                print_daemon(a.reply.parameters);
                r = print_workers(json_object_get(a.reply.parameters, "workers"));
                if (r == 0)
                        r = print_semaphores(json_object_get(a.reply.parameters, "semaphores"));
                if (r == 0)
                        r = print_jobs(json_object_get(a.reply.parameters, "jobs"));
                if (r < 0)
                        r = message_fail(CTL_EXIT_INTERNAL, "out of memory");
        }
        answer_deinit(&a);
        return r;
}

const struct command command_status = {
        .name = "status",
        .summary = "Show the daemon: its workers, jobs, shared memory and semaphores",
        .options = command_options_of_question,
        .exec = show_status,
};
