/* SPDX-License-Identifier: MIT */
/* The user database is this program's own, so that it is seen who is looked up, and how often. */
#include "supervisor/user-name.h"

#include "shared/base.h"
#include "supervisor/job.h"

#include "run_suite.h"

#include <check.h>
#include <errno.h>
#include <pwd.h>
#include <string.h>

#define ALICE 1000u

static unsigned look_ups;
static const char *alice = "alice";
static int error;
static size_t needed = 100; /* bytes for an entry */

/* In place of the C library's. */
int
getpwuid_r(uid_t uid, struct passwd *entry, char *buf, size_t size, struct passwd **ret)
{
        look_ups++;
        *ret = NULL;
        if (error != 0 || uid != ALICE)
                return error;
        if (size < needed)
                return ERANGE;
        snprintf(buf, size, "%s", alice);
        *entry = (struct passwd){.pw_name = buf, .pw_uid = uid};
        *ret = entry;
        return 0;
}

static void
expect(uid_t uid, const char *name, unsigned after)
{
        AUTO_FREE char *found = user_name(uid);

        ck_assert_str_eq(found, name);
        ck_assert_uint_eq(look_ups, after);
}

START_TEST(a_user_is_looked_up_once)
{
        for (unsigned i = 0; i < 100; i++)
                expect(ALICE, "alice", 1);
        /* Nor is who does not exist looked for again. */
        for (unsigned i = 0; i < 100; i++)
                expect(4294967294u, "4294967294", 2);
        expect(ALICE, "alice", 2);
}
END_TEST

START_TEST(forgetting_makes_it_look_again)
{
        expect(ALICE, "alice", 1);
        alice = "alicia";
        expect(ALICE, "alice", 1);
        user_names_forget();
        expect(ALICE, "alicia", 2);
        user_names_forget();
        user_names_forget();
        expect(ALICE, "alicia", 3);
}
END_TEST

/* What nobody knows is not kept as if it were known. */
START_TEST(a_database_that_fails_is_asked_again)
{
        error = EMFILE;
        expect(ALICE, "1000", 1);
        error = EIO;
        expect(ALICE, "1000", 2);
        error = 0;
        expect(ALICE, "alice", 3);
        expect(ALICE, "alice", 3);
}
END_TEST

/* Some databases say "no such user" by an error (getpwnam(3)). */
START_TEST(no_such_user_is_kept)
{
        static const int errors[] = {0, ENOENT, ESRCH, EBADF, EPERM};

        error = errors[_i];
        expect(1001, "1001", 1);
        error = EIO;
        expect(1001, "1001", 1);
}
END_TEST

START_TEST(an_entry_may_be_long)
{
        needed = 50000;
        expect(ALICE, "alice", 3);
        expect(ALICE, "alice", 3);
        /* So long that it is an error. */
        user_names_forget();
        needed = 100000000;
        expect(ALICE, "1000", 8);
        needed = 100;
        expect(ALICE, "alice", 9);
}
END_TEST

START_TEST(so_many_are_kept)
{
        char name[16];

        for (unsigned i = 0; i <= USER_NAMES_MAX; i++) {
                snprintf(name, sizeof(name), "%u", 5000 + i);
                expect(5000 + i, name, i + 1);
        }
        /* The oldest one gave way, no other. */
        expect(5001, "5001", USER_NAMES_MAX + 1);
        expect(5000 + USER_NAMES_MAX, name, USER_NAMES_MAX + 1);
        expect(5000, "5000", USER_NAMES_MAX + 2);
        expect(5001, "5001", USER_NAMES_MAX + 3);
}
END_TEST

START_TEST(jobs_of_one_user_are_one_look_up)
{
        for (unsigned i = 0; i < 10; i++) {
                struct variant variant = {.mode = 1, .workers = 2, .count = 1000};
                AUTO_JSON json_t *request = json_object(), *json = NULL;
                struct job *job, *again;
                struct plan plan;

                ck_assert_int_eq(plan_init_single(&plan, &variant, 0), 0);
                job = job_new(NULL, ALICE, "Run", request, &plan);
                ck_assert_str_eq(job->user, "alice");
                json = job_to_json(job);
                ck_assert_int_eq(job_from_json(json, &again), 0);
                ck_assert_str_eq(again->user, "alice");
                job_free(job);
                job_free(again);
        }
        ck_assert_uint_eq(look_ups, 1);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("user_name");
        TCase *tc = tcase_create("user_name");

        tcase_add_test(tc, a_user_is_looked_up_once);
        tcase_add_test(tc, forgetting_makes_it_look_again);
        tcase_add_test(tc, a_database_that_fails_is_asked_again);
        tcase_add_loop_test(tc, no_such_user_is_kept, 0, 5);
        tcase_add_test(tc, an_entry_may_be_long);
        tcase_add_test(tc, so_many_are_kept);
        tcase_add_test(tc, jobs_of_one_user_are_one_look_up);
        suite_add_tcase(suite, tc);

        return run_suite(suite);
}
