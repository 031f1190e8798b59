/* SPDX-License-Identifier: MIT */
/* A parsed interface, as idl.c builds it and idl-check.c reads it. */
#ifndef CONCD_IDL_PRIVATE_H
#define CONCD_IDL_PRIVATE_H

#include "protocol/idl.h"

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

/* The words of the types from TYPE_BOOL to TYPE_ANY. */
#define N_TYPE_WORDS (TYPE_ANY + 1)
extern const char *const idl_type_words[N_TYPE_WORDS];

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

struct allocation;

struct idl {
        const char *text, *name;
        struct member *members;
        struct allocation *allocations;
};

/* NULL when there is none of this name. */
const struct field *idl_find_field(const struct field *fields, const char *name);
const struct member *idl_find_member(const struct idl *idl, const char *name);

#endif
