/* SPDX-License-Identifier: BSD-2-Clause */
/* What the requests of a dead process have left. */
#include <sys/mman.h>

#include "fuse/fuse_keep.h"

void
fuse_keep_replayed(struct fuse_keep *k, uint64_t replayed_lsn)
{
	for (unsigned i = 0; i < FUSE_KEEP_REQUESTS; i++) {
		struct fs_note *n = &k->note[i];

		if (n->lsn < NOTE_WRITTEN && n->lsn >= replayed_lsn)
			n->lsn = 0;
	}
}

void
fuse_keep_touch(struct fuse_keep *k, unsigned i)
{
	(void)madvise(k->message[i], FUSE_KEEP_MESSAGE, MADV_POPULATE_WRITE);
}
