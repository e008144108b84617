/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Snapshots: create, revert.  A snapshot is an inode with the
 * head's root of that moment; the epochs say from then on which space the head
 * alone has.
 */
#include <stdlib.h>

#include "libvmfs/core/fs_impl.h"

#define SNAP_BLOCKS 12u
#define SNAP_MORE 6u	/* for each further disk */

/* ---- create ---- */

struct snap_make {
	struct inode *ip;
	const char *name;
	uint32_t flags;			/* SNAPTAB_COPY */
	struct snaptab_entry_disk e;
	struct lock_grant g;
	struct kin kin;
};

static bool
name_taken(void *arg, const struct snaptab_entry_disk *e)
{
	struct snap_make *m = arg;

	if (strncmp((const char *)e->name, m->name, SNAPTAB_NAME_MAX) != 0)
		return false;
	m->kin.id = UINT32_MAX;
	return true;
}

static int
create_check(struct snap_make *m)
{
	size_t len = strlen(m->name);
	int r;

	if (!snapshot_possible(m->ip->info.type))
		return -EINVAL;
	if (len == 0 || len > SNAPTAB_NAME_MAX || m->name[0] == '#')
		return len > SNAPTAB_NAME_MAX ? -ENAMETOOLONG : -EINVAL;
	if (m->ip->info.epoch >= EPOCH_MAX ||
	    m->ip->info.next_snapshot_id == UINT32_MAX)
		return -VMFS_ELIMIT;
	r = snaptab_each(m->ip, name_taken, m);
	if (r == 0 && m->kin.id == UINT32_MAX)
		r = -EEXIST;
	return r;
}

static void
snap_info(const struct inode *ip, uint64_t now, struct inode_info *ret_i)
{
	*ret_i = ip->info;
	ret_i->type = INODE_SNAPSHOT;
	ret_i->nlink = 1;
	ret_i->flags &= INODE_INLINE;
	ret_i->mode &= 0555;
	ret_i->btime_ns = ret_i->ctime_ns = now;
	ret_i->parent = 0;
	ret_i->disk = ip->ino;
	ret_i->snapshots = ret_i->clones = 0;
	ret_i->snaptab = 0;
	ret_i->base_snapshot = 0;	/* the table knows its parent */
	ret_i->xattr = 0;		/* the disk has them */
	/* And the disk its key. */
	ret_i->limits = (struct inode_limits){ 0 };
	ret_i->crypt = (struct inode_crypt){ .cipher = ip->info.crypt.cipher };
	ret_i->policy = (struct inode_policy){ 0 };	/* the disk's */
}

static void
entry_init(struct snap_make *m, uint32_t flags)
{
	const struct inode *ip = m->ip;
	struct env *env = ds_env(ip->fs->ds);

	m->kin = (struct kin){
		.ino = m->g.addr,
		.parent = ip->info.base_snapshot,
		.id = ip->info.next_snapshot_id,
		.epoch = ip->info.epoch,
		.flags = flags,
		.loaded = true,
		.root = ip->info.map,
	};
	m->e.ino = le64(m->kin.ino);
	m->e.parent = le64(m->kin.parent);
	m->e.id = le32(m->kin.id);
	m->e.epoch = le32(m->kin.epoch);
	m->e.flags = le32(flags);
	m->e.created_us = le64(env->wall_us(env));
	memcpy(m->e.name, m->name, strlen(m->name));
}

/* The head's tree becomes a snapshot's; *m->g is its lock. */
static int
snap_in(struct txn *t, struct snap_make *m, uint32_t flags)
{
	struct inode *ip = m->ip;
	struct inode_info info;
	struct mblk *b;
	int r;

	snap_info(ip, fs_now_ns(ip->fs), &info);
	if (flags & SNAPTAB_DELETING)
		info.flags |= INODE_DELETING;
	r = mb_read(ip->fs->ds, &ip->grant, ip->ino, BLOCK_INODE, &b);
	if (r != 0)
		return r;
	r = inode_make(t, ip->fs, ip->ino, &info,
	    ((struct inode_disk *)b->data)->inline_data, &m->g);
	mb_put(b);
	if (r != 0)
		return r;
	entry_init(m, flags);
	/* In memory first: what is in the table cannot be taken back. */
	r = kin_add(ip, &m->kin);
	if (r == 0) {
		r = snaptab_put(t, ip, 0, &m->e);
		if (r != 0)
			kin_remove(ip, m->kin.ino);
	}
	if (r != 0) {
		struct lockops *l = ds_locks(ip->fs->ds);
		int e = meta_free(t, m->g.addr);

		(void)l->vt->release(l, &m->g);
		m->g = (struct lock_grant){ 0 };
		return e != 0 ? e : r;
	}
	ip->info.snapshots++;
	ip->info.next_snapshot_id++;
	ip->info.snap_epoch = ip->info.epoch;
	ip->info.epoch++;
	ip->info.ctime_ns = info.ctime_ns;
	return 0;
}

/* The disks of one command, in the order of their numbers. */
struct snap_group {
	struct fs *fs;
	struct snap_make *m;
	unsigned count, held;
};

static int
create_one(struct txn *t, struct snap_make *m)
{
	int r, e;

	r = snap_in(t, m, m->flags);
	if (r == 0) {
		kin_changed(m->ip);
		m->ip->info.base_snapshot = m->kin.ino;
	}
	e = inode_store(t, m->ip);
	return r != 0 ? r : e;
}

/* All of them or, after an error, the first *ret_made. */
static int
create_in(struct snap_group *g, unsigned *ret_made)
{
	unsigned n = 0;
	struct txn *t = NULL;
	int r;

	r = txn_begin(g->fs->ds, SNAP_BLOCKS + (g->count - 1) * SNAP_MORE, &t);
	for (; r == 0 && n < g->count; n++) {
		r = create_one(t, &g->m[n]);
		if (r != 0)
			break;
	}
	if (t != NULL)
		txn_end(t);
	*ret_made = n;
	return r;
}

/*
 * What other hosts may read of a snapshot is on the disk before its lock is
 * free; the guest goes on meanwhile.
 */
static int
snap_publish(struct inode *ip, struct lock_grant *g)
{
	struct ds *ds = ip->fs->ds;
	int r, e;

	if (g->mode == LOCK_FREE)
		return 0;
	r = ds_checkpoint(ds, ip->ino);
	e = ds_unlock(ds, g);
	return r != 0 ? r : e;
}

static int
create_ready(struct snap_group *g, unsigned *ret_which)
{
	for (unsigned i = 0; i < g->count; i++) {
		int r = create_check(&g->m[i]);

		if (r == 0)
			r = kin_load(g->m[i].ip);
		if (r == 0 && ds_owner_has_lost(g->fs->ds, g->m[i].ip->ino))
			r = -VMFS_EEXTENT;
		if (r != 0) {
			*ret_which = i;
			return r;
		}
	}
	return alloc_reserve(g->fs->ds, 0, 4 * g->count);
}

/* No write of any of the disks is under way, none begins meanwhile. */
static void
group_stop(struct snap_group *g)
{
	for (unsigned i = 0; i < g->count; i++)
		content_lock(g->m[i].ip);
	for (unsigned i = 0; i < g->count; i++)
		map_lock(g->m[i].ip, 0, UINT64_MAX);
}

static void
group_go(struct snap_group *g)
{
	for (unsigned i = 0; i < g->count; i++) {
		map_unlock(g->m[i].ip);
		content_unlock(g->m[i].ip);
	}
}

/* Its content is stopped: what it is stays so. */
static int
refuse_shared(const struct snap_group *g, unsigned *ret_which)
{
	for (unsigned i = 0; i < g->count; i++)
		if (g->m[i].ip->info.flags & INODE_MULTI_WRITER) {
			*ret_which = i;
			return -EBUSY;
		}
	return 0;
}

static void
create_tell(const struct snap_make *m, struct fs_snapshot *ret_s)
{
	const struct kin *parent = kin_find(m->ip, m->kin.parent);

	snapshot_tell(m->ip, &m->e, ret_s);
	ret_s->size = m->ip->info.size;
	ret_s->allocated = m->ip->info.chunks * CHUNK_SIZE;
	ret_s->parent_id = parent != NULL ? parent->id : 0;
}

static int
create_locked(struct snap_group *g, struct fs_snapshot *ret_s,
    unsigned *ret_which)
{
	struct ds *ds = g->fs->ds;
	unsigned made = 0;
	int r, e;

	r = create_ready(g, ret_which);
	if (r != 0)
		return r;
	group_stop(g);
	r = refuse_shared(g, ret_which);
	if (r == 0)
		r = create_in(g, &made);
	for (unsigned i = 0; i < g->count && r == 0; i++)
		create_tell(&g->m[i], &ret_s[i]);
	group_go(g);
	for (unsigned i = 0; i < g->count; i++) {
		e = snap_publish(g->m[i].ip, &g->m[i].g);
		/* Hosts that have the LUN would read there what was before. */
		if (e == 0 && ds_owner_has_lost(ds, g->m[i].ip->ino))
			e = -VMFS_EEXTENT;
		r = r != 0 ? r : e;
	}
	/* All or none: what a datastore that stops has logged is all. */
	for (unsigned i = 0; i < made && r != 0 && ds_health(ds) == 0; i++)
		(void)!snapshot_free(g->m[i].ip, g->m[i].kin.ino, NULL);
	return r;
}

static int
group_take(struct snap_group *g, const uint64_t *inos, const char *name,
    struct lock_holder *ret_holder, unsigned *ret_which)
{
	int r = 0;

	for (; g->held < g->count; g->held++) {
		struct snap_make *m = &g->m[g->held];

		m->name = name;
		r = inode_take(g->fs, inos[g->held], LOCK_EXCLUSIVE, false,
		    &m->ip, ret_holder);
		if (r != 0) {
			*ret_which = g->held;
			return r;
		}
	}
	for (unsigned i = 0; i < g->count; i++)
		snaps_lock(g->m[i].ip);
	return 0;
}

static int
group_run(struct snap_group *g, const uint64_t *inos, const char *name,
    struct fs_snapshot *ret_s, struct lock_holder *ret_holder,
    unsigned *ret_which)
{
	int r;

	r = group_take(g, inos, name, ret_holder, ret_which);
	if (r == 0) {
		r = create_locked(g, ret_s, ret_which);
		for (unsigned i = 0; i < g->count; i++)
			snaps_unlock(g->m[i].ip);
	}
	while (g->held > 0)
		r = inode_give(g->m[--g->held].ip, LOCK_EXCLUSIVE, r);
	return r;
}

static int
snapshot_group(struct fs *fs, const uint64_t *inos, unsigned count,
    const char *name, uint32_t flags, struct fs_snapshot *ret_s,
    struct lock_holder *ret_holder, unsigned *ret_which)
{
	struct snap_group g = { .fs = fs, .count = count };
	cleanup_free struct fs_snapshot *s = NULL;
	int r = fs_writable(fs);

	if (r != 0)
		return r;
	for (unsigned i = 1; i < count; i++)
		if (inos[i - 1] >= inos[i])
			return -EINVAL;
	if (count == 0 || count > FS_SNAPSHOT_GROUP_MAX)
		return -VMFS_ELIMIT;
	g.m = calloc(count, sizeof(*g.m));
	s = calloc(count, sizeof(*s));
	for (unsigned i = 0; i < count && g.m != NULL; i++)
		g.m[i].flags = flags;
	r = g.m == NULL || s == NULL ? -ENOMEM :
	    group_run(&g, inos, name, s, ret_holder, ret_which);
	free(g.m);
	if (r == 0)
		memcpy(ret_s, s, count * sizeof(*s));
	return r;
}

int
fs_snapshot_group(struct fs *fs, const uint64_t *inos, unsigned count,
    const char *name, struct fs_snapshot *ret_s,
    struct lock_holder *ret_holder, unsigned *ret_which)
{
	return snapshot_group(fs, inos, count, name, 0, ret_s, ret_holder,
	    ret_which);
}

int
fs_snapshot_create(struct fs *fs, uint64_t ino, const char *name,
    struct fs_snapshot *ret_s, struct lock_holder *ret_holder)
{
	unsigned which;

	return fs_snapshot_group(fs, &ino, 1, name, ret_s, ret_holder, &which);
}

int
snapshot_for_copy(struct fs *fs, uint64_t ino, const char *name,
    struct fs_snapshot *ret_s, struct lock_holder *ret_holder)
{
	unsigned which;

	return snapshot_group(fs, &ino, 1, name, SNAPTAB_COPY, ret_s,
	    ret_holder, &which);
}

/* ---- revert ---- */

/* The snapshot's inode as it was made, and its inline bytes. */
static int
revert_read(struct inode *ip, uint64_t ino, uint8_t *buf,
    struct inode_info *ret_i)
{
	int r;

	r = block_read_unlocked(ip->fs->ds, ino, BLOCK_INODE, ino, buf);
	return r != 0 ? r : inode_decode(buf, ret_i);
}

/*
 * The head's tree becomes a snapshot that is being deleted, the head gets the
 * old one's: all in one transaction, however much is to be freed afterwards.
 */
static int
revert_in(struct snap_make *m, uint64_t to, const uint8_t *block,
    const struct inode_info *s)
{
	struct inode_info *i = &m->ip->info;
	struct inode_disk *d;
	struct mblk *b;
	struct txn *t;
	int r, e;

	r = txn_begin(m->ip->fs->ds, SNAP_BLOCKS, &t);
	if (r != 0)
		return r;
	r = mb_read(m->ip->fs->ds, &m->ip->grant, m->ip->ino, BLOCK_INODE, &b);
	if (r != 0)
		goto out;
	r = snap_in(t, m, SNAPTAB_DELETING);
	if (r == 0) {
		d = (struct inode_disk *)b->data;
		memcpy(d->inline_data,
		    ((const struct inode_disk *)(const void *)block)->
		    inline_data, INODE_INLINE_MAX);
		mb_dirty(t, b, offsetof(struct inode_disk, inline_data),
		    INODE_INLINE_MAX);
		i->map = s->map;
		i->size = s->size;
		i->chunks = s->chunks;
		i->inline_size = s->inline_size;
		i->flags = (i->flags & ~(uint32_t)INODE_INLINE) |
		    (s->flags & INODE_INLINE);
		kin_changed(m->ip);
		i->base_snapshot = to;
		i->fork_epoch = i->snap_epoch;
		i->mtime_ns = i->ctime_ns = fs_now_ns(m->ip->fs);
	}
	e = inode_store(t, m->ip);
	r = r != 0 ? r : e;
	mb_put(b);
out:
	txn_end(t);
	return r;
}

/* Nobody has it open. */
static int
revert_barred(struct inode *ip, uint64_t to)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct snap_make m = { .ip = ip, .name = "#reverted" };
	struct inode_info s;
	int r, e;

	if (buf == NULL)
		return -ENOMEM;
	if (ip->info.epoch >= EPOCH_MAX)
		return -VMFS_ELIMIT;
	r = kin_load(ip);
	if (r == 0)
		r = revert_read(ip, to, buf, &s);
	if (r == 0)
		r = alloc_reserve(ip->fs->ds, 0, 4);
	if (r != 0)
		return r;
	content_lock(ip);
	map_lock(ip, 0, UINT64_MAX);
	r = revert_in(&m, to, buf, &s);
	map_unlock(ip);
	content_unlock(ip);
	e = snap_publish(ip, &m.g);
	return r != 0 ? r : e;
}

static int
revert_locked(struct inode *ip, uint32_t id)
{
	uint64_t to;
	int r;

	r = snaptab_by_id(ip, id, &to);
	if (r == 0)
		r = opens_bar(ip);
	if (r != 0)
		return r;
	r = revert_barred(ip, to);
	opens_unbar(ip);
	/* The disk has changed already, whatever becomes of old snapshots. */
	if (r == 0)
		(void)snapshot_reap(ip);
	return r;
}

int
fs_snapshot_revert(struct fs *fs, uint64_t ino, uint32_t id,
    struct lock_holder *ret_holder)
{
	struct inode *ip;
	int r;

	r = fs_writable(fs);
	if (r == 0)
		r = inode_take(fs, ino, LOCK_EXCLUSIVE, false, &ip,
		    ret_holder);
	if (r != 0)
		return r;
	snaps_lock(ip);
	r = revert_locked(ip, id);
	snaps_unlock(ip);
	if (r == 0)
		r = quota_settle(ip, true);
	return inode_give(ip, LOCK_EXCLUSIVE, r);
}
