/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copying to the same place of another disk without copying: an empty disk
 * becomes a clone of a snapshot of the source, first of none of its content,
 * and then takes over one MiB after the other as it is asked for, as long as
 * the source still has there what the snapshot has.  doc/adr/0008.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvmfs/core/fs_impl.h"

#define MIB_SIZE ((uint64_t)1 << MAP_L1_SHIFT)
/* MiB that one leaf maps, and so one transaction changes. */
#define GROUP_SIZE (MAP_GROUPS * MIB_SIZE)

/* ---- the snapshot that is shared ---- */

struct pin {
	struct inode *from, *to;
	uint64_t ino;			/* of the snapshot */
	uint32_t made;			/* its id, when it was made for this */
};

/* Something to share, and a place that may become a clone. */
static bool
pin_possible(const struct inode *from, const struct inode *to)
{
	return !from->unlinked && from->info.chunks > 0 &&
	    (from->info.flags & INODE_MULTI_WRITER) == 0 &&
	    to->info.chunks == 0 &&
	    to->info.snapshots == 0 && to->info.snaptab == 0 &&
	    to->info.origin_snapshot == 0 &&
	    (to->info.flags & (INODE_CLONE | INODE_MULTI_WRITER)) == 0 &&
	    !is_encrypted(&from->info) && !is_encrypted(&to->info);
}

/* One of an earlier copy, when nothing was written since. */
static bool
pin_reuse(struct pin *p)
{
	struct inode *from = p->from;
	struct map_root root;
	struct kin *k;

	if (kin_load(from) != 0)
		return false;
	k = kin_find(from, from->info.base_snapshot);
	if (k == NULL || (k->flags & SNAPTAB_DELETING) ||
	    (k->flags & SNAPTAB_COPY) == 0 ||
	    kin_root(from, (unsigned)(k - from->kin), &root) != 0 ||
	    root.block != from->info.map.block)
		return false;
	p->ino = k->ino;
	return true;
}

static int
pin_snapshot(struct pin *p)
{
	struct inode *from = p->from;
	char name[SNAPTAB_NAME_MAX];
	struct fs_snapshot s;
	bool reuse;
	int r;

	if (from->info.type == INODE_SNAPSHOT) {
		p->ino = from->ino;
		return 0;
	}
	snaps_lock(from);
	reuse = pin_reuse(p);
	snaps_unlock(from);
	if (reuse)
		return 0;
	(void)snprintf(name, sizeof(name), "copy-%" PRIu64
	    "-%08" PRIx32, p->to->ino, p->to->info.generation);
	r = snapshot_for_copy(from->fs, from->ino, name, &s, NULL);
	if (r == 0)
		p->made = s.id;
	/* Of a copy that came to nothing, or of one that just began. */
	else if (r == -EEXIST)
		r = fs_snapshot_find(from->fs, from->ino, name, &s);
	if (r == 0)
		p->ino = s.ino;
	return r;
}

/* ---- an empty disk becomes a clone ---- */

static int
adopt_in(struct txn *t, struct inode *ip, struct inode *sp)
{
	struct inode_info *i = &ip->info;
	const struct inode_info *s = &sp->info;
	int r;

	i->flags |= INODE_CLONE;
	if (i->epoch <= s->epoch)
		i->epoch = s->epoch + 1;
	i->snap_epoch = i->fork_epoch = i->origin_epoch = s->epoch;
	i->origin_disk = s->disk;
	i->origin_snapshot = sp->ino;
	sp->info.clones++;
	r = inode_store(t, sp);
	return r != 0 ? r : inode_store(t, ip);
}

static int
adopt(struct inode *ip, struct inode *sp)
{
	uint64_t bytes;
	struct txn *t;
	int r;

	if (sp->info.type != INODE_SNAPSHOT ||
	    (sp->info.flags & INODE_DELETING) ||
	    sp->info.epoch >= EPOCH_MAX - 1 || sp->info.clones == UINT32_MAX)
		return -EOPNOTSUPP;
	/* Nodes that map nothing: with a birth before the clone's they would
	 * pass for the snapshot's. */
	r = map_prune(ip, 0, &ip->info.map, ip, &bytes);
	if (r == 0)
		r = txn_begin(ip->fs->ds, 4, &t);
	if (r != 0)
		return r;
	r = adopt_in(t, ip, sp);
	txn_end(t);
	return r;
}

/* Both disks are held; the destination's snaps are locked. */
static int
pin_adopt(struct pin *p)
{
	struct inode *ip = p->to, *sp;
	int r;

	r = inode_take(ip->fs, p->ino, LOCK_EXCLUSIVE, true, &sp, NULL);
	if (r != 0)
		return r;
	/* It must not go before it is seen to have a clone. */
	opens_begin(sp);
	content_lock(ip);
	content_lock(sp);
	r = pin_possible(p->from, ip) ? adopt(ip, sp) : -EOPNOTSUPP;
	content_unlock(sp);
	content_unlock(ip);
	opens_end(sp);
	return inode_give(sp, LOCK_EXCLUSIVE, r);
}

static int
share_begin(struct inode *from, struct inode *to)
{
	struct pin p = { .from = from, .to = to };
	int r;

	if (!pin_possible(from, to))
		return -EOPNOTSUPP;
	/* What it finds or makes has no clone yet and must not go now. */
	from->sharing++;
	r = pin_snapshot(&p);
	if (r == 0) {
		snaps_lock(to);
		/* Another of the same copy may have been quicker. */
		r = to->info.origin_snapshot == p.ino ? 0 : pin_adopt(&p);
		snaps_unlock(to);
	}
	from->sharing--;
	if (r != 0 && p.made != 0 && fs_snapshot_delete(from->fs, from->ino,
	    p.made, NULL) != 0)
		log_warn(ds_env(from->fs->ds)->log, "core: a snapshot that "
		    "was made for a copy is left disk=%" PRIu64 " id=%" PRIu32,
		    from->ino, p.made);
	return r;
}

/* ---- taking over ---- */

static int
origin_root(struct inode *ip, struct map_root *ret_root)
{
	for (unsigned i = 0; i < ip->n_kin; i++)
		if (ip->kin[i].origin)
			return kin_root(ip, i, ret_root);
	return -EOPNOTSUPP;
}

static bool
same_chunk(const struct map_chunk *a, const struct map_chunk *b)
{
	return a->own == b->own && a->base == b->base &&
	    (a->own == 0 || a->valid == b->valid);
}

/* Does the source have in the MiB at off what the snapshot has? */
static int
mib_same(struct inode *from, struct inode *to, const struct map_root *root,
    uint64_t off, bool *ret)
{
	bool same = true;
	int r = 0;

	for (unsigned k = 0; k < CHUNK_BLOCKS && same && r == 0; k++) {
		uint64_t at = off + (uint64_t)k * CHUNK_SIZE;
		struct map_view a, b;

		r = map_view(from, true, &from->info.map, at, &a);
		if (r == 0)
			r = map_view(to, true, root, at, &b);
		if (r != 0)
			return r;
		same = same_chunk(&a.c, &b.c);
		if (k == 0 && same && a.state == b.state &&
		    (a.state == MAP_HUGE || a.state == MAP_HOLE) &&
		    a.span >= MIB_SIZE && b.span >= MIB_SIZE)
			break;
	}
	*ret = same;
	return r;
}

/* Where the first MiB from off on begins that was written since. */
static int
same_end(struct inode *from, struct inode *to, const struct map_root *root,
    uint64_t off, uint64_t end, uint64_t *ret_end)
{
	bool same = true;
	int r = 0;

	if (from->ino == to->info.origin_snapshot) {
		*ret_end = end;
		return 0;
	}
	fiber_rwlock_rdlock(&from->map);
	while (off < end && r == 0) {
		r = mib_same(from, to, root, off, &same);
		if (r != 0 || !same)
			break;
		off += MIB_SIZE;
	}
	fiber_rwlock_unlock(&from->map);
	*ret_end = off;
	return r;
}

/* The MiB at off, a hole so far, becomes the snapshot's. */
static int
mib_take(struct txn *t, struct inode *ip, const struct map_root *root,
    uint64_t off)
{
	struct map_view v[CHUNK_BLOCKS];
	struct map_entry e = { .state = MAP_HUGE };
	struct map_path p;
	bool any = false;
	int r = 0;

	for (unsigned k = 0; k < CHUNK_BLOCKS && r == 0; k++) {
		r = map_view(ip, true, root, off + (uint64_t)k * CHUNK_SIZE,
		    &v[k]);
		any |= v[k].c.own != 0 || v[k].c.base != 0;
	}
	if (r == 0 && any)
		r = map_path_get(t, ip, off, &p);
	if (r != 0 || !any)
		return r;
	if (v[0].state == MAP_HUGE) {
		e.block = v[0].c.own * CHUNK_BLOCKS;
		e.birth = v[0].c.birth;
		r = map_path_set_entry(t, ip, &p, &e);
	} else {
		r = map_path_split(t, ip, &p);
	}
	for (unsigned k = 0; k < CHUNK_BLOCKS && r == 0; k++) {
		if (v[0].state != MAP_HUGE)
			map_path_set_chunk(t, &p, k, &v[k].c);
		ip->info.chunks += (v[k].c.own != 0 ? 1u : 0) +
		    (v[k].c.base != 0 ? 1u : 0);
	}
	map_path_put(&p);
	return r;
}

/* Both in one group; inode.map is held. */
static int
group_take_in(struct inode *ip, const struct map_root *root, uint64_t off,
    uint64_t end)
{
	struct txn *t;
	int r, e;

	r = txn_begin(ip->fs->ds, PATH_BLOCKS, &t);
	if (r != 0)
		return r;
	for (; off < end && r == 0; off += MIB_SIZE)
		r = mib_take(t, ip, root, off);
	e = inode_store(t, ip);
	txn_end(t);
	return r != 0 ? r : e;
}

static int
group_take(struct inode *ip, const struct map_root *root, uint64_t off,
    uint64_t end)
{
	int r;

	r = map_punch(ip, off, end - off);
	if (r == 0)
		r = alloc_reserve(ip->fs->ds, 0, MAP_LEVEL_MAX + 2);
	if (r != 0)
		return r;
	map_lock(ip, off, end - off);
	r = group_take_in(ip, root, off, end);
	map_unlock(ip);
	return r;
}

static int
share_groups(struct inode *from, struct inode *to, uint64_t off, uint64_t end,
    uint64_t *ret_end)
{
	struct map_root root;
	uint64_t stop, same;
	int r;

	r = kin_load(to);
	if (r == 0)
		r = origin_root(to, &root);
	for (same = stop = off; r == 0 && off < end && same == stop;
	    off = same) {
		stop = (off & ~(GROUP_SIZE - 1)) + GROUP_SIZE;
		if (stop > end)
			stop = end;
		r = same_end(from, to, &root, off, stop, &same);
		if (r == 0 && same > off)
			r = group_take(to, &root, off, same);
	}
	if (r == 0)
		*ret_end = off;
	return r;
}

/* Is the clone one of a snapshot of this disk, or of this snapshot? */
static bool
is_origin(const struct inode *from, const struct inode *to)
{
	return to->info.origin_snapshot != 0 &&
	    (from->ino == to->info.origin_snapshot || to->info.origin_disk ==
	    (from->info.type == INODE_SNAPSHOT ? from->info.disk : from->ino));
}

static int
share_check(const struct fs_file *src, const struct fs_file *dst, uint64_t off)
{
	const struct inode *from = src->ip, *to = dst->ip;
	int r = file_may_write(dst);

	if (r != 0)
		return r;
	if (src->fs != dst->fs || from == to || off % MIB_SIZE != 0 ||
	    dst->mode != LOCK_EXCLUSIVE || to->info.type != INODE_DISK ||
	    (src->mode != LOCK_EXCLUSIVE &&
	    from->info.type != INODE_SNAPSHOT) ||
	    ((from->info.flags | to->info.flags) & INODE_INLINE))
		return -EOPNOTSUPP;
	return 0;
}

int
fs_file_share(struct fs_file *src, struct fs_file *dst, uint64_t offset,
    uint64_t len, uint64_t *ret_len)
{
	struct inode *from = src->ip, *to = dst->ip;
	uint64_t end = offset + (len & ~(MIB_SIZE - 1));
	int r;

	r = share_check(src, dst, offset);
	if (r == 0 && offset == 0 && end > 0 && !is_origin(from, to))
		r = share_begin(from, to);
	if (r != 0)
		return r;
	content_lock(to);
	if (is_origin(from, to) && !to->promoting) {
		to->info.mtime_ns = to->info.ctime_ns = fs_now_ns(to->fs);
		to->times_dirty = true;
		r = share_groups(from, to, offset, end, &end);
	} else {
		r = -EOPNOTSUPP;
	}
	content_unlock(to);
	if (r == 0)
		*ret_len = end - offset;
	return r;
}
