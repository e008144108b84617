/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Space: resource clusters, metachunks, the remote-free log (F3).
 *
 * A cluster block is lockable: the host whose lock it carries allocates and
 * frees inside the cluster alone.  A metachunk is a chunk cut into blocks: its
 * block 0 says what the other 15 are; the cluster's lock covers it.
 */
#ifndef VMFS_FORMAT_CLUSTER_H
#define VMFS_FORMAT_CLUSTER_H

#include "libvmfs/format/layout.h"

#define CLUSTER_CHUNKS_MAX 16384u	/* 1 GiB */
#define CLUSTER_CHUNKS_MIN 256u		/* 16 MiB */

/* At byte 512 of the cluster's block. */
struct cluster_disk {
	struct block_hdr_disk hdr;	/*   0 */
	le64_t cluster;			/*  64 own number */
	le32_t chunks;			/*  72 usable: the last may be short */
	le32_t free_chunks;		/*  76 */
	le32_t metachunks;		/*  80 */
	le32_t free_meta_blocks;	/*  84 in metachunks */
	le32_t meta_hint;		/*  88 a metachunk with free blocks */
	uint8_t reserved[36];		/*  92 */
	uint8_t used[CLUSTER_CHUNKS_MAX / 8];	/* 128 bit set: in use */
	uint8_t meta[1024];		/* 2176 where metachunks are, below */
	uint8_t reserved2[384];		/* 3200 */
};
static_assert(sizeof(struct cluster_disk) == 3584, "cluster");
static_assert(offsetof(struct cluster_disk, used) == 128, "used");
static_assert(offsetof(struct cluster_disk, meta) == 2176, "meta");
/*
 * meta[]: bit b is set when chunk 2b or 2b + 1 is a metachunk, so that all
 * metachunks are found by reading at most two blocks per set bit.
 */

/* Block 0 of a metachunk. */
struct metachunk_disk {
	struct block_hdr_disk hdr;	/*  0 owner: the cluster's block */
	le16_t used;			/* 64 bit i: block i in use; bit 0 set */
	uint8_t reserved[14];		/* 66 */
	uint8_t type[CHUNK_BLOCKS];	/* 80 enum block_type, 0 when free */
	uint8_t reserved2[4000];	/* 96 */
};
static_assert(sizeof(struct metachunk_disk) == BLOCK_SIZE, "metachunk");

/* Chunks and blocks freed by one host in a cluster leased to another. */
struct remote_free_entry_disk {
	le64_t block;		/*  0 */
	le32_t count;		/*  8 blocks */
	le32_t flags;		/* 12 bit 0: metadata block(s) */
};
#define REMOTE_FREE_ENTRIES 250u
struct remote_free_disk {
	struct block_hdr_disk hdr;	/*  0 owner: the host's slot block */
	le64_t next;			/* 64 */
	le32_t count;			/* 72 */
	le32_t reserved;		/* 76 */
	struct remote_free_entry_disk entry[REMOTE_FREE_ENTRIES]; /* 80 */
	uint8_t reserved2[16];
};
static_assert(sizeof(struct remote_free_disk) == BLOCK_SIZE, "remote free");

#endif
