/* SPDX-License-Identifier: MIT */
#include "supervisor/status.h"

#include "shared/clock.h"
#include "supervisor/fields.h"
#include "supervisor/supervisor.h"

#include <string.h>
#include <sys/stat.h>

#define MEMORY_MAX_AGE_NS (10 * NS_PER_S)

static json_t *
describe_job(struct supervisor *s, const struct job *job)
{
        json_t *o = json_object();

        put_string(o, "id", job->id);
        put_integer(o, "uid", job->uid);
        put_string(o, "user", job->user);
        put_string(o, "method", job->method);
        put_string(o, "summary", job->summary);
        put_string(o, "state", job_state_name(job->state));
        put_string(o, "reason", job->reason);
        put_bool(o, "detached", job->detached);
        put_real(o, "submitted", job->submitted);
        put_json(o, "progress", job_has_ended(job) ? json_null() : runner_progress(s, job));
        return o;
}

json_t *
status_jobs(struct supervisor *s)
{
        json_t *jobs = json_array();
        struct job *job;

        if (s->queue.running)
                json_array_append_new(jobs, describe_job(s, s->queue.running));
        TAILQ_FOREACH(job, queue_waiting(&s->queue), entry)
        json_array_append_new(jobs, describe_job(s, job));
        TAILQ_FOREACH_REVERSE(job, &s->queue.ended, job_list, entry)
        json_array_append_new(jobs, describe_job(s, job));
        return jobs;
}

const char *
status_kind_name(enum worker_kind kind)
{
        static const char *const names[] = {"none", "process", "thread", "thread-host"};

        return names[kind];
}

const char *
status_state_name(enum slot_state state)
{
        static const char *const names[] = {"free", "starting", "idle", "running", "retiring", "dead"};

        return names[state];
}

/* Tasks in the worker's life: those of its finished runs, and what it has done on its present seat. */
static uint64_t
tasks_of(const struct supervisor *s, uint32_t slot)
{
        const struct segment *segment = &s->setup.segment;
        uint64_t tasks = atomic_load(&segment->slots[slot].tasks);

        for (uint32_t i = 0; s->runner.active && i < segment->run->spec.seats; i++) {
                const struct seat *seat = &segment->seats[i];
                uint32_t claim = atomic_load(&seat->claim);

                if (seat_owner(atomic_load(&seat->word)) != slot + 1 ||
                    atomic_load(&segment->slots[slot].state) != SLOT_RUNNING)
                        continue;
                tasks += atomic_load(&seat->tasks) - seat->tasks_before;
                if (claim > 0 && claim <= segment->run->spec.geometry.n_lines)
                        tasks += ledger_progress(atomic_load(&segment->ledger[claim - 1].word)) -
                                 atomic_load(&seat->claim_progress);
        }
        return tasks;
}

/* A child knows its own pid a moment later than we do, and a thread has that of the host. */
static pid_t
pid_of(const struct supervisor *s, uint32_t slot)
{
        pid_t pid = atomic_load(&s->setup.segment.slots[slot].pid);
        bool is_thread = slot > s->setup.segment.header->max_workers;

        return pid == 0 ? s->children.child[is_thread ? SLOT_THREAD_HOST : slot].pid : MAX(pid, 0);
}

static json_t *
describe_worker(const struct supervisor *s, uint32_t index)
{
        const struct slot *slot = &s->setup.segment.slots[index];
        enum slot_state state = atomic_load(&slot->state);
        bool works = state == SLOT_RUNNING && index != SLOT_THREAD_HOST && s->queue.running;
        json_t *o = json_object();

        put_integer(o, "slot", index);
        put_string(o, "kind", status_kind_name(atomic_load(&slot->kind)));
        put_integer(o, "pid", (uint64_t)pid_of(s, index));
        put_integer(o, "tid", (uint64_t)MAX(atomic_load(&slot->tid), 0));
        put_string(o, "state", status_state_name(state));
        put_integer(o, "tasks", tasks_of(s, index));
        put_string(o, "job", works ? s->queue.running->id : NULL);
        return o;
}

static json_t *
describe_workers(const struct supervisor *s)
{
        const struct segment *segment = &s->setup.segment;
        json_t *workers = json_array();

        for (uint32_t i = 0; i < segment->header->n_slots; i++) {
                if (atomic_load(&segment->slots[i].state) != SLOT_FREE)
                        json_array_append_new(workers, describe_worker(s, i));
        }
        return workers;
}

static const char *
mode_of(const char *path, char buf[8])
{
        struct stat st;

        snprintf(buf, 8, "%04o", stat(path, &st) == 0 ? st.st_mode & 07777 : 0);
        return buf;
}

static json_t *
describe_segment(const struct supervisor *s)
{
        const struct segment *segment = &s->setup.segment;
        char path[SEGMENT_NAME_MAX + 16], mode[8];

        snprintf(path, sizeof(path), "/dev/shm%s", segment->name);
        return json_pack("{s:s, s:s, s:I, s:s}", "name", segment->name, "path", path, "bytes",
                         (json_int_t)segment->header->size, "mode", mode_of(path, mode));
}

static json_t *
permits_held(const struct permits *p)
{
        json_int_t held = 0;

        for (uint32_t i = 0; i < MIN(p->n, PERMITS_MAX); i++)
                held += atomic_load(&p->cell[i]) != 0;
        return json_integer(held);
}

/* Consumes `held`. */
static json_t *
describe_semaphore(const char *purpose, const char *name, sem_t *sem, json_t *held)
{
        char path[SEMAPHORE_NAME_MAX + 16], mode[8];
        int value = 0;

        snprintf(path, sizeof(path), "/dev/shm/sem.%s", name + 1);
        sem_getvalue(sem, &value);
        return json_pack("{s:s, s:s, s:s, s:i, s:s, s:o}", "purpose", purpose, "name", name, "path", path, "value",
                         value, "mode", mode_of(path, mode), "held", held);
}

static json_t *
describe_semaphores(const struct supervisor *s)
{
        const struct race *race = s->setup.segment.race;
        char name[SEMAPHORE_NAME_MAX];
        json_t *list = json_array();

        for (int i = 0; i < SEMAPHORES; i++) {
                semaphore_name(name, s->instance.uid, s->instance.name, s->semaphores.generation, i);
                json_array_append_new(list, describe_semaphore(semaphore_purpose_name(i), name, s->semaphores.sem[i],
                                                               i == SEMAPHORE_GUARD
                                                                       ? permits_held(&s->setup.segment.run->guard)
                                                                       : json_null()));
        }
        if (s->runner.race_semaphore) {
                /* A semaphore as POSIX has it does not know who owns its permits. */
                json_t *held = race->guard.cells.n ? permits_held(&race->guard.cells) : json_null();

                semaphore_race_name(name, s->instance.uid, s->instance.name, s->semaphores.generation, race->semaphore);
                json_array_append_new(list, describe_semaphore("race", name, s->runner.race_semaphore, held));
        }
        return list;
}

/* Adds a process's proportional set size; false when the kernel does not tell. */
static bool
add_pss(pid_t pid, uint64_t *total)
{
        char path[48];
        AUTO_FCLOSE FILE *f = NULL;
        AUTO_FREE char *line = NULL;
        size_t size = 0;
        unsigned long long kib;

        snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
        f = fopen(path, "re");
        while (f && getline(&line, &size, f) > 0) {
                if (sscanf(line, "Pss: %llu kB", &kib) == 1) {
                        *total += kib * 1024;
                        return true;
                }
        }
        return false;
}

static void
look_at_memory(struct supervisor *s, struct status_memory *m)
{
        m->bytes = 0;
        m->known = add_pss(getpid(), &m->bytes);
        for (uint32_t i = 0; m->known && i <= s->setup.segment.header->max_workers; i++) {
                if (s->children.child[i].pid)
                        m->known = add_pss(s->children.child[i].pid, &m->bytes);
        }
}

bool
status_memory(struct supervisor *s, uint64_t *ret)
{
        struct status_memory *m = &s->memory;
        uint64_t now = clock_now_ns();

        if (!s->queue.running && (m->tried_ns == 0 || now - m->tried_ns >= MEMORY_MAX_AGE_NS)) {
                m->tried_ns = now;
                look_at_memory(s, m);
        }
        if (m->known)
                *ret = m->bytes;
        return m->known;
}

static json_t *
describe_memory(struct supervisor *s)
{
        uint64_t total;
        bool known = status_memory(s, &total);

        return json_pack("{s:o}", "pss_bytes", known ? json_integer((json_int_t)total) : json_null());
}

static json_t *
describe_daemon(const struct supervisor *s)
{
        json_t *o = json_object();

        put_string(o, "version", CONCD_VERSION);
        put_integer(o, "pid", (uint64_t)getpid());
        put_integer(o, "uid", s->instance.uid);
        put_string(o, "instance", s->instance.name);
        put_integer(o, "generation", s->semaphores.generation);
        put_bool(o, "private", s->options.private_daemon);
        put_string(o, "state", s->leaving ? "stopping" : "running");
        put_seconds(o, "uptime_s", clock_now_ns() - s->started_ns);
        put_string(o, "socket", s->config.socket);
        put_string(o, "config", s->config_path);
        put_integer(o, "clients", service_clients(s->service));
        put_integer(o, "queue", s->queue.n_waiting);
        put_integer(o, "queue_limit", s->config.queue_limit);
        put_integer(o, "jobs_finished", s->queue.jobs_ended);
        put_integer(o, "restarts", s->children.deaths);
        return o;
}

json_t *
status_describe(struct supervisor *s)
{
        return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "daemon", describe_daemon(s), "workers", describe_workers(s),
                         "jobs", status_jobs(s), "segment", describe_segment(s), "semaphores", describe_semaphores(s),
                         "memory", describe_memory(s));
}
