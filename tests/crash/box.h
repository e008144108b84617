/* SPDX-License-Identifier: BSD-2-Clause */
/* One host without a cluster: mounts, dies, replays who died.  Fibers. */
#ifndef TESTS_CRASH_BOX_H
#define TESTS_CRASH_BOX_H

#include "libvmfs/base/prng.h"
#include "libvmfs/core/fs.h"

#define BOX_SLOTS 2

struct box {
	struct env env;
	struct prng prng;	/* behind env.random */
	struct disk *disk;	/* the caller's */
	struct super super;
	struct lockops *locks;	/* NULL: not mounted */
	struct ds *ds;
	struct fs *fs;
};

/* All that happens is decided by the seed. */
void box_init(struct box *b, struct disk *disk, uint64_t seed);
int box_mkfs(struct box *b) MUST_CHECK;
/* Checkpoints are made only when asked for. */
int box_mount(struct box *b, unsigned slot, uint64_t incarnation,
    bool discard) MUST_CHECK;
int box_unmount(struct box *b) MUST_CHECK;
/* The housekeeper comes by: a day passes. */
void box_keep(void);
/* Nothing more is written.  Files of it that are open are closed. */
void box_kill(struct box *b);
/* Replays a slot's journal; it was last mounted as `incarnation`. */
int box_replay(struct box *b, unsigned slot, uint64_t incarnation) MUST_CHECK;

#endif
