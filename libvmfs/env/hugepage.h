/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory in huge pages.  A disk is told each piece of a buffer that does not
 * follow the last one in the machine's memory, and has a limit of them: 1 MiB in
 * pages of 4 KiB can be 256, which a virtual machine's disk takes as two
 * requests, for more than twice the time of one in one piece.
 */
#ifndef VMFS_ENV_HUGEPAGE_H
#define VMFS_ENV_HUGEPAGE_H

#include <stddef.h>

#include "libvmfs/base/err.h"

/* Bytes of one and how it is aligned, of most processors. */
#define HUGEPAGE ((size_t)2 << 20)

/*
 * Maps `size` bytes aligned to HUGEPAGE, nothing of which is there yet: shared
 * ones of a file from its beginning, or of our own when fd < 0.  None becomes a
 * huge page by itself.  The caller unmaps them.
 */
int hugepage_map(size_t size, int fd, void **ret_mem) MUST_CHECK;
/* What comes to be there shall be huge pages at once. */
void hugepage_want(void *mem, size_t size);
/*
 * Makes one page of what lies around `at` and is all the caller's, contents
 * and all.  It takes a millisecond; reads, writes and I/O of others may go on
 * there, but pages may have to be brought in again.  -EINVAL: nothing is there
 * yet, or the kernel does not know how (before 6.1); -EAGAIN: I/O is under way;
 * -ENOMEM.
 */
int hugepage_join(void *at) MUST_CHECK;

#endif
