/* SPDX-License-Identifier: MIT */
#include "ctl/job_id.h"

#include "ctl/exit_code.h"
#include "ctl/field.h"
#include "ctl/message.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

int
job_id_make(char *buf)
{
        unsigned char bits[JOB_ID_DIGITS / 2];
        ssize_t n;

        do
                n = getrandom(bits, sizeof(bits), 0);
        while (n < 0 && errno == EINTR);
        if (n != (ssize_t)sizeof(bits))
                return n < 0 ? -errno : -EIO;
        for (size_t i = 0; i < sizeof(bits); i++)
                sprintf(buf + 2 * i, "%02x", bits[i]);
        return 0;
}

static bool
is_beginning(const char *given)
{
        size_t len = strlen(given);

        return len >= 1 && len <= JOB_ID_DIGITS && strspn(given, "0123456789abcdef") == len;
}

int
job_id_find(const json_t *jobs, const char *given, const char **ret)
{
        const char *found = NULL;
        size_t i;
        json_t *job;

        if (!is_beginning(given))
                return message_fail(CTL_EXIT_USAGE,
                                    "ID: given \"%s\", allowed 1 to %d hexadecimal digits in lower case", given,
                                    JOB_ID_DIGITS);
        json_array_foreach(jobs, i, job)
        {
                const char *id = field_text(job, "id");

                if (strncmp(id, given, strlen(given)) != 0)
                        continue;
                if (found)
                        return message_fail(CTL_EXIT_USAGE, "ID: given \"%s\", but %s and %s both begin with it", given,
                                            found, id);
                found = id;
        }
        if (!found)
                return message_fail(CTL_EXIT_USAGE, "the daemon knows no job %s", given);
        *ret = found;
        return 0;
}

static int
resolve(struct client *client, const char *given, char *buf)
{
        struct varlink_reply reply;
        const char *id = NULL;
        int r;

        if (is_beginning(given) && strlen(given) == JOB_ID_DIGITS) {
                strcpy(buf, given);
                return 0;
        }
        if (!is_beginning(given))
                return job_id_find(NULL, given, &id);
        r = client_call(client, "org.concd.Jobs", NULL, -1, &reply, NULL, NULL);
        if (r != 0)
                return message_fail(CTL_EXIT_NO_DAEMON, "%s: %s", client->socket, stream_error_text(r));
        if (reply.error)
                r = message_fail(exit_code_of_error(reply.error), "the daemon answers %s", reply.error);
        else
                r = job_id_find(json_object_get(reply.parameters, "jobs"), given, &id);
        if (r == 0 && strlen(id) != JOB_ID_DIGITS)
                r = message_fail(CTL_EXIT_INTERNAL, "the daemon names a job \"%s\"", id);
        if (r == 0)
                strcpy(buf, id);
        varlink_reply_deinit(&reply);
        return r;
}

int
job_id_open(const struct args *args, struct client **ret, char *buf)
{
        AUTO_CLIENT struct client *client = NULL;
        int r = client_open(args_text(args, "socket"), CLIENT_ONLY_RUNNING, &client);

        if (r == 0)
                r = resolve(client, args->operands[0], buf);
        if (r == 0)
                *ret = TAKE(client);
        return r;
}
