/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a further LUN of a datastore says about itself, in its first MiB, and
 * what the first LUN notes about each of the others: the same block.
 */
#ifndef VMFS_FORMAT_EXTENT_H
#define VMFS_FORMAT_EXTENT_H

#include "libvmfs/format/super.h"

#define EXTENT_MAGIC "VMFSEXT\1"	/* 8 bytes behind the header */
/* Of a further LUN, outside of the address space; both copies alike. */
#define EXTENT_COPIES 2u
#define EXTENT_COPY_0 16u		/* where a superblock would be */
#define EXTENT_COPY_1 128u
/* On the first LUN: notes about the others, in any order. */
#define EXTENT_NOTE_BLOCK 544u
#define EXTENT_NOTES SUPER_EXTENTS_MAX
static_assert(EXTENT_NOTE_BLOCK > SUPER_BLOCK_1 &&
    EXTENT_NOTE_BLOCK + EXTENT_NOTES <= CLUSTER_TABLE_BLOCK, "notes");

#define EXTENT_PLACE_MAX 511		/* bytes of a LUN's name */

struct extent_disk {
	struct block_hdr_disk hdr;	/*   0 addr: of this block on its LUN */
	uint8_t magic[8];		/*  64 EXTENT_MAGIC */
	uint8_t uuid[16];		/*  72 as in the superblock's table */
	le64_t first_block;		/*  88 likewise */
	le64_t created_us;		/*  96 wall clock */
	uint8_t label[SUPER_LABEL_MAX];	/* 104 of the datastore, back then */
	uint8_t lun_serial[60];		/* 168 of this LUN: a copy is told */
	uint8_t reserved0[28];		/* 228 */
	uint8_t place[EXTENT_PLACE_MAX + 1]; /* 256 path or URL by which it was
					 * added, without a secret */
	uint8_t reserved1[3328];	/* 768 */
};
static_assert(sizeof(struct extent_disk) == BLOCK_SIZE, "extent");
static_assert(offsetof(struct extent_disk, label) == 104, "label");
static_assert(offsetof(struct extent_disk, place) == 256, "place");

struct extent_info {
	struct uuid volume;	/* in the header of every block */
	struct uuid uuid;
	uint64_t first_block, created_us;
	char label[SUPER_LABEL_MAX + 1];
	char lun_serial[61];
	char place[EXTENT_PLACE_MAX + 1];
};

/* Does the block say that it is one, whatever its state? */
bool extent_is_here(const void *buf);
/* -VMFS_ENOTVMFS: no such block; -VMFS_ECORRUPT. */
int extent_decode(const void *buf, uint64_t block, struct extent_info *ret_e)
    MUST_CHECK;
void extent_encode(void *buf, uint64_t block, const struct extent_info *e);

#endif
