/* SPDX-License-Identifier: MIT */
/* Check runs each test in a process of its own, so each may take over stderr. */
#include "shared/base.h"
#include "shared/log.h"

#include "run_suite.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define WRITERS 4
#define LINES   2000

static char *written;

/* From here on stderr is a file without a name. */
static void
capture(void)
{
        int fd = memfd_create("stderr", MFD_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_ge(fcntl(fd, F_SETFL, O_APPEND), 0);
        ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
        close(fd);
        unsetenv("JOURNAL_STREAM");
}

/* What was logged since capture(). */
static const char *
captured(void)
{
        struct stat st;

        ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
        free(written);
        written = calloc(1, (size_t)st.st_size + 1);
        ck_assert_int_eq(pread(STDERR_FILENO, written, (size_t)st.st_size, 0), st.st_size);
        return written;
}

static void
forget(void)
{
        ck_assert_int_eq(ftruncate(STDERR_FILENO, 0), 0);
}

static bool
matches(const char *text, const char *pattern)
{
        regex_t regex;

        ck_assert_int_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);

        bool result = regexec(&regex, text, 0, NULL, 0) == 0;

        regfree(&regex);
        return result;
}

START_TEST(line_has_time_level_and_program)
{
        static const char *const tags[] = {"ALERT", "ERROR", "WARNING", "INFO", "DEBUG"};
        AUTO_FREE char *pattern = NULL;

        capture();
        log_init("testd", LOG_LEVEL_DEBUG);
        log_write((enum log_level)_i, "%d of %s", 1, "them");
        ck_assert_int_gt(asprintf(&pattern,
                                  "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z %s "
                                  "testd: 1 of them\n$",
                                  tags[_i]),
                         0);
        ck_assert_msg(matches(captured(), pattern), "%s", written);
}
END_TEST

START_TEST(time_is_utc_now)
{
        struct tm tm = {};
        time_t before = time(NULL), logged;

        setenv("TZ", "Asia/Kathmandu", 1);
        tzset();
        capture();
        log_init("testd", LOG_LEVEL_DEBUG);
        log_info("now");

        const char *rest = strptime(captured(), "%Y-%m-%dT%H:%M:%S", &tm);

        ck_assert_ptr_nonnull(rest);
        ck_assert_int_eq(*rest, '.');
        logged = timegm(&tm);
        ck_assert_int_ge(logged, before);
        ck_assert_int_le(logged, time(NULL));
}
END_TEST

START_TEST(journal_gets_a_priority_instead)
{
        static const int priorities[] = {1, 3, 4, 6, 7};
        struct stat st;
        char stream[64], expected[64];

        capture();
        ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
        snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
        setenv("JOURNAL_STREAM", stream, 1);
        log_init("testd", LOG_LEVEL_DEBUG);
        log_write((enum log_level)_i, "word");
        snprintf(expected, sizeof(expected), "<%d>testd: word\n", priorities[_i]);
        ck_assert_str_eq(captured(), expected);
}
END_TEST

/* A terminal started by the desktop's session manager inherits the variable, and is not the journal. */
START_TEST(journal_of_another_descriptor_does_not_count)
{
        static const char *const streams[] = {"1:1", "", "nonsense", "99999999999999999999:1"};

        capture();
        setenv("JOURNAL_STREAM", streams[_i], 1);
        log_init("testd", LOG_LEVEL_DEBUG);
        log_info("word");
        ck_assert_msg(matches(captured(), "^[0-9]{4}-.* INFO testd: word\n$"), "%s", written);
}
END_TEST

START_TEST(lesser_weight_is_dropped)
{
        capture();
        log_init("testd", (enum log_level)_i);
        for (int set = 0; set < 2; set++) {
                for (int level = 0; level < LOG_LEVELS; level++) {
                        forget();
                        log_write((enum log_level)level, "word");
                        ck_assert_int_eq(*captured() != '\0', level <= _i);
                }
                log_set_level(LOG_LEVEL_ALERT);
                log_set_level((enum log_level)_i);
        }
}
END_TEST

START_TEST(without_init_info_is_logged_and_debug_not)
{
        capture();
        log_debug("small");
        ck_assert_str_eq(captured(), "");
        log_info("word");
        ck_assert_msg(matches(captured(), " INFO word\n$"), "%s", written);
}
END_TEST

START_TEST(macros_have_their_levels)
{
        capture();
        log_init("testd", LOG_LEVEL_DEBUG);
        log_alert("a");
        log_error("b");
        log_warning("c");
        log_info("d");
        log_debug("e");
        ck_assert_msg(matches(captured(), "^[^ ]+ ALERT testd: a\n[^ ]+ ERROR testd: b\n[^ ]+ WARNING testd: c\n"
                                          "[^ ]+ INFO testd: d\n[^ ]+ DEBUG testd: e\n$"),
                      "%s", written);
}
END_TEST

START_TEST(levels_have_names)
{
        static const char *const names[] = {"alert", "error", "warning", "info", "debug"};

        ck_assert_uint_eq(ARRAY_SIZE(names), LOG_LEVELS);
        for (int level = 0; level < LOG_LEVELS; level++)
                ck_assert_str_eq(log_level_name((enum log_level)level), names[level]);
}
END_TEST

START_TEST(errno_is_kept_and_printed)
{
        capture();
        log_init("testd", LOG_LEVEL_INFO);
        errno = ENOSPC;
        log_error("no: %m");
        ck_assert_int_eq(errno, ENOSPC);
        ck_assert_msg(matches(captured(), "testd: no: No space left on device\n$"), "%s", written);

        errno = ENOSPC;
        log_debug("dropped");
        ck_assert_int_eq(errno, ENOSPC);

        /* Nor may a failure to write change it. */
        ck_assert_int_eq(dup2(open("/dev/null", O_RDONLY), STDERR_FILENO), STDERR_FILENO);
        errno = ENOSPC;
        log_error("lost");
        ck_assert_int_eq(errno, ENOSPC);
}
END_TEST

/* A message that quotes somebody's input cannot forge another line or move a terminal's cursor. */
START_TEST(message_is_one_line)
{
        capture();
        log_init("testd", LOG_LEVEL_INFO);
        log_error("given \"%s\"", "x\n2026-01-31T12:00:00.000Z ALERT testd: forged\r\t\033[2J\x7f\u00b5");

        ck_assert_ptr_eq(strchr(captured(), '\n'), written + strlen(written) - 1);
        ck_assert_msg(matches(written, "given \"x 2026-01-31T12:00:00.000Z ALERT testd: forged   \\[2J \u00b5\"\n$"),
                      "%s", written);
}
END_TEST

/* Nor one of ISO 6429, nor one that turns what is read; and no byte that is not UTF-8. */
START_TEST(message_is_read_as_it_was_written)
{
        capture();
        log_init("testd", LOG_LEVEL_INFO);
        log_set_sink(NULL);
        log_error("%s", "a\xc2\x9b"
                        "2Jb\xe2\x80\xae"
                        "c\xe2\x81\xa6"
                        "d\x9b"
                        "e\xc3\xa9");
        ck_assert_msg(matches(captured(), "testd: a  2Jb   c   d e\xc3\xa9\n$"), "%s", written);
}
END_TEST

START_TEST(long_message_is_cut_and_says_so)
{
        static char text[3 * LOG_LINE_MAX];
        size_t overhead;

        capture();
        log_init("testd", LOG_LEVEL_INFO);
        log_info("%s", "");
        overhead = strlen(captured());

        for (size_t len = LOG_LINE_MAX - overhead - 2; len <= LOG_LINE_MAX - overhead + 2; len++) {
                memset(text, 'x', len);
                text[len] = '\0';
                forget();
                log_info("%s", text);
                captured();

                ck_assert_uint_eq(strlen(written), MIN(len + overhead, (size_t)LOG_LINE_MAX));
                ck_assert_int_eq(strstr(written, "x...\n") == NULL, len + overhead <= LOG_LINE_MAX);
        }

        memset(text, 'x', sizeof(text) - 1);
        forget();
        log_info("%s", text);
        ck_assert_uint_eq(strlen(captured()), LOG_LINE_MAX);
        ck_assert_str_eq(written + LOG_LINE_MAX - 5, "x...\n");
}
END_TEST

START_TEST(long_program_name_leaves_room_for_the_message)
{
        static char program[3 * LOG_LINE_MAX];

        memset(program, 'p', sizeof(program) - 1);
        capture();
        log_init(program, LOG_LEVEL_INFO);
        log_info("word");
        ck_assert_msg(matches(captured(), "pword\n$"), "%s", written);
}
END_TEST

static void *
write_lines(void *arg)
{
        for (int i = 0; i < LINES; i++)
                log_info("%c%0200d%c", *(const char *)arg, 0, *(const char *)arg);
        return NULL;
}

/* From threads and from processes at once: each line whole, none lost. */
START_TEST(lines_of_many_writers_do_not_mix)
{
        static const char names[] = "abcdefgh";
        pthread_t threads[WRITERS];
        pid_t children[WRITERS];
        unsigned lines = 0;

        capture();
        log_init("testd", LOG_LEVEL_INFO);
        for (int i = 0; i < WRITERS; i++) {
                children[i] = fork();
                ck_assert_int_ge(children[i], 0);
                if (children[i] == 0) {
                        write_lines((void *)(uintptr_t)&names[i]);
                        _exit(0);
                }
        }
        for (int i = 0; i < WRITERS; i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, write_lines, (void *)(uintptr_t)&names[WRITERS + i]),
                                 0);
        for (int i = 0; i < WRITERS; i++) {
                pthread_join(threads[i], NULL);
                ck_assert_int_eq(waitpid(children[i], NULL, 0), children[i]);
        }

        captured();

        const char *all = written + strlen(written);

        for (char *end, *line = written; line < all; line = end + 1, lines++) {
                end = memchr(line, '\n', (size_t)(all - line));
                ck_assert_ptr_nonnull(end);
                *end = '\0';

                const char *message = strstr(line, "testd: ");

                ck_assert_ptr_nonnull(message);
                message += strlen("testd: ");
                ck_assert_int_eq(end - message, 202);
                ck_assert_int_eq(message[0], end[-1]);
                ck_assert_uint_eq(strspn(message + 1, "0"), 200);
        }
        ck_assert_uint_eq(lines, 2 * WRITERS * LINES);
}
END_TEST

/* ── events ── */

static const struct log_field two_fields[] = {{"ONE", "1"}, {"TWO", "zwei"}, {NULL, NULL}};
static int taken_priority;
static char taken_message[LOG_LINE_MAX + 1];
static const struct log_field *taken_fields;
static bool sink_takes;

static bool
sink(int priority, const char *message, const struct log_field *fields)
{
        taken_priority = priority;
        snprintf(taken_message, sizeof(taken_message), "%s", message);
        taken_fields = fields;
        errno = EIO;
        return sink_takes;
}

START_TEST(event_without_a_sink_is_a_line)
{
        capture();
        log_init("testd", LOG_LEVEL_INFO);
        ck_assert(!log_is_to_journal());
        log_event(LOG_LEVEL_WARNING, two_fields, "%d of %s", 1, "them");
        ck_assert_msg(matches(captured(), "^[^ ]+ WARNING testd: 1 of them\n$"), "%s", written);
}
END_TEST

START_TEST(event_goes_to_the_sink_only)
{
        capture();
        log_init("testd", LOG_LEVEL_INFO);
        log_set_sink(sink);
        sink_takes = true;
        errno = ENOENT;
        log_event(LOG_LEVEL_WARNING, two_fields, "%d\nof %m", 1);
        ck_assert_int_eq(errno, ENOENT);
        ck_assert_int_eq(taken_priority, 4);
        ck_assert_str_eq(taken_message, "1 of No such file or directory");
        ck_assert_ptr_eq(taken_fields, two_fields);
        ck_assert_str_eq(captured(), "");
        /* Lines stay lines. */
        log_info("word");
        ck_assert_msg(matches(captured(), " INFO testd: word\n$"), "%s", written);
        ck_assert_str_eq(taken_message, "1 of No such file or directory");
}
END_TEST

START_TEST(event_that_the_sink_leaves_is_a_line)
{
        capture();
        log_init("testd", LOG_LEVEL_INFO);
        log_set_sink(sink);
        errno = ENOENT;
        log_event(LOG_LEVEL_INFO, two_fields, "%s: %m", "word");
        ck_assert_str_eq(taken_message, "word: No such file or directory");
        ck_assert_msg(matches(captured(), " INFO testd: word: No such file or directory\n$"), "%s", written);
        forget();
        log_set_sink(NULL);
        *taken_message = '\0';
        log_event(LOG_LEVEL_INFO, two_fields, "another");
        ck_assert_str_eq(taken_message, "");
        ck_assert_msg(matches(captured(), " INFO testd: another\n$"), "%s", written);
}
END_TEST

START_TEST(event_of_lesser_weight_is_dropped)
{
        capture();
        log_init("testd", LOG_LEVEL_WARNING);
        log_set_sink(sink);
        sink_takes = true;
        log_event(LOG_LEVEL_INFO, two_fields, "word");
        ck_assert_str_eq(taken_message, "");
        ck_assert_str_eq(captured(), "");
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("log");
        TCase *c = tcase_create("log");

        tcase_set_timeout(c, 30);
        tcase_add_loop_test(c, line_has_time_level_and_program, 0, LOG_LEVELS);
        tcase_add_test(c, time_is_utc_now);
        tcase_add_loop_test(c, journal_gets_a_priority_instead, 0, LOG_LEVELS);
        tcase_add_loop_test(c, journal_of_another_descriptor_does_not_count, 0, 4);
        tcase_add_loop_test(c, lesser_weight_is_dropped, 0, LOG_LEVELS);
        tcase_add_test(c, without_init_info_is_logged_and_debug_not);
        tcase_add_test(c, macros_have_their_levels);
        tcase_add_test(c, levels_have_names);
        tcase_add_test(c, errno_is_kept_and_printed);
        tcase_add_test(c, message_is_one_line);
        tcase_add_test(c, message_is_read_as_it_was_written);
        tcase_add_test(c, long_message_is_cut_and_says_so);
        tcase_add_test(c, long_program_name_leaves_room_for_the_message);
        tcase_add_test(c, lines_of_many_writers_do_not_mix);
        tcase_add_test(c, event_without_a_sink_is_a_line);
        tcase_add_test(c, event_goes_to_the_sink_only);
        tcase_add_test(c, event_that_the_sink_leaves_is_a_line);
        tcase_add_test(c, event_of_lesser_weight_is_dropped);
        suite_add_tcase(suite, c);

        return run_suite(suite);
}
