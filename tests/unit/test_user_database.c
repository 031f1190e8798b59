/* SPDX-License-Identifier: MIT */
/* The databases are this program's own, so that they can fail. */
#include "config/user-database.h"

#include "config/config.h"
#include "shared/log.h"
#include "supervisor/settings.h"

#include "run_suite.h"

#include <check.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

static int error;     /* what they return when they find nothing */
static size_t needed; /* bytes for an entry */
static unsigned look_ups;

/* In place of the C library's. Both know "alice" only. */
int
getpwnam_r(const char *name, struct passwd *entry, char *buf, size_t size, struct passwd **ret)
{
        look_ups++;
        *ret = NULL;
        if (error != 0 || strcmp(name, "alice") != 0)
                return error;
        if (size < needed)
                return ERANGE;
        *entry = (struct passwd){.pw_uid = 1000};
        *ret = entry;
        return 0;
}

int
getgrnam_r(const char *name, struct group *entry, char *buf, size_t size, struct group **ret)
{
        look_ups++;
        *ret = NULL;
        if (error != 0 || strcmp(name, "alice") != 0)
                return error;
        if (size < needed)
                return ERANGE;
        *entry = (struct group){.gr_gid = 2000};
        *ret = entry;
        return 0;
}

static const struct {
        int error, result;
} errors[] = {
        /* The ways to say that there is none (getpwnam(3)). */
        {0, -ENOENT},      {ENOENT, -ENOENT}, {ESRCH, -ENOENT},  {EBADF, -ENOENT},
        {EPERM, -ENOENT},  {EIO, -EIO},       {EMFILE, -EMFILE}, {ENFILE, -ENFILE},
        {EAGAIN, -EAGAIN}, {EINVAL, -EINVAL}, {ENOMEM, -ENOMEM}, {ECONNREFUSED, -ECONNREFUSED},
};

START_TEST(nobody_and_nobody_knows_are_apart)
{
        for (enum id_kind kind = ID_USER; kind <= ID_GROUP; kind++) {
                uint32_t id = 7;

                error = 0;
                ck_assert_int_eq(user_database_id("alice", kind, &id), 0);
                ck_assert_uint_eq(id, kind == ID_USER ? 1000 : 2000);
                error = errors[_i].error;
                ck_assert_int_eq(user_database_id("bob", kind, &id), errors[_i].result);
                ck_assert_uint_eq(id, kind == ID_USER ? 1000 : 2000);
        }
}
END_TEST

START_TEST(an_entry_may_be_long)
{
        uint32_t id;

        needed = 1024 * 1024;
        ck_assert_int_eq(user_database_id("alice", ID_GROUP, &id), 0);
        ck_assert_uint_eq(id, 2000);
        ck_assert_uint_eq(look_ups, 5);
        needed++;
        ck_assert_int_eq(user_database_id("alice", ID_GROUP, &id), -ERANGE);
        ck_assert_uint_eq(look_ups, 10);
}
END_TEST

/* The file may be right: nothing is said about it, and nothing of it is taken. */
START_TEST(a_database_that_fails_makes_no_configuration_wrong)
{
        AUTO_FREE char *message = NULL;
        struct config c;

        ck_assert_int_eq(config_init(&c), 0);
        ck_assert_int_eq(config_set(&c, "access.admin_users", "5,alice", &message), 0);
        error = EMFILE;
        ck_assert_int_eq(config_set(&c, "access.admin_users", "6,alice", &message), -EAGAIN);
        ck_assert_str_eq(message, "access.admin_users: cannot look up the user \"alice\": Too many open files");
        ck_assert_uint_eq(c.admin_users.n, 2);
        ck_assert_uint_eq(c.admin_users.ids[0], 5);
        config_deinit(&c);
}
END_TEST

/* On the command line, and in a file, which the daemon tells from a wrong one by what comes back. */
START_TEST(settings_are_not_invalid_then)
{
        char path[] = "/tmp/concd-test-XXXXXX";
        int fd = mkstemp(path);
        const char *const text = "[access]\nsubmit_groups = alice\n";
        const char *set[] = {"access.submit_groups=alice", NULL};
        const struct settings_options options[] = {{.config_path = path}, {.private_daemon = true, .settings = set}};

        log_set_level(LOG_LEVEL_ERROR);
        ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
        close(fd);
        for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
                AUTO_FREE char *used = NULL;
                struct config c;

                error = EIO;
                ck_assert_int_eq(settings_load(&options[i], &c, &used), -EAGAIN);
                error = 0;
                ck_assert_int_eq(settings_load(&options[i], &c, &used), 0);
                ck_assert_uint_eq(c.submit_groups.ids[0], 2000);
                config_deinit(&c);
        }
        unlink(path);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("user_database");
        TCase *tc = tcase_create("user_database");

        tcase_add_loop_test(tc, nobody_and_nobody_knows_are_apart, 0, ARRAY_SIZE(errors));
        tcase_add_test(tc, an_entry_may_be_long);
        tcase_add_test(tc, a_database_that_fails_makes_no_configuration_wrong);
        tcase_add_test(tc, settings_are_not_invalid_then);
        suite_add_tcase(suite, tc);

        return run_suite(suite);
}
