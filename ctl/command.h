/* SPDX-License-Identifier: MIT */
/*
 * The command line as tables. A subcommand is one file cmd_x.c with one const struct command, and one row in
 * commands.c. Its options and operands are tables too; parsing, help, usage, the parameters of the call, and the
 * mapping of the daemon's BadValue(field) back to an option all derive from them.
 */
#ifndef CONCCTL_COMMAND_H
#define CONCCTL_COMMAND_H

#include "shared/base.h"

#include <stdbool.h>

enum option_type {
        OPTION_FLAG,     /* no value */
        OPTION_WORD,     /* any text but an empty one: the daemon knows what is allowed */
        OPTION_COUNT,    /* a whole number in min..max */
        OPTION_DURATION, /* nanoseconds in min..max */
        OPTION_CPUS,     /* a list of CPUs */
        OPTION_PAIR,     /* KEY=VALUE; may be repeated with other keys */
        OPTION_ID,       /* 32 hexadecimal digits */
};

struct option_spec {
        const char *name;  /* without the dashes; NULL ends a table */
        const char *value; /* how the help calls its value; NULL for a flag */
        enum option_type type;
        uint64_t min, max;    /* count, duration */
        const char *field;    /* the parameter of the call that it becomes; NULL: for concctl itself */
        const char *excludes; /* an option that cannot be given together with it */
        bool is_negative;     /* a flag that makes its field false */
        bool advanced;        /* not shown in the help */
        const char *help;
};

struct operand_spec {
        const char *name;  /* "NAME"; NULL ends a table */
        const char *field; /* the parameter of the call that it becomes; NULL: for concctl itself */
        bool optional;
        const char *help;
};

struct args;

struct command {
        const char *name;
        const char *summary;                  /* one line, for the overview */
        const char *description;              /* paragraphs for its own help; NULL: the summary says it */
        const struct operand_spec *operands;  /* NULL: none */
        const struct option_spec *options;    /* never NULL; --help is added to each */
        int (*exec)(const struct args *args); /* returns the exit code, having said what went wrong */
};

/* All subcommands in the order of the help; ended by NULL. */
extern const struct command *const commands[];

const struct command *command_find(const char *name);

/* Says that there is no such command, and which one may have been meant; returns the exit code. */
int command_report_unknown(const char *name);

/* The one operand of a command about a job (see job_id_open), and all options of a command that puts one question. */
extern const struct operand_spec command_operand_job[];
extern const struct option_spec command_options_of_question[];

/* Options that several commands share. */
#define COMMAND_OPTION_SOCKET                                                                                          \
        {                                                                                                              \
                .name = "socket", .value = "PATH", .type = OPTION_WORD,                                                \
                .help = "ask the daemon at this socket only (default: $CONCD_SOCKET, the "                             \
                        "system's, your own)",                                                                         \
        }
#define COMMAND_OPTION_JSON                                                                                            \
        {                                                                                                              \
                .name = "json", .type = OPTION_FLAG, .help = "print the daemon's answer as one line of JSON"           \
        }
#define COMMAND_OPTION_QUIET                                                                                           \
        {                                                                                                              \
                .name = "quiet", .type = OPTION_FLAG, .help = "no progress bar, and only the essential line"           \
        }
/* And those of every command that submits a job; `who` runs in it, `other` is an option that contradicts, or NULL. */
#define COMMAND_OPTION_CPUS(who)                                                                                       \
        {                                                                                                              \
                .name = "cpus", .value = "LIST", .type = OPTION_CPUS, .field = "cpus",                                 \
                .help = "where the " who " may run, as 0,2-5 (default: where concctl may run)"                         \
        }
#define COMMAND_OPTION_DEADLINE                                                                                        \
        {                                                                                                              \
                .name = "deadline", .value = "TIME", .type = OPTION_DURATION, .min = DURATION_MIN_NS,                  \
                .max = DURATION_MAX_NS, .field = "deadline_ns", .help = "end the whole job after this time"            \
        }
#define COMMAND_OPTION_DETACH(other)                                                                                   \
        {                                                                                                              \
                .name = "detach", .type = OPTION_FLAG, .field = "detach", .excludes = other,                           \
                .help = "print the job's id at once and let it run on; 'concctl wait' fetches the result"              \
        }
#define COMMAND_OPTION_ID(other)                                                                                       \
        {                                                                                                              \
                .name = "id", .value = "HEX", .type = OPTION_ID, .field = "id", .excludes = other, .advanced = true,   \
                .help = "the job's id; one that the daemon knows attaches to that job"                                 \
        }
#define COMMAND_OPTION_EXPLAIN                                                                                         \
        {                                                                                                              \
                .name = "explain", .type = OPTION_FLAG,                                                                \
                .help = "of a comparison: also print the evidence behind the last column"                              \
        }
#define COMMAND_OPTION_END                                                                                             \
        {                                                                                                              \
                .name = NULL                                                                                           \
        }

#endif
