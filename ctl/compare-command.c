/* SPDX-License-Identifier: MIT */
#include "ctl/compare-command.h"

#include <inttypes.h>
#include <string.h>

#define WORD_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,:/@%"

/* What says where a result goes, and not what is measured. */
static const char *const passing[] = {"report", "trace",   "export-json", "export-csv", "export-markdown", "json",
                                      "quiet",  "explain", "id",          "detach",     "socket"};

/* As a word for the shell. */
static void
put_word(FILE *f, const char *text)
{
        fputc(' ', f);
        if (*text && strspn(text, WORD_BYTES) == strlen(text)) {
                fputs(text, f);
                return;
        }
        fputc('\'', f);
        for (; *text; text++) {
                if (*text == '\'')
                        fputs("'\\''", f);
                else
                        fputc(*text, f);
        }
        fputc('\'', f);
}

/* The row of an option that is given as "--name" or "--name=value"; NULL: it is none. */
static const struct option_spec *
find_option(const struct args *args, const char *text)
{
        size_t len;

        if (strncmp(text, "--", 2) != 0)
                return NULL;
        text += 2;
        len = strcspn(text, "=");
        for (const struct option_spec *o = args->command->options; o->name; o++)
                if (strlen(o->name) == len && strncmp(o->name, text, len) == 0)
                        return o;
        return NULL;
}

static bool
is_passing(const struct option_spec *o)
{
        for (size_t i = 0; i < ARRAY_SIZE(passing); i++)
                if (strcmp(o->name, passing[i]) == 0)
                        return true;
        return false;
}

/* Options with what belongs to them: the command has nothing else, but for "--", behind which there is no option. */
static void
put_options(FILE *f, const struct args *args)
{
        for (int i = 0, n; i < args->argc; i += n) {
                const struct option_spec *o = find_option(args, args->argv[i]);

                n = o && o->type != OPTION_FLAG && !strchr(args->argv[i], '=') ? 2 : 1;
                for (int k = i; o && !is_passing(o) && k < MIN(i + n, args->argc); k++)
                        put_word(f, args->argv[k]);
        }
}

char *
compare_command(const struct args *args, int64_t seed)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        fputs("concctl compare", f);
        put_options(f, args);
        if (!args_has(args, "seed"))
                fprintf(f, " --seed %" PRId64, seed);
        if (fclose(f) != 0) {
                free(text);
                return NULL;
        }
        return text;
}
