/* SPDX-License-Identifier: MIT */
#include "ctl/help.h"

#include "ctl/exit_code.h"
#include "ctl/text.h"

#include <string.h>

#define HELP_COLUMNS 100

char *
help_usage(const struct command *command)
{
        char *usage = NULL;
        size_t size;
        FILE *f = open_memstream(&usage, &size);

        if (!f)
                return NULL;
        fprintf(f, "concctl %s [OPTION]…", command->name);
        for (const struct operand_spec *p = command->operands; p && p->name; p++)
                fprintf(f, p->optional ? " [%s]" : " %s", p->name);
        if (fclose(f) != 0) {
                free(usage);
                return NULL;
        }
        return usage;
}

/* "  left      text", the text broken at blanks so that it stays in its column. */
static void
print_row(FILE *f, const char *left, int left_columns, const char *text)
{
        int room = HELP_COLUMNS - left_columns - 4;

        text_printf(f, "  %-*s  ", left_columns, left);
        while ((int)strlen(text) > room) {
                int len = room;

                while (len > 0 && text[len] != ' ')
                        len--;
                if (len == 0)
                        break;
                text_printf(f, "%.*s\n%*s", len, text, left_columns + 4, "");
                text += len + 1;
        }
        text_printf(f, "%s\n", text);
}

static const char *
option_left(const struct option_spec *o, char *buf, size_t size)
{
        snprintf(buf, size, "--%s%s%s", o->name, o->value ? "=" : "", o->value ? o->value : "");
        return buf;
}

static void
print_options(FILE *f, const struct command *command)
{
        int columns = (int)strlen("--help");
        char left[80];

        for (const struct option_spec *o = command->options; o->name; o++)
                if (!o->advanced)
                        columns = MAX(columns, (int)strlen(option_left(o, left, sizeof(left))));
        text_printf(f, "\nOptions:\n");
        for (const struct option_spec *o = command->options; o->name; o++)
                if (!o->advanced)
                        print_row(f, option_left(o, left, sizeof(left)), columns, o->help);
        print_row(f, "--help", columns, "this text");
}

void
help_print_command(FILE *f, const struct command *command)
{
        AUTO_FREE char *usage = help_usage(command);

        text_printf(f, "Usage: %s\n\n%s.\n", usage ? usage : command->name, command->summary);
        if (command->description)
                text_printf(f, "\n%s\n", command->description);
        if (command->operands) {
                text_printf(f, "\nArguments:\n");
                for (const struct operand_spec *p = command->operands; p->name; p++)
                        print_row(f, p->name, 8, p->help);
        }
        print_options(f, command);
}

void
help_print_overview(FILE *f)
{
        char code[16];

        text_printf(f, "Usage: concctl COMMAND [OPTION]… [ARGUMENT]…\n\n"
                       "Runs the same work under every concurrency model, through the daemon concd.\n\nCommands:\n");
        for (size_t i = 0; commands[i]; i++)
                print_row(f, commands[i]->name, 10, commands[i]->summary);
        text_printf(f, "\n'concctl help COMMAND' tells more about one.\n\nExit codes:\n");
        for (const struct exit_code_row *row = exit_codes; row->meaning; row++) {
                snprintf(code, sizeof(code), "%d", row->code);
                print_row(f, code, 10, row->meaning);
        }
}
