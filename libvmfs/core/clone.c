/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clones: a new disk over a snapshot's tree.  The snapshot counts them and
 * cannot be deleted meanwhile; its space is never a clone's to free.
 */
#include <stdio.h>

#include "libvmfs/core/names_set.h"
#include "libvmfs/core/xattr.h"

#define CLONE_BLOCKS 24u

struct clone {
	struct fs *fs;
	const char *name;		/* NULL: none, see fs_file_link */
	struct inode *sp, *dip;
	struct inode_info info;
	struct lock_grant g;
	struct xattr_list xattrs;	/* of the snapshot's disk */
};

/* The new disk has the attributes that the other one has now. */
static int
clone_xattrs(struct txn *t, struct clone *m)
{
	struct mblk *b;
	int r;

	if (m->xattrs.used == 0)
		return 0;
	r = xattr_make(t, &m->g, &m->xattrs, &m->info.xattr);
	if (r == 0)
		r = mb_read(m->fs->ds, &m->g, m->g.addr, BLOCK_INODE, &b);
	if (r != 0)
		return r;
	inode_encode(b->data, &m->info);
	mb_dirty(t, b, 576, 1024 - 576);
	mb_put(b);
	return 0;
}

static void
clone_info(struct clone *m, uint16_t mode, uint32_t uid, uint32_t gid)
{
	const struct inode_info *s = &m->sp->info;
	uint64_t now = fs_now_ns(m->fs);

	m->info = (struct inode_info){
		.type = s->flags & INODE_INLINE ? INODE_FILE : INODE_DISK,
		.mode = mode & 07777,
		.uid = uid,
		.gid = gid,
		.nlink = m->name != NULL,
		.flags = INODE_CLONE | (s->flags & INODE_INLINE) |
		    (m->name != NULL ? 0 : INODE_DELETING),
		.size = s->size,
		.chunks = s->chunks,
		.atime_ns = now,
		.mtime_ns = now,
		.ctime_ns = now,
		.btime_ns = now,
		.parent = m->dip->ino,
		.map = s->map,
		.epoch = s->epoch + 1,
		.snap_epoch = s->epoch,
		.fork_epoch = s->epoch,
		.origin_epoch = s->epoch,
		.next_snapshot_id = 1,
		.origin_disk = s->disk,
		.origin_snapshot = m->sp->ino,
		.inline_size = s->inline_size,
	};
	quota_inherit(m->dip, &m->info);
}

static int
clone_entry(struct txn *t, const struct clone *m)
{
	struct dirent e = {
		.ino = m->g.addr, .generation = m->info.generation,
		.type = m->info.type, .name = m->name,
	};

	if (m->name == NULL)
		return orphan_add(t, m->g.addr);
	e.name_len = strlen(m->name);
	return dir_insert(t, m->dip, &e);
}

static int
clone_in(struct txn *t, struct clone *m)
{
	struct lockops *l = ds_locks(m->fs->ds);
	struct mblk *b;
	int r, f;

	r = mb_read(m->fs->ds, &m->sp->grant, m->sp->ino, BLOCK_INODE, &b);
	if (r != 0)
		return r;
	r = inode_make(t, m->fs, m->dip->ino, &m->info,
	    ((struct inode_disk *)b->data)->inline_data, &m->g);
	mb_put(b);
	if (r != 0)
		return r;
	r = clone_xattrs(t, m);
	if (r == 0)
		r = clone_entry(t, m);
	if (r != 0) {
		f = m->info.xattr != 0 ? meta_free(t, m->info.xattr) : 0;
		if (f == 0)
			f = meta_free(t, m->g.addr);
		(void)l->vt->release(l, &m->g);
		m->g = (struct lock_grant){ 0 };
		return f != 0 ? f : r;
	}
	m->sp->info.clones++;
	if (m->name == NULL)
		return inode_store(t, m->sp);
	m->dip->info.mtime_ns = m->dip->info.ctime_ns = m->info.btime_ns;
	r = inode_store(t, m->sp);
	return r != 0 ? r : inode_store(t, m->dip);
}

static int
snapshot_check(const struct inode_info *s)
{
	if (s->type != INODE_SNAPSHOT || (s->flags & INODE_DELETING))
		return -ENOENT;
	return s->epoch >= EPOCH_MAX - 1 || s->clones == UINT32_MAX ?
	    -VMFS_ELIMIT : 0;
}

static int
place_check(struct clone *m)
{
	struct dirent e;
	int r;

	if (m->dip->info.type != INODE_DIR)
		return -ENOTDIR;
	if (m->dip->info.nlink == 0)
		return -ENOENT;
	r = m->name != NULL ? names_find(m->dip, m->name, &e) : -ENOENT;
	return r == 0 ? -EEXIST : r == -ENOENT ? 0 : r;
}

static int
clone_locked(struct clone *m, uint16_t mode, uint32_t uid, uint32_t gid,
    struct fs_attr *ret_a)
{
	struct ds *ds = m->fs->ds;
	struct txn *t;
	uint64_t ino;
	int r, u;

	r = place_check(m);
	if (r != 0)
		return r;
	clone_info(m, mode, uid, gid);
	r = cipher_inherit(m->sp, &m->info.crypt);
	if (r != 0)
		return r;
	r = txn_begin(ds, CLONE_BLOCKS, &t);
	if (r != 0)
		return r;
	r = clone_in(t, m);
	txn_end(t);
	ino = m->g.addr;
	if (m->g.mode != LOCK_FREE) {
		u = ds_unlock(ds, &m->g);
		r = r != 0 ? r : u;
	}
	if (r == 0)
		inode_attr(ino, &m->info, ret_a);
	return r;
}

/* The snapshot is held. */
static int
clone_into(struct clone *m, uint64_t dir, uint16_t mode, uint32_t uid,
    uint32_t gid, struct fs_attr *ret_a, struct lock_holder *ret_holder)
{
	int r;

	r = snapshot_check(&m->sp->info);
	if (r == 0)
		r = xattr_load(m->fs, m->sp->info.disk, &m->xattrs);
	if (r == 0)
		r = inode_take(m->fs, dir, LOCK_EXCLUSIVE, true, &m->dip,
		    ret_holder);
	if (r != 0)
		return r;
	/* What moves has moved, and is in its place (forest.h). */
	fiber_rwlock_rdlock(&m->sp->content);
	content_lock(m->dip);
	r = clone_locked(m, mode, uid, gid, ret_a);
	content_unlock(m->dip);
	fiber_rwlock_unlock(&m->sp->content);
	return inode_give(m->dip, LOCK_EXCLUSIVE, r);
}

int
fs_clone(struct fs *fs, uint64_t snapshot_ino, uint64_t dir, const char *name,
    uint16_t mode, uint32_t uid, uint32_t gid, struct fs_attr *ret_a,
    struct lock_holder *ret_holder)
{
	struct clone m = { .fs = fs, .name = name };
	struct fs_attr a;
	int r;

	r = fs_writable(fs);
	if (r == 0 && name != NULL)
		r = name_check(name);
	if (r == 0)
		r = fs_getattr(fs, snapshot_ino, &a);
	if (r == 0 && a.type != INODE_SNAPSHOT)
		r = -EINVAL;
	if (r == 0)
		r = alloc_reserve(fs->ds, 0, 12);
	if (r != 0)
		return r;
	r = inode_take(fs, snapshot_ino, LOCK_EXCLUSIVE, true, &m.sp,
	    ret_holder);
	if (r != 0)
		return r;
	/* It must not go before it is seen to have a clone. */
	opens_begin(m.sp);
	r = clone_into(&m, dir, mode, uid, gid, ret_a, ret_holder);
	opens_end(m.sp);
	return inode_give(m.sp, LOCK_EXCLUSIVE, r);
}

/* ---- of the disk as it is ---- */

#define NAME_TRIES 1000u

static int
snapshot_called(struct fs *fs, uint64_t ino, const char *called,
    struct fs_snapshot *ret_s, struct lock_holder *ret_holder)
{
	char name[SNAPTAB_NAME_MAX + 1], number[8] = "";
	int r = -EEXIST;

	for (unsigned i = 2; r == -EEXIST && i < NAME_TRIES; i++) {
		(void)snprintf(name, sizeof(name), "%.*s%s",
		    SNAPTAB_NAME_MAX - (int)strlen(number), called, number);
		r = snapshot_for_copy(fs, ino, name, ret_s, ret_holder);
		(void)snprintf(number, sizeof(number), "~%u", i);
	}
	return r;
}

int
fs_clone_now(struct fs *fs, uint64_t ino, const char *called, uint64_t dir,
    const char *name, const struct fs_attr *like, struct fs_snapshot *ret_s,
    struct fs_attr *ret_a, struct lock_holder *ret_holder)
{
	struct fs_snapshot s;
	struct inode *ip;
	int r;

	r = inode_ref(fs, ino, &ip);
	if (r != 0)
		return r;
	/* What it makes has no clone yet and must not go now. */
	ip->sharing++;
	r = snapshot_called(fs, ino, called, &s, ret_holder);
	if (r == 0) {
		r = fs_clone(fs, s.ino, dir, name, like->mode, like->uid,
		    like->gid, ret_a, ret_holder);
		if (r != 0)
			(void)!fs_snapshot_delete(fs, ino, s.id, NULL);
	}
	ip->sharing--;
	inode_unref(ip);
	if (r == 0)
		*ret_s = s;
	return r;
}
