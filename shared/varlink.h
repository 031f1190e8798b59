/* SPDX-License-Identifier: MIT */
/*
 * Varlink messages (UAPI.20): JSON objects in UTF-8, each ended by one NUL byte. Encoding and decoding only;
 * who moves the bytes is somebody else. Pure functions, thread safe, no global state.
 */
#ifndef CONCD_VARLINK_H
#define CONCD_VARLINK_H

#include "base.h"

#include <stdbool.h>

/* A message, including its NUL, may not be longer than this; the daemon can be configured to less. */
#define VARLINK_MESSAGE_MAX (1024 * 1024)

/* Positive results of decoding. */
enum varlink_error {
        VARLINK_OK = 0,
        VARLINK_E_MALFORMED, /* not one JSON object in UTF-8 of the required form: close the connection */
        VARLINK_E_MEMORY,
};

struct varlink_call {
        char *method;       /* "org.concd.Run" */
        json_t *parameters; /* an object, never NULL */
        bool oneway, more, upgrade;
};

struct varlink_reply {
        json_t *parameters; /* an object, never NULL */
        char *error;        /* qualified name, or NULL */
        bool continues;
};

/* Reads one message without its NUL. Duplicate keys, a second value, anything behind the object, keys other than
 * the specified ones, wrong types, more than one of oneway, more and upgrade: malformed. `why`, when given,
 * receives a static text that says what is wrong. On success the caller owns *ret and calls ..._deinit(). */
int varlink_call_decode(const char *msg, size_t len, struct varlink_call *ret, const char **why);
void varlink_call_deinit(struct varlink_call *call);

int varlink_reply_decode(const char *msg, size_t len, struct varlink_reply *ret, const char **why);
void varlink_reply_deinit(struct varlink_reply *reply);

/* Writes one message; its last byte is the NUL and *ret_len counts it. `parameters` may be NULL for none and is
 * not consumed. Returns a malloc'ed buffer, or NULL when out of memory. */
char *varlink_call_encode(const char *method, json_t *parameters, bool more, bool oneway, size_t *ret_len);
char *varlink_reply_encode(const char *error, json_t *parameters, bool continues, size_t *ret_len);

/* Is it <interface>.<Method> with the grammar of the specification? */
bool varlink_method_is_valid(const char *name);

#endif
