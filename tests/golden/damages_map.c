/* SPDX-License-Identifier: BSD-2-Clause */
/* Damage to maps, snapshots, and to much at once. */
#include <stdlib.h>
#include <string.h>

#include "tests/golden/damage_util.h"

/* ---- maps ---- */

static void
map_leaf_flipped(struct volume *v, struct disk *d)
{
	dmg_flip(d, dmg_leaf(v, d, v->twin, 1, TWIN_GROUP), 300);
}

static void
map_leaf_zeroed(struct volume *v, struct disk *d)
{
	dmg_zero(d, dmg_leaf(v, d, v->twin, 1, TWIN_GROUP));
}

static void
map_leaf_of_another_place(struct volume *v, struct disk *d)
{
	dmg_copy(d, dmg_leaf(v, d, v->twin, 1, TWIN_GROUP + 1),
	    dmg_leaf(v, d, v->twin, 1, TWIN_GROUP));
}

static void
map_level1_flipped(struct volume *v, struct disk *d)
{
	dmg_flip(d, dmg_level1(v, d, v->twin, 1), 300);
}

static void
map_root_zeroed(struct volume *v, struct disk *d)
{
	dmg_zero(d, dmg_map_root(v, d, v->twin));
}

static void
map_level1_shared_flipped(struct volume *v, struct disk *d)
{
	dmg_flip(d, dmg_level1(v, d, v->one, 0), 300);
}

static void
map_leaf_of_another_owner(struct volume *v, struct disk *d)
{
	dmg_disown(v, d, dmg_leaf(v, d, v->twin, 1, TWIN_GROUP), v->twin + 999);
}

static uint64_t
twin_edit(struct volume *v, struct disk *d, unsigned index, uint8_t *buf)
{
	uint64_t block = dmg_level1(v, d, v->twin, index);

	dmg_open_block(v, d, block, buf);
	return block;
}

static void
map_leaf_is_another_object_s(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct map_node_disk *n = (void *)buf;
	uint64_t block = twin_edit(v, d, 1, buf);

	n->u.group[TWIN_GROUP].block = le48(dmg_leaf(v, d, v->clone, 0, 0));
	dmg_seal(v, d, block, BLOCK_MAP_NODE, buf);
}

static void
map_leaf_is_missing(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct map_node_disk *n = (void *)buf;
	uint64_t block = twin_edit(v, d, 1, buf);

	n->u.group[TWIN_GROUP].block = le48(0);
	dmg_seal(v, d, block, BLOCK_MAP_NODE, buf);
}

static void
huge_edit(struct volume *v, struct disk *d, uint64_t to)
{
	uint8_t buf[BLOCK_SIZE];
	struct map_node_disk *n = (void *)buf;
	uint64_t block = twin_edit(v, d, 0, buf);

	n->entry[0].block = le48(to);
	dmg_seal(v, d, block, BLOCK_MAP_NODE, buf);
}

static void
map_huge_out_of_range(struct volume *v, struct disk *d)
{
	huge_edit(v, d, v->super.blocks);
}

static void
map_huge_on_metadata(struct volume *v, struct disk *d)
{
	huge_edit(v, d, dmg_metachunk(v->dir));
}

static void
map_huge_on_the_superblock(struct volume *v, struct disk *d)
{
	huge_edit(v, d, CHUNK_BLOCKS);
}

/* /twin claims what the first MiB of /disk is in. */
static void
map_huge_claimed_twice(struct volume *v, struct disk *d)
{
	struct map_node_disk n;

	dmg_get(d, dmg_level1(v, d, v->one, 0), &n);
	huge_edit(v, d, le48_get(n.entry[1].block));
}

static void
map_chunk_claimed_twice(struct volume *v, struct disk *d)
{
	uint64_t a = dmg_leaf(v, d, v->twin, 1, TWIN_GROUP);
	uint8_t buf[BLOCK_SIZE];
	struct map_leaf_disk *l = (void *)buf;
	struct map_chunk k;
	unsigned i = 0;

	dmg_open_block(v, d, a, buf);
	while (i < MAP_FANOUT && le40_get(l->entry[i].own) == 0)
		i++;
	map_chunk_get(&l->entry[i], &k);
	k.own = dmg_data_block(v, d) / CHUNK_BLOCKS;
	map_chunk_put(&l->entry[i], &k);
	dmg_seal(v, d, a, BLOCK_MAP_LEAF, buf);
}

static void
map_loop(struct volume *v, struct disk *d)
{
	uint64_t root = dmg_map_root(v, d, v->twin);
	uint8_t buf[BLOCK_SIZE];
	struct map_node_disk *n = (void *)buf;

	dmg_open_block(v, d, root, buf);
	n->entry[1].block = le48(root);
	dmg_seal(v, d, root, BLOCK_MAP_NODE, buf);
}

static void
map_entry_garbage(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct map_node_disk *n = (void *)buf;
	uint64_t block = twin_edit(v, d, 0, buf);

	n->entry[0].state = 9;
	dmg_seal(v, d, block, BLOCK_MAP_NODE, buf);
}

static void
map_child_in_a_second_place(struct volume *v, struct disk *d)
{
	uint64_t root = dmg_map_root(v, d, v->twin);
	uint8_t buf[BLOCK_SIZE];
	struct map_node_disk *n = (void *)buf;

	dmg_open_block(v, d, root, buf);
	n->entry[2] = n->entry[1];
	dmg_seal(v, d, root, BLOCK_MAP_NODE, buf);
}

/* ---- snapshots ---- */

static void
snaptab_flipped(struct volume *v, struct disk *d)
{
	dmg_flip(d, dmg_snaptab(v, d), 130);
}

static void
snaptab_zeroed(struct volume *v, struct disk *d)
{
	dmg_zero(d, dmg_snaptab(v, d));
}

static void
snaptab_of_another_owner(struct volume *v, struct disk *d)
{
	dmg_disown(v, d, dmg_snaptab(v, d), v->twin);
}

static void
snaptab_loop(struct volume *v, struct disk *d)
{
	uint64_t block = dmg_snaptab(v, d);
	uint8_t buf[BLOCK_SIZE];

	dmg_open_block(v, d, block, buf);
	((struct snaptab_disk *)(void *)buf)->next = le64(block);
	dmg_seal(v, d, block, BLOCK_SNAPTAB, buf);
}

static void
snaptab_entry_is_data(struct volume *v, struct disk *d)
{
	uint64_t block = dmg_snaptab(v, d);
	uint8_t buf[BLOCK_SIZE];
	struct snaptab_disk *t = (void *)buf;

	dmg_open_block(v, d, block, buf);
	t->entry[9] = t->entry[0];
	t->entry[9].ino = le64(dmg_data_block(v, d));
	t->entry[9].id = le32(77);
	dmg_seal(v, d, block, BLOCK_SNAPTAB, buf);
}

static void
snaptab_entry_garbage(struct volume *v, struct disk *d)
{
	uint64_t block = dmg_snaptab(v, d);
	uint8_t buf[BLOCK_SIZE];
	struct snaptab_disk *t = (void *)buf;

	dmg_open_block(v, d, block, buf);
	t->entry[0].reserved = le32(1);
	dmg_seal(v, d, block, BLOCK_SNAPTAB, buf);
}

/* The second grew from the first. */
static void
snaptab_parents_in_a_circle(struct volume *v, struct disk *d)
{
	uint64_t block = dmg_snaptab(v, d);
	uint8_t buf[BLOCK_SIZE];
	struct snaptab_disk *t = (void *)buf;

	dmg_open_block(v, d, block, buf);
	t->entry[0].parent = t->entry[1].ino;
	dmg_seal(v, d, block, BLOCK_SNAPTAB, buf);
}

static void
snaptab_parent_is_none(struct volume *v, struct disk *d)
{
	uint64_t block = dmg_snaptab(v, d);
	uint8_t buf[BLOCK_SIZE];
	struct snaptab_disk *t = (void *)buf;

	dmg_open_block(v, d, block, buf);
	t->entry[1].parent = le64(v->twin);
	dmg_seal(v, d, block, BLOCK_SNAPTAB, buf);
}

static void
snapshot_inode_flipped(struct volume *v, struct disk *d)
{
	dmg_flip(d, v->one, 658);
}

static void
snapshot_pinned_inode_flipped(struct volume *v, struct disk *d)
{
	dmg_flip(d, v->two, 658);
}

static void
snapshot_of_another_disk(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct inode_info i;

	dmg_info_get(v, d, v->one, buf, &i);
	i.disk = v->twin;
	dmg_info_put(v, d, v->one, buf, &i);
}

static void
snapshot_counts_are_wrong(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct inode_info i;

	dmg_info_get(v, d, v->disk_ino, buf, &i);
	i.snapshots = 9;
	dmg_info_put(v, d, v->disk_ino, buf, &i);
	dmg_info_get(v, d, v->two, buf, &i);
	i.clones = 0;
	dmg_info_put(v, d, v->two, buf, &i);
}

/* ---- all at once ---- */

/* The head of every metachunk there is. */
static void
much_heads_zeroed(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct block_hdr h;

	for (uint64_t b = 0; b < v->super.blocks; b += CHUNK_BLOCKS) {
		dmg_get(d, b, buf);
		if (block_hdr_decode(buf, BLOCK_METACHUNK, &v->super.uuid, b,
		    &h) == 0)
			dmg_zero(d, b);
	}
}

static void
much_front_zeroed(struct volume *v, struct disk *d)
{
	for (uint64_t b = 0; b < v->super.copy2_block; b++)
		dmg_zero(d, b);
}

const struct damage damages_map[] = {
	D(map_leaf_flipped, VOL_TWIN),
	D(map_leaf_zeroed, VOL_TWIN),
	D(map_leaf_of_another_place, VOL_TWIN),
	D(map_level1_flipped, 0),
	D(map_root_zeroed, VOL_TWIN),
	D(map_level1_shared_flipped,
	    VOL_DISK | VOL_ONE | VOL_TWO | VOL_CLONE),
	D(map_leaf_of_another_owner, 0),
	D(map_leaf_is_another_object_s, VOL_TWIN),
	D(map_leaf_is_missing, VOL_TWIN),
	D(map_huge_out_of_range, VOL_TWIN),
	{ "map_huge_on_metadata", map_huge_on_metadata, VOL_TWIN, VOL_TWIN },
	{ "map_huge_on_the_superblock", map_huge_on_the_superblock, VOL_TWIN,
	    VOL_TWIN },
	{ "map_huge_claimed_twice", map_huge_claimed_twice, 0, VOL_TWIN },
	{ "map_chunk_claimed_twice", map_chunk_claimed_twice, 0, VOL_TWIN },
	D(map_loop, VOL_TWIN),
	D(map_entry_garbage, VOL_TWIN),
	D(map_child_in_a_second_place, 0),
	D(snaptab_flipped, 0),
	D(snaptab_zeroed, 0),
	D(snaptab_of_another_owner, 0),
	D(snaptab_loop, 0),
	D(snaptab_entry_is_data, 0),
	D(snaptab_entry_garbage, 0),
	D(snaptab_parents_in_a_circle, 0),
	D(snaptab_parent_is_none, 0),
	D(snapshot_inode_flipped, 0),
	D(snapshot_pinned_inode_flipped, 0),
	D(snapshot_of_another_disk, VOL_ONE),
	D(snapshot_counts_are_wrong, 0),
	D(much_heads_zeroed, 0),
	D(much_front_zeroed, 0),
	{ NULL, NULL, 0, 0 },
};
