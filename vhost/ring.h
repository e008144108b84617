/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One split virtqueue (virtio 1.2 section 2.7) in guest memory, and what is in
 * flight of it, kept where it outlives us.  Nothing here suspends.
 *
 * A chain goes through ring_pop once and through ring_push once, unless it is
 * put back.
 */
#ifndef VMFS_VHOST_RING_H
#define VMFS_VHOST_RING_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <sys/uio.h>

#include "vhost/mem.h"

#define RING_SIZE_MAX 1024u
#define CHAIN_IOV_MAX 260u	/* header, status, data of seg_max and some */

/* A request of the driver: what we read, then what we write. */
struct chain {
	uint16_t head;
	unsigned outs, ins;
	struct iovec iov[CHAIN_IOV_MAX];
};

struct ring {
	const struct vhost_mem *mem;
	unsigned size;			/* a power of two */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint64_t used_guest;		/* where `used` is logged */
	bool log_used;
	bool event_idx, indirect;
	uint16_t next_avail;		/* the driver's, not yet popped */
	uint16_t next_used;
	uint16_t signalled;		/* next_used when the driver was told */
	bool signalled_valid;
	/* NULL: nobody keeps it for us. */
	struct vhost_inflight_queue *inflight;
	uint64_t counter;
	/* Heads that a predecessor left in flight, oldest first, and those that
	 * were put back.  Both count on, their places are modulo its size. */
	uint16_t resume[RING_SIZE_MAX];
	unsigned resume_count, resume_next;
};

/* Addresses of the front end become pointers.  -EFAULT: not its memory, or
 * misaligned; -EINVAL: no such size. */
int ring_map(struct ring *r, const struct vhost_addr *a) MUST_CHECK;
/*
 * Begins at `base`, the number of chains taken so far; with an inflight region
 * of a predecessor where that stopped.  -EPROTO: the region is damaged.
 */
int ring_start(struct ring *r, uint16_t base) MUST_CHECK;
/*
 * A driver makes its rings of zeroes (virtio 1.2, 4.1.5.1.2), so this one has
 * had no answer yet.  Indices alone do not tell: they wrap.
 */
bool ring_is_new(const struct ring *r);

/* True: *c is the next chain.  -EPROTO in *ret_error: the driver has broken
 * the ring, which is the end of it. */
bool ring_pop(struct ring *r, struct chain *c, int *ret_error);
/* Whether there is one. */
bool ring_waits(const struct ring *r);
/* One that the driver has offered before. */
bool ring_resumes(const struct ring *r);
/* The chain is not done but popped once more, be it after another start. */
void ring_put_back(struct ring *r, uint16_t head);
/* Nothing that was put back is popped again. */
void ring_forget(struct ring *r);
/* The chain is done, `written` bytes of it were filled. */
void ring_push(struct ring *r, uint16_t head, uint32_t written);
/* Whether the driver wants to hear of what was pushed. */
bool ring_must_signal(struct ring *r);
/* Shall it tell us of new chains?  True when some are there already. */
bool ring_listen(struct ring *r, bool on);

#endif
