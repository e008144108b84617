/* SPDX-License-Identifier: BSD-2-Clause */
/* A disk, its snapshots, clones of it and of them, by chance; fibers. */
#ifndef TESTS_UNIT_CORE_FAMILY_RIG_H
#define TESTS_UNIT_CORE_FAMILY_RIG_H

#include "libvmfs/base/prng.h"
#include "tests/unit/core_extents_rig.h"

#define DISKS 5u		/* one, and clones of it and of them */
#define SNAPSHOTS 4u		/* of each */
#define DISK_SIZE (20 * MIB)

struct tree_seen {
	uint64_t ino, disk;
	uint32_t id;			/* of a snapshot; 0: a head */
	uint32_t crc[DISK_SIZE / MIB];
};

struct family {
	struct box *b;
	struct prng p;
	uint64_t disk[DISKS];
	struct fs_file *f[DISKS];
	unsigned n;
	struct tree_seen seen[DISKS * (SNAPSHOTS + 1)];
	unsigned n_seen;
	uint64_t held[DISKS];
};

/* So many writes and holes at random places of disk i. */
void scribble(struct family *m, unsigned i, unsigned times);
/* Snapshot n of disk i; its inode. */
uint64_t snapshot(struct family *m, unsigned i, unsigned n);
/* One more disk; it is open. */
void disk_add(struct family *m, uint64_t ino);
void clone_add(struct family *m, uint64_t snapshot);
/* A disk, clones of some snapshots, clones of clones; all are written. */
void family_grow(struct family *m);
/* What all of them say now, and hold ... */
void family_look(struct family *m);
/* ... is what they said and held then. */
void family_expect(struct family *m);
/* Nothing but inodes lies on a LUN that leaves. */
void family_expect_away(struct family *m);
int family_evacuate(struct family *m);
/* Snapshots without clones go, in any order. */
void family_shrink(struct family *m);
void family_close(struct family *m);
/* A disk takes what the datastore has, but so much. */
void fill_first(struct box *b, unsigned leave_mib);
/* LUN 2 comes, LUN 1 is to leave. */
void leave(struct box *b);

#endif
