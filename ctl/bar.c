/* SPDX-License-Identifier: MIT */
#include "ctl/bar.h"

#include <math.h>
#include <string.h>
#include <sys/ioctl.h>

char *
bar_format(char *buf, double part, int columns, bool is_utf8)
{
        /* U+258F to U+2588: the left one to eight eighths of a block. */
        static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
        int unit = is_utf8 ? 8 : 1, n;
        char *to = buf;

        part = part > 0 ? MIN(part, 1.0) : 0;
        n = (int)lround(part * columns * unit);
        if (n == 0 && part > 0)
                n = 1;
        for (int i = 0; i < n / unit; i++)
                to = stpcpy(to, is_utf8 ? "█" : "#");
        strcpy(to, is_utf8 ? eighths[n % unit] : "");
        return buf;
}

int
bar_terminal_columns(FILE *f)
{
        struct winsize size;
        int fd = fileno(f);

        if (fd < 0 || !isatty(fd) || ioctl(fd, TIOCGWINSZ, &size) < 0)
                return 0;
        return size.ws_col;
}
