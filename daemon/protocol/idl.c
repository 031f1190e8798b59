/* SPDX-License-Identifier: MIT */
/*
 * The grammar is that of the Varlink specification (UAPI.20), section "Grammar":
 *
 *   interface   "interface" interface_name, then members, each on a line of its own
 *   member      "type" name (struct | enum)
 *               "method" name struct "->" struct
 *               "error" name struct
 *   type        ["?"] ("[]" type | "[string]" type | element); "?" not twice in a row
 *   element     struct | enum | name | "bool" | "int" | "float" | "string" | "object" | "any"
 *   struct      "(" [field_name ":" type, …] ")"
 *   enum        "(" field_name, … ")"
 *
 * White space and comments ("#" to the end of the line) may stand between any two tokens. Members are recognised by
 * recursive descent with one character of look-ahead; names of types are resolved when all members are known.
 *
 * All nodes of one interface are allocated from its list of allocations and live as long as it does.
 */
#include "protocol/idl.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#define NESTING_MAX 64           /* of types in the text, so that no text can exhaust the stack */
#define PATH_KEY_MAX 64          /* bytes of a client's own key in a field path */
#define REAL_INT_MAX 0x1p53      /* every integer up to here has a double of its own */
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

enum type_kind {
        TYPE_BOOL,
        TYPE_INT,
        TYPE_FLOAT,
        TYPE_STRING,
        TYPE_OBJECT,
        TYPE_ANY,
        TYPE_NAMED,
        TYPE_ARRAY,
        TYPE_MAP,
        TYPE_STRUCT,
        TYPE_ENUM,
};

static const char *const type_words[] = {
        [TYPE_BOOL] = "bool", [TYPE_INT] = "int",       [TYPE_FLOAT] = "float", [TYPE_STRING] = "string",
        [TYPE_OBJECT] = "object", [TYPE_ANY] = "any",
};

struct type {
        enum type_kind kind;
        bool nullable;
        unsigned line;
        const char *name;         /* NAMED */
        const struct type *inner; /* ARRAY, MAP: of the elements; NAMED: what the name stands for */
        struct field *fields;     /* STRUCT, ENUM */
};

struct field {
        const char *name;
        const struct type *type; /* NULL in an enum */
        struct field *next;
};

enum member_kind { MEMBER_TYPE, MEMBER_METHOD, MEMBER_ERROR };

struct member {
        enum member_kind kind;
        const char *name;
        const struct type *type;   /* a method's input */
        const struct type *output; /* of a method */
        struct member *next;
};

struct allocation {
        struct allocation *next;
        max_align_t data[];
};

struct idl {
        const char *text, *name;
        struct member *members;
        struct allocation *allocations;
};

struct parser {
        struct idl *idl;
        const char *at;
        unsigned line, nesting;
        char *message;
        struct type **named; /* all uses of names, resolved at the end */
        size_t n_named;
};

static const struct type *parse_type(struct parser *p);

static void *
idl_alloc(struct idl *idl, size_t size)
{
        struct allocation *a = calloc(1, sizeof(*a) + size);

        if (!a)
                return NULL;
        a->next = idl->allocations;
        idl->allocations = a;
        return a->data;
}

/* ── parsing ── */

/* Notes the first error. Returns NULL, so that parsers can `return fail(…)`. */
static void *PRINTF_LIKE(3, 4) fail(struct parser *p, unsigned line, const char *fmt, ...)
{
        AUTO_FREE char *what = NULL;
        va_list ap;

        if (p->message)
                return NULL;
        va_start(ap, fmt);
        if (vasprintf(&what, fmt, ap) < 0)
                what = NULL;
        va_end(ap);
        if (!what || asprintf(&p->message, "line %u: %s", line, what) < 0)
                p->message = strdup("out of memory");
        return NULL;
}

static void *
fail_memory(struct parser *p)
{
        if (!p->message)
                p->message = strdup("out of memory");
        return NULL;
}

static void
skip_space(struct parser *p)
{
        for (;; p->at++) {
                if (*p->at == '#')
                        p->at += strcspn(p->at, "\n");
                if (*p->at == '\n')
                        p->line++;
                else if (*p->at != ' ' && *p->at != '\t' && *p->at != '\r')
                        return;
        }
}

/* Takes `token` if it comes next, whatever follows it. */
static bool
accept(struct parser *p, const char *token)
{
        size_t len = strlen(token);

        skip_space(p);
        if (strncmp(p->at, token, len) != 0)
                return false;
        p->at += len;
        return true;
}

static bool
expect(struct parser *p, const char *token)
{
        if (accept(p, token))
                return true;
        fail(p, p->line, "'%s' expected", token);
        return false;
}

/* Takes the longest run of `characters`; NULL when there is none. */
static const char *
accept_run(struct parser *p, const char *characters)
{
        size_t len;
        char *run;

        skip_space(p);
        len = strspn(p->at, characters);
        if (len == 0)
                return NULL;
        run = idl_alloc(p->idl, len + 1);
        if (!run)
                return fail_memory(p);
        memcpy(run, p->at, len);
        p->at += len;
        return run;
}

static bool
is_field_name(const char *s)
{
        size_t len = strlen(s);

        return strchr(LETTERS, s[0]) && s[len - 1] != '_' && !strstr(s, "__");
}

static bool
is_name(const char *s)
{
        return s[0] >= 'A' && s[0] <= 'Z' && !strchr(s, '_');
}

static bool
is_interface_name(const char *s)
{
        char before = '.';
        unsigned dots = 0;

        if (!strchr(LETTERS, s[0]))
                return false;
        for (; *s; before = *s++) {
                dots += *s == '.';
                if ((*s == '.' && (before == '.' || before == '-')) || (*s == '-' && before == '.'))
                        return false;
        }
        return dots > 0 && before != '.' && before != '-';
}

static const char *
parse_field_name(struct parser *p)
{
        const char *name = accept_run(p, LETTERS DIGITS "_");

        if (!name)
                return fail(p, p->line, "name of a field expected");
        if (!is_field_name(name))
                return fail(p, p->line, "'%s' is not a name of a field", name);
        return name;
}

static const char *
parse_name(struct parser *p, const char *what)
{
        const char *name = accept_run(p, LETTERS DIGITS "_");

        if (!name)
                return fail(p, p->line, "name of %s expected", what);
        if (!is_name(name))
                return fail(p, p->line, "'%s' is not a name of %s", name, what);
        return name;
}

static struct type *
type_new(struct parser *p, enum type_kind kind)
{
        struct type *t = idl_alloc(p->idl, sizeof(*t));

        if (!t)
                return fail_memory(p);
        t->kind = kind;
        t->line = p->line;
        return t;
}

static const struct field *
find_field(const struct field *fields, const char *name)
{
        for (const struct field *f = fields; f; f = f->next)
                if (strcmp(f->name, name) == 0)
                        return f;
        return NULL;
}

/* One field or one name of an enum; which of the two it is must agree with the first of the list. */
static struct field *
parse_field(struct parser *p, struct type *list)
{
        struct field *f = idl_alloc(p->idl, sizeof(*f));
        bool typed;

        if (!f)
                return fail_memory(p);
        f->name = parse_field_name(p);
        if (!f->name)
                return NULL;
        if (find_field(list->fields, f->name))
                return fail(p, p->line, "'%s' appears twice", f->name);
        typed = accept(p, ":");
        if (!list->fields)
                list->kind = typed ? TYPE_STRUCT : TYPE_ENUM;
        if (typed != (list->kind == TYPE_STRUCT))
                return fail(p, p->line, "'%s': a list is either of fields with types or of names", f->name);
        if (typed) {
                f->type = parse_type(p);
                if (!f->type)
                        return NULL;
        }
        return f;
}

/* A struct or an enum, behind its "(". */
static struct type *
parse_list(struct parser *p)
{
        struct type *t = type_new(p, TYPE_STRUCT);
        struct field **end;

        if (!t || accept(p, ")"))
                return t;
        end = &t->fields;
        do {
                struct field *f = parse_field(p, t);

                if (!f)
                        return NULL;
                *end = f;
                end = &f->next;
        } while (accept(p, ","));
        return expect(p, ")") ? t : NULL;
}

static struct type *
parse_word_type(struct parser *p)
{
        const char *word = accept_run(p, LETTERS DIGITS "_");
        struct type *t, **named;

        if (!word)
                return fail(p, p->line, "type expected");
        for (size_t i = 0; i < ARRAY_SIZE(type_words); i++)
                if (strcmp(word, type_words[i]) == 0)
                        return type_new(p, (enum type_kind)i);
        if (!is_name(word))
                return fail(p, p->line, "'%s' is not a type", word);
        t = type_new(p, TYPE_NAMED);
        named = t ? reallocarray(p->named, p->n_named + 1, sizeof(*named)) : NULL;
        if (!named)
                return fail_memory(p);
        p->named = named;
        p->named[p->n_named++] = t;
        t->name = word;
        return t;
}

static struct type *
parse_container(struct parser *p, enum type_kind kind)
{
        struct type *t = type_new(p, kind);

        if (!t)
                return NULL;
        t->inner = parse_type(p);
        return t->inner ? t : NULL;
}

static const struct type *
parse_type(struct parser *p)
{
        bool nullable = accept(p, "?");
        struct type *t;

        if (++p->nesting > NESTING_MAX)
                return fail(p, p->line, "types are nested more than %d deep", NESTING_MAX);
        if (accept(p, "[]"))
                t = parse_container(p, TYPE_ARRAY);
        else if (accept(p, "[string]"))
                t = parse_container(p, TYPE_MAP);
        else if (accept(p, "("))
                t = parse_list(p);
        else
                t = parse_word_type(p);
        p->nesting--;
        if (t)
                t->nullable = nullable;
        return t;
}

static const struct type *
parse_struct(struct parser *p, const char *what)
{
        struct type *t;

        if (!expect(p, "("))
                return NULL;
        t = parse_list(p);
        if (t && t->kind != TYPE_STRUCT)
                return fail(p, t->line, "%s needs fields with types", what);
        return t;
}

static const struct member *
find_member(const struct idl *idl, const char *name)
{
        for (const struct member *m = idl->members; m; m = m->next)
                if (strcmp(m->name, name) == 0)
                        return m;
        return NULL;
}

static bool
parse_member_body(struct parser *p, struct member *m)
{
        switch (m->kind) {
        case MEMBER_TYPE:
                m->type = expect(p, "(") ? parse_list(p) : NULL;
                return m->type;
        case MEMBER_ERROR:
                m->type = parse_struct(p, "an error");
                return m->type;
        case MEMBER_METHOD:
                m->type = parse_struct(p, "a method's input");
                m->output = m->type && expect(p, "->") ? parse_struct(p, "a method's output") : NULL;
                return m->output;
        }
        return false;
}

static struct member *
parse_member(struct parser *p)
{
        static const struct {
                const char *keyword, *what;
        } kinds[] = {
                [MEMBER_TYPE] = { "type", "a type" },
                [MEMBER_METHOD] = { "method", "a method" },
                [MEMBER_ERROR] = { "error", "an error" },
        };
        struct member *m = idl_alloc(p->idl, sizeof(*m));
        const char *keyword = accept_run(p, LETTERS DIGITS "_");
        size_t kind = 0;

        if (!m)
                return fail_memory(p);
        while (kind < ARRAY_SIZE(kinds) && (!keyword || strcmp(keyword, kinds[kind].keyword) != 0))
                kind++;
        if (kind == ARRAY_SIZE(kinds))
                return fail(p, p->line, "'type', 'method' or 'error' expected");
        m->kind = (enum member_kind)kind;
        m->name = parse_name(p, kinds[kind].what);
        if (!m->name)
                return NULL;
        if (find_member(p->idl, m->name))
                return fail(p, p->line, "'%s' is defined twice", m->name);
        return parse_member_body(p, m) ? m : NULL;
}

/* A declaration ends with its line. */
static bool
parse_line_end(struct parser *p)
{
        unsigned line = p->line;

        skip_space(p);
        if (p->line != line || *p->at == '\0')
                return true;
        fail(p, line, "a new line is expected behind the declaration");
        return false;
}

static bool
resolve_names(struct parser *p)
{
        for (size_t i = 0; i < p->n_named; i++) {
                struct type *t = p->named[i];
                const struct member *m = find_member(p->idl, t->name);

                if (!m || m->kind != MEMBER_TYPE) {
                        fail(p, t->line, "there is no type '%s'", t->name);
                        return false;
                }
                t->inner = m->type;
        }
        return true;
}

static bool
parse_interface(struct parser *p)
{
        struct member **end = &p->idl->members;
        const char *keyword = accept_run(p, LETTERS DIGITS "_");

        if (!keyword || strcmp(keyword, "interface") != 0)
                return fail(p, p->line, "'interface' expected");
        p->idl->name = accept_run(p, LETTERS DIGITS "_-.");
        if (!p->idl->name || !is_interface_name(p->idl->name) || strchr(p->idl->name, '_'))
                return fail(p, p->line, "name of an interface expected");
        if (!parse_line_end(p))
                return false;
        do {
                struct member *m = parse_member(p);

                if (!m || !parse_line_end(p))
                        return false;
                *end = m;
                end = &m->next;
        } while (*p->at != '\0');
        return resolve_names(p);
}

struct idl *
idl_parse(const char *text, char **ret_message)
{
        struct parser p = { .idl = calloc(1, sizeof(struct idl)), .at = text, .line = 1 };
        bool ok = false;

        if (p.idl) {
                p.idl->text = text;
                ok = parse_interface(&p);
        }
        free(p.named);
        if (ok)
                return p.idl;
        idl_free(p.idl);
        if (!p.message)
                fail_memory(&p);
        *ret_message = p.message;
        return NULL;
}

void
idl_free(struct idl *idl)
{
        if (!idl)
                return;
        while (idl->allocations) {
                struct allocation *a = idl->allocations;

                idl->allocations = a->next;
                free(a);
        }
        free(idl);
}

/* ── asking ── */

const char *
idl_interface(const struct idl *idl)
{
        return idl->name;
}

const char *
idl_text(const struct idl *idl)
{
        return idl->text;
}

static const char *
nth_member(const struct idl *idl, enum member_kind kind, size_t i)
{
        for (const struct member *m = idl->members; m; m = m->next)
                if (m->kind == kind && i-- == 0)
                        return m->name;
        return NULL;
}

const char *
idl_method(const struct idl *idl, size_t i)
{
        return nth_member(idl, MEMBER_METHOD, i);
}

const char *
idl_error(const struct idl *idl, size_t i)
{
        return nth_member(idl, MEMBER_ERROR, i);
}

/* ── checking ── */

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
                fputs(type_words[t->kind], f);
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

/* The integer that stands for an integral real where the declaration says int; NULL where nothing is to be changed. Failing
 * for want of memory leaves the real. */
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

        json_object_foreach (value, key, element) {
                const struct field *f = find_field(t->fields, key);
                struct place here = { .outer = at, .key = key };

                if (!f)
                        return mismatch(m, &here, NULL, element);
                if (!check_value(f->type, element, &here, m))
                        return false;
                set_as_declared(f->type, value, key, element);
        }
        for (const struct field *f = t->fields; f; f = f->next) {
                struct place here = { .outer = at, .key = f->name };

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

        json_object_foreach (value, key, element) {
                struct place here = { .outer = at, .key = key };

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
                struct place here = { .outer = at, .index = i };
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
                return json_is_string(value) && find_field(t->fields, json_string_value(value));
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
        const struct member *member = find_member(idl, name);

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
        struct mismatch m = { 0 };
        int r = check_member(idl, MEMBER_METHOD, method, false, parameters, &m);

        if (r == -EINVAL)
                *ret_given = m.given;
        return hand_out(r, &m, ret_field, ret_expected);
}

int
idl_check_output(const struct idl *idl, const char *method, json_t *parameters, char **ret_field, char **ret_expected)
{
        struct mismatch m = { 0 };

        return hand_out(check_member(idl, MEMBER_METHOD, method, true, parameters, &m), &m, ret_field, ret_expected);
}

int
idl_check_error(const struct idl *idl, const char *error, json_t *parameters, char **ret_field, char **ret_expected)
{
        struct mismatch m = { 0 };

        return hand_out(check_member(idl, MEMBER_ERROR, error, false, parameters, &m), &m, ret_field, ret_expected);
}
