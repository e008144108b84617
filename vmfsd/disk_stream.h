/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks out of a datastore and into one: what streams (cmd_disk_io.c) and
 * images of other programs (cmd_disk_image.c) have in common.  The task's
 * thread works on the file, fibers of the datastore on the disk.
 */
#ifndef VMFS_VMFSD_DISK_STREAM_H
#define VMFS_VMFSD_DISK_STREAM_H

#include "vmfsd/cmd_disk.h"

struct nbd_server;
struct nbd_export;

struct stream {
	struct fs_call *c;
	struct fs_file *f;
	struct disk *disk;	/* NULL; else f is its */
	const char *name;	/* of the file or pipe */
	char *part;		/* of the file while it is made; NULL */
	const char *file;	/* one of the two */
	int fd;
	bool sparse;		/* a regular file: holes are left out */
	bool pipe;		/* or another that is read from begin to end */
	uint64_t size, off;
	uint64_t data_at;	/* no data from off to there */
	size_t len;		/* of the step */
	bool data;
	char writer[64];	/* another host that has the disk; "" */
	uint8_t *buf;
	/* Of an image. */
	const struct image_format *format;
	char socket[108];
	struct nbd_server *server;
	struct nbd_export *export;
};

/* Runs it on a fiber of the datastore; stream_of tells for which stream. */
int on_fiber(struct stream *s, int (*run)(struct fs_call *c)) MUST_CHECK;
struct stream *stream_of(struct fs_call *c);

#define STREAM_STEP ((size_t)1 << 20)
/*
 * The task's thread opens args["file"] for reading, and tells its size, or
 * makes it, of s->size; reads up to a step into s->buf, less only at the end;
 * writes s->len of it.  -ECANCELED soon after the task was.
 */
int disk_stream_open(struct stream *s) MUST_CHECK;
int disk_stream_create(struct stream *s) MUST_CHECK;
int disk_stream_read(struct stream *s) MUST_CHECK;
int disk_stream_write(struct stream *s) MUST_CHECK;
/* The end of it all; a file is there as a whole or not at all.  Returns rc or
 * what went wrong now. */
int disk_stream_close(struct stream *s, int rc) MUST_CHECK;
/* On a fiber: the disk for reading, s->f and its size. */
int export_open(struct fs_call *c) MUST_CHECK;
/* On a fiber: a new disk of s->size; and its end, when all is in it. */
int import_open(struct fs_call *c) MUST_CHECK;
int import_end(struct fs_call *c) MUST_CHECK;

/* The work of a task whose args["format"] is not raw. */
int image_export(struct stream *s) MUST_CHECK;
int image_import(struct stream *s) MUST_CHECK;
/*
 * Of a stream whose begin is in s->buf: is it as raw as it is taken to be?
 * -EINVAL with a sentence when it has nothing, or begins or ends as an image
 * does and args["format"] does not say raw.
 */
int image_unlikely(struct stream *s) MUST_CHECK;
/* NULL: a raw stream.  -EINVAL with the names of all. */
int image_format(struct fs_call *c, const struct image_format **ret_f)
    MUST_CHECK;

#endif
