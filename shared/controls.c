/* SPDX-License-Identifier: MIT */
#include "shared/controls.h"

#include <stdint.h>
#include <string.h>

static const struct {
        uint32_t first, last;
} ranges[] = {
        {0x00, 0x1f}, {0x7f, 0x9f}, {0x61c, 0x61c}, {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069},
};

/* The character at the beginning of the text, which is not empty; its length in bytes, 0 when it is not UTF-8. */
static size_t
decode(const unsigned char *text, size_t len, uint32_t *ret)
{
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        size_t n = *text < 0x80 ? 1 : *text < 0xc0 ? 0 : *text < 0xe0 ? 2 : *text < 0xf0 ? 3 : *text < 0xf8 ? 4 : 0;
        uint32_t c = n == 1 ? *text : *text & (0x7fu >> n);

        if (n == 0 || n > len)
                return 0;
        for (size_t i = 1; i < n; i++) {
                if ((text[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (text[i] & 0x3f);
        }
        if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                return 0;
        *ret = c;
        return n;
}

size_t
controls_at(const char *text, size_t len, size_t *ret_length)
{
        uint32_t c = 0;
        size_t n = len > 0 ? decode((const unsigned char *)text, len, &c) : 0;
        bool is_one = len > 0 && n == 0;

        if (is_one)
                n = 1;
        for (size_t i = 0; len > 0 && i < ARRAY_SIZE(ranges); i++)
                is_one = is_one || (c >= ranges[i].first && c <= ranges[i].last);
        if (ret_length)
                *ret_length = n;
        return is_one ? n : 0;
}

bool
controls_in(const char *text)
{
        size_t length;

        for (size_t len = strlen(text); len > 0; text += length, len -= length) {
                if (controls_at(text, len, &length) > 0)
                        return true;
        }
        return false;
}

void
controls_replace(char *text, size_t len, char by)
{
        size_t length;

        for (; len > 0; text += length, len -= length) {
                if (controls_at(text, len, &length) > 0)
                        memset(text, by, length);
        }
}
