/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Redo journal of one host (F8): a run of super.journal_blocks blocks.
 *
 *   block 0, 1   two head copies, written in turn; higher sequence rules
 *   block 2..    ring of commits, each contiguous and block aligned
 *
 * A commit is one header followed by its records, padded with zeroes to a
 * block.  It is valid when its CRC, journal incarnation and sequence (previous
 * + 1) fit and prev_crc is the CRC of the commit before.  The first that does
 * not fit ends the log.  A commit that would cross the end of the ring starts
 * at block 2 instead, and a header with JOURNAL_WRAP stands where it would
 * have been (when a block is left there).
 *
 * LSNs are Lamport stamps: a host's next is larger than any it has read from
 * a block or lock record.  A record is applied only if the lock that covers
 * the block is still held by the dead incarnation with the record's version,
 * and the block on disk is invalid or has a smaller LSN.
 */
#ifndef VMFS_FORMAT_JOURNAL_H
#define VMFS_FORMAT_JOURNAL_H

#include "libvmfs/format/layout.h"

#define JOURNAL_COMMIT_MAGIC 0x314d434au	/* "JCM1" */
#define JOURNAL_FIRST_BLOCK 2u
#define JOURNAL_BLOCKS_MIN 256u			/* 1 MiB */
#define JOURNAL_BLOCKS_MAX 16384u		/* 64 MiB */

struct journal_head_disk {
	struct block_hdr_disk hdr;	/*  0 owner: the slot's block */
	le64_t incarnation;		/* 64 whose log this is */
	le64_t head_sequence;		/* 72 of this head copy */
	le64_t tail_block;		/* 80 first commit to replay */
	le64_t tail_sequence;		/* 88 its sequence number */
	le32_t tail_prev_crc;		/* 96 what its prev_crc must be */
	le32_t blocks;			/* 100 of the journal */
	uint8_t reserved[BLOCK_SIZE - 104];
};
static_assert(sizeof(struct journal_head_disk) == BLOCK_SIZE, "journal head");

enum {
	JOURNAL_WRAP = 1 << 0,	/* no records: go on at JOURNAL_FIRST_BLOCK */
};

struct journal_commit_disk {
	le32_t magic;		/*  0 */
	le32_t crc32c;		/*  4 of `length` bytes, this field as zero */
	le64_t incarnation;	/*  8 */
	le64_t sequence;	/* 16 */
	le32_t prev_crc;	/* 24 */
	le32_t length;		/* 28 header and records, bytes */
	le32_t records;		/* 32 */
	le32_t flags;		/* 36 */
	uint8_t volume[16];	/* 40 */
	le64_t lsn;		/* 56 of every record in it */
};
static_assert(sizeof(struct journal_commit_disk) == 64, "commit");

enum journal_record_type {
	JOURNAL_IMAGE = 1,	/* whole covered range: 4096 or, in lockable
				 * blocks, the 3584 behind the lock record */
	JOURNAL_DELTA = 2,	/* bytes at offset; the block on disk or an
				 * earlier record has the rest */
};

struct journal_record_disk {
	le16_t type;		/*  0 */
	le16_t block_type;	/*  2 enum block_type */
	le16_t offset;		/*  4 in the block */
	le16_t length;		/*  6 bytes that follow, padded to 8 */
	le64_t addr;		/*  8 */
	le64_t owner;		/* 16 lock's block number */
	le64_t lockver;		/* 24 */
};
static_assert(sizeof(struct journal_record_disk) == 32, "record");

struct journal_head {
	uint64_t addr;		/* block it stands in */
	uint64_t incarnation, head_sequence, tail_block, tail_sequence;
	uint32_t tail_prev_crc, blocks;
};

struct journal_commit {
	uint64_t incarnation, sequence, lsn;
	uint32_t prev_crc, crc, length, records, flags;
};

struct journal_record {
	enum journal_record_type type;
	enum block_type block_type;
	unsigned offset, length;
	uint64_t addr, owner, lockver;
	const uint8_t *bytes;	/* into the commit's buffer */
};

int journal_head_decode(const void *block, const struct uuid *volume,
    uint64_t addr, struct journal_head *ret_h) MUST_CHECK;
void journal_head_encode(void *block, const struct uuid *volume,
    uint64_t slot_block, uint64_t lsn, const struct journal_head *h);
/*
 * Header of a commit from its first 64 bytes: magic, volume, and a length
 * between 64 and max.  The CRC is checked by journal_commit_check once all
 * `length` bytes are there.
 */
int journal_commit_decode(const void *buf, const struct uuid *volume,
    size_t max, struct journal_commit *ret_c) MUST_CHECK;
int journal_commit_check(const void *buf, const struct journal_commit *c)
    MUST_CHECK;
/* Seals a buffer whose records stand behind the header; sets c->crc. */
void journal_commit_encode(void *buf, const struct uuid *volume,
    struct journal_commit *c);
/* Record at *pos of `length` bytes; advances *pos; -ENOENT at the end. */
int journal_record_next(const void *buf, size_t length, size_t *pos,
    struct journal_record *ret_r) MUST_CHECK;
/* Bytes the record takes; writes it at buf + pos when buf is not NULL. */
size_t journal_record_put(void *buf, size_t pos,
    const struct journal_record *r);

#endif
