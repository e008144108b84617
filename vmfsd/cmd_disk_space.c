/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands that change how much space a disk has: format, size, sharing. */
#include <stdio.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "vmfsd/attach.h"
#include "vmfsd/cmd_disk.h"

static const char *const format_names[] = {
	[DISK_THIN] = "thin",
	[DISK_ZEROEDTHICK] = "zeroedthick",
	[DISK_EAGERZEROEDTHICK] = "eagerzeroedthick",
};

int
disk_format_wanted(struct fs_call *c, enum disk_format *ret_f)
{
	const char *text = json_string_value(json_object_get(c->args,
	    "format"));

	if (text == NULL)
		return 0;
	for (unsigned i = 0; i <= DISK_EAGERZEROEDTHICK; i++)
		if (strcmp(text, format_names[i]) == 0) {
			*ret_f = (enum disk_format)i;
			return 0;
		}
	return cmd_fail(c, -EINVAL, "--format='%.40s': expected thin, "
	    "zeroedthick or eagerzeroedthick", text);
}

/* Opens for writing, does one thing, closes. */
static int
with_disk(struct fs_call *c, uint64_t ino, int (*fn)(struct fs_call *c,
    struct fs_file *f, void *arg), void *arg)
{
	struct fs_file *f;
	int rc = fs_file_open(c->d->fs, ino, 0, FS_READ | FS_WRITE, &f,
	    &c->holder), rc2;

	if (rc < 0)
		return rc;
	rc = fn(c, f, arg);
	rc2 = fs_file_close(f);
	return rc < 0 ? rc : rc2;
}

/* ---- formats ---- */

#define ALLOCATE_STEP (64 * MIB)

static int
allocate(struct fs_call *c, struct fs_file *f, const struct fs_progress *p)
{
	struct fs_attr a;
	int rc = fs_file_attr(f, &a);

	(void)c;
	for (uint64_t off = 0; rc == 0 && off < a.size; off += ALLOCATE_STEP) {
		if (!p->step(p->arg, off, a.size))
			return -ECANCELED;
		rc = fs_file_allocate(f, off, a.size - off < ALLOCATE_STEP ?
		    a.size - off : ALLOCATE_STEP);
	}
	return rc;
}

/* What other hosts have just freed is heard of by then. */
#define FREED_PULSES 3u

/* Else it takes all that there is, from everybody, and then gives it back. */
static int
refuse_more_than_free(struct fs_call *c, struct fs_file *f)
{
	const uint64_t pulse_ns = c->d->super.timers.pulse_ms * NSEC_PER_MSEC;
	char need[SIZE_TEXT_SIZE], free[SIZE_TEXT_SIZE];
	struct fs_statfs s;
	struct fs_attr a;
	int rc = fs_file_attr(f, &a);

	for (unsigned i = 0; rc == 0; i++) {
		rc = fs_statfs(c->d->fs, 0, &s);
		if (rc < 0 || a.size <= a.allocated + s.free_bytes +
		    s.reserved_bytes)
			return rc;
		if (i == FREED_PULSES)
			break;
		fiber_sleep(pulse_ns);
	}
	return rc < 0 ? rc : cmd_fail(c, -ENOSPC, "%s needs %s more, but "
	    "datastore '%s' has %s free; delete disks or snapshots, or make it "
	    "larger", c->path.path, size_text(a.size - a.allocated, need),
	    c->d->name, size_text(s.free_bytes, free));
}

static int
apply(struct fs_call *c, struct fs_file *f, void *arg)
{
	const enum disk_format *format = arg;
	const struct fs_progress p = task_progress(c->task);
	uint64_t freed;
	int rc = *format == DISK_THIN ? 0 : refuse_more_than_free(c, f);

	if (rc < 0)
		return rc;
	switch (*format) {
	case DISK_ZEROEDTHICK:
		return allocate(c, f, &p);
	case DISK_EAGERZEROEDTHICK:
		return fs_file_inflate(f, &p);
	case DISK_THIN:
		break;
	}
	return fs_file_punch_zeroes(f, &p, &freed);
}

int
disk_format_apply(struct fs_call *c, uint64_t ino, enum disk_format f)
{
	struct fs_attr a;

	/* What was just made is thin. */
	if (f == DISK_THIN && fs_getattr(c->d->fs, ino, &a) == 0 &&
	    a.allocated == 0)
		return 0;
	return with_disk(c, ino, apply, &f);
}

/* The disk as it is afterwards. */
static int
tell(struct fs_call *c, const struct vdisk *v)
{
	struct fs_attr a;
	int rc = ds_commit(c->d->ds);

	if (rc == 0)
		rc = fs_getattr(c->d->fs, v->attr.ino, &a);
	if (rc == 0)
		c->result = json_pack("{s:s, s:I, s:I, s:I}", "disk",
		    c->path.path, "size", (json_int_t)a.size, "allocated",
		    (json_int_t)a.allocated, "allocated_before",
		    (json_int_t)v->attr.allocated);
	return rc;
}

static int
refuse(struct fs_call *c, int rc, const struct vdisk *v)
{
	if (c->msg[0] != '\0')
		return rc;
	if (rc == -EINVAL)
		return cmd_fail(c, rc, "%s is a plain file, not a disk made "
		    "by vmfsctl disk create", c->path.path);
	if (rc == -EOPNOTSUPP)
		return cmd_fail(c, rc, "several hosts may write %s: it keeps "
		    "all of its space; vmfsctl disk set --sharing=none first",
		    c->path.path);
	return cmd_refuse(c, rc, v->flat);
}

static int
convert_to(struct fs_call *c, enum disk_format format)
{
	struct vdisk v;
	int rc = vdisk_find(c, c->path.path, &v);

	if (rc < 0)
		return rc;
	if (v.attr.type != INODE_DISK)
		return refuse(c, -EINVAL, &v);
	rc = disk_format_apply(c, v.attr.ino, format);
	return rc < 0 ? refuse(c, rc, &v) : tell(c, &v);
}

static int
run_convert(struct fs_call *c)
{
	enum disk_format format = DISK_THIN;
	int rc;

	if (json_object_get(c->args, "format") == NULL)
		return cmd_fail(c, -EINVAL, "to what; expected --format=thin, "
		    "zeroedthick or eagerzeroedthick");
	rc = disk_format_wanted(c, &format);
	return rc < 0 ? rc : convert_to(c, format);
}

int
cmd_disk_convert(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg)
{
	return task_start(dm, "convert", args, TASK_FIBER, run_convert,
	    ret_result, msg);
}

static int
run_inflate(struct fs_call *c)
{
	return convert_to(c, DISK_EAGERZEROEDTHICK);
}

int
cmd_disk_inflate(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg)
{
	return task_start(dm, "inflate", args, TASK_FIBER, run_inflate,
	    ret_result, msg);
}

static int
run_punch(struct fs_call *c)
{
	return convert_to(c, DISK_THIN);
}

int
cmd_disk_punch(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	return task_start(dm, "punch", args, TASK_FIBER, run_punch,
	    ret_result, msg);
}

/* ---- resize ---- */

static int
truncate_to(struct fs_call *c, struct fs_file *f, void *arg)
{
	const uint64_t *size = arg;

	(void)c;
	return fs_file_truncate(f, *size);
}

static int
resize_check(struct fs_call *c, const struct vdisk *v, uint64_t *ret_size)
{
	int rc = disk_size_wanted(c, ret_size);

	if (rc < 0)
		return rc;
	if (*ret_size < v->attr.size &&
	    !json_is_true(json_object_get(c->args, "force")))
		return cmd_fail(c, -EPERM, "%s is larger than that: what lies "
		    "behind the new end would be lost; use --force",
		    c->path.path);
	return 0;
}

/* What is done must not be refused: only shrinking makes room by itself. */
static int
resize_to(struct fs_call *c, const struct vdisk *v, uint64_t size)
{
	bool shrinks = size < v->attr.size;
	int rc = shrinks ? 0 : vdisk_new_descriptor(c, v, size);

	if (rc == 0)
		rc = with_disk(c, v->attr.ino, truncate_to, &size);
	if (rc < 0)
		return shrinks ? rc : vdisk_use_descriptor(c, v, rc);
	attach_resized(c->d, v->attr.ino);
	if (shrinks)
		rc = vdisk_new_descriptor(c, v, size);
	rc = vdisk_use_descriptor(c, v, rc);
	return rc < 0 ? cmd_fail(c, rc, "%s has its new size, but %s tells the "
	    "old one: %s; run the command again", v->flat, v->descriptor,
	    vmfs_strerror(rc)) : 0;
}

static int
run_resize(struct fs_call *c)
{
	uint64_t size = 0;
	struct vdisk v;
	int rc = vdisk_find(c, c->path.path, &v);

	if (rc == 0)
		rc = resize_check(c, &v, &size);
	if (rc == 0 && size < v.attr.size &&
	    attach_find(c->d, v.attr.ino) != NULL)
		rc = cmd_fail(c, -EBUSY, "%s is attached to a hypervisor, which "
		    "would lose what it has at the end; detach it first",
		    c->path.path);
	if (rc < 0)
		return rc;
	rc = resize_to(c, &v, size);
	if (rc < 0 && c->msg[0] != '\0')
		return rc;
	if (rc == -EPERM)
		return cmd_fail(c, rc, "several hosts may write %s: its size "
		    "stays; vmfsctl disk set --sharing=none first",
		    c->path.path);
	if (rc < 0)
		return cmd_refuse(c, rc, v.flat);
	return tell(c, &v);
}

int
cmd_disk_resize(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, false, run_resize);
}

/* ---- promote ---- */

static int
promote(struct fs_call *c, struct fs_file *f, void *arg)
{
	const struct fs_progress p = task_progress(c->task);

	(void)arg;
	return fs_file_promote(f, &p);
}

static int
run_promote(struct fs_call *c)
{
	struct vdisk v;
	int rc = vdisk_find(c, c->path.path, &v);

	if (rc < 0)
		return rc;
	rc = with_disk(c, v.attr.ino, promote, NULL);
	if (rc == -EINVAL)
		return cmd_fail(c, rc, "%s is no clone", c->path.path);
	if (rc == -EBUSY)
		return cmd_fail(c, rc, "%s has snapshots, which need its "
		    "template as well; remove them first", c->path.path);
	if (rc == 0)
		disk_deferred_reap(c);
	return rc < 0 ? cmd_refuse(c, rc, v.flat) : tell(c, &v);
}

int
cmd_disk_promote(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg)
{
	return task_start(dm, "promote", args, TASK_FIBER, run_promote,
	    ret_result, msg);
}
