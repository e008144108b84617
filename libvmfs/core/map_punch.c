/* SPDX-License-Identifier: BSD-2-Clause */
/* Giving space back: punch and truncate, one MiB and one transaction a step. */
#include "libvmfs/core/fs_impl.h"

#define MIB_SIZE ((uint64_t)1 << MAP_L1_SHIFT)

/* Parts of the MiB that must be overwritten with zeroes afterwards. */
struct zeroes {
	uint64_t off[CHUNK_BLOCKS], len[CHUNK_BLOCKS];
	unsigned count;
};

struct punch {
	struct txn *t;
	struct inode *ip;
	struct map_path p;
	uint64_t mib, off, end;
	struct zeroes *z;
};

/* Whether or not all can be freed: what is freed is named no more. */
static int
chunk_clear(struct punch *m, unsigned k, const struct map_chunk *c)
{
	const struct map_chunk none = { 0 };
	uint64_t off = m->mib + (uint64_t)k * CHUNK_SIZE;
	int r = 0, e = 0;

	if (c->own != 0) {
		r = chunk_drop(m->t, m->ip, off, c->own, c->birth);
		m->ip->info.chunks--;
	}
	if (c->base != 0) {
		e = chunk_drop(m->t, m->ip, off, c->base, 0);
		m->ip->info.chunks--;
	}
	map_path_set_chunk(m->t, &m->p, k, &none);
	return r != 0 ? r : e;
}

/*
 * Bits may only be cleared where nobody shares the chunk (else a later write
 * would take the slot for free) and nothing inherited shows through.
 */
static int
chunk_punch(struct punch *m, unsigned k)
{
	uint64_t off = m->mib + (uint64_t)k * CHUNK_SIZE;
	uint16_t mask = map_mask(off, m->off, m->end);
	struct zeroes *z = m->z;
	struct map_chunk c;

	if (mask == 0)
		return 0;
	map_chunk_get(map_path_chunk(&m->p, k), &c);
	if (mask == 0xffff)
		return chunk_clear(m, k, &c);
	if (c.base == 0 && (c.valid & mask) == 0)
		return 0;
	if (c.base == 0 && c.birth > m->ip->info.snap_epoch) {
		c.valid &= (uint16_t)~mask;
		if (c.valid == 0)
			return chunk_clear(m, k, &c);
		map_path_set_chunk(m->t, &m->p, k, &c);
		return 0;
	}
	z->off[z->count] = m->off > off ? m->off : off;
	z->len[z->count] = (m->end < off + CHUNK_SIZE ? m->end :
	    off + CHUNK_SIZE) - z->off[z->count];
	z->count++;
	return 0;
}

static bool
leaf_part_is_empty(struct punch *m)
{
	struct map_chunk c;

	for (unsigned k = 0; k < CHUNK_BLOCKS; k++) {
		map_chunk_get(map_path_chunk(&m->p, k), &c);
		if (c.own != 0 || c.base != 0)
			return false;
	}
	return true;
}

static int
huge_shared(struct punch *m, const struct map_entry *e,
    bool ret_shared[CHUNK_BLOCKS])
{
	uint64_t first = e->block / CHUNK_BLOCKS;
	int r = 0;

	if (e->birth > m->ip->info.snap_epoch)
		return 0;
	for (unsigned k = 0; k < CHUNK_BLOCKS && r == 0; k++)
		r = kin_has_chunk(m->ip, m->mib + (uint64_t)k * CHUNK_SIZE,
		    first + k, &ret_shared[k]);
	return r;
}

/*
 * First who shares what: if that cannot be told, nothing has happened.  Then the
 * entry, all of it at once: what cannot be freed after that is lost until the
 * next fsck, but nothing is free that is named.
 */
static int
huge_clear(struct punch *m, const struct map_entry *e)
{
	const struct map_entry hole = { .state = MAP_HOLE };
	uint64_t first = e->block / CHUNK_BLOCKS;
	bool shared[CHUNK_BLOCKS] = { false };
	int r, f;

	r = huge_shared(m, e, shared);
	if (r != 0)
		return r;
	reads_drain(m->ip);
	m->ip->info.chunks -= CHUNK_BLOCKS;
	r = map_path_set_entry(m->t, m->ip, &m->p, &hole);
	for (unsigned k = 0, n; k < CHUNK_BLOCKS; k += n) {
		for (n = 1; k + n < CHUNK_BLOCKS && shared[k + n] == shared[k];
		    n++)
			;
		if (shared[k])
			continue;
		quota_freed(m->ip, n);
		f = free_chunks(m->t, first + k, n);
		r = r != 0 ? r : f;
	}
	return r;
}

static int
mib_punch(struct punch *m)
{
	const struct map_entry hole = { .state = MAP_HOLE };
	bool whole = m->end - m->off == MIB_SIZE;
	struct map_entry e;
	int r;

	r = map_path_entry(&m->p, &e);
	if (r != 0 || e.state == MAP_HOLE)
		return r;
	if (e.state == MAP_HUGE && whole)
		return huge_clear(m, &e);
	r = map_path_split(m->t, m->ip, &m->p);
	for (unsigned k = 0; k < CHUNK_BLOCKS && r == 0; k++)
		r = chunk_punch(m, k);
	if (r == 0 && leaf_part_is_empty(m))
		r = map_path_set_entry(m->t, m->ip, &m->p, &hole);
	return r;
}

static int
mib_step(struct inode *ip, uint64_t off, uint64_t end, struct zeroes *z)
{
	struct punch m = {
		.ip = ip, .off = off, .end = end, .z = z,
		.mib = off & ~(MIB_SIZE - 1),
	};
	int r, e;

	r = alloc_reserve(ip->fs->ds, 0, MAP_LEVEL_MAX + 2);
	if (r != 0 && r != -ENOSPC)
		return r;
	map_lock(ip, off, end - off);
	r = txn_begin(ip->fs->ds, PATH_BLOCKS, &m.t);
	if (r != 0)
		goto out;
	r = map_path_get(m.t, ip, off, &m.p);
	if (r == 0) {
		r = mib_punch(&m);
		map_path_put(&m.p);
		e = inode_store(m.t, ip);
		r = r != 0 ? r : e;
	}
	txn_end(m.t);
out:
	map_unlock(ip);
	return r;
}

int
map_punch(struct inode *ip, uint64_t off, uint64_t len)
{
	uint64_t end = off + len, stop;
	struct map_view v;
	struct zeroes z;
	int r;

	r = kin_load(ip);
	while (r == 0 && off < end) {
		r = map_view(ip, true, &ip->info.map, off, &v);
		if (r != 0)
			break;
		if (v.state == MAP_HOLE) {
			uint64_t next = off & ~(uint64_t)(CHUNK_SIZE - 1);

			if (v.span >= end - next)
				break;
			off = next + v.span;
			continue;
		}
		stop = (off & ~(MIB_SIZE - 1)) + MIB_SIZE;
		if (stop > end)
			stop = end;
		z.count = 0;
		r = mib_step(ip, off, stop, &z);
		for (unsigned i = 0; i < z.count && r == 0; i++)
			r = file_zero_at(ip, z.off[i], z.len[i]);
		off = stop;
	}
	return r;
}
