/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One FUSE mount of a datastore.  Requests run as fibers on the datastore's own
 * reactor and are answered there: what a request touches needs no lock.  But
 * what is read or written of an open file goes past them where the core allows
 * it, on the thread that has read the request.
 *
 * Life: new (any thread) -> serve (reactor) -> umount (any other thread) or
 * stop (fiber) -> free (any other thread).
 */
#ifndef VMFS_FUSE_FUSE_MOUNT_H
#define VMFS_FUSE_FUSE_MOUNT_H

#include <stdbool.h>

#include "fuse/fuse_keep.h"

struct fuse_mount;

#define FUSE_THREADS_MAX 16u

struct fuse_mount_conf {
	struct fs *fs;			/* borrowed until stop has returned */
	const char *datastore;		/* for log lines and df(1); copied */
	const char *dir;		/* mount point; copied */
	bool readonly;
	/* That read requests, the reactor's own among them; 0: one for two
	 * processors, 2 to 4 (1 of 1), by io_uring one for each, at most
	 * FUSE_THREADS_MAX. */
	unsigned threads;
	/* Requests by io_uring where the kernel offers that.  Not for one that
	 * another process shall go on with. */
	bool io_uring;
	bool no_busy_wait;	/* threads do not look out before a sleep */
	struct fuse_keep *keep;		/* borrowed until free */
	bool kept;			/* `keep` outlives this process */
	/* A mount that a dead process has left: its /dev/fuse, which stays the
	 * caller's; -1: there is none.  Then `keep` is what that left, too. */
	int fd;
	/* Its files are still ours to open, and what was done before the lsn
	 * is done. */
	bool resumed;
	uint64_t replayed_lsn;
	/* The file system was unmounted from outside (umount(8)).  Called on
	 * the reactor; must not suspend. */
	void (*on_unmount)(void *arg);
	void *arg;
};

/*
 * Mounts.  Requests wait until fuse_mount_serve.  May block: not on a
 * reactor.  -ENOENT, -ENOTDIR, -EBUSY: something is mounted there; -EIO: the
 * kernel has no FUSE (libfuse wrote why to stderr).
 */
int fuse_mount_new(const struct fuse_mount_conf *conf, struct fuse_mount **ret_m)
    MUST_CHECK;
/* Of the connection; it stays the mount's. */
int fuse_mount_fd(const struct fuse_mount *m);
/* Starts answering, on the calling reactor; first what another has left, which
 * is as it was when this fails. */
int fuse_mount_serve(struct fuse_mount *m) MUST_CHECK;
/* Requests come by io_uring, else by /dev/fuse.  On the reactor. */
bool fuse_mount_has_ring(const struct fuse_mount *m);
/* As umount(8): -EBUSY when files are open.  Blocks: not on the reactor. */
int fuse_mount_umount(struct fuse_mount *m) MUST_CHECK;
/*
 * Takes no more requests, waits for those under way and closes what is open.
 * On the reactor; suspends.  Without a call of umount before, processes that
 * still use the mount see ENOTCONN after fuse_mount_free.
 */
void fuse_mount_stop(struct fuse_mount *m);
/* After stop (or without serve).  Blocks: not on the reactor. */
void fuse_mount_free(struct fuse_mount *m);

#endif
