/* SPDX-License-Identifier: MIT */
#include "ctl/answer.h"

#include "ctl/exit_code.h"
#include "ctl/field.h"
#include "ctl/message.h"
#include "ctl/suggest.h"
#include "ctl/text.h"
#include "shared/quantity.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

int
answer_get(const struct args *args, enum client_start start, const char *method, json_t *parameters, struct answer *ret)
{
        struct answer a = {0};
        int r = client_open(args_text(args, "socket"), start, &a.client);

        if (r != 0)
                return r;
        r = client_call(a.client, method, parameters, -1, &a.reply, &a.raw, &a.raw_len);
        if (r != 0) {
                r = message_fail(r < 0 ? CTL_EXIT_INTERNAL : CTL_EXIT_NO_DAEMON, "%s: %s", a.client->socket,
                                 stream_error_text(r));
                client_free(a.client);
                return r;
        }
        if (a.reply.error) {
                r = answer_report_error(args, &a.reply);
                answer_deinit(&a);
                return r;
        }
        *ret = a;
        return 0;
}

void
answer_deinit(struct answer *answer)
{
        varlink_reply_deinit(&answer->reply);
        client_free(answer->client);
        *answer = (struct answer){0};
}

void
answer_put_json(const struct varlink_reply *reply, const char *raw, size_t raw_len, const char *member)
{
        const char *path[] = {"parameters", member, NULL}, *slice;
        AUTO_FREE char *line = NULL;
        size_t len;

        if (field_slice(raw, raw_len, path, &slice, &len) && !memchr(slice, '\n', len)) {
                text_put_raw(stdout, slice, len);
                return;
        }
        /* No parameters at all, or a daemon that breaks its lines. */
        line = json_dumps(member ? json_object_get(reply->parameters, member) : reply->parameters, JSON_COMPACT);
        if (line)
                text_put_raw(stdout, line, strlen(line));
}

static bool
is_nanoseconds(const char *field)
{
        size_t len = strlen(field);

        return len > 3 && strcmp(field + len - 3, "_ns") == 0;
}

/* What the daemon allows for a field; a range of nanoseconds, which nobody types, as durations. Malloc'ed; NULL without
 * memory. */
static char *
format_allowed(const char *field, const char *allowed)
{
        static const char prefix[] = "a whole number from ";
        const char *range = strncmp(allowed, prefix, strlen(prefix)) == 0 ? allowed + strlen(prefix) : allowed;
        char min[QUANTITY_TEXT_MAX], max[QUANTITY_TEXT_MAX], *text;
        uint64_t min_ns, max_ns;
        int rest = 0;

        if (!is_nanoseconds(field) || sscanf(range, "%" SCNu64 " to %" SCNu64 "%n", &min_ns, &max_ns, &rest) != 2)
                return strdup(allowed);
        quantity_format_duration_exact(min, sizeof(min), min_ns);
        quantity_format_duration_exact(max, sizeof(max), max_ns);
        return asprintf(&text, "%s to %s%s", min, max, range + rest) < 0 ? NULL : text;
}

char *
answer_format_bad_value(const struct args *args, const json_t *parameters)
{
        const char *field = field_text(parameters, "field"), *typed = args_text_of_field(args, field);
        AUTO_FREE char *name = args_name_of_field(args->command, field);
        AUTO_FREE char *allowed = format_allowed(field, field_text(parameters, "allowed"));

        if (!name || !allowed)
                return NULL;
        return suggest_bad_value(name, typed ? typed : field_text(parameters, "given"), allowed);
}

static int
report_bad_value(const struct args *args, const json_t *p, int code)
{
        AUTO_FREE char *line = answer_format_bad_value(args, p);

        return message_fail(code, "%s", line ? line : "out of memory");
}

int
answer_report_error(const struct args *args, const struct varlink_reply *reply)
{
        const json_t *p = reply->parameters;
        int code = exit_code_of_error(reply->error);
        const char *error = reply->error;

        if (strncmp(error, "org.concd.", 10) == 0)
                error += 10;
        if (strcmp(error, "BadValue") == 0)
                return report_bad_value(args, p, code);
        if (strcmp(error, "Busy") == 0)
                return message_fail(code, "the daemon has no room now: %s, limit %lld", field_text(p, "what"),
                                    (long long)field_int(p, "limit"));
        if (strcmp(error, "NotPermitted") == 0)
                return message_fail(code, "not permitted: %s", field_text(p, "what"));
        if (strcmp(error, "NoSuchJob") == 0)
                return message_fail(code, "the daemon knows no job %s", field_text(p, "id"));
        if (strcmp(error, "ShuttingDown") == 0)
                return message_fail(code, "the daemon is shutting down");
        if (strcmp(error, "Internal") == 0)
                return message_fail(code, "the daemon failed: %s", field_text(p, "what"));
        if (field_is_set(p, "parameter"))
                return message_fail(code, "the daemon does not accept the parameter \"%s\"",
                                    field_text(p, "parameter"));
        return message_fail(code, "the daemon answers %s", error);
}
