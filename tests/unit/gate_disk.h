/* SPDX-License-Identifier: BSD-2-Clause */
/* A disk that holds back writes to chosen blocks until it is opened. */
#ifndef TESTS_UNIT_GATE_DISK_H
#define TESTS_UNIT_GATE_DISK_H

#include "libvmfs/env/disk.h"

#define GATE_HELD_MAX 64u

struct gate_disk {
	struct disk disk;	/* give this to the code under test */
	struct disk *below;	/* the test's */
	uint64_t first, blocks;	/* 4 KiB blocks whose writes are held */
	unsigned left;		/* how many more are held */
	struct disk_req *held[GATE_HELD_MAX];
	unsigned count;
};

void gate_disk_init(struct gate_disk *g, struct disk *below);
/* From now on the first `most` writes to these blocks; blocks 0: none. */
void gate_disk_close(struct gate_disk *g, uint64_t first, uint64_t blocks,
    unsigned most);
/* Sends on what was held, in the order in which it came. */
void gate_disk_open(struct gate_disk *g);

#endif
