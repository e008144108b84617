/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making chunks writable in place, and taking note of what was written.
 *
 * A write is: map_prepare (a transaction, only when a chunk is missing or
 * shared), data to the chunks' own slots, map_written (a transaction, only when
 * valid bits or the size change).  Costs, see doc/DESIGN.md:
 *
 *   chunk is ours, block valid        data write, no transaction
 *   hole                              16 chunks for the MiB, once
 *   whole chunk shared (huge, or all  new chunk over the old as base: no copy
 *   16 blocks valid)
 *   shared, partly filled, slot free  the slot is filled in place: no copy
 *   shared, partly filled, slot used  up to 15 blocks (60 KiB) are copied, by
 *                                     one read and one write, for several
 *                                     writers at once: only when a block is
 *                                     rewritten that was first written since
 *                                     the chunk was last whole, with a
 *                                     snapshot between
 */
#include <stdlib.h>

#include "libvmfs/core/fs_impl.h"
#include "libvmfs/env/iobuf.h"

#define MIB_SIZE ((uint64_t)1 << MAP_L1_SHIFT)

/*
 * Free slots of a shared chunk are ours to fill: no other tree reads them, and
 * a tree that could fill them too (revert, clone) has set its fork_epoch.
 */
bool
map_chunk_ready(const struct inode_info *i, const struct map_chunk *c,
    uint16_t need)
{
	if (c->own == 0)
		return false;
	return c->birth > i->snap_epoch ||
	    (c->birth > i->fork_epoch && (c->valid & need) == 0);
}

/* Blocks of the chunk at chunk_off that [off, end) touches. */
uint16_t
map_mask(uint64_t chunk_off, uint64_t off, uint64_t end)
{
	uint64_t first, last;

	if (off < chunk_off)
		off = chunk_off;
	if (end > chunk_off + CHUNK_SIZE)
		end = chunk_off + CHUNK_SIZE;
	if (off >= end)
		return 0;
	first = (off - chunk_off) / BLOCK_SIZE;
	last = (end - 1 - chunk_off) / BLOCK_SIZE;
	return (uint16_t)((0xffffu << first) & (0xffffu >> (15 - last)));
}

/* The blocks of a chunk, where another one is to begin with them. */
struct copied {
	uint64_t fresh;		/* held (alloc_hold); 0: none, or it is used */
	struct map_chunk of;
};

/* A change of one MiB in progress. */
struct prep {
	struct txn *t;
	struct inode *ip;
	struct map_path p;
	uint64_t mib, off, end;
	uint64_t run;		/* chunks taken and not yet used */
	unsigned run_count;
	uint64_t budget;	/* chunks that may be taken */
	struct copied *copied;	/* of each chunk; NULL */
};

static uint64_t
chunk_off(const struct prep *m, unsigned k)
{
	return m->mib + (uint64_t)k * CHUNK_SIZE;
}

static void
chunk_load(struct prep *m, unsigned k, struct map_chunk *ret_c)
{
	map_chunk_get(map_path_chunk(&m->p, k), ret_c);
}

static bool
chunk_missing(struct prep *m, unsigned k)
{
	uint16_t need = map_mask(chunk_off(m, k), m->off, m->end);
	struct map_chunk c;

	if (need == 0)
		return false;
	chunk_load(m, k, &c);
	return !map_chunk_ready(&m->ip->info, &c, need);
}

static int
run_take(struct prep *m, unsigned want)
{
	struct inode *ip = m->ip;
	unsigned count;
	uint64_t chunk;
	int r;

	r = alloc_chunks(m->t, ip->alloc_hint, want, &chunk, &count);
	if (r != 0)
		return r;
	ip->alloc_hint = chunk + count;
	m->run = chunk;
	m->run_count = count;
	quota_took(ip, count);
	return 0;
}

/*
 * Partly filled and shared, and the slots are taken: its blocks move.  From the
 * first to the last in one piece: what lies between is not valid there either.
 */
static int
chunk_copy(struct inode *ip, uint64_t fresh, const struct map_chunk *c)
{
	struct disk *d = ds_disk(ip->fs->ds);
	unsigned first = (unsigned)__builtin_ctz(c->valid);
	unsigned end = 32 - (unsigned)__builtin_clz(c->valid);
	size_t len = (size_t)(end - first) * BLOCK_SIZE, size;
	void *buf = iobuf_get(len, &size);
	int r;

	if (buf == NULL)
		return -ENOMEM;
	r = disk_read(d, c->own * CHUNK_SIZE + first * BLOCK_SIZE, buf, len);
	if (r == 0)
		r = disk_write(d, fresh * CHUNK_SIZE + first * BLOCK_SIZE,
		    buf, len, 0);
	iobuf_put(buf, size);
	return r;
}

/* The copy that was made of it, as long as it is as it was then. */
static struct copied *
copy_of(struct prep *m, unsigned k, const struct map_chunk *c)
{
	struct copied *x = m->copied != NULL ? &m->copied[k] : NULL;

	return x != NULL && x->fresh != 0 && x->of.own == c->own &&
	    x->of.valid == c->valid && x->of.birth == c->birth ? x : NULL;
}

static bool
has_copy(struct prep *m, unsigned k)
{
	struct map_chunk c;

	chunk_load(m, k, &c);
	return copy_of(m, k, &c) != NULL;
}

/* From what was taken, or the one that has the blocks already. */
static void
fresh_used(struct prep *m, struct copied *x)
{
	if (x == NULL) {
		m->run++;
		m->run_count--;
		return;
	}
	alloc_take_held(m->t, x->fresh);
	m->ip->alloc_hint = x->fresh + 1;
	quota_took(m->ip, 1);
	x->fresh = 0;
}

/* Chunk k gets space of its own. */
static int
chunk_renew(struct prep *m, unsigned k)
{
	struct inode_info *i = &m->ip->info;
	struct map_chunk c, new = { .birth = i->epoch };
	struct copied *x;
	int r = 0;

	chunk_load(m, k, &c);
	x = copy_of(m, k, &c);
	new.own = x != NULL ? x->fresh : m->run;
	if (c.own != 0 && c.valid == 0xffff) {
		new.base = c.own;
		i->chunks++;
		if (c.base != 0) {
			i->chunks--;
			r = chunk_drop(m->t, m->ip, chunk_off(m, k), c.base, 0);
		}
	} else {
		new.base = c.base;
		new.valid = c.valid;
		if (c.valid != 0 && x == NULL)
			r = chunk_copy(m->ip, new.own, &c);
		if (r == 0 && c.own != 0)
			r = chunk_drop(m->t, m->ip, chunk_off(m, k), c.own,
			    c.birth);
		if (r == 0 && c.own == 0)
			i->chunks++;
	}
	if (r != 0)
		return r;
	map_path_set_chunk(m->t, &m->p, k, &new);
	fresh_used(m, x);
	return 0;
}

/*
 * A hole of a disk is filled 16 chunks at once, so that it becomes huge; of a
 * small file only what it needs.
 */
static int
hole_fill(struct prep *m)
{
	struct inode_info *i = &m->ip->info;
	struct map_chunk c = { .birth = i->epoch };
	uint64_t end = i->size > m->end ? i->size : m->end;
	unsigned want = CHUNK_BLOCKS;
	int r;

	if (end < m->mib + MIB_SIZE)
		want = (unsigned)((end - m->mib + CHUNK_SIZE - 1) /
		    CHUNK_SIZE);
	if ((i->type != INODE_DISK && m->mib == 0) || want > m->budget)
		return 0;
	r = run_take(m, want);
	if (r != 0)
		return r;
	if (m->run_count < want)
		return 0;	/* no such run: chunk by chunk */
	for (unsigned k = 0; k < want; k++) {
		c.own = m->run + k;
		map_path_set_chunk(m->t, &m->p, k, &c);
	}
	i->chunks += want;
	m->run_count = 0;
	return 0;
}

static int
prepare_mib(struct prep *m)
{
	struct map_entry e;
	unsigned k, want = 0;
	int r;

	r = map_path_entry(&m->p, &e);
	if (r != 0)
		return r;
	r = map_path_split(m->t, m->ip, &m->p);
	if (r == 0 && e.state == MAP_HOLE)
		r = hole_fill(m);
	for (k = 0; k < CHUNK_BLOCKS && r == 0; k++)
		want += chunk_missing(m, k) && !has_copy(m, k);
	for (k = 0; k < CHUNK_BLOCKS && r == 0; k++) {
		if (!chunk_missing(m, k))
			continue;
		if (!has_copy(m, k)) {
			if (m->run_count == 0)
				r = run_take(m, want);
			want--;
		}
		if (r == 0)
			r = chunk_renew(m, k);
	}
	quota_freed(m->ip, m->run_count);
	if (m->run_count > 0 && free_chunks(m->t, m->run, m->run_count) != 0)
		r = r != 0 ? r : -EIO;
	return r;
}

/* An entry without any chunk is a hole again (nothing could be had). */
static int
entry_tidy(struct prep *m)
{
	const struct map_entry hole = { .state = MAP_HOLE };
	struct map_chunk c;
	struct map_entry e;
	int r;

	r = map_path_entry(&m->p, &e);
	if (r != 0 || e.state != MAP_SPLIT || m->p.leaf == NULL)
		return r;
	for (unsigned k = 0; k < CHUNK_BLOCKS; k++) {
		chunk_load(m, k, &c);
		if (c.own != 0 || c.base != 0)
			return 0;
	}
	return map_path_set_entry(m->t, m->ip, &m->p, &hole);
}

static int
prep_begin(struct prep *m, struct inode *ip, uint64_t off, uint64_t end)
{
	int r;

	*m = (struct prep){
		.ip = ip, .off = off, .end = end,
		.mib = off & ~(MIB_SIZE - 1),
	};
	r = txn_begin(ip->fs->ds, PATH_BLOCKS, &m->t);
	if (r != 0)
		return r;
	r = map_path_get(m->t, ip, off, &m->p);
	if (r != 0)
		txn_end(m->t);
	return r;
}

static int
prep_end(struct prep *m, int r, bool store)
{
	int e = store ? inode_store(m->t, m->ip) : 0;

	map_path_put(&m->p);
	txn_end(m->t);
	return r != 0 ? r : e;
}

/* Shared, partly filled, and slots are taken? */
static bool
needs_copy(const struct inode *ip, const struct map_view *v, uint16_t need)
{
	return v->state == MAP_SPLIT && v->c.own != 0 && v->c.valid != 0 &&
	    v->c.valid != 0xffff && !map_chunk_ready(&ip->info, &v->c, need);
}

/* Chunks that the range misses, and whether any of them is to be a copy.
 * Whoever writes has them to himself. */
static int
count_missing(struct inode *ip, uint64_t off, uint64_t end, uint64_t *ret_n,
    bool *ret_copies)
{
	uint64_t at = off & ~(uint64_t)(CHUNK_SIZE - 1), n = 0;
	bool copies = false;
	struct map_view v;
	int r = 0;

	fiber_rwlock_rdlock(&ip->map);
	for (; at < end && r == 0; at += CHUNK_SIZE) {
		uint16_t need = map_mask(at, off, end);

		r = map_view(ip, true, &ip->info.map, at, &v);
		if (r != 0)
			break;
		n += !map_chunk_ready(&ip->info, &v.c, need);
		copies |= needs_copy(ip, &v, need);
	}
	fiber_rwlock_unlock(&ip->map);
	*ret_n = n;
	*ret_copies = copies;
	return r;
}

static int
budget_get(struct inode *ip, uint64_t off, uint64_t end,
    struct quota_use *ret_u, bool *ret_copies)
{
	uint64_t need = 0, want = CHUNK_BLOCKS;
	int r;

	r = count_missing(ip, off, end, &need, ret_copies);
	/* See hole_fill. */
	if (ip->info.type != INODE_DISK && off < MIB_SIZE)
		want = need;
	return r != 0 ? r : quota_get(ip, need, want, ret_u);
}

/* ---- copies: before the map is locked, so that many go on at once ---- */

static int
copy_make(struct inode *ip, const struct map_chunk *c, struct copied *x)
{
	int r;

	x->fresh = alloc_hold(ip->fs->ds, ip->alloc_hint);
	/* Then in the transaction, by way of alloc_chunks. */
	if (x->fresh == 0)
		return 0;
	x->of = *c;
	r = chunk_copy(ip, x->fresh, c);
	if (r != 0) {
		alloc_drop_held(ip->fs->ds, x->fresh);
		x->fresh = 0;
	}
	return r;
}

/* Nobody else writes to the chunks meanwhile, nor are they freed. */
static int
copies_make(struct inode *ip, uint64_t off, uint64_t end,
    struct copied copied[CHUNK_BLOCKS])
{
	uint64_t at = off & ~(uint64_t)(CHUNK_SIZE - 1);
	struct map_view v;
	int r = 0;

	for (; at < end && r == 0; at += CHUNK_SIZE) {
		fiber_rwlock_rdlock(&ip->map);
		r = map_view(ip, true, &ip->info.map, at, &v);
		fiber_rwlock_unlock(&ip->map);
		if (r != 0 || !needs_copy(ip, &v, map_mask(at, off, end)))
			continue;
		r = copy_make(ip, &v.c,
		    &copied[at / CHUNK_SIZE % CHUNK_BLOCKS]);
	}
	return r;
}

static void
copies_end(struct inode *ip, struct copied copied[CHUNK_BLOCKS])
{
	for (unsigned k = 0; k < CHUNK_BLOCKS; k++)
		if (copied[k].fresh != 0)
			alloc_drop_held(ip->fs->ds, copied[k].fresh);
}

static int
prepare(struct inode *ip, uint64_t off, uint64_t end, uint64_t budget,
    struct copied *copied)
{
	struct prep m;
	int r, e;

	map_lock(ip, off, end - off);
	r = prep_begin(&m, ip, off, end);
	if (r == 0) {
		m.budget = budget;
		m.copied = copied;
		r = prepare_mib(&m);
		e = entry_tidy(&m);
		r = prep_end(&m, r != 0 ? r : e, true);
	}
	map_unlock(ip);
	return r;
}

int
map_prepare(struct inode *ip, uint64_t off, uint64_t len)
{
	struct copied copied[CHUNK_BLOCKS] = { 0 };
	struct quota_use use;
	bool copies;
	int r;

	r = kin_load(ip);
	if (r != 0)
		return r;
	r = alloc_reserve(ip->fs->ds, CHUNK_BLOCKS, MAP_LEVEL_MAX + 2);
	if (r == 0 || r == -ENOSPC)
		r = budget_get(ip, off, off + len, &use, &copies);
	if (r != 0)
		return r;
	if (copies)
		r = copies_make(ip, off, off + len, copied);
	if (r == 0)
		r = prepare(ip, off, off + len, use.n, copied);
	copies_end(ip, copied);
	quota_put(ip, &use);
	return r;
}

/* All 256 blocks valid, ours, in one run and without base: one huge entry. */
static int
collapse(struct prep *m)
{
	struct map_entry e = { .state = MAP_HUGE, .birth = EPOCH_MAX };
	struct map_chunk c;
	uint64_t first = 0;

	for (unsigned k = 0; k < CHUNK_BLOCKS; k++) {
		chunk_load(m, k, &c);
		if (k == 0)
			first = c.own;
		if (c.valid != 0xffff || c.base != 0 || c.own == 0 ||
		    c.own != first + k || c.birth <= m->ip->info.snap_epoch)
			return 0;
		if (c.birth < e.birth)
			e.birth = c.birth;
	}
	e.block = first * CHUNK_BLOCKS;
	return map_path_set_entry(m->t, m->ip, &m->p, &e);
}

static int
chunk_fill(struct prep *m, unsigned k)
{
	struct map_chunk c, old;
	bool shared;
	int r;

	chunk_load(m, k, &c);
	old = c;
	c.valid |= map_mask(chunk_off(m, k), m->off, m->end);
	if (c.valid == 0xffff && c.base != 0) {
		r = kin_has_chunk(m->ip, chunk_off(m, k), c.base, &shared);
		if (r == 0 && !shared) {
			reads_drain(m->ip);
			quota_freed(m->ip, 1);
			r = free_chunks(m->t, c.base, 1);
		}
		if (r != 0)
			return r;
		c.base = 0;
		m->ip->info.chunks--;
	}
	if (c.valid != old.valid || c.base != old.base)
		map_path_set_chunk(m->t, &m->p, k, &c);
	return 0;
}

static int
fill_mib(struct prep *m)
{
	struct map_entry e;
	int r;

	r = map_path_entry(&m->p, &e);
	if (r != 0 || e.state == MAP_HUGE)
		return r;
	if (e.state != MAP_SPLIT)
		return -VMFS_ECORRUPT;
	for (unsigned k = 0; k < CHUNK_BLOCKS && r == 0; k++)
		if (map_mask(chunk_off(m, k), m->off, m->end) != 0)
			r = chunk_fill(m, k);
	return r != 0 ? r : collapse(m);
}

int
map_written(struct inode *ip, uint64_t off, uint64_t len, uint64_t size)
{
	uint64_t chunks, bytes;
	struct prep m;
	int r;

	r = kin_load(ip);
	if (r != 0)
		return r;
	r = alloc_reserve(ip->fs->ds, 0, MAP_LEVEL_MAX + 2);
	if (r != 0 && r != -ENOSPC)
		return r;
	map_lock(ip, off, len);
	chunks = ip->info.chunks;
	bytes = ip->info.size;
	r = prep_begin(&m, ip, off, off + len);
	if (r == 0) {
		r = fill_mib(&m);
		if (r == 0 && size > ip->info.size)
			ip->info.size = size;
		/* Times alone are stored by who flushes. */
		r = prep_end(&m, r, ip->info.size != bytes ||
		    ip->info.chunks != chunks);
	}
	map_unlock(ip);
	return r;
}
