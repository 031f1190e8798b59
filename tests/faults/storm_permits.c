/* SPDX-License-Identifier: MIT */
/*
 * SIGKILL at random moments, to processes that acquire and release as fast as they can, and to the process that
 * recovers what the dead held: no permit is lost, nobody hangs, never are there more holders than permits. The suite's
 * storm lasts some seconds; CONCD_STORM_SECONDS says how long it is for each number of permits.
 *
 * What it did is told in one line for each number of permits. The wait limit is out of the way (mutate), so a permit
 * that is lost stays lost. A hang is seen by this: all are asleep, and a cell is free.
 */
#include "step.h"

#include "../unit/worker_fixture.h"
#include "segment/permits.h"
#include "shared/base.h"
#include "shared/clock.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define WORKERS        4
#define ROUND_KILLS    50 /* then it is looked whether all permits are there, and begun anew */
#define PAUSE_MAX_US   400
#define STAY_EVERY     8
#define STAY_NS        2000
#define RECOVERY_STEPS 64 /* instructions of a recovery, about */

static struct room {
        struct permits permits;
        sem_t sem;
        _Atomic uint32_t state[WORKERS];
        _Atomic uint32_t inside[WORKERS]; /* odd between acquire and release */
        _Atomic uint32_t most;            /* so many were inside at once */
        _Atomic uint32_t stop;
        _Atomic uint64_t pairs[WORKERS];
} * room;

static struct {
        uint64_t kills, recovery_kills, pairs, rescues, rounds;
        double pair_ns;
} did;

static uint64_t dice;

static void
setup(void)
{
        room = mmap(NULL, sizeof(*room), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(room, MAP_FAILED);
        dice = (uint64_t)getpid();
        memset(&did, 0, sizeof(did));
}

static void
teardown(void)
{
        munmap(room, sizeof(*room));
        ck_assert_int_lt(waitpid(-1, NULL, WNOHANG), 0);
}

/* How many are inside at one instant, or 0 when that cannot be told: what was read twice without a change was so all
 * the time between. */
static uint32_t
count_inside(void)
{
        uint32_t seen[WORKERS], n = 0;

        for (uint32_t i = 0; i < WORKERS; i++)
                seen[i] = atomic_load(&room->inside[i]);
        for (uint32_t i = 0; i < WORKERS; i++) {
                if (atomic_load(&room->inside[i]) != seen[i])
                        return 0;
                n += seen[i] & 1;
        }
        return n;
}

static void
stay_inside(uint32_t slot)
{
        uint32_t n, most = atomic_load(&room->most);

        atomic_fetch_add(&room->inside[slot], 1);
        n = count_inside();
        while (n > most && !atomic_compare_exchange_weak(&room->most, &most, n))
                ;
        /* So that a kill meets a holder often, and a step of the protocol often enough. */
        if (room->pairs[slot] % STAY_EVERY == 0) {
                for (uint64_t until = clock_now_ns() + STAY_NS; clock_now_ns() < until;)
                        ;
        }
        atomic_fetch_add(&room->inside[slot], 1);
}

static void
holder_main(void *arg)
{
        uint32_t slot = (uint32_t)(uintptr_t)arg;

        /* Who kills goes first. */
        setpriority(PRIO_PROCESS, 0, 10);
        while (!atomic_load(&room->stop)) {
                uint32_t cell = permits_acquire(&room->permits, &room->sem, slot, &room->state[slot]);

                stay_inside(slot);
                permits_release(&room->permits, &room->sem, cell, &room->state[slot]);
                atomic_store(&room->pairs[slot], room->pairs[slot] + 1);
        }
        _exit(0);
}

static void
left(void *arg)
{
        uint32_t slot = *(uint32_t *)arg;

        atomic_fetch_add(&room->inside[slot], atomic_load(&room->inside[slot]) & 1);
}

static void
recover(uint32_t slot)
{
        permits_recover(&room->permits, &room->sem, slot, &room->state[slot], left, &slot);
}

static void
supervisor_main(void *arg)
{
        recover((uint32_t)(uintptr_t)arg);
}

static uint32_t
free_cells(void)
{
        uint32_t n = 0;

        for (uint32_t i = 0; i < room->permits.n; i++)
                n += atomic_load(&room->permits.cell[i]) == 0;
        return n;
}

static int
tokens(void)
{
        int value = -1;

        sem_getvalue(&room->sem, &value);
        return value;
}

/* A recovery takes less than a microsecond, so a kill at a random moment would seldom meet it: it is killed at a random
 * instruction. */
static void
kill_recovery(uint32_t slot)
{
        struct sweep at = {.k = (unsigned)fixture_random(&dice) % RECOVERY_STEPS};
        struct stepped supervisor;

        stepped_start(&supervisor, NULL, supervisor_main, (void *)(uintptr_t)slot);
        stepped_go(&supervisor, &at);
        stepped_kill(&supervisor);
        did.recovery_kills += at.now == STEP_STANDS;
        sweep_end(&at);
}

/* Every other recovery is killed at least once. */
static void
bury(uint32_t slot, pid_t pid)
{
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        did.kills++;
        while (fixture_random(&dice) % 2)
                kill_recovery(slot);
        recover(slot);
}

/* A later kill may mend what an earlier one broke, by a post too many: so it is looked for in between, too. */
static void
check_nobody_hangs(const pid_t *pid, uint32_t here)
{
        ck_assert_msg(here == 0 || !step_all_asleep(pid, here) || free_cells() == 0,
                      "after %llu kills %u sleep for ever beside %u free cells of %u (%d tokens)",
                      (unsigned long long)did.kills, here, free_cells(), room->permits.n, tokens());
}

/* All go home. */
static void
await_the_end(pid_t pid[WORKERS])
{
        uint32_t here = WORKERS;

        atomic_store(&room->stop, 1);
        while (here > 0) {
                for (uint32_t i = 0; i < here; i++) {
                        if (waitpid(pid[i], NULL, WNOHANG) != pid[i])
                                continue;
                        pid[i--] = pid[--here];
                }
                check_nobody_hangs(pid, here);
        }
}

/* All permits can be had at once, and no more: each cell is taken by a slot of its own. */
static void
check_all_there(uint32_t n)
{
        ck_assert_msg(free_cells() == n, "%u of %u cells are free", free_cells(), n);
        ck_assert_msg(tokens() >= (int)n, "after %llu kills %d tokens are left of %u", (unsigned long long)did.kills,
                      tokens(), n);
        ck_assert_msg(room->most <= n, "%u held %u permits", room->most, n);
        ck_assert_uint_eq(room->permits.rescues, 0);
        for (uint32_t i = 0; i < WORKERS; i++)
                ck_assert_uint_eq(room->state[i], PERMIT_IDLE);
        /* The next recovery clips what was posted too much. */
        room->state[0] = PERMIT_ACQUIRING;
        recover(0);
        ck_assert_msg(tokens() == (int)n, "%d tokens after clipping, of %u", tokens(), n);
}

/* Most of them are holders, if there are any at this moment. */
static uint32_t
choose_victim(void)
{
        uint32_t victim = (uint32_t)fixture_random(&dice) % WORKERS;

        for (uint32_t i = 0; i < WORKERS && fixture_random(&dice) % 8; i++) {
                if (room->state[(victim + i) % WORKERS] == PERMIT_HELD)
                        return (victim + i) % WORKERS;
        }
        return victim;
}

static void
storm_round(uint32_t n)
{
        pid_t pid[WORKERS];

        memset(room, 0, sizeof(*room));
        permits_init(&room->permits, n);
        ck_assert_int_eq(sem_init(&room->sem, 1, n), 0);
        for (uint32_t i = 0; i < WORKERS; i++)
                pid[i] = step_fork(holder_main, (void *)(uintptr_t)i);
        for (unsigned k = 0; k < ROUND_KILLS; k++) {
                uint32_t victim;

                usleep((useconds_t)(fixture_random(&dice) % PAUSE_MAX_US));
                check_nobody_hangs(pid, WORKERS);
                victim = choose_victim();
                bury(victim, pid[victim]);
                pid[victim] = step_fork(holder_main, (void *)(uintptr_t)victim);
        }
        await_the_end(pid);
        check_all_there(n);
        for (uint32_t i = 0; i < WORKERS; i++)
                did.pairs += room->pairs[i];
        did.rescues += room->permits.rescues;
        did.rounds++;
}

/* What acquiring and releasing costs when nobody else wants to. */
static double
measure_pair_ns(void)
{
        const unsigned pairs = 100000;
        uint64_t begin = clock_now_ns();

        for (unsigned i = 0; i < pairs; i++)
                permits_release(&room->permits, &room->sem,
                                permits_acquire(&room->permits, &room->sem, 0, &room->state[0]), &room->state[0]);
        return (double)(clock_now_ns() - begin) / pairs;
}

static uint64_t
storm_ns(void)
{
        const char *seconds = getenv("CONCD_STORM_SECONDS");

        return (seconds ? strtoull(seconds, NULL, 10) : 1) * NS_PER_S;
}

START_TEST(storm)
{
        uint64_t begin = clock_now_ns();

        do
                storm_round((uint32_t)_i);
        while (clock_now_ns() - begin < storm_ns());
        sem_destroy(&room->sem);
        memset(&room->sem, 0, sizeof(room->sem)); /* without the waiters that were killed and are counted for ever */
        ck_assert_int_eq(sem_init(&room->sem, 1, (unsigned)_i), 0);
        did.pair_ns = measure_pair_ns();
        printf("# %d permits: %llu pairs, %llu kills, %llu recovery kills in %llu rounds, 0 violations, %llu rescues, "
               "%.0f ns a pair\n",
               _i, (unsigned long long)did.pairs, (unsigned long long)did.kills, (unsigned long long)did.recovery_kills,
               (unsigned long long)did.rounds, (unsigned long long)did.rescues, did.pair_ns);
        fflush(stdout);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("storm_permits");
        static const char *const permits[] = {"one_permit", "two_permits", "three_permits"};

        if (!step_permitted()) {
                printf("1..0 # SKIP the kernel lets nobody trace\n");
                return EXIT_SUCCESS;
        }
        for (int n = 1; n <= (int)ARRAY_SIZE(permits); n++) {
                TCase *tc = tcase_create(permits[n - 1]);

                tcase_set_timeout(tc, 120 + (double)storm_ns() / 1e9);
                tcase_add_checked_fixture(tc, setup, teardown);
                tcase_add_loop_test(tc, storm, n, n + 1);
                suite_add_tcase(suite, tc);
        }
        return run_suite(suite);
}
