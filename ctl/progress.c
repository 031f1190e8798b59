/* SPDX-License-Identifier: MIT */
#include "ctl/progress.h"

#include "ctl/field.h"
#include "ctl/message.h"
#include "ctl/text.h"
#include "shared/clock.h"
#include "shared/controls.h"
#include "shared/quantity.h"

#include <math.h>
#include <string.h>
#include <sys/ioctl.h>

#define BAR_MOST  30
#define BAR_LEAST 6
#define REDRAW_NS (100 * NS_PER_MS)
#define COLOR_ON  "\033[36m"
#define COLOR_OFF "\033[0m"

/* How much is done, 0..1, or -1 when nobody knows. */
static double
fraction(const json_t *p, double duration_s)
{
        double total = (double)field_int(p, "total"), f = -1;

        if (field_is_set(p, "variant"))
                f = field_is_set(p, "share") ? field_real(p, "share") : -1;
        else if (total > 0)
                f = (double)field_int(p, "done") / total;
        else if (duration_s > 0)
                f = field_real(p, "elapsed_s") / duration_s;
        return f > 1 ? 1 : f;
}

/* Seconds to go, or -1. */
static double
time_left(const json_t *p, double duration_s)
{
        double rate = field_real(p, "tasks_per_s"), share = field_real(p, "share");

        if (field_is_set(p, "variant"))
                return share > 0 ? field_real(p, "job_elapsed_s") * (1 - share) / share : -1;
        if (field_int(p, "total") > 0)
                return rate > 0 ? (double)(field_int(p, "total") - field_int(p, "done")) / rate : -1;
        return duration_s > 0 ? MAX(duration_s - field_real(p, "elapsed_s"), 0.0) : -1;
}

/* "12 s", "3 min 05 s", "2 h 10 min": what a glance needs. */
static void
put_time(FILE *f, double s)
{
        long long n = llround(ceil(s));

        if (n < 60)
                fprintf(f, "%lld s", n);
        else if (n < 3600)
                fprintf(f, "%lld min %02lld s", n / 60, n % 60);
        else
                fprintf(f, "%lld h %02lld min", n / 3600, n % 3600 / 60);
}

/* Of a comparison: one of its rounds is too short to be watched. */
static void
put_rounds(FILE *f, const json_t *p)
{
        char a[48], b[48];

        if (field_bool(p, "warming_up"))
                fprintf(f, "warming up  ");
        else
                fprintf(f, "round %s of %s%s  ", text_count(a, sizeof(a), field_int(p, "round")),
                        field_is_set(p, "share") ? "" : "at most ", text_count(b, sizeof(b), field_int(p, "rounds")));
}

static void
put_variant(FILE *f, const json_t *p)
{
        AUTO_FREE char *name = text_to_ascii(field_text(p, "variant"));

        if (name)
                controls_replace(name, strlen(name), '?');
        fprintf(f, "%s", name ? name : "");
}

static void
put_figures(FILE *f, const json_t *p, double duration_s)
{
        double left = time_left(p, duration_s), part = fraction(p, duration_s);
        char a[48], b[48];

        if (field_is_set(p, "variant"))
                put_rounds(f, p);
        else if (field_bool(p, "warming_up"))
                fprintf(f, "warming up  ");
        if (part >= 0)
                fprintf(f, "%3.0f %%  ", floor(part * 100));
        if (field_is_set(p, "variant"))
                put_variant(f, p);
        else if (field_int(p, "total") > 0)
                fprintf(f, "%s of %s", text_count(a, sizeof(a), field_int(p, "done")),
                        text_count(b, sizeof(b), field_int(p, "total")));
        else
                fprintf(f, "%s done", text_count(a, sizeof(a), field_int(p, "done")));
        if (!field_is_set(p, "variant"))
                fprintf(f, "  %s/s", text_count(a, sizeof(a), llround(field_real(p, "tasks_per_s"))));
        if (left >= 0) {
                fprintf(f, "  ETA ");
                put_time(f, left);
        }
        if (field_int(p, "failed") > 0)
                fprintf(f, "  %lld failed", (long long)field_int(p, "failed"));
        if (field_int(p, "restarts") > 0)
                fprintf(f, "  %s", text_plural(a, sizeof(a), field_int(p, "restarts"), "restart"));
}

static void
put_bar(FILE *f, double part, int columns, bool color)
{
        int full = (int)(part * columns);

        fprintf(f, "%s", color ? COLOR_ON : "");
        for (int i = 0; i < columns; i++)
                fputs(i < full ? "█" : "░", f);
        fprintf(f, "%s  ", color ? COLOR_OFF : "");
}

static char *
format_figures(const json_t *p, double duration_s)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        if (field_is_set(p, "position"))
                fprintf(f, "queued, position %lld", (long long)field_int(p, "position"));
        else
                put_figures(f, p, duration_s);
        fclose(f);
        return text;
}

char *
progress_format(const json_t *progress, double duration_s, int columns, bool color)
{
        AUTO_FREE char *figures = format_figures(progress, duration_s);
        double part = field_is_set(progress, "position") ? -1 : fraction(progress, duration_s);
        char *line = NULL;
        size_t size;
        int bar;
        FILE *f;

        if (!figures)
                return NULL;
        /* The figures are ASCII: bytes are columns. */
        if (columns < (int)strlen(figures))
                figures[MAX(columns, 0)] = '\0';
        bar = MIN(columns - (int)strlen(figures) - 2, BAR_MOST);
        f = open_memstream(&line, &size);
        if (!f)
                return NULL;
        if (part >= 0 && bar >= BAR_LEAST)
                put_bar(f, part, bar, color);
        fputs(figures, f);
        fclose(f);
        return line;
}

static struct {
        bool shown;
        uint64_t next_ns;
} screen;

bool
progress_is_possible(void)
{
        const char *term = getenv("TERM");

        return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

static int
terminal_columns(void)
{
        struct winsize size;

        if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
                return 80;
        return size.ws_col;
}

void
progress_show(const json_t *progress, double duration_s)
{
        const char *no_color = getenv("NO_COLOR");
        AUTO_FREE char *line = NULL, *shown = NULL;
        uint64_t now = clock_now_ns();

        if (now < screen.next_ns)
                return;
        screen.next_ns = now + REDRAW_NS;
        /* One column stays free: a cursor in the last one makes some terminals wrap. */
        line = progress_format(progress, duration_s, terminal_columns() - 1, !no_color || *no_color == '\0');
        shown = line ? text_for_locale(line) : NULL;
        if (!shown)
                return;
        screen.shown = true;
        message_set_hook(progress_clear);
        fprintf(stderr, "\r\033[K%s", shown);
        fflush(stderr);
}

void
progress_clear(void)
{
        if (!screen.shown)
                return;
        screen.shown = false;
        fputs("\r\033[K", stderr);
        fflush(stderr);
}
