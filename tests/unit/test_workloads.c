/* SPDX-License-Identifier: MIT */
/* The built-in workloads, called as a worker calls them, with a checkpoint and an attention word of the test's own. */
#include "workloads/workloads.h"

#include "shared/clock.h"
#include "workloads/builtin.h"

#include "run_suite.h"

#include <check.h>
#include <errno.h>
#include <gmp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define CANCEL_BIT 1U

/* One worker as a workload sees it, and what the workload did to it. */
struct bench {
        struct concd_ctx ctx;
        const struct concd_workload *workload;
        int64_t params[CONCD_PARAMS_MAX];
        uint32_t attention;
        unsigned checkpoints;  /* calls with a bit set */
        unsigned cancel_after; /* the call from which on they cancel; 0 is none */
        unsigned blocks;       /* begun blocking sections */
        bool blocked;
};

static struct bench *
bench_of(struct concd_ctx *ctx)
{
        return (struct bench *)(void *)((char *)ctx - offsetof(struct bench, ctx));
}

static int
bench_checkpoint(struct concd_ctx *ctx, uint32_t bits)
{
        struct bench *b = bench_of(ctx);

        ck_assert_uint_ne(bits, 0);
        ck_assert_msg(!b->blocked, "a checkpoint inside a blocking section");
        b->checkpoints++;
        return b->cancel_after && b->checkpoints >= b->cancel_after ? CONCD_CANCELLED : 0;
}

static void
bench_block_begin(struct concd_ctx *ctx)
{
        struct bench *b = bench_of(ctx);

        ck_assert(!b->blocked);
        b->blocked = true;
        b->blocks++;
}

static void
bench_block_end(struct concd_ctx *ctx)
{
        struct bench *b = bench_of(ctx);

        ck_assert(b->blocked);
        b->blocked = false;
}

static const struct concd_ops bench_ops = {
        .struct_size = sizeof(struct concd_ops),
        .checkpoint = bench_checkpoint,
        .block_begin = bench_block_begin,
        .block_end = bench_block_end,
};

/* Prepares a worker with the default parameters but for the one given. */
static void
bench_open_with(struct bench *b, const struct concd_workload *w, const char *param, int64_t value)
{
        *b = (struct bench){ .workload = w };
        b->ctx.struct_size = sizeof(b->ctx);
        b->ctx.params = b->params;
        b->ctx.attention = &b->attention;
        b->ctx.ops = &bench_ops;
        workload_params_default(w, b->params);
        if (param) {
                int i = workload_param_index(w, param);

                ck_assert_int_ge(i, 0);
                b->params[i] = value;
        }
        if (w->prepare)
                ck_assert_int_eq(w->prepare(&b->ctx), 0);
}

/* Every index of `fail` that is used here is a good one. */
static void
bench_open(struct bench *b, const struct concd_workload *w)
{
        bool fails = strcmp(w->name, "fail") == 0;

        bench_open_with(b, w, fails ? "at" : NULL, 1000000);
}

static void
bench_close(struct bench *b)
{
        ck_assert(!b->blocked);
        if (b->workload->cleanup)
                b->workload->cleanup(&b->ctx);
        ck_assert_ptr_null(b->ctx.state);
}

static int
bench_run(struct bench *b, uint64_t index, uint64_t *ret_result)
{
        return b->workload->run(&b->ctx, index, ret_result);
}

static int
bench_verify(struct bench *b, uint64_t index, uint64_t result)
{
        return b->workload->verify(&b->ctx, index, result);
}

/* --- the table and the descriptors --- */

START_TEST(table_rows_are_usable)
{
        ck_assert_str_eq(workloads[0]->name, "calc");
        for (size_t i = 0; workloads[i]; i++) {
                const char *why = "";

                ck_assert_msg(workload_check(workloads[i], &why) == 0, "%s: %s", workloads[i]->name, why);
                ck_assert_ptr_eq(workload_by_name(workloads[i]->name), workloads[i]);
        }
        ck_assert_ptr_null(workload_by_name("calculate"));
        ck_assert_ptr_null(workload_by_name(""));
}
END_TEST

START_TEST(table_params_go_both_ways)
{
        for (size_t i = 0; workloads[i]; i++) {
                const struct concd_workload *w = workloads[i];
                int64_t params[CONCD_PARAMS_MAX];

                workload_params_default(w, params);
                for (uint32_t k = 0; k < w->n_params; k++) {
                        const struct concd_param *p = &w->params[k];
                        char buf[64], *allowed = NULL;
                        int64_t value = -1;

                        ck_assert_int_eq(workload_param_index(w, p->name), (int)k);
                        ck_assert_int_eq(params[k], p->def);
                        ck_assert_ptr_eq(workload_param_format(p, p->def, buf, sizeof(buf)), buf);
                        ck_assert_int_eq(workload_param_parse(p, buf, &value, &allowed), 0);
                        ck_assert_int_eq(value, p->def);
                        ck_assert_int_eq(workload_param_parse(p, "no-such-value", &value, &allowed), -EINVAL);
                        ck_assert_ptr_nonnull(allowed);
                        free(allowed);
                }
                ck_assert_int_eq(workload_param_index(w, "no-such-parameter"), -1);
        }
}
END_TEST

static const char *const three[] = { "one", "two", "three", NULL };

static const struct concd_param parse_params[] = {
        { "plain", "s", CONCD_PARAM_INT, NULL, 0, 1000000, 0, NULL },
        { "signed", "s", CONCD_PARAM_INT, "ns", -5, 5000, 0, NULL },
        { "negative", "s", CONCD_PARAM_INT, NULL, -9, -2, -2, NULL },
        { "choice", "s", CONCD_PARAM_ENUM, NULL, 0, 0, 0, three },
};

static const struct {
        int param;
        const char *value;
        int64_t expect;
        const char *allowed; /* NULL: `expect` is right */
} parse_rows[] = {
        { 0, "0", 0, NULL },
        { 0, "1000000", 1000000, NULL },
        { 0, "10k", 10000, NULL },
        { 0, "1e6", 1000000, NULL },
        { 0, "1M", 1000000, NULL },
        { 0, "1000001", 0, "0 to 1000000" },
        { 0, "2M", 0, "0 to 1000000" },
        { 0, "-1", 0, "0 to 1000000" },
        { 0, "", 0, "0 to 1000000" },
        { 0, "12x", 0, "0 to 1000000" },
        { 0, "99999999999999999999", 0, "0 to 1000000" },
        { 1, "-5", -5, NULL },
        { 1, "5k", 5000, NULL },
        { 1, "-6", 0, "-5 to 5000 ns" },
        { 1, "5001", 0, "-5 to 5000 ns" },
        { 2, "-9", -9, NULL },
        { 2, "-1", 0, "-9 to -2" },
        { 2, "1k", 0, "-9 to -2" },
        { 3, "one", 0, NULL },
        { 3, "three", 2, NULL },
        { 3, "four", 0, "one, two, three" },
        { 3, "ONE", 0, "one, two, three" },
        { 3, "", 0, "one, two, three" },
        { 3, "1", 0, "one, two, three" },
};

START_TEST(param_parse_row)
{
        const struct concd_param *p = &parse_params[parse_rows[_i].param];
        const char *expect_allowed = parse_rows[_i].allowed;
        int64_t value = INT64_C(-4242);
        char *allowed = NULL;
        int r = workload_param_parse(p, parse_rows[_i].value, &value, &allowed);

        if (!expect_allowed) {
                ck_assert_msg(r == 0, "%s: \"%s\" was refused", p->name, parse_rows[_i].value);
                ck_assert_int_eq(value, parse_rows[_i].expect);
                ck_assert_ptr_null(allowed);
                return;
        }
        ck_assert_msg(r == -EINVAL, "%s: \"%s\" was taken", p->name, parse_rows[_i].value);
        ck_assert_int_eq(value, -4242);
        ck_assert_str_eq(allowed, expect_allowed);
        free(allowed);
}
END_TEST

START_TEST(check_refuses_each_defect)
{
        const struct concd_workload *fail = workload_by_name("fail");
        struct concd_param params[CONCD_PARAMS_MAX + 1];
        struct concd_workload good = *fail, w;
        const char *why;

        memset(params, 0, sizeof(params));
        memcpy(params, fail->params, fail->n_params * sizeof(params[0]));
        good.params = params;
        ck_assert_int_eq(workload_check(&good, &why), 0);

#define REFUSED(change, undo)                                                                       \
        do {                                                                                        \
                w = good;                                                                           \
                why = NULL;                                                                         \
                change;                                                                             \
                ck_assert_msg(workload_check(&w, &why) == -EINVAL && why, "taken with " #change);   \
                undo;                                                                               \
                ck_assert_int_eq(workload_check(&good, &why), 0);                                   \
        } while (0)

        REFUSED(w.abi_version = CONCD_WORKLOAD_ABI + 1, );
        REFUSED(w.struct_size = sizeof(w) - 1, );
        REFUSED(w.name = NULL, );
        REFUSED(w.name = "", );
        REFUSED(w.name = "Fail", );
        REFUSED(w.name = "fa il", );
        REFUSED(w.summary = NULL, );
        REFUSED(w.summary = "two\nlines", );
        REFUSED(w.unit = "", );
        REFUSED(w.run = NULL, );
        REFUSED(w.verify = NULL, );
        REFUSED(w.n_params = CONCD_PARAMS_MAX + 1, );
        REFUSED(w.params = NULL, );
        REFUSED(params[0].name = "KIND", params[0] = fail->params[0]);
        REFUSED(params[1].name = "every", params[1] = fail->params[1]);
        REFUSED(params[1].summary = NULL, params[1] = fail->params[1]);
        REFUSED(params[1].type = (enum concd_param_type)7, params[1] = fail->params[1]);
        REFUSED(params[1].min = params[1].max + 1, params[1] = fail->params[1]);
        REFUSED(params[1].def = -1, params[1] = fail->params[1]);
        REFUSED(params[1].def = params[1].max + 1, params[1] = fail->params[1]);
        REFUSED(params[0].choices = NULL, params[0] = fail->params[0]);
        REFUSED(params[0].choices = three + 3, params[0] = fail->params[0]);
        REFUSED(params[0].def = 8, params[0] = fail->params[0]);
#undef REFUSED

        /* A longer descriptor is a newer builder's, and welcome. */
        good.struct_size += 64;
        ck_assert_int_eq(workload_check(&good, &why), 0);
}
END_TEST

/* --- every workload --- */

START_TEST(every_task_verifies_and_nothing_else_does)
{
        for (size_t i = 0; workloads[i]; i++) {
                struct bench b;

                bench_open(&b, workloads[i]);
                for (uint64_t index = 0; index < 5; index++) {
                        uint64_t first = 0, again = 0;

                        ck_assert_int_eq(bench_run(&b, index, &first), 0);
                        ck_assert_int_eq(bench_verify(&b, index, first), 0);
                        for (unsigned bit = 0; bit < 64; bit++)
                                ck_assert_int_lt(bench_verify(&b, index, first ^ (UINT64_C(1) << bit)), 0);
                        ck_assert_int_eq(bench_run(&b, index, &again), 0);
                        ck_assert_uint_eq(first, again);
                }
                ck_assert_uint_eq(b.checkpoints, 0);
                bench_close(&b);
        }
}
END_TEST

START_TEST(every_task_can_be_cancelled)
{
        for (size_t i = 0; workloads[i]; i++) {
                uint64_t result = 4242;
                struct bench b;

                /* Over before it could look. */
                if (workloads[i] == workload_by_name("nop"))
                        continue;
                bench_open(&b, workloads[i]);
                b.attention = CANCEL_BIT;
                b.cancel_after = 1;
                ck_assert_int_eq(bench_run(&b, 7, &result), CONCD_CANCELLED);
                ck_assert_uint_eq(result, 4242);
                ck_assert_uint_eq(b.checkpoints, 1);

                /* The worker is as good as before. */
                b.attention = 0;
                ck_assert_int_eq(bench_run(&b, 7, &result), 0);
                ck_assert_int_eq(bench_verify(&b, 7, result), 0);
                bench_close(&b);
        }
}
END_TEST

/* --- calc --- */

/* The known sum, from GMP and the definition alone. */
START_TEST(calc_constants_are_those_of_the_sum)
{
        const struct concd_workload *calc = workload_by_name("calc");
        uint64_t result = 0, low;
        mpz_t sum, power;
        struct bench b;
        char *digits;

        mpz_inits(sum, power, NULL);
        for (unsigned long i = 1; i <= 999; i++) {
                mpz_set_ui(power, 1);
                for (unsigned long k = 0; k < i; k++)
                        mpz_mul_ui(power, power, i);
                mpz_add(sum, sum, power);
        }
        digits = mpz_get_str(NULL, 10, sum);
        ck_assert_uint_eq(strlen(digits), 2997);
        free(digits);
        ck_assert_uint_eq(mpz_fdiv_ui(sum, 1000000007), 482370217);
        mpz_fdiv_r_2exp(power, sum, 64);
        low = mpz_get_ui(power);
        ck_assert_uint_eq(low, UINT64_C(0xa5e5d2cc8d5390ec));
        mpz_clears(sum, power, NULL);

        bench_open(&b, calc);
        ck_assert_int_eq(bench_run(&b, 0, &result), 0);
        ck_assert_uint_eq(result, low);
        ck_assert_int_eq(bench_verify(&b, 0, result), 0);
        bench_close(&b);
}
END_TEST

/* With a child per task the result comes back, but the number that the child computed does not. */
START_TEST(calc_verifies_without_the_state_of_the_run)
{
        struct bench ran, checks;
        uint64_t result = 0;

        bench_open(&ran, workload_by_name("calc"));
        bench_open(&checks, workload_by_name("calc"));
        ck_assert_int_eq(bench_run(&ran, 3, &result), 0);
        ck_assert_int_eq(bench_verify(&checks, 3, result), 0);
        ck_assert_int_lt(bench_verify(&checks, 3, result + 1), 0);
        bench_close(&ran);
        bench_close(&checks);
}
END_TEST

/* The right low bits of a wrong number are refused. The sum is the first member of the state. */
START_TEST(calc_verifies_the_whole_sum)
{
        uint64_t result = 0;
        struct bench b;
        mpz_ptr sum;
        mpz_t extra;

        bench_open(&b, workload_by_name("calc"));
        ck_assert_int_eq(bench_run(&b, 1, &result), 0);
        sum = b.ctx.state;
        mpz_init(extra);
        mpz_setbit(extra, 64);
        mpz_add(sum, sum, extra);
        ck_assert_int_lt(bench_verify(&b, 1, result), 0);
        ck_assert_int_eq(bench_verify(&b, 2, result), 0);

        /* A multiple of the prime, so that only the digits tell. */
        mpz_sub(sum, sum, extra);
        mpz_ui_pow_ui(extra, 10, 2997);
        mpz_sub_ui(extra, extra, mpz_fdiv_ui(extra, 1000000007));
        mpz_mul_2exp(extra, extra, 64);
        mpz_add(sum, sum, extra);
        ck_assert_int_lt(bench_verify(&b, 1, result), 0);
        mpz_sub(sum, sum, extra);
        ck_assert_int_eq(bench_verify(&b, 1, result), 0);
        mpz_clear(extra);
        bench_close(&b);
}
END_TEST

/* A cancelled sum must not be taken for a whole one, neither for its own index nor for the one before. */
START_TEST(calc_forgets_a_cancelled_sum)
{
        uint64_t result = 0;
        struct bench b;

        bench_open(&b, workload_by_name("calc"));
        ck_assert_int_eq(bench_run(&b, 5, &result), 0);
        b.attention = CANCEL_BIT;
        b.cancel_after = 500;
        ck_assert_int_eq(bench_run(&b, 5, &(uint64_t){ 0 }), CONCD_CANCELLED);
        ck_assert_uint_eq(b.checkpoints, 500);
        ck_assert_int_eq(bench_verify(&b, 5, result), 0);
        bench_close(&b);
}
END_TEST

static void *
calc_worker(void *arg)
{
        struct bench *b = arg;
        uintptr_t failures = 0;

        for (uint64_t index = 0; index < 20; index++) {
                uint64_t result = 0;

                failures += bench_run(b, index, &result) != 0 || bench_verify(b, index, result) != 0;
        }
        return (void *)failures;
}

START_TEST(calc_workers_of_one_process_share_nothing)
{
        pthread_t threads[4];
        struct bench b[4];

        for (size_t i = 0; i < ARRAY_SIZE(b); i++) {
                bench_open(&b[i], workload_by_name("calc"));
                ck_assert_int_eq(pthread_create(&threads[i], NULL, calc_worker, &b[i]), 0);
        }
        for (size_t i = 0; i < ARRAY_SIZE(b); i++) {
                void *failures;

                ck_assert_int_eq(pthread_join(threads[i], &failures), 0);
                ck_assert_ptr_null(failures);
                bench_close(&b[i]);
        }
}
END_TEST

/* --- spin --- */

static uint64_t
cpu_ns(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
        return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static uint64_t
spin_cost(int64_t ns)
{
        uint64_t start, result = 0, cost;
        struct bench b;

        bench_open_with(&b, workload_by_name("spin"), "ns", ns);
        start = cpu_ns();
        ck_assert_int_eq(bench_run(&b, 1, &result), 0);
        cost = cpu_ns() - start;
        ck_assert_int_eq(bench_verify(&b, 1, result), 0);
        bench_close(&b);
        return cost;
}

/* Of the right order, no more: how long it takes depends on the clock of the CPU, then and at the calibration. */
START_TEST(spin_spends_cpu_time)
{
        uint64_t best = UINT64_MAX;

        workloads_init();
        for (int i = 0; i < 5; i++)
                best = MIN(best, spin_cost(10 * (int64_t)NS_PER_MS));
        ck_assert_uint_ge(best, 2 * NS_PER_MS);
        ck_assert_uint_le(best, 500 * NS_PER_MS);
}
END_TEST

START_TEST(spin_comes_to_a_checkpoint_often)
{
        uint64_t result = 0;
        struct bench b;

        bench_open_with(&b, workload_by_name("spin"), "ns", (int64_t)NS_PER_MS);
        b.attention = CANCEL_BIT;
        ck_assert_int_eq(bench_run(&b, 1, &result), 0);
        ck_assert_uint_ge(b.checkpoints, 400);
        ck_assert_uint_le(b.checkpoints, 600);
        bench_close(&b);
}
END_TEST

/* The result is to be the same on machines of different speed, but not for different tasks. */
START_TEST(spin_result_depends_on_task_and_length_only)
{
        const struct concd_workload *spin = workload_by_name("spin");
        uint64_t result[2] = { 0 };
        struct bench b[2];

        for (int i = 0; i < 2; i++) {
                bench_open_with(&b[i], spin, "ns", 500 + i);
                ck_assert_int_eq(bench_run(&b[i], 9, &result[i]), 0);
                ck_assert_uint_eq(result[i], builtin_mark(9) + 500 + (uint64_t)i);
        }
        ck_assert_int_lt(bench_verify(&b[0], 9, result[1]), 0);
        ck_assert_int_lt(bench_verify(&b[0], 10, result[0]), 0);
        bench_close(&b[0]);
        bench_close(&b[1]);
}
END_TEST

/* --- sleep --- */

START_TEST(sleep_lasts_as_long_as_asked)
{
        static const int64_t us[] = { 0, 1000, 120000 };

        for (size_t i = 0; i < ARRAY_SIZE(us); i++) {
                uint64_t start, result = 0;
                struct bench b;

                bench_open_with(&b, workload_by_name("sleep"), "us", us[i]);
                start = clock_now_ns();
                ck_assert_int_eq(bench_run(&b, 1, &result), 0);
                ck_assert_uint_ge(clock_now_ns() - start, (uint64_t)us[i] * NS_PER_US);
                ck_assert_int_eq(bench_verify(&b, 1, result), 0);
                ck_assert_uint_eq(b.blocks, 1);
                bench_close(&b);
        }
}
END_TEST

struct later {
        struct bench *b;
        uint64_t after_ns;
};

static void *
cancel_later(void *arg)
{
        struct later *l = arg;
        struct timespec ts = { .tv_nsec = (long)l->after_ns };

        nanosleep(&ts, NULL);
        __atomic_fetch_or(&l->b->attention, CANCEL_BIT, __ATOMIC_RELAXED);
        return NULL;
}

START_TEST(sleep_is_cancelled_between_slices)
{
        uint64_t start, result = 4242;
        struct bench b;
        struct later later = { &b, 20 * NS_PER_MS };
        pthread_t thread;

        bench_open_with(&b, workload_by_name("sleep"), "us", 30 * 1000000);
        b.cancel_after = 1;
        start = clock_now_ns();
        ck_assert_int_eq(pthread_create(&thread, NULL, cancel_later, &later), 0);
        ck_assert_int_eq(bench_run(&b, 1, &result), CONCD_CANCELLED);
        ck_assert_uint_lt(clock_now_ns() - start, 10 * NS_PER_S);
        ck_assert_uint_eq(result, 4242);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        bench_close(&b);
}
END_TEST

/* --- fail --- */

START_TEST(fail_hits_the_chosen_tasks)
{
        static const struct {
                int64_t at, every;
                const char *expect; /* tasks 0 to 9; x fails */
        } rows[] = {
                { 0, 0, "x........." }, { 3, 0, "...x......" }, { 0, 1, "xxxxxxxxxx" },
                { 1, 3, ".x..x..x.." }, { 8, 5, "........x." }, { 10, 1, ".........." },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct bench b;

                bench_open_with(&b, workload_by_name("fail"), "at", rows[i].at);
                b.params[workload_param_index(b.workload, "every")] = rows[i].every;
                for (uint64_t index = 0; index < 10; index++) {
                        uint64_t result = 0;
                        int r = bench_run(&b, index, &result);

                        ck_assert_int_eq(r, rows[i].expect[index] == 'x' ? -EIO : 0);
                        if (r == 0)
                                ck_assert_int_eq(bench_verify(&b, index, result), 0);
                }
                bench_close(&b);
        }
}
END_TEST

static int64_t
fail_kind(const char *kind)
{
        const struct concd_workload *fail = workload_by_name("fail");
        const struct concd_param *p = &fail->params[workload_param_index(fail, "kind")];
        int64_t value = -1;
        char *allowed = NULL;

        ck_assert_int_eq(workload_param_parse(p, kind, &value, &allowed), 0);
        return value;
}

START_TEST(fail_wrong_runs_but_does_not_verify)
{
        uint64_t result = 0;
        struct bench b;

        bench_open_with(&b, workload_by_name("fail"), "kind", fail_kind("wrong"));
        ck_assert_int_eq(bench_run(&b, 0, &result), 0);
        ck_assert_int_lt(bench_verify(&b, 0, result), 0);
        ck_assert_int_eq(bench_run(&b, 1, &result), 0);
        ck_assert_int_eq(bench_verify(&b, 1, result), 0);
        bench_close(&b);
}
END_TEST

/* Runs a failing task in a child of its own that has plain signals and leaves no core file. */
static pid_t
fail_in_child(const char *kind)
{
        uint64_t result = 0;
        struct bench b;
        pid_t pid;

        bench_open_with(&b, workload_by_name("fail"), "kind", fail_kind(kind));
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid > 0)
                return pid;
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        signal(SIGSEGV, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
        bench_run(&b, 0, &result);
        _exit(0);
}

static const struct {
        const char *kind;
        int signal;
} deaths[] = {
        { "segv", SIGSEGV },
        { "abort", SIGABRT },
        { "kill", SIGKILL },
};

START_TEST(fail_dies_by_the_signal)
{
        pid_t pid = fail_in_child(deaths[_i].kind);
        int status = 0;

        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status));
        ck_assert_int_eq(WTERMSIG(status), deaths[_i].signal);
}
END_TEST

START_TEST(fail_exits)
{
        pid_t pid = fail_in_child(_i == 0 ? "exit" : "quit");
        int status = 0;

        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status));
        ck_assert_int_eq(WEXITSTATUS(status), 3);
}
END_TEST

START_TEST(fail_hangs_until_killed)
{
        pid_t pid = fail_in_child("hang");
        int status = 0;

        nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
        ck_assert_int_eq(waitpid(pid, &status, WNOHANG), 0);
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status));
}
END_TEST

static Suite *
workloads_suite(void)
{
        Suite *s = suite_create("workloads");
        TCase *table = tcase_create("table"), *every = tcase_create("every"), *each = tcase_create("each");

        tcase_add_test(table, table_rows_are_usable);
        tcase_add_test(table, table_params_go_both_ways);
        tcase_add_loop_test(table, param_parse_row, 0, (int)ARRAY_SIZE(parse_rows));
        tcase_add_test(table, check_refuses_each_defect);
        suite_add_tcase(s, table);

        tcase_add_test(every, every_task_verifies_and_nothing_else_does);
        tcase_add_test(every, every_task_can_be_cancelled);
        suite_add_tcase(s, every);

        tcase_set_timeout(each, 20);
        tcase_add_test(each, calc_constants_are_those_of_the_sum);
        tcase_add_test(each, calc_verifies_without_the_state_of_the_run);
        tcase_add_test(each, calc_verifies_the_whole_sum);
        tcase_add_test(each, calc_forgets_a_cancelled_sum);
        tcase_add_test(each, calc_workers_of_one_process_share_nothing);
        tcase_add_test(each, spin_spends_cpu_time);
        tcase_add_test(each, spin_comes_to_a_checkpoint_often);
        tcase_add_test(each, spin_result_depends_on_task_and_length_only);
        tcase_add_test(each, sleep_lasts_as_long_as_asked);
        tcase_add_test(each, sleep_is_cancelled_between_slices);
        tcase_add_test(each, fail_hits_the_chosen_tasks);
        tcase_add_test(each, fail_wrong_runs_but_does_not_verify);
        tcase_add_loop_test(each, fail_dies_by_the_signal, 0, (int)ARRAY_SIZE(deaths));
        tcase_add_loop_test(each, fail_exits, 0, 2);
        tcase_add_test(each, fail_hangs_until_killed);
        suite_add_tcase(s, each);
        return s;
}

int
main(void)
{
        return run_suite(workloads_suite());
}
