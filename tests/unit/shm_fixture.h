/* SPDX-License-Identifier: MIT */
/* Names in /dev/shm that belong to this run of the test program, and the proof that none of them stays. */
#ifndef CONCD_TEST_SHM_FIXTURE_H
#define CONCD_TEST_SHM_FIXTURE_H

#include "run_suite.h"
#include "shared/base.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#define SHM_FOLDER "/dev/shm"

/* Set by main(), because every test runs in a process of its own. */
static char shm_mark[32];

/* The instance `name` of this run: its names begin with the mark, so a name may be the beginning of another. */
static inline const char *
shm_instance(const char *name)
{
        static char instances[8][48];
        static unsigned next;
        char *instance = instances[next++ % 8];

        snprintf(instance, sizeof(instances[0]), "%s%s", shm_mark, name);
        return instance;
}

/* "/dev/shm/<before>concd.<uid>.<instance><after>" */
static inline const char *
shm_path(const char *before, const char *instance, const char *after)
{
        static char paths[8][160];
        static unsigned next;
        char *path = paths[next++ % 8];

        snprintf(path, sizeof(paths[0]), "%s/%sconcd.%u.%s%s", SHM_FOLDER, before, geteuid(), instance, after);
        return path;
}

/* How many files of this run there are; `take_away` takes them away. */
static inline unsigned
shm_count(bool take_away)
{
        DIR *dir = opendir(SHM_FOLDER);
        struct dirent *e;
        unsigned n = 0;

        while (dir && (e = readdir(dir))) {
                if (!strstr(e->d_name, shm_mark))
                        continue;
                n++;
                if (take_away)
                        unlinkat(dirfd(dir), e->d_name, 0);
        }
        if (dir)
                closedir(dir);
        return n;
}

static inline void
shm_squat(const char *path, const void *content, size_t size)
{
        AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

        ck_assert_int_ge(fd, 0);
        if (size > 0)
                ck_assert_int_eq(write(fd, content, size), (ssize_t)size);
}

static inline ino_t
shm_inode(const char *path)
{
        struct stat st;

        return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* Takes away what runs of this program left that were killed: their marks differ from ours in the pid only. */
static inline void
shm_sweep(void)
{
        int stem = (int)strcspn(shm_mark, "0123456789");
        DIR *dir = opendir(SHM_FOLDER);
        struct dirent *e;
        char *end;

        while (dir && (e = readdir(dir))) {
                const char *mark = memmem(e->d_name, strlen(e->d_name), shm_mark, (size_t)stem);
                long pid = mark ? strtol(mark + stem, &end, 10) : 0;

                if (pid > 0 && *end == '_' && kill((pid_t)pid, 0) < 0 && errno == ESRCH)
                        unlinkat(dirfd(dir), e->d_name, 0);
        }
        if (dir)
                closedir(dir);
}

static inline int
shm_main(Suite *suite)
{
        int status;

        shm_sweep();
        status = run_suite(suite);
        /* Only a test that failed leaves something. */
        shm_count(true);
        return status;
}

#endif
