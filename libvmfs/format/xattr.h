/* SPDX-License-Identifier: BSD-2-Clause */
/* Extended attributes: one block of names and values for an inode. */
#ifndef VMFS_FORMAT_XATTR_H
#define VMFS_FORMAT_XATTR_H

#include "libvmfs/format/layout.h"

#define XATTR_NAME_MAX 255u
#define XATTR_ROOM (BLOCK_SIZE - 80u)	/* names, values, 4 bytes for each */

struct xattr_entry_disk {
	le16_t value_len;	/* 0 */
	uint8_t name_len;	/* 2 */
	uint8_t reserved;	/* 3 */
	uint8_t bytes[];	/* 4 name without NUL, value */
};
static_assert(sizeof(struct xattr_entry_disk) == 4, "xattr entry");

struct xattr_disk {
	struct block_hdr_disk hdr;	/*  0 owner: the inode */
	le16_t used;			/* 64 bytes of data */
	uint8_t reserved[14];		/* 66 */
	uint8_t data[XATTR_ROOM];	/* 80 entries, close together */
};
static_assert(sizeof(struct xattr_disk) == BLOCK_SIZE, "xattr");
static_assert(offsetof(struct xattr_disk, data) == 80, "xattr data");

struct xattr {
	const char *name;	/* not terminated */
	size_t name_len;
	const uint8_t *value;
	size_t value_len;
};

static inline size_t
xattr_size(size_t name_len, size_t value_len)
{
	return sizeof(struct xattr_entry_disk) + name_len + value_len;
}

/* The entry at *pos, and *pos behind it; -ENOENT at the end,
 * -VMFS_ECORRUPT. */
int xattr_next(const uint8_t *data, size_t used, size_t *pos,
    struct xattr *ret_x) MUST_CHECK;
/* Writes an entry, for which there is room, at pos. */
void xattr_put(uint8_t *data, size_t pos, const struct xattr *x);
/* Everything behind the header; -VMFS_ECORRUPT. */
int xattr_check(const void *block) MUST_CHECK;

#endif
