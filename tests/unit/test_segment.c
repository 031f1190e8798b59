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
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#define WORKERS 3
#define CHUNKS  100

static struct segment s;

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

START_TEST(stale_files_of_one_instance_go)
{
        /* Names that begin alike, as far as names of instances can. */
        static const char *const names[] = {"a", "aa", "a-1", "a_", "A", ""};
        char *job = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                leave_everything(shm_instance(names[i]));
        ck_assert_uint_eq(shm_count(false), ARRAY_SIZE(names) * EVERYTHING);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                ck_assert_int_eq(segment_remove_stale(geteuid(), shm_instance(names[i]), &job), EVERYTHING);
                ck_assert_ptr_null(job);
                ck_assert_uint_eq(shm_count(false), (ARRAY_SIZE(names) - 1 - i) * EVERYTHING);
                ck_assert_int_eq(segment_remove_stale(geteuid(), shm_instance(names[i]), &job), 0);
        }
        /* Another user's, with the same instance. */
        leave_everything(shm_instance("a"));
        ck_assert_int_eq(segment_remove_stale(geteuid() + 1, shm_instance("a"), NULL), 0);
        ck_assert_int_eq(segment_remove_stale(geteuid(), shm_instance("a"), NULL), EVERYTHING);
}
END_TEST

START_TEST(job_that_was_running_is_named)
{
        const char *instance = shm_instance("a");
        char *job = NULL;

        create(instance);
        snprintf(s.record->id, sizeof(s.record->id), "0123456789abcdef");
        s.record->running = _i == 0;
        ck_assert_int_eq(segment_remove_stale(geteuid(), instance, &job), 1);
        if (_i == 0)
                ck_assert_str_eq(job, "0123456789abcdef");
        else
                ck_assert_ptr_null(job);
        free(job);
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
        char *job = (char *)instance;

        ck_assert_int_eq(segment_remove_stale(geteuid(), instance, &job), -EBUSY);
        ck_assert_ptr_eq(job, instance); /* untouched on failure */
        ck_assert_uint_eq(shm_count(false), EVERYTHING);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        ck_assert_int_eq(segment_remove_stale(geteuid(), instance, NULL), EVERYTHING);
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
        ck_assert_int_eq(segment_remove_stale(geteuid(), instance, NULL), EVERYTHING);
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
        ck_assert_int_eq(segment_remove_stale(geteuid(), instance, NULL), 1);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}
END_TEST

/* ── a segment that is none ── */

START_TEST(foreign_content_is_only_removed)
{
        static const size_t sizes[] = {0, 1, sizeof(struct segment_header) - 1, sizeof(struct segment_header), 1 << 20};
        size_t size = sizes[_i / 2];
        AUTO_FREE char *content = malloc(size + 1);
        const char *instance = shm_instance("a");
        uint64_t sum[3] = {0};
        char *job = NULL;

        memset(content, _i % 2 ? 0xff : 0, size);
        shm_squat(shm_path("", instance, ""), content, size);
        ck_assert_int_eq(segment_stale_processes(geteuid(), instance, on_process, sum), -ENOENT);
        ck_assert_int_eq(segment_remove_stale(geteuid(), instance, &job), 1);
        ck_assert_ptr_null(job);
        ck_assert_uint_eq(sum[0], 0);
}
END_TEST

/* What a segment is read by: with any bit of it wrong, nothing in it may be believed. */
#define FIELD(name)                                                                                                    \
        {                                                                                                              \
#name, offsetof(struct segment_header, name), sizeof(((struct segment_header *)0)->name)               \
        }
static const struct {
        const char *name;
        size_t offset, size;
} fields[] = {
        FIELD(magic),         FIELD(layout_version),
        FIELD(layout_hash),   FIELD(size),
        FIELD(off_run),       FIELD(off_record),
        FIELD(off_slots),     FIELD(off_seats),
        FIELD(off_ledger),    FIELD(max_workers),
        FIELD(ledger_chunks), FIELD(n_slots),
        FIELD(ready),         {"boot_id", offsetof(struct segment_header, boot_id), 36},
};

START_TEST(segment_with_a_wrong_header_is_foreign)
{
        const char *instance = shm_instance("a");

        for (size_t i = 0; i < 8 * fields[_i].size; i++) {
                uint64_t sum[3] = {0};
                char *job = NULL;

                create(instance);
                s.record->running = 1;
                s.slots[1].state = SLOT_IDLE;
                s.slots[1].pid = 1000;
                ((unsigned char *)s.header)[fields[_i].offset + i / 8] ^= (unsigned char)(1 << i % 8);
                ck_assert_msg(segment_stale_processes(geteuid(), instance, on_process, sum) == -ENOENT && sum[0] == 0,
                              "%s, bit %zu", fields[_i].name, i);
                ck_assert_int_eq(segment_remove_stale(geteuid(), instance, &job), 1);
                ck_assert_msg(!job, "%s, bit %zu", fields[_i].name, i);
                munmap(TAKE(s.header), 4096);
        }
}
END_TEST

/* The file is shorter or longer than its header says. */
START_TEST(segment_of_another_length_is_foreign)
{
        static const int changes[] = {-4096, -1, 1, 4096};
        const char *instance = shm_instance("a"), *path = shm_path("", instance, "");
        uint64_t sum[3] = {0};

        create(instance);
        s.slots[1].state = SLOT_IDLE;
        s.slots[1].pid = 1000;
        ck_assert_int_eq(truncate(path, (off_t)s.header->size + changes[_i]), 0);
        ck_assert_int_eq(segment_stale_processes(geteuid(), instance, on_process, sum), -ENOENT);
        ck_assert_int_eq(segment_remove_stale(geteuid(), instance, NULL), 1);
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
        tcase_add_loop_test(stale, job_that_was_running_is_named, 0, 2);
        tcase_add_test(stale, processes_of_a_stale_segment_are_named);
        tcase_add_test(stale, segment_in_use_is_not_stale);
        tcase_add_test(stale, supervisor_that_is_not_reaped_is_dead);
        tcase_add_test(stale, supervisor_with_another_start_time_is_dead);
        tcase_add_loop_test(foreign, foreign_content_is_only_removed, 0, 10);
        tcase_add_loop_test(foreign, segment_with_a_wrong_header_is_foreign, 0, ARRAY_SIZE(fields));
        tcase_add_loop_test(foreign, segment_of_another_length_is_foreign, 0, 4);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                tcase_set_timeout(cases[i], 30);
                tcase_add_checked_fixture(cases[i], setup, teardown);
                suite_add_tcase(suite, cases[i]);
        }
        return shm_main(suite);
}
