/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Last name under which an inode was looked up, for log lines only: FUSE
 * opens inodes, admins know names.  A small table that forgets.
 */
#ifndef VMFS_FUSE_NAME_HINT_H
#define VMFS_FUSE_NAME_HINT_H

#include <stdint.h>

#include "libvmfs/base/err.h"

#define NAME_HINT_SLOTS 256u	/* power of two */

struct name_hint_slot {
	uint64_t ino;
	char name[256];
};

struct name_hint {
	struct name_hint_slot *slot;
};

int name_hint_init(struct name_hint *h) MUST_CHECK;
void name_hint_fini(struct name_hint *h);
void name_hint_set(struct name_hint *h, uint64_t ino, const char *name);
/* NULL when forgotten. */
const char *name_hint_get(const struct name_hint *h, uint64_t ino);

#endif
