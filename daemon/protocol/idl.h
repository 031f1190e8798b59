/* SPDX-License-Identifier: MIT */
/*
 * The interface definition of a Varlink service, read from its text: what methods and errors exist, and
 * whether a call's parameters are of the declared types. The text is embedded from shared/org.concd.varlink.
 * An `idl` is immutable once parsed, so it may be used from any thread.
 */
#ifndef CONCD_IDL_H
#define CONCD_IDL_H

#include "shared/base.h"

#include <stdbool.h>

struct idl;

/* shared/org.concd.varlink, ended by NUL (generated at build time). */
extern const char idl_org_concd[];
/* The standard interface org.varlink.service, from the specification. */
extern const char idl_org_varlink_service[];

/* Parses one interface. Returns NULL and a malloc'ed *ret_message ("line 12: …") when it is not well-formed or memory
 * is short. The text must outlive it. idl_free() takes NULL. */
struct idl *idl_parse(const char *text, char **ret_message);
void idl_free(struct idl *idl);

const char *idl_interface(const struct idl *idl);
const char *idl_text(const struct idl *idl);

/* Names without the interface, in the order of the text; NULL behind the last. */
const char *idl_method(const struct idl *idl, size_t i);
const char *idl_error(const struct idl *idl, size_t i);

/* Checks the parameters of a call of `method` (without the interface) against its input type. 0; -ENOENT when there is
 * no such method; or -EINVAL with
 *   *ret_field     (malloc'ed): the path of the first field that is unknown, missing or of the wrong type, as
 *                  "params.ns" or "cpus[2]"; empty for the whole; long keys of the sender are cut;
 *   *ret_expected  (malloc'ed): the declared type as text without its "?", or NULL for an unknown field;
 *   *ret_given     the value that was found there, borrowed from `parameters`, or NULL for a missing field.
 * Both texts may be NULL when memory is short. A missing field of a nullable type, and JSON null for it, are fine. An
 * integral real number counts as int when it fits into 53 bits, and is replaced in `parameters` by that integer, so
 * that json_integer_value() can be relied on. An int counts as float: read those with json_number_value(). */
int idl_check_input(const struct idl *idl, const char *method, json_t *parameters, char **ret_field,
                    char **ret_expected, json_t **ret_given);

/* The same for a reply's parameters (method's output type), and for an error's. */
int idl_check_output(const struct idl *idl, const char *method, json_t *parameters, char **ret_field,
                     char **ret_expected);
int idl_check_error(const struct idl *idl, const char *error, json_t *parameters, char **ret_field,
                    char **ret_expected);

#endif
