/* SPDX-License-Identifier: MIT */
#include "ctl/follow.h"

#include "ctl/answer.h"
#include "ctl/compare-result.h"
#include "ctl/cpulist.h"
#include "ctl/exit_code.h"
#include "ctl/field.h"
#include "ctl/interrupt.h"
#include "ctl/job_id.h"
#include "ctl/message.h"
#include "ctl/progress.h"
#include "ctl/race-result.h"
#include "ctl/result.h"
#include "ctl/text.h"
#include "shared/clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define RECONNECT_NS       (10 * NS_PER_S)
#define RECONNECT_PAUSE_MS 50
#define RECONNECTED_NS     (100 * NS_PER_MS) /* a connection that lasted so long was one */
#define CANCEL_TRIES       20
#define CANCEL_ANSWER_MS   250
#define CANCEL_PAUSE_MS    50
#define DESCRIBE_ANSWER_MS 2000

struct follow {
        const struct follow_request *request;
        struct client *client;
        struct client *canceller; /* its call ends with the job, so it stays open until then */
        int wake_fd;              /* -1 once the signal was seen */
        bool is_handed_over;      /* the daemon may have the request */
        bool is_broken;           /* a connection broke: the daemon may have been another one since */
        uint64_t give_up_ns;      /* when to stop connecting again; 0: there was an answer since the last time */
        uint64_t connected_ns;    /* when the present connection was made */
        bool is_interrupted;
};

/* Negative: go on; else the exit code. */
#define GO_ON (-1)

static bool
is_error(const struct varlink_reply *reply, const char *error)
{
        return reply->error && strcmp(reply->error, error) == 0;
}

/* The request, or once the daemon may have it, the wish to wait for its job. */
static int
send_request(struct follow *f)
{
        bool more = progress_is_possible() && !f->request->is_part && !args_has(f->request->args, "quiet");
        AUTO_JSON json_t *wait = NULL;

        if (!f->is_handed_over)
                return stream_send(&f->client->stream, f->request->method, f->request->parameters, more,
                                   &f->is_handed_over);
        wait = json_pack("{s:s}", "id", f->request->id);
        return wait ? stream_send(&f->client->stream, "org.concd.Wait", wait, more, NULL) : -ENOMEM;
}

/* Connects again, for at most 10 s without an answer, or a connection that lasts; Ctrl-C ends that. */
static int
reconnect(struct follow *f)
{
        struct pollfd wake = {.fd = f->wake_fd, .events = POLLIN};
        bool is_first = !f->is_broken;
        int r = -ETIMEDOUT;

        f->is_broken = true;
        if (f->give_up_ns == 0 || clock_now_ns() - f->connected_ns > RECONNECTED_NS)
                f->give_up_ns = clock_now_ns() + RECONNECT_NS;
        if (f->request->is_detached && f->is_handed_over)
                return message_fail(CTL_EXIT_NO_DAEMON,
                                    "the connection broke before the daemon answered; "
                                    "'concctl jobs' tells whether it has job %s",
                                    f->request->id);
        if (is_first)
                message_print("the connection to the daemon broke; connecting again");
        while (clock_now_ns() < f->give_up_ns) {
                r = client_reopen(f->client);
                if (r == 0 || r == -ECANCELED)
                        break;
                if (poll(&wake, 1, RECONNECT_PAUSE_MS) > 0)
                        return CTL_EXIT_INTERRUPTED;
        }
        if (r == 0) {
                f->connected_ns = clock_now_ns();
                return GO_ON;
        }
        if (r != -ECANCELED)
                message_print("no daemon answers at %s any more", f->client->socket);
        return CTL_EXIT_NO_DAEMON;
}

/* One call of Cancel; true when the daemon has taken it: it then answers when the job has ended. */
static bool
try_cancel(struct follow *f, json_t *parameters)
{
        struct varlink_reply reply;
        bool is_unknown;
        int r;

        client_free(f->canceller);
        f->canceller = NULL;
        if (client_open_second(f->client, &f->canceller) != 0)
                return false;
        r = client_call(f->canceller, "org.concd.Cancel", parameters, CANCEL_ANSWER_MS, &reply, NULL, NULL);
        if (r != 0)
                return r == STREAM_E_TIMEOUT;
        /* The request, on the other connection, was not read yet. */
        is_unknown = reply.error != NULL;
        varlink_reply_deinit(&reply);
        return !is_unknown;
}

static int
on_interrupt(struct follow *f)
{
        AUTO_JSON json_t *parameters = json_pack("{s:s}", "id", f->request->id);

        f->wake_fd = -1;
        f->is_interrupted = true;
        if (!f->request->is_own)
                return message_fail(CTL_EXIT_INTERRUPTED, "leaving; job %s is not cancelled", f->request->id);
        message_print("cancelling the job; Ctrl-C again leaves at once");
        for (int i = 0; i < CANCEL_TRIES; i++) {
                if (try_cancel(f, parameters))
                        return GO_ON;
                poll(NULL, 0, CANCEL_PAUSE_MS);
        }
        return message_fail(CTL_EXIT_INTERRUPTED, "the daemon does not take the cancellation of job %s",
                            f->request->id);
}

static int
report_error(const struct follow *f, const struct varlink_reply *reply)
{
        if (f->is_broken && is_error(reply, "org.concd.NoSuchJob"))
                return message_fail(CTL_EXIT_INTERNAL, "the daemon lost the job %s", f->request->id);
        return answer_report_error(f->request->args, reply);
}

static void
print_without_result(const struct follow *f, const json_t *p)
{
        const char *state = field_text(p, "state"), *reason = field_text(p, "reason"), *id = field_text(p, "id");

        if (!f->request->is_detached) {
                message_print("job %s: %s%s%s", id, state, *reason ? ": " : "", reason);
                return;
        }
        text_printf(stdout, "%s\n", id);
        if (!args_has(f->request->args, "quiet"))
                message_print("the job is %s; 'concctl wait %.12s' fetches its result", state, id);
}

/* What the daemon says about the scenario of a race, for the hint below its result. The caller owns it; NULL: it says
 * nothing. */
static json_t *
describe_scenario(struct client *client, const json_t *race)
{
        AUTO_JSON json_t *question = json_pack("{s:s, s:s}", "kind", "scenario", "name", field_text(race, "scenario"));
        struct varlink_reply reply;
        json_t *entry;

        if (!question ||
            client_call(client, "org.concd.Describe", question, DESCRIBE_ANSWER_MS, &reply, NULL, NULL) != 0)
                return NULL;
        entry = json_incref(json_array_get(json_object_get(reply.parameters, "entries"), 0));
        varlink_reply_deinit(&reply);
        return entry;
}

static void
print_race(const struct follow *f, const json_t *race)
{
        AUTO_JSON json_t *scenario = NULL;

        if (args_has(f->request->args, "quiet")) {
                race_result_print_brief(stdout, race);
                return;
        }
        scenario = describe_scenario(f->client, race);
        race_result_print(stdout, race, scenario);
}

static void
print_compare(const struct follow *f, const json_t *compare)
{
        if (args_has(f->request->args, "quiet"))
                compare_result_print_brief(stdout, compare);
        else
                compare_result_print(stdout, compare, args_has(f->request->args, "explain"));
}

/* The member of a reply that is the result: of a run, of a race or of a comparison. NULL: there is none. */
static const char *
result_member(const json_t *p)
{
        static const char *const members[] = {"race", "compare", "result"};

        for (size_t i = 0; i < ARRAY_SIZE(members); i++)
                if (json_is_object(json_object_get(p, members[i])))
                        return members[i];
        return NULL;
}

static int64_t
failed_tasks(const json_t *p)
{
        return field_int(json_object_get(p, "result"), "failed") + compare_result_failed(json_object_get(p, "compare"));
}

static void
print_end(const struct follow *f, const struct varlink_reply *reply, const char *raw, size_t len)
{
        const char *member = result_member(reply->parameters);
        const json_t *result = member ? json_object_get(reply->parameters, member) : NULL;

        if (args_has(f->request->args, "json"))
                answer_put_json(reply, raw, len, member);
        else if (!result)
                print_without_result(f, reply->parameters);
        else if (strcmp(member, "race") == 0)
                print_race(f, result);
        else if (strcmp(member, "compare") == 0)
                print_compare(f, result);
        else
                result_print(stdout, result, args_has(f->request->args, "quiet"));
}

static int
finish(const struct follow *f, const struct varlink_reply *reply, const char *raw, size_t len)
{
        const json_t *p = reply->parameters;
        bool is_said = f->request->on_end && f->request->on_end(f->request->userdata, reply, raw, len);

        if (!f->request->is_part)
                progress_clear();
        if (reply->error)
                return is_said ? exit_code_of_error(reply->error) : report_error(f, reply);
        if (!is_said)
                print_end(f, reply, raw, len);
        return f->is_interrupted ? CTL_EXIT_INTERRUPTED : exit_code_of_state(field_text(p, "state"), failed_tasks(p));
}

/* Takes one reply, or whatever happens instead. */
static int
step(struct follow *f)
{
        struct varlink_reply reply;
        const char *raw;
        size_t len;
        int r = stream_receive(&f->client->stream, f->wake_fd, -1, &reply, &raw, &len);

        if (r == STREAM_E_WOKEN)
                return on_interrupt(f);
        if (r == STREAM_E_CLOSED) {
                r = reconnect(f);
                return r != GO_ON || send_request(f) >= 0 ? r : CTL_EXIT_INTERNAL;
        }
        if (r != 0)
                return message_fail(CTL_EXIT_INTERNAL, "%s: %s", f->client->socket, stream_error_text(r));
        f->give_up_ns = 0;
        if (!reply.continues || reply.error) {
                r = finish(f, &reply, raw, len);
        } else {
                if (field_is_set(reply.parameters, "progress") && !f->is_interrupted)
                        progress_show(json_object_get(reply.parameters, "progress"), f->request->duration_s);
                r = GO_ON;
        }
        varlink_reply_deinit(&reply);
        return r;
}

int
follow_complete(json_t *fields)
{
        char id[JOB_ID_DIGITS + 1];
        json_t *cpus;
        int r;

        if (!json_object_get(fields, "id")) {
                r = job_id_make(id);
                if (r < 0)
                        return message_fail(CTL_EXIT_INTERNAL, "no random numbers: %s", strerror(-r));
                json_object_set_new(fields, "id", json_string(id));
        }
        if (!json_object_get(fields, "cpus")) {
                r = cpulist_from_affinity(&cpus);
                if (r < 0)
                        return message_fail(CTL_EXIT_INTERNAL, "cannot read the CPU affinity: %s", strerror(-r));
                json_object_set_new(fields, "cpus", cpus);
        }
        return 0;
}

int
follow_job(struct client *client, const struct follow_request *request)
{
        struct follow f = {.request = request, .client = client, .connected_ns = clock_now_ns()};
        int r = interrupt_catch(&f.wake_fd);

        if (r < 0)
                return message_fail(CTL_EXIT_INTERNAL, "cannot watch for signals: %s", strerror(-r));
        r = send_request(&f);
        if (r < 0)
                return message_fail(CTL_EXIT_INTERNAL, "%s: %s", client->socket, strerror(-r));
        /* A connection that closed while sending may still hold an answer: the first step finds out. */
        do
                r = step(&f);
        while (r == GO_ON);
        if (!request->is_part)
                progress_clear();
        client_free(f.canceller);
        return r;
}
