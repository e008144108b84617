/* SPDX-License-Identifier: BSD-2-Clause */
/* Writing a new, empty datastore. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/core/ds.h"
#include "libvmfs/core/mkds.h"
#include "libvmfs/core/volume.h"
#include "libvmfs/format/cluster.h"
#include "libvmfs/format/inode.h"

#define BATCH_BLOCKS 256u	/* written at once */
#define STEPS 4			/* of progress besides the clusters */

struct mkds {
	struct env *env;
	struct disk *disk;
	const struct mkds_conf *conf;
	struct super *s;
	uint8_t *buf;		/* BATCH_BLOCKS */
	uint64_t done, total;	/* blocks, for progress */
};

static void
advance(struct mkds *m, uint64_t blocks)
{
	m->done += blocks;
	if (m->conf->progress != NULL)
		m->conf->progress(m->conf->progress_arg, m->done, m->total);
}

static int
write_blocks(struct mkds *m, uint64_t block, unsigned count)
{
	uint32_t max = m->disk->info.max_transfer;
	size_t step = max >= BLOCK_SIZE ? max & ~(size_t)(BLOCK_SIZE - 1) :
	    (size_t)BATCH_BLOCKS * BLOCK_SIZE;
	size_t len = (size_t)count * BLOCK_SIZE;
	int r;

	for (size_t at = 0; at < len; at += step) {
		r = disk_write(m->disk, (block << BLOCK_SHIFT) + at,
		    m->buf + at, len - at < step ? len - at : step, 0);
		if (r < 0)
			return r;
	}
	return 0;
}

/* From here on there is no datastore until the last step. */
static int
erase_supers(struct mkds *m)
{
	uint64_t at[VOLUME_COPY2_MAX];
	unsigned n = volume_copy2_candidates(m->s->blocks, at);
	int r;

	memset(m->buf, 0, BATCH_BLOCKS * BLOCK_SIZE);
	r = write_blocks(m, 0, SUPER_BLOCK_0 + 1);
	if (r == 0)
		r = write_blocks(m, SUPER_BLOCK_1, 1);
	for (unsigned i = 0; r == 0 && i < n; i++)
		r = write_blocks(m, at[i], 1);
	if (r == 0)
		r = disk_flush(m->disk);
	return r;
}

static int
write_slots(struct mkds *m)
{
	memset(m->buf, 0, (size_t)SLOTS_MAX * BLOCK_SIZE);
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		block_hdr_encode(m->buf + (size_t)i * BLOCK_SIZE,
		    &(struct block_hdr) {
			.type = BLOCK_SLOT,
			.addr = SLOT_TABLE_BLOCK + i,
			.owner = SLOT_TABLE_BLOCK + i,
		    }, &m->s->uuid);
	return write_blocks(m, SLOT_TABLE_BLOCK, SLOTS_MAX);
}

static uint64_t
root_chunk(const struct super *s)
{
	return s->root_ino / CHUNK_BLOCKS;
}

static void
make_cluster(const struct mkds *m, uint64_t cluster, uint8_t *block)
{
	const struct super *s = m->s;
	uint64_t first = cluster * (s->cluster_blocks / CHUNK_BLOCKS);
	uint64_t fixed = s->copy2_block / CHUNK_BLOCKS + 1;
	uint64_t addr = volume_cluster_block(s, cluster);
	struct cluster_info c = {
		.cluster = cluster,
		.chunks = volume_cluster_chunks(s, cluster),
	};

	memset(block, 0, BLOCK_SIZE);
	for (uint32_t i = 0; i < c.chunks; i++) {
		bool meta = first + i == root_chunk(s);

		if (first + i >= fixed && !meta) {
			c.free_chunks++;
			continue;
		}
		cluster_chunk_set_used(block, i, true);
		if (!meta)
			continue;
		cluster_pair_set_meta(block, i / 2, true);
		c.metachunks = 1;
		c.free_meta_blocks = CHUNK_BLOCKS - 2;
		c.meta_hint = i;
	}
	cluster_encode(block, &c);
	block_hdr_encode(block, &(struct block_hdr) {
		.type = BLOCK_CLUSTER,
		.addr = addr,
		.owner = addr,
	}, &s->uuid);
}

static int
write_clusters(struct mkds *m)
{
	uint64_t n = volume_clusters(m->s);
	int r;

	for (uint64_t c = 0; c < n; c += BATCH_BLOCKS) {
		unsigned batch = n - c < BATCH_BLOCKS ? (unsigned)(n - c) :
		    BATCH_BLOCKS;

		for (unsigned i = 0; i < batch; i++)
			make_cluster(m, c + i, m->buf + (size_t)i * BLOCK_SIZE);
		r = write_blocks(m, CLUSTER_TABLE_BLOCK + c, batch);
		if (r < 0)
			return r;
		advance(m, batch);
	}
	return 0;
}

static void
make_root(const struct mkds *m, uint8_t *block)
{
	uint64_t now_ns = m->env->wall_us(m->env) * 1000;
	uint32_t random[2];
	struct inode_info i;

	m->env->random(m->env, random, sizeof(random));
	i = (struct inode_info) {
		.generation = random[0],
		.type = INODE_DIR,
		.mode = 0755,
		.nlink = 2,
		.flags = INODE_INLINE,
		.atime_ns = now_ns,
		.mtime_ns = now_ns,
		.ctime_ns = now_ns,
		.btime_ns = now_ns,
		.parent = m->s->root_ino,
		.epoch = 1,
		.next_snapshot_id = 1,
		.dir_seed = random[1],
	};
	inode_encode(block, &i);
	block_hdr_encode(block, &(struct block_hdr) {
		.type = BLOCK_INODE,
		.addr = m->s->root_ino,
		.owner = m->s->root_ino,
	}, &m->s->uuid);
}

static int
write_root(struct mkds *m)
{
	uint64_t chunk = root_chunk(m->s);
	uint64_t cluster = chunk / (m->s->cluster_blocks / CHUNK_BLOCKS);
	const struct metachunk_info mc = {
		.used = 3,
		.type = { BLOCK_METACHUNK, BLOCK_INODE },
	};

	memset(m->buf, 0, CHUNK_SIZE);
	metachunk_encode(m->buf, &mc);
	block_hdr_encode(m->buf, &(struct block_hdr) {
		.type = BLOCK_METACHUNK,
		.addr = chunk * CHUNK_BLOCKS,
		.owner = volume_cluster_block(m->s, cluster),
	}, &m->s->uuid);
	make_root(m, m->buf + BLOCK_SIZE);
	return write_blocks(m, chunk * CHUNK_BLOCKS, CHUNK_BLOCKS);
}

static int
write_all(struct mkds *m)
{
	static int (*const step[])(struct mkds *m) = {
		erase_supers, write_slots, write_root, write_clusters,
	};
	int r;

	for (size_t i = 0; i < sizeof(step) / sizeof(*step); i++) {
		r = step[i](m);
		if (r < 0)
			return r;
		advance(m, 1);
	}
	/* The superblocks make it a datastore: all else is durable before. */
	r = disk_flush(m->disk);
	if (r < 0)
		return r;
	return super_write(m->disk, m->s);
}

int
mkds_write(struct env *env, struct disk *disk, const struct mkds_conf *conf,
    struct super *s)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BATCH_BLOCKS * BLOCK_SIZE);
	struct mkds m = {
		.env = env,
		.disk = disk,
		.conf = conf,
		.s = s,
		.buf = buf,
		.total = volume_clusters(s) + STEPS,
	};

	if (buf == NULL)
		return -ENOMEM;
	if (uuid_is_null(&s->uuid))
		env_uuid(env, &s->uuid);
	s->extent[0].uuid = s->uuid;
	s->created_us = env->wall_us(env);
	s->generation = 0;
	return write_all(&m);
}
