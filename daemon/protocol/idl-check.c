/* SPDX-License-Identifier: MIT */
/* Holds JSON values to the types of an interface. */
#include "protocol/idl-private.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define PATH_KEY_MAX 64     /* bytes of a client's own key in a field path */
#define REAL_INT_MAX 0x1p53 /* every integer up to here has a double of its own */

/* Where in a message the checker stands: a list through the stack, from the inside out. */
struct place {
        const struct place *outer;
        const char *key; /* NULL in an array */
        size_t index;
};

struct mismatch {
        char *field, *expected;
        json_t *given;
};

/* A client may send keys of any length; what is cut off ends at a whole UTF-8 character. */
static void
print_key(FILE *f, const char *key)
{
        size_t len = strlen(key);

        if (len <= PATH_KEY_MAX) {
                fputs(key, f);
                return;
        }
        for (len = PATH_KEY_MAX; len > 0 && ((unsigned char)key[len] & 0xc0) == 0x80;)
                len--;
        fprintf(f, "%.*s…", (int)len, key);
}

static void
print_place(FILE *f, const struct place *at)
{
        if (!at)
                return;
        print_place(f, at->outer);
        if (at->key) {
                fputs(at->outer ? "." : "", f);
                print_key(f, at->key);
        } else {
                fprintf(f, "[%zu]", at->index);
        }
}

static void
print_type(FILE *f, const struct type *t, bool outermost)
{
        /* At the top "?" is left out: null is never the value that does not fit. */
        if (t->nullable && !outermost)
                fputc('?', f);
        switch (t->kind) {
        case TYPE_NAMED:
                fputs(t->name, f);
                return;
        case TYPE_ARRAY:
        case TYPE_MAP:
                fputs(t->kind == TYPE_ARRAY ? "[]" : "[string]", f);
                print_type(f, t->inner, false);
                return;
        case TYPE_STRUCT:
        case TYPE_ENUM:
                fputc('(', f);
                for (const struct field *field = t->fields; field; field = field->next) {
                        fprintf(f, "%s%s", field->name, field->type ? ": " : "");
                        if (field->type)
                                print_type(f, field->type, false);
                        fputs(field->next ? ", " : "", f);
                }
                fputc(')', f);
                return;
        default:
                fputs(idl_type_words[t->kind], f);
        }
}

/* An enum is what must be chosen from, so its name alone would not help. */
static const struct type *
type_to_show(const struct type *t)
{
        return t->kind == TYPE_NAMED && t->inner->kind == TYPE_ENUM ? t->inner : t;
}

static char *
place_text(const struct place *at)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        print_place(f, at);
        fclose(f);
        return text;
}

static char *
type_text(const struct type *t)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        print_type(f, type_to_show(t), true);
        fclose(f);
        return text;
}

/* `expected` NULL: the field is unknown. `given` NULL: it is missing. Returns false. */
static bool
mismatch(struct mismatch *m, const struct place *at, const struct type *expected, json_t *given)
{
        m->field = place_text(at);
        m->expected = expected ? type_text(expected) : NULL;
        m->given = given;
        return false;
}

static bool check_value(const struct type *t, json_t *value, const struct place *at, struct mismatch *m);

/* The integer that stands for an integral real where the declaration says int; NULL where nothing is to be changed.
 * Failing for want of memory leaves the real. */
static json_t *
as_declared(const struct type *t, const json_t *value)
{
        return t->kind == TYPE_INT && json_is_real(value) ? json_integer((json_int_t)json_real_value(value)) : NULL;
}

static void
set_as_declared(const struct type *t, json_t *object, const char *key, const json_t *element)
{
        json_t *integer = as_declared(t, element);

        if (integer)
                json_object_set_new_nocheck(object, key, integer); /* a key that is there: safe within a foreach */
}

static bool
check_struct(const struct type *t, json_t *value, const struct place *at, struct mismatch *m)
{
        const char *key;
        json_t *element;

        json_object_foreach(value, key, element)
        {
                const struct field *f = idl_find_field(t->fields, key);
                struct place here = {.outer = at, .key = key};

                if (!f)
                        return mismatch(m, &here, NULL, element);
                if (!check_value(f->type, element, &here, m))
                        return false;
                set_as_declared(f->type, value, key, element);
        }
        for (const struct field *f = t->fields; f; f = f->next) {
                struct place here = {.outer = at, .key = f->name};

                if (!f->type->nullable && !json_object_get(value, f->name))
                        return mismatch(m, &here, f->type, NULL);
        }
        return true;
}

static bool
check_map(const struct type *t, json_t *value, const struct place *at, struct mismatch *m)
{
        const char *key;
        json_t *element;

        json_object_foreach(value, key, element)
        {
                struct place here = {.outer = at, .key = key};

                if (!check_value(t->inner, element, &here, m))
                        return false;
                set_as_declared(t->inner, value, key, element);
        }
        return true;
}

static bool
check_array(const struct type *t, json_t *value, const struct place *at, struct mismatch *m)
{
        for (size_t i = 0; i < json_array_size(value); i++) {
                struct place here = {.outer = at, .index = i};
                json_t *element = json_array_get(value, i), *integer;

                if (!check_value(t->inner, element, &here, m))
                        return false;
                integer = as_declared(t->inner, element);
                if (integer)
                        json_array_set_new(value, i, integer);
        }
        return true;
}

static bool
is_int(const json_t *value)
{
        double r = json_real_value(value);

        return json_is_integer(value) || (json_is_real(value) && fabs(r) <= REAL_INT_MAX && r == (double)(int64_t)r);
}

/* Is the value of the right JSON kind? What is inside it is not looked at. */
static bool
fits_kind(const struct type *t, const json_t *value)
{
        switch (t->kind) {
        case TYPE_BOOL:
                return json_is_boolean(value);
        case TYPE_INT:
                return is_int(value);
        case TYPE_FLOAT:
                return json_is_number(value);
        case TYPE_STRING:
                return json_is_string(value);
        case TYPE_ANY:
                return !json_is_null(value);
        case TYPE_ARRAY:
                return json_is_array(value);
        case TYPE_OBJECT:
        case TYPE_MAP:
        case TYPE_STRUCT:
                return json_is_object(value);
        case TYPE_ENUM:
                return json_is_string(value) && idl_find_field(t->fields, json_string_value(value));
        case TYPE_NAMED:
                return fits_kind(t->inner, value);
        }
        return false;
}

static bool
check_value(const struct type *t, json_t *value, const struct place *at, struct mismatch *m)
{
        const struct type *meant = t->kind == TYPE_NAMED ? t->inner : t;

        if (t->nullable && json_is_null(value))
                return true;
        if (!fits_kind(meant, value))
                return mismatch(m, at, t, value);
        switch (meant->kind) {
        case TYPE_STRUCT:
                return check_struct(meant, value, at, m);
        case TYPE_MAP:
                return check_map(meant, value, at, m);
        case TYPE_ARRAY:
                return check_array(meant, value, at, m);
        default:
                return true;
        }
}

/* -ENOENT: there is no such member. */
static int
check_member(const struct idl *idl, enum member_kind kind, const char *name, bool output, json_t *parameters,
             struct mismatch *ret)
{
        const struct member *member = idl_find_member(idl, name);

        if (!member || member->kind != kind)
                return -ENOENT;
        return check_value(output ? member->output : member->type, parameters, NULL, ret) ? 0 : -EINVAL;
}

static int
hand_out(int r, struct mismatch *m, char **ret_field, char **ret_expected)
{
        if (r == -EINVAL) {
                *ret_field = m->field;
                *ret_expected = m->expected;
        }
        return r;
}

int
idl_check_input(const struct idl *idl, const char *method, json_t *parameters, char **ret_field, char **ret_expected,
                json_t **ret_given)
{
        struct mismatch m = {0};
        int r = check_member(idl, MEMBER_METHOD, method, false, parameters, &m);

        if (r == -EINVAL)
                *ret_given = m.given;
        return hand_out(r, &m, ret_field, ret_expected);
}

int
idl_check_output(const struct idl *idl, const char *method, json_t *parameters, char **ret_field, char **ret_expected)
{
        struct mismatch m = {0};

        return hand_out(check_member(idl, MEMBER_METHOD, method, true, parameters, &m), &m, ret_field, ret_expected);
}

int
idl_check_error(const struct idl *idl, const char *error, json_t *parameters, char **ret_field, char **ret_expected)
{
        struct mismatch m = {0};

        return hand_out(check_member(idl, MEMBER_ERROR, error, false, parameters, &m), &m, ret_field, ret_expected);
}
