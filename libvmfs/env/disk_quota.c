/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stacking disk that may take only so much of its pool, see disk_quota_open.
 *
 * Most writes cost a subtraction: `budget` is what could be allocated when the
 * disk was last asked what it has, less all that was written since, whether that
 * allocated or not.  A write that it does not cover asks anew, and near the
 * limit looks at the map: blocks that are allocated can always be written.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "libvmfs/env/disk.h"

#define EXTENTS 64		/* of a write's range; more count as holes */

struct disk_quota {
	struct disk disk;
	struct disk *below;
	_Atomic uint64_t limit;		/* bytes, 0: none */
	_Atomic int64_t budget;
};

/* A write that waits for the map of its range. */
struct quota_look {
	struct disk_req req;
	struct disk_map map;
	struct disk_extent extents[EXTENTS];
	struct disk_quota *q;
	struct disk_req *outer;
	uint64_t left;
};

static struct disk_quota *
quota_of(struct disk *d)
{
	return container_of(d, struct disk_quota, disk);
}

static bool
may_allocate(const struct disk_req *req)
{
	return req->op == DISK_WRITE || req->op == DISK_CAW ||
	    (req->op == DISK_WRITE_ZEROES &&
	    (req->flags & DISK_MAY_UNMAP) == 0);
}

static int
quota_space(struct disk *d, struct disk_space *ret_space)
{
	struct disk_quota *q = quota_of(d);
	uint64_t limit = q->limit, left;
	struct disk_space s;
	int rc = disk_space(q->below, &s);

	if (rc < 0)
		return rc;
	if (limit != 0) {
		left = limit > s.used ? limit - s.used : 0;
		s.size = limit;
		if (s.available > left)
			s.available = left;
	}
	*ret_space = s;
	return 0;
}

static void
looked(struct disk_req *req)
{
	struct quota_look *look = container_of(req, struct quota_look, req);
	struct disk_req *outer = look->outer;
	uint64_t hole = outer->length, left = look->left;
	struct disk *below = look->q->below;

	for (size_t i = 0; req->result == 0 && i < look->map.count; i++)
		if (look->extents[i].allocated)
			hole -= look->extents[i].length;
	free(look);
	if (hole <= left)
		disk_submit(below, outer);
	else
		disk_complete(outer, -ENOSPC);
}

static void
look_at_map(struct disk_quota *q, struct disk_req *req, uint64_t left)
{
	struct quota_look *look = calloc(1, sizeof(*look));

	if (look == NULL) {
		disk_complete(req, -ENOMEM);
		return;
	}
	look->q = q;
	look->outer = req;
	look->left = left;
	look->map = (struct disk_map){
		.extents = look->extents, .max = EXTENTS,
	};
	look->req = (struct disk_req){
		.op = DISK_MAP, .offset = req->offset, .length = req->length,
		.map = &look->map, .done = looked,
	};
	disk_submit(q->below, &look->req);
}

/* The budget does not cover it. */
static void
ask_anew(struct disk_quota *q, struct disk_req *req)
{
	uint64_t limit = q->limit, left;
	struct disk_space s;

	if (limit == 0 || disk_space(q->below, &s) < 0) {
		disk_submit(q->below, req);
		return;
	}
	left = limit > s.used ? limit - s.used : 0;
	if (left >= req->length) {
		q->budget = (int64_t)(left - req->length);
		disk_submit(q->below, req);
	} else {
		q->budget = 0;
		look_at_map(q, req, left);
	}
}

static void
quota_submit(struct disk *d, struct disk_req *req)
{
	struct disk_quota *q = quota_of(d);
	int64_t len = (int64_t)req->length;

	if (q->limit == 0 || !may_allocate(req) ||
	    atomic_fetch_sub(&q->budget, len) >= len)
		disk_submit(q->below, req);
	else
		ask_anew(q, req);
}

static struct disk *
quota_same(struct disk *d)
{
	return quota_of(d)->below;
}

static int
quota_refresh(struct disk *d)
{
	struct disk_quota *q = quota_of(d);
	int rc = disk_refresh(q->below);

	if (rc == 0)
		disk_info_follow(d, &q->below->info);
	return rc;
}

static void
quota_close(struct disk *d)
{
	struct disk_quota *q = quota_of(d);

	disk_close(q->below);
	free(q);
}

static const struct disk_ops quota_ops = {
	.submit = quota_submit,
	.refresh = quota_refresh,
	.space = quota_space,
	.same = quota_same,
	.close = quota_close,
};

int
disk_quota_open(struct disk *below, uint64_t limit, struct disk **ret_d)
{
	struct disk_quota *q;
	struct disk_space s;
	int rc = disk_space(below, &s);

	if (rc < 0)
		return rc;
	q = calloc(1, sizeof(*q));
	if (q == NULL)
		return -ENOMEM;
	q->disk.ops = &quota_ops;
	q->disk.info = below->info;
	q->below = below;
	q->limit = limit;
	*ret_d = &q->disk;
	return 0;
}

void
disk_quota_set(struct disk *d, uint64_t limit)
{
	struct disk_quota *q = quota_of(d);

	q->limit = limit;
	q->budget = 0;
}
