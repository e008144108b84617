/* SPDX-License-Identifier: BSD-2-Clause */
/* An open file as a struct disk: what fast.c does not take is a fiber each. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/fs_impl.h"

#define VDISK_BLOCK 512u
#define VDISK_MAX_TRANSFER (16u << 20)
/* So old is what disk_space tells at most, but the first time after a rest. */
#define LOOK_NS NSEC_PER_SEC

struct vdisk {
	struct disk disk;
	struct fs_file *f;
	struct disk_req *failed;
	struct sched_work fail;
	/* See fs_disk_tell_space; any thread reads them. */
	bool tells_space;
	_Atomic uint64_t total, available, used, looked_ns;
	atomic_bool looking;
	struct sched_work look;
	struct fiber_cond looked;
};

static struct vdisk *
vdisk_of(struct disk *d)
{
	return container_of(d, struct vdisk, disk);
}

static void
iov_copy(struct disk_req *req, uint8_t *buf, bool to_iov)
{
	uint64_t left = req->length;

	for (int i = 0; i < req->iovcnt && left > 0; i++) {
		size_t n = req->iov[i].iov_len < left ? req->iov[i].iov_len :
		    (size_t)left;

		if (to_iov)
			memcpy(req->iov[i].iov_base, buf, n);
		else
			memcpy(buf, req->iov[i].iov_base, n);
		buf += n;
		left -= n;
	}
}

static int
do_read(struct vdisk *v, struct disk_req *req)
{
	cleanup_free uint8_t *tmp = NULL;
	uint8_t *buf;
	size_t n;
	int r;

	if (req->iovcnt == 1) {
		buf = req->iov[0].iov_base;
	} else {
		buf = tmp = disk_buf_alloc(req->length);
		if (tmp == NULL)
			return -ENOMEM;
	}
	r = fs_file_read(v->f, req->offset, buf, req->length, &n);
	if (r != 0)
		return r;
	if (n < req->length)
		memset(buf + n, 0, req->length - n);
	if (tmp != NULL)
		iov_copy(req, tmp, true);
	return 0;
}

static int
do_write(struct vdisk *v, struct disk_req *req)
{
	cleanup_free uint8_t *tmp = NULL;
	const uint8_t *buf;
	int r;

	if (req->iovcnt == 1) {
		buf = req->iov[0].iov_base;
	} else {
		tmp = disk_buf_alloc(req->length);
		if (tmp == NULL)
			return -ENOMEM;
		iov_copy(req, tmp, false);
		buf = tmp;
	}
	r = fs_file_write(v->f, req->offset, buf, req->length);
	if (r == 0 && req->flags & DISK_FUA)
		r = fs_file_flush(v->f);
	return r;
}

/* Where the map must not change. */
static int
zero_write(struct vdisk *v, struct disk_req *req)
{
	uint64_t off = req->offset, end = off + req->length;
	cleanup_free void *zero = disk_buf_alloc(CHUNK_SIZE);
	int r = zero != NULL ? 0 : -ENOMEM;

	while (r == 0 && off < end) {
		size_t n = end - off < CHUNK_SIZE ? (size_t)(end - off) :
		    CHUNK_SIZE;

		r = fs_file_write(v->f, off, zero, n);
		off += n;
	}
	return r;
}

/*
 * Zeroes without leave to unmap stay allocated, as WRITE SAME without UNMAP
 * asks for (SBC-4 5.50).
 */
static int
do_zero(struct vdisk *v, struct disk_req *req)
{
	int r;

	if (v->f->mode == LOCK_MULTI_WRITER && req->op == DISK_WRITE_ZEROES)
		return zero_write(v, req);
	r = fs_file_punch(v->f, req->offset, req->length);
	if (r == 0 && req->op == DISK_WRITE_ZEROES &&
	    (req->flags & DISK_MAY_UNMAP) == 0)
		r = fs_file_allocate(v->f, req->offset, req->length);
	return r;
}

/* Alone with the file: no other read or write is between the two. */
static int
do_caw(struct vdisk *v, struct disk_req *req)
{
	cleanup_free uint8_t *now = disk_buf_alloc(req->length);
	cleanup_free uint8_t *image = disk_buf_alloc(req->length);
	const uint8_t *expect = req->expect;
	struct inode *ip = v->f->ip;
	int r;

	if (now == NULL || image == NULL)
		return -ENOMEM;
	r = file_may_write(v->f);
	if (r != 0)
		return r;
	iov_copy(req, image, false);
	if (v->f->mode == LOCK_MULTI_WRITER)
		return multi_caw(ip, req->offset, expect, image, req->length);
	content_lock(ip);
	r = file_read_at(ip, true, &ip->info, req->offset, now, req->length);
	if (r == 0 && memcmp(now, expect, req->length) != 0) {
		while (now[req->sense.info] == expect[req->sense.info])
			req->sense.info++;
		r = -VMFS_EMISCOMPARE;
	}
	if (r == 0)
		r = file_write_at(ip, req->offset, image, req->length);
	content_unlock(ip);
	return r;
}

/* What it shares with snapshots and clones is allocated as well. */
static int
do_map(struct vdisk *v, struct disk_req *req)
{
	uint64_t at = req->offset, end = at + req->length;
	uint64_t data = 0, hole = 0;

	while (at < end) {
		int r = fs_file_seek_to(v->f, at, end, true, &data);

		if (r == 0)
			r = fs_file_seek_to(v->f, data, end, false, &hole);
		if (r != 0)
			return r;
		if (!disk_map_add(req->map, data - at, false) ||
		    !disk_map_add(req->map, hole - data, true))
			return 0;
		at = hole;
	}
	return 0;
}

static const struct disk_ops vdisk_ops;

static int
do_share(struct vdisk *v, struct disk_req *req)
{
	if (req->from->ops != &vdisk_ops)
		return -EOPNOTSUPP;
	return fs_file_share(vdisk_of(req->from)->f, v->f, req->offset,
	    req->length, &req->shared);
}

static int
execute(struct vdisk *v, struct disk_req *req)
{
	switch (req->op) {
	case DISK_READ:
		return do_read(v, req);
	case DISK_WRITE:
		return do_write(v, req);
	case DISK_FLUSH:
		return fs_file_flush(v->f);
	case DISK_UNMAP:
	case DISK_WRITE_ZEROES:
		return do_zero(v, req);
	case DISK_CAW:
		return do_caw(v, req);
	case DISK_MAP:
		return do_map(v, req);
	case DISK_SHARE:
		return do_share(v, req);
	case DISK_RESERVE:
	case DISK_RELEASE:
	case DISK_PR_OUT:
	case DISK_PR_READ_KEYS:
	case DISK_PR_READ_RESERVATION:
	case DISK_HOLD:
	case DISK_UNHOLD:
	case DISK_HOLD_TEST:
	case DISK_CRYPTO_ERASE:
		break;
	}
	return -EOPNOTSUPP;
}

static bool
changes(const struct disk_req *req)
{
	return req->op != DISK_READ && req->op != DISK_FLUSH &&
	    req->op != DISK_MAP;
}

/* ---- space ---- */

static int
space_look(struct vdisk *v)
{
	struct fs *fs = v->f->fs;
	struct fs_statfs s;
	int r = fs_statfs(fs, v->f->ip->ino, &s);

	v->looked_ns = env_now(ds_env(fs->ds));
	if (r != 0)
		return r;
	v->total = s.total_bytes;
	v->available = s.free_bytes;
	return 0;
}

static void
look_over(struct vdisk *v)
{
	v->looking = false;
	fiber_cond_broadcast(&v->looked);
}

static void
look_fiber(void *arg)
{
	/* Without an answer what was known before stands. */
	(void)!space_look(arg);
	look_over(arg);
}

static void
look_work(void *arg)
{
	struct vdisk *v = arg;

	if (sched_spawn(ds_env(v->f->fs->ds)->sched, "space", look_fiber,
	    v) != 0)
		look_over(v);
}

static int
vdisk_space(struct disk *d, struct disk_space *ret_space)
{
	struct vdisk *v = vdisk_of(d);
	struct env *env = ds_env(v->f->fs->ds);

	if (!v->tells_space)
		return -EOPNOTSUPP;
	if (env_now(env) - v->looked_ns >= LOOK_NS &&
	    !atomic_exchange(&v->looking, true))
		sched_post(env->sched, &v->look);
	*ret_space = (struct disk_space){
		.size = v->total, .available = v->available, .used = v->used,
	};
	return 0;
}

static void
space_used(struct vdisk *v)
{
	v->used = v->f->ip->info.chunks * CHUNK_SIZE;
}

int
fs_disk_tell_space(struct disk *d)
{
	struct vdisk *v = vdisk_of(d);
	int r = space_look(v);

	if (r != 0)
		return r;
	space_used(v);
	v->tells_space = true;
	return 0;
}

/* ---- requests ---- */

static void
request_fiber(void *arg)
{
	struct disk_req *req = arg;
	struct vdisk *v = req->priv[0];

	req->sense = (struct disk_sense){ 0 };
	if (changes(req) && (v->f->flags & FS_WRITE) == 0)
		req->result = -EROFS;
	else
		req->result = execute(v, req);
	if (changes(req) && req->result == 0)
		req->result = ds_soften(v->f->fs->ds);
	if (changes(req))
		space_used(v);
	req->done(req);
}

/* Requests that got no stack, linked by priv[1]. */
static void
fail_queued(void *arg)
{
	struct vdisk *v = arg;
	struct disk_req *req = v->failed, *next;

	v->failed = NULL;
	for (; req != NULL; req = next) {
		next = req->priv[1];
		req->result = -ENOMEM;
		req->done(req);
	}
}

static void
fiber_submit(struct disk_req *req)
{
	struct vdisk *v = req->priv[0];
	struct sched *s = ds_env(v->f->fs->ds)->sched;
	bool first = v->failed == NULL;

	if (sched_spawn(s, "vdisk", request_fiber, req) == 0)
		return;
	/* Never done from within submit. */
	req->priv[1] = v->failed;
	v->failed = req;
	if (first)
		sched_post(s, &v->fail);
}

static void
vdisk_submit(struct disk *d, struct disk_req *req)
{
	req->priv[0] = vdisk_of(d);
	if (!fs_file_fast(vdisk_of(d)->f, req, fiber_submit))
		fiber_submit(req);
}

static int
vdisk_refresh(struct disk *d)
{
	struct vdisk *v = vdisk_of(d);
	struct fs_attr a;
	int r;

	r = fs_file_attr(v->f, &a);
	if (r == 0)
		d->info.size_bytes = a.size & ~(uint64_t)(VDISK_BLOCK - 1);
	return r;
}

static void
vdisk_close(struct disk *d)
{
	struct vdisk *v = vdisk_of(d);
	struct log *log = ds_env(v->f->fs->ds)->log;
	int r;

	while (v->looking)
		fiber_cond_wait(&v->looked);
	r = fs_file_close(v->f);
	if (r != 0)
		log_error(log, "vdisk: close failed disk=%s error=%s",
		    d->info.name, vmfs_strerror(r));
	free(v);
}

static const struct disk_ops vdisk_ops = {
	.submit = vdisk_submit,
	.refresh = vdisk_refresh,
	.space = vdisk_space,
	.close = vdisk_close,
};

bool
fs_disk_fast(struct disk *d, struct disk_req *req,
    void (*again)(struct disk_req *req))
{
	return fs_file_fast(vdisk_of(d)->f, req, again);
}

int
fs_file_disk(struct fs_file *f, const char *name, struct disk **ret_d)
{
	struct vdisk *v = calloc(1, sizeof(*v));
	struct disk_info *i;
	struct fs_attr a;
	int r;

	if (v == NULL)
		return -ENOMEM;
	v->f = f;
	v->fail = (struct sched_work){ .fn = fail_queued, .arg = v };
	v->look = (struct sched_work){ .fn = look_work, .arg = v };
	fiber_cond_init(&v->looked);
	r = fs_file_attr(f, &a);
	if (r != 0) {
		free(v);
		return r;
	}
	v->disk.ops = &vdisk_ops;
	i = &v->disk.info;
	i->size_bytes = a.size & ~(uint64_t)(VDISK_BLOCK - 1);
	i->block_size = VDISK_BLOCK;
	i->phys_block_size = BLOCK_SIZE;
	i->max_transfer = VDISK_MAX_TRANSFER;
	i->max_caw = 255 * VDISK_BLOCK;
	i->unmap_granularity = CHUNK_SIZE;
	i->caps = DISK_CAP_CAW | DISK_CAP_MAP | DISK_CAP_SHARE |
	    (f->mode == LOCK_MULTI_WRITER ? 0 : DISK_CAP_UNMAP) |
	    (f->flags & FS_WRITE ? 0 : DISK_CAP_READONLY);
	snprintf(i->kind, sizeof(i->kind), "vdisk");
	snprintf(i->name, sizeof(i->name), "%s", name);
	snprintf(i->serial, sizeof(i->serial), "%016llx%08x",
	    (unsigned long long)a.ino, a.generation);
	*ret_d = &v->disk;
	return 0;
}
