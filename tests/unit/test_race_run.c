/* SPDX-License-Identifier: MIT */
/*
 * The memory of a race without actors: what is fresh when it is opened, what stays when its gang has died, and what of
 * a killed daemon's is believed. The supervisor has nothing but a segment, semaphores' names and a runner.
 */
#include "supervisor/race-run.h"

#include "scenarios/scenario.h"
#include "segment/seat.h"
#include "supervisor/recovery.h"
#include "supervisor/supervisor.h"

#include "shm_fixture.h"

#define GENERATION 6
#define RUN        9

static struct supervisor s;
static struct variant variant;

static void
setup(void)
{
        shm_count(true); /* of a test that failed before */
        memset(&s, 0, sizeof(s));
        s.instance.uid = geteuid();
        snprintf(s.instance.name, sizeof(s.instance.name), "%s", shm_instance("r"));
        s.semaphores.generation = GENERATION;
        s.runner.run = RUN;
        ck_assert_int_eq(segment_create(&s.setup.segment, geteuid(), s.instance.name, 4, 64), 0);
        segment_unlink(&s.setup.segment);
        variant = (struct variant){.is_race = true, .mode = 1, .workers = 2, .count = 100};
        variant.race = (struct race_spec){.guard = (uint32_t)guard_by_name("semaphore"),
                                          .permits = 2,
                                          .actors = 2,
                                          .batch = 1,
                                          .trials = 100,
                                          .trial_ns = NS_PER_MS};
        s.setup.segment.run->spec = (struct run_spec){.is_race = 1, .mode = 1, .seats = 2};
}

static void
teardown(void)
{
        race_run_close(&s);
        segment_unmap(&s.setup.segment);
        ck_assert_uint_eq(shm_count(false), 0);
}

static struct race *
race(void)
{
        return s.setup.segment.race;
}

static void
count(uint64_t trials)
{
        struct race_tally *t = &race()->tally[(atomic_load(&race()->tally_at) + 1) & 1];

        *t = (struct race_tally){.trials = trials, .count = {trials}};
        atomic_fetch_add(&race()->tally_at, 1);
}

static const char *
path_of(uint64_t number)
{
        char after[64];

        snprintf(after, sizeof(after), ".%d.race-%llu", GENERATION, (unsigned long long)number);
        return shm_path("sem.", s.instance.name, after);
}

static int
value_of(sem_t *sem)
{
        int value = -1;

        ck_assert_int_eq(sem_getvalue(sem, &value), 0);
        return value;
}

START_TEST(race_begins_from_nothing)
{
        memset(race(), 0x5a, sizeof(*race()));
        memset(s.setup.segment.race_actors, 0x5a, 2 * sizeof(struct race_actor));
        ck_assert_int_eq(race_run_open(&s, &variant), 0);
        ck_assert(memcmp(&race()->spec, &variant.race, sizeof(variant.race)) == 0);
        ck_assert_uint_eq(race_run_done(&s.setup.segment), 0);
        ck_assert_uint_eq(race()->dropped, 0);
        ck_assert_uint_eq(race()->guard.permits, 2);
        ck_assert_uint_eq(race()->guard.cells.n, 2);
        ck_assert_uint_eq(race()->barrier_made, variant.race.barrier);
        ck_assert_uint_eq(s.setup.segment.race_actors[1].steps, 0);
        ck_assert_uint_eq(s.setup.segment.race_actors[1].wait.samples, 0);
        ck_assert(race_run_is_sound(&s.setup.segment, &variant));
}
END_TEST

START_TEST(named_guard_has_a_semaphore_of_its_own)
{
        struct stat st;

        ck_assert_int_eq(race_run_open(&s, &variant), 0);
        ck_assert_uint_eq(race()->semaphore, RUN);
        ck_assert_int_eq(stat(path_of(RUN), &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0600);
        ck_assert_int_eq(value_of(s.runner.race_semaphore), 2);
        race_run_close(&s);
        ck_assert_ptr_null(s.runner.race_semaphore);
        ck_assert_uint_eq(shm_count(false), 0);
}
END_TEST

START_TEST(other_guards_have_none)
{
        variant.race.guard = (uint32_t)guard_by_name("mutex");
        variant.race.permits = 1;
        ck_assert_int_eq(race_run_open(&s, &variant), 0);
        ck_assert_ptr_null(s.runner.race_semaphore);
        ck_assert_uint_eq(shm_count(false), 0);
}
END_TEST

START_TEST(gang_that_died_leaves_what_it_counted)
{
        struct race_actor *a = s.setup.segment.race_actors;
        sem_t *before;

        ck_assert_int_eq(race_run_open(&s, &variant), 0);
        count(41);
        race()->batch_first = 41;
        race()->batch_n = 1;
        a[1].steps = 77;
        atomic_store(&a[1].phase, 5);
        atomic_store(&a[1].trial, 42);
        atomic_store(&a[1].permit_state, PERMIT_HELD);
        atomic_store(&race()->guard.cells.cell[1], 2);
        atomic_store(&race()->holders, 1);
        atomic_store(&race()->holders_max, 2);
        atomic_store(&race()->trial_over, 1);
        ck_assert_int_eq(sem_trywait(s.runner.race_semaphore), 0);
        before = s.runner.race_semaphore;
        atomic_store(&s.setup.segment.run->go, 1);
        for (uint32_t i = 0; i < 2; i++)
                atomic_store(&s.setup.segment.seats[i].word, seat_pack(RUN, SEAT_DONE, 0));

        race_run_break(&s);
        ck_assert(s.runner.broken);
        race_run_break(&s); /* the next one dies */
        ck_assert_uint_eq(race()->dropped, 1);
        ck_assert_int_eq(race_run_renew(&s), 0);
        ck_assert(!s.runner.broken);
        ck_assert_uint_eq(race_run_done(&s.setup.segment), 41);
        ck_assert_uint_eq(a[1].steps, 77);
        ck_assert_int_eq(atomic_load(&race()->holders_max), 2);
        ck_assert_uint_eq(atomic_load(&a[1].phase), 0);
        ck_assert_uint_eq(atomic_load(&a[1].trial), 0);
        ck_assert_uint_eq(atomic_load(&a[1].permit_state), PERMIT_IDLE);
        ck_assert_uint_eq(atomic_load(&race()->guard.cells.cell[1]), 0);
        ck_assert_int_eq(atomic_load(&race()->holders), 0);
        ck_assert_uint_eq(atomic_load(&race()->trial_over), 0);
        ck_assert_uint_eq(race()->batch_n, 0);
        ck_assert_ptr_nonnull(before);
        ck_assert_uint_eq(race()->semaphore, RUN + 1);
        ck_assert_int_eq(value_of(s.runner.race_semaphore), 2);
        ck_assert_uint_eq(shm_inode(path_of(RUN)), 0);
        ck_assert_uint_ne(shm_inode(path_of(RUN + 1)), 0);
        ck_assert_uint_eq(atomic_load(&s.setup.segment.run->go), 0);
        for (uint32_t i = 0; i < 2; i++)
                ck_assert_uint_eq(atomic_load(&s.setup.segment.seats[i].word), seat_pack(RUN, SEAT_EMPTY, 0));
}
END_TEST

/* Actor 0 had counted it and was killed before it began the next. */
START_TEST(batch_that_was_counted_is_not_dropped)
{
        ck_assert_int_eq(race_run_open(&s, &variant), 0);
        race()->batch_first = 40;
        race()->batch_n = 2;
        count(42);
        race_run_break(&s);
        ck_assert_uint_eq(race()->dropped, 0);
}
END_TEST

/* While the others are being ended nobody can sit down. */
START_TEST(broken_race_has_no_empty_seat)
{
        ck_assert_int_eq(race_run_open(&s, &variant), 0);
        for (uint32_t i = 0; i < 2; i++)
                atomic_store(&s.setup.segment.seats[i].word, seat_pack(RUN, SEAT_EMPTY, 0));
        race_run_break(&s);
        ck_assert_uint_eq(recovery_census(&s).empty, 0);
}
END_TEST

START_TEST(race_is_complete_with_its_last_trial)
{
        ck_assert_int_eq(race_run_open(&s, &variant), 0);
        count(99);
        ck_assert(!race_run_is_complete(&s.setup.segment));
        count(100);
        ck_assert(race_run_is_complete(&s.setup.segment));
        race()->spec.trials = 0; /* by duration */
        ck_assert(!race_run_is_complete(&s.setup.segment));
}
END_TEST

/* ── what a killed daemon left ── */

START_TEST(damage_is_seen)
{
        struct race_tally *t;

        ck_assert_int_eq(race_run_open(&s, &variant), 0);
        count(50);
        t = &race()->tally[atomic_load(&race()->tally_at) & 1];
        ck_assert(race_run_is_sound(&s.setup.segment, &variant));
        switch (_i) {
        case 0:
                race()->spec.permits = 3;
                break;
        case 1:
                t->trials = 51;
                break;
        case 2:
                t->unknown = 1;
                break;
        case 3:
                t->trials = t->count[0] = 101; /* more than were asked for */
                break;
        case 4:
                t->count[0]--;
                t->count[RACE_OUTCOMES_MAX - 1]++; /* no such outcome */
                break;
        case 5:
                t->lost = UINT64_MAX;
                break;
        case 6:
                race()->barrier_made = RACE_BARRIERS;
                break;
        case 7:
                s.setup.segment.race_actors[1].n_events = RACE_EVENTS_MAX + 1;
                break;
        case 8:
                s.setup.segment.race_actors[1].steps = UINT64_MAX;
                break;
        case 9:
                atomic_store(&race()->holders_max, -1);
                break;
        default:
                race()->dropped = UINT64_MAX;
        }
        ck_assert(!race_run_is_sound(&s.setup.segment, &variant));
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("race_run");
        TCase *tc = tcase_create("race_run");

        snprintf(shm_mark, sizeof(shm_mark), "unit-race-%d_", getpid());
        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, race_begins_from_nothing);
        tcase_add_test(tc, named_guard_has_a_semaphore_of_its_own);
        tcase_add_test(tc, other_guards_have_none);
        tcase_add_test(tc, gang_that_died_leaves_what_it_counted);
        tcase_add_test(tc, batch_that_was_counted_is_not_dropped);
        tcase_add_test(tc, broken_race_has_no_empty_seat);
        tcase_add_test(tc, race_is_complete_with_its_last_trial);
        tcase_add_loop_test(tc, damage_is_seen, 0, 11);
        suite_add_tcase(suite, tc);
        return shm_main(suite);
}
