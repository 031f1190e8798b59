/* SPDX-License-Identifier: MIT */
#include "supervisor/supervisor.h"

#include "protocol/json-memory.h"
#include "segment/segment.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "supervisor/cpus.h"
#include "supervisor/events.h"
#include "supervisor/headline.h"
#include "supervisor/notify.h"
#include "supervisor/record.h"
#include "supervisor/resume.h"
#include "supervisor/user-name.h"
#include "workloads/workloads.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

/* After the last job ended, how long a leaving daemon waits for clients to read what they were sent. */
#define LEAVE_PATIENCE_MS 1000
#define LEAVE_POLL_MS     5

/* Semaphores' generations beyond it begin anew: only damage gets there. */
#define GENERATION_MAX (UINT64_C(1) << 48)

/* ── configuration ── */

static void
apply_live_config(struct supervisor *s)
{
        const struct service_limits limits = {
                .connections = s->config.connections,
                .connections_per_user = s->config.connections_per_user,
                .reserved = s->config.connections_reserved,
                .max_message = s->config.max_message,
                .max_unread = s->config.max_unread,
                .request_timeout_ns = s->config.request_timeout_ns,
        };

        log_set_level(s->config.log_level);
        service_set_limits(s->service, &limits);
}

/* Reads again what was read at the start. 0; or as settings_load(), and nothing has changed. */
static int
reload_config(struct supervisor *s)
{
        AUTO_FREE char *path = NULL, *ignored = NULL;
        struct config fresh;
        int r = settings_load(&s->options, &fresh, &path);

        if (r != 0)
                return r;
        r = config_reload(&s->config, &fresh, &ignored);
        config_deinit(&fresh);
        if (r < 0)
                return r;
        apply_live_config(s);
        user_names_forget();
        event_of_daemon(EVENT_RELOADED, "%s reloaded", path ? path : "no file, so the defaults");
        if (ignored)
                log_warning("these keys change only at the next start: %s", ignored);
        return 0;
}

/* SIGHUP. A file that is wrong, or cannot be read for want of memory or of the user database, changes nothing. */
static void
reload(struct supervisor *s)
{
        int r;

        notify_reloading();
        r = reload_config(s);
        s->config_refused = r != 0;
        if (s->config_refused)
                event_of_daemon(EVENT_RELOAD_REFUSED, "the configuration stays as it was%s",
                                r == -ENOMEM ? ": out of memory" : "");
        notify_ready();
        headline_tell(s);
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
                supervisor_end_job(s, job);
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

/* What the job came to, behind its state; malloc'ed, NULL when out of memory. */
static char *
figures_text(const struct job *job)
{
        json_t *r = job->result;
        double wall_s = json_real_value(json_object_get(r, "wall_s"));
        long long done = json_integer_value(json_object_get(r, "done"));
        char *text;
        int n;

        if (!r)
                n = asprintf(&text, ", nothing was done");
        else if (job->plan.n_variants > 0 && job->plan.variants[0].is_race)
                n = asprintf(&text, ": %s, %lld trials, %.3f s", job->summary, done, wall_s);
        else if (job->plan.is_comparison)
                n = asprintf(&text, ": %s, %lld complete, %.3f s", job->summary,
                             json_integer_value(json_object_get(r, "rounds")), wall_s);
        else
                n = asprintf(&text, ": %s, %lld done, %lld failed, %.3f s, checksum %s", job->summary, done,
                             json_integer_value(json_object_get(r, "failed")), wall_s,
                             json_string_value(json_object_get(r, "checksum")));
        return n < 0 ? NULL : text;
}

/* What was done is in the log, whoever else is told; a job that was cut short leaves its figures there. */
static void
log_end(const struct job *job)
{
        AUTO_FREE char *figures = figures_text(job);

        event_of_job(EVENT_JOB_ENDED, job, "job %s %s%s%s%s", job->id, job_state_name(job->state),
                     job->reason ? ": " : "", job->reason ? job->reason : "", figures ? figures : "");
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
        event_of_job(EVENT_JOB_STARTED, job, "job %s of %s started: %s", job->id, job->user, job->summary);
        record_start(s->setup.segment.record, job);
        runner_start(s, job);
        headline_tell(s);
}

void
supervisor_end_job(struct supervisor *s, struct job *job)
{
        log_end(job);
        metrics_note_job(&s->metrics, job);
        queue_end(&s->queue, job);
        record_journal(s->setup.segment.record, job);
        methods_answer_watchers(s, job);
        queue_trim(&s->queue, s->config.keep_results);
}

void
supervisor_on_job_end(struct supervisor *s, struct job *job)
{
        supervisor_end_job(s, job);
        record_end(s->setup.segment.record);
        headline_tell(s);
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
        headline_tell_progress(s);
}

/* ── jobs whose callers were lost with the daemon before ── */

void
supervisor_consider_orphan(struct supervisor *s)
{
        const struct job *job = s->queue.running;
        struct timeval tv = {.tv_sec = (time_t)(s->config.reattach_ns / NS_PER_S),
                             .tv_usec = (suseconds_t)(s->config.reattach_ns % NS_PER_S / 1000)};

        if (job && job->orphaned && TAILQ_EMPTY(&job->watchers))
                evtimer_add(s->orphan, &tv);
        else
                evtimer_del(s->orphan);
}

static void
on_orphan(evutil_socket_t fd, short what, void *arg)
{
        struct supervisor *s = arg;
        struct job *job = s->queue.running;

        if (!job || !job->orphaned || !TAILQ_EMPTY(&job->watchers))
                return;
        log_info("nobody asked for job %s since the daemon before was killed", job->id);
        runner_stop(s, JOB_CANCELLED, "its client vanished");
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

static bool
is_privileged(void *arg, const struct peer *peer)
{
        return supervisor_may_administer(arg, peer);
}

static void
on_refused(void *arg, const struct peer *peer, const char *what, const char *why)
{
        struct supervisor *s = arg;

        audit_refused(&s->audit, peer, what, why);
}

/* ── events ── */

static void
on_signal(evutil_socket_t fd, short what, void *arg)
{
        struct signalfd_siginfo info;

        /* A signal that could not be read is still there. */
        if (read(fd, &info, sizeof(info)) != sizeof(info))
                return;
        if (info.ssi_signo == SIGHUP)
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

/*
 * By signalfd(2) and not by libevent's handlers: those pass signals on through a pair of sockets, and end the program
 * when it cannot be read. Children inherit what is blocked here until they have handlers of their own (process.c).
 */
static int
add_signals(struct supervisor *s)
{
        sigset_t set;

        signal(SIGPIPE, SIG_IGN);
        signal(SIGCHLD, SIG_DFL); /* whoever started us may ignore it: then nobody could be reaped */
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGHUP);
        sigprocmask(SIG_BLOCK, &set, NULL);
        s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (s->signal_fd < 0) {
                int r = -errno;

                log_error("cannot create a signalfd: %s", strerror(-r));
                return r;
        }
        s->signals = event_new(s->base, s->signal_fd, EV_READ | EV_PERSIST, on_signal, s);
        return s->signals && event_add(s->signals, NULL) == 0 ? 0 : -ENOMEM;
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
        s->orphan = evtimer_new(s->base, on_orphan, s);
        s->leave = evtimer_new(s->base, on_leave_poll, s);
        s->watchdog = event_new(s->base, -1, EV_PERSIST, on_watchdog, s);
        if (!s->doorbell || !s->poll || !s->idle || !s->orphan || !s->leave || !s->watchdog ||
            event_add(s->doorbell, NULL) < 0)
                return -ENOMEM;
        if (interval)
                event_add(s->watchdog, &every);
        return add_signals(s);
}

/* ── start and end ── */

static int
take_instance(struct supervisor *s)
{
        int r = instance_init(&s->instance, s->config.instance, s->config.socket);

        s->setup.herd_lock = s->instance.herd;
        return r > 0 ? SUPERVISOR_E_RUNNING : r;
}

/* The segment that a killed daemon left, or a new one. */
static int
take_segment(struct supervisor *s)
{
        uint32_t max_workers = (uint32_t)s->config.max_workers, chunks = (uint32_t)s->config.ledger_chunks;
        struct segment *segment = &s->setup.segment;
        const struct instance *i = &s->instance;
        char reason[SEGMENT_REASON_MAX];
        int r = segment_adopt(segment, i->uid, i->name, max_workers, chunks, reason);

        if (r == SEGMENT_E_UNFIT) {
                log_warning("the shared memory %s that was left is made anew, and what it knew of jobs is lost: %s",
                            segment->name, reason);
                r = segment_remove(i->uid, i->name);
                if (r < 0)
                        return r;
        } else if (r != -ENOENT) {
                s->adopted = r == 0;
                return r;
        }
        return segment_create(segment, i->uid, i->name, max_workers, chunks);
}

/* New ones, whatever there was: no permit is held, no count of sleepers is raised. */
static int
take_semaphores(struct supervisor *s)
{
        struct segment *segment = &s->setup.segment;
        uint64_t generation = atomic_load(&segment->header->generation);
        int r;

        semaphores_remove_stale(s->instance.uid, s->instance.name);
        r = semaphores_create(&s->semaphores, s->instance.uid, s->instance.name,
                              generation < GENERATION_MAX ? generation + 1 : 1);
        if (r < 0)
                return r;
        permits_init(&segment->run->guard, 1);
        atomic_store_explicit(&segment->header->generation, s->semaphores.generation, memory_order_release);
        return 0;
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
        int r = take_segment(s);

        if (r == 0)
                r = take_semaphores(s);
        if (r == 0 && s->adopted)
                r = resume_jobs(s);
        if (r < 0)
                return r == -EBUSY ? SUPERVISOR_E_RUNNING : r;
        s->setup.parked_thread = s->config.parked_thread;
        s->setup.core_files = s->config.core_files;
        s->setup.doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        s->setup.host_control = eventfd(0, EFD_CLOEXEC);
        if (s->setup.doorbell < 0 || s->setup.host_control < 0) {
                r = -errno;
                log_error("cannot create an eventfd: %s", strerror(-r));
        }
        return r;
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
        static const struct service_hooks hooks = {
                .clients_changed = on_clients_changed, .is_privileged = is_privileged, .refused = on_refused};
        int r = service_new(s->base, &info, idl_org_concd, supervisor_methods, s, &s->service);

        if (r < 0)
                return r;
        apply_live_config(s);
        service_set_hooks(s->service, &hooks);
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
        if (r != 0)
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
                r = children_want(&s->children, s->processes, s->threads, !s->config.parked_thread);
        /* Before the service: who can connect there finds these, too. */
        if (r == 0)
                r = metrics_http_start(s, &s->metrics_http);
        if (r == 0)
                r = start_service(s);
        if (r == 0) {
                s->started = true;
                resume_go_on(s);
        }
        return r;
}

int
supervisor_new(const struct settings_options *options, struct supervisor **ret)
{
        struct supervisor *s = calloc(1, sizeof(*s));
        int r;

        if (!s) {
                log_error("out of memory");
                return -ENOMEM;
        }
        events_init();
        s->started_ns = clock_now_ns();
        metrics_init(&s->metrics);
        s->options = *options;
        s->instance = (struct instance){.lock = -1, .herd = -1, .listener = -1};
        s->setup.doorbell = s->setup.herd_lock = s->setup.host_control = s->signal_fd = -1;
        queue_init(&s->queue);
        r = json_memory_watch();
        if (r == 0)
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
        headline_tell(s);
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
        struct event *events[] = {s->signals, s->doorbell, s->poll, s->idle, s->orphan, s->leave, s->watchdog};

        for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
                if (events[i])
                        event_free(events[i]);
        }
        s->idle = NULL;
        if (s->signal_fd >= 0)
                close(s->signal_fd);
}

static void
remove_shared_state(struct supervisor *s)
{
        if (s->semaphores.generation) {
                semaphores_unlink(s->instance.uid, s->instance.name, s->semaphores.generation);
                semaphores_close(&s->semaphores);
                semaphores_remove_stale(s->instance.uid, s->instance.name);
        }
        if (s->setup.segment.header) {
                /* Whoever takes over and then cannot start leaves it to the next. */
                if (!s->adopted || s->started)
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
        metrics_http_stop(s->metrics_http);
        service_free(s->service);
        children_deinit(&s->children);
        runner_deinit(&s->runner);
        free_events(s);
        remove_shared_state(s);
        audit_deinit(&s->audit);
        queue_deinit(&s->queue);
        user_names_forget();
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
