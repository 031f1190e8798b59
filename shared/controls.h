/* SPDX-License-Identifier: MIT */
/*
 * Characters that must not get from somebody's text onto somebody else's terminal or into a log: they move the cursor,
 * end the line, or turn the order of what is read. Those are
 *
 *     U+0000 - U+001F, U+007F                        control characters
 *     U+0080 - U+009F                                the same of ISO 6429, U+009B begins escape sequences
 *     U+2028, U+2029                                 ends of a line and of a paragraph
 *     U+061C, U+200E, U+200F, U+202A - U+202E,
 *     U+2066 - U+2069                                the direction of writing
 *
 * and bytes that are not UTF-8: a terminal may take them for any of these. Pure; any thread.
 */
#ifndef CONCD_CONTROLS_H
#define CONCD_CONTROLS_H

#include "base.h"

#include <stdbool.h>

/* The length in bytes of such a character at the beginning of the `len` bytes of text; 0 when there is none, or nothing
 * at all. *ret_length, which may be NULL, is the length of whatever character is there, 0 of nothing. */
size_t controls_at(const char *text, size_t len, size_t *ret_length);

/* Is there one in the text? */
bool controls_in(const char *text);

/* Puts `by`, a byte of ASCII, in the place of every byte of them; the length stays. */
void controls_replace(char *text, size_t len, char by);

#endif
