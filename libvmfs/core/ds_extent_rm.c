/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A LUN leaves the datastore: first nobody allocates there any more, then what
 * is there moves, then its entry goes, when every cluster of it is seen empty
 * under its lock.  Its addresses are never used again.
 */
#include <limits.h>

#include "libvmfs/core/ds_priv.h"
#include "libvmfs/core/extents.h"
#include "libvmfs/core/volume.h"

bool
ds_chunk_leaves(const struct ds *ds, uint64_t chunk)
{
	int i = ds->super.extents == 1 ? 0 :
	    volume_extent_of(&ds->super, chunk * CHUNK_BLOCKS);

	return i > 0 && (ds->super.extent[i].flags & EXTENT_LEAVING) != 0;
}

int
ds_extent_leave(struct ds *ds, unsigned i, bool leave)
{
	struct super s;
	int r = ds_super_begin(ds);

	if (r < 0)
		return r;
	if (i == 0 || i >= ds->super.extents)
		return -ENOENT;
	s = ds->super;
	s.extent[i].flags = leave ? EXTENT_LEAVING : 0;
	if (s.extent[i].flags == ds->super.extent[i].flags)
		return 0;
	return ds_super_change(ds, &s);
}

/* ---- what is there ---- */

struct range {
	uint64_t from, to;	/* clusters */
};

static struct range
clusters_of(const struct super *s, unsigned i)
{
	const struct super_extent *e = &s->extent[i];
	uint64_t from = e->first_block / s->cluster_blocks;

	return (struct range){ from, from + (e->blocks +
	    s->cluster_blocks - 1) / s->cluster_blocks };
}

/* Chunks of a cluster that are a table's. */
static uint32_t
table_chunks(const struct super *s, uint64_t cluster)
{
	uint32_t n = 0;

	for (unsigned i = 1; i < s->segments; i++)
		if (s->segment[i].table_block / s->cluster_blocks == cluster)
			n += (uint32_t)(volume_table_blocks(s, i) /
			    CHUNK_BLOCKS);
	return n;
}

/* What cannot be read now may all be in use. */
static int
cluster_seen(struct ds *ds, uint64_t cluster, struct cluster_info *ret_c)
{
	const struct lease *l = lease_find(ds, cluster);
	int r;

	if (l != NULL) {
		*ret_c = l->info;
		return 0;
	}
	if (!ds_extent_is_here(ds, cluster))
		return -VMFS_EEXTENT;
	r = space_peek(ds, cluster, 1, ret_c);
	if (r == 0 && ret_c->chunks == 0)
		ret_c->chunks = volume_cluster_chunks(&ds->super, cluster);
	return r;
}

int
ds_extent_used(struct ds *ds, unsigned i, uint64_t *ret_bytes)
{
	struct cluster_info info;
	struct range c;
	uint64_t chunks = 0;
	int r = 0;

	if (i >= ds->super.extents)
		return -ENOENT;
	c = clusters_of(&ds->super, i);
	for (uint64_t at = c.from; at < c.to && r == 0; at++) {
		r = cluster_seen(ds, at, &info);
		if (r == 0)
			chunks += info.chunks - info.free_chunks -
			    table_chunks(&ds->super, at);
	}
	if (r == 0)
		*ret_bytes = chunks << CHUNK_SHIFT;
	return r;
}

/* Who freed what was in them kept them for what comes, or is gone. */
static int
cluster_sweep(struct ds *ds, uint64_t cluster)
{
	struct cluster_info c;
	struct lease *l;
	int r = cluster_seen(ds, cluster, &c);

	if (r < 0 || c.metachunks == 0 ||
	    c.free_meta_blocks != c.metachunks * (CHUNK_BLOCKS - 1))
		return r;
	r = lease_take(ds, cluster, &l);
	if (r < 0)
		return r == -VMFS_ELOCKED ? 0 : r;
	l->users++;
	r = mchunk_load_all(ds, l);
	/* Where damage is in the way the space stays metadata's. */
	if (r == 0 && mchunk_retire(ds, UINT_MAX) < 0)
		r = ds->health;
	l->users--;
	return r;
}

int
ds_extent_sweep(struct ds *ds, unsigned i)
{
	struct range c;
	int r = 0;

	if (i >= ds->super.extents)
		return -ENOENT;
	c = clusters_of(&ds->super, i);
	for (uint64_t at = c.from; at < c.to && r == 0; at++)
		r = cluster_sweep(ds, at);
	return r;
}

/*
 * Nobody leases there any more whom we cannot ask: what others have done there
 * is in its place, and what they will do is to free.
 */
int
ds_extent_settled(struct ds *ds, unsigned i)
{
	struct lockops *l = ds->conf.locks;
	struct lock_holder h;
	struct range c;
	int r = 0;

	if (i >= ds->super.extents)
		return -ENOENT;
	if (l->super_all < ds->super.generation)
		return -VMFS_EINUSE;
	c = clusters_of(&ds->super, i);
	for (uint64_t at = c.from; at < c.to && r == 0; at++) {
		h = (struct lock_holder){ .mode = LOCK_FREE };
		r = l->vt->query(l, volume_cluster_block(&ds->super, at), &h);
		/* Of a host that was taken over all is in its place. */
		if (r == 0 && h.mode != LOCK_FREE &&
		    h.state != HOLDER_DEAD && lease_find(ds, at) == NULL)
			r = -VMFS_EINUSE;
	}
	return r;
}

/* ---- taking it out ---- */

/* Under its lock, which nobody takes after us: there is nothing to free. */
static int
cluster_is_empty(struct ds *ds, uint64_t cluster)
{
	struct lease *l;
	int r = lease_take(ds, cluster, &l);

	if (r < 0)
		return r == -VMFS_ELOCKED ? -EBUSY : r;
	return l->info.free_chunks + table_chunks(&ds->super, cluster) ==
	    l->info.chunks ? 0 : -ENOTEMPTY;
}

static int
take_out(struct ds *ds, unsigned i)
{
	struct super s = ds->super;
	struct range c = clusters_of(&s, i);
	unsigned n = 0;

	for (unsigned k = 0; k < s.segments; k++)
		if (s.segment[k].first_cluster < c.from ||
		    s.segment[k].first_cluster >= c.to)
			s.segment[n++] = s.segment[k];
	s.segments = n;
	for (unsigned k = i; k + 1 < s.extents; k++)
		s.extent[k] = s.extent[k + 1];
	s.extents--;
	s.prev_blocks = 0;
	return ds_super_change(ds, &s);
}

int
ds_extent_rm(struct ds *ds, unsigned i)
{
	struct range c;
	int r = ds_super_begin(ds);

	if (r < 0)
		return r;
	if (i == 0 || i >= ds->super.extents)
		return -ENOENT;
	if ((ds->super.extent[i].flags & EXTENT_LEAVING) == 0)
		return -EINVAL;
	if (!extents_has(ds->conf.extents, &ds->super.extent[i].uuid))
		return -VMFS_EEXTENT;
	r = ds_checkpoint(ds, 0);
	if (r == 0)
		r = ds_extent_sweep(ds, i);
	c = clusters_of(&ds->super, i);
	for (uint64_t at = c.from; at < c.to && r == 0; at++)
		r = cluster_is_empty(ds, at);
	/* Leases on a LUN that leaves are given back: nothing of it stays in
	 * the journal. */
	if (r == 0)
		r = lease_trim(ds, false);
	for (uint64_t at = c.from; at < c.to && r == 0; at++)
		r = lease_find(ds, at) != NULL ? -EBUSY : 0;
	if (r < 0)
		return r;
	ds->removing = true;
	r = take_out(ds, i);
	ds->removing = false;
	return r;
}
