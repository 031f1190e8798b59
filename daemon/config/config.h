/* SPDX-License-Identifier: MIT */
/*
 * The configuration of the daemon: one table of keys (CONFIG_KEYS), from which parsing, checking, the printed
 * default file and the documentation derive. The only user of inih.
 *
 * The file: [section], key = value, comments on lines of their own with # or ;. No continuation lines; blanks
 * around a line mean nothing. A line of more than 199 bytes (what inih can hold), a NUL, an unknown section or key,
 * or a key given twice is an error: nothing in a file is ignored silently.
 *
 * A struct config is a plain value of its owner: no locks, no globals; use one in one thread at a time.
 */
#ifndef CONCD_CONFIG_H
#define CONCD_CONFIG_H

#include "config/id-list.h"
#include "shared/base.h"

#include <stdbool.h>

/* One row per key: section, key, C member, type, minimum, maximum, default, reload, help.
 * Types: COUNT (quantity_parse_count), DURATION (ns), MODE (octal), BOOL (yes, no), LEVEL (log level), STRING
 * (minimum and maximum are its length in bytes), USERS and GROUPS (of the number of entries; id_list_parse()).
 * reload: LIVE keys take effect on SIGHUP for jobs submitted afterwards, RESTART keys at the next start. */
/* clang-format off */
#define CONFIG_KEYS(X) \
        X(daemon, instance, instance, STRING, 1, 32, "system", RESTART, \
          "name of this daemon in the names of its segment and semaphores") \
        X(daemon, socket, socket, STRING, 1, 107, "/run/concd/concd.sock", RESTART, "path of the control socket") \
        X(daemon, socket_mode, socket_mode, MODE, 0, 0777, "0660", RESTART, "permissions of the control socket") \
        X(daemon, log_level, log_level, LEVEL, 0, 0, "info", LIVE, "messages of less weight are not logged") \
        X(daemon, idle_exit, idle_exit_ns, DURATION, 0, 86400000000000, "0", LIVE, \
          "leave after this time without clients, jobs and unfetched results; 0 is never") \
        X(pool, processes, processes, COUNT, 0, 256, "0", RESTART, \
          "process workers kept ready; 0 is one for each CPU that affinity and cgroup quota allow") \
        X(pool, threads, threads, COUNT, 0, 256, "0", RESTART, \
          "thread workers kept ready in the thread host; 0 as for processes") \
        X(pool, max_workers, max_workers, COUNT, 1, 256, "64", RESTART, "the most workers that one job can ask for") \
        X(pool, max_at_once, max_at_once, COUNT, 1, 32768, "4096", LIVE, \
          "the most tasks that --spawn=per-task --workers=0 starts all at once") \
        X(pool, parked_thread, parked_thread, BOOL, 0, 0, "yes", RESTART, \
          "keep one idle thread in every process worker, so that libc and kernel take the same paths as in " \
          "thread mode") \
        X(pool, core_files, core_files, BOOL, 0, 0, "no", RESTART, "may a worker that crashes leave a core file?") \
        X(jobs, ledger_chunks, ledger_chunks, COUNT, 64, 1048576, "16384", RESTART, \
          "lines of the task ledger, 64 bytes each") \
        X(jobs, max_restarts, max_restarts, COUNT, 0, 1000000000, "1000", LIVE, \
          "workers killed from outside within one run before it is ended as failed") \
        X(jobs, max_kills_in_vain, max_kills_in_vain, COUNT, 1, 1000000000, "20", LIVE, \
          "of these, how many in a row without a task done in between") \
        X(jobs, deadline, deadline_ns, DURATION, 0, 31536000000000000, "1h", LIVE, \
          "deadline of a job that names none, from its start, and the longest that one may name whose caller does " \
          "not administer; 0 is none") \
        X(jobs, queue, queue_limit, COUNT, 1, 100000, "64", LIVE, "jobs that may wait, of all users together") \
        X(jobs, queue_per_user, queue_per_user, COUNT, 1, 100000, "16", LIVE, "jobs that may wait, of one user") \
        X(jobs, tasks_per_user, tasks_per_user, COUNT, 0, 1000000000000000000, "0", LIVE, \
          "tasks and trials of one user in all unfinished jobs, with warm-up and all rounds; 0 is no limit") \
        X(jobs, duration_per_user, duration_per_user_ns, DURATION, 0, 31536000000000000, "0", LIVE, \
          "the same for runs by duration, which have no number of tasks: their durations together; 0 is no limit") \
        X(jobs, keep_results, keep_results, COUNT, 1, 10000, "64", LIVE, \
          "finished jobs that are kept, of all users together; of more, the oldest goes of the user who has most") \
        X(jobs, heartbeat, heartbeat_ns, DURATION, 0, 3600000000000, "5s", LIVE, \
          "a worker that is stopped, or holds the guard, is killed after this time without a sign of life; " \
          "0 is never") \
        X(jobs, reattach, reattach_ns, DURATION, 10000000, 604800000000000, "10s", LIVE, \
          "how long a job whose callers were lost with a killed daemon waits for somebody to ask for it") \
        X(jobs, keep_unfetched, keep_unfetched_ns, DURATION, 1000000000, 604800000000000, "15min", LIVE, \
          "how long a result that its owner did not fetch keeps a daemon with idle_exit alive") \
        X(clients, connections, connections, COUNT, 1, 100000, "256", LIVE, "connections, of all users together") \
        X(clients, connections_per_user, connections_per_user, COUNT, 1, 100000, "64", LIVE, \
          "connections of one user") \
        X(clients, reserved, connections_reserved, COUNT, 0, 100000, "8", LIVE, \
          "connections, of all, that are kept for root, the daemon's own user and access.admin_*; never more than " \
          "half") \
        X(clients, max_message, max_message, COUNT, 1024, 1048576, "262144", LIVE, "bytes of one request") \
        X(clients, max_unread, max_unread, COUNT, 65536, 1073741824, "4194304", LIVE, \
          "bytes of replies that a client may leave unread before it is dropped") \
        X(clients, request_timeout, request_timeout_ns, DURATION, 100000000, 3600000000000, "30s", LIVE, \
          "time for a client to finish a request it began, and to read what it was sent") \
        X(metrics, socket, metrics_socket, STRING, 0, 107, "", RESTART, \
          "path of a socket that answers HTTP requests of /metrics, such as /run/concd/metrics.sock; empty is none") \
        X(metrics, socket_mode, metrics_socket_mode, MODE, 0, 0777, "0660", RESTART, "permissions of that socket") \
        X(access, submit_users, submit_users, USERS, 0, 64, "", LIVE, \
          "who may submit jobs, beside those of submit_groups and who may administer; when both are empty, everybody " \
          "who can connect to the socket") \
        X(access, submit_groups, submit_groups, GROUPS, 0, 64, "", LIVE, "whose members may submit jobs") \
        X(access, admin_users, admin_users, USERS, 0, 64, "", LIVE, \
          "who may see and cancel jobs of others and stop the daemon, beside root and the daemon's own user") \
        X(access, admin_groups, admin_groups, GROUPS, 0, 64, "", LIVE, "whose members may do that, too")

/* clang-format on */

struct config {
/* COUNT, DURATION and MODE are uint64_t, BOOL bool, LEVEL int (enum log_level), STRING char * (owned, never NULL),
 * USERS and GROUPS lists of numbers. */
#define CONFIG_TYPE_COUNT                                          uint64_t
#define CONFIG_TYPE_DURATION                                       uint64_t
#define CONFIG_TYPE_MODE                                           uint64_t
#define CONFIG_TYPE_BOOL                                           bool
#define CONFIG_TYPE_LEVEL                                          int
#define CONFIG_TYPE_STRING                                         char *
#define CONFIG_TYPE_USERS                                          struct id_list
#define CONFIG_TYPE_GROUPS                                         struct id_list
#define X(section, key, member, type, min, max, def, reload, help) CONFIG_TYPE_##type member;
        CONFIG_KEYS(X)
#undef X
};

/* Fills in the defaults. 0 or -ENOMEM; on success the caller calls config_deinit(). */
int config_init(struct config *c);

/* Frees what c owns, not c. */
void config_deinit(struct config *c);

/* Reads a file over what is set already. 0; -errno when it cannot be read; -EINVAL when it is wrong; -EAGAIN when the
 * user database could not be asked; -ENOMEM. On every failure c is as before: nothing is half applied; and *ret_message
 * is malloc'ed, one line without its line feed, or NULL when memory is out. It names file, line, key, what was given
 * and what is allowed:
 *     etc/concd.conf:12: pool.threads: given "x", allowed 0 to 256
 * Keys that limit each other (pool.threads is at most pool.max_workers) are checked after the last line. */
int config_load(struct config *c, const char *path, char **ret_message);

/* Sets one value, "section.key" = value, as --set does. Errors as config_load(), without file and line. Whether
 * keys fit each other is config_check()'s, so that the order of settings does not matter. */
int config_set(struct config *c, const char *name, const char *value, char **ret_message);

/* Do the keys fit each other, however they were set? config_load() checks its own file. 0; or -EINVAL with
 * *ret_message as config_set(). */
int config_check(const struct config *c, char **ret_message);

/* Takes the LIVE keys of `from`, which stays the caller's. 0; or -ENOMEM, and c is as before. *ret_ignored is NULL, or
 * malloc'ed and lists the keys that differ but need a restart, as "pool.processes, pool.threads". */
int config_reload(struct config *c, const struct config *from, char **ret_ignored);

/* Writes the default file, with every key, its help, range, default, and whether SIGHUP applies it. etc/concd.conf is
 * this. 0, or -errno of the first write that failed (f is flushed, not closed). */
int config_print(FILE *f);

#endif
