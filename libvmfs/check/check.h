/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fsck as a library (F10): one pass over everything on a datastore, a finding
 * for each thing that is not as doc/FORMAT.md says, and the repairs that can be
 * proven.  Works on any struct disk; the caller has made sure that no host is
 * alive on it and that the disk may be written when `repair` is set.
 */
#ifndef VMFS_CHECK_CHECK_H
#define VMFS_CHECK_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "libvmfs/base/err.h"
#include "libvmfs/core/lockops.h"
#include "libvmfs/env/disk.h"
#include "libvmfs/env/env.h"
#include "libvmfs/format/super.h"

enum check_rule {
	CHECK_SUPER_COPY,	/* a copy is damaged or older than the best */
	CHECK_EXTENT,		/* what tells of a further LUN is damaged */
	CHECK_SLOT,		/* heartbeat record or slot info damaged */
	CHECK_SLOT_DIRTY,	/* host died; its journal was replayed */
	CHECK_CLUSTER,		/* cluster block damaged */
	CHECK_CLUSTER_COUNT,	/* its counters disagree with its bitmap */
	CHECK_METACHUNK,	/* head of a metachunk damaged or wrong */
	CHECK_INODE,		/* inode block damaged */
	CHECK_LOCK,		/* lock record of a cluster or inode damaged */
	CHECK_INODE_LOST,	/* inode that no directory names */
	CHECK_NLINK,		/* link count differs from the names found */
	CHECK_DIR,		/* directory block damaged */
	CHECK_DIR_ENTRY,	/* entry names no inode, or another one */
	CHECK_MAP,		/* map node damaged */
	CHECK_MAP_RANGE,	/* entry points outside of data space */
	CHECK_MAP_SHARED,	/* space claimed twice */
	CHECK_SNAPSHOT,		/* snapshot table or inode damaged */
	CHECK_PIN,		/* clone count differs from clones found */
	CHECK_XATTR,		/* damaged attributes: they are lost */
	CHECK_SPACE_LEAK,	/* marked used, used by nothing */
	CHECK_SPACE_FREE,	/* used, but marked free */
	CHECK_QUOTA,		/* account or what a file says of it is wrong */
	CHECK_RULES,
};

enum check_severity {
	CHECK_NOTE,		/* no damage: tells what was or will be done */
	CHECK_HARMLESS,		/* space lost or redundancy gone */
	CHECK_DAMAGE,		/* data or names are lost or at risk */
};

struct check_finding {
	enum check_rule rule;
	enum check_severity severity;
	uint64_t block;		/* where, 0 = nowhere in particular */
	bool fixed;
	const char *text;	/* one sentence: what, of which object */
};

struct check_conf {
	struct env *env;
	struct disk *disk;
	/* The disk of all LUNs behind it (core/extents.h); NULL: there is one
	 * LUN. */
	struct disk *extents;
	bool repair;
	int own_slot;		/* slot of the member that checks, -1: none */
	/* Of that member, for what needs the core; NULL: locks of its own. */
	struct lockops *locks;
	void (*finding)(void *arg, const struct check_finding *f);
	/* Phase name and per mille of the whole; may be NULL. */
	void (*progress)(void *arg, const char *phase, unsigned permille);
	void *arg;
};

struct check_result {
	struct super super;
	uint64_t found, fixed, damage;	/* findings; NOTEs do not count */
	uint64_t files, dirs, disks, snapshots;
	uint64_t total_bytes, used_bytes, meta_bytes;
};

/*
 * Suspends.  0 when the check ran to its end, whatever it found; otherwise
 * what stopped it: -VMFS_ENOTVMFS, -VMFS_EFEATURE, -VMFS_ECORRUPT (no
 * superblock left), -VMFS_EEXTENT (a LUN is missing), -ENOMEM or an I/O error.
 */
int check_run(const struct check_conf *conf, struct check_result *ret_r)
    MUST_CHECK;

/* "super-copy", "space-leak": stable names for --json. */
const char *check_rule_name(enum check_rule r);

/*
 * A disk that keeps writes in memory over a disk that it only reads: lets a
 * check without repair replay journals and see the volume as a mount would.
 * Does not own `below`.
 */
int disk_overlay_open(struct disk *below, struct disk **ret_d) MUST_CHECK;

#endif
