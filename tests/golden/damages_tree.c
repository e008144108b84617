/* SPDX-License-Identifier: BSD-2-Clause */
/* Damage to inodes and directories. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/format/xattr.h"
#include "tests/golden/damage_util.h"

/* ---- inodes ---- */

static void
inode_root_flipped(struct volume *v, struct disk *d)
{
	dmg_flip(d, v->super.root_ino, 600);
}

static void
inode_directory_flipped(struct volume *v, struct disk *d)
{
	dmg_flip(d, v->dir, 600);
}

static void
inode_small_dir_flipped(struct volume *v, struct disk *d)
{
	dmg_flip(d, v->small, 1100);
}

static void
inode_file_flipped(struct volume *v, struct disk *d)
{
	dmg_flip(d, v->file, 1030);
}

static void
inode_disk_flipped(struct volume *v, struct disk *d)
{
	dmg_flip(d, v->disk_ino, 658);
}

static void
inode_twin_zeroed(struct volume *v, struct disk *d)
{
	dmg_zero(d, v->twin);
}

static void
inode_big_of_another_volume(struct volume *v, struct disk *d)
{
	dmg_foreign(v, d, v->big);
}

static void
inode_clone_flipped(struct volume *v, struct disk *d)
{
	dmg_flip(d, v->clone, 640);
}

static void
inode_link_flipped(struct volume *v, struct disk *d)
{
	dmg_flip(d, v->link, 1025);
}

static void
inode_lock_flipped(struct volume *v, struct disk *d)
{
	dmg_flip(d, v->disk_ino, 40);
}

static void
inode_of_another_place(struct volume *v, struct disk *d)
{
	dmg_copy(d, v->big, v->twin);
}

static void
inode_stale(struct volume *v, struct disk *d)
{
	dmg_stale(v, d, v->disk_ino);
}

static void
inode_of_another_generation(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct inode_info i;

	dmg_info_get(v, d, v->twin, buf, &i);
	i.generation++;
	dmg_info_put(v, d, v->twin, buf, &i);
}

static void
inode_counts_wrong_names(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct inode_info i;

	dmg_info_get(v, d, v->twin, buf, &i);
	i.nlink = 3;
	dmg_info_put(v, d, v->twin, buf, &i);
}

static void
inode_counts_wrong_chunks(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct inode_info i;

	dmg_info_get(v, d, v->twin, buf, &i);
	i.chunks += 7;
	dmg_info_put(v, d, v->twin, buf, &i);
}

static void
inode_of_an_emptied_directory(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct inode_info i;

	dmg_info_get(v, d, v->small, buf, &i);
	i.inline_size = 0;
	i.dir_entries = 0;
	memset(((struct inode_disk *)(void *)buf)->inline_data, 0,
	    INODE_INLINE_MAX);
	dmg_info_put(v, d, v->small, buf, &i);
}

/* ---- directories ---- */

static void
dir_leaf_flipped(struct volume *v, struct disk *d)
{
	dmg_flip(d, dmg_dir_leaf(v, d, 0), 90);
}

static void
dir_leaf_zeroed(struct volume *v, struct disk *d)
{
	dmg_zero(d, dmg_dir_leaf(v, d, 200));
}

static void
dir_leaf_of_another_place(struct volume *v, struct disk *d)
{
	dmg_copy(d, dmg_dir_leaf(v, d, 200), dmg_dir_leaf(v, d, 0));
}

static void
dir_leaf_of_another_owner(struct volume *v, struct disk *d)
{
	dmg_disown(v, d, dmg_dir_leaf(v, d, 0), v->small + 999);
}

static void
dir_leaf_claimed_by_another(struct volume *v, struct disk *d)
{
	dmg_disown(v, d, dmg_dir_leaf(v, d, 0), v->small);
}

static void
dir_node_flipped(struct volume *v, struct disk *d)
{
	dmg_flip(d, dmg_dir_root(v, d, v->dir), 900);
}

static void
dir_node_zeroed(struct volume *v, struct disk *d)
{
	dmg_zero(d, dmg_dir_root(v, d, v->dir));
}

/* The first entry of the first leaf names something else. */
static void
entry_edit(struct volume *v, struct disk *d, uint64_t ino, uint32_t generation,
    uint8_t type)
{
	uint64_t block = dmg_dir_leaf(v, d, 0);
	uint8_t buf[BLOCK_SIZE];
	struct dirent_disk *e = (void *)(buf + offsetof(struct dir_leaf_disk,
	    data));

	dmg_open_block(v, d, block, buf);
	e->ino = le64(ino);
	if (type != 0) {
		e->type = type;
		e->generation = le32(generation);
	}
	dmg_seal(v, d, block, BLOCK_DIR_LEAF, buf);
}

static void
dir_entry_out_of_range(struct volume *v, struct disk *d)
{
	entry_edit(v, d, v->super.blocks + 100, 0, 0);
}

static void
dir_entry_names_data(struct volume *v, struct disk *d)
{
	entry_edit(v, d, dmg_data_block(v, d), 0, 0);
}

static void
dir_entry_names_a_map_block(struct volume *v, struct disk *d)
{
	entry_edit(v, d, dmg_map_root(v, d, v->twin), 0, 0);
}

static void
dir_entry_names_another_object(struct volume *v, struct disk *d)
{
	entry_edit(v, d, v->twin, 0, 0);
}

static void
dir_entry_is_a_second_name(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct inode_info i;

	dmg_info_get(v, d, v->deep, buf, &i);
	entry_edit(v, d, v->deep, i.generation, INODE_DIR);
}

/* /sub/deep/file becomes a way back to /sub. */
static void
dir_loop(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct dirent_disk *e;
	struct inode_info i, sub;

	dmg_info_get(v, d, v->sub, buf, &sub);
	dmg_info_get(v, d, v->deep, buf, &i);
	e = (void *)((struct inode_disk *)(void *)buf)->inline_data;
	e->ino = le64(v->sub);
	e->generation = le32(sub.generation);
	e->type = INODE_DIR;
	dmg_info_put(v, d, v->deep, buf, &i);
}

static void
dir_counts_are_wrong(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct inode_info i;

	dmg_info_get(v, d, v->dir, buf, &i);
	i.dir_entries += 5;
	i.nlink = 7;
	dmg_info_put(v, d, v->dir, buf, &i);
}

static void
dir_leaf_in_a_second_place(struct volume *v, struct disk *d)
{
	uint64_t root = dmg_dir_root(v, d, v->dir);
	uint8_t buf[BLOCK_SIZE];
	struct dir_node_disk *n = (void *)buf;

	dmg_open_block(v, d, root, buf);
	n->child[255] = n->child[0];
	dmg_seal(v, d, root, BLOCK_DIR_NODE, buf);
}

static void
dir_node_points_to_data(struct volume *v, struct disk *d)
{
	uint64_t root = dmg_dir_root(v, d, v->dir);
	uint8_t buf[BLOCK_SIZE];
	struct dir_node_disk *n = (void *)buf;
	uint64_t old;

	dmg_open_block(v, d, root, buf);
	old = le64_get(n->child[128]);
	for (unsigned i = 0; i < DIR_NODE_FANOUT; i++)
		if (le64_get(n->child[i]) == old)
			n->child[i] = le64(dmg_data_block(v, d));
	dmg_seal(v, d, root, BLOCK_DIR_NODE, buf);
}

static void
dir_leaf_garbage(struct volume *v, struct disk *d)
{
	uint64_t block = dmg_dir_leaf(v, d, 0);
	uint8_t buf[BLOCK_SIZE];
	struct dir_leaf_disk *l = (void *)buf;

	dmg_open_block(v, d, block, buf);
	memset(l->data + 48, 0, 32);
	dmg_seal(v, d, block, BLOCK_DIR_LEAF, buf);
}

static void
dir_inline_garbage(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct inode_info i;

	dmg_info_get(v, d, v->small, buf, &i);
	((struct inode_disk *)(void *)buf)->inline_data[13] = 0;
	dmg_info_put(v, d, v->small, buf, &i);
}

static void
dir_name_at_the_wrong_place(struct volume *v, struct disk *d)
{
	uint64_t block = dmg_dir_leaf(v, d, 0);
	uint8_t buf[BLOCK_SIZE];
	struct dir_leaf_disk *l = (void *)buf;

	dmg_open_block(v, d, block, buf);
	/* A name that hashes elsewhere: a letter of it changes. */
	l->data[26] ^= 0x20;
	dmg_seal(v, d, block, BLOCK_DIR_LEAF, buf);
}

/* ---- attributes ---- */

static void
xattr_flipped(struct volume *v, struct disk *d)
{
	dmg_flip(d, dmg_xattr(v, d, v->disk_ino), 90);
}

static void
xattr_zeroed(struct volume *v, struct disk *d)
{
	dmg_zero(d, dmg_xattr(v, d, v->dir));
}

static void
xattr_of_another_owner(struct volume *v, struct disk *d)
{
	dmg_disown(v, d, dmg_xattr(v, d, v->disk_ino), v->dir);
}

static void
xattr_garbage(struct volume *v, struct disk *d)
{
	uint64_t block = dmg_xattr(v, d, v->clone);
	uint8_t buf[BLOCK_SIZE];

	dmg_open_block(v, d, block, buf);
	/* The value is longer than what there is. */
	((struct xattr_disk *)(void *)buf)->data[1] = 1;
	dmg_seal(v, d, block, BLOCK_XATTR, buf);
}

static void
xattr_points(struct volume *v, struct disk *d, uint64_t ino, uint64_t block)
{
	uint8_t buf[BLOCK_SIZE];
	struct inode_info i;

	dmg_info_get(v, d, ino, buf, &i);
	i.xattr = block;
	dmg_info_put(v, d, ino, buf, &i);
}

static void
xattr_is_data(struct volume *v, struct disk *d)
{
	xattr_points(v, d, v->dir, dmg_data_block(v, d));
}

static void
xattr_is_shared(struct volume *v, struct disk *d)
{
	xattr_points(v, d, v->clone, dmg_xattr(v, d, v->disk_ino));
}

static void
xattr_of_a_snapshot(struct volume *v, struct disk *d)
{
	xattr_points(v, d, v->one, dmg_xattr(v, d, v->disk_ino));
}

static void
xattr_out_of_range(struct volume *v, struct disk *d)
{
	xattr_points(v, d, v->link, v->super.blocks + 5);
}

const struct damage damages_tree[] = {
	D(xattr_flipped, VOL_ATTRS),
	D(xattr_zeroed, VOL_ATTRS),
	D(xattr_of_another_owner, VOL_ATTRS),
	D(xattr_garbage, VOL_ATTRS),
	D(xattr_is_data, VOL_ATTRS),
	D(xattr_is_shared, VOL_ATTRS),
	D(xattr_of_a_snapshot, 0),
	D(xattr_out_of_range, 0),
	D(inode_root_flipped, VOL_NAMES | VOL_LINK),
	D(inode_directory_flipped, 0),
	D(inode_small_dir_flipped, VOL_NAMES),
	D(inode_file_flipped, VOL_DIR),
	D(inode_disk_flipped, 0),
	D(inode_twin_zeroed, 0),
	D(inode_big_of_another_volume, 0),
	D(inode_clone_flipped, 0),
	D(inode_link_flipped, VOL_LINK),
	D(inode_lock_flipped, 0),
	D(inode_of_another_place, 0),
	D(inode_stale, VOL_DISK),
	D(inode_of_another_generation, 0),
	D(inode_counts_wrong_names, 0),
	D(inode_counts_wrong_chunks, 0),
	D(inode_of_an_emptied_directory, VOL_NAMES),
	D(dir_leaf_flipped, VOL_NAMES),
	D(dir_leaf_zeroed, VOL_NAMES),
	D(dir_leaf_of_another_place, VOL_NAMES),
	D(dir_leaf_of_another_owner, 0),
	D(dir_leaf_claimed_by_another, VOL_NAMES),
	D(dir_node_flipped, 0),
	D(dir_node_zeroed, 0),
	D(dir_entry_out_of_range, VOL_NAMES),
	D(dir_entry_names_data, VOL_NAMES),
	D(dir_entry_names_a_map_block, VOL_NAMES),
	D(dir_entry_names_another_object, VOL_NAMES),
	D(dir_entry_is_a_second_name, VOL_NAMES),
	D(dir_loop, VOL_NAMES),
	D(dir_counts_are_wrong, 0),
	D(dir_leaf_in_a_second_place, 0),
	D(dir_node_points_to_data, 0),
	D(dir_leaf_garbage, VOL_NAMES),
	D(dir_inline_garbage, VOL_NAMES),
	D(dir_name_at_the_wrong_place, VOL_NAMES),
	{ NULL, NULL, 0, 0 },
};
