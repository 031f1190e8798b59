/* SPDX-License-Identifier: MIT */
#include "segment/segment.h"

#include "segment/process_time.h"
#include "segment/semaphores.h"
#include "shared/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SHM_DIR "/dev/shm"

struct plan {
        uint64_t max_workers, ledger_chunks;
        uint64_t run, record, slots, seats, ledger, size;
};

static uint64_t
align_up(uint64_t n)
{
        return (n + 4095) & ~UINT64_C(4095);
}

static struct plan
plan_layout(uint32_t max_workers, uint32_t ledger_chunks)
{
        struct plan p = {.max_workers = max_workers, .ledger_chunks = ledger_chunks};

        p.run = align_up(sizeof(struct segment_header));
        p.record = align_up(p.run + sizeof(struct run));
        p.slots = align_up(p.record + sizeof(struct record));
        p.seats = align_up(p.slots + (1 + 2 * (uint64_t)max_workers) * sizeof(struct slot));
        p.ledger = align_up(p.seats + max_workers * sizeof(struct seat));
        p.size = align_up(p.ledger + (uint64_t)ledger_chunks * sizeof(struct ledger_line));
        return p;
}

/* FNV-1a (Fowler, Noll, Vo) over everything that two builds must agree on to read one segment. */
static uint64_t
layout_hash(const struct plan *p)
{
        const uint64_t facts[] = {
                SEGMENT_LAYOUT_VERSION,
                sizeof(struct segment_header),
                sizeof(struct run),
                sizeof(struct record),
                sizeof(struct slot),
                sizeof(struct seat),
                sizeof(struct ledger_line),
                sizeof(struct run_spec),
                LOCK_AREA_BYTES,
                sizeof(struct histogram),
                HISTOGRAM_BUCKETS,
                CONCD_PARAMS_MAX,
                p->max_workers,
                p->ledger_chunks,
                p->run,
                p->record,
                p->slots,
                p->seats,
                p->ledger,
                p->size,
        };
        const unsigned char *bytes = (const unsigned char *)facts;
        uint64_t hash = UINT64_C(0xcbf29ce484222325);

        for (size_t i = 0; i < sizeof(facts); i++)
                hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
        return hash;
}

static void
read_boot_id(char *buf, size_t size)
{
        AUTO_FCLOSE FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

        buf[0] = 0;
        if (f && fgets(buf, (int)size, f))
                buf[strcspn(buf, "\n")] = 0;
}

void
segment_name(char buf[SEGMENT_NAME_MAX], uid_t uid, const char *instance)
{
        snprintf(buf, SEGMENT_NAME_MAX, "/concd.%u.%s", (unsigned)uid, instance);
}

static void
point_into(struct segment *s, void *base)
{
        char *b = base;

        s->header = base;
        s->run = (void *)(b + s->header->off_run);
        s->record = (void *)(b + s->header->off_record);
        s->slots = (void *)(b + s->header->off_slots);
        s->seats = (void *)(b + s->header->off_seats);
        s->ledger = (void *)(b + s->header->off_ledger);
}

/* Opens the name exclusively and reserves its memory. Returns the descriptor or -errno. */
static int
create_file(const char *name, uint64_t size)
{
        mode_t mask = umask(0077);
        int fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600), r = errno;

        umask(mask);
        if (fd < 0) {
                if (r != EEXIST)
                        log_error("cannot create shared memory %s: %s", name, strerror(r));
                return -r;
        }
        r = posix_fallocate(fd, 0, (off_t)size);
        if (r != 0) {
                log_error("cannot reserve %llu bytes in %s for %s: %s", (unsigned long long)size, SHM_DIR, name,
                          strerror(r));
                shm_unlink(name);
                close(fd);
                return -r;
        }
        return fd;
}

int
segment_create(struct segment *s, uid_t uid, const char *instance, uint32_t max_workers, uint32_t ledger_chunks)
{
        struct plan p = plan_layout(max_workers, ledger_chunks);
        struct segment_header *h;
        AUTO_CLOSE int fd = -1;

        segment_name(s->name, uid, instance);
        fd = create_file(s->name, p.size);
        if (fd < 0)
                return fd;
        h = mmap(NULL, p.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (h == MAP_FAILED) {
                int r = -errno;

                log_error("cannot map shared memory %s: %s", s->name, strerror(errno));
                shm_unlink(s->name);
                return r;
        }
        h->magic = SEGMENT_MAGIC;
        h->layout_version = SEGMENT_LAYOUT_VERSION;
        h->layout_hash = layout_hash(&p);
        h->uid = uid;
        h->size = p.size;
        read_boot_id(h->boot_id, sizeof(h->boot_id));
        h->supervisor = getpid();
        h->supervisor_start = process_start_time(getpid());
        snprintf(h->instance, sizeof(h->instance), "%s", instance);
        h->max_workers = max_workers;
        h->n_slots = 1 + 2 * max_workers;
        h->ledger_chunks = ledger_chunks;
        h->off_run = p.run;
        h->off_record = p.record;
        h->off_slots = p.slots;
        h->off_seats = p.seats;
        h->off_ledger = p.ledger;
        point_into(s, h);
        permits_init(&s->run->guard, 1);
        atomic_store_explicit(&h->ready, 1, memory_order_release);
        return 0;
}

void
segment_unmap(struct segment *s)
{
        if (s->header)
                munmap(s->header, s->header->size);
        memset(s, 0, sizeof(*s));
}

void
segment_unlink(const struct segment *s)
{
        if (shm_unlink(s->name) < 0 && errno != ENOENT)
                log_warning("cannot remove shared memory %s: %s", s->name, strerror(errno));
}

/* Do the parts lie where a segment of this size has them? Everything is found by these figures, so none is believed. */
static bool
fits_plan(const struct segment_header *h, const struct plan *p)
{
        return h->size == p->size && h->layout_hash == layout_hash(p) && h->n_slots == 1 + 2 * h->max_workers &&
               h->off_run == p->run && h->off_record == p->record && h->off_slots == p->slots &&
               h->off_seats == p->seats && h->off_ledger == p->ledger;
}

/* Maps a segment that somebody left, for reading, if it is one of ours of this layout and boot. */
static const struct segment_header *
map_stale(const char *name)
{
        AUTO_CLOSE int fd = shm_open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
        const struct segment_header *h;
        char boot_id[sizeof(h->boot_id)];
        struct plan p;
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() || (uint64_t)st.st_size < sizeof(*h))
                return NULL;
        h = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (h == MAP_FAILED)
                return NULL;
        read_boot_id(boot_id, sizeof(boot_id));
        p = plan_layout(h->max_workers, h->ledger_chunks);
        if (h->magic == SEGMENT_MAGIC && h->layout_version == SEGMENT_LAYOUT_VERSION && fits_plan(h, &p) &&
            (uint64_t)st.st_size == p.size && strncmp(h->boot_id, boot_id, sizeof(boot_id)) == 0 &&
            atomic_load_explicit(&h->ready, memory_order_acquire) == 1)
                return h;
        munmap((void *)h, (size_t)st.st_size);
        return NULL;
}

int
segment_stale_processes(uid_t uid, const char *instance, void (*fn)(void *arg, pid_t pid, uint64_t start_time),
                        void *arg)
{
        char name[SEGMENT_NAME_MAX];
        const struct segment_header *h;
        struct segment s;

        segment_name(name, uid, instance);
        h = map_stale(name);
        if (!h)
                return -ENOENT;
        point_into(&s, (void *)h);
        for (uint32_t i = 0; i <= h->max_workers; i++) {
                const struct slot *slot = &s.slots[i];
                pid_t pid = atomic_load(&slot->pid);

                if (atomic_load(&slot->state) != SLOT_FREE && pid > 1)
                        fn(arg, pid, atomic_load(&slot->start_time));
        }
        munmap((void *)h, h->size);
        return 0;
}

/* The id of the job that was running when the segment was left, or NULL. */
static char *
stale_job(const char *name)
{
        const struct segment_header *h = map_stale(name);
        struct segment s;
        char *id = NULL;

        if (!h)
                return NULL;
        point_into(&s, (void *)h);
        if (atomic_load_explicit(&s.record->running, memory_order_acquire))
                id = strndup(s.record->id, sizeof(s.record->id));
        munmap((void *)h, h->size);
        return id;
}

static bool
in_use(const char *name)
{
        const struct segment_header *h = map_stale(name);
        bool alive;

        if (!h)
                return false;
        alive = h->supervisor != getpid() && h->supervisor_start != 0 &&
                process_start_time(h->supervisor) == h->supervisor_start;
        munmap((void *)h, h->size);
        return alive;
}

int
segment_remove_stale(uid_t uid, const char *instance, char **ret_job)
{
        char name[SEGMENT_NAME_MAX], prefix[SEGMENT_NAME_MAX + 8];
        struct dirent *e;
        int removed = 0;
        DIR *dir;

        segment_name(name, uid, instance);
        if (in_use(name)) {
                log_error("shared memory %s is in use by a running concd of the same instance elsewhere", name);
                return -EBUSY;
        }
        if (ret_job)
                *ret_job = stale_job(name);
        if (shm_unlink(name) == 0)
                removed++;
        else if (errno != ENOENT)
                log_warning("cannot remove the shared memory %s that was left: %s", name, strerror(errno));
        dir = opendir(SHM_DIR);
        if (!dir)
                return removed;
        snprintf(prefix, sizeof(prefix), "sem.%s.", name + 1);
        while ((e = readdir(dir))) {
                if (strncmp(e->d_name, prefix, strlen(prefix)) != 0)
                        continue;
                /* sem_unlink() wants the name without "sem." and with a slash. */
                e->d_name[3] = '/';
                if (sem_unlink(e->d_name + 3) == 0)
                        removed++;
        }
        closedir(dir);
        return removed;
}
