/* SPDX-License-Identifier: MIT */
#include "supervisor/recovery.h"

#include "guards/gil.h"
#include "segment/ledger.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "supervisor/race-run.h"
#include "supervisor/runner.h"
#include "supervisor/supervisor.h"
#include "worker/evidence.h"
#include "worker/fatal.h"
#include "worker/mode.h"
#include "worker/task_loop.h"
#include "worker/totals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

struct seat_census
recovery_census(const struct supervisor *s)
{
        struct seat_census c = {0};

        for (uint32_t i = 0; i < s->setup.segment.run->spec.seats; i++) {
                uint64_t word = atomic_load_explicit(&s->setup.segment.seats[i].word, memory_order_acquire);

                c.seated += seat_is_taken(word);
                c.empty += seat_state(word) == SEAT_EMPTY;
        }
        return c;
}

uint64_t
recovery_restarts(const struct supervisor *s)
{
        const struct run *run = s->setup.segment.run;
        uint64_t n = atomic_load(&run->task_deaths);

        for (uint32_t i = 0; i < run->spec.seats; i++)
                n += s->setup.segment.seats[i].restarts;
        return n;
}

uint64_t
recovery_kills(const struct supervisor *s)
{
        const struct run *run = s->setup.segment.run;

        return atomic_load(&run->kills) + atomic_load(&run->task_deaths);
}

bool
recovery_close_seats(struct supervisor *s)
{
        bool closed = true;

        for (uint32_t i = 0; i < s->setup.segment.run->spec.seats; i++) {
                uint64_t word = seat_pack(s->runner.run, SEAT_EMPTY, 0);

                if (!atomic_compare_exchange_strong(&s->setup.segment.seats[i].word, &word,
                                                    seat_pack(s->runner.run, SEAT_DONE, 0)))
                        closed = closed && !seat_is_taken(word);
        }
        return closed;
}

void
recovery_reopen_seat(struct supervisor *s, uint32_t seat)
{
        const struct run_spec *spec = &s->setup.segment.run->spec;

        atomic_store(&s->setup.segment.seats[seat].word, seat_pack(s->runner.run, SEAT_EMPTY, 0));
        children_call(&s->children, modes[spec->mode].kind, 1);
}

void
recovery_kill_seated(struct supervisor *s)
{
        for (uint32_t i = 0; i < s->setup.segment.run->spec.seats; i++) {
                uint64_t word = atomic_load(&s->setup.segment.seats[i].word);

                if (seat_is_taken(word))
                        children_kill(&s->children, seat_owner(word) - 1, SIGKILL);
        }
}

/* ── after a death ── */

/* What one death means for the slots that lived in the child. */
struct inquest {
        struct supervisor *s;
        const struct child_death *death;
        uint8_t *verdict;    /* per slot: enum ledger_verdict */
        struct cause *cause; /* per slot */
};

static struct seat *
seat_of(struct supervisor *s, uint32_t slot, uint32_t *ret_index)
{
        for (uint32_t i = 0; i < s->setup.segment.run->spec.seats; i++) {
                uint64_t word = atomic_load(&s->setup.segment.seats[i].word);

                if (seat_is_taken(word) && seat_owner(word) == slot + 1) {
                        *ret_index = i;
                        return &s->setup.segment.seats[i];
                }
        }
        return NULL;
}

/* Is the task that was over its time still the one that it was killed in? */
static bool
is_still_late(struct supervisor *s, uint32_t index)
{
        const struct segment *segment = &s->setup.segment;
        const struct slot *slot = &segment->slots[index];
        uint32_t claim = atomic_load(&slot->late_claim), seat_index;
        const struct seat *seat = seat_of(s, index, &seat_index);

        return seat && claim > 0 && claim <= segment->run->spec.geometry.n_lines &&
               atomic_load(&seat->claim) == claim &&
               atomic_load(&segment->ledger[claim - 1].word) == atomic_load(&slot->late_word);
}

static void
judge_slot(struct inquest *q, uint32_t index)
{
        const struct slot *slot = &q->s->setup.segment.slots[index];
        int status = q->death->status;
        enum blame blame = atomic_load(&slot->blame);
        bool process = index != SLOT_THREAD_HOST && q->death->slot == index;

        q->verdict[index] = LEDGER_FREE;
        q->cause[index].value = atomic_load(&slot->blame_value);
        if (blame == BLAME_TIMEOUT) {
                if (!is_still_late(q->s, index))
                        return;
                q->verdict[index] = LEDGER_GIVE_UP;
                q->cause[index].reason = FAILURE_TIMEOUT;
        } else if (blame == BLAME_SIGNAL || (process && WIFSIGNALED(status) && fatal_signal_is_own(WTERMSIG(status)))) {
                q->verdict[index] = LEDGER_CHARGE;
                q->cause[index].reason = FAILURE_SIGNAL;
                if (process)
                        q->cause[index].value = WTERMSIG(status);
        } else if (blame == BLAME_EXIT || (process && WIFEXITED(status))) {
                q->verdict[index] = LEDGER_CHARGE;
                q->cause[index].reason = FAILURE_EXIT;
                if (process)
                        q->cause[index].value = WEXITSTATUS(status);
        }
}

/* A death in an all-at-once run of threads is not the fault of the task at the line's progress, but of the one
 * that its thread marked. */
static void
note_poison(struct inquest *q, uint32_t index)
{
        struct run *run = q->s->setup.segment.run;
        uint64_t task = atomic_load(&q->s->setup.segment.slots[index].blame_task);
        uint32_t i = 0;

        if (task == 0 || q->verdict[index] != LEDGER_CHARGE)
                return;
        q->verdict[index] = LEDGER_FREE;
        while (i < run->n_poison && run->poison[i].task != task - 1)
                i++;
        if (i == POISON_MAX) {
                runner_stop(q->s, JOB_FAILED, "too many tasks kill the thread host");
                return;
        }
        if (i == run->n_poison)
                run->poison[run->n_poison++] = (struct poison){.task = task - 1};
        run->poison[i].attempts++;
        run->poison[i].reason = q->cause[index].reason;
        run->poison[i].value = q->cause[index].value;
}

static void
on_given_up(void *arg, uint32_t slot, uint64_t task)
{
        struct inquest *q = arg;
        uint32_t index = 0;
        struct seat *seat = seat_of(q->s, slot, &index);

        task_loop_note_failure(q->s->setup.segment.run, index, task, q->cause[slot].reason, q->cause[slot].value);
        if (seat) {
                atomic_fetch_add(&seat->tasks, 1);
                atomic_store(&seat->tasks_next, atomic_load(&seat->tasks));
                atomic_store(&seat->commit_ns, clock_now_ns());
        }
        children_forgive(&q->s->children, slot);
}

/* Of a process, wait4() tells what it used since it sat down, but not what its children in flight did; what a
 * thread used went with its host. */
static void
settle_evidence(struct inquest *q, uint32_t slot, struct seat *seat)
{
        const struct segment *segment = &q->s->setup.segment;
        struct evidence last;

        if (q->death->slot != slot || segment->run->spec.spawn != SPAWN_POOL)
                seat->cpu_lost = 1;
        if (q->death->slot != slot)
                return;
        evidence_from_rusage(&last, &q->death->usage);
        evidence_add_since(&seat->evidence, &last, &segment->slots[slot].base_process);
}

/* Brings the dead worker's seat up to date, before its line can go to somebody else. */
static void
settle_seat(struct inquest *q, uint32_t slot, struct seat *seat)
{
        struct supervisor *s = q->s;
        struct segment *segment = &s->setup.segment;
        uint64_t before = atomic_load(&seat->tasks);
        uint32_t in_flight = atomic_exchange(&seat->in_flight, 0);

        task_loop_settle(seat, segment->ledger, segment->run->spec.geometry.n_lines);
        /* When its last commit was, nobody knows; not later than now. */
        if (atomic_load(&seat->tasks) > before)
                atomic_store(&seat->commit_ns, clock_now_ns());
        if (atomic_load(&seat->tasks) > seat->tasks_before)
                children_forgive(&s->children, slot);
        atomic_store(&seat->left_ns, clock_now_ns());
        atomic_store(&seat->in_block, 0);
        settle_evidence(q, slot, seat);
        if (in_flight > 1 && !s->runner.stopping)
                atomic_fetch_add(&segment->run->reexecuted, in_flight - 1);
}

/*
 * The thread host left by _exit(), which no handler sees, so nobody marked himself. Whoever is alone on a seat
 * did it. With several, those that go on get further, until one is alone; when nobody does, all of them have died
 * in vain as often as a task may, and all are charged. Tasks that are all under way at once cannot be told apart.
 */
static void
charge_suspects(struct inquest *q, uint32_t first, uint32_t last)
{
        struct supervisor *s = q->s;
        unsigned deaths = s->children.child[SLOT_THREAD_HOST].quick_deaths;
        uint32_t suspects = 0, index;

        for (uint32_t i = first; i <= last; i++) {
                if (atomic_load(&s->setup.segment.slots[i].blame) != BLAME_NONE)
                        return; /* there is a culprit */
                suspects += seat_of(s, i, &index) != NULL;
        }
        if (s->setup.segment.run->spec.spawn == SPAWN_AT_ONCE) {
                if (suspects && deaths >= LEDGER_ATTEMPTS_MAX)
                        runner_stop(s, JOB_FAILED, "a task ends the thread host, and which one cannot be told");
                return;
        }
        if (suspects != 1 && deaths < LEDGER_ATTEMPTS_MAX)
                return;
        for (uint32_t i = first; i <= last; i++) {
                q->verdict[i] = LEDGER_CHARGE;
                q->cause[i].reason = FAILURE_EXIT;
                q->cause[i].value = WEXITSTATUS(q->death->status);
        }
}

static void
recover_slots(struct inquest *q, uint32_t first, uint32_t last)
{
        struct supervisor *s = q->s;
        struct segment *segment = &s->setup.segment;
        struct run *run = segment->run;
        struct ledger_recovery recovered;
        uint32_t index;

        for (uint32_t i = first; i <= last; i++) {
                struct seat *seat;

                judge_slot(q, i);
                note_poison(q, i);
                seat = seat_of(s, i, &index);
                if (seat)
                        settle_seat(q, i, seat);
        }
        if (q->death->slot == SLOT_THREAD_HOST && WIFEXITED(q->death->status))
                charge_suspects(q, first, last);
        recovered = ledger_recover(segment->ledger, &run->spec.geometry, q->verdict, on_given_up, q);
        /* When the run is being stopped nothing is executed again. */
        if (!s->runner.stopping)
                atomic_fetch_add(&run->reexecuted, recovered.freed - recovered.given_up);
        for (uint32_t i = first; i <= last; i++)
                s->metrics.run_permits += permits_recover(&run->guard, s->semaphores.sem[SEMAPHORE_GUARD], i,
                                                          &segment->slots[i].permit_state, totals_repair, segment);
}

static void
note_kill(struct supervisor *s)
{
        struct runner *r = &s->runner;
        struct ledger_sum sum;

        ledger_sum(s->setup.segment.ledger, &s->setup.segment.run->spec.geometry, &sum);
        if (s->setup.segment.run->spec.is_race)
                sum.done = race_run_done(&s->setup.segment);
        r->kills_in_vain = sum.done == r->done_at_kill ? r->kills_in_vain + 1 : 1;
        r->done_at_kill = sum.done;
        atomic_fetch_add(&s->setup.segment.run->kills, 1);
}

/* Was it killed from outside, with somebody on a seat? */
static void
count_kill(struct inquest *q, uint32_t first, uint32_t last)
{
        bool seated = false, guilty = false;
        uint32_t index;

        for (uint32_t i = first; i <= last; i++) {
                seated = seated || seat_of(q->s, i, &index);
                guilty = guilty || q->verdict[i] != LEDGER_FREE || atomic_load(&q->s->setup.segment.slots[i].blame);
        }
        if (seated && !guilty && !q->s->runner.stopping)
                note_kill(q->s);
}

static void
fail_for_actor(struct supervisor *s, uint32_t actor, const struct cause *cause)
{
        char reason[128];

        if (cause->reason == FAILURE_SIGNAL)
                snprintf(reason, sizeof(reason), "actor %u died of signal %d (%s)", actor, cause->value,
                         strsignal(cause->value));
        else
                snprintf(reason, sizeof(reason), "actor %u ended its process with status %d", actor, cause->value);
        runner_stop(s, JOB_FAILED, reason);
}

/* An actor died: was it its own doing, the race fails, because nobody can say what of. When it was killed from outside
 * the others go with it (race-run.c), and theirs is no other death. */
static void
count_actor_death(struct inquest *q, uint32_t first, uint32_t last)
{
        struct supervisor *s = q->s;

        for (uint32_t i = first; i <= last && s->runner.broken; i++)
                children_forgive(&s->children, i);
        if (s->runner.broken)
                return;
        count_kill(q, first, last);
        for (uint32_t i = first; i <= last; i++) {
                uint32_t actor;

                if (!seat_of(s, i, &actor))
                        continue;
                if (s->runner.kills_in_vain <= 1)
                        children_forgive(&s->children, i);
                if (q->verdict[i] != LEDGER_FREE)
                        fail_for_actor(s, actor, &q->cause[i]);
        }
}

/* The seats of the dead are free again, when all that belongs to them is recovered. Were there any? */
static bool
free_seats(struct supervisor *s, uint32_t first, uint32_t last)
{
        bool counted = false, is_race = s->setup.segment.run->spec.is_race;

        for (uint32_t i = first; i <= last; i++) {
                uint32_t index;
                struct seat *seat = seat_of(s, i, &index);

                if (!seat)
                        continue;
                /* The death of the thread host is one death; one that we caused is none. */
                seat->restarts += !counted && !s->runner.stopping && !s->runner.broken;
                counted = true;
                atomic_store(&seat->word, seat_pack(s->runner.run, is_race ? SEAT_DONE : SEAT_EMPTY, 0));
        }
        return counted;
}

void
recovery_of_death(struct supervisor *s, const struct child_death *death)
{
        struct segment *segment = &s->setup.segment;
        uint32_t first = death->slot, last = death->slot;
        struct inquest q = {.s = s, .death = death, .verdict = s->runner.verdict, .cause = s->runner.cause};

        if (death->slot == SLOT_THREAD_HOST) {
                first = segment_thread_slot(segment, 0);
                last = segment->header->n_slots - 1;
        }
        for (uint32_t i = first; i <= last; i++) {
                if (atomic_load(&segment->slots[i].state) == SLOT_IDLE)
                        s->semaphores_worn = true;
                if (atomic_load(&segment->slots[i].tasks) > 0)
                        children_forgive(&s->children, i);
                if (!s->runner.active)
                        s->metrics.run_permits +=
                                permits_recover(&segment->run->guard, s->semaphores.sem[SEMAPHORE_GUARD], i,
                                                &segment->slots[i].permit_state, totals_repair, segment);
        }
        if (!s->runner.active)
                return;
        /* An owner that no slot has is nobody. */
        memset(q.verdict, LEDGER_FREE, LEDGER_OWNERS * sizeof(*q.verdict));
        memset(q.verdict, LEDGER_ALIVE, segment->header->n_slots * sizeof(*q.verdict));
        memset(q.cause, 0, segment->header->n_slots * sizeof(*q.cause));
        recover_slots(&q, first, last);
        if (death->slot == SLOT_THREAD_HOST) {
                gil_init(gil_of(segment->run), GIL_SWITCH_INTERVAL_NS);
                __atomic_fetch_and(&segment->run->attention, ~GIL_DROP_BIT, __ATOMIC_RELAXED);
        }
        if (segment->run->spec.is_race)
                count_actor_death(&q, first, last);
        else
                count_kill(&q, first, last);
        if (free_seats(s, first, last) && segment->run->spec.is_race)
                race_run_break(s);
}

/* ── after the death of a supervisor, and with it of all workers ── */

static void
settle_orphan(struct segment *segment, struct seat *seat)
{
        uint64_t before = atomic_load(&seat->tasks), now = clock_now_ns();
        uint32_t in_flight = atomic_exchange(&seat->in_flight, 0);

        task_loop_settle(seat, segment->ledger, segment->run->spec.geometry.n_lines);
        if (atomic_load(&seat->tasks) > before)
                atomic_store(&seat->commit_ns, now);
        atomic_store(&seat->left_ns, now);
        atomic_store(&seat->in_block, 0);
        seat->cpu_lost = 1;
        if (in_flight > 1)
                atomic_fetch_add(&segment->run->reexecuted, in_flight - 1);
}

/* A supervisor that was killed while it gave a task up has counted it for the seat, or in the ledger, and not in both.
 * The ledger is right. */
static void
agree_with_ledger(struct segment *segment)
{
        const struct run_spec *spec = &segment->run->spec;
        struct ledger_sum sum;
        uint64_t tasks = 0;

        ledger_sum(segment->ledger, &spec->geometry, &sum);
        for (uint32_t i = 0; i < spec->seats; i++)
                tasks += atomic_load(&segment->seats[i].tasks);
        for (uint32_t i = 0; i < spec->seats && tasks != sum.done; i++) {
                struct seat *seat = &segment->seats[i];
                uint64_t has = atomic_load(&seat->tasks), right = has + sum.done - tasks;

                /* What a seat cannot give, the next one does. */
                if (tasks > sum.done && has < tasks - sum.done)
                        right = 0;
                tasks += right - has;
                atomic_store(&seat->tasks_next, right);
                atomic_store(&seat->tasks, right);
        }
}

int
recovery_of_herd(struct segment *segment)
{
        struct run *run = segment->run;
        uint64_t number = current_run(atomic_load(&run->current));
        AUTO_FREE uint8_t *verdict = malloc(LEDGER_OWNERS);
        struct ledger_recovery recovered;
        bool host_counted = false;

        if (!verdict)
                return -ENOMEM;
        /* The new pool must not sit down before the runner calls it. */
        atomic_store(&run->current, current_pack(number, WORKER_NONE, false));
        memset(verdict, LEDGER_FREE, LEDGER_OWNERS);
        for (uint32_t i = 0; i < run->spec.seats; i++) {
                struct seat *seat = &segment->seats[i];

                if (seat_is_taken(atomic_load(&seat->word)))
                        settle_orphan(segment, seat);
        }
        agree_with_ledger(segment);
        recovered = ledger_recover(segment->ledger, &run->spec.geometry, verdict, NULL, NULL);
        atomic_fetch_add(&run->reexecuted, recovered.freed);
        gil_init(gil_of(run), GIL_SWITCH_INTERVAL_NS);
        __atomic_store_n(&run->attention, 0, __ATOMIC_RELAXED);
        totals_repair(segment);
        for (uint32_t i = 0; i < run->spec.seats; i++) {
                struct seat *seat = &segment->seats[i];
                bool seated = seat_is_taken(atomic_load(&seat->word));

                atomic_store(&seat->word, seat_pack(number, SEAT_EMPTY, 0));
                /* The death of the thread host is one death. */
                seat->restarts += seated && !host_counted;
                host_counted = host_counted || (seated && modes[run->spec.mode].kind == WORKER_THREAD);
        }
        memset(segment->slots, 0, segment->header->n_slots * sizeof(*segment->slots));
        return 0;
}
