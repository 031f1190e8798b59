/* SPDX-License-Identifier: MIT */
/*
 * A file that takes its place only when it is complete, so that what stood there before is not lost when there is
 * nothing to write in the end. Whether it can be written is known when it is opened. A regular file is written
 * without a name (O_TMPFILE; where the file system has no such thing, under a temporary name beside it), then
 * renamed; it keeps its permissions. Links are followed, also one that points to nothing yet: then its target is made.
 * What is no regular file (a pipe, a terminal), or one in a folder that may not be written, is written directly.
 * Nothing here waits for the reader of a pipe.
 */
#ifndef CONCCTL_OUTFILE_H
#define CONCCTL_OUTFILE_H

#include "shared/base.h"

#include <stdbool.h>

struct outfile {
        FILE *file; /* NULL: not open */
        char *path; /* with links resolved */
        char *name; /* the temporary name; NULL: it has none yet */
        bool is_direct;
};

/* "-" is stdout. 0 or -errno, -EPIPE for a pipe that nobody reads; on success the caller ends it by outfile_commit()
 * or outfile_discard(). */
int outfile_open(struct outfile *ret, const char *path);

/* Writes what is buffered and puts the file in its place. 0, or -errno: then the place is as it was. Of stdout
 * only flushes. */
int outfile_commit(struct outfile *o);

/* As if it had never been opened; one that is not open is left alone. */
void outfile_discard(struct outfile *o);

/* Would two that are open overwrite each other? However their paths are spelled, and through links of both kinds. */
bool outfile_is_same(const struct outfile *a, const struct outfile *b);

/* What to say of a -errno of these functions. Valid until the next call of it or of strerror(). */
const char *outfile_strerror(int error);

#endif
