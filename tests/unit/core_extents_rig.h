/* SPDX-License-Identifier: BSD-2-Clause */
/* A datastore on LUNs in memory; fiber context. */
#ifndef TESTS_UNIT_CORE_EXTENTS_RIG_H
#define TESTS_UNIT_CORE_EXTENTS_RIG_H

#include "tests/unit/core_fs_rig.h"
#include "tests/unit/crash_disk.h"

#define FIRST_SIZE (72 * MIB)	/* the last cluster is half as long */
#define SECOND_SIZE (100 * MIB)
#define LUNS 3u

struct box;

/* A way to one of the LUNs, which outlives it. */
struct way {
	struct disk disk;
	struct box *box;
	struct disk *below;
	unsigned *flushes;
	int error;		/* of all requests */
};

#define CUTS_MAX 2000u

struct box {
	struct rig r;
	struct crash_disk *crash[LUNS];	/* what lun[] is on; NULL: memory */
	/* Writes of each LUN before each write, while it is recorded. */
	size_t cut[CUTS_MAX][LUNS];
	unsigned cuts;
	bool recording;
	struct disk *lun[LUNS];
	struct way *way[LUNS];		/* the last one to each */
	unsigned flushes[LUNS];
	unsigned hidden;		/* mask of LUNs that are not found */
};

/* A new way to LUN i. */
struct disk *open_way(struct box *b, unsigned i);
/* For ds_conf.find_extent, with the box. */
int find_extent(void *arg, const struct super *s, unsigned i,
    struct disk **ret_lun);
/* The disk of all LUNs; those that are found come with the mount. */
void open_all(struct box *b);
void mount(struct box *b);
/* The same, with the LUNs that the superblock has; not mounted. */
void open_found(struct box *b);
/* After a crash: what is in the journal is done, then fsck finds nothing. */
void mount_replayed(struct box *b);
/* fsck must find nothing afterwards, or is not asked. */
void umount(struct box *b);
void umount_unchecked(struct box *b);
/* LUN i becomes one of the datastore. */
int add(struct box *b, unsigned i);
/* Two disks: the second one has LUN 1 for what the first LUN has no room for. */
void two_files(struct box *b, uint64_t *ret_here, uint64_t *ret_there);
/* Bytes in use on extent 1. */
uint64_t used_there(struct box *b);
/* Runs fn in a fiber with a mounted datastore on the first LUN. */
void box_run(void (*fn)(struct box *b));
/* The same on LUNs that remember what was written. */
void box_run_crash(void (*fn)(struct box *b));
/* Of a host that is dead (ds_abandon), and whose files are closed. */
void box_kill(struct box *b);
/*
 * As cut i left the LUNs, replayed and mounted; box_kill was there.  fsck has
 * found nothing.  box_after_fini when it is unmounted.
 */
struct box *box_after(struct box *b, unsigned i, enum crash_kind kind);
void box_after_fini(struct box *after);

#define EXTENT_TEST(name)						\
static void body_##name(struct box *b);					\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	(void)tc;							\
	box_run(body_##name);						\
}									\
static void								\
body_##name(struct box *b)

#endif
