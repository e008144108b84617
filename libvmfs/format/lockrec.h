/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lock record: sector 0 of an inode's or cluster's block, changed by one
 * compare-and-write of a sector (L2, L3).  All zero is a free lock of version
 * 0.  (The sector 0 of a slot is a heartbeat record, see heartbeat.h.)
 */
#ifndef VMFS_FORMAT_LOCKREC_H
#define VMFS_FORMAT_LOCKREC_H

#include <stdbool.h>

#include "libvmfs/format/layout.h"

#define LOCKREC_MAGIC 0x31434b4cu	/* "LKC1" */
#define HOST_NAME_MAX_BYTES 63

enum lock_mode {
	LOCK_FREE = 0,
	LOCK_EXCLUSIVE = 1,
	LOCK_SHARED = 2,	/* holders by the map */
	LOCK_MULTI_WRITER = 3,	/* likewise */
};

struct lockrec_disk {
	le32_t magic;		/*   0 */
	le32_t crc32c;		/*   4 of 512 bytes, this field as zero */
	uint8_t volume[16];	/*   8 */
	le64_t addr;		/*  24 block number of the lockable block */
	le64_t version;		/*  32 only grows: +1 at each new holder */
	le64_t lsn;		/*  40 of the last holder, see doc/FORMAT.md */
	le64_t nonce;		/*  48 random per write: is it my image? */
	le16_t mode;		/*  56 enum lock_mode */
	le16_t slot;		/*  58 exclusive holder */
	le32_t reserved0;	/*  60 */
	le64_t incarnation;	/*  64 exclusive holder's */
	uint8_t host[16];	/*  72 exclusive holder's UUID */
	le64_t since_us;	/*  88 wall clock, for people */
	uint8_t name[48];	/*  96 exclusive holder's name, for people */
	/* The rest of a name of 48 bytes or more.  Else who offers the lock to
	 * that host, which has not taken it yet: see lockrec.from_slot. */
	le16_t from_slot;	/* 144 slot + 1; 0: nobody */
	uint8_t reserved2[6];	/* 146 */
	le64_t from_incarnation;	/* 152 below 2^56 */
	uint8_t reserved1[96];	/* 160 */
	/* Shared and multi-writer holders: 0 = slot does not hold, else
	 * 1 + incarnation % 255 of the holder. */
	uint8_t holder[SLOTS_MAX];	/* 256 */
};
static_assert(sizeof(struct lockrec_disk) == LOCK_RECORD_SIZE, "lockrec");
static_assert(offsetof(struct lockrec_disk, holder) == 256, "holder map");

/* The longest name in a record that is an offer. */
#define LOCKREC_OFFER_NAME_MAX 47u

struct lockrec {
	uint64_t addr, version, lsn, nonce, incarnation, since_us;
	enum lock_mode mode;
	unsigned slot;
	struct uuid host;
	char name[HOST_NAME_MAX_BYTES + 1];
	/* Exclusive, but the holder has not taken it: it is being handed over
	 * by this host.  Who does not know that takes it for held. */
	bool offered;
	unsigned from_slot;
	uint64_t from_incarnation;
	uint8_t holder[SLOTS_MAX];
};

/* What holder[] carries for an incarnation. */
static inline uint8_t
lockrec_holder_mark(uint64_t incarnation)
{
	return (uint8_t)(1 + incarnation % 255);
}

/* All-zero sector: LOCK_FREE, version 0.  -VMFS_ECORRUPT on anything wrong. */
int lockrec_decode(const void *sector, const struct uuid *volume,
    uint64_t addr, struct lockrec *ret_l) MUST_CHECK;
/*
 * Of a sector that lockrec_decode refuses: has it been a record of this block?
 * Two of magic, volume and address say so; else it is data by now.
 */
bool lockrec_was(const void *sector, const struct uuid *volume, uint64_t addr);
void lockrec_encode(void *sector, const struct uuid *volume,
    const struct lockrec *l);
/* Of a lock record or a heartbeat: all zero, or with its own checksum? */
bool record_is_whole(const void *sector);

#endif
