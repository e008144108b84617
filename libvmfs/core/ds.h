/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An open datastore: superblock, metadata cache, transactions, journal, space.
 * This is the lower half of the core; names and files are in fs.h.
 *
 * One scheduler owns a struct ds; every call suspends unless it says not.
 *
 * Order that keeps data safe (F8, L4):
 *   guest write     data to the LUN, then map entries in the running
 *                   transaction, then acknowledged
 *   guest flush     data flush, then the running transaction is committed to
 *                   the journal with FUA
 *   checkpoint      committed blocks are written in place, flushed, then the
 *                   journal's tail moves
 *   lock release    commit, checkpoint of what the lock covers, then release
 *   freed space     may be allocated again only after the commit that freed
 *                   it; freed metadata blocks become data only after a
 *                   checkpoint past that commit; UNMAP to the LUN likewise
 */
#ifndef VMFS_CORE_DS_H
#define VMFS_CORE_DS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libvmfs/base/err.h"
#include "libvmfs/core/lockops.h"
#include "libvmfs/env/disk.h"
#include "libvmfs/env/env.h"
#include "libvmfs/format/layout.h"
#include "libvmfs/format/super.h"

/* ---- superblock, for everybody (super_io.c) ---- */

/*
 * Reads the three copies and takes the valid one with the highest generation.
 * -VMFS_ENOTVMFS: none; -VMFS_ECORRUPT: all damaged; -VMFS_EFEATURE.
 * -VMFS_EGONE or -EIO from the disk; -ERANGE: the LUN is smaller than the
 * volume it carries.  On error ret_s may tell what was readable.
 */
int super_read(struct disk *disk, struct super *ret_s) MUST_CHECK;
#define SUPER_COPIES 3u
/* The same, and how many of the copies are like the one it took. */
int super_find(struct disk *disk, struct super *ret_s, unsigned *ret_copies)
    MUST_CHECK;
/* The same, of a LUN that may have grown since it was opened: then its size is
 * read again. */
int super_reload(struct disk *disk, struct super *ret_s, unsigned *ret_copies)
    MUST_CHECK;
/* Writes all three copies with generation + 1, flushed one by one. */
int super_write(struct disk *disk, struct super *s) MUST_CHECK;
/* Makes all copies like the newest, after a change that was cut short.  As
 * super_write for whoever has the lock of the root directory. */
int super_mend(struct disk *disk) MUST_CHECK;

/* ---- a datastore ---- */

/* Bytes of metadata that stay in memory. */
#define DS_CACHE_DEFAULT ((size_t)64 << 20)
#define DS_CACHE_MIN ((size_t)1 << 20)

struct ds;
struct softlog;
struct ds_conf {
	struct env *env;
	struct disk *disk;	/* all I/O; for hosts the guarded disk */
	struct lockops *locks;
	size_t cache_bytes;	/* metadata cache; 0: DS_CACHE_DEFAULT */
	uint64_t checkpoint_ms;	/* write-back interval; 0: 2000 */
	bool readonly;		/* no journal, no lock is taken */
	bool discard;		/* UNMAP freed chunks where the disk can */
	uint64_t discard_rate;	/* bytes a second; 0: no limit */
	/*
	 * The disk of all LUNs behind `disk` (extents.h); NULL: the volume has
	 * one LUN and will not get more.
	 */
	struct disk *extents;
	/*
	 * Opens the LUN of extent i, found to be it (extent_check).  Any error:
	 * it is asked for again when the next change is followed.  May be NULL.
	 */
	int (*find_extent)(void *arg, const struct super *s, unsigned i,
	    struct disk **ret_lun);
	void *arg;
	struct softlog *soft;	/* outlives the process; NULL: nothing does */
};
/* Does a LUN of it that was there not answer any more? */
bool ds_has_lost(const struct ds *ds);
/* See extents_losses and extents_lost_since. */
uint64_t ds_losses(const struct ds *ds);
bool ds_block_lost_since(const struct ds *ds, uint64_t block, uint64_t losses);
/* Does the block lie on a LUN that is there? */
bool ds_block_is_here(const struct ds *ds, uint64_t block);

/* Reads the superblock, makes or opens the slot's journal (replays nothing:
 * recovery comes before, see recover.h).  ds borrows everything in conf. */
int ds_open(const struct ds_conf *conf, struct ds **ret_ds) MUST_CHECK;
/* Commits, checkpoints, gives back cluster leases.  Frees ds in any case. */
int ds_close(struct ds *ds) MUST_CHECK;
/*
 * The host was fenced: every later call on ds fails with -VMFS_EFENCED and
 * nothing is written any more.  Does not suspend.  ds_close still frees.
 */
void ds_abandon(struct ds *ds);

/* ---- growing (grow.c); under the lock of the root directory ---- */

/*
 * The volume takes what its LUN has gained.  -ENODATA: nothing;
 * -VMFS_EINUSE: a member has not seen the last change yet, try again in a
 * pulse; -VMFS_ELIMIT: it has grown too often.  The new space is used as soon
 * as all members know of it.
 */
int ds_grow(struct ds *ds) MUST_CHECK;
/* Writes a superblock with another label (SUPER_LABEL_MAX bytes at most).
 * -VMFS_EINUSE as for ds_grow; -EINVAL. */
int ds_set_label(struct ds *ds, const char *label) MUST_CHECK;
/* From now on versions that do not know these features refuse the volume, or
 * only read it.  -VMFS_EINUSE as for ds_grow. */
int ds_set_features(struct ds *ds, uint64_t incompat, uint64_t ro_compat)
    MUST_CHECK;

/* ---- further LUNs (ds_extents.c); likewise ---- */

/*
 * Makes `lun`, whose content nobody needs, an extent of the datastore; `place`
 * is what other hosts try to find it by.  Owns lun in any case.  Errors as
 * ds_grow, and -EEXIST (it is a LUN of it already), -ENOSPC (too small),
 * -EFBIG, -EROFS, -EOPNOTSUPP: why (LOCKOPS_WHY) has a sentence, or stays as it
 * is.
 */
int ds_extent_add(struct ds *ds, struct disk *lun, const char *place,
    char *why) MUST_CHECK;

/*
 * Nothing is allocated on extent i from now on, or again.  -ENOENT; as ds_grow.
 */
int ds_extent_leave(struct ds *ds, unsigned i, bool leave) MUST_CHECK;
/* Would a change of what lies on this chunk better go elsewhere? */
bool ds_chunk_leaves(const struct ds *ds, uint64_t chunk);
/* -VMFS_EINUSE: another host may still allocate, or leases, there. */
int ds_extent_settled(struct ds *ds, unsigned i) MUST_CHECK;
/* What is in use there.  -VMFS_EEXTENT: it is missing. */
int ds_extent_used(struct ds *ds, unsigned i, uint64_t *ret_bytes) MUST_CHECK;
/*
 * Of extent i, which is leaving: what was set aside for metadata and has none is
 * free space again.  What another host leases there is left for the next time.
 * -ENOENT; -VMFS_EEXTENT.
 */
int ds_extent_sweep(struct ds *ds, unsigned i) MUST_CHECK;
/*
 * Takes extent i, which is leaving, out of the datastore.  -ENOTEMPTY; -EBUSY:
 * another host still has a lease there, try again in a moment; -EINVAL: it is
 * not leaving; -VMFS_EEXTENT: it is missing; -ENOENT; as ds_grow.
 */
int ds_extent_rm(struct ds *ds, unsigned i) MUST_CHECK;

struct env *ds_env(const struct ds *ds);
struct disk *ds_disk(const struct ds *ds);
/* Is all space in use that there is?  What is new is from when all members have
 * told that they know it. */
bool ds_space_opens(struct ds *ds);
/* LUN of extent i, past the lease check; NULL: missing. */
struct disk *ds_extent_lun(const struct ds *ds, unsigned i);
/* Bytes, and how often a block was read from the LUN for it. */
struct ds_cache {
	size_t used, max;
	uint64_t loads;
};
struct ds_cache ds_cache(const struct ds *ds);
struct lockops *ds_locks(const struct ds *ds);
const struct super *ds_super(const struct ds *ds);
bool ds_readonly(const struct ds *ds);
/* 0, -VMFS_EFENCED, -EROFS or the I/O error that stopped the journal. */
int ds_health(const struct ds *ds);

/* Tells fn of the owner of each damaged block that is met under a lock of
 * ours.  fn does not suspend; NULL: nobody is told. */
void ds_on_damage(struct ds *ds, void (*fn)(void *arg, uint64_t owner),
    void *arg);

/* ---- cached metadata blocks (cache.c) ---- */

/*
 * A referenced block of the cache.  Readable while the caller's lock on its
 * owner is held; changed only inside a transaction through mb_dirty.
 */
struct mblk {
	uint64_t addr;
	enum block_type type;
	uint64_t owner;			/* lock that covers it */
	uint8_t data[BLOCK_SIZE] __attribute__((aligned(8)));
	/* more behind it, private to cache.c */
};

/*
 * Gets a block under lock `g` (of its owner).  From the cache, or read and
 * checked: magic, CRC, volume, address, type (0: any, see ret_b->type), owner
 * == g->addr.
 * -VMFS_ECORRUPT is logged with the block's address and owner.
 */
int mb_read(struct ds *ds, const struct lock_grant *g, uint64_t addr,
    enum block_type type, struct mblk **ret_b) MUST_CHECK;
struct txn;
/* A block just allocated: zeroed, in the transaction as a full image. */
int mb_new(struct txn *t, const struct lock_grant *g, uint64_t addr,
    enum block_type type, struct mblk **ret_b) MUST_CHECK;
/* Does not suspend.  Bytes [off, off + len) are about to be, or were just,
 * changed in this transaction, before anything suspends. */
void mb_dirty(struct txn *t, struct mblk *b, size_t off, size_t len);
/* Does not suspend; NULL is fine. */
void mb_put(struct mblk *b);
/* Drops every cached block of an owner (lock released or lost). */
void mb_forget(struct ds *ds, uint64_t owner);
/* The block was freed in this transaction: it is never written back. */
void mb_freed(struct txn *t, uint64_t addr);

/*
 * Reads a block without a lock and without the cache, as of its last
 * checkpoint by whoever holds the lock; checked like mb_read except for the
 * owner's lock.  For readers of what other hosts have open, and of map nodes
 * that clones and snapshots inherited (owner 0: any).  A writer in the middle of
 * it is given time; what is left then is damage.
 */
int block_read_unlocked(struct ds *ds, uint64_t addr, enum block_type type,
    uint64_t owner, void *buf) MUST_CHECK;

/* ---- transactions (txn.c) ---- */

#define TXN_BLOCKS_MAX 64u

/*
 * Joins the running transaction; it cannot commit before txn_end.  Between
 * the two the caller may suspend, but must not wait for a commit, nor take
 * a lock that waits for other hosts, nor begin a second time.  `blocks` bounds
 * what it will dirty besides what allocation does; TXN_BLOCKS_MAX is always
 * granted, much more is -VMFS_ELIMIT.
 */
int txn_begin(struct ds *ds, unsigned blocks, struct txn **ret_t) MUST_CHECK;
/* Does not suspend. */
void txn_end(struct txn *t);
/* Everything ended before this call is in the journal, durable, when it
 * returns 0.  Flushes the disk first: data written before is durable too. */
int ds_commit(struct ds *ds) MUST_CHECK;
/*
 * Everything ended before this call outlives the process when it returns 0, if
 * there is a softlog (softlog.h): before somebody is told of it.
 */
int ds_soften(struct ds *ds) MUST_CHECK;
/*
 * Any thread: would ds_soften have something to do?  False: whatever the
 * caller has learned of the map by now outlives the process.
 */
bool ds_is_behind(const struct ds *ds);
/* Commit, write back the blocks of `owner` (0: of all), flush. */
int ds_checkpoint(struct ds *ds, uint64_t owner) MUST_CHECK;
/* Is something of it in the journal alone, as its LUN is lost? */
bool ds_owner_has_lost(struct ds *ds, uint64_t owner);
/*
 * Commit, checkpoint what g covers, forget it, release the lock.  *g is
 * cleared in any case; after an error the lock is left to recovery.
 */
int ds_unlock(struct ds *ds, struct lock_grant *g) MUST_CHECK;
/*
 * Commit, checkpoint what g covers, make the exclusive lock one of that mode:
 * nobody had it in between.  After an error *g is cleared.
 */
int ds_weaken(struct ds *ds, struct lock_grant *g, enum lock_mode mode)
    MUST_CHECK;

/* ---- space (alloc.c) ---- */

/*
 * Takes `want` contiguous chunks near `hint` (a chunk number, 0 = anywhere)
 * from a cluster leased to this host, leasing one when needed; aligned to 16
 * chunks when want == 16.  Gives fewer (>= 1) when there is no such run.
 * -ENOSPC when no cluster has room.
 */
int alloc_chunks(struct txn *t, uint64_t hint, unsigned want,
    uint64_t *ret_chunk, unsigned *ret_count) MUST_CHECK;
/* One metadata block near `hint` (a block number). */
int alloc_meta(struct txn *t, uint64_t hint, enum block_type type,
    uint64_t *ret_block) MUST_CHECK;
/*
 * Free in this transaction.  In a cluster that another host leases the free
 * goes to our remote-free log.  Never -ENOSPC.
 */
int free_chunks(struct txn *t, uint64_t chunk, uint64_t count) MUST_CHECK;
int free_meta(struct txn *t, uint64_t block) MUST_CHECK;
/*
 * Leases ready space outside of a transaction, so that `chunks` and
 * `meta_blocks` can be had inside one without waiting for other hosts.
 */
int alloc_reserve(struct ds *ds, unsigned chunks, unsigned meta_blocks)
    MUST_CHECK;
/* The same for 16 chunks in one piece, as alloc_chunks wants them. */
int alloc_reserve_mib(struct ds *ds) MUST_CHECK;

/*
 * A chunk that is nobody's yet, so that its data can be there before the
 * transaction that takes it: alloc_take_held or alloc_drop_held must follow.
 * 0: there is none at hand.  None of the three suspends; no write to a held
 * chunk may be under way when it is dropped.
 */
uint64_t alloc_hold(struct ds *ds, uint64_t hint);
void alloc_take_held(struct txn *t, uint64_t chunk);
void alloc_drop_held(struct ds *ds, uint64_t chunk);

struct ds_space {
	uint64_t total_bytes, free_bytes;	/* free: in clusters leased to
						 * us or to nobody, and as last
						 * seen in those of others */
};
int ds_space(struct ds *ds, struct ds_space *ret_s) MUST_CHECK;
/* The same, with a look at all clusters that is not older than it must be: a
 * second, more on a volume with many. */
int ds_space_now(struct ds *ds, struct ds_space *ret_s) MUST_CHECK;

/*
 * The LUN is told of all that is free in clusters that can be leased, at the
 * rate of ds_conf, by the housekeeper.  -EOPNOTSUPP: it is not told at all.
 */
int ds_trim(struct ds *ds) MUST_CHECK;
struct ds_discards {
	bool on;		/* is the LUN told what is free? */
	uint64_t rate;		/* bytes a second; 0: no limit */
	uint64_t clusters;	/* that it is still to be told of */
};
/* Neither suspends. */
struct ds_discards ds_discards(const struct ds *ds);

/* ---- orphans of our slot: inodes to finish deleting after a crash ---- */

int orphan_add(struct txn *t, uint64_t ino) MUST_CHECK;	/* -VMFS_ELIMIT */
unsigned orphan_room(struct ds *ds);
int orphan_remove(struct txn *t, uint64_t ino) MUST_CHECK;
/* Up to max inode numbers; returns the count. */
unsigned orphan_list(struct ds *ds, uint64_t *inos, unsigned max);

#endif
