/* SPDX-License-Identifier: BSD-2-Clause */
/* A program that a task runs and waits for, and may end. */
#ifndef VMFS_VMFSD_CHILD_H
#define VMFS_VMFSD_CHILD_H

#include <stdbool.h>
#include <stddef.h>

#include "libvmfs/base/err.h"

struct child_conf {
	const char *const *argv;	/* found by $PATH; NULL at the end */
	int dir;			/* where it works; 0: where we do */
	/* What it writes to its output, as it comes.  NULL: nobody reads. */
	void (*output)(void *arg, const char *text, size_t len);
	/* Asked several times a second: false ends it. */
	bool (*go_on)(void *arg);
	void *arg;
	char *complaint;		/* last of what it writes to stderr */
	size_t complaint_size;
};

/*
 * Blocks until it has ended; 0 when it did well.  -EIO: it failed, the
 * complaint says why; -ECANCELED; -ENOENT: there is no such program; errors of
 * posix_spawn.
 */
int child_run(const struct child_conf *conf) MUST_CHECK;

#endif
