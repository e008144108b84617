/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks out of a datastore and into one, as raw streams (images of other
 * programs: cmd_disk_image.c).  The datastore is asked a MiB at a time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmfsd/disk_stream.h"

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

/* Only for the warning. */
static void
export_writer(struct fs_call *c, struct stream *s, uint64_t ino)
{
	struct lock_holder h = { .mode = LOCK_FREE };
	struct lockops *l = c->d->locks;

	if (l->vt->query(l, ino, &h) == 0 && (h.mode == LOCK_EXCLUSIVE ||
	    h.mode == LOCK_MULTI_WRITER) && (h.state == HOLDER_LIVE ||
	    h.state == HOLDER_SUSPECT))
		(void)snprintf(s->writer, sizeof(s->writer), "%s", h.name);
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
	if (rc < 0)
		return rc;
	s->size = a.size;
	export_writer(c, s, ino);
	return 0;
}

/* Looked for once; in a file it is one step. */
static void
skip_hole(struct stream *s)
{
	if (s->sparse)
		s->len = (size_t)(s->data_at - s->off);
	else
		memset(s->buf, 0, s->len);
}

static int
export_step(struct fs_call *c)
{
	struct stream *s = stream_of(c);
	size_t n = 0;
	int rc = 0;

	s->len = STREAM_STEP;
	if (s->len > s->size - s->off)
		s->len = (size_t)(s->size - s->off);
	if (s->data_at <= s->off)
		rc = fs_file_seek_to(s->f, s->off, s->size, true, &s->data_at);
	if (rc < 0)
		return rc;
	s->data = s->data_at < s->off + s->len;
	if (s->data)
		rc = fs_file_read(s->f, s->off, s->buf, s->len, &n);
	else
		skip_hole(s);
	if (rc == 0 && s->data && n < s->len)
		memset(s->buf + n, 0, s->len - n);
	return rc;
}

static int
disk_end(struct fs_call *c)
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
		rc = disk_stream_create(s);
	for (; rc == 0 && s->off < s->size; s->off += s->len) {
		if (!task_step(s->c->task, s->off, s->size))
			return -ECANCELED;
		rc = on_fiber(s, export_step);
		if (rc == 0)
			rc = disk_stream_write(s);
	}
	return rc;
}

/* ---- import ---- */

/* A disk made for it, of the file's size or args["size"]. */
int
import_open(struct fs_call *c)
{
	struct stream *s = stream_of(c);
	const struct fs_attr fresh = { .mode = 0600 };
	uint64_t size = (s->size + 511) & ~(uint64_t)511, dir;
	char flat[256];
	int rc = disk_names(c, &c->path, flat, sizeof(flat), &dir);

	return rc < 0 ? rc : vdisk_make(c, dir, size > 0 ? size : 512, &fresh,
	    &s->f);
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
		rc = fs_file_attr(s->f, &a);
	if (rc == 0)
		rc = disk_names(c, &c->path, flat, sizeof(flat), &dir);
	if (rc == 0)
		rc = vdisk_show(c, s->f, dir, flat);
	if (rc < 0)
		return rc;
	rc = vdisk_write_descriptor(c, dir, c->path.name, a.ino, flat, a.size,
	    &a);
	if (rc == 0)
		rc = ds_commit(c->d->ds);
	if (rc < 0)
		(void)!fs_unlink(c->d->fs, dir, flat, NULL);
	return rc;
}

static int
import_run(struct stream *s)
{
	int rc;

	if (s->format != NULL)
		return image_import(s);
	rc = disk_stream_open(s);
	if (rc == 0)
		rc = on_fiber(s, import_open);
	while (rc == 0) {
		rc = disk_stream_read(s);
		if (rc == 0 && s->off == 0)
			rc = image_unlikely(s);
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
stream_task(struct fs_call *c, int (*work)(struct stream *s))
{
	struct stream s = { .c = c, .fd = -1 };
	int rc, rc2 = 0;

	s.buf = malloc(STREAM_STEP);
	rc = s.buf != NULL ? image_format(c, &s.format) : -ENOMEM;
	if (rc == 0)
		rc = work(&s);
	if (s.f != NULL)
		rc2 = on_fiber(&s, disk_end);
	rc = disk_stream_close(&s, rc < 0 ? rc : rc2);
	free(s.buf);
	if (rc < 0)
		return rc;
	c->result = json_pack("{s:s, s:I}", "disk", c->path.path, "bytes",
	    (json_int_t)s.off);
	if (s.writer[0] != '\0')
		(void)json_object_set_new(c->result, "warning", json_sprintf(
		    "host %s has %s open to write, so what was exported is of "
		    "no one moment; take a snapshot there, and export that",
		    s.writer, c->path.path));
	return 0;
}

static int
run_export(struct fs_call *c)
{
	return stream_task(c, export_run);
}

int
cmd_disk_export(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg)
{
	return task_start(dm, "export", args, TASK_THREAD | TASK_SNAPSHOT,
	    run_export, ret_result, msg);
}

static int
run_import(struct fs_call *c)
{
	return stream_task(c, import_run);
}

int
cmd_disk_import(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg)
{
	return task_start(dm, "import", args, TASK_THREAD, run_import,
	    ret_result, msg);
}
