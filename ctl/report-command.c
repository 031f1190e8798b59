/* SPDX-License-Identifier: MIT */
/* The end of a report: the command that measures the same again, as it was typed, with the seed. */
#include "ctl/field.h"
#include "ctl/markup.h"
#include "ctl/report-part.h"

#include <inttypes.h>

void
report_put_command(const struct report *r)
{
        const char *command = field_text(r->compare, "command");

        fputs("<section id=\"command\" aria-labelledby=\"command-title\">\n"
              "<h2 id=\"command-title\">To measure it again</h2>\n",
              r->f);
        if (*command) {
                fputs("<pre><code>", r->f);
                markup_put(r->f, command);
                fputs("</code></pre>\n", r->f);
        } else {
                report_note(r, "",
                            "With the parameters that the evidence lists for each variant, and --seed %" PRId64 ".",
                            field_int(r->compare, "seed"));
        }
        report_end(r);
}
