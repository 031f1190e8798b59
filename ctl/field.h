/* SPDX-License-Identifier: MIT */
/* Reading the daemon's replies: a field that is missing or null reads as "nothing" (0, "", false). Pure. */
#ifndef CONCCTL_FIELD_H
#define CONCCTL_FIELD_H

#include "shared/base.h"

#include <stdbool.h>

bool field_is_set(const json_t *object, const char *key); /* there, and not null */
const char *field_text(const json_t *object, const char *key);
int64_t field_int(const json_t *object, const char *key);
double field_real(const json_t *object, const char *key);
bool field_bool(const json_t *object, const char *key);

/* The bytes of a value inside one message, as they were sent: from the outermost object down the keys of `path` (ended
 * by NULL). The message must have been decoded before, so that it is known to be JSON. False when there is no such
 * member, or it is null. */
bool field_slice(const char *msg, size_t len, const char *const *path, const char **ret, size_t *ret_len);

#endif
