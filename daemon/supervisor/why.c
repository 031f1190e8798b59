/* SPDX-License-Identifier: MIT */
/*
 * The rules speak in this order: first what makes a time worth nothing (failures, too few rounds, a machine that is
 * not one's own), then what was measured as a wait (interpreter lock, CPU, blocking calls), then what only a
 * comparison with another variant shows, and at the end that nothing is wrong, or that nothing can be told.
 *
 * The file is long because the table is: two small functions a rule. They stay together, for their order is the point.
 *
 * A rule may say only what its figures show. Where several causes are possible, it names the figure and not the cause.
 *
 * The scaling laws: G. Amdahl, "Validity of the single processor approach to achieving large scale computing
 * capabilities", 1967; N. Gunther, "Guerrilla Capacity Planning", 2007, chapter 4.
 */
#include "supervisor/why.h"

#include "shared/base.h"
#include "shared/quantity.h"
#include "worker/mode.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

/* A wait that takes a tenth of the workers' time is a reason; less is what a quiet machine shows anyhow: run-queue
 * waits of 0 to 4 % were seen with nothing else to do. */
#define WAIT_SHARE 0.10

/* Whoever gets the interpreter lock waits for a CPU a little on any machine; for a third of the time only on a busy
 * one. */
#define HOLDER_WAIT_SHARE 0.33

/* Stolen CPU time falls on all variants alike, since rounds are interleaved, and medians bear a little of it. A tenth
 * of the CPUs moves the medians themselves. Less than a hundredth is not worth a word. */
#define STEAL_SHARE      0.10
#define STEAL_WORD_SHARE 0.01

/* It is counted in ticks of 10 ms, of which one or two say nothing. */
#define STEAL_LEAST_NS (50 * NS_PER_MS)

/* A law goes through as many points as it has parameters, whatever they are: Amdahl's has two, the USL three. */
#define FIT_POINTS       3
#define COHERENCE_POINTS 4

/* A median is moved by what befalls half of the rounds. */
#define DEATHS_PER_ROUND 0.5

/* Blocked for so long, one CPU serves ten workers and more, and the model makes no difference. */
#define IO_SHARE 0.90

/* Blocked for a fifth of the time, a CPU has enough gaps to be filled by another worker. */
#define PARTLY_SHARE 0.20

/* Cores count as busy from nine tenths on: the rest is start, end and the odd interrupt of a run of some 100 ms. */
#define FULL_SHARE 0.90

/* A fresh process or thread that costs less than a tenth of its task's time does not decide a comparison. */
#define SPAWN_SHARE 0.10

/* Two variants differ when their intervals do not meet and the medians are apart by a twentieth. Below that, the place
 * of code and data in memory makes as much of a difference from one build to the next. */
#define APART 0.05

/* And they are the same when the intervals meet and are narrower than this to either side. A wider interval that
 * spans 1 hides differences that people care for: no verdict. */
#define NARROW 0.05

/* A page fault costs 1.6 to 2 µs of CPU time (measured, 4 KiB on a virtual machine); at this rate per second of CPU
 * time it is a twentieth, enough for those who queue for the lock of the memory map to be slower by APART. */
#define FAULTS_PER_CPU_S 25000

/* Sleeps in the kernel, for each task: with fewer than one in ten tasks the sleeping is not the task's habit. */
#define SLEEPS_PER_TASK 0.1

/* The last task or chunk of a run is worked on while others have none left. With ten of them for each worker this costs
 * up to a tenth of the time, WAIT_SHARE. */
#define PIECES_PER_WORKER 10

/* Claim, commit and check of a task cost about 5 ns (the workload nop). Below ten times that they are a tenth of the
 * time. */
#define SHORT_TASK_NS 50

/* CPU time of a task next to one worker's alone. Cold caches, a timer tick and the clock rate of a core make some
 * percent; 15 % more are something that the cores share. */
#define DEARER 1.15

/* Shorter rounds than this are at the mercy of a single preemption (a few ms): longer ones are the better advice. */
#define SHORT_ROUND_NS (100.0 * 1e6)

/* Of a run of 83 µs (1000 × nop) one of two workers was seen to miss nearly all: a tenth of such a round. */
#define SHORTEST_ROUND_NS (1.0 * 1e6)

/* A speed-up curve counts as linear, or as ended by the CPUs, at this share of what is possible ... */
#define LINEAR_SHARE 0.90
#define CPUS_SHARE   0.80
/* ... as falling when the last point is lower than the best one by APART, and a law as no description of it when the
 * points are off by a tenth: then its parameters say nothing. */
#define FIT_ERROR 0.10

/* One variant, with the figures that several rules need. Shares are of the workers' time. */
struct view {
        const struct why_input *all, *self;
        uint32_t n;
        bool is_enough;
        double time_ns;  /* the workers' time */
        double cores;    /* busy, on average */
        double capacity; /* the cores that can be busy */
        double cpu, queued, locked, blocked, idle;
};

static double
ratio(double a, double b)
{
        return b > 0 ? a / b : 0;
}

static double
cpu_ns(const struct why_input *in)
{
        return (double)in->evidence.user_ns + (double)in->evidence.system_ns;
}

/* Of one task, whoever spent it. */
static double
task_cpu_ns(const struct why_input *in)
{
        return ratio(cpu_ns(in), (double)in->tasks);
}

/* Tasks that are started all at once have no worker each whose time could be divided: there the parts are all there
 * is. */
static double
workers_time_ns(const struct why_input *in)
{
        if (in->spawn != SPAWN_AT_ONCE)
                return (double)in->wall_ns * in->workers;
        return cpu_ns(in) + (double)in->evidence.run_queue_wait_ns + (double)in->lock_wait_ns + (double)in->blocked_ns;
}

static void
view_init(struct view *v, const struct why_input *all, uint32_t n, uint32_t i, bool is_enough)
{
        const struct why_input *in = &all[i];
        double time = workers_time_ns(in);

        *v = (struct view){
                .all = all,
                .self = in,
                .n = n,
                .is_enough = is_enough,
                .time_ns = time,
                .cores = ratio(cpu_ns(in), (double)in->wall_ns),
                .capacity = in->spawn == SPAWN_AT_ONCE ? in->cpus : MIN((double)in->workers, in->cpus),
                .cpu = ratio(cpu_ns(in), time),
                .queued = ratio((double)in->evidence.run_queue_wait_ns, time),
                .locked = ratio((double)in->lock_wait_ns, time),
                .blocked = ratio((double)in->blocked_ns, time),
        };
        v->idle = MAX(1 - v->cpu - v->queued - v->locked - v->blocked, 0);
}

/* ── text ── */

static void say(char *text, const char *format, ...) PRINTF_LIKE(2, 3);

static void
say(char *text, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, WHY_TEXT_MAX, format, ap);
        va_end(ap);
}

/* A short number, with a point in every locale. */
struct number {
        char text[QUANTITY_TEXT_MAX];
};

static struct number
decimals(double value, unsigned digits)
{
        struct number number;
        unsigned scale = digits == 0 ? 1 : digits == 1 ? 10 : 100;
        double limited = value > 0 ? MIN(value, 1e9) : 0; /* NaN is 0 */
        uint64_t n = (uint64_t)(limited * scale + 0.5);

        if (scale == 1)
                quantity_format_grouped(number.text, sizeof(number.text), n);
        else
                snprintf(number.text, sizeof(number.text), "%" PRIu64 ".%0*u", n / scale, (int)digits,
                         (unsigned)(n % scale));
        return number;
}

/* Per cent, two significant digits below 10 %. */
static struct number
percent(double share)
{
        return decimals(share * 100, share < 0.0995 ? 1 : 0);
}

/* A part of a whole; all of it only where nothing to speak of is missing. */
static struct number
part(double share)
{
        return share >= 0.995 && share < 0.9995 ? decimals(99, 0) : percent(MIN(share, 1));
}

/* How many times: three significant digits. */
static struct number
times(double factor)
{
        return decimals(factor, factor < 9.995 ? 2 : factor < 99.95 ? 1 : 0);
}

static struct number
duration(double ns)
{
        struct number number;

        quantity_format_duration(number.text, sizeof(number.text), ns);
        return number;
}

static struct number
count(uint64_t n)
{
        struct number number;

        quantity_format_grouped(number.text, sizeof(number.text), n);
        return number;
}

/* Of CPUs: whole, or a part by a quota. */
static struct number
cpus(double n)
{
        return fabs(n - round(n)) < 0.05 ? decimals(n, 0) : decimals(n, 1);
}

static const char *
plural(uint64_t n)
{
        return n == 1 ? "" : "s";
}

/* ── other variants ── */

static bool
is_same_work(const struct why_input *a, const struct why_input *b)
{
        return a->workload == b->workload && memcmp(a->params, b->params, sizeof(a->params)) == 0 &&
               a->count == b->count && a->duration_ns == b->duration_ns && a->timeout_ns == b->timeout_ns &&
               a->chunk_asked == b->chunk_asked && CPU_EQUAL(&a->affinity, &b->affinity);
}

static bool
is_process(const struct why_input *in)
{
        return modes[in->mode].kind == WORKER_PROCESS;
}

static bool
is_gil(const struct why_input *in)
{
        return modes[in->mode].gil;
}

static bool
is_thread(const struct why_input *in)
{
        return !is_process(in) && !is_gil(in);
}

static bool
was_measured(const struct why_input *in)
{
        return in->evidence_rounds > 0 && in->wall_ns > 0 && in->tasks > 0 && in->s_per_task > 0 && in->failed == 0;
}

/* Only a process can do without libc's locks. */
static bool
has_no_locks(const struct why_input *in)
{
        return is_process(in) && in->is_libc_native;
}

/* The intervals have a point in common. */
static bool
do_meet(const struct interval *a, const struct interval *b)
{
        return a->low <= b->high && b->low <= a->high;
}

static bool
spans_one(const struct interval *range)
{
        return range->low <= 1 && range->high >= 1;
}

static bool
is_narrow(const struct interval *range)
{
        return range->low > 0 && range->high - range->low <= 2 * NARROW * range->high;
}

/* How far the ends of the interval are from 1. */
static double
away_from_one(const struct interval *range)
{
        return MAX(fabs(range->low - 1), fabs(range->high - 1));
}

/* a is so many times as fast as b, by the medians. */
static double
as_fast(const struct why_input *a, const struct why_input *b)
{
        return ratio(b->s_per_task, a->s_per_task);
}

static bool
is_faster(const struct why_input *a, const struct why_input *b)
{
        return as_fast(a, b) >= 1 + APART && !do_meet(&a->range, &b->range);
}

/* The same in processes, fairly; NULL when it was not compared. */
static const struct why_input *
process_sibling(const struct view *v)
{
        for (uint32_t j = 0; is_thread(v->self) && j < v->n; j++) {
                const struct why_input *other = &v->all[j];

                if (is_process(other) && !modes[other->mode].single && !other->is_libc_native &&
                    is_same_work(other, v->self) && other->spawn == v->self->spawn &&
                    other->workers == v->self->workers && was_measured(other))
                        return other;
        }
        return NULL;
}

/* The same work by warm workers, which tells the CPU time of a task proper; best in the same mode. */
static const struct why_input *
pool_sibling(const struct view *v)
{
        const struct why_input *found = NULL;

        for (uint32_t j = 0; j < v->n; j++) {
                const struct why_input *other = &v->all[j];

                if (other->spawn != SPAWN_POOL || is_gil(other) || !is_same_work(other, v->self) ||
                    has_no_locks(other) != has_no_locks(v->self) || !was_measured(other))
                        continue;
                if (!found || (found->mode != v->self->mode && other->mode == v->self->mode))
                        found = other;
        }
        return found;
}

/* The same work by one worker alone. */
static const struct why_input *
lone_sibling(const struct view *v)
{
        for (uint32_t j = 0; j < v->n; j++) {
                const struct why_input *other = &v->all[j];

                if (other->workers == 1 && other->spawn == SPAWN_POOL && is_same_work(other, v->self) &&
                    has_no_locks(other) == has_no_locks(v->self) && was_measured(other))
                        return other;
        }
        return NULL;
}

static bool
is_same_variant(const struct why_input *a, const struct why_input *b)
{
        return is_same_work(a, b) && a->mode == b->mode && a->spawn == b->spawn && a->workers == b->workers &&
               a->is_libc_native == b->is_libc_native;
}

/* ── times that are worth nothing ── */

static bool
failures_applies(const struct view *v)
{
        return v->self->failed > 0;
}

static void
failures_say(const struct view *v, char *text)
{
        say(text, "%s of %s task%s failed: the time of a failure is no comparison", count(v->self->failed).text,
            count(v->self->done).text, plural(v->self->done));
}

static bool
is_evidence_lost(const struct why_input *in)
{
        return in->rounds > 0 && in->evidence_rounds == 0;
}

static bool
evidence_lost_applies(const struct view *v)
{
        return is_evidence_lost(v->self);
}

static void
evidence_lost_say(const struct view *v, char *text)
{
        say(text, "the evidence went with the daemon that was killed; the times of %s round%s are kept",
            count(v->self->rounds).text, plural(v->self->rounds));
}

static bool
nothing_applies(const struct view *v)
{
        return v->self->rounds == 0 || v->self->wall_ns == 0 || v->self->tasks == 0;
}

static void
nothing_say(const struct view *v, char *text)
{
        if (v->self->rounds == 0)
                say(text, "no round was measured");
        else
                say(text, "no task was done in the time");
}

static bool
few_rounds_applies(const struct view *v)
{
        return !v->is_enough;
}

static void
few_rounds_say(const struct view *v, char *text)
{
        say(text, "%s round%s: too few for a verdict", count(v->self->rounds).text, plural(v->self->rounds));
}

static bool
deaths_applies(const struct view *v)
{
        return (double)v->self->restarts >= DEATHS_PER_ROUND * v->self->rounds && v->self->restarts > 0;
}

static void
deaths_say(const struct view *v, char *text)
{
        say(text, "%s worker%s died and had to be replaced: the time includes that", count(v->self->restarts).text,
            plural(v->self->restarts));
}

/* Of the CPU time that the variant could have had. */
static double
stolen(const struct view *v)
{
        return ratio((double)v->self->steal_ns, (double)v->self->wall_ns * v->self->cpus);
}

static bool
is_stolen(const struct view *v, double share)
{
        return v->self->steal_ns >= STEAL_LEAST_NS && stolen(v) >= share;
}

static bool
steal_applies(const struct view *v)
{
        return is_stolen(v, STEAL_SHARE);
}

static void
steal_say(const struct view *v, char *text)
{
        say(text, "the hypervisor took %s %% of the CPU time away: no fair comparison now", part(stolen(v)).text);
}

static bool
same_variant_applies(const struct view *v)
{
        for (uint32_t j = 0; j < v->n && !v->self->is_reference; j++)
                if (v->all[j].is_reference && is_same_variant(&v->all[j], v->self))
                        return v->self->range.low > 0;
        return false;
}

static void
same_variant_say(const struct view *v, char *text)
{
        const struct interval *range = &v->self->range;
        double speed_up = v->self->speed_up;

        if (spans_one(range))
                say(text, "the same variant again: the same time within ±%s %%", percent(away_from_one(range)).text);
        else if (range->low > 1)
                say(text, "the same variant again, yet %s %% faster: this machine cannot be trusted now",
                    percent(speed_up - 1).text);
        else
                say(text, "the same variant again, yet %s %% slower: this machine cannot be trusted now",
                    percent(ratio(1, speed_up) - 1).text);
}

/* The same with the parked thread; NULL when it was not compared. */
static const struct why_input *
threaded_sibling(const struct view *v)
{
        for (uint32_t j = 0; j < v->n; j++) {
                const struct why_input *other = &v->all[j];

                if (!other->is_libc_native && other->mode == v->self->mode && other->spawn == v->self->spawn &&
                    other->workers == v->self->workers && is_same_work(other, v->self) && was_measured(other))
                        return other;
        }
        return NULL;
}

/* There is a CPU for each worker, and yet they wait for one. Of warm workers only: who awaits its children competes
 * with them. */
static bool
waits_among_enough(const struct why_input *in)
{
        return in->spawn == SPAWN_POOL && in->workers <= in->cpus &&
               ratio((double)in->evidence.run_queue_wait_ns, workers_time_ns(in)) >= WAIT_SHARE;
}

static bool
native_libc_applies(const struct view *v)
{
        if (!v->self->is_libc_native || !is_process(v->self))
                return false;
        for (uint32_t j = 0; j < v->n; j++)
                if (!v->all[j].is_libc_native || !is_process(&v->all[j]))
                        return true;
        return false;
}

static void
native_libc_say(const struct view *v, char *text)
{
        const struct why_input *other = threaded_sibling(v);

        if (!other || !was_measured(v->self))
                say(text, "not comparable with threads: with one thread in a process libc leaves out its locks");
        else if (waits_among_enough(v->self) || waits_among_enough(other))
                say(text, "%s × as fast as with a parked thread, but the machine was busy: that tells little",
                    times(as_fast(v->self, other)).text);
        else if (is_faster(v->self, other))
                say(text, "%s × as fast as with a parked thread: libc leaves out its locks when there is only one",
                    times(as_fast(v->self, other)).text);
        else if (is_faster(other, v->self))
                say(text, "slower than with a parked thread (%s ×), though libc leaves out its locks",
                    times(as_fast(v->self, other)).text);
        else if (fabs(as_fast(v->self, other) - 1) <= APART && is_narrow(&v->self->range) && is_narrow(&other->range))
                say(text, "as with a parked thread: leaving out libc's locks gains nothing here");
        else
                say(text, "no clear difference to the parked thread (%s ×)", times(as_fast(v->self, other)).text);
}

/* ── waits that were measured ── */

/* One holds the lock; of the time of the others. */
static double
locked_out(const struct view *v)
{
        double others = v->self->workers > 1 ? v->self->workers - 1 : 0;

        return MIN(ratio((double)v->self->lock_wait_ns, (double)v->self->wall_ns * others), 1);
}

static bool
interpreter_lock_applies(const struct view *v)
{
        return is_gil(v->self) && locked_out(v) >= WAIT_SHARE;
}

/* The holder's wait for a CPU; that of the others is within their wait for the lock. */
static const char *
and_busy(const struct view *v)
{
        return v->queued * v->self->workers >= HOLDER_WAIT_SHARE ? ", and the machine was busy" : "";
}

static void
interpreter_lock_say(const struct view *v, char *text)
{
        struct number share = part(locked_out(v));

        if (v->self->workers == 2)
                say(text, "while one worker ran the other waited for the interpreter lock %s %% of the time%s",
                    share.text, and_busy(v));
        else
                say(text, "while one worker ran the other %s waited for the interpreter lock %s %% of the time%s",
                    count(v->self->workers - 1).text, share.text, and_busy(v));
}

static bool
lock_released_applies(const struct view *v)
{
        return is_gil(v->self) && v->self->workers > 1 && v->blocked >= IO_SHARE;
}

static void
lock_released_say(const struct view *v, char *text)
{
        say(text, "the interpreter lock is released while blocked (%s %% of the time), so the waits overlap",
            part(v->blocked).text);
}

/* What a task costs more than one of a warm worker; without such a variant, what the kernel spent for it. */
static double
spawn_cost_ns(const struct view *v, const struct why_input *pool)
{
        return pool ? task_cpu_ns(v->self) - task_cpu_ns(pool)
                    : ratio((double)v->self->evidence.system_ns, (double)v->self->tasks);
}

/* Of a task, on its way through its worker; all at once: its CPU time. */
static double
spawned_task_ns(const struct view *v)
{
        return v->self->spawn == SPAWN_AT_ONCE ? task_cpu_ns(v->self) : ratio(v->time_ns, (double)v->self->tasks);
}

static bool
spawn_cost_applies(const struct view *v)
{
        return v->self->spawn != SPAWN_POOL && spawn_cost_ns(v, pool_sibling(v)) >= SPAWN_SHARE * spawned_task_ns(v) &&
               spawned_task_ns(v) > 0;
}

static void
spawn_cost_say(const struct view *v, char *text)
{
        const struct why_input *pool = pool_sibling(v);
        const char *what = is_process(v->self) ? "process" : "thread";
        struct number cost = duration(spawn_cost_ns(v, pool));

        if (pool)
                say(text, "a fresh %s costs %s a task more than a warm worker: %s %% of its %stime", what, cost.text,
                    part(ratio(spawn_cost_ns(v, pool), spawned_task_ns(v))).text,
                    v->self->spawn == SPAWN_AT_ONCE ? "CPU " : "");
        else
                say(text, "a fresh %s for each task, for which the kernel worked %s", what, cost.text);
}

static bool
is_oversubscribed(const struct view *v)
{
        return v->self->workers > v->self->cpus && v->self->spawn != SPAWN_AT_ONCE;
}

static bool
busy_machine_applies(const struct view *v)
{
        return waits_among_enough(v->self);
}

static void
busy_machine_say(const struct view *v, char *text)
{
        say(text, "the machine is busy: %s waited %s %% of the time for a CPU, though there are enough",
            v->self->workers == 1 ? "the worker" : "workers", part(v->queued).text);
}

static bool
one_worker_applies(const struct view *v)
{
        return v->self->workers == 1 && v->self->spawn != SPAWN_AT_ONCE;
}

static void
one_worker_say(const struct view *v, char *text)
{
        if (v->blocked >= IO_SHARE)
                say(text, "one worker, blocked %s %% of the time", part(v->blocked).text);
        else if (v->blocked >= PARTLY_SHARE)
                say(text, "one worker, blocked %s %% and computing %s %% of the time", part(v->blocked).text,
                    part(v->cpu).text);
        else
                say(text, "one worker, computing %s %% of the time", part(v->cpu).text);
}

static bool
oversubscribed_applies(const struct view *v)
{
        return is_oversubscribed(v) && v->queued >= WAIT_SHARE;
}

static void
oversubscribed_say(const struct view *v, char *text)
{
        struct number n = cpus(v->self->cpus);

        say(text, "%s workers take turns on %s CPU%s: each waits %s %% of the time for one",
            count(v->self->workers).text, n.text, strcmp(n.text, "1") == 0 ? "" : "s", part(v->queued).text);
}

static bool
io_bound_applies(const struct view *v)
{
        return v->blocked >= IO_SHARE;
}

static void
io_bound_say(const struct view *v, char *text)
{
        say(text, "I/O bound: blocked %s %% of the time, so threads and processes both overlap it",
            part(v->blocked).text);
}

/* ── waits that show next to another variant ── */

static bool
memory_map_lock_applies(const struct view *v)
{
        const struct why_input *process = process_sibling(v);
        double cpu_s = cpu_ns(v->self) / 1e9;

        return process && v->self->workers > 1 && is_faster(process, v->self) &&
               ratio((double)v->self->evidence.minor_faults, cpu_s) >= FAULTS_PER_CPU_S;
}

static void
memory_map_lock_say(const struct view *v, char *text)
{
        say(text, "process is %s × as fast: %s page faults a task, and threads share the memory-map lock",
            times(as_fast(process_sibling(v), v->self)).text,
            times(ratio((double)v->self->evidence.minor_faults, (double)v->self->tasks)).text);
}

static double
sleeps_a_task(const struct why_input *in)
{
        return ratio((double)in->evidence.voluntary, (double)in->tasks);
}

static bool
shared_wait_applies(const struct view *v)
{
        const struct why_input *process = process_sibling(v);

        return process && v->self->workers > 1 && is_faster(process, v->self) &&
               sleeps_a_task(v->self) >= sleeps_a_task(process) + SLEEPS_PER_TASK;
}

static void
shared_wait_say(const struct view *v, char *text)
{
        const struct why_input *process = process_sibling(v);

        say(text, "process is %s × as fast: threads sleep %s × a task (processes %s ×), as behind a shared lock",
            times(as_fast(process, v->self)).text, times(sleeps_a_task(v->self)).text,
            times(sleeps_a_task(process)).text);
}

/* ── workers without work ── */

static bool
are_cores_full(const struct view *v)
{
        return v->capacity > 0 && v->cores >= FULL_SHARE * v->capacity;
}

static bool
partly_blocked_applies(const struct view *v)
{
        return v->blocked >= PARTLY_SHARE && v->cores < FULL_SHARE * v->self->cpus;
}

static void
partly_blocked_say(const struct view *v, char *text)
{
        say(text, "blocked %s %% and computing %s %% of the time: more workers could use the CPU meanwhile",
            part(v->blocked).text, part(v->cpu).text);
}

static double
round_ns(const struct why_input *in)
{
        return ratio((double)in->wall_ns, in->evidence_rounds);
}

bool
why_is_too_short(const struct why_input *in)
{
        return in->evidence_rounds > 0 && round_ns(in) < SHORTEST_ROUND_NS;
}

static bool
short_rounds_applies(const struct view *v)
{
        return !are_cores_full(v) && v->idle >= WAIT_SHARE && why_is_too_short(v->self);
}

static void
short_rounds_say(const struct view *v, char *text)
{
        say(text, "a round lasts only %s, and start and end of the workers are a part of it: more tasks would help",
            duration(round_ns(v->self)).text);
}

static double
pieces_a_worker(const struct view *v, uint64_t size)
{
        return ratio((double)v->self->tasks, (double)v->self->evidence_rounds * v->self->workers * (double)size);
}

static bool
few_pieces_applies(const struct view *v)
{
        return v->self->spawn != SPAWN_AT_ONCE && !are_cores_full(v) && v->idle >= WAIT_SHARE &&
               pieces_a_worker(v, MAX(v->self->chunk, 1)) < PIECES_PER_WORKER;
}

static void
few_pieces_say(const struct view *v, char *text)
{
        uint64_t n = v->self->tasks / v->self->evidence_rounds;
        struct number tasks = count(n), idle = part(v->idle);

        if (pieces_a_worker(v, 1) < PIECES_PER_WORKER)
                say(text, "%s task%s cannot be shared out evenly to %s workers: idle %s %% of the time", tasks.text,
                    plural(n), count(v->self->workers).text, idle.text);
        else
                say(text, "chunks of %s are too large to share %s tasks out evenly: workers idle %s %% of the time",
                    count(v->self->chunk).text, tasks.text, idle.text);
}

static bool
unmarked_wait_applies(const struct view *v)
{
        return v->self->spawn == SPAWN_POOL && !are_cores_full(v) && v->idle >= WAIT_SHARE &&
               sleeps_a_task(v->self) >= SLEEPS_PER_TASK;
}

static void
unmarked_wait_say(const struct view *v, char *text)
{
        say(text, "a task sleeps %s × outside of its blocking marks: %s %% of the time nobody accounts for",
            times(sleeps_a_task(v->self)).text, part(v->idle).text);
}

static bool
short_tasks_applies(const struct view *v)
{
        return cpu_ns(v->self) > 0 && task_cpu_ns(v->self) < SHORT_TASK_NS;
}

static void
short_tasks_say(const struct view *v, char *text)
{
        say(text, "a task takes %s of CPU time: this measures the bookkeeping rather than the work",
            duration(task_cpu_ns(v->self)).text);
}

/* ── and when the cores were busy ── */

static bool
dearer_tasks_applies(const struct view *v)
{
        const struct why_input *lone = lone_sibling(v);

        return lone && v->self->workers > 1 && v->self->spawn == SPAWN_POOL && task_cpu_ns(lone) > 0 &&
               task_cpu_ns(v->self) >= DEARER * task_cpu_ns(lone);
}

static void
dearer_tasks_say(const struct view *v, char *text)
{
        say(text, "%s of %s cores busy, but a task takes %s × the CPU time that it takes one worker alone",
            times(v->cores).text, cpus(v->capacity).text,
            times(ratio(task_cpu_ns(v->self), task_cpu_ns(lone_sibling(v)))).text);
}

static bool
as_process_applies(const struct view *v)
{
        const struct why_input *process = process_sibling(v);

        return process && are_cores_full(v) && fabs(as_fast(process, v->self) - 1) <= APART &&
               do_meet(&process->range, &v->self->range) && is_narrow(&process->range) && is_narrow(&v->self->range);
}

static void
as_process_say(const struct view *v, char *text)
{
        say(text, "as process: C threads share no lock here");
}

static bool
equal_applies(const struct view *v)
{
        return !v->self->is_reference && spans_one(&v->self->range) && is_narrow(&v->self->range);
}

static void
equal_say(const struct view *v, char *text)
{
        say(text, "as fast as the reference, within ±%s %%", percent(away_from_one(&v->self->range)).text);
}

static bool
noise_applies(const struct view *v)
{
        return !v->self->is_reference && spans_one(&v->self->range);
}

static void
noise_say(const struct view *v, char *text)
{
        const struct interval *range = &v->self->range;
        struct number low = times(range->low), high = times(range->high);

        if (is_stolen(v, STEAL_WORD_SHARE))
                say(text, "noise: %s … %s spans 1, no verdict; the hypervisor took %s %% of the CPU time", low.text,
                    high.text, part(stolen(v)).text);
        else if (round_ns(v->self) < SHORT_ROUND_NS)
                say(text, "noise: %s … %s spans 1, no verdict; rounds of %s are short, more tasks would help", low.text,
                    high.text, duration(round_ns(v->self)).text);
        else
                say(text, "noise: %s … %s spans 1, no verdict; more rounds or a quieter machine would help", low.text,
                    high.text);
}

static bool
cores_full_applies(const struct view *v)
{
        return are_cores_full(v);
}

static void
cores_full_say(const struct view *v, char *text)
{
        bool all = v->self->spawn == SPAWN_AT_ONCE || v->self->workers >= v->self->cpus;
        const char *what = all ? "core" : "worker", *rest = all ? "" : ", each on a core of its own";
        const char *end = is_process(v->self) ? ", nothing shared" : "";
        struct number n = all ? cpus(v->self->cpus) : count(v->self->workers);

        if (strcmp(n.text, "1") == 0)
                say(text, "the only core busy: nothing is left to run in parallel");
        else if (strcmp(n.text, "2") == 0)
                say(text, "both %ss busy%s%s", what, rest, end);
        else
                say(text, "all %s %ss busy%s%s", n.text, what, rest, end);
}

static bool
unexplained_applies(const struct view *v)
{
        return true;
}

static void
unexplained_say(const struct view *v, char *text)
{
        say(text, "%s of %s cores busy; no single cause stands out, --explain shows the evidence", times(v->cores).text,
            cpus(v->capacity).text);
}

/* ── the table ── */

#define RULES(X)                                                                                                       \
        X("failures", failures, "tasks failed")                                                                        \
        X("evidence-lost", evidence_lost, "a daemon was killed after all rounds, and the evidence with it")            \
        X("nothing-measured", nothing, "no round, no task or no time")                                                 \
        X("few-rounds", few_rounds, "fewer rounds than a verdict needs")                                               \
        X("deaths", deaths, "workers died in half of the rounds")                                                      \
        X("steal", steal, "the hypervisor gave the CPUs to others")                                                    \
        X("same-variant", same_variant, "the reference once more: can this machine be trusted?")                       \
        X("native-libc", native_libc, "processes with the paths of libc for one thread")                               \
        X("interpreter-lock", interpreter_lock, "waiting for the interpreter lock")                                    \
        X("lock-released", lock_released, "blocked, and the interpreter lock is free meanwhile")                       \
        X("spawn-cost", spawn_cost, "a fresh process or thread for each task costs")                                   \
        X("busy-machine", busy_machine, "workers no more than CPUs, yet they wait for one")                            \
        X("one-worker", one_worker, "nothing in parallel")                                                             \
        X("oversubscribed", oversubscribed, "more workers than CPUs, which they wait for")                             \
        X("io-bound", io_bound, "blocked nearly all the time")                                                         \
        X("memory-map-lock", memory_map_lock, "page faults in threads, and processes are faster")                      \
        X("shared-wait", shared_wait, "threads sleep where processes do not, which are faster")                        \
        X("partly-blocked", partly_blocked, "blocked for a part of the time, and CPUs are free")                       \
        X("short-rounds", short_rounds, "a round is so short that its start and end count")                            \
        X("few-pieces", few_pieces, "too few tasks or chunks to share out evenly")                                     \
        X("unmarked-wait", unmarked_wait, "sleeping that no blocking mark accounts for")                               \
        X("short-tasks", short_tasks, "the bookkeeping is a good part of a task")                                      \
        X("dearer-tasks", dearer_tasks, "a task costs more CPU time than it costs one worker alone")                   \
        X("as-process", as_process, "threads as fast as processes, cores busy")                                        \
        X("equal", equal, "no difference to the reference, and a narrow interval")                                     \
        X("noise", noise, "the interval spans 1 and is wide")                                                          \
        X("cores-full", cores_full, "all cores busy that there are workers for")                                       \
        X("unexplained", unexplained, "nothing of the above")

static const struct rule {
        bool (*applies)(const struct view *v);
        void (*say)(const struct view *v, char *text);
} rules[] = {
#define RULE_ROW(name, function, meaning) {function##_applies, function##_say},
        RULES(RULE_ROW)
#undef RULE_ROW
};

static const struct why_rule_name rule_names[] = {
#define NAME_ROW(name, function, meaning) {name, meaning},
        RULES(NAME_ROW)
#undef NAME_ROW
                {NULL, NULL},
};

const struct why_rule_name *
why_rule_names(void)
{
        return rule_names;
}

void
why_explain(const struct why_input *input, uint32_t n, uint32_t i, bool is_enough, struct why *ret)
{
        struct view v;
        size_t rule = 0;

        view_init(&v, input, n, i, is_enough);
        while (!rules[rule].applies(&v)) /* the last one always does */
                rule++;
        ret->rule = rule_names[rule].name;
        rules[rule].say(&v, ret->text);
}

/* ── what limits a curve ── */

static double
throughput(const struct why_input *in)
{
        return ratio(1, in->s_per_task);
}

/* Of the last point over the first one, and how much it could be: with the CPUs that there are, or with as many as one
 * likes. */
struct curve {
        uint32_t n;
        const struct why_input *first, *last, *best;
        double gain, best_gain;
        double possible, possible_on_cpus;
};

static bool
curve_init(struct curve *c, const struct why_input *points, uint32_t n)
{
        if (n < 2)
                return false;
        *c = (struct curve){.n = n, .first = &points[0], .last = &points[n - 1], .best = &points[0]};
        for (uint32_t i = 0; i < n; i++) {
                if (!was_measured(&points[i]) || points[i].workers == 0)
                        return false;
                if (throughput(&points[i]) > throughput(c->best))
                        c->best = &points[i];
        }
        c->gain = as_fast(c->last, c->first);
        c->best_gain = as_fast(c->best, c->first);
        c->possible = ratio(c->last->workers, c->first->workers);
        c->possible_on_cpus =
                ratio(MIN((double)c->last->workers, c->last->cpus), MIN((double)c->first->workers, c->first->cpus));
        return true;
}

/* What was measured at the last point. */
static bool
limit_measured(const struct curve *c, const struct view *v, char *text)
{
        if (interpreter_lock_applies(v))
                say(text, "waiting for the interpreter lock: %s %% of the time%s", part(locked_out(v)).text,
                    and_busy(v));
        else if (c->gain >= LINEAR_SHARE * c->possible)
                say(text, "linear as far as measured: %s × with %s workers", times(c->gain).text,
                    count(c->last->workers).text);
        else if (is_oversubscribed(v) && c->best_gain >= CPUS_SHARE * c->possible_on_cpus)
                say(text, "the CPUs: %s can be used, more workers take turns", cpus(c->last->cpus).text);
        else if (oversubscribed_applies(v) && v->cores < FULL_SHARE * v->capacity)
                say(text, "a busy machine: the workers got %s of %s CPUs, others had the rest", times(v->cores).text,
                    cpus(v->capacity).text);
        else if (steal_applies(v))
                say(text, "the hypervisor: it took %s %% of the CPU time away", part(stolen(v)).text);
        else if (busy_machine_applies(v))
                say(text, "a busy machine: workers wait %s %% of the time for a CPU, though there are enough",
                    part(v->queued).text);
        else if (few_pieces_applies(v))
                few_pieces_say(v, text);
        else
                return false;
        return true;
}

/* Amdahl's bound, rounded down. */
static struct number
most(double serial)
{
        return serial > 0.1 ? decimals(floor(10 / serial) / 10, 1) : decimals(floor(1 / serial), 0);
}

/* The law has its peak before the last point, and the best point was better than that; where the law goes through any
 * points, the intervals must say so, too. */
static bool
is_falling(const struct scaling_fit *fit, const struct curve *c)
{
        return fit->peak > 0 && fit->peak < c->last->workers && c->best_gain >= (1 + APART) * c->gain &&
               (c->n >= COHERENCE_POINTS || is_faster(c->best, c->last));
}

static void
limit_fitted(const struct scaling_fit *fit, const struct curve *c, char *text)
{
        struct number peak = decimals(fit ? fit->peak : 0, 0);

        if (c->n < FIT_POINTS)
                say(text, "not clear: a curve through two points says nothing");
        else if (!fit || !(fit->rms_relative < FIT_ERROR))
                say(text, "not clear: the points do not follow the laws of scaling");
        else if (is_falling(fit, c))
                say(text, "coherence: beyond %s worker%s it gets slower, each has to wait for what the others changed",
                    peak.text, strcmp(peak.text, "1") == 0 ? "" : "s");
        else if (fit->serial >= 0.995)
                say(text, "contention: all of the work is serial, more workers do not help");
        else if (fit->serial > 0)
                say(text, "contention: %s %% of the work is serial, so no more than %s × is possible",
                    percent(fit->serial).text, most(fit->serial).text);
        else
                say(text, "not clear: %s × of %s × possible, and nothing that was measured explains it",
                    times(c->gain).text, times(c->possible).text);
}

static const char *
no_curve(const struct why_input *points, uint32_t n)
{
        if (n < 2)
                return "one number of workers is no curve";
        for (uint32_t i = 0; i < n; i++)
                if (is_evidence_lost(&points[i]))
                        return "not clear: the evidence went with the daemon that was killed";
        return "not clear: a point is missing or has failures";
}

void
why_limit(const struct scaling_fit *fit, const struct why_input *points, uint32_t n, char text[WHY_TEXT_MAX])
{
        struct curve curve;
        struct view v;

        if (!curve_init(&curve, points, n)) {
                say(text, "%s", no_curve(points, n));
                return;
        }
        view_init(&v, points, n, n - 1, true);
        if (!limit_measured(&curve, &v, text))
                limit_fitted(fit, &curve, text);
}
