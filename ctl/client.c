/* SPDX-License-Identifier: MIT */
#include "ctl/client.h"

#include "ctl/autostart.h"
#include "ctl/exit_code.h"
#include "ctl/message.h"
#include "ctl/place.h"
#include "ctl/upgrade.h"

#include <errno.h>
#include <string.h>

static struct client *
client_new(const char *socket, const char *private_dir, int fd)
{
        struct client *c = calloc(1, sizeof(*c));

        if (!c) {
                close(fd);
                return NULL;
        }
        c->stream = (struct stream)STREAM_INIT(fd);
        c->socket = strdup(socket);
        c->private_dir = private_dir ? strdup(private_dir) : NULL;
        if (!c->socket || (private_dir && !c->private_dir)) {
                client_free(c);
                return NULL;
        }
        return c;
}

void
client_free(struct client *client)
{
        if (!client)
                return;
        stream_deinit(&client->stream);
        free(client->socket);
        free(client->private_dir);
        free(client);
}

static int
own(const char *socket, const char *private_dir, int fd, struct client **ret)
{
        *ret = client_new(socket, private_dir, fd);
        return *ret ? 0 : message_fail(CTL_EXIT_INTERNAL, "out of memory");
}

/* Why a daemon at a given place cannot be used. */
static int
refuse(const char *socket, int error)
{
        if (error == PLACE_E_FOREIGN || error == -EACCES || error == -EPERM)
                return message_fail(CTL_EXIT_NOT_PERMITTED, "%s: %s", socket, place_error_text(error));
        return message_fail(CTL_EXIT_NO_DAEMON, "no daemon at %s: %s", socket, place_error_text(error));
}

/* `origin` is where the name comes from. */
static int
open_named(const char *origin, const char *socket, struct client **ret)
{
        int fd, r = place_connect(socket, &fd);

        if (r == PLACE_E_LONG)
                return message_fail(CTL_EXIT_USAGE, "%s: given \"%s\", a path of %zu bytes, allowed at most %d", origin,
                                    socket, strlen(socket), PLACE_PATH_MAX);
        return r == 0 ? own(socket, NULL, fd, ret) : refuse(socket, r);
}

static bool
is_absent(int error)
{
        return error == -ENOENT || error == -ENOTDIR || error == -ECONNREFUSED;
}

/* *ret stays NULL when there is no daemon for the whole system, or not for this user. */
static int
open_system(enum client_start start, struct client **ret)
{
        int fd, r = place_connect(PLACE_SYSTEM_SOCKET, &fd);

        if (r == 0)
                return own(PLACE_SYSTEM_SOCKET, NULL, fd, ret);
        if (is_absent(r))
                return 0;
        if (r == -EACCES || r == -EPERM) {
                message_print("%s: %s (members of its group may); %s your private daemon", PLACE_SYSTEM_SOCKET,
                              place_error_text(r), start == CLIENT_AUTOSTART ? "going on with" : "looking for");
                return 0;
        }
        return refuse(PLACE_SYSTEM_SOCKET, r);
}

static int
open_private(enum client_start start, struct client **ret)
{
        AUTO_FREE char *dir = NULL, *socket = NULL;
        int fd, r = place_private_dir(start == CLIENT_AUTOSTART, &dir);

        if (r == -ENOENT)
                return message_fail(CTL_EXIT_NO_DAEMON, "no daemon is running");
        if (r != 0)
                return r;
        if (asprintf(&socket, "%s/concd.sock", dir) < 0)
                return message_fail(CTL_EXIT_INTERNAL, "out of memory");
        if (start == CLIENT_AUTOSTART) {
                r = autostart_connect(dir, socket, &fd);
                if (r == 0)
                        r = own(socket, dir, fd, ret);
                return r == 0 ? upgrade_private(*ret) : r;
        }
        r = place_connect(socket, &fd);
        if (is_absent(r))
                return message_fail(CTL_EXIT_NO_DAEMON, "no daemon is running");
        return r == 0 ? own(socket, dir, fd, ret) : refuse(socket, r);
}

int
client_open(const char *socket, enum client_start start, struct client **ret)
{
        AUTO_CLIENT struct client *client = NULL;
        const char *named = socket ? socket : getenv("CONCD_SOCKET");
        int r;

        if (named && *named) {
                r = open_named(socket ? "--socket" : "$CONCD_SOCKET", named, &client);
        } else {
                r = open_system(start, &client);
                if (r == 0 && !client)
                        r = open_private(start, &client);
        }
        if (r == 0)
                *ret = TAKE(client);
        return r;
}

int
client_open_second(const struct client *client, struct client **ret)
{
        int fd, r = place_connect(client->socket, &fd);

        if (r != 0)
                return r;
        *ret = client_new(client->socket, client->private_dir, fd);
        return *ret ? 0 : -ENOMEM;
}

int
client_reopen(struct client *client)
{
        int fd, r;

        stream_deinit(&client->stream);
        if (client->private_dir)
                r = autostart_connect(client->private_dir, client->socket, &fd) == 0 ? 0 : -ECANCELED;
        else
                r = place_connect(client->socket, &fd);
        if (r == 0)
                client->stream = (struct stream)STREAM_INIT(fd);
        return r;
}

int
client_call(struct client *client, const char *method, json_t *parameters, int timeout_ms, struct varlink_reply *ret,
            const char **ret_raw, size_t *ret_len)
{
        int r = stream_send(&client->stream, method, parameters, false, NULL);

        /* A daemon that turns a caller away answers and closes without reading: the answer is still to be had. */
        if (r != 0 && r != STREAM_E_CLOSED)
                return r;
        return stream_receive(&client->stream, -1, timeout_ms, ret, ret_raw, ret_len);
}
