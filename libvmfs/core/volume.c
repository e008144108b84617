/* SPDX-License-Identifier: BSD-2-Clause */
/* Arithmetic of a volume's layout, and how it grows. */
#include "libvmfs/core/volume.h"
#include "libvmfs/format/cluster.h"

uint64_t
volume_copy2_block(uint64_t blocks, uint32_t cluster_blocks)
{
	return CLUSTER_TABLE_BLOCK + (blocks + cluster_blocks - 1) /
	    cluster_blocks;
}

uint64_t
volume_clusters(const struct super *s)
{
	return (s->blocks + s->cluster_blocks - 1) / s->cluster_blocks;
}

int
volume_extent_of(const struct super *s, uint64_t block)
{
	for (unsigned i = 0; i < s->extents; i++)
		if (block >= s->extent[i].first_block &&
		    block - s->extent[i].first_block < s->extent[i].blocks)
			return (int)i;
	return -1;
}

bool
volume_has_block(const struct super *s, uint64_t block)
{
	return volume_extent_of(s, block) >= 0;
}

uint64_t
volume_space(const struct super *s)
{
	uint64_t blocks = 0;

	for (unsigned i = 0; i < s->extents; i++)
		blocks += s->extent[i].blocks;
	return blocks;
}

uint32_t
volume_chunks_below(const struct super *s, uint64_t blocks, uint64_t cluster)
{
	uint64_t first = cluster * s->cluster_blocks, left;
	int i = volume_extent_of(s, first);

	/* A cluster lies on one LUN. */
	if (i < 0)
		return 0;
	left = s->extent[i].first_block + s->extent[i].blocks;
	if (left < blocks)
		blocks = left;
	left = first < blocks ? blocks - first : 0;
	if (left > s->cluster_blocks)
		left = s->cluster_blocks;
	return (uint32_t)(left / CHUNK_BLOCKS);
}

uint32_t
volume_cluster_chunks(const struct super *s, uint64_t cluster)
{
	return volume_chunks_below(s, s->blocks, cluster);
}

uint64_t
volume_cluster_block(const struct super *s, uint64_t cluster)
{
	for (unsigned i = 0; i < s->segments; i++) {
		const struct super_segment *g = &s->segment[i];

		if (cluster >= g->first_cluster &&
		    cluster - g->first_cluster < g->clusters)
			return g->table_block + cluster - g->first_cluster;
	}
	return 0;
}

unsigned
volume_copy2_candidates(uint64_t blocks, uint64_t at[VOLUME_COPY2_MAX])
{
	unsigned n = 0;

	for (uint32_t c = CLUSTER_CHUNKS_MIN; c <= CLUSTER_CHUNKS_MAX; c *= 2) {
		uint64_t block = volume_copy2_block(blocks, c * CHUNK_BLOCKS);

		if (block < blocks)
			at[n++] = block;
	}
	return n;
}

uint64_t
volume_table_blocks(const struct super *s, unsigned segment)
{
	uint64_t n = s->segment[segment].clusters;

	/* What mkfs made ends where copy 2 of the superblock is. */
	if (segment == 0)
		return n;
	return (n + VOLUME_TABLE_STEP - 1) / VOLUME_TABLE_STEP *
	    VOLUME_TABLE_STEP;
}

static int
add_segment(struct super *s, uint64_t first, uint64_t clusters)
{
	if (s->segments == SUPER_SEGMENTS_MAX)
		return -VMFS_ELIMIT;
	s->segment[s->segments++] = (struct super_segment) {
		.first_cluster = first,
		.clusters = clusters - first,
		.table_block = first * s->cluster_blocks,
	};
	return 0;
}

/* Clusters from the last segment's end on: into its spare room if that is
 * enough, else into a segment of their own. */
static int
add_clusters(struct super *s, uint64_t clusters)
{
	struct super_segment *last = &s->segment[s->segments - 1];
	uint64_t first = last->first_cluster + last->clusters;

	if (clusters == first)
		return 0;
	if (s->segments > 1 && clusters - last->first_cluster <=
	    volume_table_blocks(s, s->segments - 1)) {
		last->clusters = clusters - last->first_cluster;
		return 0;
	}
	return add_segment(s, first, clusters);
}

int
volume_plan_grow(const struct super *now, uint64_t lun_blocks,
    struct super *ret_s)
{
	struct super s = *now;
	uint64_t blocks = lun_blocks / CHUNK_BLOCKS * CHUNK_BLOCKS;
	uint64_t end = volume_clusters(now) * now->cluster_blocks;
	const struct super_extent *last = &now->extent[now->extents - 1];
	int r;

	if (blocks > UINT64_MAX >> 16)
		return -EFBIG;
	/* Behind it was an extent that has left; addresses are not reused. */
	if (last->first_block + last->blocks < now->blocks)
		return -ENODATA;
	/* The next cluster must have room for a table and something else. */
	if (blocks > end && blocks - end < 2 * VOLUME_TABLE_STEP)
		blocks = end;
	if (blocks <= now->blocks)
		return -ENODATA;
	s.prev_blocks = now->blocks;
	s.blocks = blocks;
	s.extent[s.extents - 1].blocks += blocks - now->blocks;
	s.ro_compat |= FEATURE_RO_COMPAT_GROWN;
	r = add_clusters(&s, volume_clusters(&s));
	if (r < 0)
		return r;
	*ret_s = s;
	return 0;
}

int
volume_plan_extent(const struct super *now, uint64_t lun_blocks,
    const struct uuid *uuid, struct super *ret_s)
{
	struct super s = *now;
	uint64_t first = volume_clusters(now), blocks;
	int r;

	if (lun_blocks < EXTENT_FRONT_BLOCKS + EXTENT_BLOCKS_MIN)
		return -ENOSPC;
	blocks = (lun_blocks - EXTENT_FRONT_BLOCKS) / CHUNK_BLOCKS *
	    CHUNK_BLOCKS;
	/* As for growing: a last cluster must have more than a table. */
	if (blocks > s.cluster_blocks &&
	    blocks % s.cluster_blocks < 2 * VOLUME_TABLE_STEP)
		blocks -= blocks % s.cluster_blocks;
	if (first * s.cluster_blocks + blocks > UINT64_MAX >> 16)
		return -EFBIG;
	if (s.extents == SUPER_EXTENTS_MAX)
		return -VMFS_ELIMIT;
	s.extent[s.extents++] = (struct super_extent) {
		.uuid = *uuid,
		.first_block = first * s.cluster_blocks,
		.blocks = blocks,
		.lun_block = EXTENT_FRONT_BLOCKS,
	};
	s.prev_blocks = now->blocks;
	s.blocks = first * s.cluster_blocks + blocks;
	s.ro_compat |= FEATURE_RO_COMPAT_GROWN;
	s.incompat |= FEATURE_INCOMPAT_EXTENTS;
	r = add_segment(&s, first, volume_clusters(&s));
	if (r < 0)
		return r;
	*ret_s = s;
	return 0;
}
