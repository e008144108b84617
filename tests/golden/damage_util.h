/* SPDX-License-Identifier: BSD-2-Clause */
/* Hands that damage a datastore. */
#ifndef TESTS_GOLDEN_DAMAGE_UTIL_H
#define TESTS_GOLDEN_DAMAGE_UTIL_H

#include "libvmfs/format/cluster.h"
#include "libvmfs/format/dirent.h"
#include "libvmfs/format/heartbeat.h"
#include "libvmfs/format/mapnode.h"
#include "tests/golden/damages.h"

#define SLOT0 SLOT_TABLE_BLOCK
#define CLUSTER0 CLUSTER_TABLE_BLOCK
/* Where a leaf of /twin is: 300 MiB are group 2 of its second node. */
#define TWIN_GROUP 2

/* An entry of a table: a function of that name, what it harms. */
#define D(fn, harm) { #fn, fn, (harm), 0 }

/* Ends the program: the volume is not what the damage is for. */
void dmg_die(const char *what, uint64_t block);
/* Whole blocks. */
void dmg_get(struct disk *d, uint64_t block, void *buf);
void dmg_put(struct disk *d, uint64_t block, const void *buf);
/* One bit. */
void dmg_flip(struct disk *d, uint64_t block, unsigned byte);
void dmg_zero(struct disk *d, uint64_t block);
/* Byte for byte what stands elsewhere. */
void dmg_copy(struct disk *d, uint64_t from, uint64_t to);
/* What stood there before the last changes: a write that was lost. */
void dmg_stale(struct volume *v, struct disk *d, uint64_t block);
/* A sound block; its type. */
enum block_type dmg_open_block(struct volume *v, struct disk *d, uint64_t block,
    uint8_t *buf);
/* Writes a block with the checksum of what is in it. */
void dmg_seal(struct volume *v, struct disk *d, uint64_t block,
    enum block_type type, uint8_t *buf);
/* The same block, as if another datastore had written it. */
void dmg_foreign(struct volume *v, struct disk *d, uint64_t block);
/* A sound block says that it is under another lock. */
void dmg_disown(struct volume *v, struct disk *d, uint64_t block,
    uint64_t owner);
/* Inodes, decoded. */
void dmg_info_get(struct volume *v, struct disk *d, uint64_t ino, uint8_t *buf,
    struct inode_info *i);
void dmg_info_put(struct volume *v, struct disk *d, uint64_t ino, uint8_t *buf,
    const struct inode_info *i);
/* Blocks of trees; the datastore of volume.h has those asked for. */
uint64_t dmg_map_root(struct volume *v, struct disk *d, uint64_t ino);
uint64_t dmg_level1(struct volume *v, struct disk *d, uint64_t ino,
    unsigned index);
uint64_t dmg_leaf(struct volume *v, struct disk *d, uint64_t ino,
    unsigned index, unsigned group);
uint64_t dmg_dir_root(struct volume *v, struct disk *d, uint64_t ino);
uint64_t dmg_dir_leaf(struct volume *v, struct disk *d, unsigned index);
uint64_t dmg_snaptab(struct volume *v, struct disk *d);
uint64_t dmg_xattr(struct volume *v, struct disk *d, uint64_t ino);
/* Head of the metachunk that a block is in. */
uint64_t dmg_metachunk(uint64_t block);
/* A block of guest data: of the first MiB of /twin. */
uint64_t dmg_data_block(struct volume *v, struct disk *d);

#endif
