/* SPDX-License-Identifier: BSD-2-Clause */
/* Stacking disk that fails requests on demand. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/env/disk.h"

static struct disk_fault *
fault_of(struct disk *d)
{
	return container_of(d, struct disk_fault, disk);
}

static bool
fault_hits(struct disk_fault *f, const struct disk_req *req)
{
	if (f->repeat == 0 || (f->op != -1 && f->op != (int)req->op))
		return false;
	if (f->countdown > 0) {
		f->countdown--;
		return false;
	}
	f->repeat--;
	return true;
}

static void
fault_submit(struct disk *d, struct disk_req *req)
{
	struct disk_fault *f = fault_of(d);

	if (fault_hits(f, req))
		disk_complete(req, f->error);
	else
		disk_submit(f->below, req);
}

static void
fault_copy_info(struct disk_fault *f)
{
	f->disk.info = f->below->info;
	strcpy(f->disk.info.kind, "fault");
}

static int
fault_refresh(struct disk *d)
{
	struct disk_fault *f = fault_of(d);
	int rc = disk_refresh(f->below);

	if (rc == 0)
		fault_copy_info(f);
	return rc;
}

static void
fault_close(struct disk *d)
{
	struct disk_fault *f = fault_of(d);

	disk_close(f->below);
	free(f);
}

static const struct disk_ops fault_ops = {
	.submit = fault_submit,
	.refresh = fault_refresh,
	.close = fault_close,
};

int
disk_fault_open(struct disk *below, struct disk_fault **ret_f)
{
	struct disk_fault *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -ENOMEM;
	f->disk.ops = &fault_ops;
	f->below = below;
	f->op = -1;
	f->error = -EIO;
	fault_copy_info(f);
	*ret_f = f;
	return 0;
}
