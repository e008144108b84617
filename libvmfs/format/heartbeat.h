/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Heartbeat slot (L1): sector 0 is the heartbeat record, changed by
 * compare-and-write; bytes 512.. are the slot info, a journalled metadata
 * block of type BLOCK_SLOT whose "lock" is the slot and whose lock version is
 * the incarnation.
 */
#ifndef VMFS_FORMAT_HEARTBEAT_H
#define VMFS_FORMAT_HEARTBEAT_H

#include "libvmfs/format/lockrec.h"
#include "libvmfs/format/super.h"

#define HEARTBEAT_MAGIC 0x31544248u	/* "HBT1" */
#define SLOT_ORPHANS_MAX 400u

enum slot_state {
	SLOT_FREE = 0,		/* never used, or left in good order */
	SLOT_LIVE = 1,
	SLOT_STOPPING = 2,	/* host is unmounting */
	SLOT_RECOVERING = 3,	/* fenced; recoverer replays its journal */
};

struct heartbeat_disk {
	le32_t magic;		/*   0 */
	le32_t crc32c;		/*   4 of 512 bytes, this field as zero */
	uint8_t volume[16];	/*   8 */
	le16_t slot;		/*  24 own number */
	le16_t state;		/*  26 enum slot_state */
	le32_t reserved0;	/*  28 */
	uint8_t host[16];	/*  32 host UUID */
	le64_t incarnation;	/*  48 +1 at each mount and by each breaker */
	le64_t pulse;		/*  56 +1 at each beat */
	le64_t nonce;		/*  64 random at each write */
	le64_t pr_key;		/*  72 0 where the protocol has none */
	le64_t mounted_us;	/*  80 wall clock, for people */
	le16_t recoverer;	/*  88 slot of the recovering host */
	uint8_t reserved1[6];	/*  90 */
	le64_t recoverer_incarnation;	/* 96 */
	le32_t pulse_ms;	/* 104 timers this host runs by */
	le32_t io_ms;		/* 108 */
	le32_t freeze_ms;	/* 112 */
	le32_t fence_ms;	/* 116 */
	le64_t super_generation; /* 120 newest superblock the host has seen */
	uint8_t machine[16];	/* 128 /etc/machine-id */
	uint8_t boot[16];	/* 144 boot id: tells a reboot from a twin */
	uint8_t name[64];	/* 160 host name, NUL padded UTF-8 */
	le64_t journal_block;	/* 224 first block of the journal, 0 = none */
	le32_t journal_blocks;	/* 232 */
	le32_t fence_hint_ms;	/* 236 */
	le64_t lsn;		/* 240 newest the host had used when it left, or
				 * its recoverer found (doc/FORMAT.md) */
	le64_t home;		/* 248 what only one process of a machine can
				 * have at a time, and which it has had: */
	le64_t process;		/* 256 random; 0: neither is known */
	le64_t space_asked;	/* 264 +1 each time it asks others for space */
	uint8_t reserved2[240];	/* 272 */
};
static_assert(sizeof(struct heartbeat_disk) == LOCK_RECORD_SIZE, "heartbeat");
static_assert(offsetof(struct heartbeat_disk, crc32c) ==
    offsetof(struct lockrec_disk, crc32c), "record_is_whole");
static_assert(offsetof(struct heartbeat_disk, pr_key) == 72, "pr key");
static_assert(offsetof(struct heartbeat_disk, journal_block) == 224, "journal");
static_assert(offsetof(struct heartbeat_disk, fence_hint_ms) == 236, "hint");
static_assert(offsetof(struct heartbeat_disk, lsn) == 240, "lsn");
static_assert(offsetof(struct heartbeat_disk, process) == 256, "process");
static_assert(offsetof(struct heartbeat_disk, space_asked) == 264, "asked");

struct heartbeat {
	unsigned slot;
	enum slot_state state;
	struct uuid host, machine, boot;
	uint64_t incarnation, pulse, nonce, pr_key, mounted_us;
	unsigned recoverer;
	uint64_t recoverer_incarnation;
	struct timers timers;
	uint64_t super_generation;
	char name[HOST_NAME_MAX_BYTES + 1];
	uint64_t journal_block;
	uint32_t journal_blocks;
	uint64_t lsn;
	uint64_t home, process;
	uint64_t space_asked;
};

/* All-zero sector: SLOT_FREE, incarnation 0.  -VMFS_ECORRUPT otherwise. */
int heartbeat_decode(const void *sector, const struct uuid *volume,
    unsigned slot, struct heartbeat *ret_h) MUST_CHECK;
/*
 * Of a sector that heartbeat_decode refuses: has it been this slot's record, on
 * this volume?  The volume and one of magic and slot say so.
 */
bool heartbeat_was(const void *sector, const struct uuid *volume,
    unsigned slot);
void heartbeat_encode(void *sector, const struct uuid *volume,
    const struct heartbeat *h);
const char *slot_state_name(enum slot_state s);

/* "VM", slot, incarnation: new at every mount, so a fenced incarnation is
 * never taken for its successor. */
static inline uint64_t
heartbeat_pr_key(unsigned slot, uint64_t incarnation)
{
	return (uint64_t)0x564d << 48 | (uint64_t)(slot & 0xff) << 40 |
	    (incarnation & 0xffffffffffull);
}

/* Slot info, at byte 512 of the slot's block. */
struct slot_info_disk {
	struct block_hdr_disk hdr;	/*   0 type BLOCK_SLOT */
	le64_t remote_free;		/*  64 first BLOCK_REMOTE_FREE, or 0 */
	le32_t orphans;			/*  72 used entries */
	le32_t reserved;		/*  76 */
	le64_t orphan[SLOT_ORPHANS_MAX]; /* 80 inodes to finish deleting */
	uint8_t reserved1[3584 - 80 - 8 * SLOT_ORPHANS_MAX];
};
static_assert(sizeof(struct slot_info_disk) == 3584, "slot info");

/* Range checks of the slot info in a whole block; -VMFS_ECORRUPT. */
int slot_info_check(const void *block) MUST_CHECK;

#endif
