/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory of the guest as its front end shares it, and the log of pages that we
 * have written, for migration.  Nothing here suspends.
 *
 * A guest may change its memory at any time, so whatever is checked is copied
 * first.  The front end is trusted not to truncate it: our next access would
 * be a SIGBUS.
 */
#ifndef VMFS_VHOST_MEM_H
#define VMFS_VHOST_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libvmfs/base/err.h"
#include "vhost/proto.h"

#define VHOST_MEM_SLOTS 64u

struct vhost_mapping {
	struct vhost_region region;
	uint8_t *base;		/* of the region's first byte */
	void *map;
	size_t map_size;
};
struct vhost_mem {
	unsigned count;
	struct vhost_mapping slot[VHOST_MEM_SLOTS];
	/* Bitmap, one bit for 4 KiB of guest memory; NULL: none. */
	uint8_t *log;
	void *log_map;
	size_t log_map_size;
	uint64_t log_size;	/* bytes */
};

/* Maps one more; fd stays the caller's.  -ENOSPC: no slot left; -EINVAL:
 * the file is smaller, or the region overlaps another or no address space. */
int vhost_mem_add(struct vhost_mem *m, const struct vhost_region *r, int fd)
    MUST_CHECK;
/* -ENOENT. */
int vhost_mem_remove(struct vhost_mem *m, const struct vhost_region *r)
    MUST_CHECK;
/* Everything goes, the log as well. */
void vhost_mem_clear(struct vhost_mem *m);
void vhost_mem_unmap(struct vhost_mem *m);	/* but the log stays */

/* `len` > 0 bytes at a guest address; fewer are contiguous: *ret_len.  NULL:
 * not memory of the guest. */
void *vhost_mem_at(const struct vhost_mem *m, uint64_t guest, uint64_t len,
    uint64_t *ret_len);
/* All of `len` bytes at an address of the front end, or NULL. */
void *vhost_mem_user(const struct vhost_mem *m, uint64_t user, uint64_t len);

/* Takes a log of `size` bytes at `offset` of fd, which stays the caller's. */
int vhost_mem_set_log(struct vhost_mem *m, int fd, uint64_t size,
    uint64_t offset) MUST_CHECK;
/* We have written there. */
void vhost_mem_dirty(const struct vhost_mem *m, uint64_t guest, uint64_t len);
void vhost_mem_dirty_at(const struct vhost_mem *m, const void *p, uint64_t len);

#endif
