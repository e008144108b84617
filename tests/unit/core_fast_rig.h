/* SPDX-License-Identifier: BSD-2-Clause */
/* A disk on a LUN that takes its time, used by other threads than its owner. */
#ifndef TESTS_UNIT_CORE_FAST_RIG_H
#define TESTS_UNIT_CORE_FAST_RIG_H

#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/core_fs_rig.h"

#define FAST_SIZE (2 * MIB)
/* What the LUN counts when a sector that is written begins with it. */
#define FAST_TEXT "thirty-two bytes of clear text.."

/* Each request takes another time. */
struct slow {
	struct disk disk;
	struct disk *below;
	pthread_mutex_t lock;		/* disk_mem is one thread's */
	_Atomic unsigned seed;
	/* The next request of this kind for data is held, or fails. */
	bool hold, fail;
	enum disk_op op;
	struct disk_req *held;
	_Atomic unsigned clear;		/* sectors of clear text written */
};

struct crowd {
	struct rig *r;
	struct fs_file *f;
	uint64_t ino;
	bool secret;			/* encrypted ... */
	unsigned keys_used;		/* ... under each rig_key in turn */
	bool large;			/* its requests */
	uint8_t *bytes;
	_Atomic unsigned running, fast, slow;
};

/* A disk full of `v` on the slow LUN, encrypted if c->secret; and its end. */
void fast_up(struct crowd *c, struct slow *s, uint8_t v);
void fast_down(struct crowd *c, struct slow *s);
/* READ, WRITE, or UNMAP: perhaps by way of the owner.  The pieces of a request
 * end somewhere in the blocks. */
void fast_transfer(struct crowd *c, enum disk_op op, uint64_t off, uint8_t *buf,
    size_t len);

/* Something that a fiber of its own does with the disk, and what it needs. */
struct step {
	struct crowd *c;
	struct slow *s;
	int (*fn)(struct step *t);
	struct disk_req *held;
	uint8_t block[BLOCK_SIZE] __attribute__((aligned(BLOCK_SIZE)));
	bool done;
	struct fs_file *opened;
};

void step_begin(struct step *t, int (*fn)(struct step *t));
/* The next request to do `op` is held; returns when it is. */
void step_begin_held(struct step *t, int (*fn)(struct step *t),
    enum disk_op op);
/* The request that is held goes on; returns when the step is done. */
void step_let_go(struct step *t);
void step_wait(const bool *what);
/* For so long that it would have ended. */
void step_expect_waits(struct step *t);

#endif
