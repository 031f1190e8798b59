/* SPDX-License-Identifier: MIT */
/* The journal is held to a plain list: whatever was written last is there, in order, and whole; whatever its writer's
 * last instant was. */
#include "segment/journal.h"

#include "run_suite.h"
#include "shared/base.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct journal *j;

static void
setup(void)
{
        j = mmap(NULL, sizeof(*j), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(j, MAP_FAILED);
}

static void
teardown(void)
{
        munmap(j, sizeof(*j));
}

/* Entry i: its number, and a length that depends on it. */
static char *
text_of(uint64_t i, size_t *ret_length)
{
        size_t length = 20 + (i * 7919) % 20000;
        char *text = malloc(length + 1);

        memset(text, 'a' + (int)(i % 26), length);
        text[snprintf(text, length, "%llu", (unsigned long long)i)] = ' ';
        text[length] = 0;
        *ret_length = length;
        return text;
}

static int
try_append(uint64_t i)
{
        size_t length;
        AUTO_FREE char *text = text_of(i, &length);

        return journal_append(j, text, length);
}

static void
append(uint64_t i)
{
        ck_assert_int_eq(try_append(i), 0);
}

/* Everything that can be read is what was written, without a gap up to the last; returns the first, or 0 for none. */
static uint64_t
check_entries(uint64_t last)
{
        uint64_t position = 0, first = 0, next = 0, bytes = 0;
        char *text;

        while ((text = journal_next(j, &position))) {
                uint64_t i = strtoull(text, NULL, 10);
                size_t length;
                AUTO_FREE char *expected = text_of(i, &length);

                ck_assert_str_eq(text, expected);
                free(text);
                first = first ? first : i;
                ck_assert(next == 0 || i == next);
                next = i + 1;
                bytes += length;
        }
        ck_assert_uint_eq(next, last ? last + 1 : 0);
        ck_assert_uint_le(bytes, JOURNAL_BYTES);
        return first;
}

START_TEST(empty_journal_has_nothing)
{
        uint64_t position = 0;

        ck_assert_int_eq(journal_check(j), 0);
        ck_assert_ptr_null(journal_next(j, &position));
}
END_TEST

START_TEST(oldest_entries_make_room)
{
        uint64_t first = 0;

        for (uint64_t i = 1; i <= 2000; i++) {
                append(i);
                ck_assert_int_eq(journal_check(j), 0);
                if (i % 50 == 0) {
                        uint64_t now = check_entries(i);

                        ck_assert_uint_ge(now, first);
                        first = now;
                }
        }
        ck_assert_uint_gt(first, 1800);
        ck_assert_uint_lt(first, 1950);
}
END_TEST

START_TEST(entry_can_be_as_long_as_the_journal)
{
        AUTO_FREE char *text = malloc(JOURNAL_BYTES + 1), *found = NULL;
        uint64_t position = 0;

        memset(text, 'x', JOURNAL_BYTES + 1);
        append(1);
        ck_assert_int_eq(journal_append(j, text, JOURNAL_BYTES - 15), -EMSGSIZE);
        ck_assert_int_eq(journal_append(j, text, SIZE_MAX), -EMSGSIZE);
        check_entries(1);
        ck_assert_int_eq(journal_append(j, text, JOURNAL_BYTES - 16), 0);
        found = journal_next(j, &position);
        ck_assert_uint_eq(strlen(found), JOURNAL_BYTES - 16);
        ck_assert_ptr_null(journal_next(j, &position));
        ck_assert_int_eq(journal_append(j, "", 0), 0);
        ck_assert_int_eq(journal_check(j), 0);
}
END_TEST

/* Any bit, in the counts or in an entry: it is seen, and what is left is an empty journal. */
START_TEST(damage_is_seen)
{
        uint64_t state = 7;

        for (int round = 0; round < 300; round++) {
                uint64_t head, tail, at;
                unsigned char *byte;

                for (uint64_t i = 1; i <= 150; i++)
                        append(i);
                head = j->head;
                tail = j->tail;
                state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
                if (round < 128) {
                        byte = (unsigned char *)(round < 64 ? &j->head : &j->tail) + round % 64 / 8;
                        *byte ^= (unsigned char)(1 << round % 8);
                        /* A tail on a later entry, or a head on an earlier one, is a shorter journal. */
                        if (journal_check(j) == 0) {
                                ck_assert_uint_le(tail, j->tail);
                                ck_assert_uint_ge(head, j->head);
                                memset(j, 0, sizeof(*j));
                                continue;
                        }
                } else {
                        at = tail + (state >> 20) % (head - tail);
                        /* Padding is nobody's. */
                        if (j->bytes[at % JOURNAL_BYTES] == 0)
                                continue;
                        j->bytes[at % JOURNAL_BYTES] ^= (unsigned char)(1 << (state >> 60) % 8);
                        ck_assert_int_eq(journal_check(j), -EBADMSG);
                }
                check_entries(0);
                append(1);
                check_entries(1);
                memset(j, 0, sizeof(*j));
        }
}
END_TEST

/* Its writer is killed, again and again: what it had written before stands, and nothing is half there. */
START_TEST(killed_writer_leaves_whole_entries)
{
        _Atomic uint64_t *done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        ck_assert_ptr_ne(done, MAP_FAILED);
        for (int round = 0; round < 200; round++) {
                struct timespec pause = {.tv_nsec = 200000 + round * 7919 % 3000000};
                uint64_t last, position = 0;
                char *text, *newest = NULL;
                int status;
                pid_t pid = fork();

                ck_assert_int_ge(pid, 0);
                /* No assertion in the child: killed while it tells Check of one, it would leave half a message. */
                if (pid == 0) {
                        for (uint64_t i = *done + 1; try_append(i) == 0; i++)
                                *done = i;
                        _exit(1);
                }
                nanosleep(&pause, NULL);
                kill(pid, SIGKILL);
                ck_assert_int_eq(waitpid(pid, &status, 0), pid);
                ck_assert(WIFSIGNALED(status));
                ck_assert_int_eq(journal_check(j), 0);
                while ((text = journal_next(j, &position))) {
                        free(newest);
                        newest = text;
                }
                last = newest ? strtoull(newest, NULL, 10) : 0;
                free(newest);
                ck_assert(last == *done || last == *done + 1);
                *done = last;
                check_entries(last);
        }
        ck_assert_uint_gt(*done, 0);
        munmap(done, 4096);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("journal");
        TCase *tc = tcase_create("journal");

        tcase_set_timeout(tc, 60);
        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, empty_journal_has_nothing);
        tcase_add_test(tc, oldest_entries_make_room);
        tcase_add_test(tc, entry_can_be_as_long_as_the_journal);
        tcase_add_test(tc, damage_is_seen);
        tcase_add_test(tc, killed_writer_leaves_whole_entries);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
