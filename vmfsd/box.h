/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The storage box's configuration file and what runs by it: commands change
 * one through the other (doc/adr/0007).
 */
#ifndef VMFS_VMFSD_BOX_H
#define VMFS_VMFSD_BOX_H

#include <pthread.h>

#include "vmfsd/conf_diff.h"
#include "vmfsd/conf_edit.h"
#include "vmfsd/conf_kept.h"
#include "vmfsd/exports.h"

#define BOX_WHY_SIZE 1024

struct box {
	pthread_mutex_t mutex;		/* one change at a time */
	char *path;			/* of the file */
	char *text;			/* as last read or written; NULL: not */
	/* Or this, if a worker died when it was about to write it; NULL. */
	char *next;
	/* What the first worker has started with; a restart changes it. */
	char *start_text;
	struct conf *start;
	struct exports *exports;
	struct log *log;
};

/* The file cannot be read, and nothing is kept: then there are no changes
 * either. */
void box_init(struct box *b, const char *path, const struct conf_kept *kept,
    struct exports *e, struct log *log);
/* For a worker that goes on; every change does it, too. */
void box_leave(struct box *b);
void box_fini(struct box *b);

/*
 * Changes lines of the file and, by them, the running target; both or none.
 * -EBUSY: initiators use what goes away (and not `force`), or the file was
 * changed by hand and is to be read first.  `why` (BOX_WHY_SIZE) is the
 * sentence for the admin.  Blocks.
 */
int box_change(struct box *b, const struct conf_edit *edits, size_t count,
    bool force, char *why) MUST_CHECK;
/* The same for who has the mutex, since before it looked what to change. */
int box_change_held(struct box *b, const struct conf_edit *edits, size_t count,
    bool force, char *why) MUST_CHECK;

/*
 * Reads the file again, applies what can be applied, and opens LUNs that wait;
 * with `dry` only tells what that would be.  *ret_c, with the result of each
 * change, is the caller's.  An error means that nothing was changed.
 */
int box_reload(struct box *b, bool force, bool dry,
    struct conf_changes *ret_c, char *why) MUST_CHECK;

#endif
