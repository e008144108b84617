/* SPDX-License-Identifier: BSD-2-Clause */
/* The trees of disks that share space, side by side. */
#include <stdlib.h>

#include "libvmfs/core/forest.h"

#define MIB_SIZE ((uint64_t)1 << MAP_L1_SHIFT)

/* ---- which there are ---- */

static int
add_snapshots(struct forest *f, struct inode *ip)
{
	int r = 0;

	for (unsigned i = 0; i < ip->n_kin && r == 0; i++) {
		struct tree *t = &f->tree[f->n_trees];

		if (ip->kin[i].origin)
			continue;
		*t = (struct tree){ .disk = ip, .snapshot = ip->kin[i].ino };
		r = kin_root(ip, i, &t->root);
		f->n_trees += r == 0;
	}
	return r;
}

static int
list_trees(struct forest *f)
{
	size_t max = f->n_disks;
	int r = 0;

	for (unsigned i = 0; i < f->n_disks && r == 0; i++) {
		r = kin_load(f->disk[i]);
		max += f->disk[i]->n_kin;
	}
	if (r != 0)
		return r;
	f->tree = calloc(max, sizeof(*f->tree));
	if (f->tree == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < f->n_disks && r == 0; i++) {
		f->tree[f->n_trees++] = (struct tree){ .disk = f->disk[i] };
		r = add_snapshots(f, f->disk[i]);
	}
	return r;
}

int
forest_begin(struct forest *f)
{
	for (unsigned i = 0; i < f->n_disks; i++)
		snaps_lock(f->disk[i]);
	return list_trees(f);
}

/* ---- what keeps them as they are ---- */

static int
let_go(struct tree *t, int r)
{
	node_cache_flush(t->sp);
	fast_forget(t->sp);
	content_unlock(t->sp);
	return inode_give(t->sp, LOCK_EXCLUSIVE, r);
}

int
forest_end(struct forest *f, int r)
{
	bool changed = false;
	int e = 0;

	for (unsigned i = 0; i < f->n_trees; i++)
		changed |= f->tree[i].sp != NULL;
	/* Readers of snapshots read what is in its place. */
	if (changed)
		e = ds_checkpoint(f->fs->ds, 0);
	r = r != 0 ? r : e;
	for (unsigned i = 0; i < f->n_trees; i++)
		if (f->tree[i].sp != NULL)
			r = let_go(&f->tree[i], r);
	free(f->tree);
	f->tree = NULL;
	f->n_trees = 0;
	for (unsigned i = f->n_disks; i-- > 0; )
		snaps_unlock(f->disk[i]);
	return r;
}

void
forest_stop(struct forest *f)
{
	for (unsigned i = 0; i < f->n_disks; i++)
		content_lock(f->disk[i]);
}

void
forest_go(struct forest *f)
{
	for (unsigned i = f->n_disks; i-- > 0; )
		content_unlock(f->disk[i]);
}

void
forest_map_lock(struct forest *f, uint64_t mib)
{
	for (unsigned i = 0; i < f->n_disks; i++)
		map_lock(f->disk[i], mib, MIB_SIZE);
}

void
forest_map_unlock(struct forest *f)
{
	for (unsigned i = f->n_disks; i-- > 0; )
		map_unlock(f->disk[i]);
}

/* All its clones are here, so that nobody has what it says in memory. */
static bool
knows_clones(const struct forest *f, const struct inode *sp)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < f->n_disks; i++)
		n += (f->disk[i]->info.flags & INODE_CLONE) != 0 &&
		    f->disk[i]->info.origin_snapshot == sp->ino;
	return n == sp->info.clones;
}

int
forest_hold(struct forest *f, struct tree *t)
{
	struct inode *sp;
	int r;

	if (t->snapshot == 0 || t->sp != NULL)
		return 0;
	r = inode_take(f->fs, t->snapshot, LOCK_EXCLUSIVE, false, &sp,
	    &f->holder);
	if (r == -VMFS_ELOCKED)
		f->busy = t->snapshot;
	if (r != 0)
		return r;
	content_lock(sp);
	if (sp->info.type != INODE_SNAPSHOT || sp->info.disk != t->disk->ino)
		r = -VMFS_ECORRUPT;
	else if (!knows_clones(f, sp))
		r = -EMLINK;
	if (r != 0) {
		content_unlock(sp);
		return inode_give(sp, LOCK_EXCLUSIVE, r);
	}
	t->sp = sp;
	return 0;
}

/* ---- ways ---- */

int
forest_owner(const struct forest *f, const struct tree *t, uint32_t birth,
    struct inode **ret_ip)
{
	struct inode *ip = t->disk;

	for (unsigned n = 0; birth <= ip->info.origin_epoch; n++) {
		struct inode *origin = NULL;

		for (unsigned i = 0; i < f->n_disks; i++)
			if (f->disk[i]->ino == ip->info.origin_disk)
				origin = f->disk[i];
		if (origin == NULL || n == f->n_disks)
			return -VMFS_ECORRUPT;
		ip = origin;
	}
	*ret_ip = ip;
	return 0;
}

int
forest_read(const struct forest *f, const struct tree *t, unsigned level,
    struct mblk **ret_b)
{
	struct inode *owner;
	int r = forest_owner(f, t, t->birth[level], &owner);

	return r != 0 ? r : mb_read(f->fs->ds, &owner->grant, t->addr[level],
	    level == 0 ? BLOCK_MAP_LEAF : BLOCK_MAP_NODE, ret_b);
}

/* From the node at `level` to what is below it. */
static int
step_down(const struct forest *f, struct tree *t, unsigned level, uint64_t off)
{
	unsigned i = (unsigned)(off >> map_entry_shift(level)) &
	    (MAP_FANOUT - 1);
	const struct map_node_disk *d;
	struct map_entry e;
	struct mblk *b;
	int r = forest_read(f, t, level, &b);

	if (r != 0)
		return r;
	d = (const void *)b->data;
	if (level == 1) {
		t->addr[0] = le48_get(d->u.group[i / MAP_GROUPS].block);
		t->birth[0] = le32_get(d->u.group[i / MAP_GROUPS].birth);
	} else {
		r = map_entry_get(&d->entry[i], level, &e);
		if (r == 0 && e.state == MAP_HUGE)
			r = -VMFS_ECORRUPT;
		if (r == 0 && e.state == MAP_CHILD) {
			t->addr[level - 1] = e.block;
			t->birth[level - 1] = e.birth;
		}
	}
	mb_put(b);
	return r;
}

static int
find_way(const struct forest *f, struct tree *t, const struct tree *like,
    uint64_t off)
{
	const struct map_root *root = t->snapshot == 0 ?
	    &t->disk->info.map : &t->root;
	int r = 0;

	memset(t->addr, 0, sizeof(t->addr));
	t->top = 0;
	t->hole = UINT64_MAX;
	if (root->block == 0 || off >= map_reach(root->level))
		return 0;
	t->top = root->level;
	t->addr[t->top] = root->block;
	t->birth[t->top] = root->birth;
	t->hole = 0;
	for (unsigned level = t->top; level > 0 && r == 0; level--) {
		if (t->addr[level] == 0) {
			t->hole = map_reach(level);
			break;
		}
		/* From here on it is another one's: neighbours share most. */
		if (like != NULL && like->addr[level] == t->addr[level]) {
			memcpy(t->addr, like->addr, level *
			    sizeof(*t->addr));
			memcpy(t->birth, like->birth, level *
			    sizeof(*t->birth));
			t->hole = like->hole;
			break;
		}
		r = step_down(f, t, level, off);
	}
	return r;
}

int
forest_go_to(struct forest *f, uint64_t mib, uint64_t *ret_hole)
{
	uint64_t hole = UINT64_MAX;
	int r = 0;

	for (unsigned i = 0; i < f->n_trees && r == 0; i++) {
		struct tree *t = &f->tree[i];

		r = find_way(f, t, i > 0 ? t - 1 : NULL, mib);
		if (r == 0 && t->hole < hole)
			hole = t->hole;
	}
	if (r == 0)
		*ret_hole = hole;
	return r;
}

bool
forest_first(const struct forest *f, unsigned i, unsigned level)
{
	uint64_t addr = f->tree[i].addr[level];

	/* Those that share a node mostly stand together. */
	for (unsigned k = i; k-- > 0; )
		if (f->tree[k].addr[level] == addr)
			return false;
	return true;
}
