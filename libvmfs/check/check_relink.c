/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lost map node of level 1: the leaves below it say whose they are and of
 * which part of the file, so they are found and a new node names them again.
 * What the node itself said, MiBs that lie in one piece, is lost.
 *
 * Only in a tree that shares neither the node nor the leaf with a snapshot: of
 * a leaf that is older it is not known which of the trees has it.
 */
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/check/check_priv.h"
#include "libvmfs/format/mapnode.h"

#define GROUP_SHIFT (MAP_L1_SHIFT + 4)

/* The leaf's MiBs, those with anything in them, get entries. */
static unsigned
leaf_link(struct map_node_disk *n, uint64_t block,
    const struct map_leaf_disk *l, uint64_t offset)
{
	static const struct map_entry split = { .state = MAP_SPLIT };
	unsigned g = (unsigned)((le64_get(l->offset) - offset) >> GROUP_SHIFT);
	unsigned any = 0;

	for (unsigned i = 0; i < MAP_FANOUT; i++) {
		struct map_chunk c;

		map_chunk_get(&l->entry[i], &c);
		if (c.own == 0 && c.base == 0)
			continue;
		map_entry_put(&n->entry[g * MAP_GROUPS + i / CHUNK_BLOCKS],
		    &split);
		any = 1;
	}
	if (any != 0) {
		n->u.group[g].block = le48(block);
		n->u.group[g].birth = l->birth;
	}
	return any;
}

static bool
leaf_belongs(const struct map_leaf_disk *l, const struct check_relink *x)
{
	uint64_t at = le64_get(l->offset);

	return le64_get(l->hdr.owner) == x->owner && at >= x->offset &&
	    (at - x->offset) >> GROUP_SHIFT < MAP_GROUPS &&
	    at % (1ull << GROUP_SHIFT) == 0 &&
	    le32_get(l->birth) > x->alone_after;
}

static int
leaves_find(struct check *c, const struct check_relink *x,
    struct map_node_disk *n, unsigned *ret_leaves)
{
	cleanup_free struct map_leaf_disk *l = disk_buf_alloc(BLOCK_SIZE);
	int rc = 0;

	if (l == NULL)
		return -ENOMEM;
	for (size_t k = 0; k < c->mc_count; k++) {
		for (unsigned i = 1; i < CHUNK_BLOCKS; i++) {
			uint64_t b = c->mc[k].chunk * CHUNK_BLOCKS + i;

			if (c->mc[k].type[i] != BLOCK_MAP_LEAF ||
			    !(c->mc[k].used >> i & 1) ||
			    (c->mc[k].found >> i & 1))
				continue;
			rc = check_block(c, b, BLOCK_MAP_LEAF, l);
			if (rc == 0 && leaf_belongs(l, x))
				*ret_leaves += leaf_link(n, b, l, x->offset);
			if (rc != 0 && rc != -VMFS_ECORRUPT)
				return rc;
		}
	}
	return 0;
}

int
check_relink(struct check *c, const struct check_relink *x, void *node)
{
	struct map_node_disk *n = node;
	unsigned leaves = 0;
	int rc;

	if (x->birth <= x->alone_after ||
	    check_metachunk_of(c, x->block) == NULL)
		return 1;
	memset(n, 0, sizeof(*n));
	rc = leaves_find(c, x, n, &leaves);
	if (rc != 0 || leaves == 0)
		return rc != 0 ? rc : 1;
	check_report(c, CHECK_MAP, CHECK_DAMAGE, x->block, c->conf->repair,
	    "a map block (%llu) of %s is damaged: %u blocks below it are found "
	    "again; in bytes %llu to %llu, MiBs that lay in one piece %s",
	    (unsigned long long)x->block, x->object, leaves,
	    (unsigned long long)x->offset,
	    (unsigned long long)x->offset + ((1ull << 28) - 1),
	    c->conf->repair ? "are lost and read as zeroes" :
	    "cannot be read");
	if (!c->conf->repair)
		return 2;
	return check_write_new(c, x->block, BLOCK_MAP_NODE, x->owner, n);
}
