/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands on locks: who holds what, and breaking a dead host's (L10). */
#include <stdio.h>
#include <string.h>

#include "fuse/refusal.h"
#include "vmfsd/vdisk.h"
#include "vmfsd/walk.h"

#define NAMES_SIZE 400

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
	(void)json_object_set_new(row, "file", ctl_text(e->path));
	(void)json_object_set_new(row, "ino", json_integer((json_int_t)e->ino));
	return json_array_append_new(c->result, row);
}

static int
run_ls(struct fs_call *c)
{
	int rc;

	c->result = json_array();
	rc = walk_tree(c->d->fs, c->path.path, add_lock, c);
	ctl_sort(c->result, "file");
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

static void
add_holder(void *arg, const struct lock_holder *one)
{
	(void)json_array_append_new(arg, json_pack(
	    "{s:s, s:s, s:i, s:I, s:I}",
	    "host", one->name, "state", refusal_state_name(one->state),
	    "slot", (int)one->slot,
	    "incarnation", (json_int_t)one->incarnation,
	    "silent_ms", (json_int_t)one->silent_ms));
}

/* "esx1, esx2 (suspect)": for the table. */
static json_t *
names_of(const json_t *holders)
{
	char text[NAMES_SIZE] = "";
	const json_t *one;
	size_t i, at = 0;

	json_array_foreach(holders, i, one) {
		const char *host = json_string_value(
		    json_object_get(one, "host"));
		const char *state = json_string_value(
		    json_object_get(one, "state"));
		bool plain = strcmp(state, "alive") == 0;

		(void)snprintf(text + at, sizeof(text) - at, "%s%s%s%s%s",
		    i > 0 ? ", " : "", host[0] != '\0' ? host : "?",
		    plain ? "" : " (", plain ? "" : state, plain ? "" : ")");
		at = strlen(text);
	}
	return json_string(text);
}

static int
add_holders(struct fs_call *c, uint64_t ino, json_t *row)
{
	json_t *holders = json_array();
	int rc;

	(void)json_object_set_new(row, "held_by", holders);
	/* Who only reads is no member and judges nobody. */
	if (c->d->host == NULL)
		return 0;
	rc = host_lock_holders(c->d->host, ino, add_holder, holders);
	(void)json_object_set_new(row, "held_by_names", names_of(holders));
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
	return add_holders(c, a.ino, row);
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
