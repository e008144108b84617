/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What one tree has that no other tree of its family has, at the same offsets.
 * Subtrees whose node another tree shares are not entered: the work is in
 * proportion to what the tree alone holds (F5).
 *
 * Freeing goes by groups of 16 MiB, one transaction each, that also takes what
 * was freed out of the tree: after a crash the walk starts over and finds only
 * the rest.  Each step looks and frees under inode.map, as the head does when
 * it gives up a base, so that of two that give up the same space one frees it.
 */
#include <stdlib.h>

#include "libvmfs/core/fs_impl.h"

#define GROUP_CHUNKS (MAP_GROUPS * CHUNK_BLOCKS)

struct prune {
	struct inode *ip;
	struct map_root *other;	/* the trees that count beside the head's */
	unsigned n_other;
	bool head;		/* that counts, too */
	uint64_t bytes, chunks;
};

/* Chunks of a group that the tree names, and whether they are others' too. */
struct group {
	struct map_chunk c[GROUP_CHUNKS];
	bool own_shared[GROUP_CHUNKS], base_shared[GROUP_CHUNKS];
	uint64_t leaf;
	uint32_t leaf_birth;
	bool leaf_shared;
};

static int
group_load(struct inode *ip, uint64_t l1, uint32_t birth, unsigned g,
    struct group *ret)
{
	const struct map_node_disk *d;
	const struct map_leaf_disk *leaf = NULL;
	struct nref n, ln = { 0 };
	struct map_entry e;
	int r;

	memset(ret, 0, sizeof(*ret));
	r = node_get(ip, inode_held(ip), l1, BLOCK_MAP_NODE, birth, &n);
	if (r != 0)
		return r;
	d = (const void *)n.data;
	ret->leaf = le48_get(d->u.group[g].block);
	ret->leaf_birth = le32_get(d->u.group[g].birth);
	if (ret->leaf != 0) {
		r = node_get(ip, inode_held(ip), ret->leaf, BLOCK_MAP_LEAF,
		    ret->leaf_birth, &ln);
		leaf = (const void *)ln.data;
	}
	for (unsigned i = 0; i < MAP_GROUPS && r == 0; i++) {
		struct map_chunk *c = &ret->c[i * CHUNK_BLOCKS];

		r = map_entry_get(&d->entry[g * MAP_GROUPS + i], 1, &e);
		if (r == 0 && e.state == MAP_SPLIT && leaf == NULL)
			r = -VMFS_ECORRUPT;
		for (unsigned k = 0; k < CHUNK_BLOCKS && r == 0; k++) {
			if (e.state == MAP_HUGE)
				c[k].own = e.block / CHUNK_BLOCKS + k;
			else if (e.state == MAP_SPLIT)
				map_chunk_get(&leaf->entry[i * CHUNK_BLOCKS +
				    k], &c[k]);
		}
	}
	node_put(&ln);
	node_put(&n);
	return r;
}

/* Marks in `mine` what the other tree has as well. */
static int
group_compare(struct prune *p, const struct map_root *root, uint64_t off,
    unsigned g, struct group *mine)
{
	cleanup_free struct group *o = malloc(sizeof(*o));
	uint64_t addr;
	uint32_t birth;
	int r;

	if (o == NULL)
		return -ENOMEM;
	r = map_node_at(p->ip, inode_held(p->ip), root, off, 1, &addr, &birth);
	if (r != 0 || addr == 0)
		return r;
	r = group_load(p->ip, addr, birth, g, o);
	if (r != 0)
		return r;
	if (o->leaf == mine->leaf)
		mine->leaf_shared = true;
	for (unsigned i = 0; i < GROUP_CHUNKS; i++) {
		const struct map_chunk *m = &mine->c[i], *c = &o->c[i];

		if (m->own == c->own || m->own == c->base)
			mine->own_shared[i] = true;
		if (m->base == c->own || m->base == c->base)
			mine->base_shared[i] = true;
	}
	return 0;
}

static const struct map_root *
other_root(const struct prune *p, unsigned i)
{
	return i == p->n_other ? &p->ip->info.map : &p->other[i];
}

/* The head, last in the list, counts unless it is what is pruned. */
struct prune_tree {
	struct prune p;
	unsigned others;	/* n_other, + 1 with the head */
	struct inode *victim;	/* NULL: only counted */
};

static int
chunk_alone(struct prune_tree *w, struct txn *t, uint64_t chunk,
    uint64_t *run, unsigned *len)
{
	int r = 0;

	w->p.bytes += CHUNK_SIZE;
	w->p.chunks++;
	if (w->victim == NULL)
		return 0;
	quota_freed(w->p.ip, 1);
	if (*len > 0 && *run + *len == chunk) {
		(*len)++;
		return 0;
	}
	if (*len > 0)
		r = free_chunks(t, *run, *len);
	*run = chunk;
	*len = 1;
	return r;
}

static int
group_take(struct prune_tree *w, struct txn *t, const struct group *g)
{
	uint64_t run = 0;
	unsigned len = 0;
	int r = 0;

	for (unsigned i = 0; i < GROUP_CHUNKS && r == 0; i++) {
		if (g->c[i].own != 0 && !g->own_shared[i])
			r = chunk_alone(w, t, g->c[i].own, &run, &len);
		if (r == 0 && g->c[i].base != 0 && !g->base_shared[i])
			r = chunk_alone(w, t, g->c[i].base, &run, &len);
	}
	if (r == 0 && len > 0)
		r = free_chunks(t, run, len);
	if (g->leaf == 0 || g->leaf_shared)
		return r;
	w->p.bytes += BLOCK_SIZE;
	if (r == 0 && w->victim != NULL)
		r = meta_free(t, g->leaf);
	return r;
}

/* The group is taken out of the node, which only this tree has. */
static void
group_erase(struct txn *t, struct mblk *b, unsigned g)
{
	struct map_node_disk *d = (struct map_node_disk *)b->data;

	memset(&d->entry[g * MAP_GROUPS], 0, MAP_GROUPS * sizeof(*d->entry));
	mb_dirty(t, b, offsetof(struct map_node_disk, entry) +
	    g * MAP_GROUPS * sizeof(*d->entry),
	    MAP_GROUPS * sizeof(*d->entry));
	d->u.group[g] = (struct map_group_disk){ 0 };
	mb_dirty(t, b, offsetof(struct map_node_disk, u) +
	    g * sizeof(*d->u.group), sizeof(*d->u.group));
}

static int
group_prune(struct prune_tree *w, uint64_t l1, uint32_t birth, uint64_t off,
    unsigned g)
{
	cleanup_free struct group *mine = malloc(sizeof(*mine));
	struct inode *ip = w->p.ip;
	struct mblk *b = NULL;
	struct txn *t;
	int r, e;

	if (mine == NULL)
		return -ENOMEM;
	map_lock(ip, 0, 0);
	r = group_load(ip, l1, birth, g, mine);
	for (unsigned i = 0; i < w->others && r == 0; i++)
		r = group_compare(&w->p, other_root(&w->p, i), off, g, mine);
	if (r == 0 && w->victim == NULL)
		r = group_take(w, NULL, mine);
	else if (r == 0)
		r = mb_read(ip->fs->ds, &ip->grant, l1, BLOCK_MAP_NODE, &b);
	/* The head may be read there still: it gave it up while the snapshot
	 * had it, and waited for nobody. */
	if (b != NULL)
		reads_drain(ip);
	if (b != NULL && (r = txn_begin(ip->fs->ds, PATH_BLOCKS, &t)) == 0) {
		/* Some of it may be free now: nothing names it any more. */
		r = group_take(w, t, mine);
		group_erase(t, b, g);
		/* What the head holds with its snapshots has changed, or what
		 * it names. */
		e = ip->info.policy.account != 0 || w->victim == ip ?
		    inode_store(t, ip) : 0;
		r = r != 0 ? r : e;
		txn_end(t);
	}
	mb_put(b);
	map_unlock(ip);
	return r;
}

static int
node_shared(struct prune_tree *w, uint64_t off, unsigned level, uint64_t addr,
    bool *ret)
{
	uint64_t at;
	uint32_t birth;
	int r;

	*ret = false;
	for (unsigned i = 0; i < w->others && !*ret; i++) {
		r = map_node_at(w->p.ip, inode_held(w->p.ip), other_root(&w->p, i), off,
		    level, &at, &birth);
		if (r != 0)
			return r;
		*ret = at == addr;
	}
	return 0;
}

static int node_prune(struct prune_tree *w, uint64_t addr, uint32_t birth,
    unsigned level, uint64_t off);

/* Child i is done with: out of the node, and freed unless it is shared. */
static int
child_erase(struct prune_tree *w, uint64_t addr, unsigned i, uint64_t child,
    bool shared)
{
	struct inode *ip = w->p.ip;
	struct map_node_disk *d;
	struct mblk *b;
	struct txn *t;
	int r;

	r = txn_begin(ip->fs->ds, 4, &t);
	if (r != 0)
		return r;
	r = mb_read(ip->fs->ds, &ip->grant, addr, BLOCK_MAP_NODE, &b);
	if (r == 0) {
		d = (struct map_node_disk *)b->data;
		d->entry[i] = (struct map_entry_disk){ 0 };
		mb_dirty(t, b, offsetof(struct map_node_disk, entry) +
		    i * sizeof(*d->entry), sizeof(*d->entry));
		mb_put(b);
		if (!shared)
			r = meta_free(t, child);
		if (r == 0 && w->victim == ip)
			r = inode_store(t, ip);
	}
	txn_end(t);
	return r;
}

/*
 * A shared child leaves the tree under the same lock that found it shared: the
 * head, when it stops sharing it later, then knows that it was the last.
 */
static int
child_release(struct prune_tree *w, uint64_t addr, unsigned level,
    uint64_t off, unsigned i, uint64_t child, bool *ret_shared)
{
	struct inode *ip = w->p.ip;
	int r;

	map_lock(ip, 0, 0);
	r = node_shared(w, off, level - 1, child, ret_shared);
	if (r == 0 && *ret_shared && w->victim != NULL)
		r = child_erase(w, addr, i, child, true);
	map_unlock(ip);
	return r;
}

static int
child_prune(struct prune_tree *w, uint64_t addr, uint32_t birth,
    unsigned level, uint64_t off, unsigned i)
{
	const struct map_node_disk *d;
	struct map_entry e;
	struct nref n;
	bool shared = false;
	int r;

	r = node_get(w->p.ip, inode_held(w->p.ip), addr, BLOCK_MAP_NODE, birth, &n);
	if (r != 0)
		return r;
	d = (const void *)n.data;
	r = map_entry_get(&d->entry[i], level, &e);
	node_put(&n);
	if (r != 0 || e.state != MAP_CHILD)
		return r;
	off += (uint64_t)i << map_entry_shift(level);
	r = child_release(w, addr, level, off, i, e.block, &shared);
	if (r != 0 || shared)
		return r;
	w->p.bytes += BLOCK_SIZE;
	r = node_prune(w, e.block, e.birth, level - 1, off);
	if (r == 0 && w->victim != NULL)
		r = child_erase(w, addr, i, e.block, false);
	return r;
}

static int
node_prune(struct prune_tree *w, uint64_t addr, uint32_t birth,
    unsigned level, uint64_t off)
{
	int r = 0;

	if (w->victim != NULL) {
		if (!progress_step(w->p.ip->progress, off,
		    w->victim->info.size))
			return -ECANCELED;
		snaps_let_look(w->p.ip);
	}
	for (unsigned i = 0; level > 1 && i < MAP_FANOUT && r == 0; i++)
		r = child_prune(w, addr, birth, level, off, i);
	for (unsigned g = 0; level == 1 && g < MAP_GROUPS && r == 0; g++)
		r = group_prune(w, addr, birth, off, g);
	return r;
}

/* The trees that may share something with that of `self`, of snapshots only
 * those below `ids`. */
static int
prune_others(struct prune *p, uint64_t self, uint32_t ids)
{
	cleanup_free uint32_t *near = NULL;
	const struct inode *ip = p->ip;
	unsigned n;
	int r;

	r = kin_near(p->ip, self, &near, &n, &p->head);
	if (r != 0)
		return r;
	p->other = calloc(n + 1, sizeof(*p->other));
	if (p->other == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < n && r == 0; i++) {
		if (!ip->kin[near[i]].origin && ip->kin[near[i]].id >= ids)
			continue;
		r = kin_root(p->ip, near[i], &p->other[p->n_other]);
		p->n_other += r == 0;
	}
	return r;
}

/* The tree is no more; inode.map is held. */
static int
root_erase(struct prune_tree *w, uint64_t self, uint64_t root, bool shared)
{
	struct inode *ip = w->p.ip, *victim = w->victim;
	struct kin *k = kin_find(ip, self);
	struct txn *t;
	int r;

	r = txn_begin(ip->fs->ds, 4, &t);
	if (r != 0)
		return r;
	if (!shared)
		r = meta_free(t, root);
	if (r == 0) {
		victim->info.map = (struct map_root){ 0 };
		victim->info.chunks = 0;
		r = inode_store(t, victim);
	}
	if (r == 0 && k != NULL) {
		k->root = (struct map_root){ 0 };
		k->loaded = true;
	}
	txn_end(t);
	return r;
}

int
map_prune(struct inode *ip, uint64_t self, const struct map_root *tree,
    struct inode *victim, uint64_t *ret_bytes)
{
	struct prune_tree w = { .p = { .ip = ip }, .victim = victim };
	struct map_root root = *tree;
	bool shared;
	int r;

	if (root.block == 0) {
		*ret_bytes = 0;
		return 0;
	}
	r = kin_load(ip);
	if (r == 0)
		r = prune_others(&w.p, self, UINT32_MAX);
	if (r != 0) {
		free(w.p.other);
		return r;
	}
	w.others = w.p.n_other + w.p.head;
	map_lock(ip, 0, 0);
	r = node_shared(&w, 0, root.level, root.block, &shared);
	if (r == 0 && shared && victim != NULL)
		r = root_erase(&w, self, root.block, true);
	map_unlock(ip);
	if (r == 0 && !shared) {
		w.p.bytes += BLOCK_SIZE;
		r = node_prune(&w, root.block, root.birth, root.level, 0);
		if (r == 0 && victim != NULL) {
			map_lock(ip, 0, 0);
			r = root_erase(&w, self, root.block, false);
			map_unlock(ip);
		}
	}
	free(w.p.other);
	if (r == 0)
		*ret_bytes = w.p.bytes;
	return r;
}

/* Chunks of one tree that none of the older ones has. */
static int
tree_count(struct inode *ip, uint64_t self, uint32_t id,
    const struct map_root *root, uint64_t *chunks)
{
	struct prune_tree w = { .p = { .ip = ip } };
	bool shared = false;
	int r;

	if (root->block == 0)
		return 0;
	r = prune_others(&w.p, self, id);
	w.others = w.p.n_other;
	if (r == 0)
		r = node_shared(&w, 0, root->level, root->block, &shared);
	if (r == 0 && !shared)
		r = node_prune(&w, root->block, root->birth, root->level, 0);
	free(w.p.other);
	*chunks += w.p.chunks;
	return r;
}

/*
 * Whatever grew from a snapshot is younger, so of those that have a chunk the
 * oldest one counts it; the head is the youngest.
 */
int
map_held(struct inode *ip, uint64_t *ret_chunks)
{
	const struct inode_info *i = &ip->info;
	uint64_t chunks = 0;
	struct map_root root;
	int r = 0;

	if (i->snapshots == 0 && i->origin_epoch == 0) {
		*ret_chunks = i->chunks;
		return 0;
	}
	r = kin_load(ip);
	for (unsigned k = 0; k < ip->n_kin && r == 0; k++) {
		const struct kin kin = ip->kin[k];

		if (kin.origin)
			continue;
		r = kin_root(ip, k, &root);
		if (r == 0)
			r = tree_count(ip, kin.ino, kin.id, &root, &chunks);
	}
	if (r == 0)
		r = tree_count(ip, 0, UINT32_MAX, &i->map, &chunks);
	if (r == 0)
		*ret_chunks = chunks;
	return r;
}
