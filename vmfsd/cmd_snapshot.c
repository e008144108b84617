/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands on snapshots and clones of virtual disks. */
#include <stdio.h>
#include <string.h>

#include "vmfsd/cmd_disk.h"

static json_t *
snapshot_row(const struct fs_snapshot *s)
{
	return json_pack("{s:s, s:i, s:i, s:I, s:I, s:I, s:i, s:b, s:I}",
	    "name", s->name, "id", (int)s->id, "parent_id", (int)s->parent_id,
	    "created_us", (json_int_t)s->created_us,
	    "size", (json_int_t)s->size,
	    "alone", (json_int_t)s->alone_bytes, "clones", (int)s->clones,
	    "current", s->is_head_base, "ino", (json_int_t)s->ino);
}

static int
find_snapshot(struct fs_call *c, const struct vdisk *v, const char *name,
    struct fs_snapshot *ret_s)
{
	int rc = fs_snapshot_find(c->d->fs, v->attr.ino, name, ret_s);

	if (rc == -ENOENT)
		return cmd_fail(c, rc, "%s has no snapshot '%s'; see vmfsctl "
		    "disk snapshots", c->path.path, name);
	return rc;
}

/* The disk of the command and the snapshot that args["name"] names. */
static int
find_both(struct fs_call *c, struct vdisk *ret_v, struct fs_snapshot *ret_s)
{
	const char *name = c->path.snapshot;
	int rc = vdisk_find(c, c->path.path, ret_v);

	if (rc == 0 && name[0] == '\0')
		rc = cmd_string(c->args, "name", &name, c->msg);
	return rc < 0 ? rc : find_snapshot(c, ret_v, name, ret_s);
}

static int
run_snapshot(struct fs_call *c)
{
	const char *name;
	struct fs_snapshot s;
	struct vdisk v;
	int rc = cmd_string(c->args, "name", &name, c->msg);

	if (rc == 0 && (strlen(name) > SNAPTAB_NAME_MAX ||
	    strpbrk(name, "/@#") != NULL))
		rc = cmd_fail(c, -EINVAL, "'%s' cannot be the name of a "
		    "snapshot: 1 to %d characters without '/', '@' and '#'",
		    name, SNAPTAB_NAME_MAX);
	if (rc == 0)
		rc = vdisk_find(c, c->path.path, &v);
	if (rc < 0)
		return rc;
	rc = fs_snapshot_create(c->d->fs, v.attr.ino, name, &s, &c->holder);
	if (rc == -EEXIST)
		return cmd_fail(c, rc, "%s already has a snapshot '%s'",
		    c->path.path, name);
	if (rc == 0)
		rc = ds_commit(c->d->ds);
	if (rc < 0)
		return cmd_refuse(c, rc, v.flat);
	c->result = json_pack("{s:o}", "snapshot", snapshot_row(&s));
	return 0;
}

int
cmd_disk_snapshot(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, false, run_snapshot);
}

static bool
add_snapshot(void *arg, const struct fs_snapshot *s)
{
	return json_array_append_new(arg, snapshot_row(s)) == 0;
}

static int
run_snapshots(struct fs_call *c)
{
	struct vdisk v;
	json_t *list;
	int rc = vdisk_find(c, c->path.path, &v);

	if (rc < 0)
		return rc;
	list = json_array();
	c->result = json_pack("{s:s, s:o}", "disk", c->path.path, "snapshots",
	    list);
	return fs_snapshot_list(c->d->fs, v.attr.ino, add_snapshot, list);
}

int
cmd_disk_snapshots(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, false, run_snapshots);
}

static int
run_revert(struct fs_call *c)
{
	struct fs_snapshot s;
	struct vdisk v;
	int rc = find_both(c, &v, &s);

	if (rc < 0)
		return rc;
	rc = fs_snapshot_revert(c->d->fs, v.attr.ino, s.id, &c->holder);
	if (rc == -EBUSY)
		return cmd_fail(c, rc, "%s is open on this host; power the "
		    "virtual machine off first", v.flat);
	if (rc == 0)
		rc = ds_commit(c->d->ds);
	return rc < 0 ? cmd_refuse(c, rc, v.flat) : 0;
}

int
cmd_disk_revert(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, true, run_revert);
}

static int
run_rm_snapshot(struct fs_call *c)
{
	struct fs_snapshot s;
	struct vdisk v;
	int rc = find_both(c, &v, &s);

	if (rc < 0)
		return rc;
	rc = fs_snapshot_delete(c->d->fs, v.attr.ino, s.id, &c->holder);
	if (rc == -EBUSY)
		return cmd_fail(c, rc, "snapshot '%s' of %s is needed by %u "
		    "clone(s); remove them first", s.name, c->path.path,
		    s.clones);
	if (rc == 0)
		rc = ds_commit(c->d->ds);
	return rc < 0 ? cmd_refuse(c, rc, v.flat) : 0;
}

int
cmd_disk_rm_snapshot(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, true, run_rm_snapshot);
}

/* A clone needs a snapshot: without a name one is made for it. */
static int
source_snapshot(struct fs_call *c, const struct vdisk *v, const char *clone,
    struct fs_snapshot *ret_s)
{
	char name[SNAPTAB_NAME_MAX + 1];

	if (c->path.snapshot[0] != '\0')
		return find_snapshot(c, v, c->path.snapshot, ret_s);
	(void)snprintf(name, sizeof(name), "for-%.*s", SNAPTAB_NAME_MAX - 4,
	    clone);
	return fs_snapshot_create(c->d->fs, v->attr.ino, name, ret_s,
	    &c->holder);
}

static int
run_clone(struct fs_call *c)
{
	struct fs *fs = c->d->fs;
	struct fs_snapshot s;
	struct cmd_path to;
	struct fs_attr a;
	struct vdisk v;
	char flat[256];
	uint64_t dir;
	int rc = vdisk_find(c, c->path.path, &v);

	if (rc == 0)
		rc = disk_target(c, &to, flat, sizeof(flat), &dir);
	if (rc == 0)
		rc = source_snapshot(c, &v, to.name, &s);
	if (rc == 0)
		rc = fs_clone(fs, s.ino, dir, flat, v.attr.mode, v.attr.uid,
		    v.attr.gid, &a, &c->holder);
	if (rc < 0)
		return c->msg[0] != '\0' ? rc : cmd_refuse(c, rc, v.flat);
	rc = vdisk_write_descriptor(c, dir, to.name, flat, a.size, &v.attr);
	if (rc == 0)
		rc = ds_commit(c->d->ds);
	if (rc < 0) {
		(void)!fs_unlink(fs, dir, flat, NULL);
		return rc;
	}
	c->result = json_pack("{s:s, s:s, s:I}", "disk", to.path, "snapshot",
	    s.name, "size", (json_int_t)a.size);
	return 0;
}

int
cmd_disk_clone(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, true, run_clone);
}
