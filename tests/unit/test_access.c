/* SPDX-License-Identifier: MIT */
/* Decisions, the budget of lines of the audit, and how much a plan asks for. Real users: integration/test_access.py. */
#include "supervisor/access.h"

#include "shared/log.h"
#include "supervisor/audit.h"
#include "supervisor/quota.h"
#include "worker/mode.h"

#include "run_suite.h"

#include <check.h>
#include <string.h>
#include <sys/wait.h>

#define SELF 900u

/* ── who may what ── */

static const struct {
        const char *submit_users, *submit_groups, *admin_users, *admin_groups;
        uid_t uid;
        gid_t gid;
        gid_t groups[3]; /* ended by 0 */
        bool may_submit, may_administer;
} decisions[] = {
        /* no list: everybody submits, root and the daemon's own user administer */
        {"", "", "", "", 1000, 1000, {0}, true, false},
        {"", "", "", "", 0, 0, {0}, true, true},
        {"", "", "", "", SELF, SELF, {0}, true, true},
        {"", "", "", "", 1000, 0, {0}, true, false}, /* root's group is nobody special */
        {"", "", "", "", 1000, SELF, {SELF}, true, false},
        /* users */
        {"1000,1001", "", "", "", 1000, 1000, {0}, true, false},
        {"1000,1001", "", "", "", 1001, 1000, {0}, true, false},
        {"1000,1001", "", "", "", 1002, 1000, {1000, 1001}, false, false}, /* numbers of users are none of groups */
        {"1000", "", "", "", 0, 0, {0}, true, true},
        {"1000", "", "", "", SELF, 1, {0}, true, true},
        {"0", "", "", "", 1000, 0, {0}, false, false},
        /* groups: the primary one, or any other */
        {"", "50", "", "", 1000, 50, {0}, true, false},
        {"", "50", "", "", 1000, 1000, {4, 50}, true, false},
        {"", "50", "", "", 1000, 1000, {4, 5, 51}, false, false},
        {"", "50", "", "", 50, 1000, {0}, false, false},
        {"", "49,50", "", "", 1000, 1000, {50, 4}, true, false},
        {"1001", "50", "", "", 1000, 50, {0}, true, false},
        {"1000", "50", "", "", 1000, 51, {0}, true, false},
        {"1001", "50", "", "", 1000, 51, {0}, false, false},
        /* who administers may submit */
        {"1001", "", "1000", "", 1000, 1000, {0}, true, true},
        {"1001", "", "", "60", 1000, 60, {0}, true, true},
        {"1001", "", "", "60", 1000, 1000, {1, 2, 60}, true, true},
        {"1001", "", "1000", "60", 1002, 1000, {1, 2, 61}, false, false},
        /* a list of those who administer leaves submitting open */
        {"", "", "1000", "60", 1002, 1002, {0}, true, false},
        /* no name in the daemon's user namespace: a user like any other */
        {"1000", "", "", "", 65534, 65534, {0}, false, false},
};

static void
set(struct config *c, const char *name, const char *value)
{
        AUTO_FREE char *message = NULL;

        ck_assert_msg(config_set(c, name, value, &message) == 0, "%s", message);
}

START_TEST(decision_is_as_in_the_table)
{
        struct config c;
        struct access_rules rules = {&c, SELF};
        gid_t groups[3];
        struct peer peer = {.uid = decisions[_i].uid, .gid = decisions[_i].gid, .groups = groups};

        memcpy(groups, decisions[_i].groups, sizeof(groups));
        while (peer.n_groups < ARRAY_SIZE(groups) && groups[peer.n_groups] != 0)
                peer.n_groups++;
        ck_assert_int_eq(config_init(&c), 0);
        set(&c, "access.submit_users", decisions[_i].submit_users);
        set(&c, "access.submit_groups", decisions[_i].submit_groups);
        set(&c, "access.admin_users", decisions[_i].admin_users);
        set(&c, "access.admin_groups", decisions[_i].admin_groups);
        ck_assert_int_eq(access_may_submit(&rules, &peer), decisions[_i].may_submit);
        ck_assert_int_eq(access_may_administer(&rules, &peer), decisions[_i].may_administer);
        /* Jobs of his own always, those of others when he administers. */
        ck_assert(access_may_touch(&rules, &peer, peer.uid));
        ck_assert_int_eq(access_may_touch(&rules, &peer, 777), decisions[_i].may_administer);
        ck_assert_int_eq(access_may_touch(&rules, &peer, peer.uid == 0 ? SELF : 0), decisions[_i].may_administer);
        config_deinit(&c);
}
END_TEST

/* ── lines of the audit ── */

static unsigned
admitted(struct audit *a, uid_t uid, uint64_t now_ns, unsigned tries)
{
        unsigned n = 0;

        for (unsigned i = 0; i < tries; i++)
                n += audit_admits(a, AUDIT_OTHER, uid, now_ns);
        return n;
}

START_TEST(a_user_has_so_many_lines_in_a_minute)
{
        struct audit a = {0};

        log_set_level(LOG_LEVEL_ERROR);
        ck_assert_uint_eq(admitted(&a, 0, 1, AUDIT_LINES), AUDIT_LINES);
        ck_assert_uint_eq(admitted(&a, 0, 1, 1000), 0);
        ck_assert_uint_eq(admitted(&a, 0, AUDIT_MINUTE_NS, 1000), 0); /* one nanosecond too early */
        /* Others have their own. */
        ck_assert_uint_eq(admitted(&a, 7, 2, 1000), AUDIT_LINES);
        ck_assert_uint_eq(admitted(&a, 0, 1 + AUDIT_MINUTE_NS, 1000), AUDIT_LINES);
        ck_assert_uint_eq(admitted(&a, 7, 1 + AUDIT_MINUTE_NS, 1000), 0);
        audit_deinit(&a);
}
END_TEST

/* Whoever sends nonsense is still heard when he does what he may not, and the other way round. */
START_TEST(kinds_of_lines_are_apart)
{
        struct audit a = {0};

        log_set_level(LOG_LEVEL_ERROR);
        ck_assert_uint_eq(admitted(&a, 7, 1, 1000), AUDIT_LINES);
        for (unsigned i = 0; i < AUDIT_LINES; i++)
                ck_assert(audit_admits(&a, AUDIT_NOT_PERMITTED, 7, 2));
        ck_assert(!audit_admits(&a, AUDIT_NOT_PERMITTED, 7, 2));
        /* Each has a minute of its own. */
        ck_assert_uint_eq(admitted(&a, 7, 1 + AUDIT_MINUTE_NS, 1000), AUDIT_LINES);
        ck_assert(!audit_admits(&a, AUDIT_NOT_PERMITTED, 7, 1 + AUDIT_MINUTE_NS));
        ck_assert(audit_admits(&a, AUDIT_NOT_PERMITTED, 7, 2 + AUDIT_MINUTE_NS));
        /* However many others there are. */
        for (uid_t uid = 100; uid < 100 + 2 * AUDIT_USERS; uid++)
                admitted(&a, uid, 3 + AUDIT_MINUTE_NS, 1);
        for (unsigned i = 1; i < AUDIT_LINES; i++)
                ck_assert(audit_admits(&a, AUDIT_NOT_PERMITTED, 7, 4 + AUDIT_MINUTE_NS));
        ck_assert(!audit_admits(&a, AUDIT_NOT_PERMITTED, 7, 4 + AUDIT_MINUTE_NS));
        audit_deinit(&a);
}
END_TEST

/* More users than places: none goes without a line, and none has more than his part of the minute while he has his
 * place. */
START_TEST(more_users_than_places_are_all_heard)
{
        struct audit a = {0};

        log_set_level(LOG_LEVEL_ERROR);
        for (uid_t uid = 0; uid < 10 * AUDIT_USERS; uid++)
                ck_assert_uint_eq(admitted(&a, uid, 1 + uid, 2 * AUDIT_LINES), AUDIT_LINES);
        /* The youngest ones are remembered. */
        for (uid_t uid = 9 * AUDIT_USERS; uid < 10 * AUDIT_USERS; uid++)
                ck_assert_uint_eq(admitted(&a, uid, 10 * AUDIT_USERS, 1), 0);
        audit_deinit(&a);
}
END_TEST

/* What this process writes to stderr while fn() runs in a child of it. */
static void
stderr_of(void (*fn)(void), char *buf, size_t size)
{
        int fds[2], status;
        size_t n = 0;
        ssize_t r;
        pid_t pid;

        ck_assert_int_eq(pipe(fds), 0);
        pid = fork();
        if (pid == 0) {
                dup2(fds[1], STDERR_FILENO);
                close(fds[0]);
                close(fds[1]);
                fn();
                _exit(0);
        }
        close(fds[1]);
        while ((r = read(fds[0], buf + n, size - 1 - n)) > 0)
                n += (size_t)r;
        buf[n] = '\0';
        close(fds[0]);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
}

static void
deny_often(void)
{
        const struct peer peer = {.pid = 77, .uid = 4000000000, .gid = 1};
        struct audit a = {0};

        for (unsigned i = 0; i < 100; i++)
                audit_denied(&a, AUDIT_NOT_PERMITTED, &peer, "Cancel", i == 0 ? NULL : "abc", "because");
        audit_deinit(&a);
        audit_deinit(&a); /* there is nothing left */
}

START_TEST(what_was_not_logged_is_counted)
{
        char buf[8192], expected[128];
        unsigned lines = 0;

        stderr_of(deny_often, buf, sizeof(buf));
        for (const char *c = buf; *c; c++)
                lines += *c == '\n';
        ck_assert_uint_eq(lines, AUDIT_LINES + 1);
        ck_assert_ptr_nonnull(strstr(buf, "denied: Cancel to 4000000000 (uid 4000000000, pid 77): because\n"));
        ck_assert_ptr_nonnull(strstr(buf, "denied: Cancel abc to 4000000000 (uid 4000000000, pid 77): because\n"));
        snprintf(expected, sizeof(expected),
                 "denied: %d more requests of uid 4000000000 within a minute, not permitted\n", 100 - AUDIT_LINES);
        ck_assert_ptr_nonnull(strstr(buf, expected));
}
END_TEST

static void
refuse_often(void)
{
        const struct peer peer = {.pid = 77, .uid = 4000000000, .gid = 1};
        struct audit a = {0};

        audit_denied(&a, AUDIT_OTHER, &peer, "Cancel", NULL, "because");
        for (unsigned i = 0; i < 1000; i++)
                audit_refused(&a, &peer, "connection", "there are enough");
        audit_deinit(&a);
}

/* Connections and calls that are only too many have their lines together. */
START_TEST(refused_connections_do_not_fill_the_log)
{
        char buf[8192], expected[128];
        unsigned lines = 0;

        stderr_of(refuse_often, buf, sizeof(buf));
        for (const char *c = buf; *c; c++)
                lines += *c == '\n';
        ck_assert_uint_eq(lines, AUDIT_LINES + 1);
        ck_assert_ptr_nonnull(
                strstr(buf, "denied: connection to 4000000000 (uid 4000000000, pid 77): there are enough\n"));
        snprintf(expected, sizeof(expected),
                 "denied: %d more requests of uid 4000000000 within a minute, for other reasons\n", 1001 - AUDIT_LINES);
        ck_assert_ptr_nonnull(strstr(buf, expected));
}
END_TEST

/* ── quotas ── */

START_TEST(plan_of_one_variant_asks_for_its_tasks_and_its_warm_up)
{
        struct variant v = {.count = 1000, .warmup = 20};
        struct quota q = {.tasks = 3};
        struct plan plan;

        ck_assert_int_eq(plan_init_single(&plan, &v, 0), 0);
        quota_add_plan(&q, &plan);
        ck_assert_uint_eq(q.tasks, 3 + 1000 + 20);
        ck_assert_uint_eq(q.duration_ns, 0);
        plan_deinit(&plan);

        v = (struct variant){.duration_ns = 5, .warmup = 7};
        q = (struct quota){0};
        ck_assert_int_eq(plan_init_single(&plan, &v, 0), 0);
        quota_add_plan(&q, &plan);
        ck_assert_uint_eq(q.tasks, 7);
        ck_assert_uint_eq(q.duration_ns, 5);
        plan_deinit(&plan);
}
END_TEST

static uint32_t
mode_of(enum worker_kind kind)
{
        uint32_t mode = 0;

        while (modes[mode].kind != kind)
                mode++;
        return mode;
}

static char **
two_names(void)
{
        char **names = calloc(2, sizeof(*names));

        names[0] = strdup("a");
        names[1] = strdup("b");
        return names;
}

START_TEST(comparison_asks_for_every_round_of_every_variant)
{
        for (unsigned rehearsed = 0; rehearsed < 2; rehearsed++) {
                struct variant *v = calloc(2, sizeof(*v));
                struct comparison_spec spec = {
                        .rounds = 10, .names = two_names(), .is_rehearsed = rehearsed, .timeline = true};
                struct quota q = {0};
                struct plan plan;

                v[0] = (struct variant){.count = 100, .warmup = rehearsed ? 0 : 3};
                v[1] = (struct variant){.duration_ns = 50, .warmup = rehearsed ? 0 : 4};
                ck_assert_int_eq(plan_init_comparison(&plan, v, 2, &spec, 0), 0);
                quota_add_plan(&q, &plan);
                /* ten rounds, one for the picture, and one before or the warm-up */
                ck_assert_uint_eq(q.tasks, rehearsed ? 12 * 100 : 11 * 100 + 3 + 4);
                ck_assert_uint_eq(q.duration_ns, rehearsed ? 12 * 50 : 11 * 50);
                plan_deinit(&plan);
        }
}
END_TEST

/* Measured steps for which the flavour of libc changes are run once more, as runner.c does. */
START_TEST(changes_of_flavour_count_twice)
{
        static const uint64_t counts[] = {1, 1000, 1000000};
        bool native[] = {false, true, false};
        struct variant *v = calloc(3, sizeof(*v));
        struct comparison_spec spec = {.rounds = 10, .is_rehearsed = true, .timeline = true, .seed = 7};
        const struct step *before = NULL;
        struct quota q = {0};
        uint64_t expected = 0;
        struct plan plan;

        spec.names = calloc(3, sizeof(*spec.names));
        for (unsigned i = 0; i < 3; i++) {
                spec.names[i] = strdup("x");
                v[i] = (struct variant){.mode = mode_of(i == 2 ? WORKER_THREAD : WORKER_PROCESS),
                                        .count = counts[i],
                                        .libc_native = native[i]};
        }
        ck_assert_int_eq(plan_init_comparison(&plan, v, 3, &spec, 0), 0);
        for (uint32_t i = 0; i < plan.n_steps; i++) {
                const struct step *step = &plan.steps[i];
                bool is_process = step->variant < 2;

                expected += counts[step->variant];
                if (is_process && i >= plan.first_measured && before->variant != step->variant)
                        expected += counts[step->variant];
                if (is_process)
                        before = step;
        }
        quota_add_plan(&q, &plan);
        ck_assert_uint_eq(q.tasks, expected);
        ck_assert_uint_gt(q.tasks % 1000, 12);    /* some of the first variant are run twice */
        ck_assert_uint_eq(q.tasks / 1000000, 12); /* those of threads never */
        plan_deinit(&plan);
}
END_TEST

/* The first one that is measured may find processes of the other flavour. */
START_TEST(first_measured_step_may_be_run_twice)
{
        for (unsigned warmup = 0; warmup < 2; warmup++) {
                struct variant *v = calloc(2, sizeof(*v));
                struct comparison_spec spec = {.rounds = 10, .names = two_names()};
                struct quota q = {0};
                struct plan plan;

                for (unsigned i = 0; i < 2; i++)
                        v[i] = (struct variant){.mode = mode_of(WORKER_PROCESS),
                                                .duration_ns = 100,
                                                .warmup = warmup,
                                                .libc_native = true};
                ck_assert_int_eq(plan_init_comparison(&plan, v, 2, &spec, 0), 0);
                quota_add_plan(&q, &plan);
                ck_assert_uint_eq(q.tasks, warmup ? 2 : 0);
                ck_assert_uint_eq(q.duration_ns, warmup ? 2000 : 2100);
                plan_deinit(&plan);
        }
}
END_TEST

START_TEST(sum_does_not_wrap)
{
        struct quota q = {.tasks = UINT64_MAX - 5, .duration_ns = UINT64_MAX - 5};
        struct variant v = {.count = 6, .duration_ns = 6};
        struct plan plan;

        ck_assert_int_eq(plan_init_single(&plan, &v, 0), 0);
        quota_add_plan(&q, &plan);
        ck_assert_uint_eq(q.tasks, UINT64_MAX);
        ck_assert_uint_eq(q.duration_ns, UINT64_MAX);
        plan_deinit(&plan);
}
END_TEST

static struct job *
job_of(uid_t uid, uint64_t count)
{
        AUTO_JSON json_t *request = json_object();
        struct variant v = {.count = count, .workers = 1};
        struct job *job;
        struct plan plan;

        ck_assert_int_eq(plan_init_single(&plan, &v, 0), 0);
        job = job_new(NULL, uid, "Run", request, &plan);
        ck_assert_ptr_nonnull(job);
        return job;
}

START_TEST(running_and_waiting_jobs_of_the_user_count)
{
        static const struct {
                uid_t uid;
                uint64_t count;
        } jobs[] = {{1000, 1}, {1001, 20}, {1000, 300}, {1000, 4000}, {1002, 50000}};
        struct queue queue;
        struct quota q = {0};
        struct job *job;

        queue_init(&queue);
        quota_add_jobs_of(&q, &queue, 1000);
        ck_assert_uint_eq(q.tasks, 0);
        for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
                queue_add(&queue, job_of(jobs[i].uid, jobs[i].count));
        quota_add_jobs_of(&q, &queue, 1000);
        ck_assert_uint_eq(q.tasks, 4301);
        /* The first one of the three runs, which changes nothing. */
        job = queue_next(&queue);
        ck_assert_uint_eq(job->uid, 1000);
        q = (struct quota){0};
        quota_add_jobs_of(&q, &queue, 1000);
        ck_assert_uint_eq(q.tasks, 4301);
        /* One that ended counts no more. */
        job->state = JOB_DONE;
        queue_end(&queue, job);
        q = (struct quota){0};
        quota_add_jobs_of(&q, &queue, 1000);
        ck_assert_uint_eq(q.tasks, 4300);
        quota_add_jobs_of(&q, &queue, 1001);
        ck_assert_uint_eq(q.tasks, 4320);
        queue_deinit(&queue);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("access");
        TCase *c = tcase_create("decisions");

        tcase_add_loop_test(c, decision_is_as_in_the_table, 0, ARRAY_SIZE(decisions));
        suite_add_tcase(suite, c);

        c = tcase_create("audit");
        tcase_add_test(c, a_user_has_so_many_lines_in_a_minute);
        tcase_add_test(c, kinds_of_lines_are_apart);
        tcase_add_test(c, more_users_than_places_are_all_heard);
        tcase_add_test(c, what_was_not_logged_is_counted);
        tcase_add_test(c, refused_connections_do_not_fill_the_log);
        suite_add_tcase(suite, c);

        c = tcase_create("quotas");
        tcase_add_test(c, plan_of_one_variant_asks_for_its_tasks_and_its_warm_up);
        tcase_add_test(c, comparison_asks_for_every_round_of_every_variant);
        tcase_add_test(c, changes_of_flavour_count_twice);
        tcase_add_test(c, first_measured_step_may_be_run_twice);
        tcase_add_test(c, sum_does_not_wrap);
        tcase_add_test(c, running_and_waiting_jobs_of_the_user_count);
        suite_add_tcase(suite, c);

        return run_suite(suite);
}
