/* SPDX-License-Identifier: BSD-2-Clause */
/* COMPARE AND WRITE out of RESERVE and RELEASE. */
#include "locking/reserve.h"

#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/format/layout.h"

#define WAIT_NS (4 * NSEC_PER_MSEC)	/* between two attempts, at most */
#define TRIES 500
#define RELEASE_TRIES 16	/* at least, and for this long */
#define RELEASE_NS (5 * NSEC_PER_SEC)

struct disk_reserve {
	struct disk disk;
	struct disk_reserve_conf conf;
	struct disk *below;
	struct fiber_mutex own;
	struct fiber_mutex *section;	/* RESERVE does not nest */
	uint8_t *buf;			/* of the section */
	int flush_error;		/* of a section: for who flushes next */
};

/* A request carried out by a fiber of its own. */
struct job {
	struct disk_reserve *d;
	struct disk_req *req;
};

static void
pause_a_little(struct disk_reserve *d)
{
	fiber_sleep(1 + env_random_u64(d->conf.env) % WAIT_NS);
}

static int
run_plain(struct disk_reserve *d, enum disk_op op)
{
	struct disk_req req = { .op = op };

	return disk_run(d->below, &req);
}

/* 0; what is certain not to be reserved comes back as -VMFS_EATTENTION. */
static int
reserve(struct disk_reserve *d)
{
	int rc = -VMFS_ECONFLICT;

	for (int i = 0; i < TRIES && rc == -VMFS_ECONFLICT; i++) {
		rc = run_plain(d, DISK_RESERVE);
		if (rc == -VMFS_ECONFLICT)
			pause_a_little(d);
	}
	return rc == -VMFS_ECONFLICT ? -VMFS_EATTENTION : rc;
}

/* One that stays reserved would shut everybody out: insist.  One that is gone
 * shuts nobody out. */
static void
release(struct disk_reserve *d)
{
	uint64_t end = env_now(d->conf.env) + RELEASE_NS;
	int rc = 0;

	for (int i = 0; i < RELEASE_TRIES || env_now(d->conf.env) < end; i++) {
		rc = run_plain(d, DISK_RELEASE);
		if (rc == 0 || rc == -VMFS_EGONE)
			return;
		pause_a_little(d);
	}
	log_warn(d->conf.env->log, "reserve: RELEASE fails, the LUN may stay "
	    "reserved until this host's session ends error=\"%s\"",
	    vmfs_strerror(rc));
}

/* A flush that another one cannot make good. */
static bool
tells_loss(int rc)
{
	return rc < 0 && rc != -VMFS_ECONFLICT && rc != -VMFS_EATTENTION &&
	    rc != -VMFS_EUNKNOWN;
}

static int
compare_and_write(struct disk_reserve *d, struct disk_req *req)
{
	struct iovec old = { d->buf, req->length };
	struct disk_req r = {
		.op = DISK_READ, .flags = DISK_RESERVED, .offset = req->offset,
		.length = req->length, .iov = &old, .iovcnt = 1,
	};
	struct disk_req w = {
		.op = DISK_WRITE, .flags = DISK_FUA | DISK_RESERVED,
		.offset = req->offset, .length = req->length, .iov = req->iov,
		.iovcnt = req->iovcnt,
	};
	int rc = disk_run(d->below, &r);

	if (rc < 0)
		return rc;
	if (memcmp(d->buf, req->expect, req->length) != 0)
		return -VMFS_EMISCOMPARE;
	if (!d->conf.may_write(d->conf.arg))
		return -VMFS_EATTENTION;
	rc = disk_run(d->below, &w);
	if (rc < 0)
		return rc;
	/* Not every such LUN knows FUA.  That the LUN lost its cache it tells
	 * once, perhaps here. */
	rc = disk_flush(d->below);
	if (tells_loss(rc))
		d->flush_error = rc;
	return rc;
}

static int
section(struct disk_reserve *d, struct disk_req *req)
{
	int rc = reserve(d);

	/* Not reserved, or nobody knows: then there is nothing to write. */
	if (rc == -VMFS_EATTENTION)
		return rc;
	if (rc == 0)
		rc = compare_and_write(d, req);
	release(d);
	/* The reservation went with a session: what it refuses is not done. */
	return rc == -VMFS_ECONFLICT ? -VMFS_EATTENTION : rc;
}

static void
caw_main(void *arg)
{
	struct job *j = arg;
	struct disk_reserve *d = j->d;
	struct disk_req *req = j->req;
	int rc;

	free(j);
	fiber_mutex_lock(d->section);
	rc = section(d, req);
	fiber_mutex_unlock(d->section);
	disk_complete(req, rc);
}

static void
read_main(void *arg)
{
	struct job *j = arg;
	struct disk_reserve *d = j->d;
	struct disk_req *req = j->req;
	int rc = -VMFS_ECONFLICT;

	free(j);
	for (int i = 0; i < TRIES && rc == -VMFS_ECONFLICT; i++) {
		struct disk_req r = {
			.op = req->op, .offset = req->offset,
			.length = req->length, .iov = req->iov,
			.iovcnt = req->iovcnt,
		};

		rc = disk_run(d->below, &r);
		if (rc == -VMFS_ECONFLICT)
			pause_a_little(d);
	}
	disk_complete(req, rc);
}

static void
flush_main(void *arg)
{
	struct job *j = arg;
	struct disk_reserve *d = j->d;
	struct disk_req *req = j->req;
	int rc;

	free(j);
	rc = disk_flush(d->below);
	disk_complete(req, rc == 0 ? d->flush_error : rc);
}

static void
spawn(struct disk_reserve *d, struct disk_req *req, void (*fn)(void *arg))
{
	struct job *j = malloc(sizeof(*j));

	if (j != NULL) {
		*j = (struct job){ d, req };
		if (sched_spawn(sched_current(), "reserve", fn, j) == 0)
			return;
	}
	free(j);
	disk_complete(req, -ENOMEM);
}

static void
reserve_submit(struct disk *disk, struct disk_req *req)
{
	struct disk_reserve *d = container_of(disk, struct disk_reserve, disk);

	if (req->op == DISK_CAW && req->length <= BLOCK_SIZE)
		spawn(d, req, caw_main);
	else if (req->op == DISK_READ)
		spawn(d, req, read_main);
	else if (req->op == DISK_FLUSH)
		spawn(d, req, flush_main);
	else
		disk_submit(d->below, req);
}

static int
reserve_refresh(struct disk *disk)
{
	struct disk_reserve *d = container_of(disk, struct disk_reserve, disk);

	int rc = disk_refresh(d->below);

	if (rc == 0)
		d->disk.info.size_bytes = d->below->info.size_bytes;
	return rc;
}

static void
reserve_close(struct disk *disk)
{
	struct disk_reserve *d = container_of(disk, struct disk_reserve, disk);

	free(d->buf);
	free(d);
}

static const struct disk_ops ops = {
	.submit = reserve_submit,
	.refresh = reserve_refresh,
	.close = reserve_close,
};

int
disk_reserve_open(const struct disk_reserve_conf *conf, struct disk **ret_d)
{
	struct disk_reserve *d = calloc(1, sizeof(*d));
	struct disk *below = conf->below;

	if (d == NULL)
		return -ENOMEM;
	d->buf = disk_buf_alloc(BLOCK_SIZE);
	if (d->buf == NULL) {
		free(d);
		return -ENOMEM;
	}
	d->disk.ops = &ops;
	d->disk.info = below->info;
	d->disk.info.caps |= DISK_CAP_CAW;
	d->disk.info.max_caw = BLOCK_SIZE;
	d->conf = *conf;
	d->below = below;
	fiber_mutex_init(&d->own);
	d->section = conf->beside == NULL ? &d->own : container_of(conf->beside,
	    struct disk_reserve, disk)->section;
	*ret_d = &d->disk;
	return 0;
}
