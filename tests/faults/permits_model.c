/* SPDX-License-Identifier: MIT */
/*
 * Every state that the protocol of the permits (segment/permits.c) can reach, for a few workers, permits and kills.
 *
 * Each atomic access is one step, and steps of different workers and of the supervisor interleave in every way. What
 * is left out of the program is left out exactly: `relseq` is only ever compared with what a worker loaded before, so
 * one bit for each worker says whether it has moved since. The semaphore is that of glibc: a post raises the value and
 * learns in the same access whether anybody waits, and wakes one sleeper by a step of its own; a woken waiter takes the
 * value later, and may find it gone; a killed waiter is counted as one for ever. Nobody is rescued by the wait limit.
 *
 * A worker acquires and releases for ever, and may give up whenever it is asleep (permits_acquire_until()). A kill may
 * fall between any two steps of it, or of the recovery, which then begins again. A slot is handed out again when its
 * recovery has returned.
 *
 * In every state:  no more holders than permits (each cell has one owner), and
 *                  T + A + P + D >= F: tokens, workers with a token and no cell, workers that freed a cell and have not
 *                  posted, dead ones not recovered; and free cells.
 * Whenever nobody is at work:  nobody sleeps beside a free cell.
 *
 *     permits_model                                          the suite's configurations, and the mutants; TAP
 *     permits_model PERMITS WORKERS KILLS RECOVERY-KILLS     one configuration
 */
#include "shared/base.h"

#include <stdbool.h>
#include <string.h>

#define WORKERS_MAX 4
#define PERMITS_MAX 3

enum mutant { GENUINE, NO_REC_MARK, NO_AMBIGUOUS_POST, NO_RELSEQ_CHECK, LATE_CLIP, HELD_FLAG, MUTANTS };
static const char *const mutants[] = {"genuine",         "no REC mark", "no ambiguous post",
                                      "no relseq check", "late clip",   "held flag"};

enum { IDLE, ACQUIRING, HELD, RELEASING, RECOVERING };

/* What a worker does next. */
enum {
        W_BEGIN,
        W_TRY,    /* sem_trywait */
        W_CHECK,  /* is counted as a waiter; takes the value, or falls asleep */
        W_ASLEEP, /* until somebody wakes it */
        W_LOAD,   /* relseq */
        W_SCAN,   /* a cell */
        W_RECHECK,
        W_TELL_HELD,
        W_HOLDS,
        W_CLEAR,
        W_MOVE, /* relseq */
        W_POST,
        W_WAKE,
        W_TELL_IDLE,
        W_DEAD,
};
static const char *const worker_does[] = {"begin", "try",     "check",     "asleep",    "load",
                                          "scan",  "recheck", "tell held", "holds",     "clear",
                                          "move",  "post",    "wake",      "tell idle", "dead"};

/* What the supervisor does next. */
enum {
        S_NOTHING,
        S_READ,
        S_MARK,
        S_FREE, /* a cell */
        S_MOVE,
        S_POST,
        S_WAKE,
        S_CLIP_LOOK,
        S_CLIP_TAKE,
        S_CLIP_LOOK_AGAIN,
        S_GIVE_BACK,
        S_WAKE_BACK,
        S_TELL_IDLE,
};
static const char *const supervisor_does[] = {"-",         "read",      "mark",      "free",      "move",
                                              "post",      "wake",      "clip look", "clip take", "clip look again",
                                              "give back", "wake back", "tell idle"};

struct state {
        struct {
                uint16_t does : 4, state : 3, cell : 2, moved : 1;
        } w[WORKERS_MAX];
        uint8_t cell[PERMITS_MAX];
        uint8_t tokens;
        uint8_t does : 4, dead : 2, step : 2;   /* of the supervisor: whom it recovers, which cell or post */
        uint8_t was : 3, freed : 2, leaked : 1; /* leaked: a waiter was killed, and is counted for ever */
        uint8_t kills : 4, recovery_kills : 4;  /* that are left */
        uint8_t told : 1;                       /* LATE_CLIP: the state is told, the clip goes on */
};
_Static_assert(sizeof(struct state) == 16, "a state is compared as memory");

static unsigned permits, workers;
static enum mutant mutant;

/* ── all states that were reached ── */

static struct state *states;
static uint32_t *parents, *table; /* table: number + 1 */
static uint32_t n_states, size, table_size, present;
static const char *violation;
static uint32_t violated_by;

static uint64_t
hash(const struct state *s)
{
        uint64_t part[2];

        memcpy(part, s, sizeof(part));
        part[0] = (part[0] ^ part[0] >> 31) * UINT64_C(0x9e3779b97f4a7c15);
        part[0] = (part[0] ^ part[1]) * UINT64_C(0xbf58476d1ce4e5b9);
        return (part[0] ^ part[0] >> 29) * UINT64_C(0x94d049bb133111eb) >> 17;
}

static uint32_t *
place_of(const struct state *s)
{
        uint32_t i = (uint32_t)hash(s) & (table_size - 1);

        while (table[i] && memcmp(&states[table[i] - 1], s, sizeof(*s)) != 0)
                i = (i + 1) & (table_size - 1);
        return &table[i];
}

static void
grow(void)
{
        size = size ? 2 * size : 1 << 16;
        table_size = 4 * size;
        states = realloc(states, size * sizeof(*states));
        parents = realloc(parents, size * sizeof(*parents));
        free(table);
        table = calloc(table_size, sizeof(*table));
        if (!states || !parents || !table) {
                fprintf(stderr, "out of memory at %u states\n", n_states);
                exit(EXIT_FAILURE);
        }
        for (uint32_t i = 0; i < n_states; i++)
                *place_of(&states[i]) = i + 1;
}

static void
reach(const struct state *s)
{
        uint32_t *place;

        if (n_states == size)
                grow();
        place = place_of(s);
        if (*place)
                return;
        states[n_states] = *s;
        parents[n_states] = present;
        *place = ++n_states;
}

/* ── what must hold ── */

static const char *
judge(const struct state *s)
{
        unsigned free = 0, entitled = s->tokens, sleeping = 0, holders = 0;
        bool at_work = s->does != S_NOTHING;

        for (unsigned c = 0; c < permits; c++)
                free += s->cell[c] == 0;
        for (unsigned i = 0; i < workers; i++) {
                unsigned does = s->w[i].does;

                sleeping += does == W_ASLEEP;
                holders += does == W_HOLDS;
                at_work = at_work || (does != W_BEGIN && does != W_ASLEEP && does != W_HOLDS);
                entitled += does == W_LOAD || does == W_SCAN || does == W_RECHECK || does == W_MOVE || does == W_POST;
                entitled += does == W_DEAD && s->w[i].state != IDLE && s->w[i].state != HELD;
        }
        if (holders > permits)
                return "more holders than permits";
        if (!at_work && sleeping && free)
                return "somebody sleeps for ever beside a free cell";
        /* Without cells that count, the held flag knows no such sum. */
        if (mutant != HELD_FLAG && entitled < free)
                return "fewer are entitled than cells are free";
        return NULL;
}

/* ── steps ── */

static bool
is_waiter(unsigned does)
{
        return does == W_CHECK || does == W_ASLEEP;
}

/* Raises the value; does anybody have to be woken? */
static bool
post(struct state *s)
{
        bool waiters = s->leaked;

        s->tokens++;
        for (unsigned i = 0; i < workers; i++)
                waiters = waiters || is_waiter(s->w[i].does);
        return waiters;
}

/* Each sleeper may be the one; without any nothing happens. */
static void
wake_and_reach(const struct state *s)
{
        bool any = false;

        for (unsigned i = 0; i < workers; i++) {
                struct state woken = *s;

                if (s->w[i].does != W_ASLEEP)
                        continue;
                any = true;
                woken.w[i].does = W_CHECK;
                reach(&woken);
        }
        if (!any)
                reach(s);
}

static void
move_relseq(struct state *s)
{
        for (unsigned i = 0; i < workers; i++)
                s->w[i].moved = s->w[i].does == W_SCAN || s->w[i].does == W_RECHECK;
}

static void
take_token(struct state *s, unsigned i, unsigned otherwise)
{
        s->w[i].does = s->tokens ? W_LOAD : otherwise;
        s->tokens -= s->tokens > 0;
}

static void
scan(struct state *s, unsigned i)
{
        unsigned c = (i + s->w[i].cell) % permits;

        if (s->cell[c] == 0) {
                s->cell[c] = (uint8_t)(i + 1);
                s->w[i].does = W_TELL_HELD;
                s->w[i].moved = 0;
        } else if (++s->w[i].cell == permits) {
                s->w[i].does = W_RECHECK;
        }
        if (s->w[i].does != W_SCAN)
                s->w[i].cell = 0;
}

static void
recheck(struct state *s, unsigned i)
{
        s->w[i].does = s->w[i].moved && mutant != NO_RELSEQ_CHECK ? W_LOAD : W_TRY;
        s->w[i].moved = 0;
}

static void
clear_cell(struct state *s, unsigned i)
{
        for (unsigned c = 0; c < permits; c++) {
                if (s->cell[c] == i + 1)
                        s->cell[c] = 0;
        }
        s->w[i].does = W_MOVE;
}

static void
step_worker(struct state s, unsigned i)
{
        switch (s.w[i].does) {
        case W_BEGIN:
                s.w[i].state = ACQUIRING;
                s.w[i].does = W_TRY;
                break;
        case W_TRY:
                take_token(&s, i, W_CHECK);
                break;
        case W_CHECK:
                take_token(&s, i, W_ASLEEP);
                break;
        case W_ASLEEP:
                s.w[i].does = W_TELL_IDLE;
                break;
        case W_LOAD:
                s.w[i].moved = 0;
                s.w[i].does = W_SCAN;
                break;
        case W_SCAN:
                scan(&s, i);
                break;
        case W_RECHECK:
                recheck(&s, i);
                break;
        case W_TELL_HELD:
                s.w[i].state = HELD;
                s.w[i].does = W_HOLDS;
                break;
        case W_HOLDS:
                s.w[i].state = RELEASING;
                s.w[i].does = W_CLEAR;
                break;
        case W_CLEAR:
                clear_cell(&s, i);
                break;
        case W_MOVE:
                move_relseq(&s);
                s.w[i].does = W_POST;
                break;
        case W_POST:
                s.w[i].does = post(&s) ? W_WAKE : W_TELL_IDLE;
                break;
        case W_WAKE:
                s.w[i].does = W_TELL_IDLE;
                wake_and_reach(&s);
                return;
        case W_TELL_IDLE:
                s.w[i].state = IDLE;
                s.w[i].does = W_BEGIN;
                break;
        default:
                return;
        }
        reach(&s);
}

static unsigned
posts_due(const struct state *s)
{
        switch (mutant) {
        case NO_AMBIGUOUS_POST:
                return s->freed;
        case HELD_FLAG:
                return s->was == HELD;
        default:
                return s->freed + (s->was != HELD);
        }
}

/* The slot is handed out again. */
static void
recovery_end(struct state *s)
{
        s->w[s->dead].does = W_BEGIN;
        s->does = S_NOTHING;
        s->dead = 0;
        s->step = 0;
        s->was = 0;
        s->freed = 0;
        s->told = 0;
}

static void
step_free(struct state *s)
{
        if (s->cell[s->step] == s->dead + 1) {
                s->cell[s->step] = 0;
                s->freed++;
        }
        if (++s->step == permits) {
                s->step = 0;
                s->does = S_MOVE;
        }
}

static void
next_post(struct state *s)
{
        s->does = s->step < posts_due(s) ? S_POST : mutant == LATE_CLIP && !s->told ? S_TELL_IDLE : S_CLIP_LOOK;
}

static void
clip_end(struct state *s)
{
        if (mutant == LATE_CLIP)
                recovery_end(s);
        else
                s->does = S_TELL_IDLE;
}

static void
step_clip(struct state *s)
{
        if (s->does == S_CLIP_LOOK && s->tokens > permits) {
                s->does = S_CLIP_TAKE;
        } else if (s->does == S_CLIP_TAKE && s->tokens > 0) {
                s->tokens--;
                s->does = mutant == LATE_CLIP ? S_CLIP_LOOK : S_CLIP_LOOK_AGAIN;
        } else if (s->does == S_CLIP_LOOK_AGAIN) {
                s->does = s->tokens < permits ? S_GIVE_BACK : S_CLIP_LOOK;
        } else {
                clip_end(s);
        }
}

static void
step_supervisor(struct state s)
{
        switch (s.does) {
        case S_READ:
                s.was = s.w[s.dead].state;
                s.does = mutant == NO_REC_MARK ? S_FREE : S_MARK;
                if (s.was == IDLE)
                        recovery_end(&s);
                break;
        case S_MARK:
                s.w[s.dead].state = RECOVERING;
                s.does = S_FREE;
                break;
        case S_FREE:
                step_free(&s);
                break;
        case S_MOVE:
                move_relseq(&s);
                next_post(&s);
                break;
        case S_POST:
                s.step++;
                if (post(&s))
                        s.does = S_WAKE;
                else
                        next_post(&s);
                break;
        case S_WAKE:
                next_post(&s);
                wake_and_reach(&s);
                return;
        case S_GIVE_BACK:
                s.does = post(&s) ? S_WAKE_BACK : S_TELL_IDLE;
                break;
        case S_WAKE_BACK:
                s.does = S_TELL_IDLE;
                wake_and_reach(&s);
                return;
        case S_TELL_IDLE:
                s.w[s.dead].state = IDLE;
                if (mutant == LATE_CLIP) {
                        s.told = 1;
                        s.does = S_CLIP_LOOK;
                } else {
                        recovery_end(&s);
                }
                break;
        default:
                step_clip(&s);
                break;
        }
        reach(&s);
}

static void
kill_worker(struct state s, unsigned i)
{
        if (!s.kills || s.w[i].does == W_DEAD)
                return;
        s.kills--;
        s.leaked = s.leaked || is_waiter(s.w[i].does);
        s.w[i].does = W_DEAD;
        s.w[i].cell = 0;
        s.w[i].moved = 0;
        reach(&s);
}

static void
kill_supervisor(struct state s)
{
        unsigned dead = s.dead;

        if (!s.recovery_kills)
                return;
        s.recovery_kills--;
        recovery_end(&s);
        s.w[dead].does = W_DEAD;
        reach(&s);
}

static void
step_all(const struct state s)
{
        for (unsigned i = 0; i < workers; i++) {
                step_worker(s, i);
                kill_worker(s, i);
                if (s.does == S_NOTHING && s.w[i].does == W_DEAD) {
                        struct state begun = s;

                        begun.does = S_READ;
                        begun.dead = (uint8_t)(i & 3);
                        reach(&begun);
                }
        }
        if (s.does != S_NOTHING) {
                step_supervisor(s);
                kill_supervisor(s);
        }
}

/* ── the search ── */

static void
print_trace(uint32_t number)
{
        static const char *const told[] = {"IDLE", "ACQ", "HELD", "REL", "REC"};
        const struct state *s = &states[number];

        if (number > 0)
                print_trace(parents[number]);
        printf("#   T=%u cells", s->tokens);
        for (unsigned c = 0; c < permits; c++)
                printf(" %u", s->cell[c]);
        for (unsigned i = 0; i < workers; i++)
                printf(" | %u %s %s", i + 1, told[s->w[i].state], worker_does[s->w[i].does]);
        printf(" | supervisor %s\n", supervisor_does[s->does]);
}

/* Breadth first, so that what is printed of a violation is as short as can be. */
static bool
holds(unsigned n, unsigned w, unsigned kills, unsigned recovery_kills, enum mutant m)
{
        struct state first = {.tokens = (uint8_t)n, .kills = kills & 15, .recovery_kills = recovery_kills & 15};

        permits = n;
        workers = w;
        mutant = m;
        n_states = 0;
        size = 0;
        violation = NULL;
        present = 0;
        reach(&first);
        for (; present < n_states && !violation; present++) {
                violation = judge(&states[present]);
                violated_by = present;
                if (!violation)
                        step_all(states[present]);
        }
        printf("# %s: %u permits, %u workers, %u worker and %u recovery kills: %u states, %s\n", mutants[m], n, w,
               kills, recovery_kills, n_states, violation ? violation : "no violation");
        if (violation)
                print_trace(violated_by);
        return !violation;
}

static int
run_suite(void)
{
        static const unsigned configurations[][4] = {{1, 2, 3, 2}, {1, 3, 2, 1}, {2, 2, 3, 2}, {2, 3, 2, 1}};
        unsigned number = 0, failed = 0;

        for (size_t i = 0; i < ARRAY_SIZE(configurations); i++) {
                const unsigned *c = configurations[i];
                bool good = holds(c[0], c[1], c[2], c[3], GENUINE);

                failed += !good;
                printf("%s %u - %u permits, %u workers, %u worker and %u recovery kills\n", good ? "ok" : "not ok",
                       ++number, c[0], c[1], c[2], c[3]);
        }
        for (enum mutant m = GENUINE + 1; m < MUTANTS; m++) {
                bool found = !holds(1, 3, 2, 1, m) || !holds(2, 3, 0, 0, m);

                failed += !found;
                printf("%s %u - %s is found\n", found ? "ok" : "not ok", ++number, mutants[m]);
        }
        printf("1..%u\n", number);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
        unsigned value[4] = {0};
        int status;

        for (int i = 1; i < argc && i <= 4; i++)
                value[i - 1] = (unsigned)strtoul(argv[i], NULL, 10);
        if (argc == 1)
                status = run_suite();
        else if (argc == 5 && value[0] >= 1 && value[0] <= PERMITS_MAX && value[1] >= 1 && value[1] <= WORKERS_MAX &&
                 value[2] <= 15 && value[3] <= 15)
                status = holds(value[0], value[1], value[2], value[3], GENUINE) ? EXIT_SUCCESS : EXIT_FAILURE;
        else
                status = EXIT_FAILURE;
        free(states);
        free(parents);
        free(table);
        return status;
}
