/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of struct ds: what cache.c, txn.c, checkpoint.c, journal.c, alloc.c,
 * lease.c, remote_free.c and orphan.c share.
 *
 * A change lives in three steps.  Dirty: in the running transaction, in
 * memory.  Logged: in a commit of the journal.  Clean: in its place.  A
 * checkpoint copies the blocks it will write while the transaction is
 * quiesced, so it writes committed state only; once a block is copied, its
 * next record in the journal is a whole image, so that a torn write in place
 * can be repaired from what the journal has behind the new tail.
 */
#ifndef VMFS_CORE_DS_PRIV_H
#define VMFS_CORE_DS_PRIV_H

#include "libvmfs/core/ds.h"
#include "libvmfs/format/cluster.h"
#include "libvmfs/format/journal.h"

#define CHECKPOINT_MS_DEFAULT 2000	/* a round of the housekeeper */
#define DIRTY_UNIT 64u		/* bytes that one bit of mb.dirty stands for */
static_assert(BLOCK_SIZE / DIRTY_UNIT == 64, "dirty mask");

/* A cached block. */
struct mb {
	struct mblk pub;	/* first: mblk pointers are mb pointers */
	struct ds *ds;
	struct list hash;	/* by address; alone when detached */
	struct list owned;	/* by owner */
	struct list lru;	/* clean and unreferenced */
	struct list dirty_link;	/* ds.txn.dirty */
	struct list logged_link; /* ds.logged */
	unsigned refs;		/* holders, a loading reader, checkpoints */
	uint64_t lockver;
	uint64_t lsn;		/* of the last commit that has it */
	uint64_t dirty;		/* DIRTY_UNITs changed in the transaction */
	uint64_t soft;		/* of them those that softlog.c does not have */
	struct list soft_link;	/* ds.soft_dirty */
	bool in_hash;
	bool logged;		/* committed, not yet in its place */
	bool image;		/* next record is a whole image */
	bool freed;		/* in the running transaction */
	bool loading;
	int error;		/* of the load */
};

/* The running transaction.  There is one; it starts anew at each commit. */
struct txn {
	struct ds *ds;
	uint64_t id;		/* +1 at each commit */
	unsigned handles;	/* begun, not ended */
	unsigned reserved;	/* dirty blocks, and those promised to handles */
	unsigned n_dirty;	/* in the list */
	struct list dirty;
};

struct journal {
	uint64_t base;		/* block */
	uint32_t blocks;
	uint64_t head_sequence;	/* of the newest head copy */
	uint32_t pos;		/* where the next commit goes */
	uint64_t sequence;	/* which it gets */
	uint32_t prev_crc;
	uint32_t tail_pos;	/* oldest commit still needed */
	uint64_t tail_sequence;
	uint32_t tail_crc;
};

/* A block's committed state on its way to its place. */
struct shadow {
	struct mb *mb;		/* referenced */
	struct block_hdr hdr;
	uint8_t *data;		/* BLOCK_SIZE, of the checkpoint's buffer */
	bool lost;		/* with its LUN: not written, or not durable */
};

/* The one checkpoint that may be under way. */
struct checkpoint {
	bool taken;		/* shadows exist: no other may be taken */
	bool armed;		/* its commit is durable: it may be written */
	bool running;		/* a fiber writes them */
	bool all;		/* of every owner: the tail can move */
	uint64_t txn_id;	/* newest transaction it has */
	size_t count;
	struct shadow *shadows;
	uint8_t *buf;
	uint32_t tail_pos;	/* the journal's position behind it */
	uint64_t tail_sequence;
	uint32_t tail_crc;
};

/* Where the journal's tail may move to when transaction txn_id is durable. */
struct lost_tail {
	uint64_t txn_id;	/* 0: none */
	uint32_t pos;
	uint64_t sequence;
	uint32_t crc;
};

#define CLUSTER_BITMAP_SIZE (CLUSTER_CHUNKS_MAX / 8)

/* What we know of a metachunk in a leased cluster. */
struct mchunk {
	uint32_t chunk;		/* in the cluster */
	uint16_t busy;		/* not to be given out */
	/* Freed in the running transaction; before that; those of them that the
	 * checkpoint under way has. */
	uint16_t freed, waiting, settling;
	uint16_t fresh;		/* taken in it; no commit knows of them */
};

/* A retired metachunk: may be data once a checkpoint is past `txn_id`. */
struct retired {
	uint32_t chunk;
	uint64_t txn_id;
};

/*
 * A cluster whose lock we hold.  The bitmap in its block says what is used;
 * `busy` in addition has what was freed but may not be given out yet.
 */
struct lease {
	struct list link;
	struct lock_grant grant;
	uint64_t cluster, first_chunk;
	struct mblk *b;		/* cluster block, referenced */
	struct cluster_info info;
	uint32_t cursor;	/* next fit */
	uint32_t n_free;	/* clear bits of busy */
	unsigned users;		/* fibers in the middle of something here */
	unsigned idle_ticks;
	bool closing;		/* to be given back */
	bool leaving;		/* its LUN is to leave: takes nothing more */
	bool any_freed, any_waiting, any_settling; /* bits in these */
	uint8_t freed[CLUSTER_BITMAP_SIZE];	/* as in struct mchunk */
	uint8_t waiting[CLUSTER_BITMAP_SIZE];
	uint8_t settling[CLUSTER_BITMAP_SIZE];
	uint8_t busy[CLUSTER_BITMAP_SIZE];
	uint8_t avoid[CLUSTER_BITMAP_SIZE];	/* in a pair with metachunks */
	uint8_t discard[CLUSTER_BITMAP_SIZE];	/* free: UNMAP them */
	uint16_t mchunk_of[CLUSTER_CHUNKS_MAX];	/* index + 1 */
	struct mchunk *mchunks;
	unsigned n_mchunks, max_mchunks;
	uint32_t scan_pair;	/* pairs below it are known */
	struct retired *retired;
	unsigned n_retired, max_retired;
};

#define LEASES_KEPT 4		/* with free space, in quiet times */
#define LEASES_MAX 64		/* beyond it frees go to the remote-free log */

struct ds {
	struct ds_conf conf;
	struct super super;
	_Atomic int health;
	struct fiber_cond changed;	/* whatever fibers of ds wait for */
	void (*damaged)(void *arg, uint64_t owner);
	void *damaged_arg;

	/* cache.c */
	struct list *by_addr, *by_owner;
	size_t buckets;		/* power of two */
	struct list lru;	/* oldest first */
	size_t n_cached, max_cached;
	uint64_t cache_loads;

	/* txn.c, checkpoint.c, journal.c */
	struct txn txn;
	struct list logged;
	bool committing;	/* a fiber commits */
	bool closing;		/* no new handles until it has its copy */
	uint64_t durable_id;	/* newest transaction in the journal */
	struct journal journal;
	struct checkpoint ckpt;
	struct lost_tail lost_tail;	/* while a LUN is lost */

	/* softlog.c */
	struct list soft_dirty;
	bool soft_wanted;	/* no new handles until it has its copy */
	bool soft_gap;		/* it lacks something until the next commit */
	uint64_t soft_count;	/* commits to it */
	/* soft_gap, or soft_dirty has some: for other threads. */
	_Atomic bool soft_behind;

	/* alloc.c, lease.c, remote_free.c, orphan.c */
	struct list leases;
	unsigned n_leases;
	struct fiber_mutex lease_lock;	/* taking and giving back */
	/* A big volume was just found to have no chunk [0], no run [1]. */
	uint64_t full_until_ns[2];
	/* No cluster has a window of the lesser [0], the larger size [1]. */
	uint64_t no_window_until_ns[2];
	uint64_t next_cluster;		/* where to look for the next lease */
	/* discard.c */
	uint64_t discarding;		/* chunks that an UNMAP keeps */
	uint64_t discards;		/* UNMAPs that have ended */
	/* A bit for each cluster: given back before the LUN was told all. */
	uint8_t *untold;
	uint64_t untold_size, n_untold, untold_next;
	/* Of several LUNs the first had no room for metadata. */
	uint64_t first_full_until_ns;
	/* space_wait.c */
	bool locked_room;	/* the last search met room that others lease */
	uint64_t hopeless_until_ns;	/* nobody gave any back */
	uint64_t asked_seen;	/* requests of others that were answered */
	uint64_t yield_until_ns;	/* who asked may take what we gave back */
	struct fiber_mutex asking;
	/* Nothing is allocated behind it: not all members know that space. */
	uint64_t open_blocks;
	int super_error;		/* of the last look at the superblock */
	bool lacks_extents;		/* and when they are looked for again */
	uint64_t extents_again_ns;
	bool probing;			/* a fiber asks those that are lost */
	bool removing;			/* we take one out */
	uint16_t *cluster_free;	/* free chunks as last seen; space.c */
	uint64_t cluster_scan_ns;	/* when all were seen; 0: never */
	struct lock_grant slot_grant;	/* our slot, owner of slot info */
	struct mblk *slot_block;	/* referenced */

	/* ds.c: the housekeeper */
	bool stopping, keeper_runs;
	bool wants_checkpoint;	/* the journal is half full */
	struct fiber_cond keeper_wake;
};

/* Metadata blocks that m can give out now. */
static inline unsigned
mchunk_free_count(const struct mchunk *m)
{
	return CHUNK_BLOCKS - (unsigned)__builtin_popcount(m->busy);
}

/* Stops everything; the first error stays, as EIO if it is ENOSPC. */
void ds_fail(struct ds *ds, int error, const char *what);

/* ---- cache.c ---- */
int cache_init(struct ds *ds) MUST_CHECK;
void cache_fini(struct ds *ds);
static inline struct mb *
mb_of(struct mblk *b)
{
	return (struct mb *)(void *)b;
}
/* Puts it on the LRU list, or takes it off, as its state asks. */
void mb_settle(struct mb *mb);
/* Out of every list; freed when the last reference goes. */
void mb_detach(struct mb *mb);
/* What the owner's bucket has, for checkpoints. */
struct list *cache_owner_bucket(struct ds *ds, uint64_t owner);
/* The block was taken and freed in this transaction: it never was. */
void mb_unmade(struct txn *t, uint64_t addr);
int mb_reads_block(struct ds *ds, uint64_t addr, enum block_type type,
    void *buf, struct block_hdr *ret_h) MUST_CHECK;

/* ---- journal.c ---- */
/* Reads both heads; -VMFS_ECORRUPT when neither is valid. */
int journal_head_read(struct disk *disk, const struct uuid *volume,
    uint64_t base, uint32_t blocks, struct journal_head *ret_h) MUST_CHECK;
/* Opens our slot's journal, or makes one. */
int journal_open(struct ds *ds) MUST_CHECK;
uint32_t journal_max_commit(const struct journal *j);	/* blocks */
/* Is there room for so many contiguous blocks? */
bool journal_fits(const struct journal *j, uint32_t blocks);
/* Would there still be, for the largest commit, after one of `blocks`? */
bool journal_fits_after(const struct journal *j, uint32_t blocks);
bool journal_half_full(const struct journal *j);
/* Seals and writes a commit of c->length bytes in buf, durable. */
int journal_append(struct ds *ds, uint8_t *buf, struct journal_commit *c)
    MUST_CHECK;
/* Nothing before (pos, sequence) is needed any more. */
int journal_move_tail(struct ds *ds, uint32_t pos, uint64_t sequence,
    uint32_t crc) MUST_CHECK;

/* ---- log_build.c ---- */
/* Bytes of the commit that holds all that is dirty; 0: nothing is. */
size_t log_size(struct ds *ds);
/* Fills it; the blocks become logged, with stamp `lsn`. */
void log_build(struct ds *ds, uint8_t *buf, struct journal_commit *c);

/* Records of one block at buf + pos, of what is `dirty` or all of it, or only
 * their size; counts them. */
size_t log_block(const struct mb *mb, uint64_t dirty, bool image,
    uint8_t *buf, size_t pos, uint32_t *records);
/* The same of a block's content; `block` has its type, address and owner. */
size_t log_known(const struct journal_record *block, const uint8_t *data,
    uint64_t dirty, bool image, uint8_t *buf, size_t pos, uint32_t *records);

/* ---- softlog.c; nothing here suspends ---- */
/* After each change of soft_dirty and soft_gap. */
void soft_tell(struct ds *ds);
/* With no handle open: copies what is new. */
void soft_append(struct ds *ds);
/* The same before the transaction is committed; the next begins. */
void soft_switch(struct ds *ds);
/* It is in the journal; lsn 0: nothing had to be. */
void soft_durable(struct ds *ds, uint64_t lsn);

/* ---- checkpoint.c; all run in fibers ---- */
#define CKPT_NONE UINT64_MAX	/* `owner` of no checkpoint; 0: everything */
/* While quiesced: copies what log_build just made, and older. */
int ckpt_reserve(struct ds *ds, uint64_t owner) MUST_CHECK;
void ckpt_take(struct ds *ds, uint64_t owner, uint64_t txn_id);
/* After the commit is durable: where the tail may move to. */
void ckpt_arm(struct ds *ds);
void ckpt_drop(struct ds *ds);
/* Writes it, or waits for the fiber that does. */
void ckpt_finish(struct ds *ds);
int writeback_run(struct ds *ds, struct shadow *s, size_t count) MUST_CHECK;

/* ---- txn.c ---- */
/* Nothing of the owner is dirty, logged or on its way. */
bool owner_is_clean(struct ds *ds, uint64_t owner);
/* Commits with a checkpoint of `owner` taken. */
int txn_commit(struct ds *ds, uint64_t owner) MUST_CHECK;

/* ---- lease.c ---- */
struct lease *lease_find(struct ds *ds, uint64_t cluster);
/* Takes the cluster's lock at once or fails; -VMFS_ELOCKED. */
int lease_take(struct ds *ds, uint64_t cluster, struct lease **ret_l)
    MUST_CHECK;
/* Another cluster with at least `chunks` free; -ENOSPC. */
int lease_more(struct ds *ds, uint32_t chunks, struct lease **ret_l) MUST_CHECK;
/* The same on the first LUN alone. */
int lease_more_first(struct ds *ds, uint32_t chunks, struct lease **ret_l)
    MUST_CHECK;
static inline bool
lease_is_on_first(const struct ds *ds, const struct lease *l)
{
	return l->cluster * ds->super.cluster_blocks <
	    ds->super.extent[0].blocks;
}
/* May it give out anything? */
static inline bool
lease_is_open(const struct lease *l)
{
	return !l->closing && !l->leaving;
}
/* After the superblock has changed. */
void lease_mark_leaving(struct ds *ds);
/* Gives back what is full, idle or too many; `all` at ds_close. */
int lease_trim(struct ds *ds, bool all) MUST_CHECK;
void lease_forget_all(struct ds *ds);
/* Another host is short of space: gives back what is free here, except for one
 * cluster in use when there are more. */
int lease_yield(struct ds *ds) MUST_CHECK;
/* Writes info into the block and the transaction. */
void lease_dirty(struct txn *t, struct lease *l);
/* While quiesced: a commit, a checkpoint of everything. */
void lease_commit_begins(struct ds *ds);
void lease_checkpoint_begins(struct ds *ds);
/* That has been written.  What it has freed can be given out again; what became
 * of metachunks only when the journal does not reach back to them. */
void lease_settled(struct ds *ds);
void lease_checkpoint_done(struct ds *ds, uint64_t txn_id);
/* Does anything freed wait for a checkpoint? */
bool lease_waits(const struct ds *ds);
/* Clusters that we have got longer. */
void lease_extend(struct ds *ds);
bool bitmap_get(const uint8_t *map, uint32_t i);
void bitmap_put(uint8_t *map, uint32_t i, bool on);

/* ---- discard.c ---- */
bool discard_is_on(const struct ds *ds);
/* For the housekeeper: tells the LUN of freed chunks, so many at a time. */
void discard_pass(struct ds *ds);
/* Is the lease kept to tell what is free in it, one of `open`? */
bool discard_keeps(const struct ds *ds, const struct lease *l, unsigned open);
/* It was leased; it is given back. */
void discard_taken(struct ds *ds, struct lease *l);
void discard_given(struct ds *ds, const struct lease *l);
/* Waits until some of the chunks that an UNMAP keeps from the allocator are
 * free again.  False: there are none.  Also in transactions. */
bool discard_wait(struct ds *ds) MUST_CHECK;

/* ---- alloc.c ---- */
int alloc_free_local(struct txn *t, struct lease *l, uint64_t block,
    uint64_t count, bool meta) MUST_CHECK;
/* Learns the metachunk at this chunk; -ENOENT when it is none. */
int mchunk_load(struct ds *ds, struct lease *l, uint32_t chunk,
    struct mchunk **ret_m) MUST_CHECK;
/* Learns all of the cluster, which is kept meanwhile (lease.users). */
int mchunk_load_all(struct ds *ds, struct lease *l) MUST_CHECK;
/* Wholly free metachunks become free chunks, at most `max`. */
int mchunk_retire(struct ds *ds, unsigned max) MUST_CHECK;
/* Would it find one here? */
bool lease_has_empty(const struct lease *l);

/* ---- remote_free.c ---- */
int remote_free_add(struct txn *t, const struct remote_free *f) MUST_CHECK;
/* Applies what can be applied. */
int remote_free_apply(struct ds *ds) MUST_CHECK;

/* ---- ds_super.c ---- */
/* Reads the superblock again and goes by what is new in it. */
int ds_super_reload(struct ds *ds) MUST_CHECK;
/* For the housekeeper: what other members have changed; new space that all
 * know by now is opened. */
int ds_super_keep(struct ds *ds) MUST_CHECK;
/* At ds_open: a change that was cut short is finished. */
void ds_super_mend(struct ds *ds, unsigned copies);
/* Is the block inside of the volume?  Looks whether that has grown. */
bool ds_has_block(struct ds *ds, uint64_t block);
/* What may be allocated, of a volume and of a cluster. */
uint64_t ds_open_clusters(const struct ds *ds);
uint32_t ds_open_chunks(const struct ds *ds, uint64_t cluster);

/* ---- ds_extents.c ---- */
/*
 * Goes by the table of that superblock.  `all`: -VMFS_EEXTENT, or the error of
 * ds_conf.find_extent, when an extent that ours does not know cannot be had;
 * else what is missing is logged.
 */
int ds_extents_follow(struct ds *ds, const struct super *s, bool all)
    MUST_CHECK;
/* For the housekeeper: looks for extents that are missing. */
void ds_extents_keep(struct ds *ds);
/* Is its LUN there? */
bool ds_extent_is_here(const struct ds *ds, uint64_t cluster);
/* May the cluster be leased, as far as its LUN goes? */
bool ds_extent_is_usable(const struct ds *ds, uint64_t cluster);

/* ---- grow.c ---- */
/* For who has the lock of the root directory and changes the superblock: the
 * newest, whole, known to all. */
int ds_super_begin(struct ds *ds) MUST_CHECK;
int ds_super_change(struct ds *ds, const struct super *next) MUST_CHECK;
/* Blocks of clusters [from, to) of the new volume s, one segment's. */
int ds_write_clusters(struct disk *disk, const struct super *s, uint64_t from,
    uint64_t to) MUST_CHECK;

/* ---- space_wait.c; outside of transactions ---- */
/*
 * There is no cluster with so many free chunks to be had, yet others lease
 * some: asks for it, and waits while dead hosts are taken over.  0: there is
 * one now, leased; -ENOSPC.
 */
int space_wait(struct ds *ds, uint32_t chunks) MUST_CHECK;
/* For the housekeeper: answers the requests of others. */
int space_answer(struct ds *ds) MUST_CHECK;
/* Lets those who asked be first. */
void space_stand_back(struct ds *ds);

/* ---- space.c ---- */
void space_seen(struct ds *ds, uint64_t cluster, uint32_t free_chunks);
/* Reads cluster blocks without lock: `count` from `cluster`, at most
 * SPACE_BATCH; those that cannot be read now get chunks == 0. */
#define SPACE_BATCH 16u
int space_peek(struct ds *ds, uint64_t cluster, unsigned count,
    struct cluster_info *ret_c) MUST_CHECK;

#endif
