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

#include <stdbool.h>

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
 * metachunks are found by reading at most two blocks per set bit.  Block 0 of
 * a chunk in use there is one when it is a valid BLOCK_METACHUNK of this
 * cluster with bit 0 of `used` set; a retired one is written with used == 0
 * before its chunk is free again, and the allocator does not mix data and
 * metachunks in a pair while any other pair will do.
 */
struct cluster_info {
	uint64_t cluster;
	uint32_t chunks, free_chunks, metachunks, free_meta_blocks, meta_hint;
};

/*
 * `block` is the whole 4 KiB block, its header checked before.  Checks number
 * and ranges, and that free_chunks is what the bitmap says.
 */
int cluster_decode(const void *block, uint64_t cluster,
    struct cluster_info *ret_c) MUST_CHECK;
/* Leaves lock record, header and bitmaps alone. */
void cluster_encode(void *block, const struct cluster_info *c);
bool cluster_chunk_used(const void *block, uint32_t chunk);
void cluster_chunk_set_used(void *block, uint32_t chunk, bool used);
bool cluster_pair_meta(const void *block, uint32_t pair);
void cluster_pair_set_meta(void *block, uint32_t pair, bool meta);

/* Block 0 of a metachunk. */
struct metachunk_disk {
	struct block_hdr_disk hdr;	/*  0 owner: the cluster's block */
	le16_t used;			/* 64 bit i: block i used; bit 0 set */
	uint8_t reserved[14];		/* 66 */
	uint8_t type[CHUNK_BLOCKS];	/* 80 enum block_type, 0 when free */
	uint8_t reserved2[4000];	/* 96 */
};
static_assert(sizeof(struct metachunk_disk) == BLOCK_SIZE, "metachunk");

struct metachunk_info {
	uint16_t used;
	uint8_t type[CHUNK_BLOCKS];	/* enum block_type */
};
int metachunk_decode(const void *block, struct metachunk_info *ret_m)
    MUST_CHECK;
void metachunk_encode(void *block, const struct metachunk_info *m);

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

struct remote_free {
	uint64_t block;
	uint32_t count;		/* blocks; whole chunks unless meta */
	bool meta;
};
/* Ranges of a whole BLOCK_REMOTE_FREE; -VMFS_ECORRUPT. */
int remote_free_check(const void *block) MUST_CHECK;
void remote_free_get(const void *block, unsigned i, struct remote_free *ret_f);
void remote_free_put(void *block, unsigned i, const struct remote_free *f);

#endif
