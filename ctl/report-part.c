/* SPDX-License-Identifier: MIT */
#include "ctl/report-part.h"

#include "ctl/field.h"
#include "ctl/markup.h"
#include "ctl/text.h"
#include "shared/quantity.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

void
report_section(const struct report *r, const char *id, const char *title, const char *fmt, ...)
{
        va_list ap;

        fprintf(r->f, "<section id=\"%s\" aria-labelledby=\"%s-title\">\n<h2 id=\"%s-title\">%s</h2>\n", id, id, id,
                title);
        if (*fmt == '\0')
                return;
        fputs("<p class=\"lead\">", r->f);
        va_start(ap, fmt);
        markup_vprintf(r->f, fmt, ap);
        va_end(ap);
        fputs("</p>\n", r->f);
}

void
report_end(const struct report *r)
{
        fputs("</section>\n", r->f);
}

void
report_part_heading(const struct report *r, const char *name)
{
        fputs("<h3>", r->f);
        markup_put(r->f, name);
        fputs("</h3>\n", r->f);
}

static void put_element(FILE *f, const char *element, const char *class, const char *fmt, va_list ap) PRINTF_LIKE(4, 0);

static void
put_element(FILE *f, const char *element, const char *class, const char *fmt, va_list ap)
{
        fprintf(f, "<%s", element);
        if (strcmp(element, "th") == 0)
                fputs(" scope=\"row\"", f);
        if (*class)
                fprintf(f, " class=\"%s\"", class);
        fputc('>', f);
        markup_vprintf(f, fmt, ap);
        fprintf(f, "</%s>", element);
}

void
report_note(const struct report *r, const char *class, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        put_element(r->f, "p", class, fmt, ap);
        va_end(ap);
        fputc('\n', r->f);
}

void
report_cell(const struct report *r, const char *class, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        put_element(r->f, "td", class, fmt, ap);
        va_end(ap);
}

void
report_head(const struct report *r, const char *class, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        put_element(r->f, "th", class, fmt, ap);
        va_end(ap);
}

void
report_table(const struct report *r, const char *caption, const char *const *columns)
{
        fputs("<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"", r->f);
        markup_put(r->f, caption);
        fputs("\"><table>\n<caption>", r->f);
        markup_put(r->f, caption);
        fputs("</caption>\n<thead><tr>", r->f);
        for (; *columns; columns++) {
                fprintf(r->f, "<th scope=\"col\"%s>", **columns == ' ' ? " class=\"num\"" : "");
                markup_put(r->f, *columns + (**columns == ' '));
                fputs("</th>", r->f);
        }
        fputs("</tr></thead>\n<tbody>\n", r->f);
}

void
report_table_end(const struct report *r)
{
        fputs("</tbody></table></div>\n", r->f);
}

/* ── numbers ── */

char *
report_axis_ns(char *buf, size_t size, double ns)
{
        if (ns == 0)
                snprintf(buf, size, "0");
        else
                quantity_format_duration(buf, size, ns);
        return buf;
}

char *
report_axis_seconds(char *buf, size_t size, double s)
{
        return report_axis_ns(buf, size, s * (double)NS_PER_S);
}

char *
report_seconds(char *buf, size_t size, double s)
{
        if (!(s > 0) || !isfinite(s))
                snprintf(buf, size, s == 0 ? "0" : "–");
        else
                quantity_format_duration(buf, size, s * (double)NS_PER_S);
        return buf;
}

char *
report_ratio(char *buf, size_t size, double ratio, double width)
{
        int digits = width > 0 && width < 0.02 ? 3 : 2;

        if (!isfinite(ratio) || ratio <= 0)
                snprintf(buf, size, "–");
        else if (ratio < 0.1 || ratio >= 1000)
                snprintf(buf, size, "%.3g", ratio);
        else
                snprintf(buf, size, "%.*f", ratio < 100 ? digits : 0, ratio);
        return buf;
}

static void
put_params(FILE *f, const json_t *params)
{
        const char *key, *separator = "(";
        json_t *value;

        json_object_foreach((json_t *)params, key, value)
        {
                fprintf(f, "%s%s=%s", separator, key, json_string_value(value) ? json_string_value(value) : "?");
                separator = ", ";
        }
        if (*separator == ',')
                fputc(')', f);
}

char *
report_work(const json_t *variant)
{
        char *text = NULL, number[64];
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        fputs(field_text(variant, "workload"), f);
        put_params(f, json_object_get(variant, "params"));
        if (field_is_set(variant, "count"))
                fprintf(f, " × %s", text_count(number, sizeof(number), field_int(variant, "count")));
        else if (field_is_set(variant, "duration_s"))
                fprintf(f, " for %s", report_seconds(number, sizeof(number), field_real(variant, "duration_s")));
        if (fclose(f) != 0) {
                free(text);
                return NULL;
        }
        return text;
}

/* ── figures ── */

bool
report_is_common(const json_t *variants, const char *key)
{
        const json_t *first = json_object_get(json_array_get(variants, 0), key);
        json_t *variant;
        size_t i;

        json_array_foreach(variants, i, variant)
        {
                const json_t *value = json_object_get(variant, key);

                if (value != first && !json_equal(value, first))
                        return false;
        }
        return true;
}

double
report_value(const struct report *r, const json_t *variant, size_t i)
{
        double s = json_number_value(json_array_get(json_object_get(variant, "times_s"), i));
        double tasks = (double)json_integer_value(json_array_get(json_object_get(variant, "tasks"), i));

        if (r->is_per_task)
                s = tasks > 0 ? s / tasks : NAN;
        return s > 0 && isfinite(s) ? s : NAN;
}

size_t
report_rounds(const json_t *variant)
{
        return json_array_size(json_object_get(variant, "times_s"));
}

bool
report_is_outlier(const json_t *variant, size_t i)
{
        const json_t *outliers = json_object_get(variant, "outliers");
        json_t *each;
        size_t k;

        json_array_foreach(outliers, k, each)
        {
                if (json_integer_value(each) == (json_int_t)i)
                        return true;
        }
        return false;
}
