/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Directories: a packed list of entries in the inode while it fits, then a
 * radix tree by name hash.  A DIR_NODE at depth d (0 = root) indexes by hash
 * bits [24 - 8d, 32 - 8d); neighbours may point to one leaf that has a
 * shorter prefix.  A full leaf splits in two until its prefix fills the node's
 * 8 bits, then gets a DIR_NODE of its own; at 32 bits leaves chain by `next`.
 */
#ifndef VMFS_FORMAT_DIRENT_H
#define VMFS_FORMAT_DIRENT_H

#include "libvmfs/format/layout.h"

#define DIR_NAME_MAX 255u
#define DIR_NODE_FANOUT 256u

/* Packed, each padded to 8 bytes; used in leaves and inline. */
struct dirent_disk {
	le64_t ino;		/*  0 */
	le32_t generation;	/*  8 of the inode: a stale entry is seen */
	uint8_t type;		/* 12 enum inode_type */
	uint8_t name_len;	/* 13 1..255 */
	uint8_t reserved[2];	/* 14 */
	uint8_t name[];		/* 16 no NUL; any byte but '/' and NUL */
};
static_assert(sizeof(struct dirent_disk) == 16, "dirent");

struct dir_leaf_disk {
	struct block_hdr_disk hdr;	/*  0 owner: the directory's inode */
	le32_t prefix;			/* 64 hash bits, left aligned */
	uint8_t prefix_bits;		/* 68 0..32 */
	uint8_t reserved;		/* 69 */
	le16_t used;			/* 70 bytes of data */
	le64_t next;			/* 72 overflow, only at 32 bits */
	uint8_t data[4016];		/* 80 */
};
static_assert(sizeof(struct dir_leaf_disk) == BLOCK_SIZE, "dir leaf");

struct dir_node_disk {
	struct block_hdr_disk hdr;	/*  0 owner: the directory's inode */
	le32_t prefix;			/* 64 */
	uint8_t depth;			/* 68 0..3 */
	uint8_t reserved[59];		/* 69 */
	le64_t child[DIR_NODE_FANOUT];	/* 128 leaf or node; 0 = empty */
	uint8_t reserved2[1920];	/* 2176 */
};
static_assert(sizeof(struct dir_node_disk) == BLOCK_SIZE, "dir node");

/* CRC32C of the name, started with the directory's seed. */
uint32_t dirent_hash(uint32_t seed, const char *name, size_t len);
/* Bytes an entry takes, padding included. */
static inline size_t
dirent_size(size_t name_len)
{
	return (sizeof(struct dirent_disk) + name_len + 7) & ~(size_t)7;
}

struct dirent {
	uint64_t ino;
	uint32_t generation;
	unsigned type;		/* enum inode_type */
	size_t name_len;
	const char *name;	/* points into the block; no NUL */
};

/*
 * Entry at *pos of `used` bytes; advances *pos.  -ENOENT at the end,
 * -VMFS_ECORRUPT when it does not fit, or its name is not one.
 */
int dirent_next(const uint8_t *data, size_t used, size_t *pos,
    struct dirent *ret_e) MUST_CHECK;
/* Writes at data + pos, dirent_size bytes; the caller knows they fit. */
void dirent_put(uint8_t *data, size_t pos, const struct dirent *e);

#endif
