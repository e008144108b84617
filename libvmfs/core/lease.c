/* SPDX-License-Identifier: BSD-2-Clause */
/* Clusters that this host has to itself for a while. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/ds_priv.h"
#include "libvmfs/core/volume.h"

#define IDLE_TICKS_SPARE 5	/* of the housekeeper, when we have others */
#define IDLE_TICKS_LAST 30
#define IDLE_TICKS_EMPTY 60	/* with metachunks to be retired */
#define BIG_VOLUME 1024u	/* clusters: looking at all takes a while */
#define FULL_NS NSEC_PER_SEC

bool
bitmap_get(const uint8_t *map, uint32_t i)
{
	return (map[i / 8] >> (i % 8) & 1) != 0;
}

void
bitmap_put(uint8_t *map, uint32_t i, bool on)
{
	if (on)
		map[i / 8] = (uint8_t)(map[i / 8] | 1 << (i % 8));
	else
		map[i / 8] = (uint8_t)(map[i / 8] & ~(1 << (i % 8)));
}

struct lease *
lease_find(struct ds *ds, uint64_t cluster)
{
	list_for_each(node, tmp, &ds->leases) {
		struct lease *l = list_entry(node, struct lease, link);

		if (l->cluster == cluster)
			return l;
	}
	return NULL;
}

static void
lease_free(struct lease *l)
{
	if (l == NULL)
		return;
	mb_put(l->b);
	free(l->mchunks);
	free(l->retired);
	free(l);
}

static void
load_bitmaps(struct lease *l)
{
	const uint8_t *block = l->b->data;

	for (uint32_t i = 0; i < CLUSTER_CHUNKS_MAX; i++) {
		bool used = i >= l->info.chunks || cluster_chunk_used(block, i);

		bitmap_put(l->busy, i, used);
		bitmap_put(l->avoid, i, cluster_pair_meta(block, i / 2));
	}
	l->n_free = l->info.free_chunks;
	l->cursor = 0;
}

/*
 * The volume has grown since the cluster was written: it has more chunks than
 * it knows, all free.  Its next change tells it.
 */
static void
get_longer(const struct ds *ds, struct cluster_info *c)
{
	uint32_t open = ds_open_chunks(ds, c->cluster);

	if (c->chunks != 0 && open > c->chunks) {
		c->free_chunks += open - c->chunks;
		c->chunks = open;
	}
}

void
lease_extend(struct ds *ds)
{
	list_for_each(node, tmp, &ds->leases) {
		struct lease *l = list_entry(node, struct lease, link);
		uint32_t had = l->info.chunks;

		get_longer(ds, &l->info);
		for (uint32_t i = had; i < l->info.chunks; i++)
			bitmap_put(l->busy, i, false);
		l->n_free += l->info.chunks - had;
		space_seen(ds, l->cluster, l->info.free_chunks);
	}
}

static int
lease_load(struct ds *ds, struct lease *l)
{
	int r;

	r = mb_read(ds, &l->grant, l->grant.addr, BLOCK_CLUSTER, &l->b);
	if (r == 0)
		r = cluster_decode(l->b->data, l->cluster, &l->info);
	/* Only growing makes a difference; others may be ahead of us. */
	if (r == 0 && l->info.chunks !=
	    volume_cluster_chunks(&ds->super, l->cluster) &&
	    (ds->super.ro_compat & FEATURE_RO_COMPAT_GROWN) == 0)
		r = -VMFS_ECORRUPT;
	if (r == 0 && l->info.chunks >
	    volume_cluster_chunks(&ds->super, l->cluster))
		r = -VMFS_ECORRUPT;
	if (r == 0)
		get_longer(ds, &l->info);
	if (r < 0) {
		log_error(ds->conf.env->log, "core: cluster unusable "
		    "cluster=%llu error=%s", (unsigned long long)l->cluster,
		    vmfs_strerror(r));
		return r;
	}
	l->first_chunk = l->cluster * (ds->super.cluster_blocks /
	    CHUNK_BLOCKS);
	l->leaving = !ds_extent_is_usable(ds, l->cluster);
	load_bitmaps(l);
	return 0;
}

static int
take_locked(struct ds *ds, uint64_t cluster, struct lease **ret_l)
{
	uint64_t addr = volume_cluster_block(&ds->super, cluster);
	struct lockops *locks = ds->conf.locks;
	struct lease *l = lease_find(ds, cluster);
	int r, r2;

	if (l != NULL) {
		*ret_l = l;
		return 0;
	}
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	l->cluster = cluster;
	r = locks->vt->acquire(locks, addr, LOCK_EXCLUSIVE, LOCK_NOWAIT,
	    env_now(ds->conf.env), &l->grant, NULL);
	if (r < 0) {
		free(l);
		return r;
	}
	r = lease_load(ds, l);
	if (r < 0) {
		struct lock_grant g = l->grant;

		lease_free(l);
		mb_forget(ds, addr);
		r2 = locks->vt->release(locks, &g);
		return r2 == -VMFS_EFENCED ? r2 : r;
	}
	discard_taken(ds, l);
	list_add_tail(&ds->leases, &l->link);
	ds->n_leases++;
	*ret_l = l;
	return 0;
}

int
lease_take(struct ds *ds, uint64_t cluster, struct lease **ret_l)
{
	int r;

	if (!ds_has_block(ds, cluster * ds->super.cluster_blocks))
		return -VMFS_ECORRUPT;
	fiber_mutex_lock(&ds->lease_lock);
	r = ds->health < 0 ? ds->health : take_locked(ds, cluster, ret_l);
	fiber_mutex_unlock(&ds->lease_lock);
	return r;
}

static bool
has_enough(const struct cluster_info *c, uint32_t chunks)
{
	return chunks == 0 ? c->free_meta_blocks > 0 :
	    c->free_chunks >= chunks;
}

/* Tries one; 0, -ENOSPC to go on, or what makes going on useless. */
static int
try_cluster(struct ds *ds, uint64_t cluster, const struct cluster_info *seen,
    uint32_t chunks, struct lease **ret_l)
{
	struct lease *l;
	int r;

	if (seen->chunks == 0 || !has_enough(seen, chunks) ||
	    lease_find(ds, cluster) != NULL ||
	    !ds_extent_is_usable(ds, cluster))
		return -ENOSPC;
	r = lease_take(ds, cluster, &l);
	if (r == -VMFS_ELOCKED)
		ds->locked_room = true;
	if (r == -VMFS_ELOCKED || r == -VMFS_ECORRUPT || r == -VMFS_EEXTENT)
		return -ENOSPC;
	if (r < 0)
		return r;
	if (chunks == 0 ? l->info.free_meta_blocks == 0 : l->n_free < chunks)
		return -ENOSPC;
	*ret_l = l;
	return 0;
}

/* Of the first n clusters. */
static int
search(struct ds *ds, uint64_t n, uint32_t chunks, struct lease **ret_l)
{
	struct cluster_info seen[SPACE_BATCH];
	uint64_t start = ds->next_cluster % n, done, at;
	unsigned batch;
	int r;

	ds->locked_room = false;
	for (done = 0; done < n; done += batch) {
		at = (start + done) % n;
		batch = SPACE_BATCH;
		if (n - at < batch)
			batch = (unsigned)(n - at);
		r = space_peek(ds, at, batch, seen);
		if (r < 0)
			return r;
		for (unsigned i = 0; i < batch; i++) {
			get_longer(ds, &seen[i]);
			r = try_cluster(ds, at + i, &seen[i], chunks, ret_l);
			if (r != -ENOSPC) {
				ds->next_cluster = (at + i + 1) % n;
				return r;
			}
		}
	}
	return -ENOSPC;
}

int
lease_more(struct ds *ds, uint32_t chunks, struct lease **ret_l)
{
	bool big = ds_open_clusters(ds) > BIG_VOLUME;
	uint64_t now = env_now(ds->conf.env);
	uint64_t *until = &ds->full_until_ns[chunks > 1];
	int r;

	/* Writers to a full volume must not read its whole table each. */
	if (chunks > 0 && now < *until)
		return -ENOSPC;
	r = search(ds, ds_open_clusters(ds), chunks, ret_l);
	if (r == -ENOSPC && chunks > 0 && big)
		*until = now + FULL_NS;
	return r;
}

int
lease_more_first(struct ds *ds, uint32_t chunks, struct lease **ret_l)
{
	uint64_t n = (ds->super.extent[0].blocks + ds->super.cluster_blocks -
	    1) / ds->super.cluster_blocks;

	return search(ds, n < ds_open_clusters(ds) ? n : ds_open_clusters(ds),
	    chunks, ret_l);
}

void
lease_mark_leaving(struct ds *ds)
{
	list_for_each(node, tmp, &ds->leases) {
		struct lease *l = list_entry(node, struct lease, link);

		l->leaving = !ds_extent_is_usable(ds, l->cluster);
	}
}

void
lease_dirty(struct txn *t, struct lease *l)
{
	l->idle_ticks = 0;
	l->closing = false;
	cluster_encode(l->b->data, &l->info);
	mb_dirty(t, l->b, LOCK_RECORD_SIZE + offsetof(struct cluster_disk,
	    chunks), 24);
	space_seen(t->ds, l->cluster, l->info.free_chunks);
}

/* ---- what checkpoints make available ---- */

/*
 * What is freed can be given out when the map without it is in its place: who
 * reads a file of ours on another host goes by what lies there, and must not
 * find another file's data.
 */
void
lease_commit_begins(struct ds *ds)
{
	list_for_each(node, tmp, &ds->leases) {
		struct lease *l = list_entry(node, struct lease, link);

		/* Most commits free nothing. */
		for (size_t i = 0; l->any_freed && i < CLUSTER_BITMAP_SIZE;
		    i++) {
			l->waiting[i] |= l->freed[i];
			l->freed[i] = 0;
		}
		l->any_waiting |= l->any_freed;
		l->any_freed = false;
		for (unsigned i = 0; i < l->n_mchunks; i++) {
			l->mchunks[i].waiting |= l->mchunks[i].freed;
			l->mchunks[i].freed = 0;
			l->mchunks[i].fresh = 0;
		}
	}
}

void
lease_checkpoint_begins(struct ds *ds)
{
	list_for_each(node, tmp, &ds->leases) {
		struct lease *l = list_entry(node, struct lease, link);

		if (l->any_waiting) {
			memcpy(l->settling, l->waiting, sizeof(l->settling));
			memset(l->waiting, 0, sizeof(l->waiting));
		}
		l->any_settling = l->any_waiting;
		l->any_waiting = false;
		for (unsigned i = 0; i < l->n_mchunks; i++) {
			l->mchunks[i].settling = l->mchunks[i].waiting;
			l->mchunks[i].waiting = 0;
		}
	}
}

static void
settled(struct lease *l, bool discard)
{
	for (size_t i = 0; l->any_settling && i < CLUSTER_BITMAP_SIZE; i++) {
		uint8_t f = l->settling[i];

		if (f == 0)
			continue;
		l->n_free += (uint32_t)__builtin_popcount(f);
		l->busy[i] = (uint8_t)(l->busy[i] & ~f);
		if (discard)
			l->discard[i] = (uint8_t)(l->discard[i] | f);
		l->settling[i] = 0;
	}
	l->any_settling = false;
	for (unsigned i = 0; i < l->n_mchunks; i++) {
		struct mchunk *m = &l->mchunks[i];

		m->busy = (uint16_t)(m->busy & ~m->settling);
		m->settling = 0;
	}
}

void
lease_settled(struct ds *ds)
{
	list_for_each(node, tmp, &ds->leases)
		settled(list_entry(node, struct lease, link),
		    discard_is_on(ds));
}

bool
lease_waits(const struct ds *ds)
{
	list_for_each(node, tmp, &ds->leases) {
		const struct lease *l = list_entry(node, struct lease, link);
		bool any = l->any_freed || l->any_waiting || l->any_settling;

		for (unsigned i = 0; !any && i < l->n_mchunks; i++)
			any = (l->mchunks[i].freed | l->mchunks[i].waiting |
			    l->mchunks[i].settling) != 0;
		if (any)
			return true;
	}
	return false;
}

void
lease_checkpoint_done(struct ds *ds, uint64_t txn_id)
{
	list_for_each(node, tmp, &ds->leases) {
		struct lease *l = list_entry(node, struct lease, link);
		unsigned kept = 0;

		for (unsigned i = 0; i < l->n_retired; i++) {
			if (l->retired[i].txn_id > txn_id) {
				l->retired[kept++] = l->retired[i];
				continue;
			}
			bitmap_put(l->busy, l->retired[i].chunk, false);
			bitmap_put(l->discard, l->retired[i].chunk,
			    discard_is_on(ds));
			l->n_free++;
		}
		l->n_retired = kept;
	}
}

/* ---- giving back ---- */

static bool
should_close(const struct ds *ds, const struct lease *l, unsigned open)
{
	if (discard_keeps(ds, l, open))
		return false;
	if (l->leaving || (l->n_free == 0 && l->info.free_meta_blocks == 0))
		return true;
	/* Whoever leases it next does not know them for free. */
	if (lease_has_empty(l) && l->idle_ticks < IDLE_TICKS_EMPTY)
		return false;
	if (open > LEASES_KEPT && l->idle_ticks > 0)
		return true;
	return l->idle_ticks >= (open > 1 ? IDLE_TICKS_SPARE :
	    IDLE_TICKS_LAST);
}

static unsigned
mark_closing(struct ds *ds, bool all)
{
	unsigned open = ds->n_leases, n = 0;

	list_for_each(node, tmp, &ds->leases) {
		struct lease *l = list_entry(node, struct lease, link);

		l->idle_ticks++;
		l->closing = l->users == 0 && (all || should_close(ds, l, open)) &&
		    ds_extent_is_here(ds, l->cluster);
		if (l->closing) {
			n++;
			open--;
		}
	}
	return n;
}

static int
give_back(struct ds *ds, struct lease *l)
{
	struct lock_grant g = l->grant;

	list_del(&l->link);
	ds->n_leases--;
	discard_given(ds, l);
	lease_free(l);
	mb_forget(ds, g.addr);
	return ds->conf.locks->vt->release(ds->conf.locks, &g);
}

/* Any fiber may have come to use it since it was marked. */
static struct lease *
next_closing(struct ds *ds)
{
	list_for_each(node, tmp, &ds->leases) {
		struct lease *l = list_entry(node, struct lease, link);

		if (l->closing && l->users == 0 &&
		    owner_is_clean(ds, l->grant.addr))
			return l;
	}
	return NULL;
}

/* Gives back what is marked. */
static int
close_marked(struct ds *ds)
{
	struct lease *l;
	int r;

	/* The journal must not reach back into what others get from here. */
	r = ds_checkpoint(ds, 0);
	if (r < 0)
		return r;
	fiber_mutex_lock(&ds->lease_lock);
	while (r == 0 && ds->health == 0 && (l = next_closing(ds)) != NULL)
		r = give_back(ds, l);
	fiber_mutex_unlock(&ds->lease_lock);
	list_for_each(node, tmp, &ds->leases)
		list_entry(node, struct lease, link)->closing = false;
	return r < 0 ? r : ds->health;
}

int
lease_trim(struct ds *ds, bool all)
{
	return mark_closing(ds, all) == 0 ? 0 : close_marked(ds);
}

/* The one that was used last. */
static struct lease *
freshest(struct ds *ds)
{
	struct lease *best = NULL;

	list_for_each(node, tmp, &ds->leases) {
		struct lease *l = list_entry(node, struct lease, link);

		if (best == NULL || l->idle_ticks < best->idle_ticks)
			best = l;
	}
	return best;
}

int
lease_yield(struct ds *ds)
{
	struct lease *keep = ds->n_leases > 1 ? freshest(ds) : NULL;
	unsigned n = 0;

	list_for_each(node, tmp, &ds->leases) {
		struct lease *l = list_entry(node, struct lease, link);

		l->closing = l->users == 0 && l != keep &&
		    ds_extent_is_here(ds, l->cluster);
		n += l->closing;
	}
	return n == 0 ? 0 : close_marked(ds);
}

void
lease_forget_all(struct ds *ds)
{
	list_for_each(node, tmp, &ds->leases) {
		list_del(node);
		lease_free(list_entry(node, struct lease, link));
	}
	ds->n_leases = 0;
}
