/* SPDX-License-Identifier: BSD-2-Clause */
/* What the phases of a check share. */
#ifndef VMFS_CHECK_PRIV_H
#define VMFS_CHECK_PRIV_H

#include "libvmfs/base/list.h"
#include "libvmfs/check/check.h"
#include "libvmfs/format/cluster.h"
#include "libvmfs/format/heartbeat.h"
#include "libvmfs/format/inode.h"

/* A metachunk as its head says, and which of its blocks were reached. */
struct check_metachunk {
	uint64_t chunk;
	uint16_t used, found;
	uint8_t type[CHUNK_BLOCKS];
	bool retyped;		/* a type differed from the block's own */
	bool rebuilt;		/* its head was lost: used and type are what
				 * the other blocks say about themselves */
};

/* An inode that a directory, a snapshot table or an orphan list names. */
struct check_ino {
	uint64_t ino;
	uint32_t names;		/* directory entries */
	uint32_t pins;		/* clones that name it as their origin */
	uint64_t held;		/* chunks, with snapshots; see check_tree_of */
	bool walked;
	bool lost;		/* found by no name, walked all the same */
};

/* Account of a quota, and what its files say. */
struct check_account {
	uint64_t ino, generation, dir, used, sum;
	bool claimed;		/* by its directory */
};

/* What a block is to the object that points to it. */
enum check_mark {
	MARK_NEW,
	MARK_AGAIN,		/* reached before */
	MARK_NOWHERE,		/* in no metachunk: cannot be what it says */
};

/* Blocks read ahead; a ring. */
#define AHEAD_SLOTS 512u
#define AHEAD_BUCKETS 1024u
struct check_ahead {
	uint64_t block[AHEAD_SLOTS];	/* 0: empty */
	uint16_t bucket[AHEAD_BUCKETS];	/* 1 + slot */
	unsigned next;
	uint8_t *data;
};

/* An inode that was damaged, and the entry that names it. */
struct check_damaged {
	struct list node;
	struct check_todo *todo;
};

/* An entry of a directory block that is no longer part of its directory. */
struct check_name {
	struct list node;
	uint64_t dir, ino;
	char name[256];
};

/* What outlives a pass. */
struct check_memory {
	uint64_t max_lsn, max_version;	/* of all that was read */
	/* Chunks reached in the pass before, when one of them was claimed
	 * twice: only now it is known which ones are free for a copy. */
	uint8_t *seen;
	struct list names;	/* struct check_name */
	uint64_t *said;		/* hashes of findings, open addressing */
	size_t said_count, said_max;
};

struct check_todo;

struct check {
	const struct check_conf *conf;
	struct check_result *res;
	struct check_memory *memory;
	struct check_ahead *ahead;
	bool again;		/* something was moved: look once more */
	bool lost;		/* an inode waits for a name */
	bool conflict;		/* chunks were claimed twice */
	struct list damaged;	/* struct check_damaged */
	struct super super;
	uint64_t chunks;	/* of the volume */
	/* One bit a chunk: marked used on disk; reached; reached by a tree
	 * that claims it for itself alone. */
	uint8_t *used, *seen, *alone;
	uint64_t fresh;		/* chunks that were reached for the first time */
	struct check_account *account;
	size_t accounts, accounts_max;
	uint8_t *recount;	/* one bit a cluster: counters are wrong */
	uint8_t *unknown;	/* likewise: block damaged, nothing is known */
	struct check_metachunk *mc;	/* sorted by chunk */
	size_t mc_count, mc_max;
	struct check_ino *ino;		/* open addressing by ino */
	size_t ino_count, ino_max;
};

static inline bool
bit_get(const uint8_t *map, uint64_t i)
{
	return map[i / 8] >> (i % 8) & 1;
}

static inline void
bit_set(uint8_t *map, uint64_t i)
{
	map[i / 8] = (uint8_t)(map[i / 8] | 1u << (i % 8));
}

/* Reports; returns `fixed` for the caller's convenience. */
bool check_report(struct check *c, enum check_rule rule,
    enum check_severity severity, uint64_t block, bool fixed, const char *fmt,
    ...) PRINTF_LIKE(6, 7);
void check_progress(struct check *c, const char *phase, unsigned permille);

/* Notes that something was repaired whose consequences need another pass;
 * whether repairs are wanted at all. */
bool check_again(struct check *c);

/* ---- blocks ---- */

/* Reads a block and checks its header; errors as block_hdr_decode or I/O. */
int check_block(struct check *c, uint64_t block, enum block_type type,
    void *buf) MUST_CHECK;
/* Likewise without a check of the header. */
int check_read(struct check *c, uint64_t block, void *buf) MUST_CHECK;
/* Reads blocks, many at a time, for the check_block that follows. */
void check_read_ahead(struct check *c, const uint64_t *blocks, unsigned n);
void check_ahead_forget(struct check *c);
int check_ahead_init(struct check *c) MUST_CHECK;
void check_ahead_fini(struct check *c);
/* Re-seals a block changed in place and writes it back. */
int check_rewrite(struct check *c, uint64_t block, enum block_type type,
    void *buf) MUST_CHECK;
/* Seals a block anew, whatever its header says now, and writes it. */
int check_write_new(struct check *c, uint64_t block, enum block_type type,
    uint64_t owner, void *buf) MUST_CHECK;
/* The first sector of a lockable block. */
int check_write_sector(struct check *c, uint64_t block, void *buf) MUST_CHECK;
/* Checks the lock record in front of a block; a damaged one is replaced by a
 * free one with a version larger than any that the lock had. */
int check_lock(struct check *c, uint64_t block, void *buf, const char *object)
    MUST_CHECK;

/* Metadata block reached by an object.  Reports one that its metachunk does
 * not know. */
enum check_mark check_mark_meta(struct check *c, uint64_t block,
    enum block_type type, const char *object);
struct check_metachunk *check_metachunk_of(struct check *c, uint64_t block);
/* A metachunk that its cluster does not tell of, found by what points into it;
 * NULL: the chunk is none. */
struct check_metachunk *check_metachunk_untold(struct check *c, uint64_t block);
/*
 * Data chunks reached; `alone`: by a tree that no snapshot shares them with.
 * 0; -ERANGE: not data space; -EEXIST: another object has some of them.
 */
int check_mark_chunks(struct check *c, uint64_t chunk, uint64_t count,
    bool alone) MUST_CHECK;
/* The table's entry for an inode number, made when missing; NULL: no memory. */
struct check_ino *check_ino_get(struct check *c, uint64_t ino);
/* Where cluster n's block is; 0 when no segment covers it. */
uint64_t check_cluster_block(const struct super *s, uint64_t cluster);
/*
 * Copies chunks to a run that nothing uses, which is then marked reached.
 * -ENOSPC; -EAGAIN: not before everything was walked once.
 */
int check_copy_chunks(struct check *c, uint64_t chunk, unsigned count,
    uint64_t *ret_chunk) MUST_CHECK;

/* Phases, in this order. */
int check_supers(struct check *c) MUST_CHECK;
int check_slots(struct check *c) MUST_CHECK;
int check_clusters(struct check *c) MUST_CHECK;
int check_tree(struct check *c) MUST_CHECK;
int check_space(struct check *c) MUST_CHECK;
/* Names in /lost+found, through the core; the volume is sound by now. */
int check_adopt(struct check *c) MUST_CHECK;

/* ---- of check_tree ---- */

/* An inode to look at, the path and the entry that led to it. */
struct check_todo {
	struct list node;
	uint64_t ino;
	uint32_t generation;	/* of the entry that names it; 0: any */
	enum inode_type type;	/* of the entry; INODE_FREE: any */
	uint64_t disk;		/* snapshot: the disk it is of */
	uint64_t dir;		/* inode that has the entry; 0: none has */
	uint64_t holder;	/* block that has it */
	char path[];
};

struct check_walk {
	struct check *c;
	struct list todo;
	size_t queued, put_off;	/* in todo; of them, since one was walked */
};

/* Queues an inode that an entry names; path "DIR/NAME". */
int check_walk_add(struct check_walk *w, const char *dir, const char *name,
    size_t name_len, const struct check_todo *proto) MUST_CHECK;
/* Works the queue off. */
int check_walk_run(struct check_walk *w, uint8_t *buf) MUST_CHECK;
/* Reads the names of a directory and queues what they name. */
int check_dir(struct check_walk *w, uint8_t *block, struct inode_info *i,
    const struct check_todo *t) MUST_CHECK;
/* Extended attributes of an inode, of any type. */
int check_xattrs(struct check *c, uint8_t *block, struct inode_info *i,
    const struct check_todo *t) MUST_CHECK;
/* Snapshot table of a disk. */
int check_snaptab(struct check_walk *w, uint8_t *block, struct inode_info *i,
    const struct check_todo *t) MUST_CHECK;
/* Take away what led to t: an entry of a directory, of a snapshot table, of
 * an orphan list.  It is gone from the counts, too. */
int check_entry_drop(struct check *c, const struct check_todo *t) MUST_CHECK;
int check_snapshot_drop(struct check *c, const struct check_todo *t) MUST_CHECK;
int check_orphan_drop(struct check *c, const struct check_todo *t) MUST_CHECK;
int check_drop(struct check *c, const struct check_todo *t) MUST_CHECK;
/* Is there a sound inode in that block? */
bool check_inode_exists(struct check *c, uint64_t ino);
/* Writes an inode with what is changed in *i. */
int check_inode_put(struct check *c, uint64_t ino, void *block,
    const struct inode_info *i) MUST_CHECK;
/*
 * Map of one tree; births > alone_after are claimed by it alone.  Changes
 * *i when the root is lost or the chunks are others than it says; the caller
 * writes it when repairs are wanted.
 */
int check_map(struct check *c, const struct check_todo *t,
    struct inode_info *i, uint32_t alone_after, bool *ret_changed) MUST_CHECK;
/* A node of level 1 that is lost, as its place and its tree know it. */
struct check_relink {
	uint64_t block, offset, owner;
	uint32_t birth, alone_after;
	const char *object;
};
/*
 * Makes it anew from the leaves that belong below it, in `node` and, when
 * repairs are wanted, on the disk.  1: there are none; 2: it was only looked.
 */
int check_relink(struct check *c, const struct check_relink *x, void *node)
    MUST_CHECK;
/* A snapshot that its disk's table does not have gets an entry.  -ENOENT: the
 * disk is not there, or its table has no room. */
int check_snapshot_restore(struct check *c, uint64_t ino,
    const struct inode_info *i) MUST_CHECK;
/* Nobody's parent is known any more. */
int check_snaptab_flatten(struct check *c, uint64_t first) MUST_CHECK;
/* Damaged inodes from what their blocks still say of them. */
int check_salvage(struct check *c) MUST_CHECK;
/* A snapshot's inode from its entry and what is left of its map.  1: that is
 * not enough. */
int check_snapshot_salvage(struct check *c, const struct check_todo *t,
    uint8_t *buf) MUST_CHECK;
/* Remembers the names in blocks that directories have lost. */
int check_stray_names(struct check *c, uint8_t *buf) MUST_CHECK;
/* Inodes that nothing names. */
int check_lost(struct check_walk *w, uint8_t *buf) MUST_CHECK;
/* Inodes being deleted, and frees that wait for another host. */
int check_orphans(struct check_walk *w, uint8_t *buf) MUST_CHECK;
int check_remote_frees(struct check *c, uint8_t *buf) MUST_CHECK;
/* The list of accounts. */
int check_accounts(struct check *c, uint8_t *buf) MUST_CHECK;
/* An account that is in no list gets into it. */
int check_account_lost(struct check *c, uint64_t ino, uint8_t *buf,
    struct inode_info *i) MUST_CHECK;
/* What an inode says of its account; *i is changed when that is wrong. */
void check_member(struct check *c, const struct check_ino *n,
    struct inode_info *i, bool *changed);
/* What accounts say, after all their files. */
int check_account_sums(struct check *c, uint8_t *buf) MUST_CHECK;
/* Link and clone counts. */
int check_counts(struct check *c, uint8_t *buf) MUST_CHECK;

#endif
