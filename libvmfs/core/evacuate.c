/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Data moves away from LUNs that are to leave, MiB by MiB, while guests write.
 * What is the head's own is copied as it lies and its map entry changed; what
 * it shares is written anew, and stays where it is for whoever else has it.
 */
#include "libvmfs/core/fs_impl.h"

#define MIB_SIZE ((uint64_t)1 << MAP_L1_SHIFT)

struct move {
	struct inode *ip;
	struct txn *t;
	struct map_path p;
	uint64_t mib;
	uint64_t fresh;		/* chunks taken and not yet used */
	unsigned n_fresh;
};

static bool
leaves(const struct inode *ip, uint64_t chunk)
{
	return chunk != 0 && ds_chunk_leaves(ip->fs->ds, chunk);
}

static void
chunk_at(struct move *m, unsigned k, struct map_chunk *ret_c)
{
	map_chunk_get(map_path_chunk(&m->p, k), ret_c);
}

static bool
must_move(struct move *m, unsigned k)
{
	struct map_chunk c;

	chunk_at(m, k, &c);
	return leaves(m->ip, c.own) && c.birth > m->ip->info.snap_epoch;
}

/* The valid blocks; what lies between them is nobody's. */
static int
copy(struct move *m, const struct map_chunk *c, uint64_t to)
{
	struct disk *d = ds_disk(m->ip->fs->ds);
	cleanup_free void *buf = disk_buf_alloc(CHUNK_SIZE);
	int r = buf != NULL ? 0 : -ENOMEM;

	for (unsigned b = 0, n; b < CHUNK_BLOCKS && r == 0; b += n) {
		for (n = 1; b + n < CHUNK_BLOCKS && (c->valid >> b & 1) ==
		    (c->valid >> (b + n) & 1); n++)
			;
		if ((c->valid >> b & 1) == 0)
			continue;
		r = disk_read(d, (c->own * CHUNK_BLOCKS + b) * BLOCK_SIZE,
		    buf, n * BLOCK_SIZE);
		if (r == 0)
			r = disk_write(d, (to * CHUNK_BLOCKS + b) *
			    BLOCK_SIZE, buf, n * BLOCK_SIZE, 0);
	}
	return r;
}

static int
move_chunk(struct move *m, unsigned k, unsigned want)
{
	struct map_chunk c;
	uint64_t old;
	int r = 0;

	if (m->n_fresh == 0) {
		r = alloc_chunks(m->t, m->ip->alloc_hint, want, &m->fresh,
		    &m->n_fresh);
		if (r != 0)
			return r;
		m->ip->alloc_hint = m->fresh + m->n_fresh;
	}
	chunk_at(m, k, &c);
	r = copy(m, &c, m->fresh);
	if (r != 0)
		return r;
	old = c.own;
	c.own = m->fresh++;
	m->n_fresh--;
	map_path_set_chunk(m->t, &m->p, k, &c);
	/* Its space is given up by the transaction that says where it is. */
	reads_drain(m->ip);
	return free_chunks(m->t, old, 1);
}

static int
move_own(struct move *m)
{
	unsigned want = 0;
	int r = map_path_split(m->t, m->ip, &m->p);

	for (unsigned k = 0; k < CHUNK_BLOCKS && r == 0; k++)
		want += must_move(m, k);
	for (unsigned k = 0; k < CHUNK_BLOCKS && r == 0; k++)
		if (must_move(m, k))
			r = move_chunk(m, k, want--);
	if (m->n_fresh > 0 && free_chunks(m->t, m->fresh, m->n_fresh) != 0)
		r = r != 0 ? r : -EIO;
	return r;
}

/* inode.content is held exclusively. */
static int
mib_move_own(struct inode *ip, uint64_t off)
{
	struct move m = { .ip = ip, .mib = off };
	int r, e;

	r = alloc_reserve(ip->fs->ds, CHUNK_BLOCKS, MAP_LEVEL_MAX + 2);
	if (r != 0)
		return r;
	map_lock(ip, off, MIB_SIZE);
	r = txn_begin(ip->fs->ds, PATH_BLOCKS, &m.t);
	if (r == 0) {
		r = map_path_get(m.t, ip, off, &m.p);
		if (r == 0) {
			r = move_own(&m);
			map_path_put(&m.p);
		}
		e = inode_store(m.t, ip);
		txn_end(m.t);
		r = r != 0 ? r : e;
	}
	map_unlock(ip);
	/* In one run it is one entry again. */
	return r != 0 ? r : map_written(ip, off, 0, 0);
}

struct found {
	bool own, shared;
};

static int
look(struct inode *ip, bool locked, const struct map_root *root, uint64_t off,
    struct found *f)
{
	struct map_view v;
	int r = map_view(ip, locked, root, off, &v);

	if (r != 0 || v.state == MAP_HOLE)
		return r;
	f->own |= leaves(ip, v.c.own) && v.c.birth > ip->info.snap_epoch;
	f->shared |= leaves(ip, v.c.base) ||
	    (leaves(ip, v.c.own) && v.c.birth <= ip->info.snap_epoch);
	return 0;
}

static int
mib_evacuate(struct inode *ip, uint64_t off, void *buf)
{
	struct found all = { 0 };
	int r = 0;

	for (unsigned k = 0; k < CHUNK_BLOCKS && r == 0; k++)
		r = look(ip, true, &ip->info.map, off + k * CHUNK_SIZE, &all);
	if (r == 0 && all.own)
		r = mib_move_own(ip, off);
	for (unsigned k = 0; k < CHUNK_BLOCKS && r == 0 && all.shared; k++) {
		struct found one = { 0 };

		r = look(ip, true, &ip->info.map, off + k * CHUNK_SIZE, &one);
		if (r == 0 && one.shared)
			r = chunk_rewrite(ip, off + k * CHUNK_SIZE, buf);
	}
	return r;
}

/* Where the next MiB with anything in it begins. */
static int
next_mib(struct inode *ip, bool locked, const struct map_root *root,
    uint64_t *off)
{
	struct map_view v;
	int r = map_view(ip, locked, root, *off, &v);

	if (r != 0 || v.state != MAP_HOLE || v.span < MIB_SIZE)
		return r;
	*off = v.span > UINT64_MAX - *off ? UINT64_MAX :
	    (*off + v.span) & ~(MIB_SIZE - 1);
	return 1;
}

int
fs_file_evacuate(struct fs_file *f, const struct fs_progress *p)
{
	cleanup_free void *buf = disk_buf_alloc(CHUNK_SIZE);
	struct inode *ip = f->ip;
	uint64_t off = 0;
	int r;

	if ((f->flags & FS_WRITE) == 0 || f->mode != LOCK_EXCLUSIVE)
		return -EBADF;
	r = buf == NULL ? -ENOMEM : fs_writable(f->fs);
	if (r == 0)
		r = kin_load(ip);
	while (r == 0 && !(ip->info.flags & INODE_INLINE) &&
	    off < map_reach(ip->info.map.level) && off < ip->info.size) {
		if (!progress_step(p, off, ip->info.size))
			return -ECANCELED;
		/* Between two MiB the guest writes. */
		content_lock(ip);
		r = next_mib(ip, true, &ip->info.map, &off);
		if (r == 0) {
			r = mib_evacuate(ip, off, buf);
			off += MIB_SIZE;
		} else if (r > 0) {
			r = 0;
		}
		content_unlock(ip);
	}
	return r;
}

int
fs_lies_on_leaving(struct fs *fs, uint64_t ino, bool *ret_lies)
{
	struct found all = { 0 };
	struct inode_info info;
	struct inode *ip;
	uint64_t off = 0;
	int r = inode_private(fs, ino, &ip);

	if (r != 0)
		return r;
	r = inode_peek(ip, &info);
	all.own = r == 0 && ds_chunk_leaves(fs->ds, ino / CHUNK_BLOCKS);
	while (r == 0 && !all.own && !all.shared && off < info.size &&
	    !(info.flags & INODE_INLINE)) {
		r = next_mib(ip, false, &info.map, &off);
		if (r > 0) {
			r = 0;
			continue;
		}
		for (unsigned k = 0; k < CHUNK_BLOCKS && r == 0; k++)
			r = look(ip, false, &info.map, off + k * CHUNK_SIZE,
			    &all);
		off += MIB_SIZE;
	}
	inode_unref(ip);
	if (r == 0)
		*ret_lies = all.own || all.shared;
	return r;
}
