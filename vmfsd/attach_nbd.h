/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attachments by NBD: places where clients connect, each with the disks that
 * were attached there, and contexts that tell what changed since a snapshot.
 * On the fibers of the datastore's owner; clients are served where the place is
 * at home.
 */
#ifndef VMFS_VMFSD_ATTACH_NBD_H
#define VMFS_VMFSD_ATTACH_NBD_H

#include "vmfsd/attach.h"

/* In datastore.nbd while something is attached there. */
struct nbd_place {
	struct list node;
	struct datastore *d;
	struct sched *home;		/* serves the clients */
	bool has_home;			/* a thread of datastores.serving */
	struct nbd_server *server;	/* NULL: it is just being opened */
	char *listen, *tls;		/* as asked for; tls may be NULL */
	unsigned users;			/* attachments */
};

/* Finds or makes the place where clients are to find the disk of `a`, which
 * tells where that is at home.  Suspends. */
int attach_nbd_place(struct fs_call *c, const struct attach_conf *conf,
    struct attachment *a) MUST_CHECK;
/* Its disks are open: makes them an export.  Suspends. */
int attach_nbd(struct fs_call *c, struct attachment *a) MUST_CHECK;
/* Its end, with that of the place when it was the last one there; harmless for
 * what is not attached by NBD.  Suspends. */
void attach_nbd_end(struct attachment *a);

#endif
