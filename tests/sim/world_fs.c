/* SPDX-License-Identifier: BSD-2-Clause */
/* File systems of simulated hosts. */
#include "libvmfs/core/extents.h"
#include "libvmfs/core/fs.h"
#include "tests/sim/world.h"

static void
abandon(struct world_host *wh)
{
	ds_abandon(wh->ds);
}

/* Nothing it still writes gets anywhere; its memory is freed. */
static void
unmount_dead(struct world_host *wh)
{
	int rc, rc2;

	ds_abandon(wh->ds);
	rc = fs_close(wh->fs);
	rc2 = ds_close(wh->ds);
	/* Whether they could fail without I/O is part of the trace only. */
	sim_trace(&wh->world->sim, 0xdead, (uint64_t)-rc, (uint64_t)-rc2);
	wh->fs = NULL;
	wh->ds = NULL;
}

static int
open_fs(struct world_host *wh)
{
	struct ds_conf conf = {
		.env = &wh->env, .disk = host_disk(wh->host),
		.locks = host_locks(wh->host),
		.extents = extents_is(wh->lun) ? wh->lun : NULL,
		.find_extent = world_find_extent, .arg = wh,
		.discard = wh->world->discard,
		.discard_rate = wh->world->discard_rate,
	};
	struct ds *ds;
	int rc = ds_open(&conf, &ds), rc2;

	if (rc < 0)
		return rc;
	rc = fs_open(ds, &wh->fs);
	if (rc == 0) {
		wh->ds = ds;
		return 0;
	}
	rc2 = ds_close(ds);
	return rc2 < 0 ? rc2 : rc;
}

static int
mount_here(struct world *w, unsigned i)
{
	int rc = world_join(w, i), rc2;

	w->abandon = abandon;
	w->unmount_dead = unmount_dead;
	if (rc < 0)
		return rc;
	rc = open_fs(&w->host[i]);
	if (rc == 0)
		return 0;
	rc2 = world_leave(w, i);
	return rc2 < 0 ? rc2 : rc;
}

int
world_mount(struct world *w, unsigned i)
{
	return world_call(w, i, mount_here);
}

static int
unmount_here(struct world *w, unsigned i)
{
	struct world_host *wh = &w->host[i];
	int rc = fs_close(wh->fs), rc2 = ds_close(wh->ds), rc3;

	wh->fs = NULL;
	wh->ds = NULL;
	rc = rc < 0 ? rc : rc2;
	/* As vmfsd does: what could not be written is left to replay. */
	rc3 = rc < 0 ? world_leave_dirty(w, i) : world_leave(w, i);
	return rc < 0 ? rc : rc3;
}

int
world_unmount(struct world *w, unsigned i)
{
	return world_call(w, i, unmount_here);
}

bool
world_has_mounted(struct world *w, unsigned i)
{
	int rc = world_mount(w, i);

	if (rc < 0)
		world_fail(w, "host%u: %s: %s", i, vmfs_strerror(rc),
		    w->host[i].why);
	return rc == 0;
}

struct fs_file *
world_create(struct world *w, unsigned i, const char *name)
{
	struct fs *fs = w->host[i].fs;
	struct fs_file *f = NULL;
	struct fs_attr a;
	int rc = fs_create(fs, fs_root(fs), name, INODE_FILE, 0600, 0, 0, 0,
	    &a);

	if (rc == 0)
		rc = fs_file_open(fs, a.ino, 0, FS_READ | FS_WRITE, &f, NULL);
	if (rc < 0)
		world_fail(w, "create %s on host%u: %s", name, i,
		    vmfs_strerror(rc));
	return f;
}
