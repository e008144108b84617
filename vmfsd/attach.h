/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual disks that hypervisors of this machine have by vhost-user.
 *
 * The disk's lock is taken when it is attached, kept while its guest runs, and
 * given back when the guest has stopped: at that moment of a live migration
 * the other host takes it.  The guest of an attachment that is to receive a
 * migration needs it only when it begins to run.
 *
 * All of it runs on the fibers of the datastore's owner.
 */
#ifndef VMFS_VMFSD_ATTACH_H
#define VMFS_VMFSD_ATTACH_H

#include "vhost/export.h"
#include "vmfsd/vdisk.h"

#define ATTACH_SOCKET_MAX 108

struct attachment {
	struct list node;		/* in datastore.attached */
	struct datastore *d;
	uint64_t ino;
	bool readonly;			/* a snapshot: never locked */
	char *path;			/* of the disk, for people */
	char socket[ATTACH_SOCKET_MAX];
	struct disk *idle;		/* for reading only */
	struct disk *held;		/* with the lock; NULL */
	struct vhost_export *e;		/* NULL: it is just being attached */
	bool leaving;			/* it is just being detached */
	unsigned users;			/* whom detach waits for */
	char why[CTL_MESSAGE_SIZE];	/* the guest cannot write; "" */
};

struct attach_conf {
	const char *socket;	/* NULL: beside the control socket */
	const char *control;	/* the control socket */
	unsigned queues;	/* 0: the default */
	bool incoming;		/* without the lock until the guest runs */
};

/* Attaches what c->path names.  -EEXIST: it is attached; -VMFS_ELOCKED with
 * c->holder.  Suspends. */
int attach(struct fs_call *c, const struct attach_conf *conf,
    struct attachment **ret_a) MUST_CHECK;
/* Disconnects its hypervisor and frees it.  One caller.  Suspends. */
void detach(struct attachment *a);
/* That of the disk, or NULL. */
struct attachment *attach_find(struct datastore *d, uint64_t ino);
/* The disk has another size: its guest, if any, is told.  Suspends. */
void attach_resized(struct datastore *d, uint64_t ino);
/*
 * Before an unmount.  -EBUSY with a sentence in why (DATASTORE_WHY_SIZE) while
 * a hypervisor has one, unless force.  Then either it is unmounted, or not.
 * The last two suspend.
 */
int attach_may_go(struct datastore *d, bool force, char *why) MUST_CHECK;
void attach_unmounted(struct datastore *d);
void attach_not_unmounted(struct datastore *d);

#endif
