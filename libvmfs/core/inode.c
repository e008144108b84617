/* SPDX-License-Identifier: BSD-2-Clause */
/* In-memory inodes: one per number, its on-disk lock, load and store. */
#include <stdlib.h>

#include "libvmfs/core/fs_impl.h"
#include "libvmfs/core/volume.h"

uint64_t
fs_now_ns(struct fs *fs)
{
	struct env *env = ds_env(fs->ds);

	return env->wall_us(env) * 1000;
}

int
fs_writable(const struct fs *fs)
{
	if (ds_readonly(fs->ds))
		return -EROFS;
	return ds_health(fs->ds);
}

bool
fs_has_attrs(const struct fs *fs)
{
	return (ds_super(fs->ds)->ro_compat & FEATURE_RO_COMPAT_ATTRS) != 0;
}

int
meta_free(struct txn *t, uint64_t addr)
{
	int r = free_meta(t, addr);

	if (r == 0)
		mb_freed(t, addr);
	return r;
}

void
meta_lose(struct fs *fs, struct txn *t, uint64_t addr)
{
	int r = meta_free(t, addr);

	if (r != 0 && ds_health(fs->ds) == 0)
		log_warn(ds_env(fs->ds)->log, "core: a block was not given "
		    "back block=%llu error=%s: fsck.vmfs does that",
		    (unsigned long long)addr, vmfs_strerror(r));
}

int
inode_private(struct fs *fs, uint64_t ino, struct inode **ret_ip)
{
	struct inode *ip;

	if (ino == 0 || !volume_has_block(ds_super(fs->ds), ino))
		return -ESTALE;
	ip = calloc(1, sizeof(*ip));
	if (ip == NULL)
		return -ENOMEM;
	ip->fs = fs;
	ip->ino = ino;
	ip->refs = 1;
	ip->seen_version = UINT64_MAX;
	list_init(&ip->node);
	fiber_mutex_init(&ip->lock);
	fiber_cond_init(&ip->holds_cond);
	fiber_mutex_init(&ip->snaps);
	fiber_mutex_init(&ip->look);
	fiber_mutex_init(&ip->credit);
	fiber_rwlock_init(&ip->content);
	fiber_rwlock_init(&ip->map);
	list_init(&ip->ranges);
	fiber_cond_init(&ip->ranges_cond);
	fiber_cond_init(&ip->reads_cond);
	fiber_cond_init(&ip->unbarred);
	for (size_t i = 0; i < NODE_CACHE_BUCKETS; i++)
		list_init(&ip->bucket[i]);
	list_init(&ip->lru);
	*ret_ip = ip;
	return 0;
}

int
inode_ref(struct fs *fs, uint64_t ino, struct inode **ret_ip)
{
	struct inode *ip;
	int r;

	list_for_each(n, tmp, &fs->inodes) {
		ip = list_entry(n, struct inode, node);
		if (ip->ino == ino) {
			ip->refs++;
			*ret_ip = ip;
			return 0;
		}
	}
	r = inode_private(fs, ino, &ip);
	if (r != 0)
		return r;
	/* Most recently used first: the list stays short to search. */
	list_add(&fs->inodes, &ip->node);
	*ret_ip = ip;
	return 0;
}

void
inode_unref(struct inode *ip)
{
	if (ip == NULL || --ip->refs > 0)
		return;
	list_del(&ip->node);
	inode_unpin(ip);
	node_cache_flush(ip);
	kin_forget(ip);
	cipher_close(ip);
	view_free(atomic_load(&ip->view));
	meter_free(ip->meter);
	free(ip);
}

void
inode_unpin(struct inode *ip)
{
	mb_put(ip->block);
	ip->block = NULL;
}

static int
inode_load(struct inode *ip)
{
	struct mblk *b;
	int r;

	r = mb_read(ip->fs->ds, &ip->grant, ip->ino, BLOCK_INODE, &b);
	if (r != 0)
		return r;
	r = inode_decode(b->data, &ip->info);
	if (r == 0 && ip->info.type == INODE_FREE)
		r = -ESTALE;
	if (r == 0 && ip->grant.mode == LOCK_EXCLUSIVE) {
		inode_unpin(ip);
		ip->block = b;
	} else {
		mb_put(b);
	}
	return r;
}

/* inode.lock is held. */
static int
grant_acquire(struct inode *ip, enum lock_mode mode, bool wait,
    struct lock_holder *holder)
{
	struct fs *fs = ip->fs;
	struct lockops *l = ds_locks(fs->ds);
	uint64_t deadline = env_now(ds_env(fs->ds)) + FS_LOCK_WAIT_NS;
	int r;

	ip->acquiring = true;
	r = l->vt->acquire(l, ip->ino, mode, wait ? 0 : LOCK_NOWAIT, deadline,
	    &ip->grant, holder);
	ip->acquiring = false;
	node_cache_flush(ip);
	ip->seen_version = UINT64_MAX;
	return r;
}

/* What was known under the lock.  The gate is closed. */
static void
grant_forget(struct inode *ip)
{
	kin_forget(ip);
	node_cache_flush(ip);
	inode_unpin(ip);
	ip->grant = (struct lock_grant){ 0 };
	ip->alloc_hint = 0;
	fast_forget(ip);
}

/* inode.lock is held.  Who reads past the owner is through before another host
 * can have the lock, and finds nothing known when the gate opens. */
static int
grant_release(struct inode *ip)
{
	int r;

	fast_pause(ip);
	r = ds_unlock(ip->fs->ds, &ip->grant);
	grant_forget(ip);
	fast_resume(ip);
	return r;
}

/* It is not ours any more.  Readers go on without it. */
static void
grant_lose(struct inode *ip)
{
	fast_pause(ip);
	grant_forget(ip);
	fast_resume(ip);
}

/* What readers of this host have becomes that of writers without a gap: they
 * find nothing changed that they know, and keep what they have when it is
 * refused.  Nobody may wait for that: two who did would wait for each other. */
static int
grant_upgrade(struct inode *ip, enum lock_mode mode,
    struct lock_holder *holder)
{
	struct fs *fs = ip->fs;
	struct lockops *l = ds_locks(fs->ds);
	int r;

	ip->acquiring = true;
	r = l->vt->acquire(l, ip->ino, mode, LOCK_NOWAIT | LOCK_CHANGE,
	    env_now(ds_env(fs->ds)) + FS_LOCK_WAIT_NS, &ip->grant, holder);
	ip->acquiring = false;
	if (r != 0 && r != -VMFS_ELOCKED)
		grant_lose(ip);
	if (r == 0)
		r = inode_load(ip);
	return r;
}

/* Other hosts may have it so again; who reads it here has it all the time. */
static int
grant_weaken(struct inode *ip, enum lock_mode mode)
{
	int r = ds_weaken(ip->fs->ds, &ip->grant, mode);

	inode_unpin(ip);
	if (r != 0)
		grant_lose(ip);
	return r;
}

/* From what readers of this host have, or nothing, to `mode`. */
static int
grant_change(struct inode *ip, enum lock_mode mode, bool wait,
    struct lock_holder *holder)
{
	int r;

	if (ip->grant.mode == LOCK_EXCLUSIVE) {
		r = grant_weaken(ip, mode);
		return r != 0 ? r : inode_load(ip);
	}
	if (ip->grant.mode != LOCK_FREE)
		return grant_upgrade(ip, mode, holder);
	r = grant_acquire(ip, mode, wait, holder);
	if (r == 0)
		r = inode_load(ip);
	if (r != 0 && ip->grant.mode != LOCK_FREE)
		(void)grant_release(ip);
	return r;
}

static int
hold_exclusive(struct inode *ip, bool wait, struct lock_holder *holder)
{
	int r;

	if (ip->grant.mode == LOCK_EXCLUSIVE) {
		ip->ex++;
		return 0;
	}
	if (ip->mw > 0)
		return multi_refuse(ip, holder);
	r = grant_change(ip, LOCK_EXCLUSIVE, wait, holder);
	if (r == 0)
		ip->ex++;
	return r;
}

/* Writers of several hosts; nobody here may change more than data. */
static int
hold_multi(struct inode *ip, bool wait, struct lock_holder *holder)
{
	int r;

	if (ip->grant.mode == LOCK_MULTI_WRITER) {
		ip->mw++;
		return 0;
	}
	if (ip->ex > 0)
		return multi_refuse(ip, holder);
	r = grant_change(ip, LOCK_MULTI_WRITER, wait, holder);
	if (r == 0)
		ip->mw++;
	return r;
}

int
inode_hold(struct inode *ip, enum lock_mode mode, bool wait,
    struct lock_holder *ret_holder)
{
	int r = 0;

	if (mode != LOCK_SHARED && fs_is_damaged(ip->fs, ip->ino))
		return -EROFS;
	fiber_mutex_lock(&ip->lock);
	if (mode == LOCK_EXCLUSIVE) {
		r = hold_exclusive(ip, wait, ret_holder);
	} else if (mode == LOCK_MULTI_WRITER) {
		r = hold_multi(ip, wait, ret_holder);
	} else if (ip->grant.mode != LOCK_FREE) {
		ip->sh++;
	} else {
		r = grant_change(ip, LOCK_SHARED, wait, ret_holder);
		if (r == 0)
			ip->sh++;
	}
	fiber_cond_broadcast(&ip->holds_cond);
	fiber_mutex_unlock(&ip->lock);
	return r;
}

/*
 * Readers without a hold of their own are visitors of those who have one: what
 * these have changed and not checkpointed shows under their lock only.  When
 * the last hold has gone, the lock goes with the last visitor who had come by
 * then.  Who comes later waits until it is gone, and then reads without it, or
 * until somebody has a hold again: visits that overlap would keep the lock from
 * other hosts for ever.
 *
 * A visit ends by itself.  It needs inode.content and inode.map for reading,
 * which only who has a hold keeps from it, and makes no other visit.  Where it
 * takes long nobody waits for more than READER_WAIT_NS, but joins.
 */
static bool
is_leaving(const struct inode *ip)
{
	return ip->visits > 0 && ip->ex == 0 && ip->sh == 0 && ip->mw == 0 &&
	    ip->grant.mode != LOCK_FREE;
}

/* Somebody less is there.  inode.lock is held, and given up. */
static int
hold_ends(struct inode *ip)
{
	int r = 0;

	if (ip->ex == 0 && ip->sh == 0 && ip->mw == 0 && ip->visits == 0) {
		if (ip->grant.mode != LOCK_FREE)
			r = grant_release(ip);
	} else if (ip->ex == 0 && ip->grant.mode == LOCK_EXCLUSIVE &&
	    ip->info.type == INODE_SNAPSHOT) {
		r = grant_weaken(ip, LOCK_SHARED);
	}
	fiber_cond_broadcast(&ip->holds_cond);
	fiber_mutex_unlock(&ip->lock);
	return r;
}

int
inode_drop(struct inode *ip, enum lock_mode mode)
{
	fiber_mutex_lock(&ip->lock);
	if (mode == LOCK_EXCLUSIVE)
		ip->ex--;
	else if (mode == LOCK_MULTI_WRITER)
		ip->mw--;
	else
		ip->sh--;
	return hold_ends(ip);
}

int
inode_leave(struct inode *ip)
{
	fiber_mutex_lock(&ip->lock);
	ip->visits--;
	return hold_ends(ip);
}

static bool
join(struct inode *ip, unsigned *count, uint64_t deadline_ns)
{
	bool got = false;

	while (is_leaving(ip) &&
	    fiber_cond_wait_until(&ip->holds_cond, deadline_ns))
		;
	if (ip->acquiring)
		return false;
	fiber_mutex_lock(&ip->lock);
	if (ip->grant.mode != LOCK_FREE) {
		(*count)++;
		got = true;
	}
	fiber_mutex_unlock(&ip->lock);
	return got;
}

bool
inode_share(struct inode *ip)
{
	return join(ip, &ip->sh, env_now(ds_env(ip->fs->ds)) + READER_WAIT_NS);
}

bool
inode_visit(struct inode *ip, uint64_t deadline_ns)
{
	return join(ip, &ip->visits, deadline_ns);
}

int
inode_take(struct fs *fs, uint64_t ino, enum lock_mode mode, bool wait,
    struct inode **ret_ip, struct lock_holder *ret_holder)
{
	struct inode *ip;
	int r;

	r = inode_ref(fs, ino, &ip);
	if (r != 0)
		return r;
	r = inode_hold(ip, mode, wait, ret_holder);
	if (r != 0) {
		inode_unref(ip);
		return r;
	}
	*ret_ip = ip;
	return 0;
}

int
inode_give(struct inode *ip, enum lock_mode mode, int r)
{
	int e;

	if (ip == NULL)
		return r;
	e = inode_drop(ip, mode);
	inode_unref(ip);
	return r != 0 ? r : e;
}

int
inode_store(struct txn *t, struct inode *ip)
{
	struct mblk *b;
	int r;

	r = mb_read(ip->fs->ds, &ip->grant, ip->ino, BLOCK_INODE, &b);
	if (r != 0)
		return r;
	inode_encode(b->data, &ip->info);
	mb_dirty(t, b, 576, 1024 - 576);
	mb_put(b);
	ip->times_dirty = false;
	return 0;
}

int
inode_make(struct txn *t, struct fs *fs, uint64_t near,
    struct inode_info *info, const void *inl, struct lock_grant *ret_g)
{
	struct env *env = ds_env(fs->ds);
	struct lockops *l = ds_locks(fs->ds);
	struct inode_disk *d;
	struct lock_grant g;
	struct mblk *b;
	uint64_t ino;
	int r;

	r = alloc_meta(t, near, BLOCK_INODE, &ino);
	if (r != 0)
		return r;
	fs_damage_forget(fs, ino);
	r = l->vt->create(l, ino, &g);
	if (r == 0) {
		r = mb_new(t, &g, ino, BLOCK_INODE, &b);
		if (r != 0)
			(void)l->vt->release(l, &g);
	}
	if (r != 0) {
		if (free_meta(t, ino) == 0)
			mb_freed(t, ino);
		return r;
	}
	do
		info->generation = (uint32_t)env_random_u64(env);
	while (info->generation == 0);
	inode_encode(b->data, info);
	d = (struct inode_disk *)b->data;
	if (info->inline_size > 0)
		memcpy(d->inline_data, inl, info->inline_size);
	mb_dirty(t, b, LOCK_RECORD_SIZE, BLOCK_SIZE - LOCK_RECORD_SIZE);
	mb_put(b);
	*ret_g = g;
	return 0;
}

void
inode_attr(uint64_t ino, const struct inode_info *info, struct fs_attr *ret_a)
{
	*ret_a = (struct fs_attr){
		.ino = ino,
		.generation = info->generation,
		.type = info->type,
		.mode = info->mode,
		.uid = info->uid,
		.gid = info->gid,
		.nlink = info->nlink,
		.size = info->size,
		.allocated = info->chunks * CHUNK_SIZE,
		.atime_ns = info->atime_ns,
		.mtime_ns = info->mtime_ns,
		.ctime_ns = info->ctime_ns,
		.btime_ns = info->btime_ns,
		.snapshots = info->snapshots,
		.clones = info->clones,
		.is_clone = (info->flags & INODE_CLONE) != 0,
		.multi_writer = (info->flags & INODE_MULTI_WRITER) != 0,
		.origin_disk = info->origin_disk,
		.origin_snapshot = info->origin_snapshot,
		.encrypted = is_encrypted(info),
		.account = info->type == INODE_QUOTA ? 0 :
		    info->policy.account,
		.own_account = info->type == INODE_DIR &&
		    info->policy.held != 0,
		.limits = info->limits,
	};
	memcpy(ret_a->key_id, info->crypt.key_id, sizeof(ret_a->key_id));
}
