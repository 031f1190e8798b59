/* SPDX-License-Identifier: MIT */
/* The segment's life: made exclusively, private, all its memory there; and what a dead daemon left is taken away
 * whole. */
#include "segment/segment.h"

#include "segment/process_time.h"
#include "segment/semaphores.h"
#include "shm_fixture.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>

#define WORKERS 3
#define CHUNKS  100

static struct segment s, taken; /* `taken` is what a later daemon adopts */

static void
setup(void)
{
        shm_count(true); /* of a test that failed before */
        memset(&s, 0, sizeof(s));
        umask(0);
}

static void
teardown(void)
{
        segment_unmap(&s);
        segment_unmap(&taken);
        ck_assert_uint_eq(shm_count(false), 0);
}

static void
create(const char *instance)
{
        ck_assert_int_eq(segment_create(&s, geteuid(), instance, WORKERS, CHUNKS), 0);
}

/* A segment and two generations of semaphores, as a killed daemon leaves them. */
static void
leave_everything(const char *instance)
{
        struct semaphores sem;

        segment_unmap(&s);
        create(instance);
        for (uint64_t g = 1; g <= 12; g += 11) {
                ck_assert_int_eq(semaphores_create(&sem, geteuid(), instance, g), 0);
                semaphores_close(&sem);
        }
}

#define EVERYTHING (1 + 2 * SEMAPHORES)

/* ── creation ── */

START_TEST(segment_is_private_and_all_there)
{
        const char *instance = shm_instance("a"), *path = shm_path("", instance, "");
        struct stat st;

        create(instance);
        ck_assert_str_eq(s.name, path + strlen(SHM_FOLDER));
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0600);
        ck_assert_uint_eq(umask(0), 0);
        ck_assert_uint_eq((uint64_t)st.st_size, s.header->size);
        ck_assert_uint_ge((uint64_t)st.st_blocks * 512, s.header->size);
        ck_assert_uint_eq(s.header->ready, 1);
        ck_assert_uint_eq(s.header->uid, geteuid());
        ck_assert_str_eq(s.header->instance, instance);
        ck_assert_int_eq(s.header->supervisor, getpid());
        ck_assert_uint_eq(s.header->supervisor_start, process_start_time(getpid()));
        ck_assert_uint_eq(s.header->max_workers, WORKERS);
        ck_assert_uint_eq(s.header->ledger_chunks, CHUNKS);
        ck_assert_uint_eq(s.run->guard.n, 1);
        segment_unlink(&s);
        segment_unlink(&s); /* gone already: nothing to say */
}
END_TEST

static void
check_place(const void *begin, size_t size, const char **at)
{
        ck_assert((const char *)begin >= *at);
        ck_assert_uint_eq((uintptr_t)begin % CACHE_LINE, 0);
        *at = (const char *)begin + size;
}

START_TEST(parts_lie_one_after_another)
{
        const char *at, *base;

        create(shm_instance("a"));
        segment_unlink(&s);
        base = (const char *)s.header;
        at = base + sizeof(*s.header);
        ck_assert_uint_eq(s.header->n_slots, 1 + 2 * WORKERS);
        check_place(s.run, sizeof(*s.run), &at);
        check_place(s.record, sizeof(*s.record), &at);
        check_place(s.slots, s.header->n_slots * sizeof(*s.slots), &at);
        check_place(s.seats, WORKERS * sizeof(*s.seats), &at);
        check_place(s.ledger, CHUNKS * sizeof(*s.ledger), &at);
        ck_assert_uint_le((uint64_t)(at - base), s.header->size);
        for (uint32_t i = 0; i < WORKERS; i++) {
                ck_assert_uint_eq(segment_process_slot(&s, i), SLOT_THREAD_HOST + 1 + i);
                ck_assert_uint_eq(segment_thread_slot(&s, i), SLOT_THREAD_HOST + 1 + WORKERS + i);
        }
        for (uint32_t i = 0; i < s.header->n_slots; i++)
                ck_assert_uint_eq(s.slots[i].state, SLOT_FREE);
}
END_TEST

START_TEST(taken_name_is_left_alone)
{
        const char *instance = shm_instance("a"), *path = shm_path("", instance, "");
        struct segment other = {0};
        struct stat st;

        if (_i == 0) {
                shm_squat(path, "x", 1);
        } else {
                create(instance);
        }
        ck_assert_int_eq(segment_create(&other, geteuid(), instance, 1, 1), -EEXIST);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq((uint64_t)st.st_size, _i == 0 ? 1 : s.header->size);
        ck_assert_int_eq(unlink(path), 0);
}
END_TEST

/* Larger than all of /dev/shm. Where that has no limit, or one beyond the largest ledger, there is nothing to show. */
START_TEST(memory_that_is_not_there_is_refused)
{
        const char *instance = shm_instance("a");
        struct statvfs fs;
        uint64_t chunks;

        ck_assert_int_eq(statvfs(SHM_FOLDER, &fs), 0);
        chunks = (uint64_t)fs.f_blocks * fs.f_frsize / sizeof(struct ledger_line) + (1 << 20);
        if (fs.f_blocks == 0 || chunks > UINT32_MAX)
                return;
        ck_assert_int_eq(segment_create(&s, geteuid(), instance, 1, (uint32_t)chunks), -ENOSPC);
        ck_assert_ptr_null(s.header);
}
END_TEST

START_TEST(name_stays_when_unmapped)
{
        const char *instance = shm_instance("a");

        create(instance);
        segment_unmap(&s);
        ck_assert_ptr_null(s.header);
        segment_unmap(&s);
        ck_assert_int_eq(unlink(shm_path("", instance, "")), 0);
}
END_TEST

/* ── what is left ── */

static char reason[SEGMENT_REASON_MAX];

/* As a later daemon does it; the reason is empty when it was not asked for one. */
static int
adopt(const char *instance)
{
        reason[0] = 0;
        segment_unmap(&taken);
        return segment_adopt(&taken, geteuid(), instance, WORKERS, CHUNKS, reason);
}

static void
remove_all(const char *instance)
{
        ck_assert_int_eq(segment_remove(geteuid(), instance), 0);
        semaphores_remove_stale(geteuid(), instance);
}

START_TEST(stale_files_of_one_instance_go)
{
        /* Names that begin alike, as far as names of instances can. */
        static const char *const names[] = {"a", "aa", "a-1", "a_", "A", ""};

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                leave_everything(shm_instance(names[i]));
        ck_assert_uint_eq(shm_count(false), ARRAY_SIZE(names) * EVERYTHING);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                ck_assert_int_eq(semaphores_remove_stale(geteuid(), shm_instance(names[i])), EVERYTHING - 1);
                ck_assert_int_eq(semaphores_remove_stale(geteuid(), shm_instance(names[i])), 0);
                ck_assert_int_eq(segment_remove(geteuid(), shm_instance(names[i])), 0);
                ck_assert_uint_eq(shm_count(false), (ARRAY_SIZE(names) - 1 - i) * EVERYTHING);
                ck_assert_int_eq(segment_remove(geteuid(), shm_instance(names[i])), 0); /* gone already */
        }
        /* Another user's, with the same instance. */
        leave_everything(shm_instance("a"));
        ck_assert_int_eq(semaphores_remove_stale(geteuid() + 1, shm_instance("a")), 0);
        ck_assert_int_eq(segment_remove(geteuid() + 1, shm_instance("a")), 0);
        ck_assert_uint_eq(shm_count(false), EVERYTHING);
        remove_all(shm_instance("a"));
}
END_TEST

/* A semaphore of ours whose creator was killed before it was complete goes. Nobody else's does, whatever its name, size
 * and age: glibc's own temporary files look just like semaphores with six letters. */
START_TEST(only_our_unfinished_semaphores_go)
{
        static const struct {
                const char *name; /* NULL: the unfinished one */
                size_t size;
        } rows[] = {{NULL, 0}, {NULL, sizeof(sem_t)}, {"sem.Zq0815", sizeof(sem_t)}, {"sem.Zr0815", 0}};
        const char content[sizeof(sem_t)] = "";

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const struct timespec long_ago[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
                char path[160];

                if (rows[i].name)
                        snprintf(path, sizeof(path), "%s/%s", SHM_FOLDER, rows[i].name);
                else
                        snprintf(path, sizeof(path), "%s", shm_path("sem.", shm_instance("a"), ".3.guard.new"));
                shm_squat(path, content, rows[i].size);
                ck_assert_int_eq(utimensat(AT_FDCWD, path, long_ago, 0), 0);
                ck_assert_int_eq(semaphores_remove_stale(geteuid(), shm_instance("a")), rows[i].name == NULL);
                ck_assert_int_eq(unlink(path) == 0, rows[i].name != NULL);
        }
}
END_TEST

START_TEST(stale_segment_is_adopted_as_it_was_left)
{
        const char *instance = shm_instance("a"), text[] = "{}";

        ck_assert_int_eq(adopt(instance), -ENOENT);
        create(instance);
        s.header->supervisor = 0;
        s.header->generation = 7;
        s.run->current = 4711;
        s.ledger[CHUNKS - 1].word = 42;
        s.slots[2 * WORKERS].state = SLOT_RUNNING;
        ck_assert_int_eq(journal_append(&s.record->journal, text, strlen(text)), 0);
        ck_assert_int_eq(adopt(instance), 0);
        ck_assert_int_eq(taken.header->supervisor, getpid());
        ck_assert_uint_eq(taken.header->supervisor_start, process_start_time(getpid()));
        ck_assert_uint_eq(taken.header->generation, 7);
        ck_assert_uint_eq(taken.run->current, 4711);
        ck_assert_uint_eq(taken.ledger[CHUNKS - 1].word, 42);
        ck_assert_uint_eq(taken.slots[2 * WORKERS].state, SLOT_RUNNING);
        ck_assert_int_eq(journal_check(&taken.record->journal), 0);
        remove_all(instance);
}
END_TEST

static void
on_process(void *arg, pid_t pid, uint64_t start_time)
{
        uint64_t *sum = arg;

        sum[0]++;
        sum[1] += (uint64_t)pid;
        sum[2] += start_time;
}

START_TEST(processes_of_a_stale_segment_are_named)
{
        const char *instance = shm_instance("a");
        uint64_t sum[3] = {0};

        create(instance);
        for (uint32_t i = 0; i < s.header->n_slots; i++) {
                s.slots[i].pid = 1000 + (int)i;
                s.slots[i].start_time = 10 * i;
                s.slots[i].state = SLOT_IDLE;
        }
        s.slots[2].state = SLOT_FREE;
        s.slots[3].pid = 1; /* never to be killed, whatever the segment says */
        ck_assert_int_eq(segment_stale_processes(geteuid(), instance, on_process, sum), 0);
        /* The host and one process; threads have no processes of their own. */
        ck_assert_uint_eq(sum[0], 2);
        ck_assert_uint_eq(sum[1], 1000 + 1001);
        ck_assert_uint_eq(sum[2], 10);
        segment_unlink(&s);
        ck_assert_int_eq(segment_stale_processes(geteuid(), instance, on_process, sum), -ENOENT);
}
END_TEST

/* ── in use ── */

/* Another process that makes a segment and stays. */
static pid_t
other_supervisor(const char *instance)
{
        int ready[2];
        char c;
        pid_t pid;

        ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                leave_everything(instance);
                if (write(ready[1], "r", 1) == 1)
                        pause();
                _exit(1);
        }
        close(ready[1]);
        ck_assert_int_eq(read(ready[0], &c, 1), 1);
        close(ready[0]);
        return pid;
}

START_TEST(segment_in_use_is_not_stale)
{
        const char *instance = shm_instance("a");
        pid_t pid = other_supervisor(instance);

        ck_assert_int_eq(adopt(instance), -EBUSY);
        ck_assert_ptr_null(taken.header);
        ck_assert_uint_eq(shm_count(false), EVERYTHING);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        ck_assert_int_eq(adopt(instance), 0);
        remove_all(instance);
}
END_TEST

/* Killed, and nobody reaps it: under a container's first process that may be so for ever. */
START_TEST(supervisor_that_is_not_reaped_is_dead)
{
        const char *instance = shm_instance("a");
        pid_t pid = other_supervisor(instance);
        siginfo_t info;

        kill(pid, SIGKILL);
        ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
        ck_assert_int_eq(adopt(instance), 0);
        remove_all(instance);
        waitpid(pid, NULL, 0);
}
END_TEST

/* Its pid was given to another process meanwhile. */
START_TEST(supervisor_with_another_start_time_is_dead)
{
        const char *instance = shm_instance("a");
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                for (;;)
                        pause();
        }
        create(instance);
        s.header->supervisor = pid;
        s.header->supervisor_start = process_start_time(pid) - 1;
        ck_assert_int_eq(adopt(instance), 0);
        remove_all(instance);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}
END_TEST

/* ── a segment that is none ── */

/* It must be refused, with this in the reason, and be left as it is. */
static void
refused(const char *instance, const char *why)
{
        uint64_t sum[3] = {0};

        ck_assert_int_eq(segment_stale_processes(geteuid(), instance, on_process, sum), SEGMENT_E_UNFIT);
        ck_assert_uint_eq(sum[0], 0);
        ck_assert_int_eq(adopt(instance), SEGMENT_E_UNFIT);
        ck_assert_ptr_null(taken.header);
        ck_assert_msg(strstr(reason, why), "\"%s\" in \"%s\"", why, reason);
}

START_TEST(foreign_content_is_refused)
{
        static const size_t sizes[] = {0, 1, sizeof(struct segment_header) - 1, sizeof(struct segment_header), 1 << 20};
        size_t size = sizes[_i / 2];
        AUTO_FREE char *content = malloc(size + 1);
        const char *instance = shm_instance("a"), *path = shm_path("", instance, "");

        memset(content, _i % 2 ? 0xff : 0, size);
        shm_squat(path, content, size);
        refused(instance, "its mode is 0644 and not 0600");
        ck_assert_int_eq(chmod(path, 0600), 0);
        refused(instance, size < sizeof(struct segment_header) ? "fewer than its header" : "no segment of concd");
        remove_all(instance);
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
        const char *instance = shm_instance("a"), *path = shm_path("", instance, "");

        ck_assert_int_eq(_i == 0 ? mkfifo(path, 0600) : symlink("/dev/null", path), 0);
        refused(instance, _i == 0 ? "not a regular file" : "cannot be opened");
        remove_all(instance);
}
END_TEST

START_TEST(segment_of_other_sizes_is_refused)
{
        const char *instance = shm_instance("a");

        ck_assert_int_eq(segment_create(&s, geteuid(), instance, WORKERS + _i, CHUNKS + 1), 0);
        ck_assert_int_eq(adopt(instance), SEGMENT_E_UNFIT);
        ck_assert_msg(strstr(reason, "ledger_chunks 101, the configuration says 3 and 100"), "%s", reason);
        remove_all(instance);
}
END_TEST

START_TEST(segment_of_another_instance_is_refused)
{
        const char *instance = shm_instance("a");

        create(instance);
        ck_assert_int_eq(rename(shm_path("", instance, ""), shm_path("", shm_instance("b"), "")), 0);
        refused(shm_instance("b"), "of another instance");
        remove_all(shm_instance("b"));
}
END_TEST

/* Each bit of the header, flipped: it is refused, or it is one that says nothing of where things lie. */
START_TEST(flipped_bit_of_the_header_is_seen)
{
        const size_t fixed = offsetof(struct segment_header, checksum) + sizeof(uint64_t);
        const char *instance = shm_instance("a");

        create(instance);
        for (size_t i = 0; i < 8 * sizeof(struct segment_header); i++) {
                unsigned char *byte = (unsigned char *)s.header + i / 8, was;
                bool is_ready = i / 8 - offsetof(struct segment_header, ready) < sizeof(s.header->ready);

                /* Of a time at which nobody was started, lest a flipped pid be somebody's. */
                s.header->supervisor_start = 1;
                was = *byte;
                *byte ^= (unsigned char)(1 << i % 8);
                ck_assert_msg(adopt(instance) == (i / 8 < fixed || is_ready ? SEGMENT_E_UNFIT : 0),
                              "bit %zu of byte %zu: %s", i % 8, i / 8, reason);
                ck_assert(reason[0] != 0 || taken.header);
                *byte = was;
        }
        remove_all(instance);
}
END_TEST

/* The file is shorter or longer than its header says. */
START_TEST(segment_of_another_length_is_refused)
{
        static const int changes[] = {-4096, -1, 1, 4096};
        const char *instance = shm_instance("a"), *path = shm_path("", instance, "");

        create(instance);
        s.slots[1].state = SLOT_IDLE;
        s.slots[1].pid = 1000;
        ck_assert_int_eq(truncate(path, (off_t)s.header->size + changes[_i]), 0);
        refused(instance, "bytes and not");
        remove_all(instance);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("segment");
        TCase *life = tcase_create("life"), *stale = tcase_create("stale"), *foreign = tcase_create("foreign");
        TCase *cases[] = {life, stale, foreign};

        snprintf(shm_mark, sizeof(shm_mark), "unit-seg-%d_", getpid());
        tcase_add_test(life, segment_is_private_and_all_there);
        tcase_add_test(life, parts_lie_one_after_another);
        tcase_add_loop_test(life, taken_name_is_left_alone, 0, 2);
        tcase_add_test(life, memory_that_is_not_there_is_refused);
        tcase_add_test(life, name_stays_when_unmapped);
        tcase_add_test(stale, stale_files_of_one_instance_go);
        tcase_add_test(stale, only_our_unfinished_semaphores_go);
        tcase_add_test(stale, stale_segment_is_adopted_as_it_was_left);
        tcase_add_test(stale, processes_of_a_stale_segment_are_named);
        tcase_add_test(stale, segment_in_use_is_not_stale);
        tcase_add_test(stale, supervisor_that_is_not_reaped_is_dead);
        tcase_add_test(stale, supervisor_with_another_start_time_is_dead);
        tcase_add_loop_test(foreign, foreign_content_is_refused, 0, 10);
        tcase_add_loop_test(foreign, what_is_no_file_is_refused, 0, 2);
        tcase_add_loop_test(foreign, segment_of_other_sizes_is_refused, 0, 2);
        tcase_add_test(foreign, segment_of_another_instance_is_refused);
        tcase_add_test(foreign, flipped_bit_of_the_header_is_seen);
        tcase_add_loop_test(foreign, segment_of_another_length_is_refused, 0, 4);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                tcase_set_timeout(cases[i], 30);
                tcase_add_checked_fixture(cases[i], setup, teardown);
                suite_add_tcase(suite, cases[i]);
        }
        return shm_main(suite);
}
