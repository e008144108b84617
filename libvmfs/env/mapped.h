/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A file in memory, mapped.  To copy through the mapping costs the copy; a
 * read or write call looks up and locks each page of 4 KiB besides, which
 * takes longer.  What is not in memory is left to such a call: a mapping
 * would turn holes into pages, and kill the process where the file has become
 * shorter or its file system is full.
 */
#ifndef VMFS_ENV_MAPPED_H
#define VMFS_ENV_MAPPED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "libvmfs/base/err.h"

struct mapped {
	char *base;		/* NULL: not mapped */
	uint64_t size;		/* bytes */
};

/* Maps the first size bytes of fd, which is open for writing. */
int mapped_open(int fd, uint64_t size, struct mapped *ret_m) MUST_CHECK;
void mapped_close(struct mapped *m);

/*
 * Copies len bytes, all of iov, from or to the file at offset.  Any thread.
 * -ENODATA: not all of it is in memory, use a call; some may have been copied.
 */
int mapped_copy(const struct mapped *m, uint64_t offset, uint64_t len,
    const struct iovec *iov, int iovcnt, bool to_file) MUST_CHECK;

/* The copy without the look whether all is there: for tests. */
int mapped_copy_blindly(const struct mapped *m, uint64_t offset, uint64_t len,
    const struct iovec *iov, int iovcnt, bool to_file) MUST_CHECK;

#endif
