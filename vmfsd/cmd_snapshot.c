/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands on snapshots and clones of virtual disks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "vmfsd/attach.h"
#include "vmfsd/disk_key.h"
#include "vmfsd/walk.h"

static json_t *
snapshot_row(const struct fs_snapshot *s)
{
	return json_pack("{s:s, s:i, s:i, s:I, s:I, s:I, s:I, s:i, s:b, s:I}",
	    "name", s->name, "id", (int)s->id, "parent_id", (int)s->parent_id,
	    "created_us", (json_int_t)s->created_us,
	    "size", (json_int_t)s->size,
	    "allocated", (json_int_t)s->allocated,
	    "alone", (json_int_t)s->alone_bytes, "clones", (int)s->clones,
	    "current", s->is_head_base, "ino", (json_int_t)s->ino);
}

int
disk_snapshot_find(struct fs_call *c, const struct vdisk *v, const char *name,
    struct fs_snapshot *ret_s)
{
	int rc = fs_snapshot_find(c->d->fs, v->attr.ino, name, ret_s);

	if (rc == -ENOENT)
		return cmd_fail(c, rc, "%s has no snapshot '%s'; see vmfsctl "
		    "disk snapshots", c->path.path, name);
	return rc;
}

/* The disk of the command and its snapshot "@NAME" or args["name"]. */
static int
find_both(struct fs_call *c, struct vdisk *ret_v, struct fs_snapshot *ret_s)
{
	const char *name = c->path.snapshot;
	int rc = vdisk_find(c, c->path.path, ret_v);

	if (rc == 0 && name[0] == '\0')
		name = json_string_value(json_object_get(c->args, "name"));
	if (rc == 0 && name == NULL)
		return cmd_fail(c, -EINVAL, "which snapshot; expected %s:%s@NAME",
		    c->path.ds, c->path.path);
	return rc < 0 ? rc : disk_snapshot_find(c, ret_v, name, ret_s);
}

static int
snapshot_name(struct fs_call *c, const char **ret_name)
{
	int rc = cmd_string(c->args, "name", ret_name, c->msg);

	if (rc == 0 && (strlen(*ret_name) > SNAPTAB_NAME_MAX ||
	    strpbrk(*ret_name, "/@#") != NULL || !cmd_is_line(*ret_name)))
		rc = cmd_fail(c, -EINVAL, "'%.80s' cannot be the name of a "
		    "snapshot: 1 to %d characters without '/', '@', '#' and "
		    "control characters", *ret_name, SNAPTAB_NAME_MAX);
	return rc;
}

/* Disks of one command, in the order of their inodes. */
struct group {
	unsigned count;
	struct {
		struct vdisk v;
		char path[4096];
	} disk[FS_SNAPSHOT_GROUP_MAX];
	uint64_t ino[FS_SNAPSHOT_GROUP_MAX];
	struct fs_snapshot s[FS_SNAPSHOT_GROUP_MAX];
};

static int
group_add(struct fs_call *c, struct group *g, const char *text)
{
	struct cmd_path p;
	struct vdisk v;
	unsigned i = g->count;
	int rc = cmd_path_parse(text, false, &p, c->msg);

	if (rc == 0 && strcmp(p.ds, c->path.ds) != 0)
		rc = cmd_fail(c, -EINVAL, "%s and %s are two datastores: they "
		    "have no moment in common", c->path.ds, p.ds);
	if (rc == 0)
		rc = vdisk_find(c, p.path, &v);
	if (rc < 0)
		return rc;
	for (; i > 0 && g->ino[i - 1] > v.attr.ino; i--) {
		g->ino[i] = g->ino[i - 1];
		g->disk[i] = g->disk[i - 1];
	}
	if (i > 0 && g->ino[i - 1] == v.attr.ino)
		return cmd_fail(c, -EINVAL, "%s is named twice", p.path);
	g->ino[i] = v.attr.ino;
	g->disk[i].v = v;
	(void)snprintf(g->disk[i].path, sizeof(g->disk[i].path), "%s", p.path);
	g->count++;
	return 0;
}

static int
group_find(struct fs_call *c, struct group *g)
{
	json_t *paths = json_object_get(c->args, "paths"), *row;
	size_t i;
	int rc = 0;

	if (json_array_size(paths) > FS_SNAPSHOT_GROUP_MAX)
		return cmd_fail(c, -EINVAL, "more than %u disks at once",
		    FS_SNAPSHOT_GROUP_MAX);
	if (json_array_size(paths) == 0)
		return group_add(c, g, json_string_value(json_object_get(
		    c->args, "path")));
	json_array_foreach(paths, i, row) {
		const char *text = json_string_value(row);

		rc = group_add(c, g, text != NULL ? text : "");
		if (rc < 0)
			break;
	}
	return rc;
}

static int
refuse_shared(struct fs_call *c, const char *path)
{
	return cmd_fail(c, -EBUSY, "several hosts may write %s, and such a "
	    "disk has no snapshots; run vmfsctl disk set --sharing=none first",
	    path);
}

static int
group_take(struct fs_call *c, struct group *g, const char *name)
{
	unsigned which = 0;
	int rc = fs_snapshot_group(c->d->fs, g->ino, g->count, name, g->s,
	    &c->holder, &which);

	if (rc == -EEXIST)
		return cmd_fail(c, rc, "%s already has a snapshot '%s'",
		    g->disk[which].path, name);
	if (rc == -EBUSY && g->disk[which].v.attr.multi_writer)
		return refuse_shared(c, g->disk[which].path);
	if (rc == -VMFS_ELIMIT && g->count > 1)
		return cmd_fail(c, rc, "so many disks at once do not fit in "
		    "the journal of datastore '%s'", c->d->name);
	if (rc == 0)
		rc = ds_commit(c->d->ds);
	return rc < 0 ? cmd_refuse(c, rc, g->disk[which].v.flat) : 0;
}

static int
run_snapshot(struct fs_call *c)
{
	cleanup_free struct group *g = calloc(1, sizeof(*g));
	json_t *rows = json_array();
	const char *name;
	int rc = g != NULL ? snapshot_name(c, &name) : -ENOMEM;

	c->result = json_pack("{s:o}", "snapshots", rows);
	if (rc == 0)
		rc = group_find(c, g);
	if (rc == 0)
		rc = group_take(c, g, name);
	for (unsigned i = 0; rc == 0 && i < g->count; i++) {
		json_t *row = snapshot_row(&g->s[i]);

		(void)json_object_set_new(row, "disk",
		    json_string(g->disk[i].path));
		(void)json_array_append_new(rows, row);
	}
	/* The one of the only disk, as ever. */
	if (rc == 0 && g->count == 1)
		(void)json_object_set_new(c->result, "snapshot",
		    snapshot_row(&g->s[0]));
	return rc;
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
	if (rc == -EBUSY && attach_find(c->d, v.attr.ino) != NULL)
		return cmd_fail(c, rc, "%s is attached; end who uses it and "
		    "run vmfsctl disk detach first", c->path.path);
	if (rc == -EBUSY)
		return cmd_fail(c, rc, "%s is open on this host, by a program "
		    "or as a LUN; power the virtual machine off first",
		    c->path.path);
	if (rc == 0)
		rc = ds_commit(c->d->ds);
	return rc < 0 ? cmd_refuse(c, rc, v.flat) : 0;
}

int
cmd_disk_revert(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, true, run_revert);
}

/* Frees what no name leads to any more. */
static int
run_reap(struct fs_call *c)
{
	const struct fs_progress p = task_progress(c->task);
	struct vdisk v;
	int rc = vdisk_find(c, c->path.path, &v);

	if (rc == 0)
		rc = fs_snapshot_reap(c->d->fs, v.attr.ino, &p, &c->holder);
	if (rc == 0)
		rc = ds_commit(c->d->ds);
	return rc;
}

static int
run_rm_snapshot(struct fs_call *c)
{
	struct fs_snapshot s;
	struct vdisk v;
	int rc = find_both(c, &v, &s);

	if (rc < 0)
		return rc;
	rc = fs_snapshot_forget(c->d->fs, v.attr.ino, s.id, &c->holder);
	if (rc == -EBUSY)
		return disk_clones_refuse(c, &v, &s);
	if (rc == 0)
		rc = ds_commit(c->d->ds);
	return rc < 0 ? cmd_refuse(c, rc, v.flat) : 0;
}

/* It is gone at once; its space follows. */
int
cmd_disk_rm_snapshot(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg)
{
	int rc = cmd_fs(dm, args, ret_result, msg, true, run_rm_snapshot);

	if (rc < 0)
		return rc;
	json_decref(*ret_result);
	*ret_result = NULL;
	return task_start(dm, "free snapshot", args, TASK_SNAPSHOT, run_reap,
	    ret_result, msg);
}

/* ---- deletions that were cut short ---- */

static int
resume_one(void *arg, const struct walk_entry *e)
{
	struct fs_call *c = arg;
	unsigned pending = 0;
	struct fs_attr a;

	if (!task_step(c->task, 0, 0))
		return -ECANCELED;
	if ((e->type != INODE_DISK && e->type != INODE_FILE) ||
	    fs_getattr(c->d->fs, e->ino, &a) < 0 || a.snapshots == 0 ||
	    fs_snapshot_pending(c->d->fs, e->ino, &pending) < 0 ||
	    pending == 0)
		return 0;
	/* Another host that has the disk open does it by itself. */
	if (fs_snapshot_tidy(c->d->fs, e->ino) == 0)
		log_info(c->d->all->log, "datastore: %s: %u deleted "
		    "snapshot(s) of %s freed", c->d->name, pending, e->path);
	return 0;
}

static int
run_resume(struct fs_call *c)
{
	int rc;

	/* Mounted read-only. */
	if (ds_readonly(c->d->ds))
		return 0;
	rc = walk_tree(c->d->fs, "/", resume_one, c);
	if (rc == 0)
		disk_deferred_reap(c);
	return rc == 0 ? ds_commit(c->d->ds) : rc;
}

static void
resume_datastore(void *arg, struct datastore *d)
{
	char path[80];

	(void)snprintf(path, sizeof(path), "%.70s:/", d->name);
	if (atomic_load(&d->state) == DATASTORE_MOUNTED && !d->resumed) {
		d->resumed = true;
		task_start_quiet(arg, "resume deletions", path, run_resume);
	}
}

void
tasks_resume(struct daemon *dm)
{
	datastores_each(&dm->datastores, resume_datastore, dm);
}

/* ---- clones ---- */

struct cloning {
	struct fs_call *c;
	struct vdisk v;
	struct fs_snapshot s;
	bool now;		/* of the disk as it is, not of a snapshot */
	struct cmd_path to;
	char flat[256];
	uint64_t dir;
	struct fs_attr a;	/* of the clone */
};

static bool
is_full(const struct fs_call *c)
{
	return json_is_true(json_object_get(c->args, "full"));
}

/* Under another key. */
static int
clone_copy(struct cloning *k)
{
	return disk_copy(k->c, &k->s, &k->v.attr, k->dir, k->flat, &k->a);
}

/*
 * The clone gets space of its own, and its name when it has that; or it is
 * copied, and goes without a name, and the snapshot with it.
 */
static int
clone_complete(struct cloning *k)
{
	const struct fs_progress p = task_progress(k->c->task);
	struct fs_file *f;
	int rc2, rc = vdisk_open(k->c, &k->a, &f);

	if (rc < 0)
		return rc;
	if (disk_key_given(k->c)) {
		rc = clone_copy(k);
	} else {
		rc = fs_file_promote(f, &p);
		if (rc == 0)
			rc = vdisk_show(k->c, f, k->dir, k->flat);
	}
	rc2 = fs_file_close(f);
	return rc < 0 ? rc : rc2;
}

/* The disk itself, from the snapshot. */
static int
clone_extent(struct cloning *k)
{
	const struct fs_attr *like = &k->v.attr;
	struct fs_call *c = k->c;
	const char *flat = is_full(c) ? NULL : k->flat;
	char name[SNAPTAB_NAME_MAX + 1];
	int rc;

	if (disk_key_given(c) && !k->now)
		return clone_copy(k);
	(void)snprintf(name, sizeof(name), "for-%.*s", SNAPTAB_NAME_MAX - 4,
	    k->to.name);
	rc = k->now ? fs_clone_now(c->d->fs, like->ino, name, k->dir, flat,
	    like, &k->s, &k->a, &c->holder) : fs_clone(c->d->fs, k->s.ino,
	    k->dir, flat, like->mode, like->uid, like->gid, &k->a,
	    &c->holder);
	return rc == 0 && is_full(c) ? clone_complete(k) : rc;
}

static int
clone_find(struct cloning *k)
{
	struct fs_call *c = k->c;
	int rc = vdisk_find(c, c->path.path, &k->v);

	if (rc == 0)
		rc = disk_target(c, &k->to, k->flat, sizeof(k->flat), &k->dir);
	if (rc == 0 && disk_key_given(c) && !is_full(c))
		rc = cmd_fail(c, -EINVAL, "a clone has its template's key; "
		    "with --full it can have another");
	if (rc == 0 && !k->now)
		rc = disk_snapshot_find(c, &k->v, c->path.snapshot, &k->s);
	return rc;
}

static int
run_clone(struct fs_call *c)
{
	struct cloning k = { .c = c, .now = c->path.snapshot[0] == '\0' };
	int rc = clone_find(&k);

	if (rc == 0) {
		rc = clone_extent(&k);
		if (rc == -EBUSY && k.now && k.v.attr.multi_writer)
			return refuse_shared(c, c->path.path);
		if (rc < 0 && c->msg[0] == '\0')
			return cmd_refuse(c, rc, k.v.flat);
	}
	if (rc < 0)
		return rc;
	rc = vdisk_write_descriptor(c, k.dir, k.to.name, k.a.ino, k.flat,
	    k.a.size, &k.v.attr);
	if (rc == 0)
		rc = ds_commit(c->d->ds);
	if (rc < 0)
		(void)!fs_unlink(c->d->fs, k.dir, k.flat, NULL);
	else
		c->result = json_pack("{s:s, s:s, s:I}", "disk", k.to.path,
		    "snapshot", k.now && is_full(c) ? "" : k.s.name, "size",
		    (json_int_t)k.a.size);
	return rc;
}

int
cmd_disk_clone(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	if (json_is_true(json_object_get(args, "full")))
		return task_start(dm, "clone", args, TASK_SNAPSHOT, run_clone,
		    ret_result, msg);
	return cmd_fs(dm, args, ret_result, msg, true, run_clone);
}
