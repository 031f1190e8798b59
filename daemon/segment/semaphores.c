/* SPDX-License-Identifier: MIT */
#include "segment/semaphores.h"

#include "shared/base.h"
#include "shared/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* How many taken names are passed over before it is given up. */
#define GENERATIONS_TRIED 1000

#define DEBRIS_AGE_S       2
#define LETTERS_AND_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

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

/* Creates one that does not exist. 0; -EEXIST; or another -errno, logged. */
static int
create_name(sem_t **ret, const char *name, unsigned value)
{
        mode_t mask = umask(0077);
        sem_t *sem = sem_open(name, O_CREAT | O_EXCL, 0600, value);
        int r = errno;

        umask(mask);
        if (sem == SEM_FAILED) {
                if (r != EEXIST)
                        log_error("cannot create semaphore %s: %s", name, strerror(r));
                return -r;
        }
        *ret = sem;
        return 0;
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

/*
 * glibc makes a semaphore under a temporary name, sem.XXXXXX, and then links it to its own. Such a file that is older
 * than a moment is nobody's any more, whoever's it was.
 */
static bool
is_debris(int dir, const char *name)
{
        struct timespec now;
        struct stat st;

        if (strncmp(name, "sem.", 4) != 0 || strlen(name) != 10 || strspn(name + 4, LETTERS_AND_DIGITS) != 6)
                return false;
        clock_gettime(CLOCK_REALTIME, &now);
        return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
               st.st_size == sizeof(sem_t) && st.st_nlink == 1 && now.tv_sec - st.st_mtim.tv_sec >= DEBRIS_AGE_S;
}

int
semaphores_remove_stale(uid_t uid, const char *instance)
{
        char prefix[SEMAPHORE_NAME_MAX];
        struct dirent *e;
        int removed = 0;
        DIR *dir = opendir("/dev/shm");

        if (!dir)
                return 0;
        snprintf(prefix, sizeof(prefix), "sem.concd.%u.%s.", (unsigned)uid, instance);
        while ((e = readdir(dir))) {
                if (is_debris(dirfd(dir), e->d_name))
                        removed += unlinkat(dirfd(dir), e->d_name, 0) == 0;
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
