/* SPDX-License-Identifier: BSD-2-Clause */
/* What a new datastore will look like. */
#include <string.h>

#include "libvmfs/core/mkds.h"
#include "libvmfs/core/volume.h"
#include "libvmfs/format/cluster.h"
#include "libvmfs/format/journal.h"

#define CLUSTERS_WANTED 64	/* so that many hosts find one of their own */
#define JOURNAL_SHARE 256	/* of the volume, for each host */

static uint64_t
clamp(uint64_t v, uint64_t min, uint64_t max)
{
	return v < min ? min : v > max ? max : v;
}

static uint32_t
cluster_blocks_for(uint64_t blocks)
{
	uint64_t want = clamp(blocks / CLUSTERS_WANTED,
	    CLUSTER_CHUNKS_MIN * CHUNK_BLOCKS,
	    CLUSTER_CHUNKS_MAX * CHUNK_BLOCKS);
	uint32_t n = CLUSTER_CHUNKS_MIN * CHUNK_BLOCKS;

	while ((uint64_t)n * 2 <= want)
		n *= 2;
	return n;
}

static uint32_t
journal_blocks_for(uint64_t blocks)
{
	return (uint32_t)clamp(blocks / JOURNAL_SHARE, JOURNAL_BLOCKS_MIN,
	    JOURNAL_BLOCKS_MAX) / CHUNK_BLOCKS * CHUNK_BLOCKS;
}

static int
choose_protocol(const struct disk_info *info, enum lock_protocol wanted,
    enum lock_protocol *ret_p)
{
	static const struct {
		enum lock_protocol protocol;
		unsigned caps;
	} table[] = {
		{ LOCK_ATS_PR, DISK_CAP_CAW | DISK_CAP_PR },
		{ LOCK_FILE, DISK_CAP_CAW | DISK_CAP_HOLD },
		{ LOCK_ATS_WATCHDOG, DISK_CAP_CAW },
		{ LOCK_RESERVE, DISK_CAP_RESERVE },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		if (wanted != 0 && table[i].protocol != wanted)
			continue;
		if ((info->caps & table[i].caps) == table[i].caps) {
			*ret_p = table[i].protocol;
			return 0;
		}
	}
	return -EOPNOTSUPP;
}

/* Defaults of L9; without a fence at the LUN, time is the proof (L5). */
static void
default_timers(struct timers *t, enum lock_protocol protocol)
{
	static const struct timers l9 = { 3000, 8000, 12000, 18000, 7000,
		30000, 30000 };
	bool by_time = protocol == LOCK_ATS_WATCHDOG ||
	    protocol == LOCK_RESERVE;

	if (t->pulse_ms == 0)
		t->pulse_ms = l9.pulse_ms;
	if (t->io_ms == 0)
		t->io_ms = l9.io_ms;
	if (t->freeze_ms == 0)
		t->freeze_ms = l9.freeze_ms;
	if (!by_time)
		t->watchdog_ms = t->bound_ms = 0;
	if (by_time && t->watchdog_ms == 0)
		t->watchdog_ms = l9.watchdog_ms;
	if (by_time && t->bound_ms == 0)
		t->bound_ms = l9.bound_ms;
	if (t->fence_ms == 0)
		t->fence_ms = by_time ? t->pulse_ms + t->freeze_ms +
		    t->watchdog_ms + t->bound_ms : l9.fence_ms;
	if (t->fence_hint_ms == 0)
		t->fence_hint_ms = by_time || t->fence_ms < l9.fence_ms ?
		    t->fence_ms : l9.fence_hint_ms;
}

static void
plan_space(const struct mkds_conf *conf, uint64_t blocks, struct super *s)
{
	s->blocks = blocks;
	s->cluster_blocks = conf->cluster_blocks ? conf->cluster_blocks :
	    cluster_blocks_for(blocks);
	s->journal_blocks = conf->journal_blocks ? conf->journal_blocks :
	    journal_blocks_for(blocks);
	s->copy2_block = volume_copy2_block(blocks, s->cluster_blocks);
	/* First block behind the head of the first metachunk, which takes a
	 * pair of chunks of its own. */
	s->root_ino = (s->copy2_block / (2 * CHUNK_BLOCKS) + 1) *
	    (2 * CHUNK_BLOCKS) + 1;
	s->extents = 1;
	s->extent[0].blocks = blocks;
	s->segments = 1;
	s->segment[0] = (struct super_segment) {
		.clusters = volume_clusters(s),
		.table_block = CLUSTER_TABLE_BLOCK,
	};
}

static bool
sizes_are_valid(const struct mkds_conf *c)
{
	uint32_t n = c->cluster_blocks, j = c->journal_blocks;

	if (n != 0 && (n < CLUSTER_CHUNKS_MIN * CHUNK_BLOCKS ||
	    n > CLUSTER_CHUNKS_MAX * CHUNK_BLOCKS || (n & (n - 1)) != 0))
		return false;
	return j == 0 || (j >= JOURNAL_BLOCKS_MIN && j <= JOURNAL_BLOCKS_MAX &&
	    j % CHUNK_BLOCKS == 0);
}

int
mkds_plan(const struct disk_info *info, const struct mkds_conf *conf,
    struct super *ret_s)
{
	struct super s = {
		.version = 1,
		.ro_compat = FEATURE_RO_COMPAT_ASKS |
		    FEATURE_RO_COMPAT_ATTRS,
		.sector_size = info->block_size,
		.uuid = conf->uuid,
		.timers = conf->timers,
	};
	int r;

	if (info->size_bytes < MKDS_SIZE_MIN)
		return -ENOSPC;
	if ((info->block_size != 512 && info->block_size != 4096) ||
	    !sizes_are_valid(conf) || (conf->label != NULL &&
	    strlen(conf->label) > SUPER_LABEL_MAX))
		return -EINVAL;
	r = choose_protocol(info, conf->protocol, &s.protocol);
	if (r < 0)
		return r;
	/* A section of RESERVE would take what shares its sector along. */
	if (s.protocol == LOCK_RESERVE && s.sector_size != 512)
		return -EOPNOTSUPP;
	default_timers(&s.timers, s.protocol);
	if (conf->label != NULL)
		memcpy(s.label, conf->label, strlen(conf->label));
	volume_rehome(&s, info);
	plan_space(conf, info->size_bytes / CHUNK_SIZE * CHUNK_BLOCKS, &s);
	/* Every host's journal is one run inside a cluster. */
	if (s.journal_blocks > s.cluster_blocks / 2)
		return -EINVAL;
	*ret_s = s;
	return 0;
}
