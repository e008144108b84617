/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading and writing the three copies of the superblock. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/core/ds.h"
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

uint32_t
volume_cluster_chunks(const struct super *s, uint64_t cluster)
{
	uint64_t left = s->blocks - cluster * s->cluster_blocks;

	if (left > s->cluster_blocks)
		left = s->cluster_blocks;
	return (uint32_t)(left / CHUNK_BLOCKS);
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

/* What was seen while looking for a copy. */
struct search {
	struct disk *disk;
	void *buf;
	struct super best;
	bool found;
	int error;		/* the most telling one so far */
};

/* Damage tells more than absence, unknown features more than damage. */
static int
worse(int a, int b)
{
	static const int rank[] = { -VMFS_ENOTVMFS, -VMFS_ECORRUPT,
	    -VMFS_EFEATURE };
	int ra = 3, rb = 3;

	for (int i = 0; i < 3; i++) {
		ra = rank[i] == a ? i : ra;
		rb = rank[i] == b ? i : rb;
	}
	return rb > ra ? b : a;
}

static void
search_copy(struct search *q, uint64_t block)
{
	struct super s;
	int r;

	r = disk_read(q->disk, block << BLOCK_SHIFT, q->buf, BLOCK_SIZE);
	if (r == 0)
		r = super_decode(q->buf, block, &s);
	if (r < 0) {
		q->error = worse(q->error, r);
		return;
	}
	if (!q->found || s.generation > q->best.generation)
		q->best = s;
	q->found = true;
}

int
super_read(struct disk *disk, struct super *ret_s)
{
	cleanup_free void *buf = disk_buf_alloc(BLOCK_SIZE);
	struct search q = { .disk = disk, .buf = buf,
	    .error = -VMFS_ENOTVMFS };
	uint64_t blocks = disk->info.size_bytes >> BLOCK_SHIFT;
	uint64_t at[VOLUME_COPY2_MAX];
	unsigned n;

	if (buf == NULL)
		return -ENOMEM;
	if (blocks <= CLUSTER_TABLE_BLOCK)
		return -VMFS_ENOTVMFS;
	search_copy(&q, SUPER_BLOCK_0);
	search_copy(&q, SUPER_BLOCK_1);
	if (q.found) {
		if (q.best.copy2_block < blocks)
			search_copy(&q, q.best.copy2_block);
	} else {
		/* As mkfs places it, for each size of a cluster. */
		n = volume_copy2_candidates(blocks / CHUNK_BLOCKS *
		    CHUNK_BLOCKS, at);
		for (unsigned i = 0; i < n; i++)
			search_copy(&q, at[i]);
	}
	if (!q.found)
		return q.error;
	*ret_s = q.best;
	return q.best.blocks > blocks ? -ERANGE : 0;
}

int
super_write(struct disk *disk, struct super *s)
{
	const uint64_t at[] = { SUPER_BLOCK_0, SUPER_BLOCK_1, s->copy2_block };
	cleanup_free void *buf = disk_buf_alloc(BLOCK_SIZE);
	int r;

	if (buf == NULL)
		return -ENOMEM;
	s->generation++;
	for (unsigned i = 0; i < 3; i++) {
		super_encode(buf, at[i], s);
		r = disk_write(disk, at[i] << BLOCK_SHIFT, buf, BLOCK_SIZE, 0);
		if (r == 0)
			r = disk_flush(disk);
		if (r < 0)
			return r;
	}
	return 0;
}
