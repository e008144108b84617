/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies of LUNs: told from their originals, and made datastores of their own. */
#ifndef VMFS_VMFSD_LUN_COPY_H
#define VMFS_VMFSD_LUN_COPY_H

#include "vmfsd/datastore.h"

/*
 * May this LUN be mounted as `d`?  -VMFS_ESTALE_VOLUME with a sentence in
 * d->why when it is a copy, or when this vmfsd has the same volume mounted from
 * another LUN.  Otherwise the volume counts as mounted from `d` until
 * lun_copy_forget.
 */
int lun_copy_check(struct datastore *d, const struct super *s,
    const struct disk_info *lun) MUST_CHECK;
void lun_copy_forget(struct datastore *d);

struct resign {
	const char *lun;
	const char *label;	/* NULL: made from the old one */
	bool keep;		/* only note where the volume lies now */
	struct super before, after;
};
/*
 * Changes the superblocks of a LUN that nobody has mounted, on a thread of its
 * own; blocks for some pulses.  `why` (DATASTORE_WHY_SIZE) is the sentence.
 */
int lun_resign(struct datastores *all, struct resign *r, char *why)
    MUST_CHECK;

#endif
