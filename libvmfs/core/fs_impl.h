/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the upper half share; private to libvmfs/core.
 *
 * Order of local locks: fs_file -> inode.snaps -> inode.look -> inode.content
 * -> ranges -> inode.credit -> the account's inode.lock; inode.content -> ranges ->
 * inode.map -> transaction.  Nothing waits for a lock inside of a transaction.
 */
#ifndef VMFS_CORE_FS_IMPL_H
#define VMFS_CORE_FS_IMPL_H

#include <stdatomic.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/list.h"
#include "libvmfs/core/fs.h"
#include "libvmfs/core/meter.h"
#include "libvmfs/core/view.h"
#include "libvmfs/env/reactor.h"
#include "libvmfs/format/dirent.h"
#include "libvmfs/format/mapnode.h"

#define FS_LOCK_WAIT_NS (30 * (uint64_t)1000000000)
/* For the writer of a directory, or for a lock to be given back. */
#define READER_WAIT_NS (2 * (uint64_t)1000000000)
#define NODE_CACHE_BUCKETS 64u
#define NODE_CACHE_MAX 1024u	/* nodes of one inode: 4 MiB */
#define PATH_BLOCKS 24u		/* bound of what one map change dirties */

struct fs {
	struct ds *ds;
	struct list inodes;
	struct list files;
	uint64_t *damaged;	/* inodes that are not to be changed */
	unsigned n_damaged;
	unsigned telling;	/* fibers that look up the name of one */
	struct fiber_cond told;
	struct fs_keys keys;	/* find NULL: there are none */
	struct list notings;	/* struct fs_noting */
	/* What accounts have reserved and not used, as last seen: bytes. */
	struct reserved *reserved;
	unsigned n_reserved;
	uint64_t reserved_sum, reserved_until_ns;
	struct pacer *pacer;
	struct offload_group turners;	/* cipher_share */
};

struct reserved {
	uint64_t account, bytes;
};
/* In its transaction: the change of names is complete.  Does not suspend. */
void fs_noted(struct fs *fs, uint64_t ino);

/* Blocks read without the metadata cache: not ours, or not locked. */
struct cnode {
	struct list bucket, lru;
	uint64_t addr;
	unsigned refs;
	uint8_t data[BLOCK_SIZE] __attribute__((aligned(8)));
};

/* A tree that may share space with the head: snapshot, or a clone's origin. */
struct kin {
	uint64_t ino, parent;
	uint32_t id, epoch, flags;
	bool origin;
	bool loaded;		/* root is known */
	struct map_root root;
};

/* In-memory inode: one per number in use. */
struct inode {
	struct list node;
	struct fs *fs;
	uint64_t ino;
	unsigned refs;		/* pointers to this struct */
	unsigned opens;		/* struct fs_file */
	unsigned opening;	/* that are to be ones */
	unsigned barred;	/* changes that nothing may open beside ... */
	struct fiber_cond unbarred;	/* ... became none */
	unsigned ex, sh, mw;	/* local holds of the on-disk lock */
	unsigned visits;	/* readers who have joined them */
	struct fiber_cond holds_cond;	/* ex, sh, mw, grant */
	bool acquiring;		/* somebody waits for the on-disk lock */
	struct lock_grant grant;
	/* Its block, while it may be changed: storing it needs no read that
	 * could fail in the middle of a transaction. */
	struct mblk *block;
	struct fiber_mutex lock;	/* grant, ex, sh, mw, visits */
	struct fiber_mutex snaps;	/* snapshot operations */
	struct fiber_mutex look;	/* see snaps_lock */
	struct fiber_rwlock content;	/* exclusive: punch, truncate, snapshot,
					 * directory change */
	struct fiber_rwlock map;	/* exclusive: tree changes */
	struct list ranges;		/* of writes in flight */
	struct fiber_cond ranges_cond;
	unsigned reads;			/* data reads in flight ... */
	struct fiber_cond reads_cond;	/* ... became none */
	struct inode_info info;		/* while ex, sh or mw */
	bool unlinked, times_dirty;
	unsigned sharing;	/* copies that look for a snapshot of it */
	bool promoting;		/* it takes over nothing meanwhile */
	uint64_t seen_version;		/* of the lock, for unlocked readers */
	struct list bucket[NODE_CACHE_BUCKETS], lru;
	unsigned cached;
	unsigned cache_turn;		/* +1 when all are dropped */
	struct kin *kin;		/* family by id; NULL: not loaded */
	unsigned n_kin;
	struct kin_index *kin_index;	/* NULL: to be made */
	uint32_t *near;			/* the head's neighbours, likewise */
	unsigned n_near;
	const struct fs_progress *progress;	/* of a deletion; snaps */
	uint64_t alloc_hint;		/* chunk */
	struct cipher *cipher;		/* NULL: clear, or never opened */
	_Atomic(struct view *) view;	/* NULL: none yet */
	unsigned closers;		/* of its gate */
	struct fiber_mutex credit;	/* who asks for more; before the
					 * account's inode.lock */
	uint64_t promised;		/* chunks of it that writes in flight
					 * may take */
	bool over_quota;		/* told */
	struct meter *meter;		/* NULL: never opened */
};

struct fs_file {
	struct list node;
	struct fs *fs;
	struct inode *ip;
	unsigned flags;
	enum lock_mode mode;	/* hold of this open; FREE: none */
	/* Without a hold, another host may delete the inode and use its number
	 * again. */
	uint32_t generation;
};

/* ---- inode.c ---- */

int inode_ref(struct fs *fs, uint64_t ino, struct inode **ret_ip) MUST_CHECK;
void inode_unref(struct inode *ip);
/* Its lock is gone, or about to be. */
void inode_unpin(struct inode *ip);
/* One that nobody else sees, for reading without locks; inode_unref frees. */
int inode_private(struct fs *fs, uint64_t ino, struct inode **ret_ip)
    MUST_CHECK;
/* Takes or shares the on-disk lock and loads the inode. */
int inode_hold(struct inode *ip, enum lock_mode mode, bool wait,
    struct lock_holder *ret_holder) MUST_CHECK;
/* Gives a hold back; the last one commits, checkpoints and releases. */
int inode_drop(struct inode *ip, enum lock_mode mode);
/* As of the last checkpoint, or as it is here; no lock. */
int inode_glance(struct fs *fs, uint64_t ino, struct inode_info *ret_i)
    MUST_CHECK;
/* inode_ref and inode_hold, both undone on error. */
int inode_take(struct fs *fs, uint64_t ino, enum lock_mode mode, bool wait,
    struct inode **ret_ip, struct lock_holder *ret_holder) MUST_CHECK;
/* inode_drop and inode_unref; returns `r` or, when that is 0, the drop's. */
int inode_give(struct inode *ip, enum lock_mode mode, int r);
/* -ESTALE: another use of the number; generation 0: whatever it is. */
static inline int
inode_is_meant(const struct inode_info *i, uint32_t generation)
{
	return generation == 0 || i->generation == generation ? 0 : -ESTALE;
}
/*
 * Joins the holds that exist on this host; false: there are none.  Share: by
 * one more, LOCK_SHARED, for what may take long.  Visit: for one look, until
 * inode_leave; see inode.c.
 */
bool inode_share(struct inode *ip);
bool inode_visit(struct inode *ip, uint64_t deadline_ns);
int inode_leave(struct inode *ip);
/* ip->info into the block, in the transaction. */
int inode_store(struct txn *t, struct inode *ip) MUST_CHECK;
/*
 * Allocates, locks and writes a new inode near `near`; *info is what it is
 * to hold, inl its inline bytes.  The caller gives back *ret_g by ds_unlock.
 */
int inode_make(struct txn *t, struct fs *fs, uint64_t near,
    struct inode_info *info, const void *inl, struct lock_grant *ret_g)
    MUST_CHECK;
void inode_attr(uint64_t ino, const struct inode_info *info,
    struct fs_attr *ret_a);
uint64_t fs_now_ns(struct fs *fs);
int fs_writable(const struct fs *fs) MUST_CHECK;
/* Was the volume made for extended attributes and further names? */
bool fs_has_attrs(const struct fs *fs);
int meta_free(struct txn *t, uint64_t addr) MUST_CHECK;
/* The same of what nothing names any more: what cannot be freed now is space that
 * fsck gives back. */
void meta_lose(struct fs *fs, struct txn *t, uint64_t addr);

int fs_need_feature(struct fs *fs, uint64_t incompat, uint64_t ro_compat)
    MUST_CHECK;

/* ---- open.c ---- */

/* Somebody has it open, or is about to. */
bool opens_any(const struct inode *ip);
/*
 * For a change that must not be beside an open: -EBUSY when there is one.  Else
 * none begins until opens_unbar, and then it finds what has been changed.  Does
 * not suspend; and nothing that it waits for may need an open in between.
 */
int opens_bar(struct inode *ip) MUST_CHECK;
void opens_unbar(struct inode *ip);
/* What is done in between counts as an open.  Suspends while it is barred. */
void opens_begin(struct inode *ip);
void opens_end(struct inode *ip);

/* ---- cipher.c: the data of encrypted disks ---- */

/* Helpers at work on long requests at once. */
#define CIPHER_TURNERS 3u

/* Before content is read or written; info is the inode's.  0 for clear ones.
 * -EBUSY: what had its number before is still open.  Suspends. */
int cipher_open(struct inode *ip, const struct inode_info *info) MUST_CHECK;
void cipher_close(struct inode *ip);
/* Whether ip->cipher goes with ip->info, which is true under the lock: one that
 * is encrypted has been opened, a clear one has none. */
bool cipher_fits(const struct inode *ip);
/* Whole blocks at their offset in the disk; dst may be src.  Any thread in the
 * inode's view that has found them there.  -ENOKEY. */
int cipher_encrypt(struct inode *ip, uint64_t off, const void *src, void *dst,
    size_t len) MUST_CHECK;
int cipher_decrypt(struct inode *ip, uint64_t off, const void *src, void *dst,
    size_t len) MUST_CHECK;
/* The same of len bytes of iov, `at` bytes from its start, whose pieces may be
 * of any length: to dst, or in place; -EINVAL: it has less. */
int cipher_encrypt_iov(struct inode *ip, uint64_t off, const struct iovec *iov,
    int iovcnt, size_t at, uint8_t *dst, size_t len) MUST_CHECK;
int cipher_decrypt_iov(struct inode *ip, uint64_t off, const struct iovec *iov,
    int iovcnt, size_t at, size_t len) MUST_CHECK;
/*
 * The same of all of iov by two threads, for what is long: done gets 0 or an
 * error, on this one and later; dst NULL: in place.  False: it is short, or
 * there are no other threads here, or there is no memory.
 */
bool cipher_share(struct inode *ip, uint64_t off, const struct iovec *iov,
    int iovcnt, uint8_t *dst, size_t len, void (*done)(void *arg, int error),
    void *arg) MUST_CHECK;
/* What a clone of the snapshot gets. */
int cipher_inherit(struct inode *sp, struct inode_crypt *ret_c) MUST_CHECK;
static inline bool
is_encrypted(const struct inode_info *i)
{
	return i->crypt.cipher != CIPHER_NONE;
}

/* ---- damage.c ---- */

/* A block of the inode is damaged: fs_set_damaged, and it is said once which
 * object that is.  Does not suspend. */
void fs_damage_seen(struct fs *fs, uint64_t ino);
/* For ds_on_damage, with the file system as arg. */
void fs_damage_owner(void *arg, uint64_t owner);
void fs_damage_forget(struct fs *fs, uint64_t ino);
/* Waits until all has been said. */
void fs_damage_end(struct fs *fs);

/* ---- inode_read.c: readers with or without the lock ---- */

struct reader {
	struct inode *ip;
	bool locked;		/* under a hold of this host */
	bool stale;		/* a live writer elsewhere: last checkpoint */
	bool content;		/* nothing of another file's, not even then */
	unsigned tries;
	uint64_t version, lsn, deadline_ns;
	struct inode_info info;
};
/*
 * for (reader_init(&r, ip); (e = reader_begin(&r)) == 0; ) {
 *	e = read;
 *	if (!reader_again(&r, &e)) break;
 * }
 */
void reader_init(struct reader *r, struct inode *ip);
int reader_begin(struct reader *r) MUST_CHECK;
/* True: the lock moved meanwhile, read again.  May set *err. */
bool reader_again(struct reader *r, int *err);
/*
 * What was found in memory, under a lock, may be told while nobody else can
 * have that: who slept asks the LUN first, which answers when it is settled.
 */
int reader_confirm(struct inode *ip) MUST_CHECK;
/* The inode as it is now, by these. */
int inode_peek(struct inode *ip, struct inode_info *ret_info) MUST_CHECK;

struct nref {
	const uint8_t *data;
	struct mblk *mb;
	struct cnode *cn;
};
/*
 * A block of the inode's tree for reading.  `locked`: through the cache, when
 * birth says that this inode owns it.  type 0: any.
 */
int node_get(struct inode *ip, bool locked, uint64_t addr,
    enum block_type type, uint32_t birth, struct nref *ret_n) MUST_CHECK;
void node_put(struct nref *n);
void node_cache_flush(struct inode *ip);
enum block_type node_type(const struct nref *n);

/* ---- dir.c, dir_edit.c ---- */

/*
 * A cookie is hash << 30 | a second hash << 14 | which of those that have both:
 * where an entry stays while others come and go.  Of more than there are numbers
 * for, some may be left out.
 */
#define DIR_TWIN_BITS 14
#define DIR_TWINS_MAX ((1u << DIR_TWIN_BITS) - 1)
#define DIR_HASH_SHIFT (16 + DIR_TWIN_BITS)
int name_check(const char *name) MUST_CHECK;
/* The leaves of a chain that were passed by; zero at first. */
struct dir_chain {
	uint64_t mark;
	unsigned steps;
};
/* `next` was there already, at the latest in the third round. */
bool dir_chain_closed(struct dir_chain *c, uint64_t next);
int dir_find(struct inode *ip, const struct inode_info *info, bool locked,
    const char *name, struct dirent *ret_e) MUST_CHECK;
struct dir_item {
	uint64_t cookie, ino;
	unsigned type;
	char *name;
};
struct dir_items {
	struct dir_item *item;
	size_t count, max;
};
void dir_items_free(struct dir_items *l);
/* Entries of the leaf for `hash`; *ret_next is the first hash behind it. */
int dir_collect(struct inode *ip, const struct inode_info *info, bool locked,
    uint64_t hash, struct dir_items *l, uint64_t *ret_next) MUST_CHECK;
/* All three change ip->info; the caller stores it in the transaction. */
int dir_insert(struct txn *t, struct inode *ip, const struct dirent *e)
    MUST_CHECK;
/* Reads what removing or replacing the name needs, and keeps it in memory: until
 * dir_let_go neither fails, but for -ENOENT.  -ENOENT. */
struct dir_slot;
int dir_hold(struct inode *ip, const char *name, struct dir_slot **ret_s)
    MUST_CHECK;
/* NULL is fine. */
void dir_let_go(struct dir_slot *s);
int dir_remove(struct txn *t, struct inode *ip, const char *name) MUST_CHECK;
int dir_replace(struct txn *t, struct inode *ip, const char *name,
    const struct dirent *e) MUST_CHECK;

/* ---- map.c: look-up ---- */

struct map_view {
	enum map_state state;	/* HOLE, HUGE or SPLIT */
	struct map_chunk c;	/* the chunk at the offset */
	uint64_t span;		/* bytes from the start of that chunk for which
				 * a hole or huge run goes on; else 64 KiB */
};
int map_view(struct inode *ip, bool locked, const struct map_root *root,
    uint64_t off, struct map_view *ret_v) MUST_CHECK;
struct map_run {
	bool data;		/* false: zeroes */
	uint64_t block;
	uint64_t len;		/* bytes from off */
};
/* One contiguous run at off (4 KiB aligned), at most max bytes. */
int map_run(struct inode *ip, bool locked, const struct map_root *root,
    uint64_t off, uint64_t max, struct map_run *ret_r) MUST_CHECK;
/* Node of a tree at a level and offset; 0: there is none. */
int map_node_at(struct inode *ip, bool locked, const struct map_root *root,
    uint64_t off, unsigned level, uint64_t *ret_addr, uint32_t *ret_birth)
    MUST_CHECK;
static inline uint64_t
map_reach(unsigned level)
{
	unsigned shift = map_entry_shift(level) + 8;

	return shift < 64 ? (uint64_t)1 << shift : UINT64_MAX;
}

/* ---- fast.c: locks that keep other threads out, too ---- */

/* inode.content exclusively: nobody reads or writes.  Suspends. */
void content_lock(struct inode *ip);
void content_unlock(struct inode *ip);
/*
 * inode.map exclusively; where blocks of [off, off + len) lie may change.  Who
 * reads them may go on until reads_drain; who writes blocks that are there
 * already, too.  Suspends.
 */
void map_lock(struct inode *ip, uint64_t off, uint64_t len);
void map_unlock(struct inode *ip);
/* Those who have looked up where to read are through.  Suspends. */
void reads_drain(struct inode *ip);
/* Nobody but the owner reads or writes in between.  Suspends. */
void fast_pause(struct inode *ip);
void fast_resume(struct inode *ip);
/* Nothing is known any more; who is under way goes on. */
void fast_forget(struct inode *ip);
/* What map_view found at off; may suspend. */
void fast_learn(struct inode *ip, uint64_t off, const struct map_view *m);
/* What was written meanwhile shows in the times. */
void times_fold(struct inode *ip);

/* ---- map_cow.c, map_ready.c: changes, under map exclusive ---- */

struct map_path {
	struct mblk *l1, *leaf;
	unsigned i;		/* entry of l1 */
	uint64_t off;
};
int map_path_get(struct txn *t, struct inode *ip, uint64_t off,
    struct map_path *ret_p) MUST_CHECK;
int map_path_split(struct txn *t, struct inode *ip, struct map_path *p)
    MUST_CHECK;
void map_path_put(struct map_path *p);
struct map_chunk_disk *map_path_chunk(struct map_path *p, unsigned k);
void map_path_set_chunk(struct txn *t, struct map_path *p, unsigned k,
    const struct map_chunk *c);
/* Entry of the MiB becomes e, its leaf entries are cleared. */
int map_path_set_entry(struct txn *t, struct inode *ip, struct map_path *p,
    const struct map_entry *e) MUST_CHECK;
int map_path_entry(const struct map_path *p, struct map_entry *ret_e)
    MUST_CHECK;
bool map_chunk_ready(const struct inode_info *i, const struct map_chunk *c,
    uint16_t need);
uint16_t map_mask(uint64_t chunk_off, uint64_t off, uint64_t end);
/* Makes [off, off + len), inside one MiB, writable in place. */
int map_prepare(struct inode *ip, uint64_t off, uint64_t len) MUST_CHECK;
/* The blocks now hold data: valid bits, collapse, size. */
int map_written(struct inode *ip, uint64_t off, uint64_t len, uint64_t size)
    MUST_CHECK;
/* [off, off + len) becomes a hole where whole blocks allow it. */
int map_punch(struct inode *ip, uint64_t off, uint64_t len) MUST_CHECK;

/* ---- map_kin.c, kin_near.c, map_prune.c: who else has this space ---- */

int kin_load(struct inode *ip) MUST_CHECK;
void kin_forget(struct inode *ip);
struct kin *kin_find(struct inode *ip, uint64_t ino);
int kin_add(struct inode *ip, const struct kin *k) MUST_CHECK;
void kin_remove(struct inode *ip, uint64_t ino);
/* Root of ip->kin[i]; suspends when it is not known yet. */
int kin_root(struct inode *ip, unsigned i, struct map_root *ret_root)
    MUST_CHECK;
/* A parent, a flag, the head's base or the list is about to change. */
void kin_changed(struct inode *ip);
/*
 * Those that may share space with tree `self` (0: the head): indices of
 * ip->kin, for the caller to free, and whether the head is one.  Does not
 * suspend.
 */
int kin_near(struct inode *ip, uint64_t self, uint32_t **ret_list,
    unsigned *ret_count, bool *ret_head) MUST_CHECK;
/* ip->near of the head. */
int kin_near_head(struct inode *ip) MUST_CHECK;
/* Is the chunk in another tree of the family at this offset? */
int kin_has_chunk(struct inode *ip, uint64_t off, uint64_t chunk, bool *ret)
    MUST_CHECK;
int kin_has_node(struct inode *ip, uint64_t off, unsigned level,
    uint64_t addr, bool *ret) MUST_CHECK;
/* The head gives up a chunk (birth 0: unknown, a base). */
int chunk_drop(struct txn *t, struct inode *ip, uint64_t off, uint64_t chunk,
    uint32_t birth) MUST_CHECK;
/*
 * Bytes of the tree of `self` (0: the head's) that no other tree of the family
 * has.  victim: the inode with that tree, which is freed step by step.
 */
int map_prune(struct inode *ip, uint64_t self, const struct map_root *tree,
    struct inode *victim, uint64_t *ret_bytes) MUST_CHECK;
/* Chunks of the head and its snapshots, each counted once, without what a
 * clone has of its origin. */
int map_held(struct inode *ip, uint64_t *ret_chunks) MUST_CHECK;

/* ---- file.c, file_ops.c ---- */

/* 0, -EBADF: not opened so, -EROFS: also when it is known to be damaged. */
int file_may_write(const struct fs_file *f) MUST_CHECK;
int file_read_at(struct inode *ip, bool locked, const struct inode_info *info,
    uint64_t off, void *buf, size_t len) MUST_CHECK;
/* Without inode.content, which the caller has. */
int file_write_at(struct inode *ip, uint64_t off, const void *buf, size_t len)
    MUST_CHECK;
int file_zero_at(struct inode *ip, uint64_t off, uint64_t len) MUST_CHECK;
/* Is every block of [off, end) in its own place and written? */
int file_is_whole(struct inode *ip, uint64_t off, uint64_t end, bool *ret)
    MUST_CHECK;
/* Into the blocks' places, which are there.  Whole sectors of the LUN. */
int file_overwrite(struct inode *ip, uint64_t off, const void *buf, size_t len)
    MUST_CHECK;
int file_store_times(struct inode *ip) MUST_CHECK;

/* ---- multi.c: disks that several hosts write ---- */

/* Holder of the lock as it is now, for a refusal; NULL is fine. */
int multi_refuse(struct inode *ip, struct lock_holder *ret_holder) MUST_CHECK;
/* Every block in place: nothing but data writes. */
int multi_write(struct inode *ip, uint64_t off, const void *buf, size_t len)
    MUST_CHECK;
/* By the LUN's own compare-and-write: other hosts write, too. */
int multi_caw(struct inode *ip, uint64_t off, const void *expect,
    const void *image, size_t len) MUST_CHECK;
int multi_flush(struct inode *ip) MUST_CHECK;

/* ---- snaptab.c ---- */

/* Calls fn for each entry until it returns true. */
int snaptab_each(struct inode *ip, bool (*fn)(void *arg,
    const struct snaptab_entry_disk *e), void *arg) MUST_CHECK;
/* Changes *e of snapshot `ino`; a new entry when ino is 0 (room is made). */
int snaptab_put(struct txn *t, struct inode *ip, uint64_t ino,
    const struct snaptab_entry_disk *e) MUST_CHECK;
int snaptab_get(struct inode *ip, uint64_t ino,
    struct snaptab_entry_disk *ret_e) MUST_CHECK;
/* -ENOENT also for one being deleted. */
int snaptab_by_id(struct inode *ip, uint32_t id, uint64_t *ret_ino) MUST_CHECK;
/* Whatever grew from snapshot `from` grows from `to`; a step for a block. */
int snaptab_reparent(struct inode *ip, uint64_t from, uint64_t to) MUST_CHECK;
/* Entry of snapshot `ino`, from which no other grew, goes. */
int snaptab_cut(struct txn *t, struct inode *ip, uint64_t ino) MUST_CHECK;
/* All blocks of the table, which is empty, in steps. */
int snaptab_free(struct inode *ip) MUST_CHECK;

/*
 * Who changes snapshots, or the trees that share space, has both mutexes; who
 * looks at them has `look` alone.  What takes long gives that away now and
 * then, where everything is whole, so that nobody waits for its end to see a
 * list.
 */
static inline void
snaps_lock(struct inode *ip)
{
	fiber_mutex_lock(&ip->snaps);
	fiber_mutex_lock(&ip->look);
}

static inline bool
snaps_trylock(struct inode *ip)
{
	if (!fiber_mutex_trylock(&ip->snaps))
		return false;
	if (fiber_mutex_trylock(&ip->look))
		return true;
	fiber_mutex_unlock(&ip->snaps);
	return false;
}

static inline void
snaps_unlock(struct inode *ip)
{
	fiber_mutex_unlock(&ip->look);
	fiber_mutex_unlock(&ip->snaps);
}

static inline void
snaps_let_look(struct inode *ip)
{
	fiber_mutex_unlock(&ip->look);
	fiber_mutex_lock(&ip->look);
}

/* ---- snapshot_list.c ---- */

bool snapshot_possible(enum inode_type type);
/* What the table says; size, alone_bytes, parent and clones are left 0. */
void snapshot_tell(const struct inode *ip, const struct snaptab_entry_disk *e,
    struct fs_snapshot *ret_s);

/* ---- snapdelete.c: head held exclusively, inode.snaps locked ---- */

/* Frees what snapshot `ino` alone holds, then it. */
int snapshot_free(struct inode *ip, uint64_t ino,
    struct lock_holder *ret_holder) MUST_CHECK;
/*
 * Deletes the oldest until there are only `keep`, none when clones need one
 * (-EBUSY): before the disk goes, which takes the rest in one transaction.
 */
#define VICTIM_SNAPSHOTS 16u	/* that go in one transaction with the name */
int snapshot_thin(struct fs *fs, uint64_t ino, unsigned keep,
    const struct fs_progress *p, struct lock_holder *ret_holder) MUST_CHECK;
/* Finishes deletions that were begun, and deletes what copies have left; the
 * first error. */
int snapshot_reap(struct inode *ip);
/* One that goes when its last clone does. */
int snapshot_for_copy(struct fs *fs, uint64_t ino, const char *name,
    struct fs_snapshot *ret_s, struct lock_holder *ret_holder) MUST_CHECK;
/* One that a copy made, and that nobody needs any more. */
bool snapshot_idle_copy(struct inode *ip, const struct kin *k);
/*
 * A clone's pin on the snapshot it came from goes.  wait: for its lock.
 * *ret_idle becomes the disk of the snapshot if that has no clone any more: to
 * be given to pin_released when nothing of the clone is locked.
 */
int pin_release(struct inode *ip, bool wait, uint64_t *ret_idle) MUST_CHECK;
void pin_released(struct fs *fs, uint64_t idle);
static inline bool
progress_step(const struct fs_progress *p, uint64_t done, uint64_t total)
{
	return p == NULL || p->step(p->arg, done, total);
}

/* ---- quota.c; where space is taken and given back ---- */

/* Chunks that a write may take; promised: they are counted until quota_put. */
struct quota_use {
	uint64_t n, promised;
};
/*
 * At least `need` chunks, `want` when there are so many, for the inode that is
 * held exclusively.  Outside of transactions, without inode.map; may wait for
 * other hosts.  -EDQUOT, of a disk -ENOSPC: the limit of its directory.
 */
int quota_get(struct inode *ip, uint64_t need, uint64_t want,
    struct quota_use *ret_u) MUST_CHECK;
void quota_put(struct inode *ip, struct quota_use *u);
/* Do not suspend; the caller stores the inode in its transaction. */
void quota_took(struct inode *ip, uint64_t chunks);
void quota_freed(struct inode *ip, uint64_t chunks);
/* Gives credit back that is not needed; not all: keeps some for what comes. */
int quota_settle(struct inode *ip, bool all) MUST_CHECK;
/* Bytes that are kept for accounts other than this one; 0: for any. */
int quota_reserved(struct fs *fs, uint64_t account, uint64_t *ret_bytes)
    MUST_CHECK;
/* They are looked up anew. */
void quota_reserved_forget(struct fs *fs);
/* What is made in a directory belongs to its account. */
void quota_inherit(const struct inode *dip, struct inode_info *info);

/* ---- destroy.c ---- */

/* Frees an unlinked inode held exclusively; consumes hold and reference. */
int inode_destroy(struct inode *ip);
/*
 * Last step: the block of an inode without content is freed, in one
 * transaction with `last`, and its lock released.  Consumes the hold.
 */
int inode_vanish(struct inode *ip, int (*last)(struct txn *t, void *arg),
    void *arg) MUST_CHECK;
int fs_reap_orphans(struct fs *fs,
    bool (*is_open)(void *arg, uint64_t ino), void *arg);

static inline bool
inode_held(const struct inode *ip)
{
	return ip->grant.mode != LOCK_FREE;
}

#endif
