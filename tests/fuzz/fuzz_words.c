/* SPDX-License-Identifier: MIT */
/* Counts, durations and interface definitions: what people type. */
#include "fuzz.h"
#include "protocol/idl.h"
#include "shared/quantity.h"

#include <string.h>

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
        return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *text = fuzz_text(data, size), *message = NULL, buf[64];
        struct idl *idl = idl_parse(text, &message);
        uint64_t value, again;

        if (idl) {
                for (size_t i = 0; idl_method(idl, i); i++) {
                        AUTO_FREE char *field = NULL, *expected = NULL;
                        AUTO_JSON json_t *nothing = json_object();
                        json_t *given;

                        MUST(idl_check_input(idl, idl_method(idl, i), nothing, &field, &expected, &given) != -2);
                }
        } else {
                MUST(message && *message);
        }
        idl_free(idl);
        free(message);
        if (quantity_parse_duration(text, 0, UINT64_MAX, &value) == 0) {
                quantity_format_duration_exact(buf, sizeof(buf), value);
                MUST(quantity_parse_duration(buf, 0, UINT64_MAX, &again) == 0 && again == value);
        }
        if (quantity_parse_count(text, 0, UINT64_MAX, &value) == 0) {
                snprintf(buf, sizeof(buf), "%llu", (unsigned long long)value);
                MUST(quantity_parse_count(buf, 0, UINT64_MAX, &again) == 0 && again == value);
        }
        free(text);
        return 0;
}
