/* SPDX-License-Identifier: MIT */
#include "permit_actors.h"

#include "shared/base.h"

#include <check.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define POLLS_BETWEEN 8 /* looks whether an order is carried out between two looks whether somebody sleeps */

struct stage *stage;

static char name[256];
static unsigned cases;

void
case_begin(const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(name, sizeof(name), fmt, ap);
        va_end(ap);
        cases++;
}

const char *
case_name(void)
{
        return name;
}

unsigned
cases_begun(void)
{
        return cases;
}

/* ── the actors ── */

static void
acquire(uint32_t slot)
{
        struct actor *a = &stage->actor[slot];

        a->cell = permits_acquire(&stage->permits, &stage->sem, slot, &stage->state[slot]);
        a->holds = true;
}

static void
release(uint32_t slot)
{
        struct actor *a = &stage->actor[slot];

        a->holds = false;
        permits_release(&stage->permits, &stage->sem, a->cell, &stage->state[slot]);
}

static void
actor_main(void *arg)
{
        uint32_t slot = (uint32_t)(uintptr_t)arg;
        struct actor *a = &stage->actor[slot];

        for (;;) {
                while (sem_wait(&a->go) < 0)
                        ;
                switch (a->order) {
                case ORDER_ACQUIRE:
                        acquire(slot);
                        break;
                case ORDER_RELEASE:
                        release(slot);
                        break;
                case ORDER_CYCLES:
                        for (unsigned i = 0; i < a->cycles; i++) {
                                acquire(slot);
                                release(slot);
                        }
                        break;
                }
                atomic_fetch_add(&a->carried_out, 1);
        }
}

/* Then whoever was woken runs as soon as the test yields, and an order costs microseconds. */
static void
stay_on_one_cpu(void)
{
        cpu_set_t here;

        CPU_ZERO(&here);
        CPU_SET(sched_getcpu(), &here);
        sched_setaffinity(0, sizeof(here), &here);
}

void
stage_open(void)
{
        stage = mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(stage, MAP_FAILED);
        stay_on_one_cpu();
        for (uint32_t i = 0; i < ACTORS; i++) {
                ck_assert_int_eq(sem_init(&stage->actor[i].go, 1, 0), 0);
                stage->actor[i].pid = step_fork(actor_main, (void *)(uintptr_t)i);
        }
        cases = 0;
}

void
stage_close(void)
{
        for (uint32_t i = 0; i < ACTORS; i++) {
                kill(stage->actor[i].pid, SIGKILL);
                ck_assert_int_eq(waitpid(stage->actor[i].pid, NULL, 0), stage->actor[i].pid);
        }
        ck_assert_int_lt(waitpid(-1, NULL, WNOHANG), 0);
        munmap(stage, sizeof(*stage));
}

void
stage_set(uint32_t n)
{
        permits_init(&stage->permits, n);
        memset(&stage->sem, 0, sizeof(stage->sem));
        ck_assert_int_eq(sem_init(&stage->sem, 1, n), 0);
        for (uint32_t i = 0; i < ACTORS; i++) {
                ck_assert(idle(i) && !stage->actor[i].holds);
                atomic_store(&stage->state[i], PERMIT_IDLE);
        }
}

bool
idle(uint32_t actor)
{
        const struct actor *a = &stage->actor[actor];

        return atomic_load(&a->carried_out) == atomic_load(&a->ordered);
}

void
order(uint32_t actor, enum order what)
{
        struct actor *a = &stage->actor[actor];

        ck_assert(idle(actor));
        a->order = what;
        atomic_fetch_add(&a->ordered, 1);
        sem_post(&a->go);
}

void
order_cycles(uint32_t actor, unsigned n)
{
        stage->actor[actor].cycles = n;
        order(actor, ORDER_CYCLES);
}

void
settle(struct stepped *free)
{
        for (unsigned polls = 1;; polls++) {
                pid_t busy[ACTORS + 1];
                unsigned n = 0;

                for (uint32_t i = 0; i < ACTORS; i++) {
                        if (!idle(i))
                                busy[n++] = stage->actor[i].pid;
                }
                if (free && !free->let_go)
                        stepped_let_go(free);
                if (free && !stepped_has_ended(free))
                        busy[n++] = free->pid;
                if (n == 0 || (polls % POLLS_BETWEEN == 0 && step_all_asleep(busy, n)))
                        return;
                sched_yield();
        }
}

void
expect_permit(uint32_t actor)
{
        order(actor, ORDER_ACQUIRE);
        settle(NULL);
        ck_assert_msg(idle(actor), "%s: slot %u waits although %u of %u cells are free (%d tokens)", name, actor,
                      stage_free_cells(), stage->permits.n, stage_tokens());
}

/* ── the checks ── */

int
stage_tokens(void)
{
        int value = -1;

        sem_getvalue(&stage->sem, &value);
        return value;
}

uint32_t
stage_cells_of(uint32_t slot)
{
        uint32_t n = 0;

        for (uint32_t i = 0; i < stage->permits.n; i++)
                n += atomic_load(&stage->permits.cell[i]) == slot + 1;
        return n;
}

uint32_t
stage_free_cells(void)
{
        uint32_t n = 0;

        for (uint32_t i = 0; i < stage->permits.n; i++)
                n += atomic_load(&stage->permits.cell[i]) == 0;
        return n;
}

void
stage_check_settled(const char *when)
{
        uint32_t free = stage_free_cells();

        for (uint32_t i = 0; i < ACTORS; i++) {
                const struct actor *a = &stage->actor[i];

                ck_assert_msg(idle(i) || free == 0, "%s: slot %u sleeps for ever beside %u free cells (%d tokens)",
                              when, i, free, stage_tokens());
                if (!idle(i))
                        continue;
                ck_assert_msg(stage_cells_of(i) == a->holds, "%s: slot %u has %u cells", when, i, stage_cells_of(i));
                if (a->holds)
                        ck_assert_msg(stage->permits.cell[a->cell] == i + 1, "%s: cell %u is not slot %u's", when,
                                      a->cell, i);
        }
        ck_assert_msg(stage_tokens() >= (int)free, "%s: %d tokens for %u free cells", when, stage_tokens(), free);
}

static void
all_release(void)
{
        for (bool again = true; again;) {
                again = false;
                for (uint32_t i = 0; i < ACTORS; i++) {
                        if (!idle(i) || !stage->actor[i].holds)
                                continue;
                        order(i, ORDER_RELEASE);
                        settle(NULL);
                        CHECK_SETTLED();
                        again = true;
                }
        }
}

void
stage_check_end(void)
{
        uint32_t n = stage->permits.n;

        all_release();
        for (uint32_t i = 0; i < ACTORS; i++)
                ck_assert_msg(idle(i), "%s: slot %u waits for ever", name, i);
        /* From the last slot on, because it is most often the one that died. */
        for (uint32_t i = 0; i < n; i++)
                expect_permit(ACTORS - 1 - i);
        order(0, ORDER_ACQUIRE); /* eats what was posted too much */
        settle(NULL);
        ck_assert_msg(!idle(0), "%s: %u hold %u permits", name, n + 1, n);
        CHECK_SETTLED();
        all_release();
        ck_assert_msg(stage_tokens() == (int)n, "%s: %d tokens are left of %u", name, stage_tokens(), n);
        ck_assert_msg(stage_free_cells() == n, "%s: %u cells are free of %u", name, stage_free_cells(), n);
        for (uint32_t i = 0; i < ACTORS; i++)
                ck_assert_msg(atomic_load(&stage->state[i]) == PERMIT_IDLE, "%s: slot %u is in state %u", name, i,
                              stage->state[i]);
        ck_assert_msg(stage->permits.rescues == 0, "%s: %llu rescues", name,
                      (unsigned long long)stage->permits.rescues);
}
