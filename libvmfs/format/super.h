/* SPDX-License-Identifier: BSD-2-Clause */
/* Superblock: three copies, the one with the highest generation rules. */
#ifndef VMFS_FORMAT_SUPER_H
#define VMFS_FORMAT_SUPER_H

#include <stdbool.h>

#include "libvmfs/format/layout.h"

#define SUPER_MAGIC "VMFSD\0\0\1"	/* 8 bytes at payload offset 0 */
#define SUPER_LABEL_MAX 64
#define SUPER_EXTENTS_MAX 32
#define SUPER_SEGMENTS_MAX 48

/* Feature bits.  Unknown compat: ignore.  ro_compat: mount read-only.
 * incompat: refuse. */
#define FEATURE_COMPAT_KNOWN 0ull
/* The volume has grown: prev_blocks is set, tables of segments behind the
 * first have room to spare, a cluster may not know yet that it got longer. */
#define FEATURE_RO_COMPAT_GROWN (1ull << 0)
/* Heartbeats ask for space (heartbeat.h): a host that takes the bytes for
 * damage must be no member. */
#define FEATURE_RO_COMPAT_ASKS (1ull << 1)
/* Inodes may have extended attributes, and files several names: who does not
 * know would free the file with the first of them. */
#define FEATURE_RO_COMPAT_ATTRS (1ull << 2)
/* There are accounts (inode.h): who does not know them would use space that
 * nobody counts. */
#define FEATURE_RO_COMPAT_QUOTAS (1ull << 3)
/* Disks have limits and shares (inode.h), or had. */
#define FEATURE_RO_COMPAT_LIMITS (1ull << 4)
#define FEATURE_RO_COMPAT_KNOWN \
	(FEATURE_RO_COMPAT_GROWN | FEATURE_RO_COMPAT_ASKS | \
	FEATURE_RO_COMPAT_ATTRS | FEATURE_RO_COMPAT_QUOTAS | \
	FEATURE_RO_COMPAT_LIMITS)
/* The volume is a copy that got a name of its own: new_uuid is set. */
#define FEATURE_INCOMPAT_RESIGNED (1ull << 0)
/* The volume has, or had, several LUNs: see struct super_extent_disk. */
#define FEATURE_INCOMPAT_EXTENTS (1ull << 1)
/* There are, or were, encrypted disks (inode.h). */
#define FEATURE_INCOMPAT_CRYPT (1ull << 2)
#define FEATURE_INCOMPAT_KNOWN \
	(FEATURE_INCOMPAT_RESIGNED | FEATURE_INCOMPAT_EXTENTS | \
	FEATURE_INCOMPAT_CRYPT)

/* How locks are taken and dead hosts fenced; chosen at mkfs, never mixed. */
enum lock_protocol {
	LOCK_ATS_PR = 1,	/* compare-and-write, persistent reservations */
	LOCK_ATS_WATCHDOG = 2,	/* compare-and-write, watchdog + I/O bound */
	LOCK_RESERVE = 3,	/* SCSI-2 RESERVE around lock sectors */
	LOCK_FILE = 4,		/* file LUN: OFD locks of one machine */
};

/* Timers of L9, milliseconds. */
struct timers {
	uint32_t pulse_ms;	/* 3000 */
	uint32_t io_ms;		/* 8000 heartbeat I/O */
	uint32_t freeze_ms;	/* 12000 self-freeze */
	uint32_t fence_ms;	/* 18000 without the network's word */
	uint32_t fence_hint_ms;	/* 7000 with it */
	/* Of protocols without a fence at the LUN, else 0; not published. */
	uint32_t watchdog_ms;	/* 30000: a stuck host is reset after it */
	uint32_t bound_ms;	/* 30000: the life of an I/O in flight */
};

/*
 * One LUN of the datastore.  The first has the superblocks, slots, journals and
 * is mapped 1:1; the others begin with a MiB that is outside of the address
 * space (extent.h) and cover whole clusters, but for a short last one.  What
 * lies between two extents is no space.
 */
struct super_extent_disk {
	uint8_t uuid[16];	/*  0 */
	le64_t first_block;	/* 16 in the volume's address space */
	le64_t blocks;		/* 24 */
	le64_t lun_block;	/* 32 where on the LUN that is */
};
static_assert(sizeof(struct super_extent_disk) == 40, "extent");

/* A run of clusters whose table lies at table_block. */
struct super_segment_disk {
	le64_t first_cluster;	/*  0 */
	le64_t clusters;	/*  8 */
	le64_t table_block;	/* 16 */
};
static_assert(sizeof(struct super_segment_disk) == 24, "segment");

struct super_disk {
	struct block_hdr_disk hdr;	/*    0 */
	uint8_t magic[8];		/*   64 SUPER_MAGIC */
	le32_t version;			/*   72 1 */
	le32_t sector_size;		/*   76 512 or 4096: of the locks */
	le64_t generation;		/*   80 +1 at each change */
	le64_t compat;			/*   88 */
	le64_t ro_compat;		/*   96 */
	le64_t incompat;		/*  104 */
	uint8_t uuid[16];		/*  112 */
	uint8_t label[SUPER_LABEL_MAX];	/*  128 UTF-8, NUL padded */
	le64_t blocks;			/*  192 end of the address space */
	le32_t cluster_blocks;		/*  200 power of two, 4096..262144 */
	le32_t journal_blocks;		/*  204 of each host's journal */
	le64_t copy2_block;		/*  208 */
	le64_t root_ino;		/*  216 */
	le64_t created_us;		/*  224 */
	le16_t lock_protocol;		/*  232 enum lock_protocol */
	le16_t slots;			/*  234 256 */
	le32_t pulse_ms;		/*  236 */
	le32_t io_ms;			/*  240 */
	le32_t freeze_ms;		/*  244 */
	le32_t fence_ms;		/*  248 */
	le32_t fence_hint_ms;		/*  252 */
	le16_t extents;			/*  256 used entries */
	le16_t segments;		/*  258 used entries */
	uint8_t lun_serial[60];		/*  260 of extent 0: copied-LUN check */
	le32_t watchdog_ms;		/*  320 0: the protocol has none */
	le32_t bound_ms;		/*  324 likewise */
	le64_t prev_blocks;		/*  328 before it last grew; 0: never */
	uint8_t new_uuid[16];		/*  336 of a copy; 0: none */
	uint8_t extent_flags[SUPER_EXTENTS_MAX]; /* 352 EXTENT_* */
	uint8_t reserved0[128];		/*  384 */
	struct super_extent_disk extent[SUPER_EXTENTS_MAX];	/*  512 */
	struct super_segment_disk segment[SUPER_SEGMENTS_MAX];	/* 1792 */
	uint8_t reserved1[1152];	/* 2944 */
};
static_assert(sizeof(struct super_disk) == BLOCK_SIZE, "super");
static_assert(offsetof(struct super_disk, uuid) == 112, "uuid");
static_assert(offsetof(struct super_disk, lock_protocol) == 232, "protocol");
static_assert(offsetof(struct super_disk, watchdog_ms) == 320, "watchdog");
static_assert(offsetof(struct super_disk, prev_blocks) == 328, "prev_blocks");
static_assert(offsetof(struct super_disk, new_uuid) == 336, "new_uuid");
static_assert(offsetof(struct super_disk, extent_flags) == 352, "flags");
static_assert(offsetof(struct super_disk, extent) == 512, "extents");
static_assert(offsetof(struct super_disk, segment) == 1792, "segments");

enum {
	EXTENT_LEAVING = 1 << 0,	/* nothing is allocated there */
	EXTENT_FLAGS_KNOWN = EXTENT_LEAVING,
};

struct super_extent {
	struct uuid uuid;
	uint64_t first_block, blocks;
	uint64_t lun_block;		/* of first_block */
	unsigned flags;			/* EXTENT_* */
};

struct super_segment {
	uint64_t first_cluster, clusters, table_block;
};

struct super {
	uint32_t version, sector_size;
	uint64_t generation, compat, ro_compat, incompat;
	struct uuid uuid;		/* in the header of every block */
	struct uuid new_uuid;		/* see super_uuid */
	char label[SUPER_LABEL_MAX + 1];
	uint64_t blocks, copy2_block, root_ino, created_us;
	uint64_t prev_blocks;
	uint32_t cluster_blocks, journal_blocks;
	enum lock_protocol protocol;
	struct timers timers;
	char lun_serial[61];
	unsigned extents, segments;
	struct super_extent extent[SUPER_EXTENTS_MAX];
	struct super_segment segment[SUPER_SEGMENTS_MAX];
};

/*
 * -VMFS_ENOTVMFS no superblock there, -VMFS_ECORRUPT damaged, -VMFS_EFEATURE
 * unknown incompat bits or version, -VMFS_EFURTHER a further LUN of a
 * datastore (extent.h).  `block` is where it was read from.
 */
int super_decode(const void *buf, uint64_t block, struct super *ret_s)
    MUST_CHECK;
void super_encode(void *buf, uint64_t block, const struct super *s);
/* The UUID by which the datastore is known; of a copy that was resignatured
 * not that of its blocks. */
const struct uuid *super_uuid(const struct super *s);
/* "ATS + persistent reservations" ... for people. */
const char *lock_protocol_name(enum lock_protocol p);

#endif
