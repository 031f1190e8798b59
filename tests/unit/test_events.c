/* SPDX-License-Identifier: MIT */
/* The test is the sink, so that it sees the fields that the journal would get. */
#include "supervisor/events.h"

#include "shared/log.h"
#include "supervisor/audit.h"

#include "run_suite.h"

#include <check.h>
#include <signal.h>
#include <string.h>

#define TEXT_MAX 4096

static char seen[TEXT_MAX]; /* "NAME=value" for each field, one a line, MESSAGE_ID left out */
static char seen_message[LOG_LINE_MAX], seen_id[64];
static int seen_priority;

static bool
sink(int priority, const char *message, const struct log_field *fields)
{
        size_t n = 0;

        seen_priority = priority;
        snprintf(seen_message, sizeof(seen_message), "%s", message);
        for (; fields->name; fields++) {
                if (strcmp(fields->name, "MESSAGE_ID") == 0)
                        snprintf(seen_id, sizeof(seen_id), "%s", fields->value);
                else
                        n += (size_t)snprintf(seen + n, sizeof(seen) - n, "%s=%s\n", fields->name, fields->value);
        }
        return true;
}

static struct job job = {
        .id = "0123456789abcdef0123456789abcdef",
        .uid = 4294967294U, /* the greatest there is */
        .user = (char[]){"alice"},
        .method = (char[]){"Race"},
        .state = JOB_QUEUED,
};

static void
setup(void)
{
        log_init("testd", LOG_LEVEL_INFO);
        log_set_sink(sink);
}

START_TEST(job_has_its_fields)
{
        event_of_job(EVENT_JOB_QUEUED, &job, "job %s queued", job.id);
        ck_assert_int_eq(seen_priority, 6);
        ck_assert_str_eq(seen_message, "job 0123456789abcdef0123456789abcdef queued");
        ck_assert_str_eq(seen, "CONCD_EVENT=job-queued\nCONCD_JOB=0123456789abcdef0123456789abcdef\n"
                               "CONCD_UID=4294967294\nCONCD_USER=alice\nCONCD_METHOD=Race\nCONCD_STATE=queued\n");
}
END_TEST

START_TEST(reason_is_there_when_there_is_one)
{
        job.state = JOB_FAILED;
        job.reason = (char[]){"its deadline has passed"};
        event_of_job(EVENT_JOB_ENDED, &job, "ended");
        ck_assert_ptr_nonnull(strstr(seen, "CONCD_STATE=failed\nCONCD_REASON=its deadline has passed\n"));
}
END_TEST

START_TEST(worker_has_signal_or_status)
{
        event_of_worker(3, 77, SIGKILL, &job, "killed");
        ck_assert_str_eq(seen, "CONCD_EVENT=worker-ended\nCONCD_JOB=0123456789abcdef0123456789abcdef\nCONCD_SLOT=3\n"
                               "CONCD_WORKER_PID=77\nCONCD_SIGNAL=9\n");
        event_of_worker(0, 78, 2 << 8, NULL, "left");
        ck_assert_str_eq(seen, "CONCD_EVENT=worker-ended\nCONCD_SLOT=0\nCONCD_WORKER_PID=78\nCONCD_STATUS=2\n");
}
END_TEST

START_TEST(denial_says_who_and_why)
{
        const struct peer peer = {.uid = 1000, .pid = 55};

        event_of_denial(&peer, "Stop", NULL, "not yours", "denied");
        ck_assert_int_eq(seen_priority, 4);
        ck_assert_str_eq(seen, "CONCD_EVENT=denied\nCONCD_UID=1000\nCONCD_CLIENT_PID=55\nCONCD_METHOD=Stop\n"
                               "CONCD_REASON=not yours\n");
        event_of_denial(&peer, "Wait", job.id, "not yours", "denied");
        ck_assert_ptr_nonnull(strstr(seen, "CONCD_JOB=0123456789abcdef0123456789abcdef\n"));
        event_of_denial(&peer, NULL, NULL, "too many", "denied");
        ck_assert_str_eq(seen, "CONCD_EVENT=denied\nCONCD_UID=1000\nCONCD_CLIENT_PID=55\nCONCD_REASON=too many\n");
}
END_TEST

/* A refused connection is an event like a denied call. */
START_TEST(refusal_is_a_denial)
{
        const struct peer peer = {.uid = 3999999999u, .pid = 55};
        struct audit audit = {0};

        audit_refused(&audit, &peer, "connection", "too many");
        ck_assert_str_eq(seen_message, "denied: connection to 3999999999 (uid 3999999999, pid 55): too many");
        ck_assert_str_eq(seen_id, "a7e7ba7018c14ca0835a5f7d8e4ae7ab");
        ck_assert_str_eq(seen,
                         "CONCD_EVENT=denied\nCONCD_UID=3999999999\nCONCD_CLIENT_PID=55\nCONCD_REASON=too many\n");
        audit_deinit(&audit);
}
END_TEST

/* People search by them for years: what stands here must not change. */
START_TEST(every_event_keeps_its_number)
{
        static const char *const ids[] = {
                "7ab12ae1537d481faa752bf4e732014c", "ee24a95bf1014f1fa7c4616cbb2ea64b",
                "dd924df60c3e404d985a919b521c5953", "7ce80613e2ed4f3faef8b34b986e5c60",
                "d54cf3a8ebb04449aef8819d0591f7dc", "53ca1d591f4b4908b91329057004eabd",
                "a7e7ba7018c14ca0835a5f7d8e4ae7ab", "9f461cb5f2b941db946a3c45b48a5293",
                "a56d10b357fc43f3adc9cc86b580d581",
        };

        for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
                event_of_daemon((enum event_kind)i, "word");
                ck_assert_str_eq(seen_id, ids[i]);
        }
        ck_assert_uint_eq(ARRAY_SIZE(ids), EVENT_RELOAD_REFUSED + 1);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("events");
        TCase *tc = tcase_create("events");

        tcase_add_checked_fixture(tc, setup, NULL);
        tcase_add_test(tc, job_has_its_fields);
        tcase_add_test(tc, reason_is_there_when_there_is_one);
        tcase_add_test(tc, worker_has_signal_or_status);
        tcase_add_test(tc, denial_says_who_and_why);
        tcase_add_test(tc, refusal_is_a_denial);
        tcase_add_test(tc, every_event_keeps_its_number);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
