/* SPDX-License-Identifier: MIT */
#include "segment/semaphores.h"

#include "shared/base.h"
#include "shared/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* How many taken names are passed over before it is given up. */
#define GENERATIONS_TRIED 1000

#define SHM_DIR    "/dev/shm"
#define NEW_SUFFIX ".new" /* of a file that will become a semaphore */

static const struct {
        const char *name;
        unsigned value;
} purposes[SEMAPHORES] = {
        [SEMAPHORE_GUARD] = {"guard", 1},
        [SEMAPHORE_PROCESS] = {"process", 0},
        [SEMAPHORE_THREAD] = {"thread", 0},
};

const char *
semaphore_purpose_name(enum semaphore_purpose purpose)
{
        return purposes[purpose].name;
}

void
semaphore_name(char buf[SEMAPHORE_NAME_MAX], uid_t uid, const char *instance, uint64_t generation,
               enum semaphore_purpose purpose)
{
        snprintf(buf, SEMAPHORE_NAME_MAX, "/concd.%u.%s.%llu.%s", (unsigned)uid, instance,
                 (unsigned long long)generation, purposes[purpose].name);
}

void
semaphores_close(struct semaphores *s)
{
        for (int i = 0; i < SEMAPHORES; i++) {
                if (s->sem[i])
                        sem_close(s->sem[i]);
                s->sem[i] = NULL;
        }
}

static void
unlink_name(const char *name)
{
        if (sem_unlink(name) < 0 && errno != ENOENT)
                log_warning("cannot remove semaphore %s: %s", name, strerror(errno));
}

void
semaphores_unlink(uid_t uid, const char *instance, uint64_t generation)
{
        char name[SEMAPHORE_NAME_MAX];

        for (int i = 0; i < SEMAPHORES; i++) {
                semaphore_name(name, uid, instance, generation, i);
                unlink_name(name);
        }
}

/* A semaphore that nobody has seen yet, in a file of its own. 0 or -errno; then there is no such file. */
static int
write_semaphore(const char *path, unsigned value)
{
        AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        sem_t *sem = MAP_FAILED;
        int r;

        if (fd < 0)
                return -errno;
        r = -posix_fallocate(fd, 0, sizeof(sem_t));
        if (r == 0)
                sem = mmap(NULL, sizeof(sem_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (r == 0 && sem == MAP_FAILED)
                r = -errno;
        if (r == 0) {
                r = sem_init(sem, 1, value) < 0 ? -errno : 0;
                munmap(sem, sizeof(sem_t));
        }
        if (r < 0)
                unlink(path);
        return r;
}

/*
 * Creates one that does not exist, as sem_open(O_CREAT | O_EXCL) does: whole under another name first, then linked to
 * its own. glibc calls that other name sem.XXXXXX, and when its caller is killed in between nobody can tell the file
 * that stays from somebody's semaphore with such a name. Ours says whose it is, so semaphores_remove_stale() finds it.
 * 0; -EEXIST; or another -errno, logged.
 */
static int
create_name(sem_t **ret, const char *name, unsigned value)
{
        char path[SEMAPHORE_NAME_MAX + 16], new_path[SEMAPHORE_NAME_MAX + 32];
        mode_t mask = umask(0077);
        sem_t *sem;
        int r;

        snprintf(path, sizeof(path), SHM_DIR "/sem.%s", name + 1);
        snprintf(new_path, sizeof(new_path), "%s" NEW_SUFFIX, path);
        r = write_semaphore(new_path, value);
        umask(mask);
        if (r == 0) {
                r = link(new_path, path) < 0 ? -errno : 0;
                unlink(new_path);
        }
        if (r == 0) {
                sem = sem_open(name, 0);
                r = sem == SEM_FAILED ? -errno : 0;
                if (r == 0)
                        *ret = sem;
                else
                        unlink(path);
        }
        if (r < 0 && r != -EEXIST)
                log_error("cannot create semaphore %s: %s", name, strerror(-r));
        return r;
}

/* Creates one set. On failure the names made so far are taken away again. */
static int
create_generation(struct semaphores *s, uid_t uid, const char *instance, uint64_t generation)
{
        char name[SEMAPHORE_NAME_MAX];

        for (int i = 0; i < SEMAPHORES; i++) {
                int r;

                semaphore_name(name, uid, instance, generation, i);
                r = create_name(&s->sem[i], name, purposes[i].value);
                if (r == 0)
                        continue;
                for (int k = 0; k < i; k++) {
                        semaphore_name(name, uid, instance, generation, k);
                        sem_unlink(name);
                }
                semaphores_close(s);
                return r;
        }
        s->generation = generation;
        return 0;
}

int
semaphores_create(struct semaphores *s, uid_t uid, const char *instance, uint64_t generation)
{
        int r = -EEXIST;

        memset(s, 0, sizeof(*s));
        for (int i = 0; i < GENERATIONS_TRIED && r == -EEXIST; i++)
                r = create_generation(s, uid, instance, generation + i);
        if (r == -EEXIST)
                log_error("cannot create semaphores: %d generations from %llu on are taken", GENERATIONS_TRIED,
                          (unsigned long long)generation);
        return r;
}

int
semaphores_open(struct semaphores *s, uid_t uid, const char *instance, uint64_t generation)
{
        char name[SEMAPHORE_NAME_MAX];

        memset(s, 0, sizeof(*s));
        for (int i = 0; i < SEMAPHORES; i++) {
                semaphore_name(name, uid, instance, generation, i);
                s->sem[i] = sem_open(name, 0);
                if (s->sem[i] == SEM_FAILED) {
                        int r = -errno;

                        s->sem[i] = NULL;
                        semaphores_close(s);
                        return r;
                }
        }
        s->generation = generation;
        return 0;
}

/* ── the semaphore of a race ── */

void
semaphore_race_name(char buf[SEMAPHORE_NAME_MAX], uid_t uid, const char *instance, uint64_t generation, uint64_t number)
{
        snprintf(buf, SEMAPHORE_NAME_MAX, "/concd.%u.%s.%llu.race-%llu", (unsigned)uid, instance,
                 (unsigned long long)generation, (unsigned long long)number);
}

int
semaphore_race_create(sem_t **ret, uid_t uid, const char *instance, uint64_t generation, uint64_t *number,
                      unsigned value)
{
        char name[SEMAPHORE_NAME_MAX];
        int r = -EEXIST;

        for (int i = 0; i < GENERATIONS_TRIED && r == -EEXIST; i++) {
                semaphore_race_name(name, uid, instance, generation, *number + i);
                r = create_name(ret, name, value);
                if (r == 0)
                        *number += i;
        }
        if (r == -EEXIST)
                log_error("cannot create semaphore %s: %d names before it are taken, too", name, GENERATIONS_TRIED - 1);
        return r;
}

int
semaphore_race_open(sem_t **ret, uid_t uid, const char *instance, uint64_t generation, uint64_t number)
{
        char name[SEMAPHORE_NAME_MAX];
        sem_t *sem;

        semaphore_race_name(name, uid, instance, generation, number);
        sem = sem_open(name, 0);
        if (sem == SEM_FAILED)
                return -errno;
        *ret = sem;
        return 0;
}

void
semaphore_race_unlink(uid_t uid, const char *instance, uint64_t generation, uint64_t number)
{
        char name[SEMAPHORE_NAME_MAX];

        semaphore_race_name(name, uid, instance, generation, number);
        unlink_name(name);
}

/* ── what a dead daemon left ── */

static bool
ends_with(const char *text, const char *end)
{
        size_t a = strlen(text), b = strlen(end);

        return a >= b && strcmp(text + a - b, end) == 0;
}

/* Whoever made this, it was not us, or not as it is now. It is never opened, so it does no harm. */
static void
report_foreign(int dir, const char *name)
{
        struct stat st;

        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return;
        if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 07777) != 0600 ||
            (st.st_size != sizeof(sem_t) && !ends_with(name, NEW_SUFFIX)))
                log_warning("%s/%s is no semaphore of ours (mode %o, owner %u, %lld bytes): it is not used", SHM_DIR,
                            name, (unsigned)st.st_mode & 07777, (unsigned)st.st_uid, (long long)st.st_size);
}

int
semaphores_remove_stale(uid_t uid, const char *instance)
{
        char prefix[SEMAPHORE_NAME_MAX];
        struct dirent *e;
        int removed = 0;
        DIR *dir = opendir(SHM_DIR);

        if (!dir)
                return 0;
        snprintf(prefix, sizeof(prefix), "sem.concd.%u.%s.", (unsigned)uid, instance);
        while ((e = readdir(dir))) {
                if (strncmp(e->d_name, prefix, strlen(prefix)) != 0)
                        continue;
                report_foreign(dirfd(dir), e->d_name);
                removed += unlinkat(dirfd(dir), e->d_name, 0) == 0;
        }
        closedir(dir);
        return removed;
}
