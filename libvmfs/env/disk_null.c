/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A LUN without a medium: writes are forgotten, reads return zeroes.  What is
 * left of a command is what the protocol costs.
 */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/env/disk.h"

#define NULL_PAGE 4096

static void
null_submit(struct disk *d, struct disk_req *req)
{
	(void)d;
	if (req->op == DISK_READ)
		for (int i = 0; i < req->iovcnt; i++)
			if (req->iov[i].iov_len > 0)
				memset(req->iov[i].iov_base, 0,
				    req->iov[i].iov_len);
	disk_complete(req, 0);
}

static void
null_close(struct disk *d)
{
	free(d);
}

static const struct disk_ops null_ops = {
	.submit = null_submit,
	.close = null_close,
};

int
disk_null_open(uint64_t size, struct disk **ret_d)
{
	struct disk *d;

	if (size == 0 || size % NULL_PAGE != 0)
		return -EINVAL;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return -ENOMEM;
	d->ops = &null_ops;
	d->info = (struct disk_info){
		.size_bytes = size,
		.block_size = 512,
		.phys_block_size = NULL_PAGE,
		.unmap_granularity = NULL_PAGE,
		.caps = DISK_CAP_UNMAP,
		.kind = "null",
		.name = "null",
	};
	*ret_d = d;
	return 0;
}
