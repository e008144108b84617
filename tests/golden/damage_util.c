/* SPDX-License-Identifier: BSD-2-Clause */
/* See damage_util.h. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/golden/damage_util.h"

void
dmg_die(const char *what, uint64_t block)
{
	fprintf(stderr, "damage: %s (block %llu)\n", what,
	    (unsigned long long)block);
	abort();
}

void
dmg_get(struct disk *d, uint64_t block, void *buf)
{
	if (disk_read(d, block * BLOCK_SIZE, buf, BLOCK_SIZE) != 0)
		dmg_die("read", block);
}

void
dmg_put(struct disk *d, uint64_t block, const void *buf)
{
	if (disk_write(d, block * BLOCK_SIZE, buf, BLOCK_SIZE, 0) != 0)
		dmg_die("write", block);
}

void
dmg_flip(struct disk *d, uint64_t block, unsigned byte)
{
	uint8_t buf[BLOCK_SIZE];

	dmg_get(d, block, buf);
	buf[byte] ^= 0x10;
	dmg_put(d, block, buf);
}

void
dmg_zero(struct disk *d, uint64_t block)
{
	static const uint8_t nothing[BLOCK_SIZE];

	dmg_put(d, block, nothing);
}

/* Byte for byte what stands elsewhere. */
void
dmg_copy(struct disk *d, uint64_t from, uint64_t to)
{
	uint8_t buf[BLOCK_SIZE];

	dmg_get(d, from, buf);
	dmg_put(d, to, buf);
}

/* What stood there before the last changes: a write that was lost. */
void
dmg_stale(struct volume *v, struct disk *d, uint64_t block)
{
	uint8_t buf[BLOCK_SIZE];

	dmg_get(v->older, block, buf);
	dmg_put(d, block, buf);
}

/* A sound block, with the checksum of what is in it. */
enum block_type
dmg_open_block(struct volume *v, struct disk *d, uint64_t block, uint8_t *buf)
{
	static const enum block_type types[] = {
		BLOCK_SLOT, BLOCK_CLUSTER, BLOCK_INODE, 0,
	};
	struct block_hdr h;

	dmg_get(d, block, buf);
	for (unsigned i = 0; i < 4; i++)
		if (block_hdr_decode(buf, types[i], &v->super.uuid, block,
		    &h) == 0)
			return h.type;
	dmg_die("is no metadata", block);
	return 0;
}

/* Writes a block with the checksum of what is in it. */
static void
dmg_seal_as(struct disk *d, uint64_t block, enum block_type type, uint8_t *buf,
    uint64_t owner, const struct uuid *volume)
{
	const struct block_hdr_disk *o = (const void *)(buf +
	    block_hdr_offset(type));
	struct block_hdr h = {
		.type = type, .addr = block, .owner = owner,
		.lockver = le64_get(o->lockver), .lsn = le64_get(o->lsn),
	};

	block_hdr_encode(buf, &h, volume);
	dmg_put(d, block, buf);
}

static uint64_t
dmg_owner_of(const uint8_t *buf, enum block_type type)
{
	const struct block_hdr_disk *o = (const void *)(buf +
	    block_hdr_offset(type));

	return le64_get(o->owner);
}

void
dmg_seal(struct volume *v, struct disk *d, uint64_t block, enum block_type type,
    uint8_t *buf)
{
	dmg_seal_as(d, block, type, buf, dmg_owner_of(buf, type),
	    &v->super.uuid);
}

/* The same block, as if another datastore had written it. */
void
dmg_foreign(struct volume *v, struct disk *d, uint64_t block)
{
	struct uuid other = v->super.uuid;
	uint8_t buf[BLOCK_SIZE];
	enum block_type type = dmg_open_block(v, d, block, buf);

	other.b[3] ^= 0x55;
	dmg_seal_as(d, block, type, buf, dmg_owner_of(buf, type), &other);
}

/* A sound block says that it is under another lock. */
void
dmg_disown(struct volume *v, struct disk *d, uint64_t block, uint64_t owner)
{
	uint8_t buf[BLOCK_SIZE];
	enum block_type type = dmg_open_block(v, d, block, buf);

	dmg_seal_as(d, block, type, buf, owner, &v->super.uuid);
}


void
dmg_info_get(struct volume *v, struct disk *d, uint64_t ino, uint8_t *buf,
    struct inode_info *i)
{
	if (dmg_open_block(v, d, ino, buf) != BLOCK_INODE ||
	    inode_decode(buf, i) != 0)
		dmg_die("is no inode", ino);
}

void
dmg_info_put(struct volume *v, struct disk *d, uint64_t ino, uint8_t *buf,
    const struct inode_info *i)
{
	inode_encode(buf, i);
	dmg_seal(v, d, ino, BLOCK_INODE, buf);
}

uint64_t
dmg_map_root(struct volume *v, struct disk *d, uint64_t ino)
{
	uint8_t buf[BLOCK_SIZE];
	struct inode_info i;

	dmg_info_get(v, d, ino, buf, &i);
	return i.map.block;
}

/* Level 1 node below a root of level 2. */
uint64_t
dmg_level1(struct volume *v, struct disk *d, uint64_t ino, unsigned index)
{
	struct map_node_disk n;

	dmg_get(d, dmg_map_root(v, d, ino), &n);
	if (n.entry[index].state != MAP_CHILD)
		dmg_die("has no such child", ino);
	return le48_get(n.entry[index].block);
}

uint64_t
dmg_leaf(struct volume *v, struct disk *d, uint64_t ino, unsigned index,
    unsigned group)
{
	struct map_node_disk n;

	dmg_get(d, dmg_level1(v, d, ino, index), &n);
	if (le48_get(n.u.group[group].block) == 0)
		dmg_die("has no such leaf", ino);
	return le48_get(n.u.group[group].block);
}

/* Where the last leaf of /twin is: 300 MiB are group 2 of its second node. */
#define TWIN_GROUP 2

uint64_t
dmg_dir_root(struct volume *v, struct disk *d, uint64_t ino)
{
	uint8_t buf[BLOCK_SIZE];
	struct inode_info i;

	dmg_info_get(v, d, ino, buf, &i);
	return i.dir_root;
}

uint64_t
dmg_dir_leaf(struct volume *v, struct disk *d, unsigned index)
{
	struct dir_node_disk n;

	dmg_get(d, dmg_dir_root(v, d, v->dir), &n);
	return le64_get(n.child[index]);
}

uint64_t
dmg_snaptab(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct inode_info i;

	dmg_info_get(v, d, v->disk_ino, buf, &i);
	return i.snaptab;
}

uint64_t
dmg_metachunk(uint64_t block)
{
	return block - block % CHUNK_BLOCKS;
}

/* A block of guest data: of the first MiB of /twin. */
uint64_t
dmg_data_block(struct volume *v, struct disk *d)
{
	struct map_node_disk n;

	dmg_get(d, dmg_level1(v, d, v->twin, 0), &n);
	return le48_get(n.entry[0].block);
}

uint64_t
dmg_xattr(struct volume *v, struct disk *d, uint64_t ino)
{
	uint8_t buf[BLOCK_SIZE];
	struct inode_info i;

	dmg_info_get(v, d, ino, buf, &i);
	return i.xattr;
}
