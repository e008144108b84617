/* SPDX-License-Identifier: BSD-2-Clause */
/* The disk port: checks before submission, and calls for fibers. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/env/disk.h"

_Static_assert(sizeof(struct sched_work) <=
    sizeof(((struct disk_req *)0)->priv), "priv holds a sched_work");

/* What an operation needs of its disk and request. */
enum {
	OP_RANGE = 1 << 0,	/* offset and length lie on the disk */
	OP_DATA = 1 << 1,	/* iov has `length` bytes */
	OP_CHANGES = 1 << 2,	/* not on a read-only disk */
};
static const struct {
	unsigned needs;
	unsigned cap;
} op_rules[] = {
	[DISK_READ] = { OP_RANGE | OP_DATA, 0 },
	[DISK_WRITE] = { OP_RANGE | OP_DATA | OP_CHANGES, 0 },
	[DISK_FLUSH] = { 0, 0 },
	[DISK_UNMAP] = { OP_RANGE | OP_CHANGES, DISK_CAP_UNMAP },
	[DISK_WRITE_ZEROES] = { OP_RANGE | OP_CHANGES, 0 },
	[DISK_CAW] = { OP_RANGE | OP_DATA | OP_CHANGES, DISK_CAP_CAW },
	[DISK_RESERVE] = { 0, DISK_CAP_RESERVE },
	[DISK_RELEASE] = { 0, DISK_CAP_RESERVE },
	[DISK_PR_OUT] = { 0, DISK_CAP_PR },
	[DISK_PR_READ_KEYS] = { 0, DISK_CAP_PR },
	[DISK_PR_READ_RESERVATION] = { 0, DISK_CAP_PR },
	[DISK_HOLD] = { 0, DISK_CAP_HOLD },
	[DISK_UNHOLD] = { 0, DISK_CAP_HOLD },
	[DISK_HOLD_TEST] = { 0, DISK_CAP_HOLD },
	[DISK_MAP] = { OP_RANGE, DISK_CAP_MAP },
	[DISK_CRYPTO_ERASE] = { OP_CHANGES, DISK_CAP_CRYPTO_ERASE },
	[DISK_SHARE] = { OP_RANGE | OP_CHANGES, DISK_CAP_SHARE },
};

static void
complete(void *arg)
{
	struct disk_req *req = arg;

	req->done(req);
}

void
disk_complete(struct disk_req *req, int result)
{
	req->result = result;
	req->work = (struct sched_work){ .fn = complete, .arg = req };
	sched_post(req->home, &req->work);
}

static bool
iov_has(const struct disk_req *req)
{
	uint64_t sum = 0;

	for (int i = 0; i < req->iovcnt; i++)
		if (__builtin_add_overflow(sum, req->iov[i].iov_len, &sum))
			return false;
	return sum == req->length;
}

static int
range_check(const struct disk_info *info, const struct disk_req *req)
{
	uint64_t end, mask = info->block_size - 1;

	if (((req->offset | req->length) & mask) != 0 ||
	    __builtin_add_overflow(req->offset, req->length, &end) ||
	    end > __atomic_load_n(&info->size_bytes, __ATOMIC_RELAXED))
		return -EINVAL;
	return 0;
}

static int
req_check(const struct disk *d, const struct disk_req *req)
{
	const struct disk_info *info = &d->info;
	unsigned needs = op_rules[req->op].needs;
	unsigned cap = op_rules[req->op].cap;
	int rc;

	if ((info->caps & cap) != cap)
		return -EOPNOTSUPP;
	if ((needs & OP_CHANGES) != 0 &&
	    (info->caps & DISK_CAP_READONLY) != 0)
		return -EROFS;
	/* No command of SCSI: a single path must not take it for one. */
	if (req->op == DISK_PR_OUT && d->ops->late == NULL &&
	    req->pr->action >= DISK_PR_LATE_REGISTER)
		return -EOPNOTSUPP;
	rc = (needs & OP_RANGE) != 0 ? range_check(info, req) : 0;
	if (rc < 0)
		return rc;
	if ((needs & OP_DATA) != 0 && !iov_has(req))
		return -EINVAL;
	if ((req->op == DISK_READ || req->op == DISK_WRITE) &&
	    info->max_transfer != 0 && req->length > info->max_transfer)
		return -EINVAL;
	if (req->op == DISK_CAW && (req->length > info->max_caw ||
	    req->length == 0))
		return -EINVAL;
	return 0;
}

void
disk_submit(struct disk *d, struct disk_req *req)
{
	int rc = req_check(d, req);

	req->home = sched_current();
	req->result = 0;
	req->shared = 0;
	memset(&req->sense, 0, sizeof(req->sense));
	if (rc < 0 || ((op_rules[req->op].needs & OP_RANGE) != 0 &&
	    req->length == 0))
		disk_complete(req, rc);
	else
		d->ops->submit(d, req);
}

void
disk_close(struct disk *d)
{
	if (d != NULL)
		d->ops->close(d);
}

void
disk_info_follow(struct disk *d, const struct disk_info *now)
{
	struct disk_info was = d->info;

	if (was.size_bytes != now->size_bytes)
		__atomic_store_n(&d->info.size_bytes, now->size_bytes,
		    __ATOMIC_RELAXED);
	was.size_bytes = now->size_bytes;
	if (memcmp(&was, now, sizeof(was)) != 0)
		d->info = *now;
}

int
disk_refresh(struct disk *d)
{
	return d->ops->refresh != NULL ? d->ops->refresh(d) : 0;
}

unsigned
disk_late(struct disk *d)
{
	return d->ops->late != NULL ? d->ops->late(d) : 0;
}

bool
disk_is_current(struct disk *d)
{
	return d->ops->current == NULL || d->ops->current(d);
}

int
disk_paths(struct disk *d, struct disk_path *p, unsigned max)
{
	return d->ops->paths != NULL ? d->ops->paths(d, p, max) : 0;
}

int
disk_space(struct disk *d, struct disk_space *ret_space)
{
	if (d->ops->space == NULL)
		return -EOPNOTSUPP;
	return d->ops->space(d, ret_space);
}

struct run_wait {
	struct fiber *fiber;
	bool done;
};

static void
run_done(struct disk_req *req)
{
	struct run_wait *w = req->arg;

	w->done = true;
	fiber_unpark(w->fiber);
}

int
disk_run(struct disk *d, struct disk_req *req)
{
	struct run_wait w = { .fiber = fiber_self() };

	req->done = run_done;
	req->arg = &w;
	disk_submit(d, req);
	while (!w.done)
		fiber_park();
	return req->result;
}

/* READ or WRITE of any length, cut to what the disk takes at once. */
static int
transfer(struct disk *d, enum disk_op op, uint64_t offset, void *buf,
    size_t len, unsigned flags)
{
	char *p = buf;
	size_t max = d->info.max_transfer & ~(d->info.block_size - 1);
	int rc;

	do {
		size_t n = max != 0 && len > max ? max : len;
		struct iovec iov = { .iov_base = p, .iov_len = n };
		struct disk_req req = {
			.op = op, .flags = flags, .offset = offset,
			.length = n, .iov = &iov, .iovcnt = 1,
		};

		rc = disk_run(d, &req);
		p += n;
		offset += n;
		len -= n;
	} while (rc == 0 && len > 0);
	return rc;
}

int
disk_read(struct disk *d, uint64_t offset, void *buf, size_t len)
{
	return transfer(d, DISK_READ, offset, buf, len, 0);
}

/* struct iovec has no const; writes do not change the buffer. */
static void *
not_const(const void *p)
{
	return (void *)(uintptr_t)p;
}

int
disk_write(struct disk *d, uint64_t offset, const void *buf, size_t len,
    unsigned flags)
{
	return transfer(d, DISK_WRITE, offset, not_const(buf), len, flags);
}

int
disk_flush(struct disk *d)
{
	return disk_run(d, &(struct disk_req){ .op = DISK_FLUSH });
}

int
disk_unmap(struct disk *d, uint64_t offset, uint64_t len)
{
	return disk_run(d, &(struct disk_req){
	    .op = DISK_UNMAP, .offset = offset, .length = len });
}

int
disk_write_zeroes(struct disk *d, uint64_t offset, uint64_t len,
    unsigned flags)
{
	return disk_run(d, &(struct disk_req){ .op = DISK_WRITE_ZEROES,
	    .flags = flags, .offset = offset, .length = len });
}

int
disk_caw(struct disk *d, uint64_t offset, const void *expect,
    const void *image, size_t len)
{
	struct iovec iov = { .iov_base = not_const(image), .iov_len = len };

	return disk_run(d, &(struct disk_req){ .op = DISK_CAW,
	    .flags = DISK_FUA, .offset = offset, .length = len, .iov = &iov, .iovcnt = 1,
	    .expect = expect });
}

int
disk_pr_out(struct disk *d, struct disk_pr *pr)
{
	return disk_run(d, &(struct disk_req){ .op = DISK_PR_OUT, .pr = pr });
}

int
disk_pr_read_keys(struct disk *d, struct disk_pr *pr)
{
	return disk_run(d, &(struct disk_req){ .op = DISK_PR_READ_KEYS,
	    .pr = pr });
}

int
disk_pr_read_reservation(struct disk *d, struct disk_pr *pr)
{
	return disk_run(d, &(struct disk_req){
	    .op = DISK_PR_READ_RESERVATION, .pr = pr });
}

int
disk_hold(struct disk *d, uint64_t id)
{
	return disk_run(d, &(struct disk_req){ .op = DISK_HOLD, .id = id });
}

int
disk_unhold(struct disk *d, uint64_t id)
{
	return disk_run(d, &(struct disk_req){ .op = DISK_UNHOLD, .id = id });
}

int
disk_hold_test(struct disk *d, uint64_t id)
{
	return disk_run(d, &(struct disk_req){ .op = DISK_HOLD_TEST,
	    .id = id });
}

int
disk_map(struct disk *d, uint64_t offset, uint64_t len, struct disk_map *map)
{
	map->count = 0;
	return disk_run(d, &(struct disk_req){ .op = DISK_MAP,
	    .offset = offset, .length = len, .map = map });
}

bool
disk_map_add(struct disk_map *map, uint64_t len, bool allocated)
{
	struct disk_extent *last = map->count > 0 ?
	    &map->extents[map->count - 1] : NULL;

	if (len == 0)
		return true;
	if (last != NULL && last->allocated == allocated) {
		last->length += len;
		return true;
	}
	if (map->count == map->max)
		return false;
	map->extents[map->count++] = (struct disk_extent){ len, allocated };
	return true;
}

void *
disk_buf_alloc(size_t len)
{
	/* aligned_alloc wants a multiple of the alignment. */
	size_t size = (len + 4095) & ~(size_t)4095;
	void *buf = size >= len ? aligned_alloc(4096, size) : NULL;

	if (buf != NULL)
		memset(buf, 0, size);
	return buf;
}
