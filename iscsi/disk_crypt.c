/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests pass through; the data of reads and writes is turned over. */
#include "iscsi/disk_crypt.h"

#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/xts.h"
#include "libvmfs/env/shared.h"

#define SECTOR 512U

struct disk_crypt {
	struct disk disk;
	struct disk *below;
	struct env *env;
	int (*save)(void *arg, const void *key, size_t len);
	void *save_arg;
	struct shared_lock lock;	/* guards the key */
	uint8_t key[DISK_CRYPT_KEY_SIZE];
};

/* A read or write under way. */
struct crypt_io {
	struct disk_req sub;
	struct disk_req *req;
	struct xts *xts;
	uint8_t *bounce;	/* NULL: a read into the one buffer there is */
	struct iovec iov;
};

static struct disk_crypt *
crypt_of(struct disk *d)
{
	return container_of(d, struct disk_crypt, disk);
}

/* ---- sectors ---- */

static bool
is_zero(const uint8_t *p)
{
	return p[0] == 0 && memcmp(p, p + 1, SECTOR - 1) == 0;
}

/* In place. */
static int
sectors_turn(struct xts *x, uint64_t offset, uint8_t *p, size_t len)
{
	uint64_t sector = offset / SECTOR;
	int rc = 0;

	for (; len > 0 && rc == 0; p += SECTOR, len -= SECTOR, sector++)
		if (!is_zero(p))
			rc = xts_turn(x, sector, p, p, SECTOR);
	return rc;
}

/* ---- reads and writes ---- */

static void
iov_copy(const struct disk_req *req, uint8_t *p, bool to_req)
{
	for (int i = 0; i < req->iovcnt; i++) {
		const struct iovec *v = &req->iov[i];

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
io_free(struct crypt_io *io)
{
	xts_free(io->xts);
	free(io->bounce);
	free(io);
}

static void
io_done(struct disk_req *sub)
{
	struct crypt_io *io = sub->arg;
	struct disk_req *req = io->req;

	req->result = sub->result;
	req->sense = sub->sense;
	if (req->op == DISK_READ && req->result == 0) {
		req->result = sectors_turn(io->xts, req->offset,
		    io->iov.iov_base, req->length);
		if (io->bounce != NULL)
			iov_copy(req, io->bounce, true);
	}
	io_free(io);
	req->done(req);
}

static struct crypt_io *
io_new(struct disk_crypt *d, struct disk_req *req)
{
	struct crypt_io *io = calloc(1, sizeof(*io));
	bool write = req->op == DISK_WRITE;
	int rc;

	if (io == NULL)
		return NULL;
	io->req = req;
	io->iov = (struct iovec){ req->iov[0].iov_base, req->length };
	if (write || req->iovcnt != 1) {
		io->bounce = disk_buf_alloc(req->length);
		io->iov.iov_base = io->bounce;
	}
	shared_enter(&d->lock);
	rc = xts_new(d->key, write, &io->xts);
	shared_leave(&d->lock);
	if (rc < 0 || io->iov.iov_base == NULL) {
		io_free(io);
		return NULL;
	}
	return io;
}

static void
io_submit(struct disk_crypt *d, struct disk_req *req)
{
	struct crypt_io *io = io_new(d, req);
	int rc = 0;

	if (io == NULL) {
		disk_complete(req, -ENOMEM);
		return;
	}
	if (req->op == DISK_WRITE) {
		iov_copy(req, io->bounce, false);
		rc = sectors_turn(io->xts, req->offset, io->bounce,
		    req->length);
	}
	if (rc < 0) {
		io_free(io);
		disk_complete(req, rc);
		return;
	}
	io->sub = (struct disk_req){
		.op = req->op, .flags = req->flags, .offset = req->offset,
		.length = req->length, .iov = &io->iov, .iovcnt = 1,
		.done = io_done, .arg = io,
	};
	disk_submit(d->below, &io->sub);
}

/* ---- the key ---- */

static int
key_forget(struct disk_crypt *d)
{
	uint8_t key[DISK_CRYPT_KEY_SIZE];
	int rc;

	d->env->random(d->env, key, sizeof(key));
	rc = d->save(d->save_arg, key, sizeof(key));
	if (rc == 0) {
		shared_enter(&d->lock);
		memcpy(d->key, key, sizeof(key));
		shared_leave(&d->lock);
	}
	explicit_bzero(key, sizeof(key));
	return rc;
}

static void
forget_fiber(void *arg)
{
	struct disk_req *req = arg;

	req->result = key_forget(req->priv[0]);
	req->done(req);
}

/* ---- disk ---- */

static void
crypt_submit(struct disk *disk, struct disk_req *req)
{
	struct disk_crypt *d = crypt_of(disk);

	switch (req->op) {
	case DISK_READ:
	case DISK_WRITE:
		io_submit(d, req);
		break;
	case DISK_CRYPTO_ERASE:
		req->priv[0] = d;
		if (sched_spawn(sched_current(), "crypto erase", forget_fiber,
		    req) < 0)
			disk_complete(req, -ENOMEM);
		break;
	default:
		disk_submit(d->below, req);
	}
}

/* Nothing that would look at the data, or name the disk to others; not for a
 * moment either, while other threads look. */
static void
info_copy(struct disk_crypt *d)
{
	struct disk_info info = d->below->info;

	info.caps &= DISK_CAP_UNMAP | DISK_CAP_READONLY | DISK_CAP_MAP;
	if (d->save != NULL && !(info.caps & DISK_CAP_READONLY))
		info.caps |= DISK_CAP_CRYPTO_ERASE;
	info.max_caw = 0;
	disk_info_follow(&d->disk, &info);
}

static int
crypt_refresh(struct disk *disk)
{
	struct disk_crypt *d = crypt_of(disk);
	int rc = disk_refresh(d->below);

	if (rc == 0)
		info_copy(d);
	return rc;
}

static void
crypt_close(struct disk *disk)
{
	struct disk_crypt *d = crypt_of(disk);

	disk_close(d->below);
	shared_lock_fini(&d->lock);
	explicit_bzero(d->key, sizeof(d->key));
	free(d);
}

static int
crypt_space(struct disk *disk, struct disk_space *ret_space)
{
	return disk_space(crypt_of(disk)->below, ret_space);
}

static const struct disk_ops crypt_ops = {
	.submit = crypt_submit,
	.refresh = crypt_refresh,
	.space = crypt_space,
	.close = crypt_close,
};

int
disk_crypt_open(struct env *env, struct disk *below,
    const struct disk_crypt_conf *conf, struct disk **ret_d)
{
	struct disk_crypt *d;
	struct xts *xts;
	int rc = xts_new(conf->key, true, &xts);

	if (rc < 0)
		return rc;
	xts_free(xts);
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return -ENOMEM;
	d->disk.ops = &crypt_ops;
	d->below = below;
	d->env = env;
	d->save = conf->save;
	d->save_arg = conf->save_arg;
	memcpy(d->key, conf->key, sizeof(d->key));
	shared_lock_init(&d->lock);
	info_copy(d);
	*ret_d = &d->disk;
	return 0;
}
