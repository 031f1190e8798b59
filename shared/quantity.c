/* SPDX-License-Identifier: MIT */
#include "shared/quantity.h"

#include "shared/base.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

/*
 * Reading is exact, without floating point: a number is digits x 10^power, the unit a small factor x 10^power. Digits
 * beyond 10^30 are not kept, for nothing of that size can be in range, and 10^30 times any factor fits 128 bits.
 */
struct decimal {
        unsigned __int128 digits; /* without the zeros at the end of the fraction */
        int power;                /* 0, or minus the number of digits of the fraction */
        bool huge;                /* there were more digits than fit */
};

/* The power of ten that no number in range can have. */
#define POWER_MAX 1000

static bool
is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static void
decimal_add_digit(struct decimal *d, char c)
{
        const unsigned __int128 limit = (unsigned __int128)UINT64_C(1000000000000000) * UINT64_C(1000000000000000);

        if (d->digits >= limit)
                d->huge = true;
        else
                d->digits = d->digits * 10 + (unsigned)(c - '0');
}

/* Reads digits, or digits '.' digits, and returns what follows, or NULL when there is no such number. */
static const char *
decimal_parse(const char *s, struct decimal *ret)
{
        struct decimal d = {};

        if (!s || !is_digit(*s))
                return NULL;
        for (; is_digit(*s); s++)
                decimal_add_digit(&d, *s);
        if (*s == '.') {
                const char *fraction = ++s, *last;

                if (!is_digit(*s))
                        return NULL;
                while (is_digit(*s))
                        s++;
                for (last = s; last > fraction && last[-1] == '0'; last--)
                        ;
                for (const char *c = fraction; c < last; c++)
                        decimal_add_digit(&d, *c);
                d.power = -(int)MIN(last - fraction, POWER_MAX);
        }
        *ret = d;
        return s;
}

/* d x factor x 10^power as a whole number within min..max. */
static int
decimal_scale(const struct decimal *d, unsigned factor, int power, uint64_t min, uint64_t max, uint64_t *ret)
{
        unsigned __int128 value = d->digits * factor;

        power += d->power;
        if (d->huge)
                return power < 0 ? QUANTITY_E_SYNTAX : QUANTITY_E_RANGE;
        for (; value > 0 && power < 0; power++, value /= 10)
                if (value % 10 != 0)
                        return QUANTITY_E_SYNTAX;
        for (; value > 0 && power > 0; power--) {
                if (value > UINT64_MAX)
                        return QUANTITY_E_RANGE;
                value *= 10;
        }
        if (value < min || value > max)
                return QUANTITY_E_RANGE;
        *ret = (uint64_t)value;
        return QUANTITY_OK;
}

/* The power of ten in what follows a count's digits: nothing, k M G T, or an exponent. */
static int
parse_count_suffix(const char *s, int *ret_power)
{
        static const char factors[] = "kMGT";
        const char *factor;
        int power = 0;

        if (*s == 'e' || *s == 'E') {
                if (!is_digit(*++s))
                        return QUANTITY_E_SYNTAX;
                for (; is_digit(*s); s++)
                        power = MIN(power * 10 + (*s - '0'), POWER_MAX);
        } else if (*s && (factor = strchr(factors, *s))) {
                power = 3 * (int)(factor - factors + 1);
                s++;
        }
        if (*s)
                return QUANTITY_E_SYNTAX;
        *ret_power = power;
        return QUANTITY_OK;
}

int
quantity_parse_count(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
        struct decimal d;
        int power;

        s = decimal_parse(s, &d);
        if (!s || parse_count_suffix(s, &power) != QUANTITY_OK)
                return QUANTITY_E_SYNTAX;
        return decimal_scale(&d, 1, power, min, max, ret);
}

int
quantity_parse_int(const char *s, int64_t min, int64_t max, int64_t *ret)
{
        bool is_negative = s && *s == '-';
        __int128 value = 0;

        if (s && (*s == '-' || *s == '+'))
                s++;
        if (!s || !is_digit(*s))
                return QUANTITY_E_SYNTAX;
        for (; is_digit(*s); s++)
                value = MIN(value * 10 + (*s - '0'), (__int128)1 << 64);
        if (*s)
                return QUANTITY_E_SYNTAX;
        if (is_negative)
                value = -value;
        if (value < min || value > max)
                return QUANTITY_E_RANGE;
        *ret = (int64_t)value;
        return QUANTITY_OK;
}

/* From small to large; a unit is factor x 10^power ns. */
static const struct {
        const char *name, *alias, *label;
        unsigned factor;
        int power;
        uint64_t ns;
} units[] = {
        {"ns", NULL, "ns", 1, 0, 1},
        {"us", "\u00b5s", "\u00b5s", 1, 3, NS_PER_US},
        {"ms", NULL, "ms", 1, 6, NS_PER_MS},
        {"s", NULL, "s", 1, 9, NS_PER_S},
        {"min", NULL, "min", 6, 10, 60 * NS_PER_S},
        {"h", NULL, "h", 36, 11, 3600 * NS_PER_S},
        {"\u03bcs", NULL, "\u00b5s", 1, 3, NS_PER_US}, /* the Greek letter; only read */
};
#define WRITTEN_UNITS (ARRAY_SIZE(units) - 1)

int
quantity_parse_duration(const char *s, uint64_t min_ns, uint64_t max_ns, uint64_t *ret_ns)
{
        struct decimal d;
        const char *unit = decimal_parse(s, &d);

        if (!unit)
                return QUANTITY_E_SYNTAX;
        if (strcmp(s, "0") == 0)
                return decimal_scale(&d, 1, 0, min_ns, max_ns, ret_ns);
        for (size_t i = 0; i < ARRAY_SIZE(units); i++)
                if (strcmp(unit, units[i].name) == 0 || (units[i].alias && strcmp(unit, units[i].alias) == 0))
                        return decimal_scale(&d, units[i].factor, units[i].power, min_ns, max_ns, ret_ns);
        return QUANTITY_E_SYNTAX;
}

char *
quantity_format_grouped(char *buf, size_t size, uint64_t n)
{
        char text[QUANTITY_TEXT_MAX], *t = text + sizeof(text) - 1;
        unsigned digits = 0;

        *t = '\0';
        do {
                if (digits > 0 && digits % 3 == 0)
                        *--t = ' ';
                *--t = (char)('0' + n % 10);
                digits++;
                n /= 10;
        } while (n > 0);
        snprintf(buf, size, "%s", t);
        return buf;
}

/* A number that is not negative, with three significant digits and no zeros at the end of a fraction. printf's %g
 * would write the locale's decimal point, and an exponent from 1000 on. */
static char *
format_three_digits(char *buf, size_t size, double value, const char *label)
{
        unsigned decimals = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;

        if (decimals == 0) {
                snprintf(buf, size, "%.0f %s", value, label);
                return buf;
        }

        unsigned scale = decimals == 1 ? 10 : 100, n = (unsigned)(value * scale + 0.5);

        while (scale > 1 && n % 10 == 0) {
                n /= 10;
                scale /= 10;
        }
        if (scale == 1)
                snprintf(buf, size, "%u %s", n, label);
        else
                snprintf(buf, size, "%u.%0*u %s", n / scale, scale == 10 ? 1 : 2, n % scale, label);
        return buf;
}

char *
quantity_format_duration(char *buf, size_t size, double ns)
{
        double magnitude = ns < 0 ? -ns : ns;
        size_t unit = 0, sign = ns < 0 && size > 1;

        if (!(magnitude < 1e27)) {
                snprintf(buf, size, "-");
                return buf;
        }
        /* 999.5 would be written as 1000: then it is 1 of the next unit. */
        while (unit + 1 < WRITTEN_UNITS && magnitude / (double)units[unit].ns >= 999.5)
                unit++;
        if (sign)
                buf[0] = '-';
        format_three_digits(buf + sign, size - sign, magnitude / (double)units[unit].ns, units[unit].label);
        return buf;
}

char *
quantity_format_duration_exact(char *buf, size_t size, uint64_t ns)
{
        size_t unit = WRITTEN_UNITS - 1;

        if (ns == 0) {
                snprintf(buf, size, "0");
                return buf;
        }
        while (ns % units[unit].ns != 0)
                unit--;
        snprintf(buf, size, "%" PRIu64 "%s", ns / units[unit].ns, units[unit].name);
        return buf;
}

char *
quantity_format_bytes(char *buf, size_t size, uint64_t bytes)
{
        static const char *const labels[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
        double value = (double)bytes;
        size_t unit = 0;

        /* 1023.5 would be written as 1024. */
        while (unit + 1 < ARRAY_SIZE(labels) && value >= 1023.5) {
                value /= 1024;
                unit++;
        }
        return format_three_digits(buf, size, value, labels[unit]);
}
