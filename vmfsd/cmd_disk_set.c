/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands that change what kind of disk a disk is. */
#include <string.h>

#include "vmfsd/cmd_disk.h"

/* ---- disk.set ---- */

static int
wanted_sharing(struct fs_call *c, bool *ret_multi)
{
	const char *how = json_string_value(json_object_get(c->args,
	    "sharing"));

	if (how == NULL || (strcmp(how, "multi-writer") != 0 &&
	    strcmp(how, "none") != 0))
		return cmd_fail(c, -EINVAL, "--sharing='%.40s': expected "
		    "multi-writer or none", how != NULL ? how : "");
	*ret_multi = how[0] == 'm';
	return 0;
}

/* Why it cannot be shared, and what to do. */
static int
sharing_refused(struct fs_call *c, int error, const char *flat)
{
	switch (error) {
	case -EINVAL:
		return cmd_fail(c, error, "%s is a plain file; only a disk "
		    "made by vmfsctl disk create can be shared",
		    c->path.path);
	case -EBUSY:
		return cmd_fail(c, error, "%s has snapshots, and a disk that "
		    "several hosts write cannot have any; remove them by "
		    "vmfsctl disk rm-snapshot", c->path.path);
	case -ENODATA:
		return cmd_fail(c, error, "%s is thin, and a disk that several "
		    "hosts write must be allocated and zeroed as a whole; run "
		    "vmfsctl disk inflate, or create it with --eager",
		    c->path.path);
	case -EOPNOTSUPP:
		return cmd_fail(c, error, "the LUN of datastore '%s' has "
		    "sectors of more than 512 bytes: hosts that write one "
		    "half each would undo each other's", c->d->name);
	case -EPERM:
		return cmd_fail(c, error, "%s is encrypted, and such a disk "
		    "is for one host at a time to write", c->path.path);
	default:
		return cmd_refuse(c, error, flat);
	}
}

static int
set_sharing(struct fs_call *c, const struct vdisk *v, bool multi)
{
	int rc = fs_set_multi_writer(c->d->fs, v->attr.ino, multi, &c->holder);
	return rc < 0 ? sharing_refused(c, rc, v->flat) : 0;
}

static int
run_set(struct fs_call *c)
{
	bool sharing = json_object_get(c->args, "sharing") != NULL;
	bool multi = false;
	struct inode_limits limits;
	struct vdisk v;
	int rc;

	if (!sharing && !disk_limits_given(c))
		return cmd_fail(c, -EINVAL, "nothing to set; expected "
		    "--sharing, --iops, --bandwidth or --shares");
	rc = vdisk_find(c, c->path.path, &v);
	if (rc < 0)
		return rc;
	/* All that is wrong is told before anything is set. */
	limits = v.attr.limits;
	rc = disk_limits_wanted(c, &limits);
	if (rc == 0 && sharing)
		rc = wanted_sharing(c, &multi);
	if (rc == 0 && sharing)
		rc = set_sharing(c, &v, multi);
	if (rc == 0 && disk_limits_given(c))
		rc = disk_limits_set(c, &v, &limits);
	return rc < 0 ? rc : ds_commit(c->d->ds);
}

int
cmd_disk_set(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, false, run_set);
}
