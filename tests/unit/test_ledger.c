/* SPDX-License-Identifier: MIT */
/* The ledger: every task in exactly one line, and every commit counted exactly once, whenever the owner dies. */
#include "segment/ledger.h"

#include "shared/base.h"
#include "worker_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define LINES 1024

/* ── geometry ── */

static const uint32_t max_lines[] = {1, 2, 3, 64, 1000, 16384};

/* Counts relative to the number of lines, then absolute ones. */
static const int64_t near_max[] = {-1, 0, 1, 2, 20};
static const uint64_t counts[] = {1,
                                  2,
                                  3,
                                  17,
                                  1009,
                                  104729,
                                  1000000,
                                  1000000000,
                                  UINT64_C(999999999989),
                                  UINT64_C(1000000000000),
                                  UINT64_C(999999999999989),
                                  UINT64_C(1000000000000000)};

static void
check_partition(const struct ledger_geometry *g, uint64_t count, uint32_t max)
{
        uint64_t next = 0;

        ck_assert_uint_eq(g->count, count);
        ck_assert_uint_ge(g->n_lines, 1);
        ck_assert_uint_le(g->n_lines, max);
        ck_assert_uint_le(g->n_tiers, LEDGER_TIERS);
        for (uint32_t i = 0; i < g->n_lines; i++) {
                uint64_t size = ledger_line_size(g, i);

                if (ledger_line_base(g, i) != next || size == 0 || size > LEDGER_PROGRESS_MAX)
                        ck_abort_msg("line %u of %u begins at %lu, not %lu, and has %lu tasks (count %lu)", i,
                                     g->n_lines, ledger_line_base(g, i), next, size, count);
                next += size;
        }
        ck_assert_uint_eq(next, count);
}

static uint64_t
cpu_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void
check_default(uint64_t count, uint32_t max)
{
        struct ledger_geometry g;
        uint64_t lines = 0, begin = cpu_ns();
        int r = ledger_geometry_init(&g, count, 0, max, &lines);

        /* The supervisor must not be busy with it: it serves others. */
        ck_assert_uint_lt(cpu_ns() - begin, NS_PER_S);
        ck_assert_uint_ge(lines, 1);
        ck_assert_uint_le(lines, max);
        /* Refused only when even equal parts are too long. */
        ck_assert_int_eq(r, (count + max - 1) / max > LEDGER_PROGRESS_MAX ? LEDGER_E_LONG : LEDGER_OK);
        if (r != LEDGER_OK)
                return;
        ck_assert_uint_eq(lines, g.n_lines);
        check_partition(&g, count, max);
        if (count <= max)
                ck_assert_uint_eq(g.n_lines, count);
        if (count > max && max >= 1000 && count / max < LEDGER_PROGRESS_MAX / 2) {
                /* It tapers, where that leaves room to count, and the lines are made use of. */
                ck_assert_uint_ge(g.n_lines, max / 3);
                ck_assert_uint_le(ledger_line_size(&g, g.n_lines - 1), MAX(ledger_line_size(&g, 0) / 16, 1));
        }
}

START_TEST(default_geometry_divides_exactly)
{
        uint32_t max = max_lines[_i];

        for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
                check_default(counts[i], max);
        for (size_t i = 0; i < ARRAY_SIZE(near_max); i++) {
                if ((int64_t)max + near_max[i] > 0)
                        check_default(max + (uint64_t)near_max[i], max);
        }
        check_default(7 * (uint64_t)max, max);
}
END_TEST

START_TEST(chosen_chunk_is_taken_as_it_is)
{
        static const uint64_t chunks[] = {1, 2, 3, 7, 64, 1000, 1000000, LEDGER_PROGRESS_MAX};

        for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
                for (size_t k = 0; k < ARRAY_SIZE(chunks); k++) {
                        uint64_t needed = (counts[i] + chunks[k] - 1) / chunks[k], lines = 0;
                        struct ledger_geometry g;
                        int r = ledger_geometry_init(&g, counts[i], chunks[k], 16384, &lines);

                        ck_assert_uint_eq(lines, needed);
                        ck_assert_int_eq(r, needed > 16384 ? LEDGER_E_LINES : LEDGER_OK);
                        ck_assert_int_eq(ledger_geometry_init(&g, counts[i], chunks[k], 16384, NULL), r);
                        if (r != LEDGER_OK)
                                continue;
                        check_partition(&g, counts[i], 16384);
                        ck_assert_uint_eq(g.n_lines, needed);
                        ck_assert_uint_eq(ledger_line_size(&g, 0), MIN(chunks[k], counts[i]));
                }
        }
}
END_TEST

START_TEST(lines_that_suffice_are_enough)
{
        struct ledger_geometry g;
        uint64_t lines = 0;

        ck_assert_int_eq(ledger_geometry_init(&g, 1000, 10, 100, &lines), LEDGER_OK);
        ck_assert_int_eq(ledger_geometry_init(&g, 1001, 10, 100, &lines), LEDGER_E_LINES);
        ck_assert_uint_eq(lines, 101);
        ck_assert_int_eq(ledger_geometry_init(&g, LEDGER_PROGRESS_MAX + 1, LEDGER_PROGRESS_MAX + 1, 64, &lines),
                         LEDGER_E_LONG);
        ck_assert_uint_eq(lines, 1);
        ck_assert_int_eq(ledger_geometry_init(&g, LEDGER_PROGRESS_MAX + 1, LEDGER_PROGRESS_MAX, 64, NULL), LEDGER_OK);
        check_partition(&g, LEDGER_PROGRESS_MAX + 1, 64);
}
END_TEST

/* ── sweep ── */

/* All lines once, tier by tier, the own ones of a tier before the others; each is one seat's own. */
static void
check_sweeps(const struct ledger_geometry *g, uint32_t seats)
{
        AUTO_FREE uint8_t *owned = calloc(g->n_lines, 1);

        for (uint32_t seat = 0; seat < seats; seat++) {
                AUTO_FREE uint8_t *seen = calloc(g->n_lines, 1);
                struct ledger_sweep sweep;
                uint32_t line, n = 0, tier = 0;
                bool own, was_own = true;

                ledger_sweep_init(&sweep, g, seat, seats);
                while (ledger_sweep_next(&sweep, &line, &own)) {
                        ck_assert_uint_lt(line, g->n_lines);
                        if (n == g->first_line[tier + 1]) {
                                tier++;
                                was_own = true;
                        }
                        ck_assert_uint_ge(line, g->first_line[tier]);
                        ck_assert_uint_lt(line, g->first_line[tier + 1]);
                        ck_assert(was_own || !own);
                        was_own = own;
                        seen[line]++;
                        owned[line] += own;
                        n++;
                }
                ck_assert_uint_eq(n, g->n_lines);
                for (uint32_t i = 0; i < n; i++)
                        ck_assert_uint_eq(seen[i], 1);
                ck_assert(!ledger_sweep_next(&sweep, &line, &own));
        }
        for (uint32_t i = 0; i < g->n_lines; i++)
                ck_assert_uint_eq(owned[i], 1);
}

START_TEST(sweep_visits_every_line_once)
{
        static const uint32_t seats[] = {1, 2, 3, 7, 64, 250};
        static const uint64_t sizes[] = {1, 2, 5, 100, 101, 1000000};
        struct ledger_geometry g;

        for (size_t i = 0; i < ARRAY_SIZE(seats); i++) {
                for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
                        ck_assert_int_eq(ledger_geometry_init(&g, sizes[k], 0, 100, NULL), LEDGER_OK);
                        check_sweeps(&g, seats[i]);
                }
                ledger_geometry_init_endless(&g, seats[i]);
                check_sweeps(&g, seats[i]);
        }
}
END_TEST

START_TEST(endless_has_one_line_a_seat)
{
        struct ledger_geometry g;
        struct ledger_sweep sweep;
        uint32_t line;
        bool own;

        ledger_geometry_init_endless(&g, 64);
        ck_assert_uint_eq(g.n_lines, 64);
        ck_assert_uint_eq(g.count, UINT64_MAX);
        for (uint32_t i = 0; i < 64; i++) {
                ledger_sweep_init(&sweep, &g, i, 64);
                ck_assert(ledger_sweep_next(&sweep, &line, &own));
                ck_assert(own);
                ck_assert_uint_eq(line, i);
                ck_assert_uint_eq(ledger_line_size(&g, i), LEDGER_PROGRESS_MAX);
                ck_assert_uint_eq(ledger_line_base(&g, i), i * LEDGER_PROGRESS_MAX);
        }
}
END_TEST

/* ── one line ── */

static uint64_t
word_of(const struct ledger_line *line)
{
        return atomic_load(&line->word);
}

/* Commits n tasks of a claimed line: each adds 10 + its number to acc, every third fails, every sixth is wrong. */
static void
commit_some(struct ledger_line *line, uint64_t size, uint64_t n)
{
        struct ledger_sum sum;
        uint64_t owner = ledger_open(line, &sum);

        for (uint64_t i = 0; i < n; i++) {
                sum.acc += 10 + sum.done;
                sum.failed += sum.done % 3 == 0;
                sum.wrong += sum.done % 6 == 0;
                ledger_commit(line, owner, size, &sum);
        }
}

static void
check_line(const struct ledger_line *line, uint32_t owner, uint32_t attempts, uint64_t progress)
{
        ck_assert_uint_eq(ledger_owner(word_of(line)), owner);
        ck_assert_uint_eq(ledger_attempts(word_of(line)), attempts);
        ck_assert_uint_eq(ledger_progress(word_of(line)), progress);
}

/* What n tasks of commit_some() must have added up to. */
static void
check_some(const struct ledger_sum *sum, uint64_t n)
{
        ck_assert_uint_eq(sum->done, n);
        ck_assert_uint_eq(sum->acc, 10 * n + (n ? n * (n - 1) / 2 : 0));
        ck_assert_uint_eq(sum->failed, (n + 2) / 3);
        ck_assert_uint_eq(sum->wrong, (n + 5) / 6);
}

START_TEST(word_keeps_its_parts_apart)
{
        uint64_t word = ledger_pack(0xffff, 0xff, LEDGER_PROGRESS_MAX);

        ck_assert_uint_eq(word, UINT64_MAX);
        word = ledger_pack(0xabcd, 0x12, UINT64_C(0x3456789abc));
        ck_assert_uint_eq(ledger_owner(word), 0xabcd);
        ck_assert_uint_eq(ledger_attempts(word), 0x12);
        ck_assert_uint_eq(ledger_progress(word), UINT64_C(0x3456789abc));
}
END_TEST

START_TEST(claim_takes_only_what_is_free_and_open)
{
        struct ledger_line line = {0};

        atomic_store(&line.word, ledger_pack(0, 2, 5));
        ck_assert(ledger_claim(&line, 10, 7));
        check_line(&line, 7, 2, 5);
        ck_assert(!ledger_claim(&line, 10, 8));
        ck_assert(!ledger_claim(&line, 10, 7));
        check_line(&line, 7, 2, 5);
        ledger_release(&line);
        check_line(&line, 0, 2, 5);
        ledger_release(&line);
        check_line(&line, 0, 2, 5);
        ck_assert(!ledger_claim(&line, 5, 8));
        check_line(&line, 0, 2, 5);
        ck_assert(ledger_claim(&line, 6, UINT16_MAX));
        check_line(&line, UINT16_MAX, 2, 5);
}
END_TEST

START_TEST(last_commit_clears_the_owner)
{
        struct ledger_geometry g;
        struct ledger_line line;
        struct ledger_sum sum;

        ck_assert_int_eq(ledger_geometry_init(&g, 5, 5, 1, NULL), LEDGER_OK);
        memset(&line, 0xff, sizeof(line));
        ledger_reset(&line, &g);
        ck_assert(ledger_claim(&line, 5, 3));
        for (uint64_t i = 0; i < 4; i++) {
                commit_some(&line, 5, 1);
                check_line(&line, 3, 0, i + 1);
                ledger_sum(&line, &g, &sum);
                check_some(&sum, i + 1);
        }
        commit_some(&line, 5, 1);
        check_line(&line, 0, 0, 5);
        ledger_sum(&line, &g, &sum);
        check_some(&sum, 5);
        ck_assert(!ledger_claim(&line, 5, 3));
}
END_TEST

START_TEST(commit_begins_attempts_anew)
{
        struct ledger_line line = {0};
        struct ledger_sum sum;

        atomic_store(&line.word, ledger_pack(9, 2, 0));
        ck_assert_uint_eq(ledger_open(&line, &sum), ledger_pack(9, 0, 0));
        commit_some(&line, 10, 1);
        check_line(&line, 9, 0, 1);
}
END_TEST

/* An owner that dies within a commit wrote the first `_i % 4` of the three sums of the next task and not the word. */
START_TEST(death_within_a_commit_counts_nothing)
{
        uint8_t verdict[4] = {[2] = LEDGER_FREE};
        uint64_t p = (uint64_t)_i / 4;
        struct ledger_line line = {0};
        struct ledger_geometry g;
        struct ledger_sum sum;

        ck_assert_int_eq(ledger_geometry_init(&g, 10, 10, 1, NULL), LEDGER_OK);
        ck_assert(ledger_claim(&line, 10, 3));
        commit_some(&line, 10, p);
        if (_i % 4 > 0)
                line.acc[(p + 1) & 1] = 0xdead;
        if (_i % 4 > 1)
                line.failed[(p + 1) & 1] = 0xdead;
        if (_i % 4 > 2)
                line.wrong[(p + 1) & 1] = 0xdead;
        ledger_sum(&line, &g, &sum);
        check_some(&sum, p);
        ck_assert_uint_eq(ledger_recover(&line, &g, verdict, NULL, NULL).freed, 1);
        check_line(&line, 0, 0, p);
        ck_assert(ledger_claim(&line, 10, 1));
        ledger_open(&line, &sum);
        check_some(&sum, p);
        commit_some(&line, 10, 10 - p);
        ledger_sum(&line, &g, &sum);
        check_some(&sum, 10);
}
END_TEST

START_TEST(sums_wrap_over_all_lines)
{
        struct ledger_line lines[3] = {{.acc = {UINT64_MAX, 1}}, {.acc = {7, 2}}, {.acc = {8, 4}}};
        struct ledger_geometry g;
        struct ledger_sum sum;

        ck_assert_int_eq(ledger_geometry_init(&g, 30, 10, 3, NULL), LEDGER_OK);
        atomic_store(&lines[1].word, ledger_pack(1, 0, 3));
        atomic_store(&lines[2].word, ledger_pack(1, 0, 4));
        ledger_sum(lines, &g, &sum);
        ck_assert_uint_eq(sum.done, 7);
        ck_assert_uint_eq(sum.acc, UINT64_MAX + UINT64_C(10)); /* 9 */
}
END_TEST

/* ── recovery ── */

struct given_up {
        unsigned n;
        uint32_t slot;
        uint64_t task;
};

static void
on_given_up(void *arg, uint32_t slot, uint64_t task)
{
        struct given_up *g = arg;

        *g = (struct given_up){g->n + 1, slot, task};
}

/* Lines of 10 tasks. Line i is owned by slot i but the last, which is free; all are at 3. */
struct four {
        struct ledger_geometry g;
        struct ledger_line lines[4];
};

static void
four_init(struct four *f)
{
        memset(f, 0, sizeof(*f));
        ck_assert_int_eq(ledger_geometry_init(&f->g, 40, 10, 4, NULL), LEDGER_OK);
        for (uint32_t i = 0; i < 4; i++) {
                ck_assert(ledger_claim(&f->lines[i], 10, i + 1));
                commit_some(&f->lines[i], 10, 3);
        }
        ledger_release(&f->lines[3]);
}

START_TEST(recovery_frees_only_the_dead)
{
        uint8_t verdict[4] = {LEDGER_ALIVE, LEDGER_FREE, LEDGER_CHARGE, LEDGER_GIVE_UP};
        struct given_up up = {0};
        struct ledger_recovery r;
        struct four f, again;

        four_init(&f);
        r = ledger_recover(f.lines, &f.g, verdict, on_given_up, &up);
        ck_assert_uint_eq(r.freed, 2);
        ck_assert_uint_eq(r.given_up, 0);
        ck_assert_uint_eq(up.n, 0);
        check_line(&f.lines[0], 1, 0, 3);
        check_line(&f.lines[1], 0, 0, 3);
        check_line(&f.lines[2], 0, 1, 3);
        check_line(&f.lines[3], 0, 0, 3);
        again = f;
        r = ledger_recover(f.lines, &f.g, verdict, on_given_up, &up);
        ck_assert_uint_eq(r.freed + r.given_up + up.n, 0);
        ck_assert_mem_eq(&f, &again, sizeof(f));
}
END_TEST

START_TEST(third_attempt_gives_the_task_up)
{
        static const uint8_t deaths[] = {LEDGER_CHARGE, LEDGER_FREE, LEDGER_CHARGE, LEDGER_FREE, LEDGER_CHARGE};
        uint8_t verdict[4] = {0};
        struct given_up up = {0};
        struct ledger_sum sum;
        struct four f;

        four_init(&f);
        for (size_t i = 0; i < ARRAY_SIZE(deaths); i++) {
                bool last = i + 1 == ARRAY_SIZE(deaths);
                struct ledger_recovery r;

                ck_assert_uint_eq(up.n, 0);
                verdict[2] = deaths[i];
                r = ledger_recover(f.lines, &f.g, verdict, on_given_up, &up);
                ck_assert_uint_eq(r.freed, 1);
                ck_assert_uint_eq(r.given_up, last);
                check_line(&f.lines[2], 0, last ? 0 : (uint32_t)(i / 2 + 1), last ? 4 : 3);
                ck_assert(ledger_claim(&f.lines[2], 10, 3));
        }
        ck_assert_uint_eq(up.n, 1);
        ck_assert_uint_eq(up.slot, 2);
        ck_assert_uint_eq(up.task, 23);
        ledger_open(&f.lines[2], &sum);
        ck_assert_uint_eq(sum.done, 4);
        ck_assert_uint_eq(sum.acc, 33);
        ck_assert_uint_eq(sum.failed, 2);
        ck_assert_uint_eq(sum.wrong, 1);
}
END_TEST

START_TEST(timed_out_task_is_given_up_at_once)
{
        uint8_t verdict[4] = {[1] = LEDGER_GIVE_UP};
        struct given_up up = {0};
        struct ledger_recovery r;
        struct ledger_sum sum;
        struct four f, again;

        four_init(&f);
        commit_some(&f.lines[1], 10, 6);
        r = ledger_recover(f.lines, &f.g, verdict, on_given_up, &up);
        ck_assert_uint_eq(r.freed, 1);
        ck_assert_uint_eq(r.given_up, 1);
        ck_assert_uint_eq(up.slot, 1);
        ck_assert_uint_eq(up.task, 19);
        check_line(&f.lines[1], 0, 0, 10); /* it was the line's last task */
        ledger_open(&f.lines[1], &sum);
        ck_assert_uint_eq(sum.acc, 10 * 9 + 36);
        ck_assert_uint_eq(sum.failed, 3 + 1);
        again = f;
        r = ledger_recover(f.lines, &f.g, verdict, NULL, NULL);
        ck_assert_uint_eq(r.freed + r.given_up, 0);
        ck_assert_mem_eq(&f, &again, sizeof(f));
}
END_TEST

/* ── many at once ── */

#define THREADS 4
#define CROWD   UINT64_C(400000)
#define DIES_IN 500 /* commits, on average */

struct crowd {
        struct ledger_geometry g;
        struct ledger_line lines[LINES];
        pthread_mutex_t recovery;
        uint64_t missing, given_up; /* guarded by `recovery` */
        _Atomic uint32_t finished;
};

struct person {
        struct crowd *crowd;
        uint32_t number;
        pthread_t thread;
        uint64_t random, deaths;
};

static void
on_crowd_gives_up(void *arg, uint32_t slot, uint64_t task)
{
        struct crowd *c = arg;

        c->missing += fixture_result(task);
        c->given_up++;
}

/* As a death within a commit, which the supervisor then recovers. */
static void
die(struct person *p, struct ledger_line *line)
{
        uint8_t verdict[THREADS] = {0};
        uint64_t next = ledger_progress(word_of(line)) + 1, garbage = fixture_random(&p->random);

        __atomic_store_n(&line->acc[next & 1], garbage, __ATOMIC_RELAXED);
        __atomic_store_n(&line->failed[next & 1], garbage, __ATOMIC_RELAXED);
        verdict[p->number] = garbage % 2 ? LEDGER_FREE : garbage % 4 ? LEDGER_CHARGE : LEDGER_GIVE_UP;
        pthread_mutex_lock(&p->crowd->recovery);
        ledger_recover(p->crowd->lines, &p->crowd->g, verdict, on_crowd_gives_up, p->crowd);
        pthread_mutex_unlock(&p->crowd->recovery);
        p->deaths++;
}

/* Every task counts as failed, so that all readers can hold `failed` against `done`. */
static void
work_on(struct person *p, struct ledger_line *line, uint64_t base, uint64_t size)
{
        struct ledger_sum sum;
        uint64_t owner = ledger_open(line, &sum);

        while (sum.done < size) {
                if (fixture_random(&p->random) % DIES_IN == 0) {
                        die(p, line);
                        return;
                }
                sum.acc += fixture_result(base + sum.done);
                sum.failed++;
                ledger_commit(line, owner, size, &sum);
        }
}

static void *
person_main(void *arg)
{
        struct person *p = arg;
        struct crowd *c = p->crowd;
        struct ledger_sum all = {0};

        while (all.done < c->g.count) {
                struct ledger_sweep sweep;
                uint32_t line;
                bool own;

                ledger_sweep_init(&sweep, &c->g, p->number, THREADS);
                while (ledger_sweep_next(&sweep, &line, &own)) {
                        uint64_t size = ledger_line_size(&c->g, line);

                        if (ledger_claim(&c->lines[line], size, p->number + 1))
                                work_on(p, &c->lines[line], ledger_line_base(&c->g, line), size);
                }
                ledger_sum(c->lines, &c->g, &all);
        }
        atomic_fetch_add(&c->finished, 1);
        return NULL;
}

START_TEST(crowd_that_dies_counts_exactly)
{
        static struct crowd c = {.recovery = PTHREAD_MUTEX_INITIALIZER};
        struct person people[THREADS];
        struct ledger_sum sum, before = {0};
        uint64_t deaths = 0;

        ck_assert_int_eq(ledger_geometry_init(&c.g, CROWD, 0, LINES, NULL), LEDGER_OK);
        for (uint32_t i = 0; i < THREADS; i++) {
                people[i] = (struct person){.crowd = &c, .number = i, .random = i + 1};
                ck_assert_int_eq(pthread_create(&people[i].thread, NULL, person_main, &people[i]), 0);
        }
        /* Whoever looks meanwhile sees each line as it was at some instant. */
        while (atomic_load(&c.finished) < THREADS) {
                ledger_sum(c.lines, &c.g, &sum);
                ck_assert_uint_eq(sum.failed, sum.done);
                ck_assert_uint_ge(sum.done, before.done);
                before = sum;
        }
        for (uint32_t i = 0; i < THREADS; i++) {
                pthread_join(people[i].thread, NULL);
                deaths += people[i].deaths;
        }
        ledger_sum(c.lines, &c.g, &sum);
        ck_assert_uint_gt(deaths, 100);
        ck_assert_uint_gt(c.given_up, 10);
        ck_assert_uint_eq(sum.done, CROWD);
        ck_assert_uint_eq(sum.failed, CROWD);
        ck_assert_uint_eq(sum.acc + c.missing, fixture_sum(CROWD));
        for (uint32_t i = 0; i < c.g.n_lines; i++)
                ck_assert_uint_eq(ledger_owner(word_of(&c.lines[i])), 0);
}
END_TEST

/* One line under one writer: what is read must be of one instant, though the writer overtakes the reader all the
 * time. */
struct overtaking {
        struct ledger_geometry g;
        struct ledger_line line;
        _Atomic uint32_t stop;
};

static void *
overtake(void *arg)
{
        struct overtaking *o = arg;
        struct ledger_sum sum;
        uint64_t owner = ledger_open(&o->line, &sum);

        while (!atomic_load_explicit(&o->stop, memory_order_relaxed)) {
                sum.acc = sum.done + 1;
                sum.failed = sum.done + 1;
                sum.wrong = sum.done + 1;
                ledger_commit(&o->line, owner, LEDGER_PROGRESS_MAX, &sum);
        }
        return NULL;
}

START_TEST(reader_sees_one_instant)
{
        uint64_t begin = clock_now_ns();
        struct overtaking o = {0};
        struct ledger_sum sum;
        pthread_t writer;

        ledger_geometry_init_endless(&o.g, 1);
        ck_assert(ledger_claim(&o.line, LEDGER_PROGRESS_MAX, 1));
        ck_assert_int_eq(pthread_create(&writer, NULL, overtake, &o), 0);
        while (clock_now_ns() - begin < 300 * NS_PER_MS) {
                ledger_sum(&o.line, &o.g, &sum);
                if (sum.acc != sum.done || sum.failed != sum.done || sum.wrong != sum.done)
                        ck_abort_msg("done %lu, acc %lu, failed %lu, wrong %lu", sum.done, sum.acc, sum.failed,
                                     sum.wrong);
        }
        atomic_store(&o.stop, 1);
        pthread_join(writer, NULL);
        ck_assert_uint_gt(sum.done, 0);
}
END_TEST

#define PROCESSES 3
#define STORM     UINT64_C(1000000)
#define KILLS     40

struct storm {
        struct ledger_geometry g;
        struct ledger_line lines[64];
};

static _Noreturn void
storm_worker(struct storm *s, uint32_t number)
{
        struct ledger_sweep sweep;
        uint32_t line;
        bool own;

        ledger_sweep_init(&sweep, &s->g, number, PROCESSES);
        while (ledger_sweep_next(&sweep, &line, &own)) {
                uint64_t base = ledger_line_base(&s->g, line), size = ledger_line_size(&s->g, line), owner;
                struct ledger_sum sum;

                if (!ledger_claim(&s->lines[line], size, number + 1))
                        continue;
                owner = ledger_open(&s->lines[line], &sum);
                while (sum.done < size) {
                        sum.acc += fixture_result(base + sum.done);
                        sum.failed += sum.done & 1;
                        ledger_commit(&s->lines[line], owner, size, &sum);
                }
        }
        _exit(0);
}

static pid_t
storm_fork(struct storm *s, uint32_t number)
{
        pid_t pid = fork();

        if (pid == 0)
                storm_worker(s, number);
        ck_assert_int_gt(pid, 0);
        return pid;
}

/* Awaits worker i and frees what it left. */
static bool
storm_reap(struct storm *s, pid_t *pid, uint32_t i)
{
        uint8_t verdict[PROCESSES] = {0};
        int status;

        ck_assert_int_eq(waitpid(pid[i], &status, 0), pid[i]);
        verdict[i] = LEDGER_FREE;
        ledger_recover(s->lines, &s->g, verdict, NULL, NULL);
        return WIFSIGNALED(status);
}

static unsigned
storm_round(struct storm *s, uint64_t *random)
{
        pid_t pid[PROCESSES];
        struct ledger_sum sum = {0};
        unsigned kills = 0;

        memset(s->lines, 0, sizeof(s->lines));
        for (uint32_t i = 0; i < PROCESSES; i++)
                pid[i] = storm_fork(s, i);
        while (sum.done < STORM) {
                uint32_t victim = (uint32_t)fixture_random(random) % PROCESSES;

                usleep((useconds_t)(fixture_random(random) % 1500));
                kill(pid[victim], SIGKILL);
                kills += storm_reap(s, pid, victim);
                pid[victim] = storm_fork(s, victim);
                ledger_sum(s->lines, &s->g, &sum);
        }
        for (uint32_t i = 0; i < PROCESSES; i++) {
                kill(pid[i], SIGKILL);
                storm_reap(s, pid, i);
        }
        ledger_sum(s->lines, &s->g, &sum);
        ck_assert_uint_eq(sum.done, STORM);
        return kills;
}

START_TEST(killed_processes_count_exactly)
{
        struct storm *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        uint64_t random = (uint64_t)getpid(), expected = fixture_sum(STORM), failed = 0;
        struct ledger_sum sum;
        unsigned kills = 0;

        ck_assert_ptr_ne(s, MAP_FAILED);
        ck_assert_int_eq(ledger_geometry_init(&s->g, STORM, 0, ARRAY_SIZE(s->lines), NULL), LEDGER_OK);
        for (uint32_t i = 0; i < s->g.n_lines; i++)
                failed += ledger_line_size(&s->g, i) / 2;
        while (kills < KILLS) {
                kills += storm_round(s, &random);
                ledger_sum(s->lines, &s->g, &sum);
                ck_assert_uint_eq(sum.acc, expected);
                ck_assert_uint_eq(sum.failed, failed);
        }
        munmap(s, sizeof(*s));
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("ledger");
        TCase *geometry = tcase_create("geometry"), *line = tcase_create("line"), *crowd = tcase_create("crowd");

        tcase_add_loop_test(geometry, default_geometry_divides_exactly, 0, ARRAY_SIZE(max_lines));
        tcase_add_test(geometry, chosen_chunk_is_taken_as_it_is);
        tcase_add_test(geometry, lines_that_suffice_are_enough);
        tcase_add_test(geometry, sweep_visits_every_line_once);
        tcase_add_test(geometry, endless_has_one_line_a_seat);
        tcase_add_test(line, word_keeps_its_parts_apart);
        tcase_add_test(line, claim_takes_only_what_is_free_and_open);
        tcase_add_test(line, last_commit_clears_the_owner);
        tcase_add_test(line, commit_begins_attempts_anew);
        tcase_add_loop_test(line, death_within_a_commit_counts_nothing, 0, 4 * 4);
        tcase_add_test(line, sums_wrap_over_all_lines);
        tcase_add_test(line, recovery_frees_only_the_dead);
        tcase_add_test(line, third_attempt_gives_the_task_up);
        tcase_add_test(line, timed_out_task_is_given_up_at_once);
        tcase_add_test(crowd, crowd_that_dies_counts_exactly);
        tcase_add_test(crowd, reader_sees_one_instant);
        tcase_add_test(crowd, killed_processes_count_exactly);
        tcase_set_timeout(geometry, 30);
        tcase_set_timeout(crowd, 60);
        suite_add_tcase(suite, geometry);
        suite_add_tcase(suite, line);
        suite_add_tcase(suite, crowd);
        return run_suite(suite);
}
