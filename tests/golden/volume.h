/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small datastore with something of every structure, always the same, and
 * what can be read from it: what tests of fsck damage and then look at.
 */
#ifndef TESTS_GOLDEN_VOLUME_H
#define TESTS_GOLDEN_VOLUME_H

#include "libvmfs/check/check.h"
#include "libvmfs/core/fs.h"
#include "tests/sim/sim_sched.h"

#define VOLUME_FILES 40u	/* in /dir, too long for one block */
#define VOLUME_NAME "%u-is-the-number-of-a-file-whose-name-is-so-long-that-" \
	"forty-of-them-need-two-leaves-and-a-node-of-a-directory"

/* What has content, as bits. */
enum {
	VOL_DISK = 1 << 0,	/* /disk, with two snapshots */
	VOL_ONE = 1 << 1,	/* its snapshot "one" */
	VOL_TWO = 1 << 2,	/* its snapshot "two" */
	VOL_CLONE = 1 << 3,	/* /clone, of "two" */
	VOL_TWIN = 1 << 4,	/* /twin, a disk in two level 1 nodes */
	VOL_BIG = 1 << 5,	/* /big, a file */
	VOL_DIR = 1 << 6,	/* a file of /dir may be lost, not its others */
	VOL_SMALL = 1 << 7,	/* likewise /small, a directory in its inode */
	VOL_LINK = 1 << 8,	/* /link */
	VOL_NAMES = 1 << 9,	/* small files may have other names */
	VOL_MANY = 1 << 10,	/* any number of small files may be lost */
	VOL_NO_HOLES = 1 << 11,	/* harmed ones fail: no zeroes for data */
	VOL_ATTRS = 1 << 14,	/* attributes of /disk, /clone and /dir */
};

struct volume {
	struct sim sim;
	struct env env;
	struct disk *disk;	/* all in its place, nobody has it mounted */
	struct disk *older;	/* the same before the last changes */
	struct super super;
	uint64_t dir, small, sub, file, disk_ino, one, two, clone, twin, big,
	    link, deep;		/* inodes */
	uint64_t limited, counted;	/* a directory with a quota, a file */
	uint64_t account, account2;	/* its account, that of /sub */
	uint64_t journal;
};

/* A host that has a disk mounted. */
struct volume_mount {
	struct lockops *locks;
	struct ds *ds;
	struct fs *fs;
};
int volume_mount(struct volume *v, struct disk *d, struct volume_mount *m)
    MUST_CHECK;
int volume_unmount(struct volume_mount *m) MUST_CHECK;

/* Runs fn in a fiber of a simulated scheduler: no clock, no chance. */
void volume_run(struct volume *v, void (*fn)(void *arg), void *arg);
/* Makes it; suspends. */
void volume_make(struct volume *v);
void volume_free(struct volume *v);
/* A disk of its own with the same content. */
struct disk *volume_clone(struct disk *from);
/* A host dies on a copy with its last changes in its journal. */
void volume_crash(struct volume *v, struct disk *d);
/*
 * Mounts d and reads everything.  Objects in `harmed` may read as zeroes, be
 * gone or fail; the others are as they were made; nothing reads as what it
 * never was, but for objects in `skip`, which are not looked at.  `repaired`:
 * nothing fails any more.  False with a sentence in `why`.
 */
bool volume_verify(struct volume *v, struct disk *d, unsigned harmed,
    unsigned skip, bool repaired, char why[256]);

#endif
