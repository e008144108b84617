/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The map of a file: a page table over 4 KiB nodes (F4).
 *
 * Level 1 maps 256 MiB by entries of 1 MiB.  An entry is a hole, or `huge`
 * (one contiguous MiB), or `split`: then the leaf of its group of 16 MiB
 * (group[i / 16]) has 16 chunk entries for it.  Level n > 1 maps 256^n MiB by
 * pointers to nodes below (or huge, contiguous runs).  The root
 * is of level 1 at the least: a leaf is only reached through a level 1 node.
 *
 * A chunk entry names up to two chunks.  Block i (4 KiB) of the 64 KiB is
 *   valid bit i set:    block i of chunk `own`
 *   clear, base != 0:   block i of chunk `base`   (inherited, never written)
 *   clear, base == 0:   zeroes
 * so that the first 4 KiB write to shared data costs one 4 KiB write and no
 * copy (F5), and never-written space reads as zeroes without zeroing (F7).
 *
 * Birth = epoch in which the tree that wrote the entry got the space.  Space
 * with birth > inode.snap_epoch is in no snapshot and may be overwritten in
 * place or freed; everything else is immutable.
 */
#ifndef VMFS_FORMAT_MAPNODE_H
#define VMFS_FORMAT_MAPNODE_H

#include <stdbool.h>

#include "libvmfs/format/layout.h"

#define MAP_FANOUT 256u
#define MAP_GROUPS 16u
#define MAP_LEVEL_MAX 6u	/* 256^6 MiB */
#define MAP_L1_SHIFT 20		/* bytes of one level 1 entry, log2 */

/* Bytes, log2, covered by one entry of a node of this level. */
static inline unsigned
map_entry_shift(unsigned level)
{
	return level == 0 ? CHUNK_SHIFT : MAP_L1_SHIFT + 8 * (level - 1);
}

enum map_state {
	MAP_HOLE = 0,		/* zeroes */
	MAP_HUGE = 1,		/* contiguous run starting at block */
	MAP_SPLIT = 2,		/* level 1 only: see the group's leaf */
	MAP_CHILD = 3,		/* level > 1: node one level below */
};

struct map_chunk_disk {		/* leaf entry */
	le40_t own;		/*  0 chunk number, 0 = none */
	le40_t base;		/*  5 chunk number, 0 = none */
	le24_t birth;		/* 10 of own */
	le16_t valid;		/* 13 */
};
static_assert(sizeof(struct map_chunk_disk) == 15, "chunk entry");

struct map_entry_disk {		/* entry of level >= 1 */
	le48_t block;		/*  0 */
	le32_t birth;		/*  6 */
	uint8_t state;		/* 10 enum map_state */
	uint8_t reserved[4];	/* 11 */
};
static_assert(sizeof(struct map_entry_disk) == 15, "map entry");

struct map_group_disk {		/* level 1: leaf of 16 entries, 16 MiB */
	le48_t block;		/*  0 of the BLOCK_MAP_LEAF, 0 = none */
	le32_t birth;		/*  6 */
	uint8_t reserved[2];	/* 10 */
};
static_assert(sizeof(struct map_group_disk) == 12, "map group");

struct map_leaf_disk {
	struct block_hdr_disk hdr;	/*   0 owner: the inode */
	le64_t offset;			/*  64 file offset of entry 0 */
	le32_t birth;			/*  72 */
	uint8_t reserved[180];		/*  76 */
	struct map_chunk_disk entry[MAP_FANOUT];	/* 256 */
};
static_assert(sizeof(struct map_leaf_disk) == BLOCK_SIZE, "map leaf");
static_assert(offsetof(struct map_leaf_disk, entry) == 256, "leaf entries");

struct map_node_disk {
	struct block_hdr_disk hdr;	/*   0 owner: the inode */
	/* Level 1: one leaf per group.  Higher levels: info. */
	union {
		struct map_group_disk group[MAP_GROUPS];	/* 64 */
		struct {
			le64_t offset;	/* 64 file offset of entry 0 */
			le32_t birth;	/* 72 */
			uint8_t level;	/* 76 */
			uint8_t reserved[179];
		} info;
	} u;
	struct map_entry_disk entry[MAP_FANOUT];	/* 256 */
};
static_assert(sizeof(struct map_node_disk) == BLOCK_SIZE, "map node");
static_assert(offsetof(struct map_node_disk, entry) == 256, "node entries");

struct map_chunk {
	uint64_t own, base;	/* chunk numbers */
	uint32_t birth;
	uint16_t valid;
};

struct map_entry {
	uint64_t block;
	uint32_t birth;
	enum map_state state;
};

void map_chunk_get(const struct map_chunk_disk *d, struct map_chunk *ret_c);
void map_chunk_put(struct map_chunk_disk *d, const struct map_chunk *c);
/* -VMFS_ECORRUPT: unknown state, or one that the level does not allow. */
int map_entry_get(const struct map_entry_disk *d, unsigned level,
    struct map_entry *ret_e) MUST_CHECK;
void map_entry_put(struct map_entry_disk *d, const struct map_entry *e);

#endif
