/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inode: one lockable block per file, directory, symlink, disk and snapshot.
 * Its block number is its inode number.  Small files, small directories and
 * symlink targets live in it (F11).
 */
#ifndef VMFS_FORMAT_INODE_H
#define VMFS_FORMAT_INODE_H

#include <stdbool.h>

#include "libvmfs/format/layout.h"

#define INODE_INLINE_MAX 3072u
#define EPOCH_MAX 0xffffffu	/* births are 24 bit in map leaves */

enum inode_type {
	INODE_FREE = 0,
	INODE_FILE = 1,
	INODE_DIR = 2,
	INODE_SYMLINK = 3,
	INODE_DISK = 4,		/* virtual disk: a file with thin map */
	INODE_SNAPSHOT = 5,	/* immutable tree of a disk at an epoch */
	INODE_QUOTA = 6,	/* account of a directory with a quota */
};

enum {
	INODE_INLINE = 1 << 0,	/* content in inline_data, no map */
	INODE_DELETING = 1 << 1, /* in an orphan list */
	INODE_CLONE = 1 << 2,	/* origin names a pinned snapshot */
	INODE_MULTI_WRITER = 1 << 3, /* disk: several hosts write it at once */
};

/* How the blocks of a disk are encrypted, each under its number in the disk. */
enum inode_cipher {
	CIPHER_NONE = 0,
	CIPHER_AES_256_XTS = 1,	/* units of BLOCK_SIZE */
};

struct inode_crypt_disk {
	le16_t cipher;			/*  0 enum inode_cipher */
	le16_t reserved;		/*  2 */
	uint8_t key_id[16];		/*  4 of the key file */
	uint8_t wrapped[40];		/* 20 the data key, RFC 3394 */
	le32_t reserved1;		/* 60 */
};
static_assert(sizeof(struct inode_crypt_disk) == 64, "crypt");

/*
 * Of a snapshot there is only the cipher: its key is its disk's, which may have
 * got another key file since.
 */
struct inode_crypt {
	enum inode_cipher cipher;
	uint8_t key_id[16];
	uint8_t wrapped[40];
};

/* What a disk may take of the LUN; 0: no limit, the default of shares. */
struct inode_limits {
	uint32_t iops, kibps;	/* requests and KiB a second */
	uint32_t shares;
};

/* Map root or child: where a map node is and since when it is ours. */
struct map_root {
	uint64_t block;		/* 0: nothing mapped */
	unsigned level;		/* 1 (256 MiB) .. MAP_LEVEL_MAX */
	uint32_t birth;
};

/*
 * Quotas, in chunks.  An account (INODE_QUOTA) has the limit of a directory and
 * of all below it, and what files have taken of it as credit; it is in a list
 * that begins at the root directory.  A file names its account and has what it
 * holds, with its snapshots, and the credit that covers it.
 */
struct inode_policy_disk {
	le64_t account;		/*  0 inode number; account: limit, 0 none */
	le64_t held;		/*  8 directory: 1 the account is its own;
				 * account: reserve */
	le64_t credit;		/* 16 account: used, the credit of all */
	le64_t link;		/* 24 generation of the account; account and
				 * root directory: next account of the list */
};
static_assert(sizeof(struct inode_policy_disk) == 32, "policy");

struct inode_policy {
	union {
		uint64_t account, limit;
	};
	union {
		uint64_t held, reserve;
	};
	union {
		uint64_t credit, used;
	};
	union {
		uint64_t generation, next;
	};
};

struct inode_disk {
	uint8_t lock[LOCK_RECORD_SIZE];	/*   0 struct lockrec_disk */
	struct block_hdr_disk hdr;	/* 512 owner: itself */
	le32_t generation;		/* 576 of the number's use; random */
	le16_t type;			/* 580 enum inode_type */
	le16_t mode;			/* 582 permission bits 07777 */
	le32_t uid;			/* 584 */
	le32_t gid;			/* 588 */
	le32_t nlink;			/* 592 */
	le32_t flags;			/* 596 INODE_* */
	le64_t size;			/* 600 bytes */
	le64_t chunks;			/* 608 data chunks of this tree alone
					 * or with snapshots: st_blocks */
	le64_t atime_ns;		/* 616 since 1970 */
	le64_t mtime_ns;		/* 624 */
	le64_t ctime_ns;		/* 632 */
	le64_t btime_ns;		/* 640 */
	le64_t parent;			/* 648 directory that names it (hint) */
	le48_t map_block;		/* 656 struct map_root */
	uint8_t map_level;		/* 662 */
	uint8_t reserved0;		/* 663 */
	le32_t map_birth;		/* 664 */
	/* Epochs, see doc/FORMAT.md "Snapshots". */
	le32_t epoch;			/* 668 current; +1 at each snapshot */
	le32_t snap_epoch;		/* 672 of the newest snapshot below the
					 * head: births <= it are shared */
	le32_t fork_epoch;		/* 676 births <= it: slots of partly
					 * filled chunks are not ours to fill */
	le32_t origin_epoch;		/* 680 clone: births <= it belong to the
					 * origin's family, never freed here */
	le32_t next_snapshot_id;	/* 684 */
	le32_t snapshots;		/* 688 count */
	le32_t clones;			/* 692 snapshot: pins by clones */
	le64_t snaptab;			/* 696 disk: first BLOCK_SNAPTAB */
	le64_t disk;			/* 704 snapshot: the disk it is of */
	le64_t base_snapshot;		/* 712 inode of the snapshot this (head
					 * or snapshot) grew from, 0 none */
	le64_t origin_disk;		/* 720 clone: family it came from */
	le64_t origin_snapshot;		/* 728 clone: pinned snapshot's inode */
	le32_t dir_entries;		/* 736 directory: entries */
	le32_t dir_seed;		/* 740 of the name hash */
	le64_t dir_root;		/* 744 first DIR_NODE, 0 when inline */
	le16_t inline_size;		/* 752 used bytes of inline_data */
	uint8_t reserved1[6];		/* 754 */
	le64_t xattr;			/* 760 BLOCK_XATTR, 0 none */
	struct inode_crypt_disk crypt;	/* 768 */
	struct inode_policy_disk policy; /* 832 quotas */
	le32_t limit_iops;		/* 864 struct inode_limits */
	le32_t limit_kibps;		/* 868 */
	le32_t shares;			/* 872 */
	uint8_t reserved2[148];		/* 876 */
	uint8_t inline_data[INODE_INLINE_MAX];	/* 1024 */
};
static_assert(sizeof(struct inode_disk) == BLOCK_SIZE, "inode");
static_assert(offsetof(struct inode_disk, size) == 600, "size");
static_assert(offsetof(struct inode_disk, map_block) == 656, "map");
static_assert(offsetof(struct inode_disk, snaptab) == 696, "snaptab");
static_assert(offsetof(struct inode_disk, inline_size) == 752, "inline");
static_assert(offsetof(struct inode_disk, crypt) == 768, "crypt");
static_assert(offsetof(struct inode_disk, policy) == 832, "policy");
static_assert(offsetof(struct inode_disk, inline_data) == 1024, "data");

/* Inode without lock record, header and inline bytes, in host order. */
struct inode_info {
	uint32_t generation;
	enum inode_type type;
	uint16_t mode;
	uint32_t uid, gid, nlink, flags;
	uint64_t size, chunks;
	uint64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
	uint64_t parent;
	struct map_root map;
	uint32_t epoch, snap_epoch, fork_epoch, origin_epoch;
	uint32_t next_snapshot_id, snapshots, clones;
	uint64_t snaptab, disk, base_snapshot, origin_disk, origin_snapshot;
	uint32_t dir_entries, dir_seed;
	uint64_t dir_root;
	unsigned inline_size;
	uint64_t xattr;
	struct inode_crypt crypt;
	struct inode_policy policy;
	struct inode_limits limits;
};

/* Checks ranges (type, level, sizes); the block header is checked before. */
int inode_decode(const void *block, struct inode_info *ret_i) MUST_CHECK;
/* Leaves lock record, header, inline data and reserved bytes alone. */
void inode_encode(void *block, const struct inode_info *i);

/* ---- snapshot table of a disk ---- */

#define SNAPTAB_NAME_MAX 63
#define SNAPTAB_ENTRIES 31u
/* Flags. */
#define SNAPTAB_DELETING 1u	/* its space is being freed */
#define SNAPTAB_COPY 2u		/* made for a copy: goes with its last clone */
struct snaptab_entry_disk {
	le64_t ino;		/*  0 snapshot's inode, 0 = entry unused */
	le64_t parent;		/*  8 inode of the snapshot before it, 0 none */
	le32_t id;		/* 16 per disk, never reused */
	le32_t epoch;		/* 20 */
	le64_t created_us;	/* 24 */
	le32_t flags;		/* 32 */
	le32_t reserved;	/* 36 */
	uint8_t name[SNAPTAB_NAME_MAX + 1];	/* 40 UTF-8 */
	uint8_t reserved1[24];	/* 104 */
};
static_assert(sizeof(struct snaptab_entry_disk) == 128, "snaptab entry");
struct snaptab_disk {
	struct block_hdr_disk hdr;	/*  0 owner: the disk's inode */
	le64_t next;			/* 64 */
	le32_t used;			/* 72 */
	uint8_t reserved[52];		/* 76 */
	struct snaptab_entry_disk entry[SNAPTAB_ENTRIES];	/* 128 */
};
static_assert(sizeof(struct snaptab_disk) == BLOCK_SIZE, "snaptab");

struct snaptab_entry {
	uint64_t ino, parent, created_us;
	uint32_t id, epoch, flags;
	char name[SNAPTAB_NAME_MAX + 1];
};
/* -VMFS_ECORRUPT: id, epoch or name is none.  ino 0 is an unused entry. */
int snaptab_entry_get(const struct snaptab_entry_disk *d,
    struct snaptab_entry *ret_e) MUST_CHECK;
void snaptab_entry_put(struct snaptab_entry_disk *d,
    const struct snaptab_entry *e);

#endif
