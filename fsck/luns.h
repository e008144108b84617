/* SPDX-License-Identifier: BSD-2-Clause */
/* The further LUNs of a datastore that is to be checked. */
#ifndef VMFS_FSCK_LUNS_H
#define VMFS_FSCK_LUNS_H

#include "libvmfs/core/extents.h"
#include "libvmfs/env/env.h"

#define LUNS_WHY_SIZE 1024

struct luns_conf {
	struct env *env;
	const char *initiator;	/* NULL: the default */
	char **names;		/* where to look; none: where its notes say */
	int n;
	unsigned flags;		/* DISK_OPEN_* */
	/* Something over the LUN of extent i takes its place; may be NULL. */
	int (*over)(void *arg, unsigned i, struct disk *lun,
	    struct disk **ret_d);
	void *arg;
};

/*
 * Attaches all that the superblock has to the disk of all LUNs.  An error with
 * a sentence in why (LUNS_WHY_SIZE): one is missing, or a name is of none.
 * Suspends.
 */
int luns_find(struct disk *extents, const struct super *s,
    const struct luns_conf *conf, char *why) MUST_CHECK;

#endif
