/* SPDX-License-Identifier: BSD-2-Clause */
/* Chunks of data: taking runs out of leased clusters, freeing. */
#include <assert.h>
#include <stdlib.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/ds_priv.h"

#define ALIGNED_WANT CHUNK_BLOCKS	/* a MiB: huge map entries need it */
/* Chunks of the windows that files which grow side by side get, at most. */
#define WINDOW_MAX 1024u	/* 64 MiB */
#define WINDOW_MIN 64u
#define NO_WINDOW_NS (5 * NSEC_PER_SEC)
#define LEASES_GROWING 16u	/* that one host takes for them, or ... */
#define LEASES_SHARE 8u		/* ... so much of all, if that is less */

/* What a search may take. */
struct search {
	uint32_t want;
	bool exact;		/* all of it, aligned when it is a MiB */
	bool pairs;		/* also beside metachunks */
};

static bool
is_free(const struct lease *l, uint32_t i, const struct search *q)
{
	return !bitmap_get(l->busy, i) &&
	    (q->pairs || !bitmap_get(l->avoid, i));
}

static uint32_t
run_at(const struct lease *l, uint32_t i, const struct search *q)
{
	uint32_t n = 0;

	while (n < q->want && i + n < l->info.chunks && is_free(l, i + n, q))
		n++;
	return n;
}

/* First run in [from, to); its length, 0 when there is none. */
static uint32_t
find_within(const struct lease *l, uint32_t from, uint32_t to,
    const struct search *q, uint32_t *ret_i)
{
	bool aligned = q->exact && q->want == ALIGNED_WANT;
	uint32_t step = aligned ? ALIGNED_WANT : 1, n;

	if (aligned)
		from = (from + ALIGNED_WANT - 1) / ALIGNED_WANT * ALIGNED_WANT;
	for (uint32_t i = from; i < to; i += step) {
		if (i % 8 == 0 && l->busy[i / 8] == 0xff) {
			i += step == 1 ? 7 : 0;
			continue;
		}
		n = run_at(l, i, q);
		if (n == q->want || (n > 0 && !q->exact)) {
			*ret_i = i;
			return n;
		}
		/* The chunk behind a short run is taken. */
		if (!aligned)
			i += n;
	}
	return 0;
}

static uint32_t
find_run(const struct lease *l, uint32_t start, const struct search *q,
    uint32_t *ret_i)
{
	uint32_t n;

	if (!lease_is_open(l) || l->n_free < (q->exact ? q->want : 1))
		return 0;
	n = find_within(l, start, l->info.chunks, q, ret_i);
	return n > 0 ? n : find_within(l, 0, start, q, ret_i);
}

static void
make_busy(struct lease *l, uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++) {
		bitmap_put(l->busy, i, true);
		bitmap_put(l->discard, i, false);
	}
	l->n_free -= n;
}

static void
make_used(struct txn *t, struct lease *l, uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++)
		cluster_chunk_set_used(l->b->data, i, true);
	l->info.free_chunks -= n;
	mb_dirty(t, l->b, LOCK_RECORD_SIZE +
	    offsetof(struct cluster_disk, used) + first / 8,
	    (first + n - 1) / 8 - first / 8 + 1);
	lease_dirty(t, l);
}

static void
take_chunks(struct txn *t, struct lease *l, uint32_t first, uint32_t n)
{
	make_busy(l, first, n);
	make_used(t, l, first, n);
}

static uint64_t
cluster_of_chunk(const struct ds *ds, uint64_t chunk)
{
	return chunk / (ds->super.cluster_blocks / CHUNK_BLOCKS);
}

/* Where this file's next chunk would be, else behind the last one taken. */
static uint32_t
start_in(const struct lease *l, uint64_t hint)
{
	if (hint >= l->first_chunk && hint - l->first_chunk < l->info.chunks)
		return (uint32_t)(hint - l->first_chunk);
	return l->cursor;
}

static uint32_t
take_from(struct txn *t, struct lease *l, uint64_t hint,
    const struct search *q, uint64_t *ret_chunk)
{
	uint32_t i, n;

	n = find_run(l, start_in(l, hint), q, &i);
	if (n > 0) {
		take_chunks(t, l, i, n);
		l->cursor = i + n < l->info.chunks ? i + n : 0;
		*ret_chunk = l->first_chunk + i;
	}
	return n;
}

/* ---- files that grow ---- */

/* All of it where the file's last chunk ends: it goes on in one piece. */
static uint32_t
take_next(struct txn *t, uint64_t hint, const struct search *q,
    uint64_t *ret_chunk)
{
	struct lease *l = hint == 0 ? NULL :
	    lease_find(t->ds, cluster_of_chunk(t->ds, hint));
	uint32_t i;

	if (l == NULL || !lease_is_open(l) ||
	    hint - l->first_chunk >= l->info.chunks)
		return 0;
	i = (uint32_t)(hint - l->first_chunk);
	if ((q->want == ALIGNED_WANT && i % ALIGNED_WANT != 0) ||
	    run_at(l, i, q) != q->want)
		return 0;
	take_chunks(t, l, i, q->want);
	*ret_chunk = hint;
	return q->want;
}

/* The last wholly free window of the cluster: far from its cursor. */
static bool
find_window(const struct lease *l, uint32_t size, uint32_t *ret_i)
{
	const struct search q = { size, true, false };

	if (!lease_is_open(l) || l->n_free < size)
		return false;
	for (uint32_t n = l->info.chunks / size; n-- > 0; ) {
		if (run_at(l, n * size, &q) == size) {
			*ret_i = n * size;
			return true;
		}
	}
	return false;
}

/*
 * The file has grown before and cannot go on where it was, because another
 * one took that place: were both to take what comes next, they would part it
 * between them, a MiB each.  Nothing is reserved; the rest of the window is
 * the best place for nobody else as long as there are others.
 */
static uint32_t
take_window(struct txn *t, uint32_t size, const struct search *q,
    uint64_t *ret_chunk)
{
	uint32_t i;

	list_for_each(node, tmp, &t->ds->leases) {
		struct lease *l = list_entry(node, struct lease, link);

		if (!find_window(l, size, &i))
			continue;
		take_chunks(t, l, i, q->want);
		*ret_chunk = l->first_chunk + i;
		return q->want;
	}
	return 0;
}

/* Many writers get many clusters, but leave most to other hosts. */
static bool
may_lease(struct ds *ds)
{
	uint64_t share = ds_open_clusters(ds) / LEASES_SHARE;
	unsigned n = 0;

	if (share > LEASES_GROWING)
		share = LEASES_GROWING;
	if (share < LEASES_KEPT)
		share = LEASES_KEPT;
	/* Full ones are given back in the next round. */
	list_for_each(node, tmp, &ds->leases)
		n += list_entry(node, struct lease, link)->n_free >= WINDOW_MIN;
	return n < share && ds->n_leases < LEASES_MAX &&
	    env_now(ds->conf.env) >= ds->yield_until_ns;
}

static bool
lease_window(struct ds *ds, uint32_t size)
{
	uint64_t *until = &ds->no_window_until_ns[size == WINDOW_MAX];
	uint64_t now = env_now(ds->conf.env);
	struct lease *l;

	/* Not one look at the whole table for each MiB. */
	if (now < *until)
		return false;
	if (lease_more(ds, size, &l) == 0)
		return true;
	*until = now + NO_WINDOW_NS;
	return false;
}

static uint32_t
take_growing(struct txn *t, uint64_t hint, const struct search *q,
    uint64_t *ret_chunk)
{
	uint32_t n = take_next(t, hint, q, ret_chunk);

	if (hint == 0 || q->want != ALIGNED_WANT)
		return n;
	for (uint32_t size = WINDOW_MAX; size >= WINDOW_MIN && n == 0;
	    size /= 4) {
		n = take_window(t, size, q, ret_chunk);
		while (n == 0 && size > WINDOW_MIN && may_lease(t->ds) &&
		    lease_window(t->ds, size))
			n = take_window(t, size, q, ret_chunk);
	}
	return n;
}

static uint32_t
take_leased(struct txn *t, uint64_t hint, const struct search *q,
    uint64_t *ret_chunk)
{
	struct lease *near = hint == 0 ? NULL :
	    lease_find(t->ds, cluster_of_chunk(t->ds, hint));
	uint32_t n = 0;

	if (near != NULL)
		n = take_from(t, near, hint, q, ret_chunk);
	list_for_each(node, tmp, &t->ds->leases) {
		if (n > 0)
			break;
		n = take_from(t, list_entry(node, struct lease, link), hint, q,
		    ret_chunk);
	}
	return n;
}

int
alloc_chunks(struct txn *t, uint64_t hint, unsigned want,
    uint64_t *ret_chunk, unsigned *ret_count)
{
	/* From the best to what is left; a lease is tried for after [i]. */
	const struct search best = { want, true, false };
	const struct search fair = { want, false, false };
	const struct search any = { want, false, true };
	struct ds *ds = t->ds;
	struct lease *l;
	uint32_t n;
	int r = 0;

	if (want == 0)
		return -EINVAL;
	if (ds->health < 0)
		return ds->health;
	n = take_growing(t, hint, &best, ret_chunk);
	if (n == 0)
		n = take_leased(t, hint, &best, ret_chunk);
	if (n == 0 && ds->n_leases < LEASES_KEPT &&
	    env_now(ds->conf.env) >= ds->yield_until_ns) {
		r = lease_more(ds, want, &l);
		if (r == 0)
			n = take_leased(t, hint, &best, ret_chunk);
	}
	if (n == 0)
		n = take_leased(t, hint, &fair, ret_chunk);
	if (n == 0)
		n = take_leased(t, hint, &any, ret_chunk);
	while (n == 0) {
		r = lease_more(ds, 1, &l);
		if (r < 0 && (r != -ENOSPC || !discard_wait(ds)))
			return r;
		n = take_leased(t, hint, &any, ret_chunk);
	}
	*ret_count = n;
	return 0;
}

/* ---- chunks that get their data first ---- */

uint64_t
alloc_hold(struct ds *ds, uint64_t hint)
{
	const struct search one = { 1, false, false };
	uint32_t i;

	if (ds->health < 0)
		return 0;
	list_for_each(node, tmp, &ds->leases) {
		struct lease *l = list_entry(node, struct lease, link);

		if (find_run(l, start_in(l, hint), &one, &i) == 0)
			continue;
		make_busy(l, i, 1);
		/* The cluster is not given back meanwhile. */
		l->users++;
		l->cursor = i + 1 < l->info.chunks ? i + 1 : 0;
		return l->first_chunk + i;
	}
	return 0;
}

static struct lease *
lease_of_held(struct ds *ds, uint64_t chunk, uint32_t *ret_i)
{
	struct lease *l = lease_find(ds, cluster_of_chunk(ds, chunk));

	assert(l != NULL && l->users > 0);
	l->users--;
	*ret_i = (uint32_t)(chunk - l->first_chunk);
	return l;
}

void
alloc_take_held(struct txn *t, uint64_t chunk)
{
	uint32_t i;
	struct lease *l = lease_of_held(t->ds, chunk, &i);

	make_used(t, l, i, 1);
}

void
alloc_drop_held(struct ds *ds, uint64_t chunk)
{
	uint32_t i;
	struct lease *l = lease_of_held(ds, chunk, &i);

	bitmap_put(l->busy, i, false);
	/* There may be data on it by now. */
	bitmap_put(l->discard, i, discard_is_on(ds));
	l->n_free++;
}

/* ---- freeing ---- */

static int
free_chunks_local(struct txn *t, struct lease *l, uint64_t chunk,
    uint64_t count)
{
	uint32_t first = (uint32_t)(chunk - l->first_chunk);
	uint32_t last = first + (uint32_t)count - 1;

	if (last >= l->info.chunks)
		return -VMFS_ECORRUPT;
	for (uint32_t i = first; i <= last; i++)
		if (!cluster_chunk_used(l->b->data, i) ||
		    l->mchunk_of[i] != 0)
			return -VMFS_ECORRUPT;
	for (uint32_t i = first; i <= last; i++) {
		cluster_chunk_set_used(l->b->data, i, false);
		bitmap_put(l->freed, i, true);
	}
	l->any_freed = true;
	l->info.free_chunks += (uint32_t)count;
	mb_dirty(t, l->b, LOCK_RECORD_SIZE +
	    offsetof(struct cluster_disk, used) + first / 8,
	    last / 8 - first / 8 + 1);
	lease_dirty(t, l);
	return 0;
}

static int
free_meta_local(struct txn *t, struct lease *l, uint64_t block)
{
	uint32_t chunk = (uint32_t)(block / CHUNK_BLOCKS - l->first_chunk);
	unsigned bit = block % CHUNK_BLOCKS;
	struct metachunk_info mc;
	struct mchunk *m;
	struct mblk *b;
	int r;

	r = mchunk_load(t->ds, l, chunk, &m);
	if (r == 0)
		r = mb_read(t->ds, &l->grant, block - bit, BLOCK_METACHUNK, &b);
	if (r < 0)
		return r == -ENOENT ? -VMFS_ECORRUPT : r;
	r = metachunk_decode(b->data, &mc);
	if (r == 0 && (bit == 0 || (mc.used >> bit & 1) == 0))
		r = -VMFS_ECORRUPT;
	if (r == 0) {
		mc.used = (uint16_t)(mc.used & ~(1u << bit));
		mc.type[bit] = 0;
		metachunk_encode(b->data, &mc);
		mb_dirty(t, b, sizeof(struct block_hdr_disk), 32);
		/* The array may have moved while the head was read. */
		m = &l->mchunks[l->mchunk_of[chunk] - 1];
		l->info.free_meta_blocks++;
		lease_dirty(t, l);
		if (m->fresh >> bit & 1) {
			/* No commit has it: it can be given out at once. */
			m->fresh = (uint16_t)(m->fresh & ~(1u << bit));
			m->busy = (uint16_t)(m->busy & ~(1u << bit));
			mb_unmade(t, block);
		} else {
			m->freed = (uint16_t)(m->freed | 1u << bit);
			mb_freed(t, block);
		}
	}
	mb_put(b);
	return r;
}

int
alloc_free_local(struct txn *t, struct lease *l, uint64_t block,
    uint64_t count, bool meta)
{
	int r = 0;

	l->users++;
	l->closing = false;
	if (!meta)
		r = free_chunks_local(t, l, block / CHUNK_BLOCKS,
		    count / CHUNK_BLOCKS);
	for (uint64_t i = 0; meta && r == 0 && i < count; i++)
		r = free_meta_local(t, l, block + i);
	l->users--;
	if (r == -VMFS_ECORRUPT)
		log_error(t->ds->conf.env->log, "core: freed block is not in "
		    "use block=%llu count=%llu", (unsigned long long)block,
		    (unsigned long long)count);
	return r;
}

/*
 * The cluster's lease if it can be had; NULL and 0 when it cannot, because
 * another host has it, its LUN is away, or the attempt failed: that must not end
 * an operation in its middle.
 */
static int
lease_for_free(struct ds *ds, uint64_t cluster, struct lease **ret_l)
{
	*ret_l = lease_find(ds, cluster);
	if (*ret_l != NULL)
		return 0;
	if (!ds_has_block(ds, cluster * ds->super.cluster_blocks))
		return -VMFS_ECORRUPT;
	if (ds->n_leases < LEASES_MAX && lease_take(ds, cluster, ret_l) < 0)
		*ret_l = NULL;
	return ds->health;
}

static int
free_blocks(struct txn *t, uint64_t block, uint64_t count, bool meta)
{
	uint64_t cluster = block / t->ds->super.cluster_blocks;
	struct remote_free f = { block, (uint32_t)count, meta };
	struct lease *l;
	int r;

	r = lease_for_free(t->ds, cluster, &l);
	if (r < 0)
		return r;
	r = l != NULL ? alloc_free_local(t, l, block, count, meta) : -EAGAIN;
	if (r == 0 || r == -VMFS_ECORRUPT || t->ds->health < 0)
		return r;
	/* Not now: later, when it can be. */
	if (meta)
		mb_freed(t, block);
	return remote_free_add(t, &f);
}

int
free_chunks(struct txn *t, uint64_t chunk, uint64_t count)
{
	uint64_t per = t->ds->super.cluster_blocks / CHUNK_BLOCKS, n;
	int r = t->ds->health;

	while (r == 0 && count > 0) {
		n = per - chunk % per;
		if (n > count)
			n = count;
		r = free_blocks(t, chunk * CHUNK_BLOCKS, n * CHUNK_BLOCKS,
		    false);
		chunk += n;
		count -= n;
	}
	return r;
}

int
free_meta(struct txn *t, uint64_t block)
{
	if (t->ds->health < 0)
		return t->ds->health;
	return free_blocks(t, block, 1, true);
}

/* ---- reserving ---- */

/* Those that were leased last come first: they have most. */
static bool
has_room(struct ds *ds, uint64_t chunks, uint64_t meta_blocks)
{
	uint64_t free_chunk = 0, free_meta = 0;

	for (struct list *n = ds->leases.prev; n != &ds->leases; n = n->prev) {
		struct lease *l = list_entry(n, struct lease, link);

		if (!lease_is_open(l))
			continue;
		free_chunk += l->n_free;
		for (unsigned i = 0; i < l->n_mchunks; i++)
			free_meta += mchunk_free_count(&l->mchunks[i]);
		if (free_chunk >= chunks && free_meta + (free_chunk - chunks) *
		    (CHUNK_BLOCKS - 1) >= meta_blocks)
			return true;
	}
	return false;
}

int
alloc_reserve(struct ds *ds, unsigned chunks, unsigned meta_blocks)
{
	bool settled = false, waited = false;
	struct lease *l;
	int r = ds->health;

	if (ds->conf.readonly)
		return -EROFS;
	while (r == 0 && !has_room(ds, chunks, meta_blocks)) {
		space_stand_back(ds);
		r = lease_more(ds, 1, &l);
		if (r == -ENOSPC && discard_wait(ds))
			r = 0;
		if (r != -ENOSPC || waited)
			continue;
		/* What was freed a moment ago may be enough. */
		waited = settled || !lease_waits(ds);
		r = waited ? space_wait(ds, 1) : ds_checkpoint(ds, 0);
		settled = true;
	}
	return r;
}

static bool
has_run(struct ds *ds)
{
	const struct search q = { ALIGNED_WANT, true, false };
	uint32_t i;

	list_for_each(node, tmp, &ds->leases)
		if (find_run(list_entry(node, struct lease, link), 0, &q,
		    &i) > 0)
			return true;
	return false;
}

int
alloc_reserve_mib(struct ds *ds)
{
	struct lease *l;
	int r = alloc_reserve(ds, ALIGNED_WANT, 0);

	/* First where there is likely to be one.  Who asks again later goes on
	 * with other clusters: to lease them all would leave others none. */
	for (uint32_t room = WINDOW_MIN; r == 0 && !has_run(ds); ) {
		r = ds->n_leases < LEASES_MAX ? lease_more(ds, room, &l) :
		    -ENOSPC;
		if (r == -ENOSPC && room > ALIGNED_WANT) {
			room = ALIGNED_WANT;
			r = 0;
		}
	}
	return r;
}
