/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk as a virtio-blk device that a hypervisor of this machine attaches by
 * vhost-user (QEMU: -device vhost-user-blk-pci): requests go from the guest's
 * memory to the disk and back without a copy of data on the way.
 *
 * One hypervisor at a time; when it has gone the next may come.  Everything
 * runs on the scheduler that started it.
 */
#ifndef VMFS_VHOST_EXPORT_H
#define VMFS_VHOST_EXPORT_H

#include "libvmfs/base/log.h"
#include "libvmfs/env/disk.h"

#define VHOST_QUEUES_MAX 16u
#define VHOST_SERIAL_SIZE 20u		/* VIRTIO_BLK_ID_BYTES */

struct vhost_conf {
	const char *socket;	/* path */
	const char *name;	/* of the disk, in the log */
	char serial[VHOST_SERIAL_SIZE + 1];
	unsigned queues;	/* 1 to VHOST_QUEUES_MAX; 0: 4 */
	struct log *log;
	/* What the guest sees before it runs; borrowed. */
	struct disk *disk;
	/*
	 * The guest begins to send requests: *disk may become another one for
	 * them (the same with rights to write); an error leaves it, and writes
	 * fail as they do there.  And it has stopped, all is flushed: *disk may
	 * change again.  Both suspend; NULL: nobody asks.
	 */
	int (*own)(void *arg, struct disk **disk);
	void (*disown)(void *arg, struct disk **disk);
	void *arg;
	/* What another process served here before is on the disk, as far as it
	 * was acknowledged: nothing is lost when it had not been flushed. */
	bool outlived;
	/*
	 * What own gave to a guest there, and is kept for it so many
	 * nanoseconds: if none has run by then, or when the first hypervisor
	 * goes, it is disowned.  NULL: nothing is.
	 */
	struct disk *owned;
	uint64_t owned_ns;
};

struct vhost_export;
/* Copies conf and its texts.  Errors of local_listen; -EINVAL. */
int vhost_export_start(const struct vhost_conf *conf,
    struct vhost_export **ret_e) MUST_CHECK;
/* Disconnects the hypervisor, whose guest sees its disk stall.  Suspends.
 * NULL is fine. */
void vhost_export_stop(struct vhost_export *e);
/* The disk has another size: the guest is told.  Suspends. */
void vhost_export_resized(struct vhost_export *e);

struct vhost_info {
	bool connected;		/* a hypervisor is there */
	bool running;		/* its guest may send requests */
	uint64_t reads, writes, others;		/* requests done */
	uint64_t read_bytes, written_bytes;
	uint64_t errors;	/* of them failed */
	unsigned waiting;	/* for space in the datastore, now */
};
/* Any thread. */
struct vhost_info vhost_export_info(const struct vhost_export *e);

#endif
