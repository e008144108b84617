/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Content moves away from LUNs that are to leave, MiB by MiB, while guests
 * write.  What several trees share, heads, snapshots and clones, stays shared:
 * in one transaction all of them name the new place, and the old one is free.
 * So a crash leaves either, deletion by comparison (doc/adr/0002) finds what it
 * would have found, and who starts again goes on with what still lies there.
 */
#include <stdlib.h>

#include "libvmfs/core/evacuate.h"

#define MIB_SIZE ((uint64_t)1 << MAP_L1_SHIFT)
#define NODES_META 4u		/* blocks: of a way to a MiB, mostly */
/* As long nobody makes or deletes a snapshot of the disks. */
#define WINDOW_NS (1000 * (uint64_t)1000000)

/* A level 1 node of some trees, and the leaf of the MiB if that is split. */
struct naming {
	struct mblk *l1, *leaf;
	struct map_entry e;
};

struct mib {
	struct forest *f;
	uint64_t off;
	struct naming *n;
	unsigned count;
	/* What moves now, by its place in the MiB: chunks, 0 none. */
	uint64_t old[CHUNK_BLOCKS], fresh[CHUNK_BLOCKS];
	uint16_t need[CHUNK_BLOCKS];	/* blocks that somebody reads */
	bool huge;
	bool changed;
};

static bool
leaves(const struct forest *f, uint64_t chunk)
{
	return chunk != 0 && ds_chunk_leaves(f->fs->ds, chunk);
}

static unsigned
entry_of(const struct mib *m)
{
	return (unsigned)(m->off >> MAP_L1_SHIFT) & (MAP_FANOUT - 1);
}

static struct map_node_disk *
node(struct mblk *b)
{
	return (struct map_node_disk *)b->data;
}

static struct map_chunk_disk *
chunk_of(const struct mib *m, struct mblk *leaf, unsigned k)
{
	struct map_leaf_disk *d = (struct map_leaf_disk *)leaf->data;

	return &d->entry[entry_of(m) % MAP_GROUPS * CHUNK_BLOCKS + k];
}

/* ---- who names what ---- */

static int
naming_load(struct mib *m, const struct tree *t, struct naming *n)
{
	int r = forest_read(m->f, t, 1, &n->l1);

	if (r == 0)
		r = map_entry_get(&node(n->l1)->entry[entry_of(m)], 1, &n->e);
	if (r == 0 && n->e.state == MAP_SPLIT)
		r = t->addr[0] == 0 ? -VMFS_ECORRUPT :
		    forest_read(m->f, t, 0, &n->leaf);
	return r;
}

static bool
naming_leaves(const struct mib *m, const struct naming *n)
{
	struct map_chunk c;
	bool any = n->e.state == MAP_HUGE &&
	    leaves(m->f, n->e.block / CHUNK_BLOCKS);

	for (unsigned k = 0; n->leaf != NULL && k < CHUNK_BLOCKS; k++) {
		map_chunk_get(chunk_of(m, n->leaf, k), &c);
		any |= leaves(m->f, c.own) || leaves(m->f, c.base);
	}
	return any;
}

static void
namings_put(struct mib *m)
{
	for (unsigned i = 0; i < m->count; i++) {
		mb_put(m->n[i].l1);
		mb_put(m->n[i].leaf);
	}
	free(m->n);
	m->n = NULL;
	m->count = 0;
}

/* That of tree i, once of those that share it. */
static int
naming_get(struct mib *m, unsigned i, bool *ret_leaving)
{
	struct naming n = { 0 };
	int r = naming_load(m, &m->f->tree[i], &n);

	*ret_leaving = r == 0 && naming_leaves(m, &n);
	if (*ret_leaving && forest_first(m->f, i, 1)) {
		m->n[m->count++] = n;
		return 0;
	}
	mb_put(n.l1);
	mb_put(n.leaf);
	return r;
}

/* All that name anything that leaves; nobody reads those trees meanwhile. */
static int
namings_get(struct mib *m)
{
	struct forest *f = m->f;
	bool leaving = false;
	int r = 0;

	m->n = calloc(f->n_trees, sizeof(*m->n));
	if (m->n == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < f->n_trees && r == 0; i++) {
		struct tree *t = &f->tree[i];

		if (t->addr[1] == 0)
			continue;
		if (i == 0 || t->addr[1] != t[-1].addr[1])
			r = naming_get(m, i, &leaving);
		if (r == 0 && leaving)
			r = forest_hold(f, t);
	}
	return r;
}

/* Runs first: a part of one cannot move alone. */
static bool
choose_huge(struct mib *m)
{
	for (unsigned i = 0; i < m->count; i++) {
		const struct map_entry *e = &m->n[i].e;

		if (e->state != MAP_HUGE ||
		    !leaves(m->f, e->block / CHUNK_BLOCKS))
			continue;
		for (unsigned k = 0; k < CHUNK_BLOCKS; k++)
			m->old[k] = e->block / CHUNK_BLOCKS + k;
		m->huge = true;
		return true;
	}
	return false;
}

static bool
choose_split(struct mib *m)
{
	struct map_chunk c;
	bool any = false;

	for (unsigned i = 0; i < m->count && !any; i++)
		for (unsigned k = 0; m->n[i].leaf != NULL &&
		    k < CHUNK_BLOCKS; k++) {
			map_chunk_get(chunk_of(m, m->n[i].leaf, k), &c);
			m->old[k] = leaves(m->f, c.own) ? c.own :
			    leaves(m->f, c.base) ? c.base : 0;
			any |= m->old[k] != 0;
		}
	return any;
}

/* What some tree reads of it; the rest is nobody's. */
static void
needs(struct mib *m)
{
	struct map_chunk c;

	for (unsigned i = 0; i < m->count; i++)
		for (unsigned k = 0; k < CHUNK_BLOCKS; k++) {
			if (m->n[i].leaf == NULL)
				continue;
			map_chunk_get(chunk_of(m, m->n[i].leaf, k), &c);
			if (c.own != 0 && c.own == m->old[k])
				m->need[k] |= c.valid;
			if (c.base != 0 && c.base == m->old[k])
				m->need[k] = 0xffff;
		}
	for (unsigned k = 0; m->huge && k < CHUNK_BLOCKS; k++)
		m->need[k] = 0xffff;
}

/* ---- moving ---- */

static int
copy(struct mib *m, unsigned k, void *buf)
{
	struct disk *d = ds_disk(m->f->fs->ds);
	int r = 0;

	for (unsigned b = 0, n; b < CHUNK_BLOCKS && r == 0; b += n) {
		for (n = 1; b + n < CHUNK_BLOCKS && (m->need[k] >> b & 1) ==
		    (m->need[k] >> (b + n) & 1); n++)
			;
		if ((m->need[k] >> b & 1) == 0)
			continue;
		r = disk_read(d, (m->old[k] * CHUNK_BLOCKS + b) * BLOCK_SIZE,
		    buf, n * BLOCK_SIZE);
		if (r == 0)
			r = disk_write(d, (m->fresh[k] * CHUNK_BLOCKS + b) *
			    BLOCK_SIZE, buf, n * BLOCK_SIZE, 0);
	}
	return r;
}

static int
copy_all(struct mib *m)
{
	cleanup_free void *buf = disk_buf_alloc(CHUNK_SIZE);
	int r = buf != NULL ? 0 : -ENOMEM;

	for (unsigned k = 0; k < CHUNK_BLOCKS && r == 0; k++)
		if (m->old[k] != 0)
			r = copy(m, k, buf);
	return r;
}

/* Those that are not 0, in runs. */
static int
give_up(struct txn *t, const uint64_t chunk[CHUNK_BLOCKS])
{
	int r = 0;

	for (unsigned k = 0, n; k < CHUNK_BLOCKS && r == 0; k += n) {
		for (n = 1; chunk[k] != 0 && k + n < CHUNK_BLOCKS &&
		    chunk[k + n] == chunk[k] + n; n++)
			;
		if (chunk[k] != 0)
			r = free_chunks(t, chunk[k], n);
	}
	return r;
}

static int
take(struct mib *m, struct txn *t)
{
	struct inode *ip = m->f->disk[0];
	unsigned want = 0, got = 0;
	uint64_t next = 0;
	int r = 0;

	for (unsigned k = 0; k < CHUNK_BLOCKS; k++)
		want += m->old[k] != 0;
	for (unsigned k = 0; k < CHUNK_BLOCKS && r == 0; k++) {
		if (m->old[k] == 0)
			continue;
		if (got == 0)
			r = alloc_chunks(t, ip->alloc_hint, want, &next, &got);
		if (r != 0)
			break;
		m->fresh[k] = next++;
		ip->alloc_hint = next;
		got--;
		want--;
		/* A run stays one: its trees have no leaf to name parts by. */
		if (m->huge && k == 0 && got + 1 < CHUNK_BLOCKS)
			r = -ENOSPC;
	}
	if (got > 0 && free_chunks(t, next, got) != 0)
		r = r != 0 ? r : -EIO;
	return r;
}

static void
rename_huge(struct mib *m, struct txn *t, struct naming *n)
{
	struct map_entry_disk *d = &node(n->l1)->entry[entry_of(m)];

	if (n->e.state != MAP_HUGE ||
	    n->e.block / CHUNK_BLOCKS != m->old[0])
		return;
	n->e.block = m->fresh[0] * CHUNK_BLOCKS;
	map_entry_put(d, &n->e);
	mb_dirty(t, n->l1, (size_t)((uint8_t *)d - n->l1->data), sizeof(*d));
}

static void
rename_chunk(struct mib *m, struct txn *t, struct mblk *leaf, unsigned k)
{
	struct map_chunk_disk *d = chunk_of(m, leaf, k);
	struct map_chunk c;

	map_chunk_get(d, &c);
	if (m->old[k] == 0 || (c.own != m->old[k] && c.base != m->old[k]))
		return;
	if (c.own == m->old[k])
		c.own = m->fresh[k];
	if (c.base == m->old[k])
		c.base = m->fresh[k];
	map_chunk_put(d, &c);
	mb_dirty(t, leaf, (size_t)((uint8_t *)d - leaf->data), sizeof(*d));
}

/* Nothing here suspends or fails: all or none. */
static void
rename_all(struct mib *m, struct txn *t)
{
	for (unsigned i = 0; i < m->count; i++) {
		struct naming *n = &m->n[i];

		if (m->huge)
			rename_huge(m, t, n);
		for (unsigned k = 0; n->leaf != NULL && k < CHUNK_BLOCKS; k++)
			rename_chunk(m, t, n->leaf, k);
	}
	m->changed = true;
}

static int
move_in(struct mib *m, struct txn *t)
{
	int r = take(m, t);

	if (r == 0)
		r = copy_all(m);
	if (r != 0) {
		if (give_up(t, m->fresh) != 0)
			r = -EIO;
		return r;
	}
	rename_all(m, t);
	for (unsigned i = 0; i < m->f->n_disks; i++)
		reads_drain(m->f->disk[i]);
	return give_up(t, m->old);
}

static int
move_chosen(struct mib *m)
{
	struct ds *ds = m->f->fs->ds;
	struct txn *t;
	int r;

	needs(m);
	r = m->huge ? alloc_reserve_mib(ds) :
	    alloc_reserve(ds, CHUNK_BLOCKS, 0);
	if (r != 0)
		return r;
	forest_map_lock(m->f, m->off);
	r = txn_begin(ds, MOVE_BLOCKS + m->count, &t);
	if (r == 0) {
		r = move_in(m, t);
		txn_end(t);
	}
	forest_map_unlock(m->f);
	return r;
}

static int
chunks_move(struct mib *m)
{
	int r = namings_get(m);

	while (r == 0 && (choose_huge(m) || choose_split(m))) {
		r = move_chosen(m);
		memset(m->old, 0, sizeof(m->old));
		memset(m->fresh, 0, sizeof(m->fresh));
		memset(m->need, 0, sizeof(m->need));
		m->huge = false;
	}
	namings_put(m);
	return r;
}

/* ---- a MiB of all trees ---- */

/* What a disk reads of its origin's trees, it reads from their place. */
static int
show(struct mib *m)
{
	struct forest *f = m->f;
	int r;

	if (f->n_disks == 1)
		return 0;
	r = ds_checkpoint(f->fs->ds, 0);
	for (unsigned i = 0; i < f->n_disks; i++)
		node_cache_flush(f->disk[i]);
	return r;
}

/* In one run it is one entry again, where the head has a leaf of its own. */
static int
tidy(struct mib *m, const struct tree *t)
{
	struct inode *ip = t->disk;
	struct map_view v;
	int r;

	if (t->snapshot != 0 || t->addr[0] == 0 ||
	    t->birth[0] <= ip->info.snap_epoch)
		return 0;
	r = map_view(ip, true, &ip->info.map, m->off, &v);
	return r != 0 || v.state != MAP_SPLIT ? r :
	    map_written(ip, m->off, 0, 0);
}

/* Disks are stopped.  *ret_hole as of forest_go_to. */
static int
mib_move(struct forest *f, uint64_t off, uint64_t *ret_hole)
{
	struct mib m = { .f = f, .off = off };
	bool moved = false;
	int r, e;

	r = forest_go_to(f, off, ret_hole);
	if (r == 0 && *ret_hole == 0)
		r = nodes_move(f, off, &moved);
	if (r == 0 && *ret_hole == 0)
		r = chunks_move(&m);
	if (!m.changed && !moved)
		return r;
	e = show(&m);
	r = r != 0 ? r : e;
	for (unsigned i = 0; i < f->n_trees && r == 0; i++)
		r = tidy(&m, &f->tree[i]);
	return r;
}

static bool
way_leaves(const struct forest *f, const struct tree *t)
{
	for (unsigned k = 0; k <= t->top; k++)
		if (block_leaves(f->fs, t->addr[k]))
			return true;
	return false;
}

/*
 * A look that stops nobody: what does not lie there now will not, as nothing is
 * allocated there.  *ret_hole as of forest_go_to.
 */
static int
mib_look(struct forest *f, uint64_t off, uint64_t *ret_hole, bool *ret_lies)
{
	struct mib m = { .f = f, .off = off };
	bool lies = false;
	int r;

	for (unsigned i = 0; i < f->n_disks; i++)
		fiber_rwlock_rdlock(&f->disk[i]->map);
	r = forest_go_to(f, off, ret_hole);
	for (unsigned i = 0; i < f->n_trees && r == 0 && !lies; i++) {
		struct tree *t = &f->tree[i];
		struct naming n = { 0 };

		lies = way_leaves(f, t);
		if (lies || t->addr[1] == 0 ||
		    (i > 0 && t->addr[1] == t[-1].addr[1]))
			continue;
		r = naming_load(&m, t, &n);
		lies = r == 0 && naming_leaves(&m, &n);
		mb_put(n.l1);
		mb_put(n.leaf);
	}
	for (unsigned i = f->n_disks; i-- > 0; )
		fiber_rwlock_unlock(&f->disk[i]->map);
	*ret_lies = lies;
	return r;
}

static int
mib_step(struct forest *f, uint64_t off, uint64_t *ret_hole)
{
	bool lies;
	int r = mib_look(f, off, ret_hole, &lies);

	if (r != 0 || !lies)
		return r;
	/* Guests go on while other hosts are asked for space. */
	r = alloc_reserve(f->fs->ds, CHUNK_BLOCKS, NODES_META);
	if (r != 0 && r != -ENOSPC)
		return r;
	forest_stop(f);
	r = mib_move(f, off, ret_hole);
	forest_go(f);
	return r;
}

static uint64_t
behind(uint64_t off, uint64_t hole)
{
	uint64_t next = hole == 0 ? off + MIB_SIZE : (off & ~(hole - 1)) + hole;

	return hole == UINT64_MAX || next < off ? UINT64_MAX : next;
}

/* For a moment nobody makes or deletes snapshots. */
static int
window_move(struct forest *f, const struct fs_progress *p, uint64_t *off)
{
	struct env *env = ds_env(f->fs->ds);
	uint64_t until = 0, hole;
	int r = forest_begin(f);

	while (r == 0 && *off < UINT64_MAX) {
		if (!progress_step(p, *off, UINT64_MAX))
			r = -ECANCELED;
		if (r != 0 || (until != 0 && env_now(env) >= until))
			break;
		r = mib_step(f, *off, &hole);
		if (r == 0)
			*off = behind(*off, hole);
		/* Taking all its locks may have taken longer. */
		if (until == 0)
			until = env_now(env) + WINDOW_NS;
		fiber_yield();
	}
	return forest_end(f, r);
}

/* ---- disks ---- */

static int
by_number(const void *a, const void *b)
{
	const struct inode *const *x = a, *const *y = b;

	return (*x)->ino < (*y)->ino ? -1 : (*x)->ino > (*y)->ino;
}

static int
forest_init(struct forest *f, struct fs_file *const *file, unsigned n)
{
	int r;

	f->disk = calloc(n, sizeof(struct inode *));
	if (f->disk == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		r = file[i]->mode == LOCK_EXCLUSIVE ? file_may_write(file[i]) :
		    -EBADF;
		if (r != 0)
			return r;
		f->fs = file[i]->fs;
		f->disk[i] = file[i]->ip;
	}
	f->n_disks = n;
	qsort(f->disk, n, sizeof(struct inode *), by_number);
	return 0;
}

int
fs_evacuate(struct fs_file *const *file, unsigned n,
    const struct fs_progress *p, struct fs_evacuation *ret_e)
{
	struct forest f = { .n_disks = 0 };
	uint64_t off = 0;
	int r;

	if (n == 0)
		return -EINVAL;
	r = forest_init(&f, file, n);
	while (r == 0 && off < UINT64_MAX)
		r = window_move(&f, p, &off);
	for (unsigned i = 0; i < f.n_disks && r == 0; i++)
		r = inode_blocks_move(f.disk[i]);
	free(f.disk);
	if (r == -VMFS_ELOCKED && f.busy != 0) {
		ret_e->snapshot = f.busy;
		ret_e->holder = f.holder;
	}
	return r;
}
