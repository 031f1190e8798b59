/* SPDX-License-Identifier: MIT */
#include "workloads/workloads.h"

#include "shared/quantity.h"
#include "workloads/builtin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#define BUILTIN_ROW(name) &workload_##name,
const struct concd_workload *const workloads[] = {BUILTIN_WORKLOADS(BUILTIN_ROW) NULL};
#undef BUILTIN_ROW

/* The size of the first form of the descriptor. A later one is only ever longer. */
#define WORKLOAD_SIZE_MIN (offsetof(struct concd_workload, cleanup) + sizeof(((struct concd_workload *)0)->cleanup))

void
workloads_init(void)
{
        spin_calibrate();
}

const struct concd_workload *
workload_by_name(const char *name)
{
        for (size_t i = 0; workloads[i]; i++)
                if (strcmp(workloads[i]->name, name) == 0)
                        return workloads[i];
        return NULL;
}

int
workload_param_index(const struct concd_workload *w, const char *name)
{
        for (uint32_t i = 0; i < w->n_params; i++)
                if (strcmp(w->params[i].name, name) == 0)
                        return (int)i;
        return -1;
}

void
workload_params_default(const struct concd_workload *w, int64_t params[CONCD_PARAMS_MAX])
{
        for (uint32_t i = 0; i < w->n_params; i++)
                params[i] = w->params[i].def;
}

static int
enum_parse(const struct concd_param *p, const char *value, int64_t *ret)
{
        for (int64_t i = 0; p->choices[i]; i++)
                if (strcmp(p->choices[i], value) == 0) {
                        *ret = i;
                        return 0;
                }
        return -EINVAL;
}

static int
int_parse(const struct concd_param *p, const char *value, int64_t *ret)
{
        uint64_t count;

        if (quantity_parse_int(value, p->min, p->max, ret) == QUANTITY_OK)
                return 0;
        if (p->max < 0)
                return -EINVAL;
        if (quantity_parse_count(value, (uint64_t)MAX(p->min, 0), (uint64_t)p->max, &count) != QUANTITY_OK)
                return -EINVAL;
        *ret = (int64_t)count;
        return 0;
}

/* Says what a parameter allows; malloc'ed, NULL when out of memory. */
static char *
param_allowed(const struct concd_param *p)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        if (p->type == CONCD_PARAM_INT)
                fprintf(f, "%" PRId64 " to %" PRId64 "%s%s", p->min, p->max, p->unit ? " " : "",
                        p->unit ? p->unit : "");
        else
                for (size_t i = 0; p->choices[i]; i++)
                        fprintf(f, "%s%s", i > 0 ? ", " : "", p->choices[i]);
        if (fclose(f) != 0) {
                free(text);
                return NULL;
        }
        return text;
}

int
workload_param_parse(const struct concd_param *p, const char *value, int64_t *ret, char **ret_allowed)
{
        char *allowed;
        int r = p->type == CONCD_PARAM_ENUM ? enum_parse(p, value, ret) : int_parse(p, value, ret);

        if (r == 0)
                return 0;
        allowed = param_allowed(p);
        if (!allowed)
                return -ENOMEM;
        *ret_allowed = allowed;
        return r;
}

char *
workload_param_format(const struct concd_param *p, int64_t value, char *buf, size_t size)
{
        if (p->type == CONCD_PARAM_ENUM)
                snprintf(buf, size, "%s", p->choices[value]);
        else
                snprintf(buf, size, "%" PRId64, value);
        return buf;
}

static bool
name_is_valid(const char *name)
{
        return name && name[0] && name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

static bool
text_is_valid(const char *text)
{
        return text && text[0] && !strchr(text, '\n');
}

static const char *
enum_complaint(const struct concd_param *p)
{
        int64_t n = 0;

        if (!p->choices)
                return "a parameter of type enum has no choices";
        for (; p->choices[n]; n++)
                if (!name_is_valid(p->choices[n]))
                        return "a choice is not made of lower case letters, digits and '-'";
        if (p->def < 0 || p->def >= n)
                return "the default of a parameter is not one of its choices";
        return NULL;
}

static const char *
param_complaint(const struct concd_workload *w, uint32_t i)
{
        const struct concd_param *p = &w->params[i];

        if (!name_is_valid(p->name))
                return "a parameter's name is not made of lower case letters, digits and '-'";
        if (workload_param_index(w, p->name) != (int)i)
                return "two parameters have the same name";
        if (!text_is_valid(p->summary))
                return "a parameter has no summary of one line";
        if (p->type == CONCD_PARAM_ENUM)
                return enum_complaint(p);
        if (p->type != CONCD_PARAM_INT)
                return "a parameter's type is unknown";
        if (p->min > p->max)
                return "a parameter's range is empty";
        if (p->def < p->min || p->def > p->max)
                return "the default of a parameter is outside its range";
        return NULL;
}

static const char *
workload_complaint(const struct concd_workload *w)
{
        const char *why;

        if (w->abi_version != CONCD_WORKLOAD_ABI)
                return "it was built for another version of the workload ABI";
        if (w->struct_size < WORKLOAD_SIZE_MIN)
                return "its descriptor is too short";
        if (!name_is_valid(w->name))
                return "its name is not made of lower case letters, digits and '-'";
        if (!text_is_valid(w->summary) || !text_is_valid(w->unit))
                return "it lacks a summary or a unit of one line";
        if (!w->run || !w->verify)
                return "it lacks run or verify";
        if (w->n_params > CONCD_PARAMS_MAX)
                return "it has too many parameters";
        if (w->n_params > 0 && !w->params)
                return "its parameters are missing";
        for (uint32_t i = 0; i < w->n_params; i++) {
                why = param_complaint(w, i);
                if (why)
                        return why;
        }
        return NULL;
}

int
workload_check(const struct concd_workload *w, const char **why)
{
        const char *complaint = workload_complaint(w);

        if (!complaint)
                return 0;
        *why = complaint;
        return -EINVAL;
}
