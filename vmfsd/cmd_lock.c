/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands on locks: who holds what, and breaking a dead host's (L10). */
#include <stdio.h>

#include "fuse/refusal.h"
#include "vmfsd/vdisk.h"
#include "vmfsd/walk.h"

static int
query(struct fs_call *c, uint64_t ino, struct lock_holder *ret_h)
{
	struct lockops *l = c->d->locks;

	*ret_h = (struct lock_holder){ .mode = LOCK_FREE };
	return l->vt->query(l, ino, ret_h);
}

static int
add_lock(void *arg, const struct walk_entry *e)
{
	struct fs_call *c = arg;
	struct lock_holder h;
	json_t *row;
	int rc = query(c, e->ino, &h);

	if (rc < 0)
		return rc == -VMFS_ECORRUPT || rc == -ENOENT ? 0 : rc;
	if (h.mode == LOCK_FREE)
		return 0;
	row = cmd_holder_json(&h);
	(void)json_object_set_new(row, "file", json_string(e->path));
	(void)json_object_set_new(row, "ino", json_integer((json_int_t)e->ino));
	return json_array_append_new(c->result, row);
}

static int
run_ls(struct fs_call *c)
{
	int rc;

	c->result = json_array();
	rc = walk_tree(c->d->fs, c->path.path, add_lock, c);
	if (rc == 0)
		c->result = json_pack("{s:o}", "locks", c->result);
	return rc;
}

static int
cmd_lock_ls(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, false, run_ls);
}

/* The lock a disk's users mean is its extent's. */
static int
find_locked(struct fs_call *c, struct fs_attr *ret_a)
{
	struct vdisk v;
	int rc = cmd_resolve(c, c->path.path, ret_a);

	if (rc < 0 || ret_a->type != INODE_FILE)
		return rc;
	rc = vdisk_find(c, c->path.path, &v);
	if (rc == 0)
		*ret_a = v.attr;
	return rc;
}

static int
run_show(struct fs_call *c)
{
	char text[REFUSAL_SIZE];
	struct fs_attr a;
	json_t *row;
	int rc = find_locked(c, &a);

	if (rc == 0)
		rc = query(c, a.ino, &c->holder);
	if (rc < 0)
		return rc;
	row = cmd_holder_json(&c->holder);
	(void)json_object_set_new(row, "file", json_string(c->path.path));
	(void)json_object_set_new(row, "ino", json_integer((json_int_t)a.ino));
	if (c->holder.mode != LOCK_FREE)
		(void)json_object_set_new(row, "advice",
		    json_string(refusal_text(c->path.path, &c->holder,
			&c->d->super.timers, text)));
	c->result = json_pack("{s:o}", "lock", row);
	return 0;
}

static int
cmd_lock_show(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, false, run_show);
}

static int
run_break(struct fs_call *c)
{
	struct fs_attr a;
	int rc = find_locked(c, &a);

	if (rc == 0)
		rc = query(c, a.ino, &c->holder);
	if (rc < 0)
		return rc;
	if (c->holder.mode == LOCK_FREE)
		return cmd_fail(c, -ESRCH, "%s is not locked", c->path.path);
	if (c->d->host == NULL)
		return cmd_fail(c, -EROFS, "datastore '%s' is mounted "
		    "read-only", c->d->name);
	return host_lock_break(c->d->host, a.ino, &c->holder);
}

static int
cmd_lock_break(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, false, run_break);
}

const struct command commands_lock[] = {
	{ "lock.ls", cmd_lock_ls },
	{ "lock.show", cmd_lock_show },
	{ "lock.break", cmd_lock_break },
	{ NULL, NULL },
};
