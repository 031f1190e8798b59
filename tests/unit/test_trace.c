/* SPDX-License-Identifier: MIT */
/* The spans of a traced run: which are joined, that no wait is swallowed, and what becomes of those without room. */
#include "segment/trace.h"

#include "shared/base.h"

#include "run_suite.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOIN 100

static struct trace *t;

static void
setup(void)
{
        t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(t, MAP_FAILED);
}

static void
teardown(void)
{
        munmap(t, sizeof(*t));
}

struct part {
        enum trace_kind kind;
        uint64_t task, from, to;
        uint32_t tasks;
};

/* Adds some, and says what must be there then. A kind of TRACE_KINDS ends a list. */
static void
check_joining(const struct part *added, const struct part *expected)
{
        uint32_t n = 0;

        trace_reset(t);
        for (; added->kind != TRACE_KINDS; added++)
                trace_add(t, added->kind, added->task, added->from, added->to, JOIN);
        for (; expected[n].kind != TRACE_KINDS; n++) {
                ck_assert_uint_lt(n, t->n);
                ck_assert_uint_eq(t->span[n].kind, expected[n].kind);
                ck_assert_uint_eq(t->span[n].task, expected[n].task);
                ck_assert_uint_eq(t->span[n].from_ns, expected[n].from);
                ck_assert_uint_eq(t->span[n].to_ns, expected[n].to);
                ck_assert_uint_eq(t->span[n].tasks, expected[n].tasks);
        }
        ck_assert_uint_eq(t->n, n);
        ck_assert_uint_eq(t->dropped, 0);
}

#define END                                                                                                            \
        {                                                                                                              \
                .kind = TRACE_KINDS                                                                                    \
        }

static const struct {
        struct part added[6], expected[6];
} joinings[] = {
        /* The gap decides, up to the nanosecond. */
        {{{TRACE_RUN, 3, 10, 20}, {TRACE_RUN, 4, 119, 130}, {TRACE_RUN, 9, 230, 240}, END},
         {{TRACE_RUN, 3, 10, 130, 2}, {TRACE_RUN, 9, 230, 240, 1}, END}},
        /* However long they are. */
        {{{TRACE_RUN, 0, 0, 5000}, {TRACE_RUN, 1, 5001, 9000}, END}, {{TRACE_RUN, 0, 0, 9000, 2}, END}},
        /* A task that contains a wait: the tasks are joined, the wait stays. */
        {{{TRACE_RUN, 0, 0, 500}, {TRACE_LOCK, 1, 600, 800}, {TRACE_RUN, 1, 510, 900}, {TRACE_RUN, 2, 910, 950}, END},
         {{TRACE_RUN, 0, 0, 950, 3}, {TRACE_LOCK, 1, 600, 800, 1}, END}},
        /* Long waits stay apart, though the thread had the lock for a moment only; short ones are joined. */
        {{{TRACE_LOCK, 0, 0, 300},
          {TRACE_LOCK, 1, 310, 410},
          {TRACE_LOCK, 2, 420, 430},
          {TRACE_LOCK, 3, 440, 450},
          END},
         {{TRACE_LOCK, 0, 0, 300, 1}, {TRACE_LOCK, 1, 310, 410, 1}, {TRACE_LOCK, 2, 420, 450, 2}, END}},
        /* Many short ones make a long one that goes on. */
        {{{TRACE_LOCK, 0, 0, 90}, {TRACE_LOCK, 1, 100, 190}, {TRACE_LOCK, 2, 200, 290}, {TRACE_LOCK, 3, 300, 500}, END},
         {{TRACE_LOCK, 0, 0, 290, 3}, {TRACE_LOCK, 3, 300, 500, 1}, END}},
        /* Kinds are not mixed. */
        {{{TRACE_BLOCKED, 0, 0, 20}, {TRACE_LOCK, 0, 20, 40}, {TRACE_BLOCKED, 0, 40, 60}, END},
         {{TRACE_BLOCKED, 0, 0, 60, 2}, {TRACE_LOCK, 0, 20, 40, 1}, END}},
        /* Tasks that overlap, all at once: one that began early may end late, and the other way round. */
        {{{TRACE_RUN, 0, 0, 900}, {TRACE_RUN, 1, 5, 700}, {TRACE_RUN, 2, 10, 990}, END},
         {{TRACE_RUN, 0, 0, 990, 3}, END}},
};

START_TEST(spans_are_joined)
{
        check_joining(joinings[_i].added, joinings[_i].expected);
}
END_TEST

START_TEST(zero_joins_nothing)
{
        for (uint64_t i = 0; i < 10; i++)
                trace_add(t, TRACE_RUN, i, i, i + 1, 0);
        ck_assert_uint_eq(t->n, 10);
        ck_assert_uint_eq(t->span[9].task, 9);
}
END_TEST

START_TEST(what_has_no_room_is_counted)
{
        for (uint64_t i = 0; i < TRACE_SPANS_MAX + 7; i++)
                trace_add(t, (enum trace_kind)(i % TRACE_KINDS), i, i * 1000, i * 1000 + 1, JOIN);
        ck_assert_uint_eq(t->n, TRACE_SPANS_MAX);
        ck_assert_uint_eq(t->dropped, 7);
        for (uint64_t i = 0; i < TRACE_SPANS_MAX; i++) {
                ck_assert_uint_eq(t->span[i].task, i);
                ck_assert_uint_eq(t->span[i].kind, i % TRACE_KINDS);
        }
        /* What can be joined needs none. */
        trace_add(t, t->span[TRACE_SPANS_MAX - 1].kind, 0, t->span[TRACE_SPANS_MAX - 1].to_ns, UINT64_C(1) << 40,
                  2 * JOIN);
        ck_assert_uint_eq(t->dropped, 7);
        ck_assert_uint_eq(t->span[TRACE_SPANS_MAX - 1].to_ns, UINT64_C(1) << 40);
        trace_reset(t);
        ck_assert_uint_eq(t->n, 0);
        ck_assert_uint_eq(t->dropped, 0);
        trace_add(t, TRACE_LOCK, 1, 5, 6, UINT64_MAX);
        ck_assert_uint_eq(t->n, 1);
        ck_assert_uint_eq(t->span[0].from_ns, 5);
}
END_TEST

/* Whatever a thread does for 200 times the distance, there is room for it, and the sums of waits are near. */
START_TEST(a_long_run_has_room)
{
        uint64_t now = 0, waited = 0, noted = 0, joined = 0, tasks = 0, counted = 0;
        const uint64_t join = 1000, end = 200 * join;

        srand((unsigned)_i);
        while (now < end) {
                uint64_t begin = now;

                for (int waits = rand() % 5; waits > 0; waits--) {
                        uint64_t length = (uint64_t)(rand() % 4 ? rand() % 50 : rand() % 3000),
                                 gap = (uint64_t)(rand() % 40);

                        now += gap + 1;
                        trace_add(t, rand() % 2 ? TRACE_LOCK : TRACE_BLOCKED, tasks, now, now + length, join);
                        now += length;
                        waited += length;
                }
                trace_add(t, TRACE_RUN, tasks++, begin, now, join);
                now += (uint64_t)(rand() % 8 ? 2 : rand() % 2000);
        }
        for (uint32_t i = 0; i < t->n; i++) {
                const struct trace_span *s = &t->span[i];

                if (s->kind == TRACE_RUN)
                        counted += s->tasks;
                else
                        noted += s->to_ns - s->from_ns;
                joined += s->kind != TRACE_RUN && s->tasks > 1;
        }
        ck_assert_uint_eq(t->dropped, 0);
        ck_assert_uint_eq(counted, tasks);
        ck_assert_uint_gt(joined, 0);
        ck_assert_uint_ge(noted, waited);
}
END_TEST

static _Noreturn void
write_for_ever(void)
{
        for (uint64_t i = 1;; i++) {
                if (i % TRACE_SPANS_MAX == 0)
                        trace_reset(t);
                trace_add(t, (enum trace_kind)(i % 2), i, 3 * i, 3 * i + 1, i % 3);
        }
}

/* A writer is killed anywhere: what counts as a span is a whole one. */
START_TEST(killed_writer_leaves_whole_spans)
{
        for (int kills = 0; kills < 200; kills++) {
                pid_t pid = fork();

                if (pid == 0)
                        write_for_ever();
                usleep((useconds_t)(rand() % 2000));
                kill(pid, SIGKILL);
                ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
                ck_assert_uint_le(t->n, TRACE_SPANS_MAX);
                for (uint32_t i = 0; i < t->n; i++) {
                        ck_assert_uint_eq(t->span[i].from_ns, 3 * t->span[i].task);
                        ck_assert_uint_eq((t->span[i].to_ns - 1) % 3, 0);
                        ck_assert_uint_gt(t->span[i].to_ns, t->span[i].from_ns);
                        ck_assert_uint_eq(t->span[i].kind, t->span[i].task % 2);
                }
        }
}
END_TEST

/* None, one of another kind, behind the end, far behind it. */
static const uint32_t wrong[] = {0, 2, 3, UINT32_MAX};

/* What a killed writer left of its memory of the last ones, or anything else there, leads nowhere. */
START_TEST(memory_of_the_last_is_checked)
{
        trace_add(t, TRACE_RUN, 0, 0, 10, JOIN);
        trace_add(t, TRACE_LOCK, 0, 11, 12, JOIN);
        t->last[TRACE_RUN] = wrong[_i];
        trace_add(t, TRACE_RUN, 1, 13, 14, JOIN);
        ck_assert_uint_eq(t->n, 3);
        ck_assert_uint_eq(t->span[0].to_ns, 10);
        ck_assert_uint_eq(t->span[1].to_ns, 12);
        ck_assert_uint_eq(t->span[2].to_ns, 14);
        ck_assert_uint_eq(t->last[TRACE_RUN], 3);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("trace");
        TCase *spans = tcase_create("spans");

        tcase_set_timeout(spans, 60);
        tcase_add_checked_fixture(spans, setup, teardown);
        tcase_add_loop_test(spans, spans_are_joined, 0, ARRAY_SIZE(joinings));
        tcase_add_test(spans, zero_joins_nothing);
        tcase_add_test(spans, what_has_no_room_is_counted);
        tcase_add_loop_test(spans, a_long_run_has_room, 0, 50);
        tcase_add_test(spans, killed_writer_leaves_whole_spans);
        tcase_add_loop_test(spans, memory_of_the_last_is_checked, 0, ARRAY_SIZE(wrong));
        suite_add_tcase(suite, spans);
        return run_suite(suite);
}
