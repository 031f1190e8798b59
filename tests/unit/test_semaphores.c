/* SPDX-License-Identifier: MIT */
/* Named semaphores: made by us or not used at all, readable by nobody else, and gone afterwards. */
#include "segment/semaphores.h"

#include "shm_fixture.h"

#include <errno.h>

#define SQUATTED 7

static const char *instance;
static struct semaphores s;

static void
setup(void)
{
        shm_count(true); /* of a test that failed before */
        instance = shm_instance("");
        memset(&s, 0, sizeof(s));
        umask(0);
}

static void
teardown(void)
{
        semaphores_close(&s);
        ck_assert_uint_eq(shm_count(false), 0);
}

static const char *
path_of(uint64_t generation, enum semaphore_purpose purpose)
{
        char after[64];

        snprintf(after, sizeof(after), ".%llu.%s", (unsigned long long)generation, semaphore_purpose_name(purpose));
        return shm_path("sem.", instance, after);
}

static int
value_of(sem_t *sem)
{
        int value = -1;

        ck_assert_int_eq(sem_getvalue(sem, &value), 0);
        return value;
}

START_TEST(names_are_as_documented)
{
        char name[SEMAPHORE_NAME_MAX];

        semaphore_name(name, 12, "abc-d", UINT64_C(1) << 40, SEMAPHORE_PROCESS);
        ck_assert_str_eq(name, "/concd.12.abc-d.1099511627776.process");
        for (int i = 0; i < SEMAPHORES; i++) {
                for (int k = 0; k < i; k++)
                        ck_assert_str_ne(semaphore_purpose_name(i), semaphore_purpose_name(k));
        }
}
END_TEST

START_TEST(set_is_private_and_has_its_values)
{
        static const int values[SEMAPHORES] = {[SEMAPHORE_GUARD] = 1};

        ck_assert_int_eq(semaphores_create(&s, geteuid(), instance, 3), 0);
        ck_assert_uint_eq(s.generation, 3);
        ck_assert_uint_eq(umask(0), 0);
        for (int i = 0; i < SEMAPHORES; i++) {
                struct stat st;

                ck_assert_int_eq(stat(path_of(3, i), &st), 0);
                ck_assert_uint_eq(st.st_mode & 07777, 0600);
                ck_assert_uint_eq(st.st_uid, geteuid());
                ck_assert_int_eq(value_of(s.sem[i]), values[i]);
        }
        ck_assert_uint_eq(shm_count(false), SEMAPHORES);
        semaphores_unlink(geteuid(), instance, 3);
}
END_TEST

START_TEST(existing_set_is_never_opened)
{
        struct semaphores other;

        ck_assert_int_eq(semaphores_create(&s, geteuid(), instance, 1), 0);
        sem_post(s.sem[SEMAPHORE_GUARD]);
        ck_assert_int_eq(semaphores_create(&other, geteuid(), instance, 1), 0);
        ck_assert_uint_eq(other.generation, 2);
        ck_assert_int_eq(value_of(other.sem[SEMAPHORE_GUARD]), 1);
        ck_assert_int_eq(value_of(s.sem[SEMAPHORE_GUARD]), 2);
        semaphores_unlink(geteuid(), instance, 1);
        ck_assert_uint_eq(shm_count(false), SEMAPHORES);
        semaphores_unlink(geteuid(), instance, 2);
        /* Who has them open keeps them. */
        ck_assert_int_eq(sem_post(other.sem[SEMAPHORE_THREAD]), 0);
        semaphores_close(&other);
        ck_assert_ptr_null(other.sem[SEMAPHORE_THREAD]);
}
END_TEST

/* A file under one of the three names of the generation: empty, which would be a SIGBUS, or with any content. */
START_TEST(squatter_is_passed_over)
{
        static const char content[] = "not a semaphore, but long enough to be taken for one: 32 bytes";
        enum semaphore_purpose purpose = _i / 2;
        const char *squat = path_of(SQUATTED, purpose);
        size_t size = _i % 2 ? sizeof(content) : 0;
        char now[2 * sizeof(content)];
        struct stat before, after;
        AUTO_CLOSE int fd = -1;

        shm_squat(squat, content, size);
        ck_assert_int_eq(stat(squat, &before), 0);
        ck_assert_int_eq(semaphores_create(&s, geteuid(), instance, SQUATTED), 0);
        ck_assert_uint_eq(s.generation, SQUATTED + 1);
        for (int i = 0; i < SEMAPHORES; i++)
                ck_assert_int_eq(value_of(s.sem[i]), i == SEMAPHORE_GUARD);
        /* Nothing of the generation that could not be had is left but the squatter's file, as it was. */
        ck_assert_uint_eq(shm_count(false), SEMAPHORES + 1);
        ck_assert_int_eq(stat(squat, &after), 0);
        ck_assert_uint_eq(before.st_ino, after.st_ino);
        ck_assert_uint_eq(before.st_mode, after.st_mode);
        fd = open(squat, O_RDONLY | O_CLOEXEC);
        ck_assert_int_eq(read(fd, now, sizeof(now)), (ssize_t)size);
        ck_assert_mem_eq(now, content, size);
        semaphores_unlink(geteuid(), instance, SQUATTED + 1);
        ck_assert_int_eq(unlink(squat), 0);
}
END_TEST

START_TEST(thousand_squatters_are_too_many)
{
        ck_assert_int_eq(semaphores_create(&s, geteuid(), instance, 1), 0);
        for (uint64_t g = 2; g <= 1000; g++)
                shm_squat(path_of(g, SEMAPHORE_THREAD), NULL, 0);
        semaphores_close(&s);
        ck_assert_int_eq(semaphores_create(&s, geteuid(), instance, 1), -EEXIST);
        for (int i = 0; i < SEMAPHORES; i++)
                ck_assert_ptr_null(s.sem[i]);
        ck_assert_uint_eq(shm_count(false), SEMAPHORES + 999);
        ck_assert_int_eq(semaphores_create(&s, geteuid(), instance, 2), 0);
        ck_assert_uint_eq(s.generation, 1001);
        shm_count(true);
}
END_TEST

START_TEST(worker_opens_what_was_made)
{
        struct semaphores other;

        ck_assert_int_eq(semaphores_create(&s, geteuid(), instance, 5), 0);
        ck_assert_int_eq(semaphores_open(&other, geteuid(), instance, 5), 0);
        ck_assert_uint_eq(other.generation, 5);
        for (int i = 0; i < SEMAPHORES; i++) {
                int before = value_of(s.sem[i]);

                sem_post(other.sem[i]);
                ck_assert_int_eq(value_of(s.sem[i]), before + 1);
        }
        semaphores_close(&other);
        semaphores_unlink(geteuid(), instance, 5);
        ck_assert_int_eq(semaphores_open(&other, geteuid(), instance, 5), -ENOENT);
        for (int i = 0; i < SEMAPHORES; i++)
                ck_assert_ptr_null(other.sem[i]);
        semaphores_unlink(geteuid(), instance, 5); /* gone already: nothing to say */
}
END_TEST

/* A worker comes while the set is being taken away. */
START_TEST(half_a_set_is_none)
{
        struct semaphores other;

        ck_assert_int_eq(semaphores_create(&s, geteuid(), instance, 5), 0);
        ck_assert_int_eq(unlink(path_of(5, SEMAPHORES - 1)), 0);
        ck_assert_int_eq(semaphores_open(&other, geteuid(), instance, 5), -ENOENT);
        for (int i = 0; i < SEMAPHORES; i++)
                ck_assert_ptr_null(other.sem[i]);
        semaphores_unlink(geteuid(), instance, 5);
}
END_TEST

/* ── that of a race ── */

static const char *
race_path(uint64_t generation, uint64_t number)
{
        char after[64];

        snprintf(after, sizeof(after), ".%llu.race-%llu", (unsigned long long)generation, (unsigned long long)number);
        return shm_path("sem.", instance, after);
}

START_TEST(race_has_a_semaphore_of_its_own)
{
        char name[SEMAPHORE_NAME_MAX];
        sem_t *made = NULL, *opened = NULL;
        uint64_t number = 12;
        struct stat st;

        semaphore_race_name(name, 7, "abc-d", 3, 12);
        ck_assert_str_eq(name, "/concd.7.abc-d.3.race-12");
        ck_assert_int_eq(semaphore_race_create(&made, geteuid(), instance, 3, &number, 5), 0);
        ck_assert_uint_eq(number, 12);
        ck_assert_uint_eq(umask(0), 0);
        ck_assert_int_eq(stat(race_path(3, 12), &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0600);
        ck_assert_int_eq(value_of(made), 5);
        ck_assert_int_eq(semaphore_race_open(&opened, geteuid(), instance, 3, 12), 0);
        ck_assert_int_eq(sem_trywait(opened), 0);
        ck_assert_int_eq(value_of(made), 4);
        semaphore_race_unlink(geteuid(), instance, 3, 12);
        ck_assert_uint_eq(shm_count(false), 0);
        sem_close(opened);
        opened = NULL;
        ck_assert_int_eq(semaphore_race_open(&opened, geteuid(), instance, 3, 12), -ENOENT);
        ck_assert_ptr_null(opened);
        sem_close(made);
}
END_TEST

START_TEST(taken_name_of_a_race_is_passed_over)
{
        uint64_t first = 4, second = 4;
        sem_t *a = NULL, *b = NULL;

        ck_assert_int_eq(semaphore_race_create(&a, geteuid(), instance, 1, &first, 1), 0);
        shm_squat(race_path(1, 5), NULL, 0);
        ck_assert_int_eq(semaphore_race_create(&b, geteuid(), instance, 1, &second, 2), 0);
        ck_assert_uint_eq(second, 6);
        ck_assert_int_eq(value_of(a), 1);
        ck_assert_int_eq(value_of(b), 2);
        semaphore_race_unlink(geteuid(), instance, 1, first);
        ck_assert_uint_eq(shm_count(false), 2);
        sem_close(a);
        sem_close(b);
        /* A killed daemon's is swept with all others. */
        ck_assert_int_ge(semaphores_remove_stale(geteuid(), instance), 2);
        ck_assert_uint_eq(shm_count(false), 0);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("semaphores");
        TCase *tc = tcase_create("semaphores");

        snprintf(shm_mark, sizeof(shm_mark), "unit-sem-%d_", getpid());
        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_set_timeout(tc, 30);
        tcase_add_test(tc, names_are_as_documented);
        tcase_add_test(tc, set_is_private_and_has_its_values);
        tcase_add_test(tc, existing_set_is_never_opened);
        tcase_add_loop_test(tc, squatter_is_passed_over, 0, 2 * SEMAPHORES);
        tcase_add_test(tc, thousand_squatters_are_too_many);
        tcase_add_test(tc, worker_opens_what_was_made);
        tcase_add_test(tc, half_a_set_is_none);
        tcase_add_test(tc, race_has_a_semaphore_of_its_own);
        tcase_add_test(tc, taken_name_of_a_race_is_passed_over);
        suite_add_tcase(suite, tc);
        return shm_main(suite);
}
