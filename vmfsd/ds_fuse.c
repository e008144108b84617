/* SPDX-License-Identifier: BSD-2-Clause */
/* The FUSE mount of a datastore, and its connection, which outlives us. */
#include <stdio.h>
#include <unistd.h>

#include "vmfsd/call.h"
#include "vmfsd/ds_fuse.h"
#include "vmfsd/keep.h"

static int
serve(void *arg)
{
	struct datastore *d = arg;
	return fuse_mount_serve(d->fuse);
}

static int
stop(void *arg)
{
	struct datastore *d = arg;

	fuse_mount_stop(d->fuse);
	return 0;
}

static void
gone(void *arg)
{
	struct datastore *d = arg;

	atomic_store(&d->gone, true);
	d->all->on_unmounted(d->all->arg);
}

static void
tell_way(const struct datastore *d)
{
	log_info(d->all->log, "fuse: %s: requests by /dev/fuse: %s", d->name,
	    d->no_io_uring ? "io-uring = no" : "those of io_uring would not "
	    "outlive this process, which is supervised");
}

static int
fail(struct datastore *d, int error)
{
	(void)snprintf(d->why, sizeof(d->why), "cannot mount on '%s'%s: %s",
	    d->mount, error == -EBUSY ? ": something is mounted there" :
	    error == -ENOENT ? ": make the directory first" :
	    error == -EIO ? ": is the fuse module loaded?" : "",
	    vmfs_strerror(error));
	return error;
}

static int
make(struct datastore *d, const char *kept, int left)
{
	struct fuse_mount_conf conf = {
		.fs = d->fs,
		.datastore = d->name,
		.dir = d->mount,
		.readonly = d->readonly,
		.threads = d->threads,
		.no_busy_wait = !serving_busy_waits(d->all->serving),
		.io_uring = !d->no_io_uring && !keep_is_worker(),
		.on_unmount = gone,
		.arg = d,
		.keep = &d->keep->fuse,
		.kept = keep_is_worker(),
		.fd = left,
		.resumed = d->again,
		.replayed_lsn = d->keep->soft.replayed_lsn,
	};
	int rc;

	if (!conf.io_uring)
		tell_way(d);
	rc = fuse_mount_new(&conf, &d->fuse);
	if (rc == 0 && left < 0 &&
	    keep_put(kept, fuse_mount_fd(d->fuse)) < 0)
		log_debug(d->all->log, "datastore: %s: no supervisor", d->name);
	return rc;
}

int
ds_fuse_up(struct datastore *d)
{
	char kept[KEEP_NAME_MAX];
	int left, rc;

	ds_keep_connection(d->name, kept);
	if (keep_look(kept, &left) < 0)
		left = -1;
	rc = make(d, kept, left);
	if (rc == 0 && keep_is_worker() && ds_super(d->ds)->extents > 1)
		log_warn(d->all->log, "datastore: %s: has several LUNs: when "
		    "this process dies it is mounted anew, and open files fail "
		    "with EIO, supervised or not", d->name);
	if (rc == 0)
		rc = call_on(d->env.sched, serve, d);
	if (rc < 0)
		return fail(d, rc);
	d->served = true;
	if (keep_take(kept, &left) == 0)
		(void)close(left);
	return 0;
}

void
ds_fuse_down(struct datastore *d)
{
	char kept[KEEP_NAME_MAX];
	int left;

	if (d->fuse == NULL)
		return;
	(void)!call_on(d->env.sched, stop, d);
	ds_keep_connection(d->name, kept);
	if (keep_look(kept, &left) < 0)
		keep_drop(kept);
	fuse_mount_free(d->fuse);
	d->fuse = NULL;
}
