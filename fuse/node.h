/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel knows an inode by: its number, and of its generation as much as
 * there is room for beside that.  So what comes back after the number was used
 * again, which another host may have done, is told from what has it now, with
 * nothing to remember: also by the process after this one.
 *
 * Bits 63..62 tell how long the number is; 0: it is that alone, as of those who
 * were told before there was more.
 */
#ifndef VMFS_FUSE_NODE_H
#define VMFS_FUSE_NODE_H

#include <stdbool.h>
#include <stdint.h>

#define NODE_CLASS_SHIFT 62

static inline unsigned
node_ino_bits(uint64_t class)
{
	return 24 + 8 * (unsigned)class;
}

/* Of a number below 2^48, as all are: 30, 22 or 14 bits of the generation. */
static inline uint64_t
node_make(uint64_t ino, uint32_t generation)
{
	uint64_t class = ino >> 32 == 0 ? 1 : ino >> 40 == 0 ? 2 : 3;
	unsigned bits = node_ino_bits(class);

	return class << NODE_CLASS_SHIFT |
	    (uint64_t)generation << (bits + 2) >> 2 | ino;
}

static inline uint64_t
node_ino(uint64_t node)
{
	uint64_t class = node >> NODE_CLASS_SHIFT;

	return class == 0 ? node :
	    node & (((uint64_t)1 << node_ino_bits(class)) - 1);
}

/* Of what has the number now. */
static inline bool
node_means(uint64_t node, uint32_t generation)
{
	return node >> NODE_CLASS_SHIFT == 0 ||
	    node == node_make(node_ino(node), generation);
}

#endif
