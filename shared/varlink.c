/* SPDX-License-Identifier: MIT */
#include "shared/varlink.h"

#include <assert.h>
#include <string.h>

#define ENCODE_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(12))

static int
malformed(const char **why, const char *text)
{
        if (why)
                *why = text;
        return VARLINK_E_MALFORMED;
}

static int
out_of_memory(const char **why)
{
        if (why)
                *why = "out of memory";
        return VARLINK_E_MEMORY;
}

/* Says in a word of ours what jansson found, as its own texts live on the stack of the caller. When memory is
 * out, jansson (2.14) sets no code, or calls what it was reading a syntax error. */
static int
json_failed(const json_error_t *error, const char **why)
{
        switch (json_error_code(error)) {
        case json_error_unknown:
        case json_error_out_of_memory:
                return out_of_memory(why);
        case json_error_stack_overflow:
                return malformed(why, "nested too deeply");
        case json_error_invalid_utf8:
                return malformed(why, "not UTF-8");
        case json_error_premature_end_of_input:
                return malformed(why, "the message ends too early");
        case json_error_end_of_input_expected:
                return malformed(why, "something follows the object");
        case json_error_duplicate_key:
                return malformed(why, "a key occurs twice");
        case json_error_null_character:
        case json_error_null_byte_in_key:
                return malformed(why, "a NUL character");
        case json_error_numeric_overflow:
                return malformed(why, "a number beyond all range");
        default:
                return malformed(why, "not JSON");
        }
}

static int
object_decode(const char *msg, size_t len, json_t **ret, const char **why)
{
        json_error_t error = {};
        json_t *message = json_loadb(msg, len, JSON_REJECT_DUPLICATES, &error);

        if (!message && json_error_code(&error) == json_error_numeric_overflow) {
                error = (json_error_t){};
                message = json_loadb(msg, len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
        }
        if (!message)
                return json_failed(&error, why);
        if (!json_is_object(message)) {
                json_decref(message);
                return malformed(why, "not an object");
        }
        *ret = message;
        return VARLINK_OK;
}

/* One row for each member that a message may have. `text` members are borrowed from the message. */
struct member {
        const char *key;
        enum { MEMBER_TEXT, MEMBER_FLAG, MEMBER_OBJECT } type;
        void *ret; /* const char **, bool *, json_t ** */
};

static const char *
member_take(const struct member *member, json_t *value)
{
        switch (member->type) {
        case MEMBER_TEXT:
                if (!json_is_string(value))
                        return "a name that is not a string";
                *(const char **)member->ret = json_string_value(value);
                return NULL;
        case MEMBER_FLAG:
                if (!json_is_boolean(value))
                        return "a flag that is neither true nor false";
                *(bool *)member->ret = json_is_true(value);
                return NULL;
        case MEMBER_OBJECT:
                if (json_is_null(value))
                        return NULL;
                if (!json_is_object(value))
                        return "parameters that are not an object";
                *(json_t **)member->ret = value;
                return NULL;
        }
        return "a member of no type";
}

static int
members_take(json_t *message, const struct member *members, size_t n_members, const char **why)
{
        const char *key;
        json_t *value;

        json_object_foreach(message, key, value)
        {
                const char *wrong = "an unknown key";

                for (size_t i = 0; i < n_members; i++)
                        if (strcmp(key, members[i].key) == 0)
                                wrong = member_take(&members[i], value);
                if (wrong)
                        return malformed(why, wrong);
        }
        return VARLINK_OK;
}

/* A reference of the caller's own, to an empty object when there are no parameters. */
static json_t *
parameters_own(json_t *parameters)
{
        return parameters ? json_incref(parameters) : json_object();
}

/* Reads a message and takes its members; they point into *ret, which the caller owns, also after a failure. */
static int
message_decode(const char *msg, size_t len, const struct member *members, size_t n, json_t **ret, const char **why)
{
        int r = object_decode(msg, len, ret, why);

        return r == VARLINK_OK ? members_take(*ret, members, n, why) : r;
}

int
varlink_call_decode(const char *msg, size_t len, struct varlink_call *ret, const char **why)
{
        AUTO_JSON json_t *message = NULL;
        struct varlink_call call = {};
        const char *method = NULL;
        json_t *parameters = NULL;
        const struct member members[] = {
                {"method", MEMBER_TEXT, &method},        {"parameters", MEMBER_OBJECT, &parameters},
                {"oneway", MEMBER_FLAG, &call.oneway},   {"more", MEMBER_FLAG, &call.more},
                {"upgrade", MEMBER_FLAG, &call.upgrade},
        };

        if (len >= VARLINK_MESSAGE_MAX)
                return malformed(why, "longer than a message may be");

        int r = message_decode(msg, len, members, ARRAY_SIZE(members), &message, why);

        if (r != VARLINK_OK)
                return r;
        if (!method || !*method)
                return malformed(why, "no method");
        if (call.oneway + call.more + call.upgrade > 1)
                return malformed(why, "more than one of oneway, more and upgrade");

        call.method = strdup(method);
        call.parameters = parameters_own(parameters);
        if (!call.method || !call.parameters) {
                varlink_call_deinit(&call);
                return out_of_memory(why);
        }
        *ret = call;
        return VARLINK_OK;
}

void
varlink_call_deinit(struct varlink_call *call)
{
        free(call->method);
        json_decref(call->parameters);
}

int
varlink_reply_decode(const char *msg, size_t len, struct varlink_reply *ret, const char **why)
{
        AUTO_JSON json_t *message = NULL;
        struct varlink_reply reply = {};
        const char *error = NULL;
        json_t *parameters = NULL;
        const struct member members[] = {
                {"parameters", MEMBER_OBJECT, &parameters},
                {"error", MEMBER_TEXT, &error},
                {"continues", MEMBER_FLAG, &reply.continues},
        };
        int r = message_decode(msg, len, members, ARRAY_SIZE(members), &message, why);

        if (r != VARLINK_OK)
                return r;
        if (error && !varlink_method_is_valid(error))
                return malformed(why, "an error without a qualified name");

        reply.error = error ? strdup(error) : NULL;
        reply.parameters = parameters_own(parameters);
        if ((error && !reply.error) || !reply.parameters) {
                varlink_reply_deinit(&reply);
                return out_of_memory(why);
        }
        *ret = reply;
        return VARLINK_OK;
}

void
varlink_reply_deinit(struct varlink_reply *reply)
{
        free(reply->error);
        json_decref(reply->parameters);
}

/* Adds a member that the message may go without: NULL and false are left out. */
static int
put_text(json_t *message, const char *key, const char *text)
{
        return text ? json_object_set_new(message, key, json_string(text)) : 0;
}

static int
put_flag(json_t *message, const char *key, bool flag)
{
        return flag ? json_object_set_new(message, key, json_true()) : 0;
}

static int
put_parameters(json_t *message, json_t *parameters)
{
        return parameters ? json_object_set(message, "parameters", parameters) : 0;
}

/* Measured first, then written: json_dumps() of jansson 2.14 leaves keys out of the text, and says nothing, when it
 * gets no memory for them. */
static char *
message_encode(json_t *message, size_t *ret_len)
{
        size_t len = json_dumpb(message, NULL, 0, ENCODE_FLAGS);
        AUTO_FREE char *text = len > 0 ? malloc(len + 1) : NULL;

        if (!text || json_dumpb(message, text, len, ENCODE_FLAGS) != len)
                return NULL;
        text[len] = '\0';
        *ret_len = len + 1;
        return TAKE(text);
}

char *
varlink_call_encode(const char *method, json_t *parameters, bool more, bool oneway, size_t *ret_len)
{
        AUTO_JSON json_t *message = json_object();

        assert(!(more && oneway));
        if (put_text(message, "method", method) < 0 || put_parameters(message, parameters) < 0 ||
            put_flag(message, "more", more) < 0 || put_flag(message, "oneway", oneway) < 0)
                return NULL;
        return message_encode(message, ret_len);
}

char *
varlink_reply_encode(const char *error, json_t *parameters, bool continues, size_t *ret_len)
{
        AUTO_JSON json_t *message = json_object();

        if (put_text(message, "error", error) < 0 || put_parameters(message, parameters) < 0 ||
            put_flag(message, "continues", continues) < 0)
                return NULL;
        return message_encode(message, ret_len);
}

static bool
is_upper(char c)
{
        return c >= 'A' && c <= 'Z';
}

static bool
is_alpha(char c)
{
        return is_upper(c) || (c >= 'a' && c <= 'z');
}

static bool
is_alnum(char c)
{
        return is_alpha(c) || (c >= '0' && c <= '9');
}

/* One element of an interface's name: letters, digits, and hyphens only between those. */
static bool
element_is_valid(const char *s, size_t len)
{
        if (len == 0 || !is_alnum(s[0]) || !is_alnum(s[len - 1]))
                return false;
        for (size_t i = 0; i < len; i++)
                if (!is_alnum(s[i]) && s[i] != '-')
                        return false;
        return true;
}

bool
varlink_method_is_valid(const char *name)
{
        const char *dot = strrchr(name, '.');
        unsigned elements = 0;

        if (!dot || !is_alpha(name[0]) || !is_upper(dot[1]))
                return false;
        for (const char *c = dot + 1; *c; c++)
                if (!is_alnum(*c))
                        return false;

        for (const char *s = name; s <= dot; elements++) {
                size_t len = strcspn(s, ".");

                if (!element_is_valid(s, len))
                        return false;
                s += len + 1;
        }
        return elements >= 2;
}
