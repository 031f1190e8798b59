/* SPDX-License-Identifier: MIT */
/* Money goes from account to account; it must not become more or less. Accounts begin empty and may be overdrawn,
 * so all of them together are always worth nothing. The guard is held over one transfer. */
#include "scenarios/builtin.h"

#define ACTORS_MAX   64
#define ACCOUNTS_MAX 64
#define AMOUNT_MAX   100

enum { PARAM_ACCOUNTS, PARAM_TRANSFERS };
enum { CONSERVED, MONEY_MADE, MONEY_LOST };

struct bank_transfer_state {
        struct {
                alignas(RACE_LINE) uint64_t balance; /* signed, modulo 2^64 */
        } account[ACCOUNTS_MAX];
};

static const struct scenario_param bank_transfer_params[] = {
        [PARAM_ACCOUNTS] = {.name = "accounts",
                            .summary = "how many there are",
                            .unit = "accounts",
                            .min = 2,
                            .max = ACCOUNTS_MAX,
                            .def = 4},
        [PARAM_TRANSFERS] = {.name = "transfers",
                             .summary = "how many each actor makes",
                             .unit = "transfers",
                             .min = 1,
                             .max = 1000000,
                             .def = 100},
};

static const struct outcome bank_transfer_outcomes[] = {
        [CONSERVED] = {.name = "conserved", .meaning = "all accounts together are worth what they were"},
        [MONEY_MADE] = {.name = "money made",
                        .meaning = "a withdrawal was overwritten",
                        .expected = OUTCOME_INTERESTING,
                        .forbidden_by = GUARD_EXCLUDES | GUARD_ATOMIC,
                        .is_witness = true},
        [MONEY_LOST] = {.name = "money lost",
                        .meaning = "a deposit was overwritten",
                        .expected = OUTCOME_INTERESTING,
                        .forbidden_by = GUARD_EXCLUDES | GUARD_ATOMIC,
                        .is_witness = true},
};

static void
bank_transfer_act(struct actor *a, void *state)
{
        struct bank_transfer_state *s = state;
        uint64_t accounts = (uint64_t)a->params[PARAM_ACCOUNTS];

        for (int64_t i = 0; i < a->params[PARAM_TRANSFERS] && actor_goes_on(a); i++) {
                uint64_t from = actor_random(a, accounts), to = (from + 1 + actor_random(a, accounts - 1)) % accounts;
                uint64_t amount = 1 + actor_random(a, AMOUNT_MAX);

                if (!actor_acquire(a))
                        return;
                actor_bump(a, &s->account[from].balance, -amount);
                actor_bump(a, &s->account[to].balance, amount);
                actor_release(a);
        }
}

static int
bank_transfer_classify(const void *state, struct trial_end *end)
{
        const struct bank_transfer_state *s = state;
        uint64_t sum = 0;

        for (int64_t i = 0; i < end->spec->params[PARAM_ACCOUNTS]; i++)
                sum += s->account[i].balance;
        if (sum == 0)
                return CONSERVED;
        return (int64_t)sum > 0 ? MONEY_MADE : MONEY_LOST;
}

const struct scenario scenario_bank_transfer = {
        .name = "bank-transfer",
        .summary = "money goes to and fro between accounts and must stay as much as it was",
        .actors_min = 2,
        .actors_max = ACTORS_MAX,
        .actors_def = 2,
        .params = bank_transfer_params,
        .n_params = ARRAY_SIZE(bank_transfer_params),
        .permits_def = 1,
        .guard_def = "none",
        .outcomes = bank_transfer_outcomes,
        .n_outcomes = ARRAY_SIZE(bank_transfer_outcomes),
        .state_bytes = sizeof(struct bank_transfer_state),
        .act = bank_transfer_act,
        .classify = bank_transfer_classify,
};
