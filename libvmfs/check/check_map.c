/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The map of a file, disk or snapshot: nodes are sound, space is its own.  What
 * is damaged becomes a hole: only its range is lost, and it is said which.
 */
#include <stdio.h>
#include <stdlib.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/check/check_priv.h"
#include "libvmfs/format/mapnode.h"

struct map_walk {
	struct check *c;
	uint64_t owner;		/* of what this tree wrote itself */
	uint32_t alone_after, own_after;
	const char *object;
	uint64_t chunks;	/* that it names */
	bool partly;		/* some of it was seen with another tree */
	bool lost;		/* some of it becomes holes, or is copied */
};

/* A node to read, and what of the file it maps. */
struct map_at {
	uint64_t block, offset;
	unsigned level;		/* 0: leaf */
	uint32_t birth;
};

static int check_map_node(struct map_walk *w, const struct map_at *at);

static uint64_t
bytes_of(unsigned level)
{
	unsigned shift = map_entry_shift(level) + 8;

	return shift < 63 ? 1ull << shift : 1ull << 63;
}

/* The range, as people read it: "bytes 268435456 to 536870911". */
static const char *
range_text(const struct map_at *at, uint64_t length, char text[64])
{
	snprintf(text, 64, "bytes %llu to %llu",
	    (unsigned long long)at->offset,
	    (unsigned long long)(at->offset + length - 1));
	return text;
}

static int
map_lost(struct map_walk *w, const struct map_at *at, const char *why)
{
	char range[64];

	w->lost = true;
	check_report(w->c, CHECK_MAP, CHECK_DAMAGE, at->block,
	    w->c->conf->repair, "a map block (%llu) of %s %s: %s %s",
	    (unsigned long long)at->block, w->object, why,
	    range_text(at, bytes_of(at->level), range),
	    w->c->conf->repair ? "are lost and read as zeroes" :
	    "cannot be read");
	return 1;
}

static int
check_owner(struct map_walk *w, const struct map_at *at, void *buf)
{
	struct block_hdr_disk *h = buf;

	/* What is inherited carries the owner of the family it came from. */
	if (at->birth <= w->own_after || le64_get(h->owner) == w->owner)
		return 0;
	if (check_inode_exists(w->c, le64_get(h->owner)))
		return map_lost(w, at, "is of another object");
	check_report(w->c, CHECK_MAP, CHECK_HARMLESS, at->block,
	    w->c->conf->repair, "a map block (%llu) of %s says that it is of "
	    "inode %llu, which does not exist", (unsigned long long)at->block,
	    w->object, (unsigned long long)le64_get(h->owner));
	if (!w->c->conf->repair)
		return 0;
	h->owner = le64(w->owner);
	return check_rewrite(w->c, at->block,
	    (enum block_type)le16_get(h->type), buf);
}

/* 0: buf is the block made anew. */
static int
map_damaged(struct map_walk *w, const struct map_at *at, void *buf)
{
	const struct check_relink x = {
		.block = at->block, .offset = at->offset, .owner = w->owner,
		.birth = at->birth, .alone_after = w->alone_after,
		.object = w->object,
	};
	int rc = at->level == 1 ? check_relink(w->c, &x, buf) : 1;

	return rc == 1 ? map_lost(w, at, "is damaged") : rc;
}

/*
 * Reads a node.  1: the pointer to it is to go; 2: seen through another tree
 * that shares it.
 */
static int
check_map_read(struct map_walk *w, const struct map_at *at, void *buf)
{
	enum block_type type = at->level == 0 ? BLOCK_MAP_LEAF :
	    BLOCK_MAP_NODE;
	int rc;

	rc = check_block(w->c, at->block, type, buf);
	if (rc == -VMFS_ECORRUPT)
		rc = map_damaged(w, at, buf);
	if (rc == 0)
		rc = check_owner(w, at, buf);
	if (rc != 0)
		return rc;
	switch (check_mark_meta(w->c, at->block, type, w->object)) {
	case MARK_NEW:
		return 0;
	case MARK_NOWHERE:
		return map_lost(w, at, "lies in no metachunk");
	case MARK_AGAIN:
		break;
	}
	if (at->birth > w->alone_after)
		return map_lost(w, at, "is used by another object too");
	w->partly = true;
	return 2;
}

/*
 * Claims data chunks; true when the entry has to become a hole.  What two
 * objects claim goes to both: the second gets a copy.
 */
static int
check_data(struct map_walk *w, const struct map_at *at, uint64_t *chunk,
    unsigned count, bool alone, bool *changed)
{
	struct check *c = w->c;
	char range[64];
	uint64_t copy;
	int rc;

	rc = check_mark_chunks(c, *chunk, count, alone);
	w->chunks += count;
	if (rc == 0)
		return 0;
	w->lost = true;
	range_text(at, (uint64_t)count * CHUNK_SIZE, range);
	if (rc == -ERANGE) {
		check_report(c, CHECK_MAP_RANGE, CHECK_DAMAGE, at->block,
		    c->conf->repair, "%s of %s are mapped to chunks %llu+%u, "
		    "outside of the space for data", range, w->object,
		    (unsigned long long)*chunk, count);
		*changed = true;
		*chunk = 0;
		w->chunks -= count;
		return 0;
	}
	rc = c->conf->repair ? check_copy_chunks(c, *chunk, count, &copy) :
	    -ENOSPC;
	/* Another pass will move it. */
	if (rc != 0 && rc != -ENOSPC)
		return rc == -EAGAIN ? 0 : rc;
	check_report(c, CHECK_MAP_SHARED, CHECK_DAMAGE, at->block,
	    c->conf->repair, "%s of %s lie in chunks %llu+%u, which another "
	    "object claims%s", range, w->object, (unsigned long long)*chunk,
	    count, !c->conf->repair ? "" : rc == 0 ? ": they get a copy" :
	    ": there is no space for a copy, they read as zeroes");
	*chunk = rc == 0 ? copy : 0;
	if (rc != 0)
		w->chunks -= count;
	*changed = true;
	return 0;
}

static int
check_map_chunk(struct map_walk *w, const struct map_at *at,
    struct map_chunk_disk *d, bool *changed)
{
	struct map_chunk k;
	bool mine = false;
	int rc = 0;

	map_chunk_get(d, &k);
	if (k.own != 0)
		rc = check_data(w, at, &k.own, 1, k.birth > w->alone_after,
		    &mine);
	if (rc == 0 && k.base != 0)
		rc = check_data(w, at, &k.base, 1, false, &mine);
	if (rc != 0 || !mine)
		return rc;
	if (k.own == 0)
		k.valid = 0;
	map_chunk_put(d, &k);
	*changed = true;
	return 0;
}

static int
check_map_leaf(struct map_walk *w, const struct map_at *at, uint16_t split)
{
	cleanup_free struct map_leaf_disk *d = disk_buf_alloc(BLOCK_SIZE);
	bool changed = false;
	int rc;

	if (d == NULL)
		return -ENOMEM;
	rc = check_map_read(w, at, d);
	if (rc != 0)
		return rc;
	if (le64_get(d->offset) != at->offset)
		return map_lost(w, at, "is of another place in the file");
	for (unsigned i = 0; i < MAP_FANOUT && rc == 0; i++) {
		struct map_at chunk = *at;

		chunk.offset += (uint64_t)i << CHUNK_SHIFT;
		if (split >> (i / 16) & 1)
			rc = check_map_chunk(w, &chunk, &d->entry[i],
			    &changed);
	}
	if (rc != 0 || !changed || !w->c->conf->repair)
		return rc;
	return check_rewrite(w->c, at->block, BLOCK_MAP_LEAF, d);
}

/* 1: the entry is to become a hole. */
static int
check_map_entry(struct map_walk *w, const struct map_at *at,
    struct map_entry *e, bool *changed)
{
	uint64_t chunks = 1ull << (map_entry_shift(at->level) - CHUNK_SHIFT);
	uint64_t chunk = e->block / CHUNK_BLOCKS;
	struct map_at child = {
		.block = e->block, .offset = at->offset,
		.level = at->level - 1, .birth = e->birth,
	};
	int rc;

	if (e->state == MAP_CHILD) {
		rc = check_map_node(w, &child);
		return rc == 2 ? 0 : rc;
	}
	if (e->state != MAP_HUGE)
		return 0;
	if (e->block % CHUNK_BLOCKS != 0 || chunks > UINT32_MAX)
		chunk = UINT64_MAX;
	rc = check_data(w, at, &chunk, (unsigned)chunks,
	    e->birth > w->alone_after, changed);
	e->block = chunk * CHUNK_BLOCKS;
	return rc == 0 && chunk == 0 ? 1 : rc;
}

/* Leaves of a level 1 node; what a lost one mapped becomes holes. */
static int
check_map_groups(struct map_walk *w, const struct map_at *at,
    struct map_node_disk *d, const uint16_t split[MAP_GROUPS], bool *changed)
{
	static const struct map_entry hole = { .state = MAP_HOLE };
	int rc = 0;

	for (unsigned g = 0; g < MAP_GROUPS && rc == 0; g++) {
		struct map_at leaf = {
			.block = le48_get(d->u.group[g].block),
			.offset = at->offset + ((uint64_t)g << 24),
			.birth = le32_get(d->u.group[g].birth),
		};

		if (leaf.block != 0)
			rc = check_map_leaf(w, &leaf, split[g]);
		else if (split[g] != 0)
			rc = map_lost(w, &leaf, "is missing");
		if (rc == 2)
			rc = 0;
		if (rc != 1)
			continue;
		rc = 0;
		*changed = true;
		d->u.group[g] = (struct map_group_disk){ 0 };
		for (unsigned i = 0; i < 16; i++)
			if (split[g] >> i & 1)
				map_entry_put(&d->entry[16 * g + i], &hole);
	}
	return rc;
}

static void
children_ahead(struct map_walk *w, const struct map_at *at,
    const struct map_node_disk *d, unsigned from)
{
	uint64_t blocks[MAP_GROUPS];
	unsigned k = 0;

	for (unsigned i = 0; i < MAP_GROUPS; i++) {
		uint64_t b = at->level == 1 ?
		    le48_get(d->u.group[i].block) :
		    d->entry[from + i].state == MAP_CHILD ?
		    le48_get(d->entry[from + i].block) : 0;

		if (b != 0)
			blocks[k++] = b;
	}
	check_read_ahead(w->c, blocks, k);
}

static int
check_map_entries(struct map_walk *w, const struct map_at *at,
    struct map_node_disk *d, uint16_t split[MAP_GROUPS], bool *changed)
{
	static const struct map_entry hole = { .state = MAP_HOLE };
	int rc = 0;

	for (unsigned i = 0; i < MAP_FANOUT && rc >= 0; i++) {
		struct map_at here = *at;
		struct map_entry e;

		if (at->level > 1 && i % MAP_GROUPS == 0)
			children_ahead(w, at, d, i);
		here.offset += (uint64_t)i << map_entry_shift(at->level);
		if (map_entry_get(&d->entry[i], at->level, &e) != 0) {
			check_report(w->c, CHECK_MAP, CHECK_DAMAGE, at->block,
			    w->c->conf->repair, "entry %u of map block %llu of"
			    " %s makes no sense", i,
			    (unsigned long long)at->block, w->object);
			e = hole;
			w->lost = *changed = true;
			map_entry_put(&d->entry[i], &e);
			continue;
		}
		if (e.state == MAP_SPLIT)
			split[i / 16] = (uint16_t)(split[i / 16] |
			    1u << (i % 16));
		rc = check_map_entry(w, &here, &e, changed);
		if (rc == 1)
			*changed = true;
		if (rc >= 0 && *changed)
			map_entry_put(&d->entry[i], rc == 1 ? &hole : &e);
	}
	return rc < 0 ? rc : 0;
}

/* Is it what its place asks for? */
static bool
node_fits(const struct map_at *at, const struct map_node_disk *d)
{
	return at->level == 1 || (d->u.info.level == at->level &&
	    le64_get(d->u.info.offset) == at->offset);
}

/* 1: the pointer to it is to go. */
static int
check_map_node(struct map_walk *w, const struct map_at *at)
{
	cleanup_free struct map_node_disk *d = disk_buf_alloc(BLOCK_SIZE);
	uint16_t split[MAP_GROUPS] = { 0 };
	bool changed = false;
	int rc;

	if (d == NULL)
		return -ENOMEM;
	rc = check_map_read(w, at, d);
	if (rc != 0)
		return rc;
	if (!node_fits(at, d))
		return map_lost(w, at, "is of another place in the file");
	if (at->level == 1)
		children_ahead(w, at, d, 0);
	rc = check_map_entries(w, at, d, split, &changed);
	if (rc == 0 && at->level == 1)
		rc = check_map_groups(w, at, d, split, &changed);
	if (rc != 0 || !changed || !w->c->conf->repair)
		return rc;
	return check_rewrite(w->c, at->block, BLOCK_MAP_NODE, d);
}

/* Is somebody deleting it, bit by bit? */
static bool
is_going(const struct check_todo *t, const struct inode_info *i)
{
	return i->type == INODE_SNAPSHOT ||
	    (t->dir != 0 && t->dir < SLOT_TABLE_BLOCK + SLOTS_MAX);
}

/* Known only of who shares no block of its map with what was seen before; that
 * it was made anew was said, and that it has lost some. */
static void
check_count(struct map_walk *w, const struct check_todo *t,
    struct inode_info *i, bool *changed)
{
	bool anew = i->chunks == 0;

	if (i->chunks == w->chunks ||
	    (!anew && (w->partly || is_going(t, i))))
		return;
	if (!anew && !w->lost)
		check_report(w->c, CHECK_INODE, CHECK_HARMLESS, t->ino,
		    w->c->conf->repair, "%s says that it holds %llu chunks, "
		    "its map has %llu", w->object,
		    (unsigned long long)i->chunks,
		    (unsigned long long)w->chunks);
	i->chunks = w->chunks;
	*changed = true;
}

int
check_map(struct check *c, const struct check_todo *t, struct inode_info *i,
    uint32_t alone_after, bool *ret_changed)
{
	struct map_walk w = {
		.c = c, .alone_after = alone_after, .object = t->path,
		.owner = i->type == INODE_SNAPSHOT ? i->disk : t->ino,
		.own_after = i->origin_epoch,
	};
	const struct map_at root = {
		.block = i->map.block, .level = i->map.level,
		.birth = i->map.birth,
	};
	int rc = 0;

	if (i->map.block != 0)
		rc = check_map_node(&w, &root);
	if (rc < 0)
		return rc;
	if (rc == 1) {
		i->map = (struct map_root){ 0 };
		*ret_changed = true;
	}
	check_count(&w, t, i, ret_changed);
	return 0;
}
