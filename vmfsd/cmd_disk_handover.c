/* SPDX-License-Identifier: BSD-2-Clause */
/* disk.handover: the disk's lock goes to the host that is named. */
#include "libvmfs/base/units.h"
#include "vmfsd/cmd_disk.h"

#define LIMIT_DEFAULT_S 60

/*
 * A disk that nobody here uses is offered at once: by closing it.  What another
 * host has is not ours to give.
 */
static int
offer(struct fs_call *c, uint64_t ino)
{
	struct fs_file *f;
	int rc = fs_file_open(c->d->fs, ino, 0, (unsigned)FS_READ | FS_WRITE,
	    &f, &c->holder);

	return rc < 0 ? rc : fs_file_close(f);
}

static int
hand_over(struct fs_call *c, const struct vdisk *v, const char *to)
{
	const json_t *given = json_object_get(c->args, "for");
	json_int_t limit = given != NULL ? json_integer_value(given) :
	    LIMIT_DEFAULT_S;
	uint64_t ino = v->attr.ino;
	char why[CTL_MESSAGE_SIZE] = "";
	int rc;

	if (limit < 1)
		return cmd_fail(c, -EINVAL, "--for: at least a second");
	if (v->attr.multi_writer)
		return cmd_fail(c, -EINVAL, "%s may be open on several hosts: "
		    "there is nothing to hand over", c->path.path);
	rc = host_hand_over(c->d->host, ino, to,
	    (uint64_t)limit * NSEC_PER_SEC, why);
	if (rc < 0)
		return cmd_fail(c, rc, "%s cannot be handed over to '%s': %s",
		    c->path.path, to, why[0] != '\0' ? why :
		    vmfs_strerror(rc));
	rc = offer(c, ino);
	if (rc < 0) {
		(void)!host_hand_over_end(c->d->host, ino);
		return cmd_refuse(c, rc, v->flat);
	}
	c->result = json_pack("{s:{s:s, s:s, s:s, s:I}}", "handover",
	    "disk", c->path.path, "to", to, "state",
	    host_hand_over_offered(c->d->host, ino) ? "reserved" :
	    "in use: reserved as soon as it is closed here",
	    "seconds", limit);
	return 0;
}

static int
cancel(struct fs_call *c, const struct vdisk *v)
{
	int rc = host_hand_over_end(c->d->host, v->attr.ino);

	return rc == -ESRCH ? cmd_fail(c, rc, "%s is not being handed over by "
	    "this host", c->path.path) : rc;
}

static int
run_handover(struct fs_call *c)
{
	const char *to = json_string_value(json_object_get(c->args, "to"));
	bool cancels = json_is_true(json_object_get(c->args, "cancel"));
	struct vdisk v;
	int rc;

	if (c->d->host == NULL)
		return cmd_fail(c, -EROFS, "datastore '%s' is mounted "
		    "read-only", c->d->name);
	if ((to == NULL) != cancels)
		return cmd_fail(c, -EINVAL, "expected either --to or "
		    "--cancel");
	rc = vdisk_find(c, c->path.path, &v);
	if (rc < 0)
		return rc;
	return cancels ? cancel(c, &v) : hand_over(c, &v, to);
}

int
cmd_disk_handover(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, false, run_handover);
}
