/* SPDX-License-Identifier: BSD-2-Clause */
/* Metadata blocks: chunks cut into sixteen, the first of which says so. */
#include <stdlib.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/ds_priv.h"

#define SPARE_BLOCKS 64		/* free metadata blocks a lease keeps */
#define FIRST_FULL_NS (30 * NSEC_PER_SEC)

static uint64_t
head_block(const struct lease *l, uint32_t chunk)
{
	return (l->first_chunk + chunk) * CHUNK_BLOCKS;
}

static int
mchunk_add(struct lease *l, uint32_t chunk, uint16_t busy)
{
	struct mchunk *m;

	if (l->n_mchunks == l->max_mchunks) {
		unsigned max = l->max_mchunks * 2 + 16;

		m = reallocarray(l->mchunks, max, sizeof(*m));
		if (m == NULL)
			return -ENOMEM;
		l->mchunks = m;
		l->max_mchunks = max;
	}
	l->mchunks[l->n_mchunks++] = (struct mchunk) {
		.chunk = chunk, .busy = busy,
	};
	l->mchunk_of[chunk] = (uint16_t)l->n_mchunks;
	return 0;
}

static void
mchunk_remove(struct lease *l, uint32_t chunk)
{
	unsigned i = l->mchunk_of[chunk] - 1u;

	l->mchunks[i] = l->mchunks[--l->n_mchunks];
	l->mchunk_of[l->mchunks[i].chunk] = (uint16_t)(i + 1);
	l->mchunk_of[chunk] = 0;
}

/* Data beside a metachunk has no head: that is not damage worth a log line. */
static int
peek_head(struct ds *ds, struct lease *l, uint32_t chunk,
    struct metachunk_info *ret_mc)
{
	uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct block_hdr h;
	int r = -ENOMEM;

	if (buf != NULL)
		r = mb_reads_block(ds, head_block(l, chunk), BLOCK_METACHUNK,
		    buf, &h);
	if (r == 0 && h.owner != l->grant.addr)
		r = -VMFS_ECORRUPT;
	if (r == 0)
		r = metachunk_decode(buf, ret_mc);
	free(buf);
	if (r == 0 && ret_mc->used == 0)
		r = -ENOENT;
	return r == -VMFS_ECORRUPT ? -ENOENT : r;
}

int
mchunk_load(struct ds *ds, struct lease *l, uint32_t chunk,
    struct mchunk **ret_m)
{
	struct metachunk_info mc;
	int r;

	if (l->mchunk_of[chunk] == 0) {
		if (!cluster_pair_meta(l->b->data, chunk / 2) ||
		    !cluster_chunk_used(l->b->data, chunk))
			return -ENOENT;
		r = peek_head(ds, l, chunk, &mc);
		if (r < 0)
			return r;
		/* Another fiber may have been faster. */
		if (l->mchunk_of[chunk] == 0) {
			r = mchunk_add(l, chunk, mc.used);
			if (r < 0)
				return r;
		}
	}
	*ret_m = &l->mchunks[l->mchunk_of[chunk] - 1];
	return 0;
}

int
mchunk_load_all(struct ds *ds, struct lease *l)
{
	struct mchunk *m;
	int r = 0;

	for (uint32_t c = 0; c < l->info.chunks && r == 0; c++) {
		r = mchunk_load(ds, l, c, &m);
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

/* ---- taking a block ---- */

static uint32_t
known_with_room(const struct lease *l, uint32_t near)
{
	if (near < l->info.chunks && l->mchunk_of[near] != 0 &&
	    mchunk_free_count(&l->mchunks[l->mchunk_of[near] - 1]) > 0)
		return near;
	for (unsigned i = l->n_mchunks; i-- > 0; )
		if (mchunk_free_count(&l->mchunks[i]) > 0)
			return l->mchunks[i].chunk;
	return UINT32_MAX;
}

/* Looks through the cluster for metachunks until one has room. */
static int
scan_for_room(struct ds *ds, struct lease *l, uint32_t *ret_chunk)
{
	uint32_t pairs = (l->info.chunks + 1) / 2;
	struct mchunk *m;
	int r;

	while (l->info.free_meta_blocks > 0 && l->scan_pair < pairs) {
		uint32_t first = l->scan_pair++ * 2;

		for (uint32_t c = first; c < first + 2 && c < l->info.chunks;
		    c++) {
			r = mchunk_load(ds, l, c, &m);
			if (r < 0 && r != -ENOENT)
				return r;
		}
		*ret_chunk = known_with_room(l, first);
		if (*ret_chunk != UINT32_MAX)
			return 0;
	}
	return -ENOENT;
}

/* 2: the other half is a metachunk, 1: both are free, 0: data beside. */
static int
pair_rank(const struct lease *l, uint32_t chunk)
{
	uint32_t other = chunk ^ 1;

	if (bitmap_get(l->avoid, chunk))
		return 2;
	return other >= l->info.chunks || !bitmap_get(l->busy, other);
}

/* From the end, so that metachunks stay together and runs of data long. */
static uint32_t
choose_new(const struct lease *l)
{
	uint32_t best = UINT32_MAX;
	int best_rank = -1;

	for (uint32_t i = l->info.chunks; i-- > 0 && best_rank < 2; ) {
		int rank;

		if (bitmap_get(l->busy, i))
			continue;
		rank = pair_rank(l, i);
		if (rank > best_rank) {
			best = i;
			best_rank = rank;
		}
	}
	return best;
}

static void
mark_meta(struct txn *t, struct lease *l, uint32_t chunk, bool meta)
{
	uint32_t pair = chunk / 2;

	cluster_pair_set_meta(l->b->data, pair, meta);
	bitmap_put(l->avoid, pair * 2, meta);
	bitmap_put(l->avoid, pair * 2 + 1, meta);
	mb_dirty(t, l->b, LOCK_RECORD_SIZE +
	    offsetof(struct cluster_disk, used) + chunk / 8, 1);
	mb_dirty(t, l->b, LOCK_RECORD_SIZE +
	    offsetof(struct cluster_disk, meta) + pair / 8, 1);
	lease_dirty(t, l);
}

static int
mchunk_make(struct txn *t, struct lease *l, uint32_t *ret_chunk)
{
	const struct metachunk_info mc = {
		.used = 1, .type = { BLOCK_METACHUNK },
	};
	uint32_t chunk = choose_new(l);
	struct mblk *b;
	int r;

	if (chunk == UINT32_MAX)
		return -ENOSPC;
	r = mb_new(t, &l->grant, head_block(l, chunk), BLOCK_METACHUNK, &b);
	if (r < 0)
		return r;
	metachunk_encode(b->data, &mc);
	r = mchunk_add(l, chunk, mc.used);
	if (r < 0) {
		mb_freed(t, b->addr);
		mb_put(b);
		return r;
	}
	mb_put(b);
	bitmap_put(l->busy, chunk, true);
	bitmap_put(l->discard, chunk, false);
	cluster_chunk_set_used(l->b->data, chunk, true);
	l->n_free--;
	l->info.free_chunks--;
	l->info.metachunks++;
	l->info.free_meta_blocks += CHUNK_BLOCKS - 1;
	mark_meta(t, l, chunk, true);
	*ret_chunk = chunk;
	return 0;
}

/* Takes a block of a metachunk that has one. */
static int
take_block(struct txn *t, struct lease *l, uint32_t chunk,
    enum block_type type, uint64_t *ret_block)
{
	struct mchunk *m = &l->mchunks[l->mchunk_of[chunk] - 1];
	unsigned bit = (unsigned)__builtin_ctz(~(unsigned)m->busy);
	struct metachunk_info mc;
	struct mblk *b;
	int r;

	m->busy = (uint16_t)(m->busy | 1u << bit);
	r = mb_read(t->ds, &l->grant, head_block(l, chunk), BLOCK_METACHUNK,
	    &b);
	if (r < 0)
		return r;
	r = metachunk_decode(b->data, &mc);
	if (r == 0 && (mc.used >> bit & 1) != 0)
		r = -VMFS_ECORRUPT;
	if (r == 0) {
		mc.used = (uint16_t)(mc.used | 1u << bit);
		mc.type[bit] = (uint8_t)type;
		metachunk_encode(b->data, &mc);
		mb_dirty(t, b, sizeof(struct block_hdr_disk), 32);
		/* The array may have moved while the head was read. */
		m = &l->mchunks[l->mchunk_of[chunk] - 1];
		/* Lock records are written past the transaction. */
		if (block_hdr_offset(type) == 0)
			m->fresh = (uint16_t)(m->fresh | 1u << bit);
		l->info.free_meta_blocks--;
		l->info.meta_hint = chunk;
		lease_dirty(t, l);
		*ret_block = head_block(l, chunk) + bit;
	}
	mb_put(b);
	return r;
}

static int
meta_from(struct txn *t, struct lease *l, uint64_t hint, enum block_type type,
    uint64_t *ret_block)
{
	uint64_t near = hint / CHUNK_BLOCKS - l->first_chunk;
	uint32_t chunk;
	struct mchunk *m;
	int r;

	if (l->n_mchunks == 0 && l->info.free_meta_blocks > 0) {
		r = mchunk_load(t->ds, l, l->info.meta_hint, &m);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	chunk = known_with_room(l, near < l->info.chunks ? (uint32_t)near :
	    l->info.meta_hint);
	r = 0;
	if (chunk == UINT32_MAX)
		r = scan_for_room(t->ds, l, &chunk);
	if (r == -ENOENT)
		r = mchunk_make(t, l, &chunk);
	return r < 0 ? r : take_block(t, l, chunk, type, ret_block);
}

/* first: only on the first LUN. */
static int
meta_leased(struct txn *t, uint64_t hint, bool first, enum block_type type,
    uint64_t *ret_block)
{
	struct ds *ds = t->ds;
	struct lease *near = hint == 0 ? NULL :
	    lease_find(ds, hint / ds->super.cluster_blocks);
	int r = -ENOSPC;

	if (near != NULL && first && !lease_is_on_first(ds, near))
		near = NULL;
	if (near != NULL && lease_is_open(near)) {
		near->users++;
		r = meta_from(t, near, hint, type, ret_block);
		near->users--;
	}
	list_for_each(node, tmp, &ds->leases) {
		struct lease *l = list_entry(node, struct lease, link);

		if (r != -ENOSPC)
			break;
		if (!lease_is_open(l) || l == near ||
		    (first && !lease_is_on_first(ds, l)))
			continue;
		l->users++;
		r = meta_from(t, l, hint, type, ret_block);
		tmp = l->link.next;
		l->users--;
	}
	return r;
}

static int
meta_search(struct txn *t, uint64_t hint, bool first, enum block_type type,
    uint64_t *ret_block)
{
	struct lease *l;
	int r;

	do {
		r = meta_leased(t, hint, first, type, ret_block);
		/* A cluster with free chunks, else one with free blocks. */
		for (uint32_t chunks = 1; r == -ENOSPC; chunks = 0) {
			r = first ? lease_more_first(t->ds, chunks, &l) :
			    lease_more(t->ds, chunks, &l);
			if (r == 0)
				r = meta_leased(t, hint, first, type,
				    ret_block);
			if (chunks == 0)
				break;
		}
	} while (r == -ENOSPC && discard_wait(t->ds));
	return r;
}

/*
 * Of several LUNs the first one, as long as it has room: without it there is
 * no datastore anyway, without another one only the data there is gone.
 */
int
alloc_meta(struct txn *t, uint64_t hint, enum block_type type,
    uint64_t *ret_block)
{
	struct ds *ds = t->ds;
	uint64_t now;
	int r;

	if (ds->health < 0)
		return ds->health;
	if (ds->super.extents == 1)
		return meta_search(t, hint, false, type, ret_block);
	now = env_now(ds->conf.env);
	if (now >= ds->first_full_until_ns) {
		r = meta_search(t, hint, true, type, ret_block);
		if (r != -ENOSPC)
			return r;
		ds->first_full_until_ns = now + FIRST_FULL_NS;
	}
	return meta_search(t, hint, false, type, ret_block);
}

/* ---- retiring ---- */

/* Is the other half of the pair a metachunk? */
static int
pair_stays(struct ds *ds, struct lease *l, uint32_t chunk, bool *ret_stays)
{
	struct mchunk *m;
	int r = -ENOENT;

	if ((chunk ^ 1) < l->info.chunks)
		r = mchunk_load(ds, l, chunk ^ 1, &m);
	if (r < 0 && r != -ENOENT)
		return r;
	*ret_stays = r == 0;
	return 0;
}

static int
retired_add(struct lease *l, uint32_t chunk, uint64_t txn_id)
{
	if (l->n_retired == l->max_retired) {
		unsigned max = l->max_retired * 2 + 16;
		struct retired *p = reallocarray(l->retired, max, sizeof(*p));

		if (p == NULL)
			return -ENOMEM;
		l->retired = p;
		l->max_retired = max;
	}
	l->retired[l->n_retired++] = (struct retired) { chunk, txn_id };
	return 0;
}

static bool
is_empty(const struct mchunk *m)
{
	return m->busy == 1;	/* its head: freed blocks are busy as well */
}

static int
retire_one(struct txn *t, struct lease *l, uint32_t chunk)
{
	const struct metachunk_info none = { 0 };
	struct mblk *b;
	bool stays;
	int r;

	r = pair_stays(t->ds, l, chunk, &stays);
	if (r == 0)
		r = mb_read(t->ds, &l->grant, head_block(l, chunk),
		    BLOCK_METACHUNK, &b);
	if (r < 0)
		return r;
	/* Somebody may have taken a block of it meanwhile. */
	if (l->mchunk_of[chunk] == 0 ||
	    !is_empty(&l->mchunks[l->mchunk_of[chunk] - 1]))
		goto out;
	r = retired_add(l, chunk, t->id);
	if (r < 0)
		goto out;
	metachunk_encode(b->data, &none);
	mb_dirty(t, b, sizeof(struct block_hdr_disk), 32);
	mchunk_remove(l, chunk);
	cluster_chunk_set_used(l->b->data, chunk, false);
	l->info.free_chunks++;
	l->info.metachunks--;
	l->info.free_meta_blocks -= CHUNK_BLOCKS - 1;
	mark_meta(t, l, chunk, stays);
out:
	mb_put(b);
	return r;
}

/* Where nothing is taken any more, none is kept. */
static uint32_t
find_empty(const struct lease *l)
{
	unsigned spare = 0;

	for (unsigned i = 0; i < l->n_mchunks; i++)
		spare += mchunk_free_count(&l->mchunks[i]);
	if (spare < SPARE_BLOCKS && !l->leaving)
		return UINT32_MAX;
	for (unsigned i = 0; i < l->n_mchunks; i++)
		if (is_empty(&l->mchunks[i]))
			return l->mchunks[i].chunk;
	return UINT32_MAX;
}

bool
lease_has_empty(const struct lease *l)
{
	return find_empty(l) != UINT32_MAX;
}

static struct lease *
lease_with_empty(struct ds *ds, uint32_t *ret_chunk)
{
	list_for_each(node, tmp, &ds->leases) {
		struct lease *l = list_entry(node, struct lease, link);

		*ret_chunk = find_empty(l);
		if (*ret_chunk != UINT32_MAX && !l->closing &&
		    ds_extent_is_here(ds, l->cluster))
			return l;
	}
	return NULL;
}

int
mchunk_retire(struct ds *ds, unsigned max)
{
	struct lease *l;
	struct txn *t;
	uint32_t chunk;
	int r = 0;

	for (unsigned i = 0; i < max && r == 0; i++) {
		if (lease_with_empty(ds, &chunk) == NULL)
			return 0;
		r = txn_begin(ds, 3, &t);
		if (r < 0)
			return r;
		l = lease_with_empty(ds, &chunk);
		if (l != NULL) {
			l->users++;
			r = retire_one(t, l, chunk);
			l->users--;
		}
		txn_end(t);
	}
	return r;
}
