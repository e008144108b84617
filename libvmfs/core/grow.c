/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changes of the superblock of a mounted datastore.  Growing writes the new
 * clusters' blocks first, into space that nobody knows, then the superblocks:
 * before the first of them is whole, nothing has happened.
 */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/core/ds_priv.h"
#include "libvmfs/core/volume.h"

#define BATCH_BLOCKS 256u

/* Does a table that growing has made lie there? */
static bool
is_table(const struct super *s, uint64_t block)
{
	for (unsigned i = 1; i < s->segments; i++)
		if (block >= s->segment[i].table_block &&
		    block - s->segment[i].table_block <
		    volume_table_blocks(s, i))
			return true;
	return false;
}

static void
make_cluster(const struct super *s, uint64_t cluster, uint8_t *block)
{
	uint64_t addr = volume_cluster_block(s, cluster);
	struct cluster_info c = {
		.cluster = cluster,
		.chunks = volume_cluster_chunks(s, cluster),
	};

	memset(block, 0, BLOCK_SIZE);
	for (uint32_t i = 0; i < c.chunks; i++) {
		bool used = is_table(s, cluster * s->cluster_blocks +
		    (uint64_t)i * CHUNK_BLOCKS);

		cluster_chunk_set_used(block, i, used);
		c.free_chunks += !used;
	}
	cluster_encode(block, &c);
	block_hdr_encode(block, &(struct block_hdr) {
		.type = BLOCK_CLUSTER,
		.addr = addr,
		.owner = addr,
	}, &s->uuid);
}

/* Clusters [from, to) of the new volume, in one segment. */
int
ds_write_clusters(struct disk *disk, const struct super *s, uint64_t from,
    uint64_t to)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BATCH_BLOCKS * BLOCK_SIZE);
	uint32_t max = disk->info.max_transfer;
	unsigned step = BATCH_BLOCKS;
	int r = 0;

	if (buf == NULL)
		return -ENOMEM;
	if (max >= BLOCK_SIZE && max / BLOCK_SIZE < step)
		step = max / BLOCK_SIZE;
	for (uint64_t c = from; c < to && r == 0; c += step) {
		unsigned n = to - c < step ? (unsigned)(to - c) : step;

		for (unsigned i = 0; i < n; i++)
			make_cluster(s, c + i, buf + (size_t)i * BLOCK_SIZE);
		r = disk_write(disk, volume_cluster_block(s, c) << BLOCK_SHIFT,
		    buf, (size_t)n * BLOCK_SIZE, 0);
	}
	return r < 0 ? r : disk_flush(disk);
}

/* Everybody goes by the superblock that is about to be followed. */
static int
all_are_with_us(struct ds *ds)
{
	if (ds->conf.readonly)
		return -EROFS;
	if (ds->health < 0)
		return ds->health;
	if (ds->conf.locks->super_all < ds->super.generation)
		return -VMFS_EINUSE;
	return 0;
}

int
ds_super_change(struct ds *ds, const struct super *next)
{
	struct super s = *next;
	int r = super_write(ds->conf.disk, &s);

	if (r == 0)
		r = ds_super_reload(ds);
	return r < 0 ? r : ds_super_keep(ds);
}

/* What is newest and whole on the LUN, known to all. */
int
ds_super_begin(struct ds *ds)
{
	int r = ds_super_reload(ds);

	if (r == 0)
		r = ds_super_keep(ds);
	if (r == 0)
		r = all_are_with_us(ds);
	return r < 0 ? r : super_mend(ds->conf.disk);
}

int
ds_grow(struct ds *ds)
{
	struct disk *disk = ds->conf.disk;
	struct super s;
	int r = ds_super_begin(ds);

	if (r == 0)
		r = disk_refresh(disk);
	if (r == 0)
		r = volume_plan_grow(&ds->super,
		    disk->info.size_bytes >> BLOCK_SHIFT, &s);
	if (r == 0)
		r = ds_write_clusters(disk, &s, volume_clusters(&ds->super),
		    volume_clusters(&s));
	return r < 0 ? r : ds_super_change(ds, &s);
}

int
ds_set_label(struct ds *ds, const char *label)
{
	size_t len = strlen(label);
	struct super s;
	int r;

	if (len == 0 || len > SUPER_LABEL_MAX)
		return -EINVAL;
	r = ds_super_begin(ds);
	if (r < 0)
		return r;
	s = ds->super;
	memset(s.label, 0, sizeof(s.label));
	memcpy(s.label, label, len);
	return ds_super_change(ds, &s);
}

int
ds_set_features(struct ds *ds, uint64_t incompat, uint64_t ro_compat)
{
	struct super s;
	int r = ds_super_begin(ds);

	if (r < 0 || ((ds->super.incompat & incompat) == incompat &&
	    (ds->super.ro_compat & ro_compat) == ro_compat))
		return r;
	s = ds->super;
	s.incompat |= incompat;
	s.ro_compat |= ro_compat;
	return ds_super_change(ds, &s);
}
