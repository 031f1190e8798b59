/* SPDX-License-Identifier: MIT */
#include "supervisor/supervisor.h"

#include "segment/segment.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "supervisor/cpus.h"
#include "supervisor/notify.h"
#include "workloads/workloads.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

/* After the last job ended, how long a leaving daemon waits for clients to read what they were sent. */
#define LEAVE_PATIENCE_MS 1000
#define LEAVE_POLL_MS     5

/* ── configuration ── */

static void
apply_live_config(struct supervisor *s)
{
        const struct service_limits limits = {
                .connections = s->config.connections,
                .connections_per_user = s->config.connections_per_user,
                .max_message = s->config.max_message,
                .max_unread = s->config.max_unread,
                .request_timeout_ns = s->config.request_timeout_ns,
        };

        log_set_level(s->config.log_level);
        service_set_limits(s->service, &limits);
}

/* SIGHUP: reads again what was read at the start. A file that is wrong changes nothing. */
static void
reload(struct supervisor *s)
{
        AUTO_FREE char *path = NULL, *ignored = NULL;
        struct config fresh;

        notify_reloading();
        if (settings_load(&s->options, &fresh, &path) != 0) {
                log_error("the configuration stays as it was");
        } else {
                if (config_reload(&s->config, &fresh, &ignored) == 0) {
                        apply_live_config(s);
                        log_info("%s reloaded", path ? path : "no file, so the defaults");
                }
                if (ignored)
                        log_warning("these keys change only at the next start: %s", ignored);
                config_deinit(&fresh);
        }
        notify_ready();
        supervisor_consider_idle(s);
}

/* ── leaving ── */

/* When the last job has ended and everybody has read what he was sent, or has had the time to. */
static bool
leaving_is_done(struct supervisor *s)
{
        if (s->queue.running)
                return false;
        if (s->jobs_over_ns == 0)
                s->jobs_over_ns = clock_now_ns();
        return !service_is_busy(s->service) || clock_now_ns() - s->jobs_over_ns > LEAVE_PATIENCE_MS * NS_PER_MS;
}

static void
on_leave_poll(evutil_socket_t fd, short what, void *arg)
{
        static const struct timeval pause = {.tv_usec = LEAVE_POLL_MS * 1000};
        struct supervisor *s = arg;

        if (leaving_is_done(s)) {
                event_base_loopbreak(s->base);
                return;
        }
        evtimer_add(s->leave, &pause);
}

static void
end_queued(struct supervisor *s)
{
        struct job *job;

        while ((job = TAILQ_FIRST(&s->queue.waiting))) {
                job->state = JOB_CANCELLED;
                job->reason = strdup("shutting down");
                queue_end(&s->queue, job);
                methods_answer_watchers(s, job);
                queue_trim(&s->queue, s->config.keep_results);
        }
}

void
supervisor_leave(struct supervisor *s)
{
        const struct timeval at_last = {.tv_sec = 10};

        if (s->leaving)
                return;
        s->leaving = true;
        notify_stopping();
        log_info("shutting down");
        service_shutdown(s->service);
        end_queued(s);
        if (s->queue.running)
                runner_stop(s, JOB_CANCELLED, "shutting down");
        /* Whatever happens, it does not take longer than this. */
        event_base_loopexit(s->base, &at_last);
        on_leave_poll(-1, 0, s);
}

/* ── jobs ── */

/* What was done is in the log, whoever else is told; a job that was cut short leaves its figures there. */
static void
log_end(const struct job *job)
{
        const char *id = job->id, *state = job_state_name(job->state);
        json_t *r = job->result;

        if (!r) {
                log_info("job %s %s%s%s, nothing was done", id, state, job->reason ? ": " : "",
                         job->reason ? job->reason : "");
                return;
        }
        log_info("job %s %s%s%s: %s, %lld done, %lld failed, %.3f s, checksum %s", id, state, job->reason ? ": " : "",
                 job->reason ? job->reason : "", job->summary, json_integer_value(json_object_get(r, "done")),
                 json_integer_value(json_object_get(r, "failed")), json_real_value(json_object_get(r, "wall_s")),
                 json_string_value(json_object_get(r, "checksum")));
}

static void
record_start(struct supervisor *s, const struct job *job)
{
        struct record *record = s->setup.segment.record;
        AUTO_FREE char *request = json_dumps(job->request, JSON_COMPACT);

        snprintf(record->id, sizeof(record->id), "%s", job->id);
        record->uid = job->uid;
        record->request_bytes = 0;
        if (request && strlen(request) < sizeof(record->request)) {
                strcpy(record->request, request);
                record->request_bytes = (uint32_t)strlen(request);
        }
        atomic_store_explicit(&record->running, 1, memory_order_release);
}

static void
record_end(struct supervisor *s, const struct job *job)
{
        struct record *record = s->setup.segment.record;
        AUTO_FREE char *result = job->result ? json_dumps(job->result, JSON_COMPACT) : NULL;

        record->result_bytes = 0;
        record->result[0] = 0;
        if (result && strlen(result) < sizeof(record->result)) {
                strcpy(record->result, result);
                record->result_bytes = (uint32_t)strlen(result);
        }
        atomic_store_explicit(&record->running, 0, memory_order_release);
}

void
supervisor_start_next(struct supervisor *s)
{
        struct job *job;

        if (s->queue.running || s->leaving)
                return;
        job = queue_next(&s->queue);
        if (!job)
                return;
        log_info("job %s of %s started: %s", job->id, job->user, job->summary);
        notify_status("running %s", job->summary);
        record_start(s, job);
        runner_start(s, job);
}

void
supervisor_on_job_end(struct supervisor *s, struct job *job)
{
        queue_end(&s->queue, job);
        log_end(job);
        record_end(s, job);
        methods_answer_watchers(s, job);
        queue_trim(&s->queue, s->config.keep_results);
        notify_status("idle, %llu jobs so far", (unsigned long long)s->queue.jobs_ended);
        /* Not from here: a job that fails at its start ends here again. */
        event_active(s->poll, EV_TIMEOUT, 0);
        supervisor_consider_idle(s);
}

void
supervisor_send_progress(struct supervisor *s)
{
        struct job *job;

        if (s->queue.running)
                methods_send_progress(s, s->queue.running);
        TAILQ_FOREACH(job, &s->queue.waiting, entry)
        methods_send_progress(s, job);
}

/* ── idleness ── */

void
supervisor_consider_idle(struct supervisor *s)
{
        uint64_t unfetched = queue_youngest_unfetched_ns(&s->queue), wait = s->config.idle_exit_ns;
        uint64_t now = clock_now_ns();
        struct timeval tv;

        evtimer_del(s->idle);
        if (wait == 0 || s->leaving || s->queue.running || s->queue.n_waiting > 0 || service_clients(s->service) > 0)
                return;
        if (unfetched && now - unfetched < s->config.keep_unfetched_ns)
                wait = MAX(wait, s->config.keep_unfetched_ns - (now - unfetched));
        tv = (struct timeval){.tv_sec = (time_t)(wait / NS_PER_S), .tv_usec = (suseconds_t)(wait % NS_PER_S / 1000)};
        evtimer_add(s->idle, &tv);
}

static void
on_idle(evutil_socket_t fd, short what, void *arg)
{
        log_info("idle for long enough");
        supervisor_leave(arg);
}

static void
on_clients_changed(void *arg)
{
        struct supervisor *s = arg;

        if (s->idle)
                supervisor_consider_idle(s);
}

/* ── events ── */

static void
on_signal(evutil_socket_t signal_number, short what, void *arg)
{
        if (signal_number == SIGHUP)
                reload(arg);
        else
                supervisor_leave(arg);
}

static void
on_doorbell(evutil_socket_t fd, short what, void *arg)
{
        struct supervisor *s = arg;
        uint64_t rings;
        ssize_t n = read(fd, &rings, sizeof(rings));

        (void)n;
        if (!s->leaving)
                children_tend(&s->children);
        runner_poll(s);
}

static void
on_poll(evutil_socket_t fd, short what, void *arg)
{
        runner_poll(arg);
        supervisor_start_next(arg);
}

static void
on_watchdog(evutil_socket_t fd, short what, void *arg)
{
        notify_watchdog();
}

static int
add_signals(struct supervisor *s)
{
        static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

        signal(SIGPIPE, SIG_IGN);
        for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
                s->signals[i] = evsignal_new(s->base, numbers[i], on_signal, s);
                if (!s->signals[i] || event_add(s->signals[i], NULL) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int
add_events(struct supervisor *s)
{
        uint64_t interval = notify_watchdog_interval_ns();
        struct timeval every = {.tv_sec = (time_t)(interval / NS_PER_S),
                                .tv_usec = (suseconds_t)(interval % NS_PER_S / 1000)};

        s->doorbell = event_new(s->base, s->setup.doorbell, EV_READ | EV_PERSIST, on_doorbell, s);
        s->poll = event_new(s->base, -1, 0, on_poll, s);
        s->idle = evtimer_new(s->base, on_idle, s);
        s->leave = evtimer_new(s->base, on_leave_poll, s);
        s->watchdog = event_new(s->base, -1, EV_PERSIST, on_watchdog, s);
        if (!s->doorbell || !s->poll || !s->idle || !s->leave || !s->watchdog || event_add(s->doorbell, NULL) < 0)
                return -ENOMEM;
        if (interval)
                event_add(s->watchdog, &every);
        return add_signals(s);
}

/* ── start and end ── */

static int
take_instance(struct supervisor *s)
{
        AUTO_FREE char *lost = NULL;
        int r = instance_init(&s->instance, s->config.instance, s->config.socket);

        if (r != 0)
                return r > 0 ? SUPERVISOR_E_RUNNING : r;
        s->setup.herd_lock = s->instance.herd;
        r = segment_remove_stale(s->instance.uid, s->instance.name, &lost);
        if (r > 0)
                log_warning("removed %d files in /dev/shm that a daemon left", r);
        if (lost)
                log_warning("job %s, which it was running, is lost", lost);
        return r == -EBUSY ? SUPERVISOR_E_RUNNING : MIN(r, 0);
}

static void
count_workers(struct supervisor *s)
{
        unsigned usable;

        CPU_ZERO(&s->cpus);
        if (sched_getaffinity(0, sizeof(s->cpus), &s->cpus) < 0) {
                log_warning("cannot tell on which CPUs it may run: %s", strerror(errno));
                for (long i = 0; i < sysconf(_SC_NPROCESSORS_ONLN) && i < CPU_SETSIZE; i++)
                        CPU_SET(i, &s->cpus);
        }
        s->quota_cpus = cpus_quota("/proc/self/cgroup", "/sys/fs/cgroup");
        usable = MIN(cpus_usable(&s->cpus, s->quota_cpus), s->config.max_workers);
        s->processes = s->config.processes ? (uint32_t)s->config.processes : usable;
        s->threads = s->config.threads ? (uint32_t)s->config.threads : usable;
}

static int
make_shared_state(struct supervisor *s)
{
        int r = segment_create(&s->setup.segment, s->instance.uid, s->instance.name, (uint32_t)s->config.max_workers,
                               (uint32_t)s->config.ledger_chunks);

        if (r < 0)
                return r;
        r = semaphores_create(&s->semaphores, s->instance.uid, s->instance.name, 1);
        if (r < 0)
                return r;
        atomic_store_explicit(&s->setup.segment.header->generation, s->semaphores.generation, memory_order_release);
        s->setup.parked_thread = s->config.parked_thread;
        s->setup.doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        s->setup.host_control = eventfd(0, EFD_CLOEXEC);
        if (s->setup.doorbell < 0 || s->setup.host_control < 0) {
                r = -errno;
                log_error("cannot create an eventfd: %s", strerror(-r));
        }
        return MIN(r, 0);
}

static int
start_service(struct supervisor *s)
{
        static const struct service_info info = {
                .vendor = "The concd authors",
                .product = "concd",
                .version = CONCD_VERSION,
                .url = "",
        };
        int r = service_new(s->base, &info, idl_org_concd, supervisor_methods, s, &s->service);

        if (r < 0)
                return r;
        apply_live_config(s);
        service_on_clients_changed(s->service, on_clients_changed);
        r = instance_listen(&s->instance, (unsigned)s->config.socket_mode);
        if (r < 0)
                return r;
        r = service_listen(s->service, s->instance.listener);
        if (r == 0)
                s->instance.listener = -1;
        return r;
}

static int
start(struct supervisor *s)
{
        int r = take_instance(s);

        if (r != 0)
                return r;
        count_workers(s);
        workloads_init();
        s->clock_overhead_ns = worker_clock_overhead_ns();
        r = make_shared_state(s);
        if (r < 0)
                return r;
        s->base = event_base_new();
        if (!s->base)
                return -ENOMEM;
        r = add_events(s);
        if (r == 0)
                r = children_init(&s->children, s);
        if (r == 0)
                r = runner_init(&s->runner, s);
        if (r == 0)
                r = children_want(&s->children, s->processes, s->threads);
        if (r == 0)
                r = start_service(s);
        return r;
}

int
supervisor_new(const struct settings_options *options, struct supervisor **ret)
{
        struct supervisor *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->started_ns = clock_now_ns();
        s->options = *options;
        s->instance = (struct instance){.lock = -1, .herd = -1, .listener = -1};
        s->setup.doorbell = s->setup.herd_lock = s->setup.host_control = -1;
        queue_init(&s->queue);
        r = settings_load(options, &s->config, &s->config_path);
        if (r == SETTINGS_E_INVALID)
                r = SUPERVISOR_E_CONFIG;
        if (r == 0) {
                log_set_level(s->config.log_level);
                r = start(s);
        }
        if (r != 0) {
                if (r == -ENOMEM)
                        log_error("out of memory");
                supervisor_free(s);
                return r;
        }
        log_info("concd " CONCD_VERSION ", instance %s, listens on %s with %u process and %u thread workers",
                 s->instance.name, s->config.socket, s->processes, s->threads);
        notify_ready();
        supervisor_consider_idle(s);
        *ret = s;
        return 0;
}

int
supervisor_run(struct supervisor *s)
{
        return event_base_dispatch(s->base) < 0 ? -EIO : 0;
}

static void
free_events(struct supervisor *s)
{
        struct event *events[] = {s->signals[0], s->signals[1], s->signals[2], s->doorbell,
                                  s->poll,       s->idle,       s->leave,      s->watchdog};

        for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
                if (events[i])
                        event_free(events[i]);
        }
        s->idle = NULL;
}

static void
remove_shared_state(struct supervisor *s)
{
        if (s->semaphores.generation) {
                semaphores_unlink(s->instance.uid, s->instance.name, s->semaphores.generation);
                semaphores_close(&s->semaphores);
        }
        if (s->setup.segment.header) {
                segment_unlink(&s->setup.segment);
                segment_unmap(&s->setup.segment);
        }
        if (s->setup.doorbell >= 0)
                close(s->setup.doorbell);
        if (s->setup.host_control >= 0)
                close(s->setup.host_control);
}

void
supervisor_free(struct supervisor *s)
{
        if (!s)
                return;
        s->leaving = true;
        service_free(s->service);
        children_deinit(&s->children);
        runner_deinit(&s->runner);
        free_events(s);
        remove_shared_state(s);
        queue_deinit(&s->queue);
        if (s->base)
                event_base_free(s->base);
        instance_deinit(&s->instance);
        config_deinit(&s->config);
        free(s->config_path);
        free(s);
}

/* ── semaphores ── */

/*
 * A waiter that is killed leaves glibc's count of waiters raised for ever, which makes every later pair of wait and
 * post ten times as expensive. Sleepers on the old gates are woken and go over to the new ones (worker.c).
 */
void
supervisor_refresh_semaphores(struct supervisor *s)
{
        struct segment_header *header = s->setup.segment.header;
        struct semaphores fresh, old = s->semaphores;

        if (!s->semaphores_worn || s->leaving)
                return;
        if (semaphores_create(&fresh, s->instance.uid, s->instance.name, old.generation + 1) < 0)
                return; /* logged; the old ones work, only slower */
        permits_init(&s->setup.segment.run->guard, 1);
        s->semaphores = fresh;
        s->semaphores_worn = false;
        atomic_store_explicit(&header->generation, fresh.generation, memory_order_release);
        for (uint32_t i = 0; i < header->max_workers; i++) {
                sem_post(old.sem[SEMAPHORE_PROCESS]);
                sem_post(old.sem[SEMAPHORE_THREAD]);
        }
        semaphores_unlink(s->instance.uid, s->instance.name, old.generation);
        semaphores_close(&old);
        log_debug("semaphores of generation %llu", (unsigned long long)fresh.generation);
}
