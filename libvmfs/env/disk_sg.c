/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SCSI block devices (/dev/sdX, multipath members): data through the block
 * layer, commands it does not know by SG_IO.  Compare-and-write is the
 * device's own or none: locks of this machine would say nothing to the other
 * hosts of the LUN.
 */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/env/disk_sg_impl.h"

struct sg_call {
	struct offload o;
	struct disk_sg *s;
	struct disk_req *req;
};

static struct disk_sg *
sg_of(struct disk *d)
{
	return container_of(d, struct disk_sg, disk);
}

static int
call_run(void *arg)
{
	struct sg_call *c = arg;

	return sg_execute(c->s, c->req);
}

static void
call_done(struct offload *o, int result)
{
	struct sg_call *c = container_of(o, struct sg_call, o);
	struct disk_req *req = c->req;
	struct disk_sg *s = c->s;

	spare_give(&s->call, c);
	/* The block layer can always write zeroes. */
	if (req->op == DISK_WRITE_ZEROES &&
	    (result == -EOPNOTSUPP || result == -EINVAL)) {
		disk_submit(s->below, req);
		return;
	}
	req->result = result;
	req->done(req);
}

static void
call_submit(struct disk_sg *s, struct disk_req *req)
{
	struct sg_call *c = spare_take(&s->call);

	if (c == NULL)
		c = malloc(sizeof(*c));
	if (c == NULL) {
		disk_complete(req, -ENOMEM);
		return;
	}
	c->o = (struct offload){
		.fn = call_run, .arg = c, .done = call_done,
		.group = &s->calls,
	};
	c->s = s;
	c->req = req;
	offload_submit(&c->o);
}

static void
sg_submit(struct disk *d, struct disk_req *req)
{
	struct disk_sg *s = sg_of(d);

	switch (req->op) {
	case DISK_READ:
	case DISK_WRITE:
	case DISK_FLUSH:
		disk_submit(s->below, req);
		break;
	case DISK_WRITE_ZEROES:
		if (s->write_same)
			call_submit(s, req);
		else
			disk_submit(s->below, req);
		break;
	default:
		call_submit(s, req);
		break;
	}
}

static int
sg_refresh(struct disk *d)
{
	struct disk_sg *s = sg_of(d);
	int rc = disk_refresh(s->below);

	if (rc == 0)
		d->info.size_bytes = s->below->info.size_bytes;
	return rc;
}

static void
sg_close(struct disk *d)
{
	struct disk_sg *s = sg_of(d);

	disk_close(s->below);
	spare_fini(&s->call);
	spare_fini(&s->caw_buf);
	free(s);
}

static const struct disk_ops sg_ops = {
	.submit = sg_submit,
	.refresh = sg_refresh,
	.close = sg_close,
};

static int
discover_call(void *arg)
{
	return sg_discover(arg);
}

int
disk_sg_open(struct disk *below, uint64_t start, sg_io_fn *io, void *io_arg,
    struct disk **ret_d)
{
	struct disk_sg *s;
	int rc;

	if (start % below->info.block_size != 0)
		return -EOPNOTSUPP;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	s->disk.ops = &sg_ops;
	s->disk.info = below->info;
	strcpy(s->disk.info.kind, "sg");
	s->below = below;
	s->io = io;
	s->io_arg = io_arg;
	s->calls.limit = SG_CALLS_MAX;
	s->first_lba = start / below->info.block_size;
	rc = offload_call(discover_call, s);
	if (rc < 0) {
		free(s);
		return rc;
	}
	*ret_d = &s->disk;
	return 0;
}
