/* SPDX-License-Identifier: MIT */
/*
 * Varlink messages (UAPI.20): JSON objects in UTF-8, each ended by one NUL byte. A NUL cannot occur within: JSON
 * writes the character as \u0000, which jansson refuses. Encoding and decoding only; who moves the bytes is
 * somebody else. Pure functions, thread safe, no global state.
 *
 * Numbers: whole ones are 64 bits with sign. A larger one in a message does not make it malformed: then all numbers
 * of that message arrive as reals, so that whoever checks the parameters can name the field (up to the range of a
 * double; beyond that, 400 digits say, it is malformed). Reals are written with 12 significant digits.
 *
 * Memory: jansson 2.14's reader does not notice every allocation that fails; then a message can be called malformed,
 * or lose characters. Who must exclude that gives jansson an allocator that does not return without memory.
 */
#ifndef CONCD_VARLINK_H
#define CONCD_VARLINK_H

#include "base.h"

#include <stdbool.h>

/* A call, including its NUL, may not be longer than this; the daemon can be configured to less. Replies have no such
 * limit: a list of all jobs may be long. */
#define VARLINK_MESSAGE_MAX (1024 * 1024)

/* Results of decoding; positive, so that they cannot be taken for an errno. */
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

/* Reads one message, given without its NUL. Malformed: not UTF-8, duplicate keys anywhere, anything but blanks around
 * the object, nesting of more than 2048, keys other than the specified ones, wrong types (only `parameters` may be
 * null, which is as absent), no or an empty method, more than one of oneway, more and upgrade true, an error that is
 * not a qualified name. Whether a method's name is well formed is for the caller to ask.
 * On success the caller owns *ret and calls ..._deinit(); else *ret is untouched and `why`, when given,
 * receives a static text that says what is wrong. */
int varlink_call_decode(const char *msg, size_t len, struct varlink_call *ret, const char **why);
/* Frees what decoding made; the structure's own memory is the caller's. */
void varlink_call_deinit(struct varlink_call *call);

int varlink_reply_decode(const char *msg, size_t len, struct varlink_reply *ret, const char **why);
void varlink_reply_deinit(struct varlink_reply *reply);

/* Writes one message in its shortest form; its last byte is the NUL and *ret_len counts it. `parameters` (an object)
 * may be NULL for none and is neither consumed nor changed. At most one of more and oneway. `error` is a qualified
 * name, or NULL. Returns a malloc'ed buffer, or NULL (*ret_len untouched) when out of memory, or when the
 * parameters contain themselves. */
char *varlink_call_encode(const char *method, json_t *parameters, bool more, bool oneway, size_t *ret_len);
char *varlink_reply_encode(const char *error, json_t *parameters, bool continues, size_t *ret_len);

/* Is it <interface>.<Method> with the grammar of the specification, as "org.varlink.service.GetInfo"? Errors have the
 * same form. */
bool varlink_method_is_valid(const char *name);

#endif
