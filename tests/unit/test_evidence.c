/* SPDX-License-Identifier: MIT */
/* What the kernel accounts: the right thread's, the children's when asked for, and never less than nothing. */
#include "worker/evidence.h"

#include "worker_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

#define BURN_NS (50 * NS_PER_MS)

static void
burn(void)
{
        struct timespec t;

        do
                clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        while ((uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec < BURN_NS);
}

static uint64_t
cpu_of(const struct evidence *e)
{
        return e->user_ns + e->system_ns;
}

static void *
burn_main(void *arg)
{
        burn();
        evidence_read(arg, -1, false);
        return NULL;
}

START_TEST(burned_time_is_the_threads_own)
{
        struct evidence before, after, of_thread = {0};
        pthread_t thread;

        evidence_read(&before, -1, false);
        ck_assert_int_eq(pthread_create(&thread, NULL, burn_main, &of_thread), 0);
        pthread_join(thread, NULL);
        evidence_read(&after, -1, false);
        ck_assert_uint_ge(cpu_of(&of_thread), 20 * NS_PER_MS);
        ck_assert_uint_le(cpu_of(&of_thread), 20 * NS_PER_S);
        ck_assert_uint_lt(cpu_of(&after) - cpu_of(&before), cpu_of(&of_thread));
        ck_assert_uint_eq(after.run_queue_wait_ns, 0); /* no descriptor */
}
END_TEST

START_TEST(children_are_added_when_asked_for)
{
        struct evidence own, all;
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                burn();
                _exit(0);
        }
        waitpid(pid, NULL, 0);
        evidence_read(&own, -1, false);
        evidence_read(&all, -1, true);
        ck_assert_uint_ge(cpu_of(&all) - cpu_of(&own), 20 * NS_PER_MS);
        ck_assert_uint_le(cpu_of(&all) - cpu_of(&own), 20 * NS_PER_S);
        ck_assert_uint_gt(all.minor_faults, own.minor_faults);
}
END_TEST

/* Sleeping is a voluntary switch, and fresh memory is faults. */
START_TEST(switches_and_faults_are_seen)
{
        const size_t size = 64 * 4096;
        struct evidence before, after;
        char *memory;

        evidence_read(&before, -1, false);
        for (int i = 0; i < 5; i++)
                usleep(1000);
        memory = aligned_alloc(4096, size);
        for (size_t i = 0; i < size; i += 4096)
                ((volatile char *)memory)[i] = 1;
        evidence_read(&after, -1, false);
        free(memory);
        ck_assert_uint_ge(after.voluntary - before.voluntary, 5);
        ck_assert_uint_gt(after.minor_faults, before.minor_faults);
}
END_TEST

/* As one file of the system has it: time on the CPU, time waiting for it. */
START_TEST(run_queue_wait_is_read_from_schedstat)
{
        unsigned long long on_cpu, waited;
        struct evidence e;
        char text[96] = "";
        int fd = evidence_open();

        if (fd < 0)
                return; /* a kernel without it */
        evidence_read(&e, fd, false);
        ck_assert_int_gt(pread(fd, text, sizeof(text) - 1, 0), 0);
        ck_assert_int_eq(sscanf(text, "%llu %llu", &on_cpu, &waited), 2);
        ck_assert_uint_le(e.run_queue_wait_ns, waited);
        ck_assert_uint_ge(e.run_queue_wait_ns + NS_PER_S, waited);
        close(fd);
        fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        evidence_read(&e, fd, false);
        ck_assert_uint_eq(e.run_queue_wait_ns, 0);
        close(fd);
}
END_TEST

START_TEST(rusage_is_taken_over)
{
        struct rusage usage = {
                .ru_utime = {.tv_sec = 3, .tv_usec = 500000},
                .ru_stime = {.tv_usec = 7},
                .ru_nvcsw = 11,
                .ru_nivcsw = 12,
                .ru_minflt = 13,
                .ru_majflt = 14,
        };
        struct evidence e;

        memset(&e, 0xff, sizeof(e));
        evidence_from_rusage(&e, &usage);
        ck_assert_uint_eq(e.user_ns, UINT64_C(3500000000));
        ck_assert_uint_eq(e.system_ns, 7000);
        ck_assert_uint_eq(e.run_queue_wait_ns, 0);
        ck_assert_uint_eq(e.voluntary, 11);
        ck_assert_uint_eq(e.involuntary, 12);
        ck_assert_uint_eq(e.minor_faults, 13);
        ck_assert_uint_eq(e.major_faults, 14);
}
END_TEST

START_TEST(differences_never_go_below_nothing)
{
        struct evidence to = {1, 2, 3, 4, 5, 6, 7}, now = {10, 20, 30, 40, 50, 60, 70},
                        base = {9, 21, 0, 40, 51, 1, 70};
        struct evidence expected = {2, 2, 33, 4, 5, 65, 7}, doubled = {4, 4, 66, 8, 10, 130, 14};

        evidence_add_since(&to, &now, &base);
        ck_assert_mem_eq(&to, &expected, sizeof(to));
        evidence_add(&to, &expected);
        ck_assert_mem_eq(&to, &doubled, sizeof(to));
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("evidence");
        TCase *tc = tcase_create("evidence");

        tcase_set_timeout(tc, 30);
        tcase_add_test(tc, burned_time_is_the_threads_own);
        tcase_add_test(tc, children_are_added_when_asked_for);
        tcase_add_test(tc, switches_and_faults_are_seen);
        tcase_add_test(tc, run_queue_wait_is_read_from_schedstat);
        tcase_add_test(tc, rusage_is_taken_over);
        tcase_add_test(tc, differences_never_go_below_nothing);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
