/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands on quotas of directories. */
#include <string.h>

#include "fuse/refusal.h"
#include "libvmfs/base/units.h"
#include "vmfsd/cmd.h"

/* The other hosts look at the superblock once a pulse. */
#define PULSES_MAX 5

/* args[key], or what it is now. */
static int
wanted(struct fs_call *c, const char *key, uint64_t *bytes)
{
	const char *text = json_string_value(json_object_get(c->args, key));

	if (text == NULL)
		return 0;
	if (strcmp(text, "none") == 0)
		*bytes = 0;
	else if (size_parse(text, bytes) < 0)
		return cmd_fail(c, -EINVAL, "--%s='%.40s': expected a size "
		    "such as 500G, or none", key, text);
	return 0;
}

static int
wanted_both(struct fs_call *c, const struct fs_attr *a, struct fs_quota *q)
{
	int rc = 0;

	*q = (struct fs_quota){ .limit = 0 };
	if (a->own_account)
		rc = fs_quota_get(c->d->fs, a->ino, q);
	else if (json_object_get(c->args, "limit") == NULL &&
	    json_object_get(c->args, "reserve") == NULL)
		return cmd_fail(c, -EINVAL, "nothing to set; expected "
		    "--limit=SIZE, --reserve=SIZE or both");
	if (rc == -ENOENT)
		rc = 0;
	if (rc == 0)
		rc = wanted(c, "limit", &q->limit);
	if (rc == 0)
		rc = wanted(c, "reserve", &q->reserve);
	if (rc == 0 && !a->own_account && q->limit == 0 && q->reserve == 0)
		rc = cmd_fail(c, -EINVAL, "%s has no quota, and is given none: "
		    "--limit or --reserve is a size", c->path.path);
	if (rc == 0 && q->limit != 0 && q->reserve > q->limit)
		rc = cmd_fail(c, -EINVAL, "%s could not use a reserve that is "
		    "larger than its limit", c->path.path);
	return rc;
}

static int
refused(struct fs_call *c, int error)
{
	const char *path = c->path.path;

	if (c->msg[0] != '\0')
		return error;
	switch (error) {
	case -EBUSY:
		return cmd_fail(c, error, "a directory above or below %s has a "
		    "quota, and they do not nest; see vmfsctl quota ls %s:",
		    path, c->d->name);
	case -EINVAL:
		return cmd_fail(c, error, "the root directory has what the "
		    "datastore has; set quotas on directories below it");
	case -ENOENT:
		return cmd_fail(c, error, "%s has no quota", path);
	case -ENOTDIR:
		return cmd_fail(c, error, "%s is no directory; only directories"
		    " have quotas", path);
	case -ENOSPC:
		return cmd_fail(c, error, "datastore '%s' has not so much free "
		    "space to reserve for %s; see vmfsctl ds info %s",
		    c->d->name, path, c->d->name);
	case -VMFS_EINUSE:
		return cmd_fail(c, error, "a host has not yet taken note that "
		    "datastore '%s' has quotas; see vmfsctl host ls %s, and try"
		    " again when all of them are alive", c->d->name,
		    c->d->name);
	default:
		return cmd_refuse(c, error, path);
	}
}

static json_t *
row_of(struct fs_call *c, const struct fs_quota *q)
{
	char path[4096];
	json_t *row;

	if (fs_path(c->d->fs, q->dir, path, sizeof(path)) < 0)
		(void)snprintf(path, sizeof(path), "inode %llu",
		    (unsigned long long)q->dir);
	row = json_pack("{s:o, s:I, s:I}", "directory", ctl_text(path), "used",
	    (json_int_t)q->used, "ino", (json_int_t)q->dir);
	if (q->limit != 0) {
		(void)json_object_set_new(row, "limit",
		    json_integer((json_int_t)q->limit));
		(void)json_object_set_new(row, "percent", json_integer(
		    (json_int_t)(q->used / CHUNK_SIZE * 100 /
		    (q->limit / CHUNK_SIZE))));
	}
	if (q->reserve != 0)
		(void)json_object_set_new(row, "reserve",
		    json_integer((json_int_t)q->reserve));
	return row;
}

/* What is still to be done, and where. */
static void
add_left(struct fs_call *c, json_t *row, const struct fs_quota_left *left)
{
	char path[4096], why[REFUSAL_SIZE + 4096];

	(void)json_object_set_new(row, "left",
	    json_integer((json_int_t)left->count));
	(void)json_object_set_new(row, "status",
	    json_string(left->count == 0 ? "complete" : "incomplete"));
	if (left->count == 0)
		return;
	if (left->ino == 0)
		(void)snprintf(why, sizeof(why), "deleted files are still "
		    "open; clear it again when they are closed");
	else if (fs_path(c->d->fs, left->ino, path, sizeof(path)) < 0)
		(void)snprintf(why, sizeof(why), "inode %llu is in use",
		    (unsigned long long)left->ino);
	else
		(void)snprintf(why, sizeof(why), "%s is in use by host '%s'; "
		    "run the same command there, or here when it is closed",
		    path, left->holder.name);
	(void)json_object_set_new(row, "why", ctl_text(why));
}

static int
run_set(struct fs_call *c)
{
	struct fs_quota_left left = { 0 };
	const struct super *s = ds_super(c->d->ds);
	struct fs_quota q;
	struct fs_attr a;
	json_t *row;
	int rc = cmd_resolve(c, c->path.path, &a);

	if (rc == 0)
		rc = wanted_both(c, &a, &q);
	if (rc < 0)
		return rc;
	rc = fs_quota_set(c->d->fs, a.ino, q.limit, q.reserve, &left);
	for (int i = 0; i < PULSES_MAX && rc == -VMFS_EINUSE; i++) {
		fiber_sleep(s->timers.pulse_ms * NSEC_PER_MSEC);
		rc = fs_quota_set(c->d->fs, a.ino, q.limit, q.reserve, &left);
	}
	/* What was refused has not left one without limits behind. */
	if (rc == -ENOSPC && !a.own_account)
		(void)!fs_quota_clear(c->d->fs, a.ino, &left);
	if (rc == 0)
		rc = fs_quota_get(c->d->fs, a.ino, &q);
	if (rc < 0)
		return refused(c, rc);
	row = row_of(c, &q);
	add_left(c, row, &left);
	c->result = json_pack("{s:o}", "quota", row);
	return ds_commit(c->d->ds);
}

static int
cmd_quota_set(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, false, run_set);
}

static int
run_clear(struct fs_call *c)
{
	struct fs_quota_left left = { 0 };
	struct fs_attr a;
	json_t *row;
	int rc = cmd_resolve(c, c->path.path, &a);

	if (rc == 0)
		rc = fs_quota_clear(c->d->fs, a.ino, &left);
	if (rc < 0)
		return refused(c, rc);
	row = json_pack("{s:s}", "directory", c->path.path);
	add_left(c, row, &left);
	c->result = json_pack("{s:o}", "quota", row);
	return ds_commit(c->d->ds);
}

static int
cmd_quota_clear(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, false, run_clear);
}

struct listing {
	struct fs_call *c;
	json_t *rows;
	uint64_t account;	/* of the path that was asked for; 0: all */
};

static bool
list_one(void *arg, const struct fs_quota *q)
{
	struct listing *l = arg;

	if (l->account == 0 || l->account == q->account)
		(void)json_array_append_new(l->rows, row_of(l->c, q));
	return true;
}

static int
run_ls(struct fs_call *c)
{
	struct listing l = { .c = c, .rows = json_array() };
	struct fs_attr a;
	int rc = cmd_resolve(c, c->path.path, &a);

	if (rc == 0 && a.ino != fs_root(c->d->fs))
		l.account = a.account;
	/* A path without a quota has none to show. */
	if (rc == 0 && (l.account != 0 || a.ino == fs_root(c->d->fs)))
		rc = fs_quota_each(c->d->fs, list_one, &l);
	ctl_sort(l.rows, "directory");
	c->result = json_pack("{s:o}", "quotas", l.rows);
	return rc;
}

static int
cmd_quota_ls(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, false, run_ls);
}

const struct command commands_quota[] = {
	{ "quota.set", cmd_quota_set },
	{ "quota.ls", cmd_quota_ls },
	{ "quota.clear", cmd_quota_clear },
	{ NULL, NULL },
};
