/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Regular files and block devices: READ, WRITE and FLUSH on the ring of the
 * reactor that submits, all else by blocking calls on helper threads.
 */
#include <assert.h>
#include <liburing.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvmfs/env/disk_file_impl.h"

/* Of -EINTR and -EAGAIN, which a ring passes up when memory is short. */
#define RETRIES_MAX 1000

/* Buffers of a transfer that cannot use those of the request as they are. */
struct file_slow {
	char *bounce;		/* all of the data, aligned; or NULL */
	struct iovec *iov;	/* what is still to be moved */
	int iovcnt;
	struct iovec storage[];
};

/* A READ, WRITE or FLUSH on the ring; lies in disk_req.priv. */
struct file_io {
	struct reactor_op op;
	struct disk_file *f;
	struct file_slow *slow;	/* NULL: the request's own iov, all of it */
	uint32_t moved;
	uint32_t retries;
} __attribute__((may_alias));
_Static_assert(sizeof(struct file_io) <=
    sizeof(((struct disk_req *)0)->priv), "priv holds a file_io");

static struct file_io *
io_of(struct disk_req *req)
{
	return (struct file_io *)(void *)req->priv;
}

static struct disk_req *
req_of(struct file_io *io)
{
	return container_of((void *)io, struct disk_req, priv);
}

static bool
needs_bounce(const struct disk_file *f, const struct disk_req *req)
{
	if (req->iovcnt > IOV_MAX)
		return true;
	if (!f->direct)
		return false;
	for (int i = 0; i < req->iovcnt; i++)
		if ((uintptr_t)req->iov[i].iov_base % f->mem_align != 0 ||
		    req->iov[i].iov_len % f->disk.info.block_size != 0)
			return true;
	return false;
}

/* Between bounce buffer and request. */
static void
bounce_copy(struct disk_req *req, char *p, bool to_req)
{
	for (int i = 0; i < req->iovcnt; i++) {
		struct iovec *v = &req->iov[i];

		if (v->iov_len == 0)
			continue;
		if (to_req)
			memcpy(v->iov_base, p, v->iov_len);
		else
			memcpy(p, v->iov_base, v->iov_len);
		p += v->iov_len;
	}
}

static void
slow_free(struct file_slow *s)
{
	if (s != NULL)
		free(s->bounce);
	free(s);
}

static struct file_slow *
slow_new(int iovcnt)
{
	struct file_slow *s = calloc(1, sizeof(*s) +
	    (size_t)iovcnt * sizeof(s->storage[0]));

	if (s != NULL) {
		s->iov = s->storage;
		s->iovcnt = iovcnt;
	}
	return s;
}

static int
bounce_start(struct disk_req *req)
{
	struct file_slow *s = slow_new(1);

	if (s == NULL)
		return -ENOMEM;
	s->bounce = disk_buf_alloc(req->length);
	if (s->bounce == NULL) {
		slow_free(s);
		return -ENOMEM;
	}
	s->iov[0] = (struct iovec){ s->bounce, req->length };
	if (req->op == DISK_WRITE)
		bounce_copy(req, s->bounce, false);
	io_of(req)->slow = s;
	return 0;
}

/* Completes on the loop of the submitter's reactor. */
static void
io_finish(struct disk_req *req, int result)
{
	struct file_slow *s = io_of(req)->slow;

	if (s != NULL && s->bounce != NULL && req->op == DISK_READ &&
	    result == 0)
		bounce_copy(req, s->bounce, true);
	slow_free(s);
	req->result = result;
	req->done(req);
}

static void rw_done(struct reactor_op *op, int res);

void
file_rw_queue(struct disk_req *req)
{
	struct file_io *io = io_of(req);
	struct iovec *iov = io->slow != NULL ? io->slow->iov : req->iov;
	int n = io->slow != NULL ? io->slow->iovcnt : req->iovcnt;
	uint64_t offset = req->offset + io->moved;
	struct io_uring_sqe *sqe = reactor_sqe(reactor_current());

	if (req->op == DISK_READ)
		io_uring_prep_readv(sqe, io->f->fd, iov, (unsigned)n, offset);
	else
		io_uring_prep_writev(sqe, io->f->fd, iov, (unsigned)n, offset);
	if (req->op == DISK_WRITE && (req->flags & DISK_FUA) != 0)
		sqe->rw_flags = RWF_DSYNC;
	io->op.done = rw_done;
	reactor_sqe_set_disk(sqe, &io->op);
}

/* Leaves the first n bytes of what is still to be moved out. */
static int
rw_advance(struct disk_req *req, size_t n)
{
	struct file_io *io = io_of(req);
	struct file_slow *s = io->slow;

	if (s == NULL) {
		s = slow_new(req->iovcnt);
		if (s == NULL)
			return -ENOMEM;
		memcpy(s->iov, req->iov,
		    (size_t)req->iovcnt * sizeof(s->iov[0]));
		io->slow = s;
	}
	while (n >= s->iov->iov_len && s->iovcnt > 1) {
		n -= s->iov->iov_len;
		s->iov++;
		s->iovcnt--;
	}
	s->iov->iov_base = (char *)s->iov->iov_base + n;
	s->iov->iov_len -= n;
	return 0;
}

static void
rw_done(struct reactor_op *op, int res)
{
	struct file_io *io = (struct file_io *)(void *)op;
	struct disk_req *req = req_of(io);
	int rc;

	if ((res == -EINTR || res == -EAGAIN) &&
	    io->retries++ < RETRIES_MAX) {
		file_rw_queue(req);
		return;
	}
	/* 0: the file has become shorter than the disk. */
	rc = res < 0 ? file_error(res) : res == 0 ? -EIO : 0;
	if (rc < 0) {
		io_finish(req, rc);
		return;
	}
	io->moved += (uint32_t)res;
	if (io->moved == req->length) {
		io_finish(req, 0);
		return;
	}
	/* A direct read that ends inside of a block has met the end. */
	if (io->f->direct && io->moved % io->f->disk.info.block_size != 0)
		rc = -EIO;
	else
		rc = rw_advance(req, (size_t)res);
	if (rc < 0)
		io_finish(req, rc);
	else
		file_rw_queue(req);
}

static void
flush_done(struct reactor_op *op, int res)
{
	struct file_io *io = (struct file_io *)(void *)op;

	io_finish(req_of(io), file_error(res));
}

static void
flush_queue(struct disk_req *req)
{
	struct file_io *io = io_of(req);
	struct io_uring_sqe *sqe = reactor_sqe(reactor_current());

	io_uring_prep_fsync(sqe, io->f->fd, IORING_FSYNC_DATASYNC);
	io->op.done = flush_done;
	reactor_sqe_set_op(sqe, &io->op);
}

/* A request executed by blocking calls. */
struct file_call {
	struct offload o;
	struct disk_file *f;
	struct disk_req *req;
};

static int
call_run(void *arg)
{
	struct file_call *c = arg;

	switch (c->req->op) {
	case DISK_CAW:
		return file_caw(c->f, c->req);
	case DISK_UNMAP:
		return file_unmap(c->f, c->req);
	case DISK_WRITE_ZEROES:
		return file_write_zeroes(c->f, c->req);
	case DISK_HOLD:
	case DISK_UNHOLD:
	case DISK_HOLD_TEST:
		return file_hold(c->f, c->req);
	case DISK_MAP:
		return file_map(c->f, c->req);
	default:
		return -EOPNOTSUPP;
	}
}

static void
call_done(struct offload *o, int result)
{
	struct file_call *c = container_of(o, struct file_call, o);
	struct disk_req *req = c->req;

	spare_give(&c->f->call, c);
	req->result = result;
	req->done(req);
}

static void
call_submit(struct disk_file *f, struct disk_req *req)
{
	struct file_call *c = spare_take(&f->call);

	if (c == NULL)
		c = malloc(sizeof(*c));
	if (c == NULL) {
		disk_complete(req, -ENOMEM);
		return;
	}
	c->o = (struct offload){
		.fn = call_run, .arg = c, .done = call_done,
		.group = req->op == DISK_CAW ? &f->caws : &f->calls,
	};
	c->f = f;
	c->req = req;
	offload_submit(&c->o);
}

void
file_submit(struct disk *d, struct disk_req *req)
{
	struct disk_file *f = disk_file_of(d);
	int rc = 0;

	assert(reactor_current() != NULL);
	switch (req->op) {
	case DISK_READ:
	case DISK_WRITE:
		*io_of(req) = (struct file_io){ .f = f };
		if (needs_bounce(f, req))
			rc = bounce_start(req);
		if (rc < 0)
			disk_complete(req, rc);
		else if (!f->memory || io_of(req)->slow != NULL ||
		    !file_memory_rw(f, req))
			file_rw_queue(req);
		break;
	case DISK_FLUSH:
		*io_of(req) = (struct file_io){ .f = f };
		flush_queue(req);
		break;
	default:
		call_submit(f, req);
		break;
	}
}

static int
refresh_call(void *arg)
{
	struct disk_file *f = arg;
	struct disk_info info = f->disk.info;
	uint64_t size;
	struct stat st;

	if (f->block_device) {
		file_rescan(f);
		if (ioctl(f->fd, BLKGETSIZE64, &size) < 0)
			return file_error(-errno);
	} else {
		if (fstat(f->fd, &st) < 0)
			return file_error(-errno);
		size = (uint64_t)st.st_size;
	}
	info.size_bytes = size - size % info.block_size;
	disk_info_follow(&f->disk, &info);
	return 0;
}

int
file_refresh(struct disk *d)
{
	return offload_call(refresh_call, disk_file_of(d));
}

static int
close_call(void *arg)
{
	struct disk_file *f = arg;

	mapped_close(&f->mapped);
	close(f->fd);
	return 0;
}

void
file_close(struct disk *d)
{
	struct disk_file *f = disk_file_of(d);

	/* The last close of a device may wait for it. */
	(void)!offload_call(close_call, f);
	pthread_mutex_destroy(&f->lock);
	spare_fini(&f->call);
	spare_fini(&f->caw_buf);
	free(f);
}
