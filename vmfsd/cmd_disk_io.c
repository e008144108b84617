/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks out of a datastore and into one, as raw streams (images of other
 * programs: cmd_disk_image.c).  The task's thread reads or writes the file or
 * pipe and may block there; the datastore is asked a MiB at a time.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/units.h"
#include "vmfsd/disk_key.h"
#include "vmfsd/disk_stream.h"

#define STEP MIB

/* ---- the file or pipe ---- */

int
stream_file(struct stream *s, int flags)
{
	const char *name;
	struct stat st;
	int rc = cmd_string(s->c->args, "file", &name, s->c->msg);

	if (rc < 0)
		return rc;
	if (name[0] != '/')
		return cmd_fail(s->c, -EINVAL, "'%.400s': vmfsd needs the "
		    "whole path of a file", name);
	s->fd = open(name, flags | O_CLOEXEC, 0600);
	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return cmd_fail(s->c, -errno, "cannot open '%.400s': %s", name,
		    strerror(errno));
	s->sparse = S_ISREG(st.st_mode);
	s->file = name;
	return 0;
}

static int
write_all(struct stream *s)
{
	const uint8_t *p = s->buf;
	size_t left = s->len;

	if (s->sparse && !s->data)
		return 0;
	while (left > 0) {
		ssize_t n = s->sparse ? pwrite(s->fd, p, left,
		    (off_t)(s->off + (s->len - left))) :
		    write(s->fd, p, left);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			p += n;
			left -= (size_t)n;
		}
	}
	return 0;
}

/* Up to a step; less only at the end. */
static int
read_all(struct stream *s)
{
	s->len = 0;
	while (s->len < STEP) {
		ssize_t n = read(s->fd, s->buf + s->len, STEP - s->len);

		if (n == 0)
			break;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			s->len += (size_t)n;
	}
	return 0;
}

/* ---- export ---- */

struct stream_call {
	struct fs_call call;	/* first */
	struct stream *s;
};

int
on_fiber(struct stream *s, int (*run)(struct fs_call *c))
{
	struct stream_call k = { .call = *s->c, .s = s };
	int rc = cmd_fiber(&k.call, run);

	s->c->holder = k.call.holder;
	return rc;
}

struct stream *
stream_of(struct fs_call *c)
{
	return ((struct stream_call *)(void *)c)->s;
}

int
export_open(struct fs_call *c)
{
	struct stream *s = stream_of(c);
	struct fs_snapshot snap;
	struct fs_attr a;
	struct vdisk v = { 0 };
	int rc = vdisk_find(c, c->path.path, &v);
	uint64_t ino = v.attr.ino;

	if (rc == 0 && c->path.snapshot[0] != '\0') {
		rc = disk_snapshot_find(c, &v, c->path.snapshot, &snap);
		ino = rc == 0 ? snap.ino : 0;
	}
	if (rc == 0)
		rc = fs_file_open(c->d->fs, ino, 0, FS_READ, &s->f,
		    &c->holder);
	if (rc == 0)
		rc = fs_file_attr(s->f, &a);
	if (rc == 0)
		s->size = a.size;
	return rc;
}

static int
export_step(struct fs_call *c)
{
	struct stream *s = stream_of(c);
	uint64_t at = s->off;
	size_t n = 0;
	int rc;

	(void)c;
	s->len = s->size - s->off < STEP ? (size_t)(s->size - s->off) : STEP;
	rc = fs_file_seek(s->f, s->off, true, &at);
	s->data = rc == 0 && at < s->off + s->len;
	if (rc == -ENXIO)
		rc = 0;
	if (rc == 0 && s->data)
		rc = fs_file_read(s->f, s->off, s->buf, s->len, &n);
	if (rc == 0 && n < s->len)
		memset(s->buf + n, 0, s->len - n);
	return rc;
}

static int
stream_close(struct fs_call *c)
{
	struct stream *s = stream_of(c);

	if (s->disk == NULL)
		return fs_file_close(s->f);
	disk_close(s->disk);
	return 0;
}

static int
export_run(struct stream *s)
{
	int rc;

	if (s->format != NULL)
		return image_export(s);
	rc = on_fiber(s, export_open);
	if (rc == 0)
		rc = stream_file(s, O_WRONLY | O_CREAT | O_TRUNC);
	if (rc == 0 && s->sparse && ftruncate(s->fd, (off_t)s->size) < 0)
		rc = -errno;
	for (; rc == 0 && s->off < s->size; s->off += s->len) {
		if (!task_step(s->c->task, s->off, s->size))
			return -ECANCELED;
		rc = on_fiber(s, export_step);
		if (rc == 0)
			rc = write_all(s);
	}
	if (rc == 0 && s->sparse && fsync(s->fd) < 0)
		rc = -errno;
	return rc;
}

/* ---- import ---- */

/* A disk made for it, of the file's size or args["size"]. */
int
import_open(struct fs_call *c)
{
	struct stream *s = stream_of(c);
	char flat[256];
	struct fs_attr a;
	uint64_t dir;
	int rc = disk_names(c, &c->path, flat, sizeof(flat), &dir);

	if (rc == 0)
		rc = fs_create(c->d->fs, dir, flat, INODE_DISK, 0600, 0, 0,
		    s->size > 0 ? (s->size + 511) & ~(uint64_t)511 : 512, &a);
	if (rc < 0)
		return rc;
	rc = disk_encrypt(c, a.ino);
	if (rc == 0)
		rc = fs_file_open(c->d->fs, a.ino, 0, FS_READ | FS_WRITE,
		    &s->f, &c->holder);
	if (rc < 0)
		(void)!fs_unlink(c->d->fs, dir, flat, NULL);
	return rc;
}

static bool
all_zero(const uint8_t *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* Zeroes stay holes, 64 KiB at a time. */
static int
import_step(struct fs_call *c)
{
	struct stream *s = stream_of(c);
	const size_t piece = 65536;
	int rc = 0;

	(void)c;
	for (size_t at = 0; rc == 0 && at < s->len; at += piece) {
		size_t n = s->len - at < piece ? s->len - at : piece;

		if (!all_zero(s->buf + at, n))
			rc = fs_file_write(s->f, s->off + at, s->buf + at, n);
	}
	return rc;
}

/* A stream tells its size only at its end. */
int
import_end(struct fs_call *c)
{
	struct stream *s = stream_of(c);
	uint64_t size = (s->off + 511) & ~(uint64_t)511, dir;
	struct fs_attr a;
	char flat[256];
	int rc = fs_file_truncate(s->f, size > 0 ? size : 512);

	if (rc == 0)
		rc = fs_file_flush(s->f);
	if (rc == 0)
		rc = disk_names(c, &c->path, flat, sizeof(flat), &dir);
	if (rc == 0)
		rc = fs_file_attr(s->f, &a);
	if (rc == 0)
		rc = vdisk_write_descriptor(c, dir, c->path.name, flat, a.size,
		    &a);
	return rc == 0 ? ds_commit(c->d->ds) : rc;
}

static int
import_undo(struct fs_call *c)
{
	char flat[256];
	uint64_t dir;

	if (disk_names(c, &c->path, flat, sizeof(flat), &dir) == 0)
		(void)!fs_unlink(c->d->fs, dir, flat, NULL);
	return 0;
}

static int
import_run(struct stream *s)
{
	struct stat st;
	int rc;

	if (s->format != NULL)
		return image_import(s);
	rc = stream_file(s, O_RDONLY);
	if (rc == 0 && s->sparse && fstat(s->fd, &st) == 0)
		s->size = (uint64_t)st.st_size;
	if (rc == 0)
		rc = on_fiber(s, import_open);
	while (rc == 0) {
		if (!task_step(s->c->task, s->off, s->size))
			return -ECANCELED;
		rc = read_all(s);
		if (rc == 0 && s->len == 0)
			return on_fiber(s, import_end);
		if (rc == 0)
			rc = on_fiber(s, import_step);
		s->off += s->len;
	}
	return rc;
}

/* ---- both ---- */

static int
stream_task(struct fs_call *c, int (*work)(struct stream *s),
    int (*undo)(struct fs_call *c))
{
	struct stream s = { .c = c, .fd = -1 };
	bool opened;
	int rc, rc2 = 0;

	s.buf = malloc(STEP);
	rc = s.buf != NULL ? image_format(c, &s.format) : -ENOMEM;
	if (rc == 0)
		rc = work(&s);
	opened = s.f != NULL;
	if (opened)
		rc2 = on_fiber(&s, stream_close);
	if (rc < 0 && opened && undo != NULL)
		(void)!on_fiber(&s, undo);
	if (s.fd >= 0 && close(s.fd) < 0 && rc == 0)
		rc = -errno;
	free(s.buf);
	if (rc == 0)
		rc = rc2;
	if (rc == 0)
		c->result = json_pack("{s:s, s:I}", "disk", c->path.path,
		    "bytes", (json_int_t)s.off);
	return rc;
}

static int
run_export(struct fs_call *c)
{
	return stream_task(c, export_run, NULL);
}

int
cmd_disk_export(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg)
{
	return task_start(dm, "export", args, TASK_THREAD, run_export,
	    ret_result, msg);
}

static int
run_import(struct fs_call *c)
{
	return stream_task(c, import_run, import_undo);
}

int
cmd_disk_import(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg)
{
	return task_start(dm, "import", args, TASK_THREAD, run_import,
	    ret_result, msg);
}
