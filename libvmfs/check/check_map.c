/* SPDX-License-Identifier: BSD-2-Clause */
/* The map of a file, disk or snapshot: nodes are sound, space is its own. */
#include <stdlib.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/check/check_priv.h"
#include "libvmfs/format/mapnode.h"

struct map_walk {
	struct check *c;
	uint32_t alone_after;
	const char *object;
};

static int check_map_node(struct map_walk *w, uint64_t block, unsigned level,
    uint32_t birth);

/*
 * Reads a node not seen before.  1: seen through another tree that shares it;
 * -VMFS_ECORRUPT was reported.
 */
static int
check_map_read(struct map_walk *w, uint64_t block, enum block_type type,
    uint32_t birth, void *buf)
{
	int rc;

	rc = check_block(w->c, block, type, buf);
	if (rc == -VMFS_ECORRUPT) {
		check_report(w->c, CHECK_MAP, CHECK_DAMAGE, block, false,
		    "a map block (%llu) of %s is damaged: what it maps cannot "
		    "be read", (unsigned long long)block, w->object);
		return 1;
	}
	if (rc != 0)
		return rc;
	if (check_mark_meta(w->c, block, type, w->object))
		return 0;
	if (birth > w->alone_after)
		check_report(w->c, CHECK_MAP_SHARED, CHECK_DAMAGE, block,
		    false, "map block %llu of %s is used by another object "
		    "too", (unsigned long long)block, w->object);
	return 1;
}

static int
check_map_leaf(struct map_walk *w, uint64_t block, uint32_t birth,
    uint16_t split)
{
	cleanup_free struct map_leaf_disk *d = disk_buf_alloc(BLOCK_SIZE);
	int rc;

	if (d == NULL)
		return -ENOMEM;
	rc = check_map_read(w, block, BLOCK_MAP_LEAF, birth, d);
	if (rc != 0)
		return rc > 0 ? 0 : rc;
	for (unsigned i = 0; i < MAP_FANOUT; i++) {
		struct map_chunk k;

		map_chunk_get(&d->entry[i], &k);
		if (!(split >> (i / 16) & 1) || (k.own == 0 && k.base == 0))
			continue;
		if (k.own != 0)
			check_mark_chunks(w->c, k.own, 1,
			    k.birth > w->alone_after, block, w->object);
		if (k.base != 0)
			check_mark_chunks(w->c, k.base, 1, false, block,
			    w->object);
	}
	return 0;
}

static int
check_map_entry(struct map_walk *w, uint64_t block, unsigned level,
    const struct map_entry *e)
{
	uint64_t chunks = 1ull << (map_entry_shift(level) - CHUNK_SHIFT);

	if (e->state == MAP_HUGE) {
		check_mark_chunks(w->c, e->block / CHUNK_BLOCKS, chunks,
		    e->birth > w->alone_after, block, w->object);
		return 0;
	}
	if (e->state == MAP_CHILD)
		return check_map_node(w, e->block, level - 1, e->birth);
	return 0;
}

static int
check_map_groups(struct map_walk *w, const struct map_node_disk *d,
    const uint16_t split[MAP_GROUPS])
{
	int rc = 0;

	for (unsigned g = 0; g < MAP_GROUPS && rc == 0; g++) {
		uint64_t leaf = le48_get(d->u.group[g].block);

		if (leaf != 0)
			rc = check_map_leaf(w, leaf,
			    le32_get(d->u.group[g].birth), split[g]);
		else if (split[g] != 0)
			check_report(w->c, CHECK_MAP, CHECK_DAMAGE,
			    le64_get(d->hdr.addr), false, "map block %llu of "
			    "%s lacks a leaf", (unsigned long long)le64_get(
			    d->hdr.addr), w->object);
	}
	return rc;
}

static int
check_map_node(struct map_walk *w, uint64_t block, unsigned level,
    uint32_t birth)
{
	cleanup_free struct map_node_disk *d = disk_buf_alloc(BLOCK_SIZE);
	uint16_t split[MAP_GROUPS] = { 0 };
	int rc;

	if (d == NULL)
		return -ENOMEM;
	rc = check_map_read(w, block, BLOCK_MAP_NODE, birth, d);
	if (rc != 0)
		return rc > 0 ? 0 : rc;
	for (unsigned i = 0; i < MAP_FANOUT && rc == 0; i++) {
		struct map_entry e;

		if (map_entry_get(&d->entry[i], level, &e) != 0) {
			check_report(w->c, CHECK_MAP, CHECK_DAMAGE, block,
			    false, "entry %u of map block %llu of %s makes no "
			    "sense", i, (unsigned long long)block, w->object);
			continue;
		}
		if (e.state == MAP_SPLIT)
			split[i / 16] = (uint16_t)(split[i / 16] |
			    1u << (i % 16));
		rc = check_map_entry(w, block, level, &e);
	}
	if (rc == 0 && level == 1)
		rc = check_map_groups(w, d, split);
	return rc;
}

int
check_map(struct check *c, const struct inode_info *i, uint32_t alone_after,
    const char *object)
{
	struct map_walk w = {
		.c = c, .alone_after = alone_after, .object = object,
	};

	if (i->map.block == 0)
		return 0;
	return check_map_node(&w, i->map.block, i->map.level, i->map.birth);
}
