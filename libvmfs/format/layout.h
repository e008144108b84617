/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where things lie on a datastore and the bytes all metadata blocks share.
 * doc/FORMAT.md describes every byte; the structs of this directory are the
 * same bytes, pinned by static asserts.
 *
 * Units: a block is 4 KiB, block numbers count from the start of the volume's
 * address space.  A chunk is 64 KiB (16 blocks), the unit of data allocation.
 *
 *   block 0..15        left alone (64 KiB; zeroed by mkfs)
 *   block 16           superblock, copy 0
 *   block 256..511     heartbeat slots, one block per host (1 MiB..2 MiB)
 *   block 512          superblock, copy 1
 *   block 768..        cluster table: one block per resource cluster
 *   after the table    superblock, copy 2 (super.copy2_block)
 *   then               chunks, named by the clusters' bitmaps
 *
 * Cluster c covers blocks [c * n, (c+1) * n), n = super.cluster_blocks, of the
 * whole address space; what the lines above use is marked allocated.
 */
#ifndef VMFS_FORMAT_LAYOUT_H
#define VMFS_FORMAT_LAYOUT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libvmfs/base/err.h"
#include "libvmfs/base/le.h"
#include "libvmfs/base/uuid.h"

#define BLOCK_SIZE 4096u
#define BLOCK_SHIFT 12
#define CHUNK_SIZE 65536u
#define CHUNK_SHIFT 16
#define CHUNK_BLOCKS 16u		/* blocks of a chunk */
#define MIB_BLOCKS 256u			/* of the MiB a huge entry maps */
#define LOCK_RECORD_SIZE 512u		/* sector 0 of a lockable block */

#define SUPER_BLOCK_0 16u
#define SLOT_TABLE_BLOCK 256u
#define SLOTS_MAX 256u
#define SUPER_BLOCK_1 512u
#define CLUSTER_TABLE_BLOCK 768u
#define EXTENT_FRONT_BLOCKS 256u	/* of a further LUN, before its space */

enum block_type {
	BLOCK_SUPER = 1,
	BLOCK_SLOT = 2,		/* lockable: heartbeat record + slot info */
	BLOCK_CLUSTER = 3,	/* lockable: bitmap of a resource cluster */
	BLOCK_METACHUNK = 4,	/* block 0 of a chunk of metadata blocks */
	BLOCK_INODE = 5,	/* lockable */
	BLOCK_MAP_LEAF = 6,	/* level 0: 256 chunks = 16 MiB */
	BLOCK_MAP_NODE = 7,	/* level 1: 256 MiB; level n: 256^n MiB */
	BLOCK_DIR_NODE = 8,
	BLOCK_DIR_LEAF = 9,
	BLOCK_SNAPTAB = 10,	/* names and inodes of a disk's snapshots */
	BLOCK_REMOTE_FREE = 11,	/* frees waiting for another host's cluster */
	BLOCK_JOURNAL_HEAD = 12,
	BLOCK_EXTENT = 13,	/* of a further LUN: what it is a part of */
	BLOCK_XATTR = 14,	/* an inode's extended attributes */
	BLOCK_TYPE_MAX = 14,
};

/*
 * First 64 bytes of every metadata block; in lockable blocks at offset 512,
 * behind the lock record, and covering only what follows it.
 */
struct block_hdr_disk {
	le32_t magic;		/*  0 BLOCK_MAGIC */
	le16_t type;		/*  4 enum block_type */
	le16_t reserved;	/*  6 zero */
	le32_t crc32c;		/*  8 of `length` bytes, this field as zero */
	le32_t length;		/* 12 4096, or 3584 in a lockable block */
	uint8_t volume[16];	/* 16 UUID of the datastore */
	le64_t addr;		/* 32 own block number */
	le64_t owner;		/* 40 block number of the lock that covers it */
	le64_t lockver;		/* 48 version of that lock when written */
	le64_t lsn;		/* 56 of the transaction that wrote it */
};
#define BLOCK_MAGIC 0x31424d56u		/* "VMB1" */
#define BLOCK_PAYLOAD (BLOCK_SIZE - 64)
static_assert(sizeof(struct block_hdr_disk) == 64, "block header");
static_assert(offsetof(struct block_hdr_disk, volume) == 16, "volume");
static_assert(offsetof(struct block_hdr_disk, lsn) == 56, "lsn");

struct block_hdr {
	enum block_type type;
	uint64_t addr, owner, lockver, lsn;
};

/* Where the header stands: INODE, SLOT and CLUSTER have a sector before it. */
static inline unsigned
block_hdr_offset(enum block_type type)
{
	return type == BLOCK_INODE || type == BLOCK_SLOT ||
	    type == BLOCK_CLUSTER ? LOCK_RECORD_SIZE : 0;
}

/* Bytes of the block that header, CRC and journal images cover. */
static inline unsigned
block_hdr_covers(enum block_type type)
{
	return BLOCK_SIZE - block_hdr_offset(type);
}

/* "super", "inode" ... for logs and reports; "?" when unknown. */
const char *block_type_name(enum block_type type);
bool bytes_are_zero(const void *buf, size_t len);
/* CRC32C of len bytes as if the 4 bytes at `hole` were zero. */
uint32_t crc32c_with_hole(const void *buf, size_t len, size_t hole);

/*
 * Checks magic, type (0: any), length, volume, address, CRC of a whole 4 KiB
 * block; -VMFS_ECORRUPT when any is wrong.
 */
int block_hdr_decode(const void *block, enum block_type type,
    const struct uuid *volume, uint64_t addr, struct block_hdr *ret_h)
    MUST_CHECK;
/* Writes the header into the block and seals it with its CRC. */
void block_hdr_encode(void *block, const struct block_hdr *h,
    const struct uuid *volume);

#endif
