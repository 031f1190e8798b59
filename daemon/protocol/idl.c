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
#include "protocol/idl-private.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define NESTING_MAX 64 /* of types in the text, so that no text can exhaust the stack */
#define LETTERS     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS      "0123456789"

const char *const idl_type_words[N_TYPE_WORDS] = {
        [TYPE_BOOL] = "bool",     [TYPE_INT] = "int",       [TYPE_FLOAT] = "float",
        [TYPE_STRING] = "string", [TYPE_OBJECT] = "object", [TYPE_ANY] = "any",
};

struct allocation {
        struct allocation *next;
        max_align_t data[];
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

const struct field *
idl_find_field(const struct field *fields, const char *name)
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
        if (idl_find_field(list->fields, f->name))
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
        for (size_t i = 0; i < N_TYPE_WORDS; i++)
                if (strcmp(word, idl_type_words[i]) == 0)
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

const struct member *
idl_find_member(const struct idl *idl, const char *name)
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
                [MEMBER_TYPE] = {"type", "a type"},
                [MEMBER_METHOD] = {"method", "a method"},
                [MEMBER_ERROR] = {"error", "an error"},
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
        if (idl_find_member(p->idl, m->name))
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
                const struct member *m = idl_find_member(p->idl, t->name);

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
        struct parser p = {.idl = calloc(1, sizeof(struct idl)), .at = text, .line = 1};
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
