/* SPDX-License-Identifier: MIT */
/*
 * Nobody but the kernel can tell a worker that hangs from one that takes its time. So only these are killed: whose task
 * exceeds the time limit that the job set; who is stopped (SIGSTOP), which no measurement wants; and who stands for
 * long where a living worker stands for microseconds: with a permit of the guard, or with its token and a free cell.
 *
 * Time is counted in looks, one a tick, and not by the clock: a machine that slept, or a daemon that was itself
 * stopped, has not looked.
 */
#include "supervisor/stall.h"

#include "guards/gil.h"
#include "segment/ledger.h"
#include "segment/process_time.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "supervisor/supervisor.h"
#include "worker/mode.h"

#include <signal.h>

/* ── tasks that take too long ── */

/*
 * Waiting for the interpreter lock is not hanging: under it only the holder, and who is between blocking marks, can be
 * to blame. Reads words that the thread host is writing; a wrong guess is put right at the next look.
 */
static bool
may_stall(const struct supervisor *s, uint32_t seat)
{
        struct run *run = s->setup.segment.run;
        const struct gil *gil = gil_of(run);

        if (!modes[run->spec.mode].gil || atomic_load(&s->setup.segment.seats[seat].in_block))
                return true;
        return __atomic_load_n(&gil->locked, __ATOMIC_RELAXED) &&
               __atomic_load_n(&gil->last_holder, __ATOMIC_RELAXED) == seat + 1;
}

static void
look_at_task(struct supervisor *s, uint32_t i, uint64_t timeout_ns, uint64_t now)
{
        struct segment *segment = &s->setup.segment;
        struct stall *stall = &s->runner.stalls[i];
        uint64_t seat_word = atomic_load(&segment->seats[i].word);
        uint32_t claim = atomic_load(&segment->seats[i].claim);
        uint64_t word = 0;
        struct slot *slot;

        if (claim > 0 && claim <= segment->run->spec.geometry.n_lines)
                word = atomic_load(&segment->ledger[claim - 1].word);
        if (!seat_is_taken(seat_word) || seat_owner(seat_word) > segment->header->n_slots || claim == 0 ||
            claim != stall->claim || word != stall->word || !may_stall(s, i)) {
                *stall = (struct stall){claim, word, now};
                return;
        }
        if (now - stall->since_ns < timeout_ns)
                return;
        slot = &segment->slots[seat_owner(seat_word) - 1];
        if (atomic_load(&slot->blame) == BLAME_TIMEOUT)
                return; /* killed already, not reaped yet */
        log_info("a task of worker %u exceeds its time limit; its worker is killed", i);
        atomic_store(&slot->late_claim, claim);
        atomic_store(&slot->late_word, word);
        atomic_store(&slot->blame, BLAME_TIMEOUT);
        children_kill(&s->children, seat_owner(seat_word) - 1, SIGKILL);
        stall->since_ns = now;
}

void
stall_find_late(struct supervisor *s)
{
        const struct variant *v;

        if (!s->runner.active || !s->runner.begun)
                return;
        v = &s->runner.job->plan.variants[s->runner.job->plan.steps[s->runner.step].variant];
        for (uint32_t i = 0; v->timeout_ns && i < s->setup.segment.run->spec.seats; i++)
                look_at_task(s, i, v->timeout_ns, clock_now_ns());
}

/* ── workers that are stopped, or hang where nobody may ── */

/* What changes while a worker lives: its seat, its line, its permit; an actor's trials. */
static uint64_t
pulse_mark(const struct segment *segment, const struct seat *seat, const struct slot *slot)
{
        uint32_t claim = atomic_load(&seat->claim);
        const uint64_t facts[] = {
                atomic_load(&seat->word),
                claim,
                claim > 0 && claim <= segment->run->spec.geometry.n_lines
                        ? atomic_load(&segment->ledger[claim - 1].word)
                        : 0,
                atomic_load(&slot->permit_state),
                atomic_load(&segment->run->guard.relseq),
                segment->run->spec.is_race ? atomic_load(&segment->race->tally_at) : 0,
                segment->run->spec.is_race ? atomic_load(&segment->race_actors[seat - segment->seats].trial) : 0,
        };

        return checksum_add(CHECKSUM_INIT, facts, sizeof(facts));
}

static bool
has_free_cell(const struct permits *p)
{
        for (uint32_t i = 0; i < p->n; i++) {
                if (atomic_load(&p->cell[i]) == 0)
                        return true;
        }
        return false;
}

/* A living worker that waits for a permit looks for a free cell at least once a second. */
static bool
holds_others_up(const struct segment *segment, const struct slot *slot)
{
        switch (atomic_load(&slot->permit_state)) {
        case PERMIT_HELD:
        case PERMIT_RELEASING:
                return true;
        case PERMIT_ACQUIRING:
                return has_free_cell(&segment->run->guard);
        default:
                return false;
        }
}

static void
kill_silent(struct supervisor *s, uint32_t slot, struct pulse *pulse, const char *what)
{
        log_warning("the worker in slot %u (pid %d) %s; it is killed", slot,
                    atomic_load(&s->setup.segment.slots[slot].pid), what);
        pulse->looks = 0;
        children_kill(&s->children, slot, SIGKILL);
}

static void
feel_seat(struct supervisor *s, uint32_t i, uint32_t limit)
{
        const struct segment *segment = &s->setup.segment;
        const struct seat *seat = &segment->seats[i];
        struct pulse *pulse = &s->runner.pulses[i];
        uint64_t word = atomic_load(&seat->word), mark;
        const struct slot *slot;

        if (!seat_is_taken(word) || seat_owner(word) > segment->header->n_slots) {
                *pulse = (struct pulse){0};
                return;
        }
        slot = &segment->slots[seat_owner(word) - 1];
        mark = pulse_mark(segment, seat, slot);
        if (mark != pulse->mark)
                *pulse = (struct pulse){.mark = mark};
        if (++pulse->looks <= limit)
                return;
        if (holds_others_up(segment, slot))
                kill_silent(s, seat_owner(word) - 1, pulse, "holds the guard and shows no sign of life");
        else if (process_is_stopped(atomic_load(&slot->pid)))
                kill_silent(s, seat_owner(word) - 1, pulse, "is stopped");
}

/* Children that do not even come for an empty seat. */
static void
feel_child(struct supervisor *s, uint32_t slot, uint32_t limit)
{
        struct pulse *pulse = &s->runner.child_pulses[slot];
        pid_t pid = s->children.child[slot].pid;

        if (pid == 0 || !process_is_stopped(pid))
                *pulse = (struct pulse){0};
        else if (++pulse->looks > limit)
                kill_silent(s, slot, pulse, "is stopped");
}

void
stall_feel_pulses(struct supervisor *s)
{
        const struct segment *segment = &s->setup.segment;
        uint64_t limit = s->config.heartbeat_ns / RUNNER_TICK_NS;
        bool threads, empty = false;

        if (!s->runner.active || s->config.heartbeat_ns == 0)
                return;
        for (uint32_t i = 0; i < segment->run->spec.seats; i++) {
                feel_seat(s, i, (uint32_t)limit);
                empty = empty || seat_state(atomic_load(&segment->seats[i].word)) == SEAT_EMPTY;
        }
        threads = modes[segment->run->spec.mode].kind == WORKER_THREAD;
        for (uint32_t i = threads ? SLOT_THREAD_HOST : 1; empty && i <= (threads ? 0 : segment->header->max_workers);
             i++)
                feel_child(s, i, (uint32_t)limit);
}
