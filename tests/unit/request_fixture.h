/* SPDX-License-Identifier: MIT */
/* Requests as the daemon gets them: written with ' for ", and passed through the check of the interface first. */
#ifndef CONCD_TEST_REQUEST_FIXTURE_H
#define CONCD_TEST_REQUEST_FIXTURE_H

#include "protocol/idl.h"
#include "supervisor/request.h"

#include <check.h>
#include <string.h>

static struct request_limits limits;
static struct idl *idl;

static void
setup(void)
{
        char *message = NULL;

        idl = idl_parse(idl_org_concd, &message);
        ck_assert_ptr_nonnull(idl);
        limits = (struct request_limits){.max_workers = 8, .ledger_chunks = 64, .max_at_once = 100, .seed = 77};
        CPU_SET(0, &limits.cpus);
        CPU_SET(2, &limits.cpus);
        CPU_SET(3, &limits.cpus);
}

static void
teardown(void)
{
        idl_free(idl);
}

static json_t *
request_of(const char *method, const char *text)
{
        AUTO_FREE char *quoted = strdup(text), *field = NULL, *expected = NULL;
        json_t *p, *given;

        for (char *c = quoted; (c = strchr(c, '\''));)
                *c = '"';
        p = json_loads(quoted, JSON_REJECT_DUPLICATES, NULL);
        ck_assert_msg(p != NULL, "no JSON: %s", text);
        ck_assert_msg(idl_check_input(idl, method, p, &field, &expected, &given) == 0, "does not fit the IDL: %s",
                      text);
        return p;
}

#endif
