/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where writes with O_APPEND go: to the end of the file, of which the kernel may
 * know less than we do, when another host has had the file meanwhile.
 *
 * One write of a program may come in parts, which the kernel sends at once (that
 * of AIO, longer than 1 MiB) and which overtake each other on their way through
 * the threads.  It sends nothing else that moves the end before all are answered.
 * So the lowest of them tells where the kernel takes the end to be, and the
 * others keep their distance to it.
 */
#ifndef VMFS_FUSE_APPEND_H
#define VMFS_FUSE_APPEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libvmfs/env/sched.h"

/* Of a file; for parts of a write that are under way. */
struct append {
	bool fresh;	/* the kernel knows the end, with no part, too */
	unsigned parts;
	bool placed;	/* the end is that of `first` */
	uint64_t first;	/* where the kernel has put the lowest */
	uint64_t start;	/* the end before them */
	uint64_t end;	/* ... and after those that have their place */
	struct fiber_cond came;
};

void append_init(struct append *a);
/*
 * Where a part goes that the kernel has put to off of a file that ends at eof;
 * append_end follows when it was written.  Suspends, for 100 ms at most.
 */
uint64_t append_begin(struct append *a, uint64_t off, uint64_t size,
    uint64_t eof);
/* The same for one that a dead process has put to pos. */
void append_again(struct append *a, uint64_t off, uint64_t size, uint64_t pos);
void append_end(struct append *a);
/* Another host may write the file from now on.  There are no parts. */
void append_forget(struct append *a);

#endif
