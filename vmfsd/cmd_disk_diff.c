/* SPDX-License-Identifier: BSD-2-Clause */
/* Which parts of a disk changed, and which clones it has. */
#include <stdio.h>
#include <string.h>

#include "vmfsd/attach.h"
#include "vmfsd/cmd_disk.h"
#include "vmfsd/walk.h"

/* ---- disk.diff ---- */

struct extents {
	json_t *rows;
	uint64_t bytes;
};

static bool
add_extent(void *arg, uint64_t offset, uint64_t len, bool data)
{
	struct extents *x = arg;

	x->bytes += len;
	return json_array_append_new(x->rows, json_pack("{s:I, s:I, s:b}",
	    "offset", (json_int_t)offset, "length", (json_int_t)len, "data",
	    data)) == 0;
}

/* Inode of a side: a snapshot by its name, or the live disk. */
static int
side(struct fs_call *c, const struct vdisk *v, const char *snapshot,
    uint64_t *ret_ino)
{
	struct fs_snapshot s;
	int rc;

	if (snapshot[0] == '\0') {
		*ret_ino = v->attr.ino;
		return 0;
	}
	rc = disk_snapshot_find(c, v, snapshot, &s);
	if (rc == 0)
		*ret_ino = s.ino;
	return rc;
}

/* "@NAME", or a whole path, which must be of the same disk. */
static int
other_side(struct fs_call *c, struct cmd_path *ret_p)
{
	const char *to = json_string_value(json_object_get(c->args, "to"));
	int rc;

	*ret_p = c->path;
	ret_p->snapshot[0] = '\0';
	if (to == NULL)
		return 0;
	if (to[0] == '@') {
		(void)snprintf(ret_p->snapshot, sizeof(ret_p->snapshot), "%s",
		    to + 1);
		return 0;
	}
	rc = cmd_path_parse(to, true, ret_p, c->msg);
	if (rc == 0 && (strcmp(ret_p->ds, c->path.ds) != 0 ||
	    strcmp(ret_p->path, c->path.path) != 0))
		rc = cmd_fail(c, -EXDEV, "%s and %s are two disks; differences "
		    "are told between snapshots of one", c->path.path,
		    ret_p->path);
	return rc;
}

static int
run_diff(struct fs_call *c)
{
	struct extents x = { json_array(), 0 };
	uint64_t from = 0, to = 0;
	struct cmd_path other;
	struct vdisk v;
	int rc = vdisk_find(c, c->path.path, &v);

	c->result = json_pack("{s:o}", "extents", x.rows);
	if (rc == 0)
		rc = other_side(c, &other);
	if (rc == 0 && c->path.snapshot[0] == '\0' &&
	    other.snapshot[0] == '\0')
		rc = cmd_fail(c, -EINVAL, "since which snapshot; expected "
		    "%s:%s@NAME", c->path.ds, c->path.path);
	if (rc == 0)
		rc = side(c, &v, c->path.snapshot, &from);
	if (rc == 0)
		rc = side(c, &v, other.snapshot, &to);
	if (rc == 0)
		rc = fs_diff(c->d->fs, from, to, add_extent, &x);
	if (rc == 0)
		(void)json_object_set_new(c->result, "bytes",
		    json_integer((json_int_t)x.bytes));
	return rc;
}

int
cmd_disk_diff(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, true, run_diff);
}

/* ---- clones ---- */

#define CLONES_NAMED 8

struct clones {
	struct fs_call *c;
	uint64_t disk, snapshot;	/* 0: any of its snapshots */
	unsigned count;
	char names[512];
};

static int
look_at(void *arg, const struct walk_entry *e)
{
	struct clones *l = arg;
	struct fs_attr a;
	size_t used = strlen(l->names);
	char name[256];

	if (e->type != INODE_DISK && e->type != INODE_FILE)
		return 0;
	if (fs_getattr(l->c->d->fs, e->ino, &a) < 0 || !a.is_clone ||
	    a.origin_disk != l->disk ||
	    (l->snapshot != 0 && a.origin_snapshot != l->snapshot))
		return 0;
	if (!vdisk_descriptor_name(e->name, name, sizeof(name)))
		(void)snprintf(name, sizeof(name), "%s", e->name);
	if (l->count++ < CLONES_NAMED)
		(void)snprintf(l->names + used, sizeof(l->names) - used,
		    "%s%.*s%s", used > 0 ? ", " : "",
		    (int)(e->name - e->path), e->path, name);
	return 0;
}

static const struct attachment *
attached_snapshot(struct datastore *d, uint64_t disk, uint64_t snapshot)
{
	list_for_each(node, tmp, &d->attached) {
		const struct attachment *a =
		    list_entry(node, struct attachment, node);

		if (a->disk_ino == disk && (snapshot != 0 ?
		    a->ino == snapshot : a->ino != disk))
			return a;
	}
	return NULL;
}

/* No clone is the reason. */
static int
refuse_open(struct fs_call *c, const struct clones *l, const char *what)
{
	const struct attachment *a = attached_snapshot(c->d, l->disk,
	    l->snapshot);

	if (a != NULL)
		return cmd_fail(c, -EBUSY, "%s is attached; end who uses it "
		    "and run vmfsctl disk detach first", a->path);
	return cmd_fail(c, -EBUSY, "%s%s is open, as a LUN or by another "
	    "program of this host", l->snapshot != 0 ? "" : "a snapshot of ",
	    what);
}

int
disk_clones_refuse(struct fs_call *c, const struct vdisk *v,
    const struct fs_snapshot *s)
{
	struct clones l = {
		.c = c, .disk = v->attr.ino,
		.snapshot = s != NULL ? s->ino : 0,
	};
	char what[sizeof(c->path.path) + SNAPTAB_NAME_MAX + 2];
	int rc = walk_tree(c->d->fs, "/", look_at, &l);

	if (rc < 0)
		return rc;
	(void)snprintf(what, sizeof(what), "%s%s%s", c->path.path,
	    s != NULL ? "@" : "", s != NULL ? s->name : "");
	if (l.count == 0)
		return refuse_open(c, &l, what);
	return cmd_fail(c, -EBUSY, "%s is needed by %u clone(s): %s%s; remove "
	    "them, or make them stand alone by vmfsctl disk promote",
	    what, l.count, l.names,
	    l.count > CLONES_NAMED ? ", ..." : "");
}
