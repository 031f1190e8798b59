/* SPDX-License-Identifier: MIT */
/* What the loader of files (config-file.c) needs of config.c. The messages do not say where a value came from. */
#ifndef CONCD_CONFIG_PRIVATE_H
#define CONCD_CONFIG_PRIVATE_H

#include "config/config-key.h"

/* Makes control characters, which somebody's value brought in, visible. Returns its argument. */
char *config_one_line(char *message);

/* A second configuration like c. 0 or -ENOMEM; on success the caller calls config_deinit() for it. */
int config_copy(struct config *ret, const struct config *c);

/* Sets one value. 0; -EINVAL, -EAGAIN (id_list_parse()) or -ENOMEM, and c is as before. Then *ret_message is malloc'ed,
 * or NULL when memory is out. */
int config_set_key(struct config *c, const struct config_key *key, const char *given, char **ret_message);

/* As config_check(); on -EINVAL the two keys are those that do not fit: *ret_lesser exceeds *ret_greater. */
int config_check_orders(const struct config *c, const struct config_key **ret_lesser,
                        const struct config_key **ret_greater, char **ret_message);

#endif
