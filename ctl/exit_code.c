/* SPDX-License-Identifier: MIT */
#include "ctl/exit_code.h"

#include "shared/base.h"

#include <string.h>

const struct exit_code_row exit_codes[] = {
        {CTL_EXIT_DONE, "done"},
        {CTL_EXIT_JOB_FAILED, "the job failed, or one of its tasks or trials did"},
        {CTL_EXIT_USAGE, "wrong usage: an option, a value or a name that is not accepted"},
        {CTL_EXIT_NO_DAEMON, "no daemon answers"},
        {CTL_EXIT_INTERNAL, "internal error, a lost job, or the output could not be written"},
        {CTL_EXIT_BUSY, "the daemon has no room now"},
        {CTL_EXIT_NOT_PERMITTED, "not permitted, or the socket belongs to somebody else"},
        {CTL_EXIT_CONFIG, "the daemon's configuration is wrong"},
        {CTL_EXIT_INTERRUPTED, "interrupted or cancelled"},
        {0, NULL},
};

struct word_code {
        const char *word;
        int code;
};

static const struct word_code errors[] = {
        {"org.concd.BadValue", CTL_EXIT_USAGE},
        {"org.concd.Busy", CTL_EXIT_BUSY},
        {"org.concd.NotPermitted", CTL_EXIT_NOT_PERMITTED},
        {"org.concd.NoSuchJob", CTL_EXIT_USAGE},
        {"org.concd.ShuttingDown", CTL_EXIT_NO_DAEMON},
        {"org.concd.Internal", CTL_EXIT_INTERNAL},
        {"org.varlink.service.PermissionDenied", CTL_EXIT_NOT_PERMITTED},
        /* These mean that the program at the other end is not the concd that this concctl was made for. */
        {"org.varlink.service.InterfaceNotFound", CTL_EXIT_NO_DAEMON},
        {"org.varlink.service.MethodNotFound", CTL_EXIT_NO_DAEMON},
        {"org.varlink.service.MethodNotImplemented", CTL_EXIT_NO_DAEMON},
        {"org.varlink.service.InvalidParameter", CTL_EXIT_USAGE},
        {"org.varlink.service.ExpectedMore", CTL_EXIT_INTERNAL},
};

static const struct word_code states[] = {
        {"queued", CTL_EXIT_DONE},       {"running", CTL_EXIT_DONE},          {"done", CTL_EXIT_DONE},
        {"failed", CTL_EXIT_JOB_FAILED}, {"cancelled", CTL_EXIT_INTERRUPTED}, {"interrupted", CTL_EXIT_INTERRUPTED},
        {"lost", CTL_EXIT_INTERNAL},
};

static int
look_up(const struct word_code *rows, size_t n, const char *word)
{
        for (size_t i = 0; i < n; i++)
                if (strcmp(rows[i].word, word) == 0)
                        return rows[i].code;
        return CTL_EXIT_INTERNAL;
}

int
exit_code_of_error(const char *error)
{
        return look_up(errors, ARRAY_SIZE(errors), error);
}

int
exit_code_of_state(const char *state, int64_t failed)
{
        int code = look_up(states, ARRAY_SIZE(states), state);

        return code == CTL_EXIT_DONE && failed > 0 ? CTL_EXIT_JOB_FAILED : code;
}
