/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual disks that hypervisors of this machine have by vhost-user, and
 * clients from anywhere by NBD (attach_nbd.h).
 *
 * The disk's lock is taken when it is attached, kept while its guest runs, and
 * given back when the guest has stopped: at that moment of a live migration
 * the other host takes it.  The next process keeps it for a guest that ran, but
 * not for ever: it may have stopped in between.  The guest of an attachment that
 * is to receive a migration needs it only when it begins to run.  NBD does not
 * tell who runs: there the lock is held from attach to detach.
 *
 * All of this runs on the fibers of the datastore's owner.  So does what serves
 * the first guest; that of others has threads beside it (serving.h).
 */
#ifndef VMFS_VMFSD_ATTACH_H
#define VMFS_VMFSD_ATTACH_H

#include "nbd/server.h"
#include "vhost/export.h"
#include "vmfsd/vdisk.h"

#define ATTACH_SOCKET_MAX 108

struct attachment {
	struct list node;		/* in datastore.attached */
	struct datastore *d;
	uint64_t ino;
	uint32_t generation;		/* of ino: its number may be used again */
	uint64_t disk_ino;		/* the same, or whose snapshot it is */
	bool readonly;			/* never locked: a snapshot, or asked */
	char *path;			/* of the disk, for people */
	char socket[ATTACH_SOCKET_MAX];
	struct sched *home;		/* serves the guest; perhaps the owner */
	bool has_home;			/* a thread of datastores.serving */
	/* For requests from there. */
	struct disk *idle;		/* for reading only */
	struct disk *held;		/* with the lock; NULL */
	struct vhost_export *e;		/* NULL: not by vhost-user ... */
	struct nbd_export *nbd;		/* NULL: nor by NBD: it is just being
					 * attached */
	struct nbd_place *place;	/* where NBD clients connect */
	char *uri;			/* how they do */
	bool leaving;			/* it is just being detached */
	unsigned users;			/* whom detach waits for */
	struct attach_keep *kept;	/* NULL: nothing outlives us */
	char why[CTL_MESSAGE_SIZE];	/* the guest cannot write; "" */
};

struct attach_conf {
	const char *socket;	/* NULL: beside the control socket */
	const char *control;	/* the control socket */
	unsigned queues;	/* 0: the default */
	bool incoming;		/* without the lock until the guest runs */
	bool nbd;
	const char *listen;	/* for NBD; NULL: a socket beside that */
	const char *tls;	/* for NBD: directory of its files; NULL */
	bool insecure;		/* without TLS, whoever can connect */
	bool readonly;
	struct attach_keep *kept;	/* it is attached again; NULL */
};

/* Attaches what c->path names.  -EEXIST: it is attached; -VMFS_ELOCKED with
 * c->holder.  Suspends. */
int attach(struct fs_call *c, const struct attach_conf *conf,
    struct attachment **ret_a) MUST_CHECK;
/* Disconnects its hypervisor and frees it.  One caller.  Suspends. */
void detach(struct attachment *a);
/* That of the disk, or NULL. */
struct attachment *attach_find(struct datastore *d, uint64_t ino);
/* That of what c->path names, else what was attached by that path and has
 * another by now; NULL.  Suspends. */
struct attachment *attach_named(struct fs_call *c);
/* Which disk it is, for args of attach_keep: its path may name another when
 * it is attached again.  And that of such args, whether it is there or not:
 * ino, generation, disk_ino, readonly of *a.  -EINVAL. */
int attach_keep_disk(const struct attachment *a, json_t *args) MUST_CHECK;
int attach_kept_disk(const json_t *args, struct attachment *a) MUST_CHECK;
/* Args for the next process; NULL: there is no room. */
struct attach_keep *attach_keep_put(struct datastore *d, const json_t *args);
/* It is used, and that is its disk. */
bool attach_keeps(const struct attach_keep *k, uint64_t ino);
/* It is neither just being attached nor detached. */
static inline bool
attach_ready(const struct attachment *a)
{
	return (a->e != NULL || a->nbd != NULL) && !a->leaving;
}
/* Somebody uses it now. */
bool attach_used(const struct attachment *a);
/* The disk has another size: its guest, if any, is told; NBD clients see it
 * when they connect again.  Suspends. */
void attach_resized(struct datastore *d, uint64_t ino);
/*
 * Before an unmount.  -EBUSY with a sentence in why (DATASTORE_WHY_SIZE) while
 * a hypervisor has one, unless force.  Then either it is unmounted, or not.
 * The last two suspend.
 */
int attach_may_go(struct datastore *d, bool force, char *why) MUST_CHECK;
void attach_unmounted(struct datastore *d);
void attach_not_unmounted(struct datastore *d);
/*
 * Where one more is served: by the owner, if that serves nobody yet, else by a
 * thread of datastores.serving, which is taken and goes to serving_put.
 */
struct sched *attach_home(struct datastore *d, bool *ret_taken);
/* Runs fn(arg), which never fails, as a fiber of s.  Suspends. */
void attach_call(struct sched *s, int (*fn)(void *arg), void *arg);
/*
 * What a dead process had attached is so again, or forgotten where this one
 * does not go on as the same incarnation, or waits in d->attach_waits for the
 * next time, which is not the first.  That waits for its sockets: before
 * anybody else can open a file the disks are held, as they were, until then or
 * until attach_let_go; those of LUNs (lun_keep.h), until they are open or those
 * who had them have been told of the mount: attach_told.  All suspend.
 */
void attach_hold(struct datastore *d);
void attach_again(struct datastore *d, bool first);
void attach_let_go(struct datastore *d);
void attach_told(struct datastore *d);

#endif
