/* SPDX-License-Identifier: BSD-2-Clause */
/* Mapping what can become huge pages, and making it so. */
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "libvmfs/env/hugepage.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25	/* Linux 6.1 */
#endif

int
hugepage_map(size_t size, int fd, void **ret_mem)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE :
	    MAP_SHARED;
	char *room, *mem;
	size_t before;

	if (size > SIZE_MAX - HUGEPAGE)
		return -ENOMEM;
	room = mmap(NULL, size + HUGEPAGE, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (room == MAP_FAILED)
		return -errno;
	before = -(uintptr_t)room % HUGEPAGE;
	mem = mmap(room + before, size, PROT_READ | PROT_WRITE,
	    flags | MAP_FIXED, fd, 0);
	if (mem == MAP_FAILED) {
		int error = errno;

		(void)munmap(room, size + HUGEPAGE);
		return -error;
	}
	if (before > 0)
		(void)munmap(room, before);
	/* As of a mapping, its last page is all of it. */
	size = (size + 4095) / 4096 * 4096;
	(void)munmap(mem + size, HUGEPAGE - before);
	/* Where the machine makes them of whatever is touched. */
	(void)madvise(mem, size, MADV_NOHUGEPAGE);
	*ret_mem = mem;
	return 0;
}

void
hugepage_want(void *mem, size_t size)
{
	(void)madvise(mem, size, MADV_HUGEPAGE);
}

int
hugepage_join(void *at)
{
	char *start = (char *)at - (uintptr_t)at % HUGEPAGE;
	int rc;

	hugepage_want(start, HUGEPAGE);
	rc = madvise(start, HUGEPAGE, MADV_COLLAPSE) < 0 ? -errno : 0;
	if (rc < 0)
		(void)madvise(start, HUGEPAGE, MADV_NOHUGEPAGE);
	return rc;
}
