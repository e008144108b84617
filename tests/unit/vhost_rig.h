/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An export on a reactor thread of its own, and a front end with a guest's
 * driver in it.  Every wait of the front end has a deadline.
 */
#ifndef TESTS_UNIT_VHOST_RIG_H
#define TESTS_UNIT_VHOST_RIG_H

#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>

#include "vhost/export.h"
#include "vhost/proto.h"

#define RIG_DISK ((uint64_t)16 << 20)
#define RIG_RING 16u			/* entries of queue 0 */
/* Guest addresses of its memory. */
#define RIG_BASE ((uint64_t)0x100000)
#define RIG_MEM ((size_t)4 << 20)
#define RIG_DATA ((size_t)1 << 20)	/* offset in it: free for tests */

/* Disk and texts are filled in. */
void rig_start(const struct vhost_conf *conf);
void rig_stop(void);
struct disk *rig_disk(void);
struct vhost_info rig_info(void);
/* Runs fn(export) as a fiber of its reactor. */
void rig_do(void (*fn)(struct vhost_export *e));
/* For vhost_conf: they only count. */
extern unsigned rig_owned, rig_disowned;
int rig_own(void *arg, struct disk **disk);
void rig_disown(void *arg, struct disk **disk);

/* ---- a front end ---- */

struct front {
	int sock, kick, call, err, memory, log;
	int backend;			/* their requests come there */
	uint8_t *mem;			/* RIG_MEM bytes */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t seen;			/* of used */
	unsigned next_desc;
};
struct front *front_connect(void);
void front_close(struct front *f);
/* A message; fd -1: none.  With a reply when `reply` is not NULL: its bytes,
 * -1: the export hung up. */
int front_ask(struct front *f, uint32_t request, const void *p, uint32_t size,
    int fd, void *reply, uint32_t reply_size);
uint64_t front_get(struct front *f, uint32_t request);
void front_set(struct front *f, uint32_t request, uint64_t value, int fd);
/* Features, memory, and queue 0 that runs. */
void front_features(struct front *f, uint64_t device, uint64_t protocol);
void front_memory(struct front *f);
/* Half of the memory, instead of all; rings lie in the first. */
void front_slot(struct front *f, uint32_t request, unsigned which);
void front_queue(struct front *f, uint16_t base, uint32_t flags);
/* All of the queue but its kick and that it is enabled. */
void front_ring(struct front *f, uint16_t base, uint32_t flags);
void front_enable(struct front *f);
/* All of that with nothing special. */
struct front *front_ready(void);
/* True when the other side closes in time. */
bool front_hung_up(struct front *f);

/* Adds a descriptor; offset in the guest's memory.  Its number. */
unsigned front_desc(struct front *f, size_t offset, uint32_t len,
    bool write, bool next);
void front_offer(struct front *f, unsigned head);
/* Waits for the next used element. */
struct vring_used_elem front_used(struct front *f);
/* Header, data at RIG_DATA, status.  Its status; `written` may be NULL. */
uint8_t front_request(struct front *f, uint32_t type, uint64_t sector,
    uint32_t len, bool data_in, uint32_t *ret_written);
uint8_t front_flush(struct front *f);
/* A DISCARD or WRITE ZEROES of one range. */
uint8_t front_ranges(struct front *f, uint32_t type, uint64_t sector,
    uint32_t count, uint32_t flags);
/* A region for what is in flight, mapped at *ret_q; its descriptor. */
int front_inflight(struct vhost_inflight *i,
    struct vhost_inflight_queue **ret_q);

#endif
