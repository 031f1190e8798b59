/* SPDX-License-Identifier: MIT */
#include "supervisor/settings.h"

#include "build-config.h"
#include "shared/log.h"
#include "supervisor/instance.h"

#include <errno.h>
#include <string.h>

#define DEFAULT_CONFIG CONCD_SYSCONFDIR "/concd.conf"

/* What a private daemon has for defaults of its own. */
static const char *const private_settings[][2] = {
        {"daemon.idle_exit", "60s"},
        {"daemon.socket_mode", "0600"},
        {"jobs.deadline", "0"}, /* whoever it serves blocks only himself */
};

/* Says what is wrong, but for memory, and makes settings_load()'s result of a configuration's. */
static int
fail(int r, const char *message)
{
        if (r == -ENOMEM)
                return r;
        log_error("%s", message ? message : "out of memory");
        return r == -EAGAIN ? r : SETTINGS_E_INVALID;
}

static int
apply_one(struct config *c, const char *name, const char *value)
{
        AUTO_FREE char *message = NULL;
        int r = config_set(c, name, value, &message);

        return r == 0 ? 0 : fail(r, message);
}

/* --set section.key=value */
static int
apply_setting(struct config *c, const char *setting)
{
        AUTO_FREE char *name = strdup(setting);
        char *equals = name ? strchr(name, '=') : NULL;

        if (!equals) {
                log_error("--set: given \"%s\", allowed section.key=value", setting);
                return SETTINGS_E_INVALID;
        }
        *equals = 0;
        return apply_one(c, name, equals + 1);
}

static int
apply_private(const struct settings_options *o, struct config *c)
{
        char name[36];
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(private_settings) && r == 0; i++)
                r = apply_one(c, private_settings[i][0], private_settings[i][1]);
        if (r == 0 && o->socket) {
                instance_private_name(name, sizeof(name), o->socket);
                r = apply_one(c, "daemon.instance", name);
        }
        return r;
}

/* The file of the options; else the default file, but for a private daemon, if it exists. */
static const char *
config_file(const struct settings_options *o)
{
        if (o->config_path)
                return o->config_path;
        return !o->private_daemon && access(DEFAULT_CONFIG, F_OK) == 0 ? DEFAULT_CONFIG : NULL;
}

static int
load_over_defaults(const struct settings_options *o, struct config *c, const char *path)
{
        AUTO_FREE char *message = NULL;
        int r = o->private_daemon ? apply_private(o, c) : 0;

        if (r == 0 && path) {
                r = config_load(c, path, &message);
                if (r < 0)
                        return fail(r, message);
        }
        for (const char **set = o->settings; r == 0 && set && *set; set++)
                r = apply_setting(c, *set);
        if (r == 0 && o->instance)
                r = apply_one(c, "daemon.instance", o->instance);
        if (r == 0 && o->socket)
                r = apply_one(c, "daemon.socket", o->socket);
        if (r == 0) {
                r = config_check(c, &message);
                if (r < 0)
                        return fail(r, message);
        }
        return r;
}

int
settings_load(const struct settings_options *options, struct config *ret, char **ret_path)
{
        const char *path = config_file(options);
        AUTO_FREE char *copy = path ? strdup(path) : NULL;
        struct config c;
        int r;

        if ((path && !copy) || config_init(&c) < 0)
                return -ENOMEM;
        r = load_over_defaults(options, &c, path);
        if (r != 0) {
                config_deinit(&c);
                return r;
        }
        *ret = c;
        *ret_path = TAKE(copy);
        return 0;
}
