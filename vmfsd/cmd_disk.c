/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands on virtual disks: create, list, show, move, remove. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/vmdk/descriptor.h"
#include "vmfsd/attach.h"
#include "vmfsd/disk_key.h"
#include "vmfsd/walk.h"

static const struct fs_attr fresh = { .mode = 0600 };

/* ---- create ---- */

int
disk_size_wanted(struct fs_call *c, uint64_t *ret_size)
{
	const char *text;
	uint64_t size;
	int rc = cmd_string(c->args, "size", &text, c->msg);

	if (rc < 0)
		return rc;
	if (size_parse(text, &size) < 0 || size == 0)
		return cmd_fail(c, -EINVAL, "'%.40s' is no size of a disk; "
		    "expected a number with K, M, G, T or P, as in 10G or "
		    "1.5T", text);
	/* Who leaves the unit out means another one. */
	if (size < MIB && text[strspn(text, "0123456789")] == '\0')
		return cmd_fail(c, -EINVAL, "'%.40s' is so many bytes; expected "
		    "a number with K, M, G, T or P, as in 10G", text);
	/* Extents are counted in sectors. */
	*ret_size = (size + 511) & ~(uint64_t)511;
	return 0;
}

int
disk_names(struct fs_call *c, const struct cmd_path *p, char *flat,
    size_t size, uint64_t *ret_dir)
{
	struct fs_attr a;
	int rc = vmdk_flat_name(p->name, flat, size);

	if (strlen(p->name) + strlen("-flat") > NAME_MAX)
		return cmd_fail(c, -EINVAL, "'%.80s...': with -flat, "
		    "which its extent has, the name is longer than %d bytes",
		    p->name, NAME_MAX);
	if (rc < 0 || vdisk_is_flat(p->name))
		return cmd_fail(c, -EINVAL, "'%s': a disk is named by its "
		    "descriptor, which ends in .vmdk (not -flat.vmdk)",
		    p->path);
	if (strchr(p->name, '@') != NULL)
		return cmd_fail(c, -EINVAL, "'%s': no '@' in the name of a "
		    "disk, it stands before the name of a snapshot", p->path);
	if (strchr(p->name, '"') != NULL || !cmd_is_line(p->name))
		return cmd_fail(c, -EINVAL, "no '\"' and no control characters "
		    "in the name of a disk: its descriptor has the name in a "
		    "line of text");
	rc = cmd_resolve(c, p->dir, &a);
	if (rc < 0)
		return rc;
	*ret_dir = a.ino;
	if (fs_lookup(c->d->fs, a.ino, p->name, &a) == 0)
		return cmd_refuse(c, -EEXIST, p->path);
	return 0;
}

/* What takes long. */
static int
create_filled(struct fs_call *c, uint64_t dir, const char *flat, uint64_t size,
    enum disk_format format, struct fs_attr *ret_a)
{
	struct fs_file *f;
	int rc2, rc = vdisk_make(c, dir, size, &fresh, &f);

	if (rc < 0)
		return rc;
	rc = fs_file_attr(f, ret_a);
	if (rc == 0)
		rc = disk_format_apply(c, ret_a->ino, format);
	if (rc == 0)
		rc = vdisk_show(c, f, dir, flat);
	rc2 = fs_file_close(f);
	return rc < 0 ? rc : rc2;
}

/* With a key it would have its name before it is encrypted. */
static int
create_extent(struct fs_call *c, uint64_t dir, const char *flat, uint64_t size,
    enum disk_format format, struct fs_attr *ret_a)
{
	if (format != DISK_THIN || json_object_get(c->args, "key") != NULL)
		return create_filled(c, dir, flat, size, format, ret_a);
	return fs_create(c->d->fs, dir, flat, INODE_DISK, fresh.mode, 0, 0,
	    size, ret_a);
}

static int
run_create(struct fs_call *c)
{
	enum disk_format format = DISK_THIN;
	char flat[256];
	uint64_t size = 0, dir = 0;
	struct fs_attr a;
	int rc = disk_size_wanted(c, &size);

	if (rc == 0)
		rc = disk_format_wanted(c, &format);
	if (rc == 0)
		rc = disk_names(c, &c->path, flat, sizeof(flat), &dir);
	if (rc == 0)
		rc = create_extent(c, dir, flat, size, format, &a);
	if (rc < 0)
		return rc;
	rc = vdisk_write_descriptor(c, dir, c->path.name, a.ino, flat, size,
	    &fresh);
	if (rc == 0)
		rc = ds_commit(c->d->ds);
	if (rc < 0) {
		(void)!fs_unlink(c->d->fs, dir, flat, NULL);
		return rc;
	}
	c->result = json_pack("{s:s, s:I, s:I}", "disk", c->path.path, "size",
	    (json_int_t)size, "ino", (json_int_t)a.ino);
	return 0;
}

/* What takes long is a task. */
static int
cmd_create(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	if (json_is_true(json_object_get(args, "eager")))
		(void)json_object_set_new(args, "format",
		    json_string("eagerzeroedthick"));
	if (json_object_get(args, "format") == NULL)
		return cmd_fs(dm, args, ret_result, msg, false, run_create);
	return task_start(dm, "create", args, TASK_FIBER, run_create,
	    ret_result, msg);
}

/* ---- list, show ---- */

static json_t *
disk_row(struct fs_call *c, const char *path, const struct fs_attr *a)
{
	struct lock_holder h = { .mode = LOCK_FREE };
	struct lockops *l = c->d->locks;
	uint64_t held = a->allocated;
	json_t *row = json_pack("{s:o, s:I, s:I, s:i, s:b, s:I, s:I}",
	    "disk", ctl_text(path), "size", (json_int_t)a->size,
	    "allocated", (json_int_t)a->allocated,
	    "snapshots", (int)a->snapshots, "clone", a->is_clone,
	    "ino", (json_int_t)a->ino,
	    "modified_us", (json_int_t)(a->mtime_ns / 1000));

	/* A damaged map is told by who reads it. */
	if ((a->snapshots == 0 && !a->is_clone) ||
	    fs_held(c->d->fs, a->ino, &held) == 0)
		(void)json_object_set_new(row, "held",
		    json_integer((json_int_t)held));
	(void)json_object_set_new(row, "sharing",
	    json_string(a->multi_writer ? "multi-writer" : "none"));
	disk_limits_show(a, row);
	disk_key_show(c, a, row);
	if (l->vt->query(l, a->ino, &h) == 0)
		(void)json_object_set_new(row, "lock", cmd_holder_json(&h));
	return row;
}

static int
list_entry_fn(void *arg, const struct walk_entry *e)
{
	struct fs_call *c = arg;
	char path[4352], name[256];
	struct fs_attr a, descriptor;
	int rc;

	if (e->type != INODE_DISK && !vdisk_is_flat(e->name))
		return 0;
	rc = fs_getattr(c->d->fs, e->ino, &a);
	if (rc < 0)
		return rc == -ENOENT || rc == -ESTALE ? 0 : rc;
	(void)snprintf(path, sizeof(path), "%s", e->path);
	if (vdisk_descriptor_name(e->name, name, sizeof(name)) &&
	    fs_lookup(c->d->fs, e->dir, name, &descriptor) == 0)
		(void)snprintf(path, sizeof(path), "%.*s%s",
		    (int)(e->name - e->path), e->path, name);
	return json_array_append_new(c->result, disk_row(c, path, &a));
}

static int
run_ls(struct fs_call *c)
{
	int rc;

	c->result = json_array();
	rc = walk_tree(c->d->fs, c->path.path, list_entry_fn, c);
	ctl_sort(c->result, "disk");
	if (rc == 0)
		c->result = json_pack("{s:o}", "disks", c->result);
	return rc;
}

static int
cmd_ls(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, false, run_ls);
}

/* "/template.vmdk@snapshot" of a clone. */
static void
show_origin(struct fs_call *c, const struct fs_attr *a, json_t *row)
{
	char path[4352], name[4352], *at;

	if (!a->is_clone || fs_path(c->d->fs, a->origin_snapshot, path,
	    sizeof(path)) < 0)
		return;
	at = strrchr(path, '@');
	if (at != NULL)
		*at++ = '\0';
	if (!vdisk_descriptor_name(path, name, sizeof(name)))
		(void)snprintf(name, sizeof(name), "%s", path);
	(void)json_object_set_new(row, "origin", json_sprintf("%s%s%s", name,
	    at != NULL ? "@" : "", at != NULL ? at : ""));
}

static int
run_info(struct fs_call *c)
{
	struct vdisk v;
	json_t *row;
	int rc = vdisk_find(c, c->path.path, &v);

	if (rc < 0)
		return rc;
	row = disk_row(c, c->path.path, &v.attr);
	c->result = json_pack("{s:o}", "disk", row);
	(void)json_object_set_new(row, "extent", json_string(v.flat));
	show_origin(c, &v.attr, row);
	return 0;
}

static int
cmd_info(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, false, run_info);
}

/* ---- remove, move ---- */

/* The kernel tells of a close when it likes. */
#define CLOSE_LOOKS 50u
#define CLOSE_LOOK_NS (20 * NSEC_PER_MSEC)

/* Who has a guest's disk loses it when the guest ends. */
static int
refuse_used(struct fs_call *c, const struct vdisk *v)
{
	bool attached = false;

	if (json_is_true(json_object_get(c->args, "force")))
		return 0;
	for (unsigned i = 0; i < CLOSE_LOOKS; i++) {
		attached = attach_find(c->d, v->attr.ino) != NULL;
		if (!attached && !fs_is_written(c->d->fs, v->attr.ino))
			return 0;
		if (attached)
			break;
		fiber_sleep(CLOSE_LOOK_NS);
	}
	return cmd_fail(c, -EBUSY, "%s is %s; end that first, or use --force: "
	    "then it is gone when it is closed", c->path.path, attached ?
	    "attached (vmfsctl disk attached)" : "in use on this host, by a "
	    "program or as a LUN");
}

static int
run_rm(struct fs_call *c)
{
	const struct fs_progress p = task_progress(c->task);
	struct vdisk v;
	int rc = vdisk_find(c, c->path.path, &v);

	if (rc == 0)
		rc = refuse_used(c, &v);
	if (rc < 0)
		return rc;
	if (v.attr.snapshots > 0)
		rc = fs_snapshot_thin(c->d->fs, v.attr.ino, &p, &c->holder);
	/* The extent first: when it is locked nothing has changed. */
	if (rc == 0)
		rc = fs_unlink(c->d->fs, v.dir, v.flat, &c->holder);
	if (rc == -EBUSY && json_is_true(json_object_get(c->args, "defer")))
		return disk_defer(c, &v);
	if (rc == -EBUSY)
		return disk_clones_refuse(c, &v, NULL);
	if (rc < 0)
		return cmd_refuse(c, rc, v.flat);
	if (v.descriptor[0] != '\0')
		rc = fs_unlink(c->d->fs, v.dir, v.descriptor, &c->holder);
	if (rc == 0 && v.attr.is_clone)
		disk_deferred_reap(c);
	return rc < 0 ? rc : ds_commit(c->d->ds);
}

static int
cmd_rm(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	return task_start(dm, "remove", args, TASK_FIBER, run_rm, ret_result,
	    msg);
}

int
disk_target(struct fs_call *c, struct cmd_path *ret_p, char *flat, size_t size,
    uint64_t *ret_dir)
{
	const char *to;
	int rc = cmd_string(c->args, "to", &to, c->msg);

	if (rc == 0)
		rc = cmd_path_parse(to, false, ret_p, c->msg);
	if (rc < 0)
		return rc;
	if (strcmp(ret_p->ds, c->path.ds) != 0)
		return cmd_fail(c, -EINVAL, "%s and %s are two datastores",
		    c->path.ds, ret_p->ds);
	return disk_names(c, ret_p, flat, size, ret_dir);
}

/*
 * The new descriptor is there before the extent moves, the old one goes last:
 * cut short, the disk can still be named by one of them.
 */
static int
run_mv(struct fs_call *c)
{
	struct fs *fs = c->d->fs;
	struct cmd_path to;
	struct vdisk v;
	char flat[256];
	uint64_t dir;
	int rc = vdisk_find(c, c->path.path, &v);

	if (rc == 0)
		rc = disk_target(c, &to, flat, sizeof(flat), &dir);
	if (rc < 0)
		return rc;
	rc = vdisk_write_descriptor(c, dir, to.name, v.attr.ino, flat,
	    v.attr.size, &v.attr);
	if (rc < 0)
		return rc;
	rc = fs_rename(fs, v.dir, v.flat, dir, flat, FS_RENAME_NOREPLACE,
	    &c->holder);
	if (rc < 0) {
		(void)!fs_unlink(fs, dir, to.name, NULL);
		return cmd_refuse(c, rc, v.flat);
	}
	if (v.descriptor[0] != '\0')
		rc = fs_unlink(fs, v.dir, v.descriptor, &c->holder);
	return rc < 0 ? rc : ds_commit(c->d->ds);
}

static int
cmd_mv(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, false, run_mv);
}

const struct command commands_disk[] = {
	{ "disk.create", cmd_create },
	{ "disk.set", cmd_disk_set },
	{ "disk.stats", cmd_disk_stats },
	{ "disk.attach", cmd_disk_attach },
	{ "disk.detach", cmd_disk_detach },
	{ "disk.attached", cmd_disk_attached },
	{ "disk.handover", cmd_disk_handover },
	{ "disk.inflate", cmd_disk_inflate },
	{ "disk.convert", cmd_disk_convert },
	{ "disk.punch", cmd_disk_punch },
	{ "disk.resize", cmd_disk_resize },
	{ "disk.rekey", cmd_disk_rekey },
	{ "disk.recover", cmd_disk_recover },
	{ "disk.promote", cmd_disk_promote },
	{ "disk.diff", cmd_disk_diff },
	{ "disk.export", cmd_disk_export },
	{ "disk.import", cmd_disk_import },
	{ "disk.ls", cmd_ls },
	{ "disk.info", cmd_info },
	{ "disk.rm", cmd_rm },
	{ "disk.mv", cmd_mv },
	{ "disk.snapshot", cmd_disk_snapshot },
	{ "disk.snapshots", cmd_disk_snapshots },
	{ "disk.revert", cmd_disk_revert },
	{ "disk.clone", cmd_disk_clone },
	{ "disk.rm-snapshot", cmd_disk_rm_snapshot },
	{ NULL, NULL },
};
