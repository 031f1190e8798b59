/* SPDX-License-Identifier: MIT */
/* The evidence behind a comparison's sentences, for --explain. Pure but for the stream that it is written to. */
#ifndef CONCCTL_COMPARE_EVIDENCE_H
#define CONCCTL_COMPARE_EVIDENCE_H

#include "shared/base.h"

/* Writes what was measured of every variant and each of its workers, by which rule its sentence was found, and of
 * the machine on which all of it took place. */
void compare_evidence_print(FILE *f, const json_t *compare);

#endif
