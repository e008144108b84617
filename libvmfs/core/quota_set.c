/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Quotas of directories: making, changing and removing them.  The accounts are
 * in a list that begins at the root directory, whose lock guards it.  Below the
 * directory every file gets to know its account, and the account what it holds,
 * one file and one transaction after the other: what was not reached can be
 * done by the same call again.
 */
#include <stdlib.h>

#include "libvmfs/core/names_set.h"

#define LIST_MAX 65536u		/* accounts: a longer list goes in a circle */
#define DEPTH_MAX 4096u
#define MAKE_BLOCKS 8u
#define MAKE_META 2u

static uint64_t
chunks_of(uint64_t bytes)
{
	return bytes / CHUNK_SIZE + (bytes % CHUNK_SIZE != 0);
}

static void
quota_tell(uint64_t ino, const struct inode_info *i, struct fs_quota *ret_q)
{
	*ret_q = (struct fs_quota){
		.account = ino,
		.dir = i->parent,
		.limit = i->policy.limit * CHUNK_SIZE,
		.reserve = i->policy.reserve * CHUNK_SIZE,
		.used = i->policy.used * CHUNK_SIZE,
	};
}

int
fs_quota_each(struct fs *fs, bool (*fn)(void *arg, const struct fs_quota *q),
    void *arg)
{
	struct inode_info i;
	struct fs_quota q;
	uint64_t at;
	int r;

	r = inode_glance(fs, fs_root(fs), &i);
	at = i.policy.next;
	for (unsigned n = 0; r == 0 && at != 0 && n < LIST_MAX; n++) {
		r = inode_glance(fs, at, &i);
		if (r == 0 && i.type != INODE_QUOTA)
			r = -ESTALE;
		if (r != 0)
			break;
		quota_tell(at, &i, &q);
		if (!fn(arg, &q))
			break;
		at = i.policy.next;
	}
	return r;
}

int
fs_quota_get(struct fs *fs, uint64_t ino, struct fs_quota *ret_q)
{
	struct inode_info i;
	uint64_t account, generation;
	int r;

	r = inode_glance(fs, ino, &i);
	if (r != 0)
		return r;
	account = i.type == INODE_QUOTA || ino == fs_root(fs) ? 0 :
	    i.policy.account;
	generation = i.policy.generation;
	if (account == 0)
		return -ENOENT;
	r = inode_glance(fs, account, &i);
	if (r == 0 && (i.type != INODE_QUOTA || i.generation != generation))
		r = -ENOENT;
	if (r == 0)
		quota_tell(account, &i, ret_q);
	return r == -ESTALE || r == -VMFS_ECORRUPT ? -ENOENT : r;
}

/* ---- the tree below a directory ---- */

struct tree {
	struct fs *fs;
	struct inode_policy member;	/* of what joins; account 0: it leaves */
	uint64_t account;
	uint64_t *dir;			/* to be looked into */
	size_t count, max;
	uint64_t *file;			/* of the directory at hand */
	size_t files, files_max;
	int error;
	struct fs_quota_left *left;
};

static int
push(uint64_t **list, size_t *count, size_t *max, uint64_t ino)
{
	uint64_t *grown;

	if (*count == *max) {
		*max = *max == 0 ? 64 : *max * 2;
		grown = reallocarray(*list, *max, sizeof(*grown));
		if (grown == NULL)
			return -ENOMEM;
		*list = grown;
	}
	(*list)[(*count)++] = ino;
	return 0;
}

static bool
tree_entry(void *arg, const struct fs_dirent *e)
{
	struct tree *w = arg;

	if (e->type == INODE_DIR)
		w->error = push(&w->dir, &w->count, &w->max, e->ino);
	else if (e->type == INODE_FILE || e->type == INODE_DISK)
		w->error = push(&w->file, &w->files, &w->files_max, e->ino);
	return w->error == 0;
}

static bool
concerns(const struct tree *w, const struct inode_policy *p)
{
	return w->member.account != 0 ? p->account == 0 :
	    p->account == w->account;
}

static int
dir_change(struct tree *w, uint64_t ino)
{
	struct inode *ip;
	struct txn *t;
	int r;

	r = inode_take(w->fs, ino, LOCK_EXCLUSIVE, true, &ip, NULL);
	if (r != 0)
		return r == -ESTALE ? 0 : r;
	content_lock(ip);
	if (ip->info.type == INODE_DIR && ip->info.policy.held == 0 &&
	    concerns(w, &ip->info.policy)) {
		r = txn_begin(w->fs->ds, 1, &t);
		if (r == 0) {
			ip->info.policy = w->member;
			r = inode_store(t, ip);
			txn_end(t);
		}
	}
	content_unlock(ip);
	return inode_give(ip, LOCK_EXCLUSIVE, r);
}

/* What the file holds and the account's sum of it in one transaction. */
static int
file_move(struct tree *w, struct inode *ip, uint64_t held)
{
	bool joins = w->member.account != 0;
	struct inode_policy *p = &ip->info.policy;
	struct inode *ap = NULL;
	uint64_t *used;
	struct txn *t;
	int r, e;

	/* Its account is held here already. */
	r = inode_take(w->fs, w->account, LOCK_EXCLUSIVE, true, &ap, NULL);
	if (r != 0)
		return r;
	used = &ap->info.policy.used;
	r = txn_begin(w->fs->ds, 2, &t);
	if (r == 0) {
		if (joins) {
			*used += held;
			*p = w->member;
			p->held = p->credit = held;
		} else {
			*used -= p->credit < *used ? p->credit : *used;
			*p = (struct inode_policy){ 0 };
		}
		r = inode_store(t, ap);
		e = inode_store(t, ip);
		r = r != 0 ? r : e;
		txn_end(t);
	}
	return inode_give(ap, LOCK_EXCLUSIVE, r);
}

/* No write and no deletion of a snapshot is under way meanwhile. */
static int
file_change_held(struct tree *w, struct inode *ip)
{
	uint64_t held = 0;
	int r = 0;

	snaps_lock(ip);
	content_lock(ip);
	if ((ip->info.type == INODE_FILE || ip->info.type == INODE_DISK) &&
	    concerns(w, &ip->info.policy)) {
		if (w->member.account != 0)
			r = map_held(ip, &held);
		if (r == 0)
			r = file_move(w, ip, held);
	}
	content_unlock(ip);
	snaps_unlock(ip);
	return r;
}

static int
file_change(struct tree *w, uint64_t ino)
{
	struct lock_holder holder = { .mode = LOCK_FREE };
	struct inode_info i;
	struct inode *ip;
	int r;

	r = inode_glance(w->fs, ino, &i);
	if (r == 0 && !concerns(w, &i.policy))
		return 0;
	if (r == 0)
		r = inode_take(w->fs, ino, LOCK_EXCLUSIVE, false, &ip,
		    &holder);
	if (r == 0) {
		r = file_change_held(w, ip);
		return inode_give(ip, LOCK_EXCLUSIVE, r);
	}
	if (r == -ESTALE)
		return 0;
	if (r != -VMFS_ELOCKED && r != -EROFS)
		return r;
	if (w->left->count++ == 0) {
		w->left->ino = ino;
		w->left->holder = holder;
	}
	return 0;
}

/* A directory first, so that what is made in it meanwhile is right. */
static int
tree_change(struct tree *w, uint64_t dir)
{
	int r = push(&w->dir, &w->count, &w->max, dir);

	while (r == 0 && w->count > 0) {
		uint64_t at = w->dir[--w->count];

		r = dir_change(w, at);
		w->files = 0;
		if (r == 0)
			r = fs_readdir(w->fs, at, 0, tree_entry, w);
		if (r == -ESTALE || r == -ENOTDIR)
			r = 0;
		if (r == 0)
			r = w->error;
		for (size_t i = 0; i < w->files && r == 0; i++)
			r = file_change(w, w->file[i]);
	}
	free(w->dir);
	free(w->file);
	return r;
}

/* ---- making ---- */

/* Is `dir` below `top`, or the same? */
static int
is_below(struct fs *fs, uint64_t dir, uint64_t top, bool *ret)
{
	struct inode_info i;
	int r = 0;

	*ret = false;
	for (unsigned n = 0; r == 0 && n < DEPTH_MAX; n++) {
		if (dir == top)
			*ret = true;
		if (*ret || dir == fs_root(fs))
			return 0;
		r = inode_glance(fs, dir, &i);
		dir = i.parent;
	}
	return r != 0 ? r : -ELOOP;
}

struct nesting {
	struct fs *fs;
	uint64_t dir;
	int error;
};

static bool
nests(void *arg, const struct fs_quota *q)
{
	struct nesting *n = arg;
	bool below = false;

	n->error = is_below(n->fs, q->dir, n->dir, &below);
	if (n->error == 0 && below)
		n->error = -EBUSY;
	/* Of one that is gone nothing is left but its account. */
	if (n->error == -ESTALE || n->error == -VMFS_ECORRUPT)
		n->error = 0;
	return n->error == 0;
}

static int
account_make(struct fs *fs, struct inode *root, struct inode *dip,
    uint64_t limit)
{
	uint64_t now = fs_now_ns(fs);
	struct inode_info i = {
		.type = INODE_QUOTA, .nlink = 1, .parent = dip->ino,
		.mtime_ns = now, .ctime_ns = now, .btime_ns = now,
		.policy = {
			.limit = limit, .next = root->info.policy.next,
		},
	};
	struct lock_grant g = { 0 };
	struct txn *t;
	int r, e;

	r = txn_begin(fs->ds, MAKE_BLOCKS, &t);
	if (r != 0)
		return r;
	r = inode_make(t, fs, dip->ino, &i, NULL, &g);
	if (r == 0) {
		root->info.policy.next = g.addr;
		dip->info.policy = (struct inode_policy){
			.account = g.addr, .held = 1,
			.generation = i.generation,
		};
		r = inode_store(t, root);
		e = inode_store(t, dip);
		r = r != 0 ? r : e;
	}
	txn_end(t);
	if (g.mode == LOCK_FREE)
		return r;
	e = ds_unlock(fs->ds, &g);
	return r != 0 ? r : e;
}

static int
make_locked(struct fs *fs, struct inode *root, struct inode *dip,
    uint64_t limit)
{
	struct nesting n = { .fs = fs, .dir = dip->ino };
	int r;

	if (dip->info.type != INODE_DIR)
		return -ENOTDIR;
	if (dip->info.nlink == 0)
		return -ENOENT;
	if (dip->info.policy.held != 0)
		return 0;
	if (dip->info.policy.account != 0)
		return -EBUSY;
	r = fs_quota_each(fs, nests, &n);
	if (r == 0)
		r = n.error;
	if (r == 0)
		r = ds_set_features(fs->ds, 0,
		    FEATURE_RO_COMPAT_QUOTAS);
	return r != 0 ? r : account_make(fs, root, dip, limit);
}

/* Others have reserved, too, and all of it has to be there. */
static int
reserve_check(struct fs *fs, const struct inode *ap, uint64_t reserve)
{
	uint64_t others, used = ap->info.policy.used;
	struct ds_space s;
	int r;

	if (reserve <= used || reserve <= ap->info.policy.reserve)
		return 0;
	quota_reserved_forget(fs);
	r = quota_reserved(fs, ap->ino, &others);
	if (r == 0)
		r = ds_space_now(fs->ds, &s);
	if (r == 0 && s.free_bytes < others + (reserve - used) * CHUNK_SIZE)
		r = -ENOSPC;
	return r;
}

enum wanted { LIMIT, RESERVE };

static int
account_set(struct fs *fs, uint64_t account, enum wanted what,
    uint64_t chunks)
{
	struct inode *ap;
	struct txn *t;
	int r;

	r = inode_take(fs, account, LOCK_EXCLUSIVE, true, &ap, NULL);
	if (r != 0)
		return r;
	if (what == RESERVE)
		r = reserve_check(fs, ap, chunks);
	if (r == 0)
		r = txn_begin(fs->ds, 1, &t);
	if (r == 0) {
		if (what == RESERVE)
			ap->info.policy.reserve = chunks;
		else
			ap->info.policy.limit = chunks;
		r = inode_store(t, ap);
		txn_end(t);
	}
	quota_reserved_forget(fs);
	return inode_give(ap, LOCK_EXCLUSIVE, r);
}

/* The account of the directory, made when there is none and `make`. */
static int
account_get(struct fs *fs, uint64_t dir, bool make, uint64_t limit,
    struct inode_policy *ret_p)
{
	struct names_set s = { 0 };
	struct inode *dip;
	int r;

	names_set_add(&s, fs_root(fs));
	names_set_add(&s, dir);
	r = names_set_lock(&s, fs);
	if (r != 0)
		return r;
	dip = names_set_get(&s, dir);
	if (make)
		r = make_locked(fs, names_set_get(&s, fs_root(fs)), dip,
		    limit);
	if (r == 0 && dip->info.policy.held == 0)
		r = -ENOENT;
	if (r == 0)
		r = account_set(fs, dip->info.policy.account, LIMIT, limit);
	if (r == 0)
		*ret_p = dip->info.policy;
	return names_set_unlock(&s, r);
}

int
fs_quota_set(struct fs *fs, uint64_t dir, uint64_t limit, uint64_t reserve,
    struct fs_quota_left *ret_left)
{
	struct tree w = { .fs = fs, .left = ret_left };
	int r = fs_writable(fs);

	*ret_left = (struct fs_quota_left){ 0 };
	if (r == 0 && dir == fs_root(fs))
		r = -EINVAL;
	if (r == 0)
		r = alloc_reserve(fs->ds, 0, MAKE_META);
	if (r == 0)
		r = account_get(fs, dir, true, chunks_of(limit), &w.member);
	if (r != 0)
		return r;
	w.account = w.member.account;
	w.member.held = 0;
	r = tree_change(&w, dir);
	/* What is there already needs no free space. */
	return r != 0 ? r : account_set(fs, w.account, RESERVE,
	    chunks_of(reserve));
}

/* ---- removing ---- */

/* Out of the list and, as one being deleted, into the orphans of this host. */
static int
unlink_txn(struct inode *before, struct inode *ap, struct inode *dip)
{
	struct txn *t;
	int r, e;

	r = txn_begin(ap->fs->ds, MAKE_BLOCKS, &t);
	if (r != 0)
		return r;
	r = orphan_add(t, ap->ino);
	if (r == 0) {
		before->info.policy.next = ap->info.policy.next;
		dip->info.policy = (struct inode_policy){ 0 };
		ap->info.nlink = 0;
		ap->info.flags |= INODE_DELETING;
		r = inode_store(t, ap);
		e = inode_store(t, before);
		r = r != 0 ? r : e;
		e = inode_store(t, dip);
		r = r != 0 ? r : e;
	}
	txn_end(t);
	return r;
}

/* Who names `account` as the next one, held exclusively. */
static int
before_take(struct fs *fs, uint64_t account, struct inode **ret_bp)
{
	uint64_t at = fs_root(fs);
	struct inode *bp;
	int r = 0;

	for (unsigned n = 0; at != 0 && n < LIST_MAX; n++) {
		r = inode_take(fs, at, LOCK_EXCLUSIVE, true, &bp, NULL);
		if (r != 0)
			return r;
		if (bp->info.policy.next == account) {
			*ret_bp = bp;
			return 0;
		}
		at = bp->info.policy.next;
		r = inode_give(bp, LOCK_EXCLUSIVE, 0);
		if (r != 0)
			return r;
	}
	return -VMFS_ECORRUPT;
}

static int
remove_locked(struct fs *fs, struct inode *dip, bool *ret_done)
{
	uint64_t account = dip->info.policy.account;
	struct inode *ap, *bp = NULL;
	int r;

	if (dip->info.policy.held == 0)
		return 0;	/* another host was faster */
	r = before_take(fs, account, &bp);
	if (r != 0)
		return r;
	r = inode_take(fs, account, LOCK_EXCLUSIVE, true, &ap, NULL);
	if (r != 0)
		return inode_give(bp, LOCK_EXCLUSIVE, r);
	*ret_done = ap->info.policy.used == 0;
	r = *ret_done ? unlink_txn(bp, ap, dip) : 0;
	if (r == 0 && *ret_done)
		r = inode_destroy(ap);
	else
		r = inode_give(ap, LOCK_EXCLUSIVE, r);
	return inode_give(bp, LOCK_EXCLUSIVE, r);
}

static int
account_remove(struct fs *fs, uint64_t dir, struct fs_quota_left *left)
{
	struct names_set s = { 0 };
	bool done = true;
	int r;

	names_set_add(&s, fs_root(fs));
	names_set_add(&s, dir);
	r = names_set_lock(&s, fs);
	if (r != 0)
		return r;
	r = remove_locked(fs, names_set_get(&s, dir), &done);
	r = names_set_unlock(&s, r);
	/* Something made or deleted just now still has credit. */
	if (r == 0 && !done)
		left->count++;
	return r;
}

int
fs_quota_clear(struct fs *fs, uint64_t dir, struct fs_quota_left *ret_left)
{
	struct inode_policy p;
	struct tree w = { .fs = fs, .left = ret_left };
	int r = fs_writable(fs);

	*ret_left = (struct fs_quota_left){ 0 };
	if (r == 0)
		r = account_get(fs, dir, false, 0, &p);
	if (r != 0)
		return r;
	w.account = p.account;
	r = account_set(fs, p.account, RESERVE, 0);
	if (r == 0)
		r = tree_change(&w, dir);
	return r != 0 || ret_left->count > 0 ? r :
	    account_remove(fs, dir, ret_left);
}
