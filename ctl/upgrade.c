/* SPDX-License-Identifier: MIT */
#include "ctl/upgrade.h"

#include "ctl/exit_code.h"
#include "ctl/field.h"
#include "ctl/message.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define ANSWER_MS 10000
#define LEAVE_MS  5000

int
upgrade_wait_gone(int64_t pid, int timeout_ms)
{
        AUTO_CLOSE int fd = pidfd_open((pid_t)pid, 0);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int n;

        /* No such process: gone already. Another error: there is nothing to wait with. */
        if (fd < 0)
                return 0;
        do
                n = poll(&p, 1, timeout_ms);
        while (n < 0 && errno == EINTR);
        if (n > 0)
                waitpid((pid_t)pid, NULL, WNOHANG); /* when it was a child of ours */
        return n > 0 ? 0 : -ETIMEDOUT;
}

/* Is the daemon on its way out? It then closes the connection, or says so. */
static bool
is_leaving(int result, struct varlink_reply *reply)
{
        if (result == STREAM_E_CLOSED)
                return true;
        if (result != 0 || !reply->error || strcmp(reply->error, "org.concd.ShuttingDown") != 0)
                return false;
        varlink_reply_deinit(reply);
        return true;
}

/* Lets the daemon at the other end leave, and starts the next one. 0, or an exit code, having said what is wrong. */
static int
succeed_leaving(struct client *client)
{
        struct ucred peer;
        socklen_t len = sizeof(peer);

        if (getsockopt(client->stream.fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
                upgrade_wait_gone(peer.pid, LEAVE_MS);
        return client_reopen(client) == 0 ? 0 : CTL_EXIT_NO_DAEMON;
}

/* Makes a call that must succeed; the caller owns *ret. */
static int
ask(struct client *client, const char *method, struct varlink_reply *ret)
{
        struct varlink_reply reply;
        int r = client_call(client, method, NULL, ANSWER_MS, &reply, NULL, NULL);

        if (is_leaving(r, &reply)) {
                r = succeed_leaving(client);
                if (r != 0)
                        return r;
                r = client_call(client, method, NULL, ANSWER_MS, &reply, NULL, NULL);
        }
        if (r != 0)
                return message_fail(CTL_EXIT_NO_DAEMON, "%s: %s", client->socket, stream_error_text(r));
        if (reply.error) {
                r = message_fail(CTL_EXIT_NO_DAEMON, "%s: %s answers %s", client->socket, method, reply.error);
                varlink_reply_deinit(&reply);
                return r;
        }
        *ret = reply;
        return 0;
}

static bool
has_unfinished_jobs(const json_t *status)
{
        size_t i;
        json_t *job;

        json_array_foreach(json_object_get(status, "jobs"), i, job)
        {
                const char *state = field_text(job, "state");

                if (strcmp(state, "queued") == 0 || strcmp(state, "running") == 0)
                        return true;
        }
        return false;
}

static int
replace(struct client *client)
{
        struct varlink_reply reply;
        int64_t pid;
        int r = ask(client, "org.concd.Stop", &reply);

        if (r != 0)
                return r;
        pid = field_int(reply.parameters, "pid");
        varlink_reply_deinit(&reply);
        if (upgrade_wait_gone(pid, LEAVE_MS) != 0)
                return message_fail(CTL_EXIT_NO_DAEMON, "the old daemon, pid %lld, does not leave", (long long)pid);
        return client_reopen(client) == 0 ? 0 : CTL_EXIT_NO_DAEMON;
}

int
upgrade_private(struct client *client)
{
        struct varlink_reply reply;
        char version[64];
        bool is_busy;
        int r = ask(client, "org.varlink.service.GetInfo", &reply);

        if (r != 0)
                return r;
        snprintf(version, sizeof(version), "%s", field_text(reply.parameters, "version"));
        varlink_reply_deinit(&reply);
        if (strcmp(version, CONCD_VERSION) == 0)
                return 0;
        r = ask(client, "org.concd.Status", &reply);
        if (r != 0)
                return r;
        is_busy = has_unfinished_jobs(reply.parameters);
        varlink_reply_deinit(&reply);
        if (!is_busy)
                return replace(client);
        message_print("your private daemon is version %s, this is concctl %s; it has jobs, so it stays for now",
                      version, CONCD_VERSION);
        return 0;
}
