/* SPDX-License-Identifier: MIT */
#include "segment/segment.h"

#include "segment/process_time.h"
#include "shared/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SHM_DIR "/dev/shm"

struct plan {
        uint64_t max_workers, ledger_chunks;
        uint64_t run, record, slots, seats, ledger, race, race_actors, traces, compare, size;
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
        p.race = align_up(p.ledger + (uint64_t)ledger_chunks * sizeof(struct ledger_line));
        p.race_actors = align_up(p.race + sizeof(struct race));
        p.traces = align_up(p.race_actors + max_workers * sizeof(struct race_actor));
        p.compare = align_up(p.traces + max_workers * sizeof(struct trace));
        p.size = align_up(p.compare + sizeof(struct compare));
        return p;
}

/* Everything that two builds must agree on to read one segment. */
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
                sizeof(struct race),
                sizeof(struct race_actor),
                sizeof(struct trace),
                sizeof(struct compare),
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
                p->race,
                p->race_actors,
                p->traces,
                p->compare,
                p->size,
        };

        return checksum_add(CHECKSUM_INIT, facts, sizeof(facts));
}

static uint64_t
header_checksum(const struct segment_header *h)
{
        return checksum_add(CHECKSUM_INIT, h, offsetof(struct segment_header, checksum));
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
        s->race = (void *)(b + s->header->off_race);
        s->race_actors = (void *)(b + s->header->off_race_actors);
        s->traces = (void *)(b + s->header->off_traces);
        s->compare = (void *)(b + s->header->off_compare);
}

/* It is ours from now on. */
static void
claim(struct segment_header *h)
{
        atomic_store(&h->supervisor, getpid());
        atomic_store(&h->supervisor_start, process_start_time(getpid()));
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
        snprintf(h->instance, sizeof(h->instance), "%s", instance);
        h->max_workers = max_workers;
        h->n_slots = 1 + 2 * max_workers;
        h->ledger_chunks = ledger_chunks;
        h->off_run = p.run;
        h->off_record = p.record;
        h->off_slots = p.slots;
        h->off_seats = p.seats;
        h->off_ledger = p.ledger;
        h->off_race = p.race;
        h->off_race_actors = p.race_actors;
        h->off_traces = p.traces;
        h->off_compare = p.compare;
        h->checksum = header_checksum(h);
        claim(h);
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

/* ── what a dead daemon left ── */

static bool PRINTF_LIKE(2, 3) unfit(char reason[SEGMENT_REASON_MAX], const char *fmt, ...)
{
        va_list args;

        va_start(args, fmt);
        vsnprintf(reason, SEGMENT_REASON_MAX, fmt, args);
        va_end(args);
        return false;
}

bool
segment_check(const struct segment_header *h, uint64_t size, uid_t uid, const char *instance,
              char reason[SEGMENT_REASON_MAX])
{
        char boot_id[sizeof(h->boot_id)];
        struct plan p;

        if (size < sizeof(*h))
                return unfit(reason, "it has %" PRIu64 " bytes, fewer than its header", size);
        if (h->magic != SEGMENT_MAGIC)
                return unfit(reason, "it is no segment of concd");
        if (h->layout_version != SEGMENT_LAYOUT_VERSION)
                return unfit(reason, "its layout is version %u and not %u", h->layout_version, SEGMENT_LAYOUT_VERSION);
        if (atomic_load_explicit(&h->ready, memory_order_acquire) != 1)
                return unfit(reason, "it was never completed");
        if (h->checksum != header_checksum(h))
                return unfit(reason, "its header is damaged");
        /* Everything is found by these figures, so not even a right checksum is believed. */
        p = plan_layout(h->max_workers, h->ledger_chunks);
        if (h->layout_hash != layout_hash(&p) || h->n_slots != 1 + 2 * h->max_workers || h->off_run != p.run ||
            h->off_record != p.record || h->off_slots != p.slots || h->off_seats != p.seats ||
            h->off_ledger != p.ledger || h->off_race != p.race || h->off_race_actors != p.race_actors ||
            h->off_traces != p.traces || h->off_compare != p.compare ||
            h->size != p.size)
                return unfit(reason, "another build of concd laid it out");
        if (size != p.size)
                return unfit(reason, "it has %" PRIu64 " bytes and not %" PRIu64, size, p.size);
        read_boot_id(boot_id, sizeof(boot_id));
        if (strncmp(h->boot_id, boot_id, sizeof(boot_id)) != 0)
                return unfit(reason, "it is from before the machine was started");
        if (h->uid != uid || strncmp(h->instance, instance, sizeof(h->instance)) != 0)
                return unfit(reason, "it is of another instance, %.*s of user %u", (int)sizeof(h->instance),
                             h->instance, h->uid);
        return true;
}

static bool
check_file(const struct stat *st, uid_t uid, char reason[SEGMENT_REASON_MAX])
{
        if (!S_ISREG(st->st_mode))
                return unfit(reason, "it is not a regular file");
        if (st->st_uid != uid)
                return unfit(reason, "it belongs to user %u and not to %u", (unsigned)st->st_uid, (unsigned)uid);
        if ((st->st_mode & 07777) != 0600)
                return unfit(reason, "its mode is %04o and not 0600", st->st_mode & 07777);
        return true;
}

/* Maps what somebody left, if it is a segment of ours. 0, SEGMENT_E_UNFIT or -errno. */
static int
map_stale(const char *name, uid_t uid, const char *instance, struct segment_header **ret,
          char reason[SEGMENT_REASON_MAX])
{
        AUTO_CLOSE int fd = shm_open(name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
        struct segment_header *h;
        struct stat st;

        if (fd < 0 && errno == ENOENT)
                return -ENOENT;
        if (fd < 0 || fstat(fd, &st) < 0) {
                unfit(reason, "it cannot be opened: %s", strerror(errno));
                return SEGMENT_E_UNFIT;
        }
        if (!check_file(&st, uid, reason))
                return SEGMENT_E_UNFIT;
        if ((uint64_t)st.st_size < sizeof(*h)) {
                unfit(reason, "it has %lld bytes, fewer than its header", (long long)st.st_size);
                return SEGMENT_E_UNFIT;
        }
        h = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (h == MAP_FAILED)
                return -errno;
        if (!segment_check(h, (uint64_t)st.st_size, uid, instance, reason) ||
            (posix_fallocate(fd, 0, st.st_size) != 0 && !unfit(reason, "not all of its memory can be reserved"))) {
                munmap(h, (size_t)st.st_size);
                return SEGMENT_E_UNFIT;
        }
        *ret = h;
        return 0;
}

static bool
in_use(const struct segment_header *h)
{
        pid_t pid = atomic_load(&h->supervisor);
        uint64_t start = atomic_load(&h->supervisor_start);

        return pid > 0 && pid != getpid() && start != 0 && process_start_time(pid) == start;
}

int
segment_adopt(struct segment *s, uid_t uid, const char *instance, uint32_t max_workers, uint32_t ledger_chunks,
              char reason[SEGMENT_REASON_MAX])
{
        struct segment_header *h;
        int r;

        segment_name(s->name, uid, instance);
        r = map_stale(s->name, uid, instance, &h, reason);
        if (r < 0 && r != -ENOENT)
                log_error("cannot map shared memory %s: %s", s->name, strerror(-r));
        if (r != 0)
                return r;
        if (in_use(h)) {
                log_error("shared memory %s is in use by a running concd of the same instance elsewhere", s->name);
                munmap(h, h->size);
                return -EBUSY;
        }
        if (h->max_workers != max_workers || h->ledger_chunks != ledger_chunks) {
                unfit(reason, "it has max_workers %u and ledger_chunks %u, the configuration says %u and %u",
                      h->max_workers, h->ledger_chunks, max_workers, ledger_chunks);
                munmap(h, h->size);
                return SEGMENT_E_UNFIT;
        }
        claim(h);
        point_into(s, h);
        return 0;
}

int
segment_remove(uid_t uid, const char *instance)
{
        char name[SEGMENT_NAME_MAX];
        int r;

        segment_name(name, uid, instance);
        if (shm_unlink(name) == 0 || errno == ENOENT)
                return 0;
        r = -errno;
        log_error("cannot remove the shared memory %s that was left: %s", name, strerror(-r));
        return r;
}

int
segment_stale_processes(uid_t uid, const char *instance, void (*fn)(void *arg, pid_t pid, uint64_t start_time),
                        void *arg)
{
        char name[SEGMENT_NAME_MAX], reason[SEGMENT_REASON_MAX];
        struct segment_header *h;
        struct segment s;
        int r;

        segment_name(name, uid, instance);
        r = map_stale(name, uid, instance, &h, reason);
        if (r != 0)
                return r;
        point_into(&s, h);
        for (uint32_t i = 0; i <= h->max_workers; i++) {
                const struct slot *slot = &s.slots[i];
                pid_t pid = atomic_load(&slot->pid);

                if (atomic_load(&slot->state) != SLOT_FREE && pid > 1)
                        fn(arg, pid, atomic_load(&slot->start_time));
        }
        munmap(h, h->size);
        return 0;
}
