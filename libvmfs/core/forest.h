/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All trees that may share space: disks that were cloned from each other, and
 * their snapshots.  For who changes where something lies: in all of them or in
 * none.  Every disk is held exclusively by this host.  Private to the core.
 */
#ifndef VMFS_CORE_FOREST_H
#define VMFS_CORE_FOREST_H

#include "libvmfs/core/fs_impl.h"

#define TREE_LEVELS (MAP_LEVEL_MAX + 1)

/* A head's or a snapshot's. */
struct tree {
	struct inode *disk;
	struct inode *sp;		/* held exclusively, unread; or NULL */
	uint64_t snapshot;		/* 0: the head */
	struct map_root root;		/* of a snapshot */
	/* The way to a place, from root.level down to the leaf; 0: no node. */
	uint64_t addr[TREE_LEVELS];
	uint32_t birth[TREE_LEVELS];
	unsigned top;			/* level of the root; 0: no tree there */
	uint64_t hole;			/* bytes around the place that are one */
};

struct forest {
	struct fs *fs;
	struct inode **disk;		/* by number */
	unsigned n_disks;
	struct tree *tree;
	unsigned n_trees;
	uint64_t busy;			/* snapshot that another host reads */
	struct lock_holder holder;	/* that host */
};

/* Takes what keeps snapshots as they are, and lists the trees. */
int forest_begin(struct forest *f) MUST_CHECK;
/* Others see what has changed.  r, or the first error. */
int forest_end(struct forest *f, int r);

/* No guest reads or writes in between. */
void forest_stop(struct forest *f);
void forest_go(struct forest *f);
/* inode.map of all disks; where blocks of the MiB lie changes. */
void forest_map_lock(struct forest *f, uint64_t mib);
void forest_map_unlock(struct forest *f);

/* All ways to the MiB.  Disks are stopped.  *ret_hole: bytes around it that no
 * tree has anything in; 0: some may. */
int forest_go_to(struct forest *f, uint64_t mib, uint64_t *ret_hole)
    MUST_CHECK;
/*
 * The snapshot's tree will change: nobody reads it from now on.  -VMFS_ELOCKED
 * (f->busy, f->holder); -EMLINK: it has a clone that is not one of the disks.
 */
int forest_hold(struct forest *f, struct tree *t) MUST_CHECK;
/* Disk whose lock covers a node that this tree has with that birth. */
int forest_owner(const struct forest *f, const struct tree *t, uint32_t birth,
    struct inode **ret_ip) MUST_CHECK;
/* The node of the way at `level`, which is there. */
int forest_read(const struct forest *f, const struct tree *t, unsigned level,
    struct mblk **ret_b) MUST_CHECK;
/* The first tree with this node on its way? */
bool forest_first(const struct forest *f, unsigned i, unsigned level);

#endif
