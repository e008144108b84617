/* SPDX-License-Identifier: BSD-2-Clause */
/* What the phases of a check share. */
#ifndef VMFS_CHECK_PRIV_H
#define VMFS_CHECK_PRIV_H

#include "libvmfs/base/list.h"
#include "libvmfs/check/check.h"
#include "libvmfs/format/cluster.h"
#include "libvmfs/format/heartbeat.h"
#include "libvmfs/format/inode.h"

/* A metachunk as its head says, and which of its blocks were reached. */
struct check_metachunk {
	uint64_t chunk;
	uint16_t used, found;
	uint8_t type[CHUNK_BLOCKS];
	bool retyped;		/* a type differed from the block's own */
};

/* An inode that a directory, a snapshot table or an orphan list names. */
struct check_ino {
	uint64_t ino;
	uint32_t names;		/* directory entries */
	uint32_t pins;		/* clones that name it as their origin */
	bool walked;
};

struct check {
	const struct check_conf *conf;
	struct check_result *res;
	struct super super;
	uint64_t chunks;	/* of the volume */
	/* One bit a chunk: marked used on disk; reached; reached by a tree
	 * that claims it for itself alone. */
	uint8_t *used, *seen, *alone;
	uint8_t *recount;	/* one bit a cluster: counters are wrong */
	uint8_t *unknown;	/* likewise: block damaged, nothing is known */
	struct check_metachunk *mc;	/* sorted by chunk */
	size_t mc_count, mc_max;
	struct check_ino *ino;		/* open addressing by ino */
	size_t ino_count, ino_max;
};

static inline bool
bit_get(const uint8_t *map, uint64_t i)
{
	return map[i / 8] >> (i % 8) & 1;
}

static inline void
bit_set(uint8_t *map, uint64_t i)
{
	map[i / 8] = (uint8_t)(map[i / 8] | 1u << (i % 8));
}

/* Reports; returns `fixed` for the caller's convenience. */
bool check_report(struct check *c, enum check_rule rule,
    enum check_severity severity, uint64_t block, bool fixed, const char *fmt,
    ...) PRINTF_LIKE(6, 7);
void check_progress(struct check *c, const char *phase, unsigned permille);

/* Reads a block and checks its header; errors as block_hdr_decode or I/O. */
int check_block(struct check *c, uint64_t block, enum block_type type,
    void *buf) MUST_CHECK;
/* Re-seals a block changed in place and writes it back. */
int check_rewrite(struct check *c, uint64_t block, enum block_type type,
    void *buf) MUST_CHECK;

/* Metadata block reached: true the first time.  Reports a block that its
 * metachunk does not know. */
bool check_mark_meta(struct check *c, uint64_t block, enum block_type type,
    const char *object);
struct check_metachunk *check_metachunk_of(struct check *c, uint64_t block);
/* Data chunks reached; `alone`: by a tree that no snapshot shares them with. */
void check_mark_chunks(struct check *c, uint64_t chunk, uint64_t count,
    bool alone, uint64_t block, const char *object);
/* The table's entry for an inode number, made when missing; NULL: no memory. */
struct check_ino *check_ino_get(struct check *c, uint64_t ino);
/* Where cluster n's block is; 0 when no segment covers it. */
uint64_t check_cluster_block(const struct super *s, uint64_t cluster);

/* Phases, in this order. */
int check_supers(struct check *c) MUST_CHECK;
int check_slots(struct check *c) MUST_CHECK;
int check_clusters(struct check *c) MUST_CHECK;
int check_tree(struct check *c) MUST_CHECK;
int check_space(struct check *c) MUST_CHECK;

/* ---- of check_tree ---- */

/* An inode to look at, and the path that led to it. */
struct check_todo {
	struct list node;
	uint64_t ino;
	uint32_t generation;	/* of the entry that names it; 0: any */
	enum inode_type type;	/* of the entry; INODE_FREE: any */
	uint64_t disk;		/* snapshot: the disk it is of */
	char path[];
};

struct check_walk {
	struct check *c;
	struct list todo;
};

/* Queues an inode that an entry names; path "DIR/NAME". */
int check_walk_add(struct check_walk *w, const char *dir, const char *name,
    size_t name_len, const struct check_todo *proto) MUST_CHECK;
/* Reads the names of a directory and queues what they name. */
int check_dir(struct check_walk *w, const uint8_t *block,
    const struct inode_info *i, const struct check_todo *t) MUST_CHECK;
/* Map of one tree; births > alone_after are claimed by it alone. */
int check_map(struct check *c, const struct inode_info *i,
    uint32_t alone_after, const char *object) MUST_CHECK;

#endif
