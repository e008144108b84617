/* SPDX-License-Identifier: BSD-2-Clause */
/* A disk that takes writes at no more than a given rate. */
#ifndef VMFS_TESTS_INTEROP_SLOW_DISK_H
#define VMFS_TESTS_INTEROP_SLOW_DISK_H

#include <stdint.h>

#include "libvmfs/env/disk.h"

struct slow_disk {
	struct disk disk;
	struct disk *below;	/* closed with the disk */
	uint64_t rate;		/* bytes a second */
	_Atomic uint64_t free_at; /* when the next write may go, ns */
};

/* s->below is set.  The disk is part of s. */
struct disk *slow_disk_init(struct slow_disk *s, uint64_t rate);

#endif
