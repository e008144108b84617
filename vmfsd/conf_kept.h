/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration in force, for the worker that goes on when this one dies
 * (keep.h): what the file says by then nobody has applied.
 */
#ifndef VMFS_VMFSD_CONF_KEPT_H
#define VMFS_VMFSD_CONF_KEPT_H

#include "vmfsd/conf.h"

/* Of the descriptor. */
#define CONF_KEPT_NAME "conf"

struct conf_kept {
	char *text;	/* in force; NULL: nothing was left */
	char *secrets;	/* that it names, a line each, in its order */
	char *file;	/* the file, as it was last read or written */
	/* Or as it was just being written; NULL: it was not. */
	char *next;
};

/*
 * Sealed memory with `now` for [portal] and [target], which change while it
 * runs, and for the rest what `start` says; and with `file` and `next`, which
 * may be NULL.  The descriptor is the caller's.  -ENOMEM, -errno.
 */
int conf_kept_make(const char *start, const struct conf *now,
    const char *file, const char *next, int *ret_fd) MUST_CHECK;
/* fd stays the caller's; conf_kept_fini frees the content, and wipes secrets.
 * -EBADMSG: it is something else. */
int conf_kept_read(int fd, struct conf_kept *ret_k) MUST_CHECK;
/* What the process before us has left, once.  -ENOENT: nothing; or as read. */
int conf_kept_take(struct conf_kept *ret_k) MUST_CHECK;
void conf_kept_fini(struct conf_kept *k);

#endif
