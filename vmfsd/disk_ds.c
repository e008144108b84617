/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual disks as LUNs, see disk_ds.h: the core's disk belongs to the fibers
 * of its datastore's owner, so each request that cannot go past them (fast.c)
 * is carried there and back.
 */
#include <stdlib.h>
#include <string.h>

#include "iscsi/home_call.h"
#include "libvmfs/base/units.h"
#include "vmfsd/disk_ds.h"
#include "vmfsd/lun_keep.h"

#define AGAIN_NS (50 * NSEC_PER_MSEC)

struct disk_ds {
	struct disk disk;
	struct disk *below;
	struct sched *owner;
	struct datastore *d;		/* of a LUN ... */
	struct attach_keep *kept;	/* ... that outlives us, or NULL */
};

struct carried {
	struct disk_req req;	/* the one below */
	struct disk_req *outer;
	struct disk_ds *d;
	struct sched_work work;
};

static struct disk_ds *
disk_ds_of(struct disk *d)
{
	return container_of(d, struct disk_ds, disk);
}

static void
carried_done(struct disk_req *req)
{
	struct carried *c = container_of(req, struct carried, req);
	struct disk_req *outer = c->outer;
	int result = req->result;

	outer->sense = req->sense;
	outer->shared = req->shared;
	free(c);
	disk_complete(outer, result);
}

static void
carried_submit(void *arg)
{
	struct carried *c = arg;

	disk_submit(c->d->below, &c->req);
}

static const struct disk_ops disk_ds_ops;

/* The one that a virtual disk shares with, when it is of the same datastore. */
static struct disk *
source_below(const struct disk_ds *d, struct disk *from)
{
	while (from->ops->same != NULL)
		from = from->ops->same(from);
	if (from->ops != &disk_ds_ops || disk_ds_of(from)->owner != d->owner)
		return NULL;
	return disk_ds_of(from)->below;
}

static void
carry(struct disk_ds *d, struct disk_req *req)
{
	struct disk *from = NULL;
	struct carried *c;

	if (req->op == DISK_SHARE) {
		from = source_below(d, req->from);
		if (from == NULL) {
			disk_complete(req, -EOPNOTSUPP);
			return;
		}
	}
	c = calloc(1, sizeof(*c));
	if (c == NULL) {
		disk_complete(req, -ENOMEM);
		return;
	}
	c->req = *req;
	c->req.from = from;
	c->req.done = carried_done;
	c->outer = req;
	c->d = d;
	c->work = (struct sched_work){ .fn = carried_submit, .arg = c };
	sched_post(c->d->owner, &c->work);
}

static void
carry_again(struct disk_req *req)
{
	carry(req->priv[0], req);
}

static void
carry_submit(struct disk *d, struct disk_req *req)
{
	struct disk_ds *x = disk_ds_of(d);

	req->priv[0] = x;
	if (!fs_disk_fast(x->below, req, carry_again))
		carry(x, req);
}

struct refresh {
	struct disk *below;
	uint64_t size;
};

static int
refresh_below(void *arg)
{
	struct refresh *r = arg;
	int rc = disk_refresh(r->below);

	r->size = r->below->info.size_bytes;
	return rc;
}

static int
carry_refresh(struct disk *d)
{
	struct disk_ds *x = disk_ds_of(d);
	struct refresh r = { .below = x->below };
	int rc = home_call(x->owner, refresh_below, &r);

	if (rc == 0)
		d->info.size_bytes = r.size;
	return rc;
}

static int
carry_space(struct disk *d, struct disk_space *ret_space)
{
	return disk_space(disk_ds_of(d)->below, ret_space);
}

static int
close_below(void *arg)
{
	struct disk_ds *x = arg;

	/* First: if we die in between, the next process must not want the lock
	 * back, which another host may have by then. */
	lun_keep_closed(x->d, x->kept);
	disk_close(x->below);
	return 0;
}

static void
carry_close(struct disk *d)
{
	struct disk_ds *x = disk_ds_of(d);

	/* Only memory can be short; then it stays open until the end. */
	if (home_call(x->owner, close_below, x) == 0)
		free(x);
}

static const struct disk_ops disk_ds_ops = {
	.submit = carry_submit,
	.refresh = carry_refresh,
	.space = carry_space,
	.close = carry_close,
};

int
disk_ds_far(struct disk *below, struct sched *owner, struct disk **ret_d)
{
	struct disk_ds *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return -ENOMEM;
	x->disk.ops = &disk_ds_ops;
	x->disk.info = below->info;
	x->below = below;
	x->owner = owner;
	*ret_d = &x->disk;
	return 0;
}

/* ---- opening, on the datastore's owner ---- */

struct opening {
	struct fs_call call;
	const char *source;
	unsigned flags;
	struct attachment at;		/* which disk it is */
	struct attach_keep *left;	/* by a dead process; NULL */
	struct disk *disk;
};

/* The mount may be just closing what a program has closed. */
static int
open_patiently(struct opening *o, unsigned mode, struct fs_file **ret_f)
{
	struct fs_call *c = &o->call;
	struct sched *s = sched_current();
	uint64_t deadline = sched_now(s) + DISK_DS_CLOSE_NS;
	int rc;

	for (;;) {
		rc = fs_file_open(c->d->fs, o->at.ino, o->at.generation,
		    mode, ret_f, &c->holder);
		if (rc != -VMFS_ELOCKED || c->holder.state != HOLDER_SELF ||
		    sched_now(s) >= deadline)
			return rc;
		fiber_sleep(AGAIN_NS);
	}
}

static int
refuse(struct opening *o, int error)
{
	struct fs_call *c = &o->call;

	if (error != -ESTALE || o->left == NULL)
		return cmd_refuse(c, error, c->path.path);
	return cmd_fail(c, error, "%s: the disk that this LUN was is gone; "
	    "vmfsctl lun remove it, then create it with the disk that it is "
	    "to be", o->source);
}

static int
open_file(struct opening *o)
{
	struct fs_call *c = &o->call;
	unsigned mode = o->at.readonly ? FS_READ :
	    (unsigned)FS_READ | FS_WRITE | FS_BY_LUN;
	struct disk *below;
	struct disk_ds *x;
	struct fs_file *f;
	int rc = open_patiently(o, mode, &f);

	if (rc < 0)
		return refuse(o, rc);
	rc = fs_file_disk(f, o->source, &below);
	if (rc < 0) {
		(void)!fs_file_close(f);
		return rc;
	}
	rc = mode & FS_WRITE ? fs_disk_tell_space(below) : 0;
	if (rc == 0)
		rc = disk_ds_far(below, c->d->env.sched, &o->disk);
	if (rc < 0) {
		disk_close(below);
		return rc;
	}
	x = disk_ds_of(o->disk);
	x->d = c->d;
	x->kept = lun_keep_opened(c->d, o->source, &o->at, o->left);
	return 0;
}

static int
find(struct opening *o)
{
	struct fs_call *c = &o->call;
	struct fs_snapshot s;
	struct fs_attr attr;
	struct vdisk v;
	int rc = vdisk_find(c, c->path.path, &v);

	if (rc < 0)
		return rc;
	o->at.ino = o->at.disk_ino = v.attr.ino;
	o->at.generation = v.attr.generation;
	if (c->path.snapshot[0] == '\0')
		return 0;
	if (!(o->flags & DISK_OPEN_READONLY))
		return cmd_fail(c, -EROFS, "%s@%s is a snapshot: add readonly, "
		    "or clone it", c->path.path, c->path.snapshot);
	rc = fs_snapshot_find(c->d->fs, v.attr.ino, c->path.snapshot, &s);
	if (rc < 0)
		return cmd_fail(c, rc, "%s has no snapshot '%s'",
		    c->path.path, c->path.snapshot);
	rc = fs_getattr(c->d->fs, s.ino, &attr);
	if (rc < 0)
		return cmd_refuse(c, rc, c->path.path);
	o->at.ino = s.ino;
	o->at.generation = attr.generation;
	return 0;
}

static int
open_below(void *arg)
{
	struct opening *o = arg;
	int rc = 0;

	o->left = lun_keep_left(o->call.d, o->source, &o->at);
	if (o->left == NULL)
		rc = find(o);
	o->at.readonly = (o->flags & DISK_OPEN_READONLY) != 0;
	return rc < 0 ? rc : open_file(o);
}

static int
open_in(struct datastore *d, struct opening *o, struct disk **ret_d)
{
	int rc;

	if (atomic_load(&d->state) != DATASTORE_MOUNTED)
		return cmd_fail(&o->call, -ENODEV, "datastore '%s' is %s",
		    d->name, datastore_state_name(atomic_load(&d->state)));
	rc = home_call(d->env.sched, open_below, o);
	if (rc == 0)
		*ret_d = o->disk;
	return rc;
}

int
disk_ds_open(struct datastores *all, const char *source, unsigned flags,
    char *why, struct disk **ret_d)
{
	struct opening o = {
		.call.msg = why, .source = source, .flags = flags,
	};
	int rc = cmd_path_parse(source + strlen(DISK_DS_PREFIX), true,
	    &o.call.path, why);

	if (rc < 0)
		return rc;
	rc = datastore_try(all, o.call.path.ds, &o.call.d);
	if (rc == -ENOENT)
		return cmd_fail(&o.call, rc, "'%s': there is no datastore '%s'",
		    source, o.call.path.ds);
	if (rc < 0)
		return cmd_fail(&o.call, rc, "'%s': datastore '%s' is being "
		    "mounted or unmounted", source, o.call.path.ds);
	rc = open_in(o.call.d, &o, ret_d);
	datastore_put(o.call.d);
	return rc;
}

static int
forget_below(void *arg)
{
	const struct opening *o = arg;

	lun_keep_forget(o->call.d, o->source);
	return 0;
}

void
disk_ds_forget(struct datastores *all, const char *source)
{
	struct opening o = { .source = source };
	char why[CTL_MESSAGE_SIZE];

	if (cmd_path_parse(source + strlen(DISK_DS_PREFIX), true,
	    &o.call.path, why) < 0 ||
	    datastore_try(all, o.call.path.ds, &o.call.d) < 0)
		return;
	if (atomic_load(&o.call.d->state) != DATASTORE_UNMOUNTED)
		(void)!home_call(o.call.d->env.sched, forget_below, &o);
	datastore_put(o.call.d);
}

bool
disk_ds_is(const char *source, const char *datastore)
{
	size_t prefix = strlen(DISK_DS_PREFIX), len;

	if (strncmp(source, DISK_DS_PREFIX, prefix) != 0)
		return false;
	if (datastore == NULL)
		return true;
	len = strlen(datastore);
	return strncmp(source + prefix, datastore, len) == 0 &&
	    source[prefix + len] == ':';
}
