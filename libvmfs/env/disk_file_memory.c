/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files in memory.  tmpfs offers no I/O that never waits, so the ring would
 * hand each request to a thread of the kernel; but its data is there, and a
 * copy of it is soon done.
 */
#include <stdlib.h>
#include <unistd.h>

#include "libvmfs/env/disk_file_impl.h"

/* A long copy, which goes on beside the reactor. */
struct file_copy {
	struct offload o;
	struct disk_file *f;
	struct disk_req *req;
};

static int
copy_mapped(const struct disk_file *f, const struct disk_req *req)
{
	if (f->mapped.base == NULL)
		return -ENODATA;
	return mapped_copy(&f->mapped, req->offset, req->length, req->iov,
	    req->iovcnt, req->op == DISK_WRITE);
}

static int
copy_run(void *arg)
{
	struct file_copy *c = arg;

	return copy_mapped(c->f, c->req);
}

static void
copy_done(struct offload *o, int result)
{
	struct file_copy *c = container_of(o, struct file_copy, o);
	struct disk_req *req = c->req;

	free(c);
	if (result < 0) {
		file_rw_queue(req);
		return;
	}
	req->result = 0;
	req->done(req);
}

static bool
copy_beside(struct disk_file *f, struct disk_req *req)
{
	struct file_copy *c;

	if (f->mapped.base == NULL)
		return false;
	c = malloc(sizeof(*c));
	if (c == NULL)
		return false;
	*c = (struct file_copy){
		.o = { .fn = copy_run, .arg = c, .done = copy_done,
		    .group = &f->copies },
		.f = f, .req = req,
	};
	offload_submit(&c->o);
	return true;
}

/* Short ones: to look them up costs less than their part of a mapping. */
static bool
copy_by_call(const struct disk_file *f, const struct disk_req *req)
{
	ssize_t n;

	if (req->op == DISK_READ)
		n = preadv(f->fd, req->iov, req->iovcnt, (off_t)req->offset);
	else
		n = pwritev(f->fd, req->iov, req->iovcnt, (off_t)req->offset);
	return n >= 0 && (uint64_t)n == req->length;
}

bool
file_memory_rw(struct disk_file *f, struct disk_req *req)
{
	bool copied;

	if (req->length > FILE_COPY_SOON)
		return copy_beside(f, req);
	copied = req->length >= FILE_COPY_MAPPED && copy_mapped(f, req) == 0;
	/* A call may have to find room for pages: not for many at once. */
	if (!copied && req->length <= FILE_CALL_SOON)
		copied = copy_by_call(f, req);
	if (copied)
		disk_complete(req, 0);
	return copied;
}
